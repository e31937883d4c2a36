"""Lets a factory begin a new product line and watches a real Airflow find out and learn it.

    python benchmarks/loop.py [--factory FILE] [--port 8790]

An ERP database of its own holds a factory (the sample) without one PART_TYPE. Airflow retrains on
it; then the missing items are entered, a third of them with a routing, and the daily proposals and
the hourly watch are triggered, the watch twice. The drift must be announced once, with its reason;
Airflow must start a retraining by itself, whose report and message say that drift did it; and where
that puts a new model into use, the watch must begin anew with it. The exit code is 1 when anything
of that does not hold.
"""

import argparse
import json
import logging
import os
import sqlite3
import sys
import tempfile
import time
from copy import copy
from datetime import datetime
from pathlib import Path
from typing import Any

from routing_ml.registry import Registry
from routing_ml.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "script"), str(ROOT / "tests")]

import instance as instances  # noqa: E402
from airflow_api import Airflow  # noqa: E402
from data_fixtures import ITEMS, ROUTINGS, _plain, access_rows, sqlite_source  # noqa: E402
from processes import Processes, stop_on_signals  # noqa: E402
from slack_fixtures import FakeSlack  # noqa: E402

SAMPLE = ROOT / "sample" / "factory_sample.accdb"
LINE = "DRIVE COLLAR"
WAIT_SECONDS = 300


class Factory:
    """An ERP database whose newest product line can be entered later."""

    def __init__(self, path: Path, factory: Path) -> None:
        self.path = path
        self.tables = access_rows(factory)
        items = self.tables[ITEMS]
        code, kind = items.index("ITEM_CD"), items.index("PART_TYPE")
        self.line = {
            str(row[code]).strip().upper()
            for row in items.rows
            if str(row[kind]).strip().upper() == LINE
        }
        self.source = sqlite_source(path, {name: self._part(name, False) for name in self.tables})

    def begin_line(self, moment: datetime) -> tuple[int, int]:
        """Enter its items, every third with its routing; returns how many of each."""
        routed = set(sorted(self.line)[::3])
        with sqlite3.connect(self.path) as erp:
            for name in (ITEMS, ROUTINGS):
                table = self._part(name, True)
                code, entered = table.index("ITEM_CD"), table.index("INSRT_DT")
                rows = [list(row) for row in table.rows]
                if name == ROUTINGS:
                    rows = [row for row in rows if str(row[code]).strip().upper() in routed]
                for row in rows:
                    row[entered] = moment
                plain = [[_plain(value) for value in row] for row in rows]
                marks = ", ".join("?" * len(table.columns))
                erp.executemany(f'INSERT INTO "{name}" VALUES ({marks})', plain)
        return len(routed), len(self.line) - len(routed)

    def _part(self, name: str, of_line: bool) -> Any:
        table = self.tables[name]
        code = table.index("ITEM_CD")
        return table.changed(
            row for row in table.rows if (str(row[code]).strip().upper() in self.line) == of_line
        )


def run(api: Airflow, dag: str, name: str) -> dict[str, str]:
    """Trigger a run and wait for it: the states of its tasks."""
    one = copy(api)
    one.dag = dag
    one.trigger(name)
    return ended(one, name)


def ended(api: Airflow, name: str) -> dict[str, str]:
    """Wait for a run: the states of its tasks, and of the run itself under ''."""
    end = time.monotonic() + WAIT_SECONDS
    while (state := api.state(name)) not in ("success", "failed"):
        if time.monotonic() > end:
            raise SystemExit(f"{api.dag} {name} is {state} after {WAIT_SECONDS} s")
        time.sleep(0.2)
    return {task["task_id"]: task["state"] for task in api.tasks(name)} | {"": state}


def by_asset(api: Airflow) -> list[str]:
    """The runs of the retraining that an asset started."""
    found = api._call("GET", f"/api/v2/dags/{api.dag}/dagRuns?limit=50")["dag_runs"]
    return [each["dag_run_id"] for each in found if each["run_type"] == "asset_triggered"]


def loop(home: Path, factory_file: Path, port: int, slack: FakeSlack) -> list[str]:
    """Everything once; what did not hold."""
    factory = Factory(home / "erp.db", factory_file)
    settings = Settings.from_env({"ROUTING_ML_HOME": str(home)})
    vars(instances)["VENV"] = Path(sys.prefix)
    instance = instances.Instance(
        home=home, source=factory.source, airflow_port=port, exporter_port=port + 1
    )
    instance.airflow_home.mkdir(parents=True)
    (home / "log").mkdir()
    processes = Processes(home / "log")
    environment = dict(os.environ) | {"SLACK_WEBHOOK_URL": slack.url, "PYTHONPATH": str(ROOT)}
    wrong: list[str] = []

    def check(holds: bool, what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {'' if holds else 'NOT '}{what}", flush=True)
        wrong.extend([] if holds else [what])

    began = time.monotonic()
    try:
        api = instance.start(processes, environment)
        states = run(api, api.dag, "first")
        registry = Registry(home / "models")
        first = registry.active()
        check(states[""] == "success" and first is not None, "a first model is in use")
        watch = "routing_ml_drift_watch"
        states = run(api, watch, "quiet")
        check(states["announce"] == "skipped", "without drift nothing is announced")

        routed, waiting = factory.begin_line(settings.moment(None))
        print(f"          {LINE}: {routed} items are entered with a routing, {waiting} without")
        states = run(api, "routing_ml_predict", "proposals")
        check(states["predict"] == "success", "the waiting items have proposals")
        states = run(api, watch, "drift")
        check(states["announce"] == "success", "drift is announced")
        states = run(api, watch, "again")
        check(states["announce"] == "skipped", "an hour later it is not announced again")

        end = time.monotonic() + WAIT_SECONDS
        while not by_asset(api) and time.monotonic() < end:
            time.sleep(0.5)
        started = by_asset(api)
        check(len(started) == 1, "one retraining was started by it")
        states = ended(api, started[0])
        check(states[""] == "success", "it succeeded")
        (folder,) = (p for p in (home / "runs").glob("*") if p.name.startswith("asset_triggered"))
        outcome = json.loads((folder / "outcome.json").read_text())
        check(outcome["cause"].startswith("by drift: drift on 1 of 7 days"), "its report says why")
        print(f"          {outcome['cause']}\n          {outcome['reason']}")
        told = [text for text in slack.texts() if "by drift" in text]
        check(len(told) == 1, "people were told so once")
        states = run(api, watch, "after")
        seen = api._call(
            "GET",
            f"/api/v2/dags/{watch}/dagRuns/after/taskInstances/evaluate/xcomEntries/return_value",
        )["value"]
        status = seen if isinstance(seen, dict) else json.loads(seen)
        active = registry.active()
        changed = active is not None and first is not None and active.name != first.name
        check(outcome["promoted"] == changed, "the report says which model is in use")
        if changed:
            check(status["drift_days"] == 0, "the watch begins anew with the new model")
            run(api, "routing_ml_predict", "proposals_after")
            states = run(api, watch, "learned")
            check(states["announce"] == "skipped", "what was learned is no drift any more")
    finally:
        processes.stop()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=8790, help="Airflow's; the next one as well")
    parser.add_argument("--factory", type=Path, default=SAMPLE, metavar="FILE", help="Access file")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    stop_on_signals()
    with tempfile.TemporaryDirectory(prefix="routing-ml-loop-") as folder, FakeSlack() as slack:
        wrong = loop(Path(folder), asked.factory, asked.port, slack)
    print("all of it held" if not wrong else f"{len(wrong)} did not hold: {'; '.join(wrong)}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

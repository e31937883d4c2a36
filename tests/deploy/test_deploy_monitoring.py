"""What people are told and shown: the rules by promtool, then all of it by a real Prometheus and a
real Alertmanager, whose Slack is on loopback.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from routing_ml import cli
from routing_ml.comparison.sequence import confidence_sequence
from routing_ml.dataset.gates import MAX_NULL_RATIO, REQUIRED
from routing_ml.store.store import Store

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import alerts  # noqa: E402

DEPLOY = ROOT / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
UNIT_TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
alerts.PATIENCE_SECONDS = 60
METRIC = re.compile(r"\brouting_ml_\w+|\brouting_ml:[\w:]+")


def tool(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def rules() -> list[dict[str, Any]]:
    files = [yaml.safe_load(path.read_text()) for path in RULES]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}


# The rules ----------------------------------------------------------------------------------------


def test_promtool_finds_no_fault_with_the_configuration() -> None:
    code, said = tool("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    assert code == 0, said
    code, said = tool("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULES)
    assert code == 0, said


def test_the_rules_pass_their_unit_tests() -> None:
    code, said = tool("promtool", "test", "rules", *UNIT_TESTS)
    assert code == 0, said


def test_every_alert_is_named_and_labelled() -> None:
    for name, rule in ALERTS.items():
        assert re.fullmatch(r"RoutingML[A-Z]\w+", name)
        assert rule["labels"]["severity"] in ("info", "warning", "critical"), name
        assert set(rule["annotations"]) == {"summary", "description"}, name


def test_the_commands_and_dags_that_people_are_sent_to_exist() -> None:
    texts = [text for rule in ALERTS.values() for text in rule["annotations"].values()]
    said = " ".join(texts + [panel["description"] for _, panel in panels()])
    said = said.replace('{{ or $externalLabels.command "routing-ml" }}', "routing-ml")
    said = re.sub(r"{{.*?}}", "", said, flags=re.DOTALL)  # what figures are taken from
    for command in sorted(set(re.findall(r"'routing-ml ([a-z ]+)'", said))):
        with pytest.raises(SystemExit) as end:
            cli.main([*command.split(), "--help"])
        assert end.value.code == 0, command
    dags = {path.stem for path in (ROOT / "dags").glob("*.py")}
    assert set(re.findall(r"routing_ml_\w+", said)) - {"routing_ml_up"} <= dags


def mutants(rule: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(how it is wrong, the rule made wrong) of an alert."""
    yield "never fires", {**rule, "expr": "vector(0) > 1"}
    yield "has another severity", {**rule, "labels": {"severity": "none"}}
    yield "waits longer", {**rule, "for": _longer(rule["for"], 1.5)}
    yield "waits less", {**rule, "for": _longer(rule["for"], 0.5)}
    expr = rule["expr"]
    if "[" in expr:
        yield "does not look back", {**rule, "expr": re.sub(r"\[\d+[mhd]\]", "[1s]", expr)}
    for found in re.finditer(r"(==|<|>=|>) ([\d.]+(?: \* \d+)?)", expr):
        operator, limit = found.groups()
        swapped = {"==": ["!= "], "<": ["<= ", "< 0.98 * ", "< 1.02 * "]}
        swapped[">"] = [each.replace("<", ">") for each in swapped["<"]]
        swapped[">="] = ["> ", ">= 0.98 * ", ">= 1.02 * "]
        for start in swapped[operator]:
            wrong = expr[: found.start()] + start + limit + expr[found.end() :]
            yield f"{start}{limit}", {**rule, "expr": wrong}
    for found in re.finditer(r"(and|unless)(?= on \(instance\b)", expr):
        wrong = expr[: found.start()] + "or" + expr[found.end() :]
        yield f"'or' at {found.start()}", {**rule, "expr": wrong}


def _longer(duration: str, factor: float) -> str:
    seconds = int(duration[:-1]) * {"m": 60, "h": 3600}[duration[-1]]
    return f"{int(seconds * factor)}s"


def _survives(rule: dict[str, Any], folder: Path) -> bool:
    """Whether the unit tests of an alert pass with this rule in its place; of that alert alone,
    since promtool takes its time for each rule."""
    name = rule["alert"]
    (folder / "rules").mkdir(parents=True)
    (folder / "tests").mkdir()
    alone = {"groups": [{"name": "alone", "rules": [rule]}]}
    (folder / "rules" / "alerts.yml").write_text(yaml.safe_dump(alone))
    for path in UNIT_TESTS:
        if name not in path.read_text():
            continue
        given = yaml.safe_load(path.read_text())
        for test in given["tests"]:
            checks = test.get("alert_rule_test", [])
            test["alert_rule_test"] = [each for each in checks if each["alertname"] == name]
            for check in test.get("promql_expr_test", []):
                check["exp_samples"] = [s for s in check["exp_samples"] if name in s["labels"]]
        (folder / "tests" / path.name).write_text(yaml.safe_dump(given))
    return tool("promtool", "test", "rules", *(folder / "tests").iterdir())[0] == 0


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_the_unit_tests_notice_an_alert_that_is_wrong(name: str, tmp_path: Path) -> None:
    assert _survives(ALERTS[name], tmp_path / "right")
    wrong = dict(mutants(ALERTS[name]))
    with ThreadPoolExecutor(2) as pool:
        survived = pool.map(
            _survives, wrong.values(), [tmp_path / f"{n}" for n in range(len(wrong))]
        )
    assert [how for how, unnoticed in zip(wrong, survived, strict=True) if unnoticed] == []


def test_every_recording_rule_is_tested_and_used() -> None:
    tested = "".join(path.read_text() for path in UNIT_TESTS)
    shown = " ".join(expr for _, expr in panel_expressions())
    assert {name for name in RECORDED if name in tested} == RECORDED
    assert {name for name in RECORDED if name in shown} == RECORDED


@pytest.mark.parametrize(("items", "wrong"), [(60, 20), (30, 13), (20, 10)])
def test_live_accuracy_shows_as_much_as_the_alert_says_that_it_does(items: int, wrong: int) -> None:
    expr = ALERTS["RoutingMLAccuracyLow"]["expr"]
    (limit,) = {float(found) for found in re.findall(r"< ([\d.]+)", expr)}
    highs = [confidence_sequence(items - w, {1: items})[1] for w in (wrong - 1, wrong)]
    assert highs[0] >= limit > highs[1]
    assert ">= 60" in expr


def test_the_columns_that_alert_are_those_the_audit_requires() -> None:
    expr = ALERTS["RoutingMLNullRatioHigh"]["expr"]
    named = re.findall(r'table="(\w+)",column=~"([^"]+)"', expr)
    assert {table: tuple(names.split("|")) for table, names in named} == REQUIRED
    assert str(MAX_NULL_RATIO) in expr


# The dashboards -----------------------------------------------------------------------------------


def panels() -> list[tuple[str, dict[str, Any]]]:
    """(dashboard and title, panel) of all dashboards."""
    read = {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}
    return [(f"{n}: {panel['title']}", panel) for n, d in read.items() for panel in d["panels"]]


def panel_expressions() -> list[tuple[str, str]]:
    """(dashboard and title, expression) of each query."""
    return [(name, target["expr"]) for name, panel in panels() for target in panel["targets"]]


def test_the_dashboards_are_what_their_code_writes(tmp_path: Path) -> None:
    script = DEPLOY / "grafana" / "dashboards.py"
    assert tool(sys.executable, script, "--out", tmp_path) == (0, "")
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_text() for path in DASHBOARDS}, "run script/dashboards"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_the_schema_knows_every_field_of_a_dashboard(path: Path) -> None:
    register_default_plugins()
    given = json.loads(path.read_text())
    assert json.loads(json.dumps(Dashboard.from_json(given), cls=JSONEncoder)) == given
    assert given["uid"] == f"routing-ml-{path.stem}"


@pytest.mark.parametrize(("name", "panel"), panels(), ids=[name for name, _ in panels()])
def test_a_panel_is_described_and_has_unit_thresholds_and_source(
    name: str, panel: dict[str, Any]
) -> None:
    assert panel["description"].endswith(".")
    defaults = panel["fieldConfig"]["defaults"]
    overridden = [p["id"] for o in panel["fieldConfig"]["overrides"] for p in o["properties"]]
    assert defaults.get("unit") or "unit" in overridden
    assert defaults["thresholds"]["steps"][0]["value"] is None
    source = yaml.safe_load(
        (DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text()
    )
    uids = {panel["datasource"]["uid"], *(t["datasource"]["uid"] for t in panel["targets"])}
    assert uids == {source["datasources"][0]["uid"]}


def test_panels_have_ids_and_places_of_their_own() -> None:
    for path in DASHBOARDS:
        given = json.loads(path.read_text())["panels"]
        assert len({panel["id"] for panel in given}) == len(given)
        taken = [
            (x, y)
            for panel in given
            for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        ]
        assert len(set(taken)) == len(taken) and max(x for x, _ in taken) < 24, path.stem


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[alerts.Stack]:
    """A Prometheus that has seen an exporter at work, and drift in its store."""
    stack = alerts.Stack(tmp_path_factory.mktemp("watched"))
    alerts.fill(stack.store_url)
    alerts.configure(stack, "http://127.0.0.1:9/", speed=30)
    with alerts.exporter(stack), alerts.prometheus(stack):
        alerts.until(lambda: alerts.query(stack, "routing_ml_up"), "a scrape")
        with closing(Store(stack.store_url)) as store:
            alerts.propose(store, "unlike", np.random.default_rng(2).beta(2, 8, 1000))
        firing = 'ALERTS{alertstate="firing",alertname="RoutingMLDriftSevere"}'
        alerts.until(lambda: alerts.query(stack, firing), "the alert")
        yield stack


def test_every_panel_shows_something(watched: alerts.Stack) -> None:
    seen = {name: alerts.query(watched, expr) for name, expr in panel_expressions()}
    # No column has too many NULLs in this store.
    assert [name for name, result in seen.items() if not result] == ["quality: Columns that alert"]


def test_the_exporter_has_every_metric_that_rules_and_panels_speak_of(
    watched: alerts.Stack,
) -> None:
    with urllib.request.urlopen(f"http://{watched.address('exporter')}/metrics") as reply:
        emitted = set(re.findall(r"^(\w+)", reply.read().decode(), re.MULTILINE))
    spoken = [rule["expr"] for rule in rules()] + [expr for _, expr in panel_expressions()]
    assert set(METRIC.findall(" ".join(spoken))) <= emitted | RECORDED


def test_every_rule_can_be_evaluated(watched: alerts.Stack) -> None:
    with urllib.request.urlopen(f"http://{watched.address('prometheus')}/api/v1/rules") as reply:
        groups = json.load(reply)["data"]["groups"]
    health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert set(health) == set(ALERTS) | RECORDED
    assert set(health.values()) == {"ok"}


# What people read ---------------------------------------------------------------------------------


def test_amtool_finds_no_fault_with_the_configuration() -> None:
    code, said = tool("amtool", "check-config", DEPLOY / "alertmanager" / "alertmanager.yml")
    assert code == 0, said


@pytest.fixture
def told(tmp_path: Path) -> Iterator[tuple[alerts.Stack, alerts.Slack]]:
    """An Alertmanager that waits a thirtieth of the time, and the Slack it tells."""
    stack, slack = alerts.Stack(tmp_path), alerts.Slack()
    alerts.configure(stack, slack.url, speed=30)
    with alerts.alertmanager(stack):
        yield stack, slack


def send(stack: alerts.Stack, *sent: dict[str, Any]) -> None:
    """Alerts as Prometheus sends them, with the texts of their rules."""
    request = urllib.request.Request(
        f"http://{stack.address('alertmanager')}/api/v2/alerts",
        data=json.dumps(sent).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10):
        pass


def alert(name: str, text: str = "", over: bool = False, **labels: str) -> dict[str, Any]:
    rule = ALERTS[name]
    now = datetime.now(UTC)
    given = {"alertname": name, "instance": "exporter:9877", **rule["labels"], **labels}
    summary = rule["annotations"]["summary"]
    return {
        "labels": given,
        "annotations": {"summary": summary, "description": text or summary},
        "startsAt": now.isoformat(),
        "endsAt": (now if over else now + timedelta(hours=1)).isoformat(),
    }


def test_forty_columns_are_one_message_and_so_is_their_end(
    told: tuple[alerts.Stack, alerts.Slack],
) -> None:
    stack, slack = told
    name = "RoutingMLNullRatioHigh"
    columns = [{"table": "items", "column": f"C{number:02}"} for number in range(40)]
    send(stack, *(alert(name, f"items.{c['column']} is 40% NULL", **c) for c in columns))
    alerts.until(lambda: slack.messages, "a message")
    assert slack.titles() == ["Warning: Columns have more NULLs than they should (40)"]
    lines = slack.texts()[0].splitlines()
    assert lines[0] == "• items.C00 is 40% NULL" and len(lines) == 20
    send(stack, *(alert(name, over=True, **c) for c in columns))
    alerts.until(lambda: len(slack.messages) > 1, "a second message")
    assert slack.titles()[1] == "Resolved: Columns have more NULLs than they should"
    assert "UTC): exporter:9877, items.C00" in slack.texts()[1].splitlines()[0]
    assert [m["attachments"][0]["color"] for m in slack.messages] == ["warning", "good"]


def test_slack_makes_nothing_of_a_name_in_an_alert(
    told: tuple[alerts.Stack, alerts.Slack],
) -> None:
    """A column of the ERP, or a host, may be called like a mention, a link or markup."""
    stack, slack = told
    name = "RoutingMLNullRatioHigh"
    evil = "<!channel> @everyone & #general <http://evil/|x>"
    given = {"table": "items", "column": evil, "instance": "<!here>@here:80"}
    send(stack, alert(name, f"items.{evil} is 40% NULL", **given))
    alerts.until(lambda: slack.messages, "a message")
    send(stack, alert(name, over=True, **given))
    alerts.until(lambda: len(slack.messages) > 1, "a second message")
    first, second = slack.texts()
    shown = "&lt;!channel&gt; @\u200beveryone &amp; #\u200bgeneral &lt;http:/\u200b/evil/|x&gt;"
    assert first == f"• items.{shown} is 40% NULL\n"
    assert second.endswith(f"UTC): &lt;!here&gt;@\u200bhere:80, items.{shown}\n")
    assert {tuple(m["attachments"][0]["mrkdwn_in"]) for m in slack.messages} == {("pretext",)}


def test_only_the_worst_drift_is_told(told: tuple[alerts.Stack, alerts.Slack]) -> None:
    stack, slack = told
    drift = [f"RoutingMLDrift{kind}" for kind in ("Detected", "Minor", "Significant", "Severe")]
    send(stack, *map(alert, drift), alert("RoutingMLDriftWatchSilent"))
    alerts.until(lambda: len(slack.messages) >= 2, "two messages")
    time.sleep(1)
    assert sorted(slack.titles()) == [
        "Critical: Severe drift of new items",
        "Warning: Drift is not being watched",
    ]


@pytest.mark.parametrize("cause", ["RoutingMLTargetDown", "RoutingMLStoreUnreadable"])
def test_what_follows_from_a_target_that_is_down_is_not_told_of_that_target(
    told: tuple[alerts.Stack, alerts.Slack], cause: str
) -> None:
    stack, slack = told
    names = sorted(set(ALERTS) - {"RoutingMLTargetDown", "RoutingMLStoreUnreadable"})
    here = [alert(name, "here") for name in names]
    elsewhere = alert("RoutingMLRetrainFailed", "elsewhere", instance="other:9877")
    send(stack, alert(cause, "the cause"), *here, elsewhere)
    alerts.until(lambda: len(slack.messages) >= 2, "two messages")
    time.sleep(1)
    assert sorted(slack.texts()) == ["• elsewhere\n", "• the cause\n"]


def test_drift_and_a_killed_exporter_reach_slack_and_nothing_else_does() -> None:
    """The benchmark with shorter intervals: from the store to the message, and its end."""
    command = [sys.executable, "benchmarks/alerts.py", "--speed", "10"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = re.search(r"(\d+) made, (\d+) succeeded", done.stdout)
    assert said and said[1] == said[2]

"""A made-up factory, for the tests that write it as an ERP's tables and read it again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from routing_ml import dataset
from routing_ml.source import Columns, extract

AS_OF = datetime(2026, 11, 1)
FIRST_DAY = datetime(2019, 1, 7, 8, 30)
ERPS = Path(__file__).resolve().parents[3] / "routing_ml" / "source" / "erps"
TASKS = {
    "CUT": "Cut to length", "TURN": "Drehen, Außen-Ø", "MILL": "밀링", "DRILL": "Drill 4 holes",
    "GRIND": "Grind 'fine'", "WASH": "Wash", "PAINT": "Paint", "PACK": "Pack",
}  # fmt: skip
CENTERS = {task: [f"{task}-{n}" for n in (1, 2)] for task in TASKS}


@dataclass(frozen=True)
class Step:
    """An operation as it is to be read; times in minutes for one piece."""

    item: str
    revision: str
    number: int
    task: str
    center: str | None
    setup: float | None
    run: float | None
    entered: datetime | None
    name: str | None = None
    alternative: str | None = None
    inside: str | None = None

    @property
    def row(self) -> tuple[Any, ...]:
        """As a row of the dataset, with times that may have been calculated in another order."""
        times = [None if t is None else float(f"{t:.9g}") for t in (self.setup, self.run)]
        keys = (self.item, self.alternative, self.revision, self.number)
        return (*keys, self.task, self.name, self.center, self.inside, *times, self.entered)


COLUMNS = ("ITEM_CD", "ALT_NO", "ROUT_NO", "PROC_SEQ", "JOB_CD", "JOB_NM", "RES_CD", "INSIDE_FLAG",
           "SETUP_TIME", "RUN_TIME", "INSRT_DT")  # fmt: skip


class Chance(random.Random):
    """What the builders draw from; the same at every run."""

    def yes(self, share: float) -> bool:
        return self.random() < share

    def day(self, first: datetime = FIRST_DAY, last: datetime = AS_OF) -> datetime:
        """A moment between two, to the second."""
        return first + timedelta(seconds=self.randrange(int((last - first).total_seconds())))

    def tasks(self) -> list[str]:
        """Between one and seven operations, some of them twice."""
        return self.choices(list(TASKS), k=self.randint(1, 7))

    def minutes(self) -> float:
        return round(self.uniform(0.05, 90), 2)


def read(
    erp: str,
    source: str,
    folder: Path,
    *,
    as_of: datetime = AS_OF,
    changed: Callable[[str], str] = lambda text: text,
) -> dataset.Dataset:
    """The dataset of a source by the columns file of an ERP, changed as its head says."""
    text = (ERPS / f"{erp}.toml").read_text(encoding="utf-8")
    path = folder / "columns.toml"
    path.write_text(changed(text), encoding="utf-8")
    out = folder / f"out-{as_of:%Y%m%d}"
    return dataset.load(extract(source, out, columns=Columns.load(path), as_of=as_of).path)


def assert_read(data: dataset.Dataset, steps: Iterable[Step]) -> None:
    """The routings as they were extracted are these, row by row."""
    found = [tuple(row.get(name) for name in COLUMNS) for row in _rows(data, "routings")]
    due = [step.row for step in steps]
    wrong = sorted(set(found) - set(due), key=repr)
    missing = sorted(set(due) - set(found), key=repr)
    assert not wrong and not missing, (
        f"read and not due {wrong[:3]}, due and not read {missing[:3]}"
    )
    assert len(found) == len(due)


def assert_newest(data: dataset.Dataset, steps: Iterable[Step]) -> None:
    """The routing that counts of each item is this, operation by operation."""
    newest = dataset.newest_routings(data.routings)
    found = newest[["ITEM_CD", "ROUT_NO", "JOB_CD"]].values.tolist()
    due = sorted(steps, key=lambda step: (step.item, step.number))
    assert found == [[step.item, step.revision, step.task] for step in due]


def assert_items(data: dataset.Dataset, items: Mapping[str, Mapping[str, Any]]) -> None:
    """The items as they were extracted are these, with exactly these attributes."""
    found = _rows(data, "items")
    assert len(found) == len(items)
    assert {row.pop("ITEM_CD"): row for row in found} == items


def dropped(data: dataset.Dataset) -> dict[str, int]:
    """The rows of routings that do not count, by reason."""
    return data.manifest["tables"]["routings"]["dropped"]


def _rows(data: dataset.Dataset, role: str) -> list[dict[str, Any]]:
    frame = pd.read_parquet(data.path.parent / data.manifest["tables"][role]["file"])
    records = frame.to_dict(orient="records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in records]


def _plain(value: Any) -> Any:
    if value is None or value is pd.NaT or value != value:
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    return float(f"{value:.9g}") if isinstance(value, float) else value

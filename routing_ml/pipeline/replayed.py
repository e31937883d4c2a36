"""What came of a replay: figures by month, as JSON, CSV, text and a page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Any

from routing_ml import files
from routing_ml.errors import InputError
from routing_ml.judging import Live
from routing_ml.pipeline import replay_plot
from routing_ml.registry import Registry
from routing_ml.settings import Settings
from routing_ml.store import Store, Tally

SHOWN = ("items", "exact", "low", "high", "confidence", "operation_f1")


class Report:
    """Takes in what happens, month by month."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings, self.name = settings, name
        self._months: dict[str, dict[str, Any]] = {}
        self._judged: dict[str, Tally] = {}
        self._on: dict[str, date] = {}

    def proposed(self, day: date, items: int) -> None:
        """So many items had no routing on a day, and got a proposal."""
        month = self._month(day)
        month["proposed"] += items
        month["days"] += 1

    def alarm(self, day: date, kind: str, *, on: bool, words: str) -> None:
        """Whether the watch of a kind is alarmed on a day; an alarm that was not on the day before
        is a new one."""
        if on:
            if self._on.get(kind) != day - timedelta(days=1):
                alarm = {"day": day.isoformat(), "kind": kind, "words": words}
                self._month(day)["alarms"].append(alarm)
            self._on[kind] = day

    def replaced(self, day: date, switch: Mapping[str, Any]) -> None:
        """Judged items have put another version into use."""
        self._month(day)["replaced"].append({"day": day.isoformat(), **switch})

    def retrained(self, moment: datetime, outcome: Mapping[str, Any]) -> None:
        """A retraining has ended."""
        keys = ("run", "succeeded", "started_by", "cause", "promoted", "model", "reason")
        found = {"day": moment.date().isoformat()} | {key: outcome[key] for key in keys}
        self._month(moment.date())["retrainings"].append(found)

    def month_ended(self, day: date) -> str:
        """Count the month that ends with `day`, and write down what there is; the month as a line.
        What was entered in the month before and judged in this one counts there."""
        self._month(day)
        since = (day.replace(day=1) - timedelta(days=1)).replace(day=1)
        active = Registry(self.settings.home / "models").active()
        self.settings.opened()
        with closing(Store(self.settings.store_url)) as store:
            for tally in store.judged_by("month", since=since.isoformat(), seen=False):
                self._judged[tally.value] = tally
        for name in {f"{since:%Y-%m}", f"{day:%Y-%m}"} & self._months.keys():
            self._months[name] |= _figures(self._judged.get(name, Tally(name)))
        if active:
            in_use = {"model": active.name, "method": active.manifest["candidate"]}
            self._months[f"{day:%Y-%m}"] |= in_use
        return _line(self._months[f"{day:%Y-%m}"])

    def write(self, *, until: date, seconds: float, whole: bool) -> dict[str, Any]:
        """Leave it in the state folder; as JSON. `until` is the day after the last one that was
        played, `whole` whether all of it was."""
        months = list(self._months.values())
        found = {
            "replay": self.name,
            "folder": str(self.settings.home),
            "until": until.isoformat(),
            "whole": whole,
            "seconds": round(seconds, 1),
            "months": months,
            "total": _total(months, self._judged),
        }
        texts = {
            "replay.json": json.dumps(found, ensure_ascii=False, indent=1) + "\n",
            "replay.csv": as_csv(found),
            "replay.svg": replay_plot.draw({self.name: months}),
            "replay.html": replay_plot.page(self.name, months, [HEADS, *as_rows(found)]),
        }
        with files.told_as(InputError, f"{self.settings.home} cannot be written"):
            for name, text in texts.items():
                files.atomic_write(self.settings.home / name, text)
        return found

    def _month(self, day: date) -> dict[str, Any]:
        name = f"{day:%Y-%m}"
        if name not in self._months:
            self._months[name] = {
                "month": name, "days": 0, "proposed": 0, **_figures(Tally(name)), "model": None,
                "method": None, "retrainings": [], "alarms": [], "replaced": [],
            }  # fmt: skip
        return self._months[name]


HEADS = ("month", "judged", "exact", "between", "stated", "in use", "retrained", "new model",
         "alarms", "replaced")  # fmt: skip


def as_rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The months as people read them, the total last; the columns are HEADS."""
    return [_row(month) for month in found["months"]] + [_row(found["total"])]


def as_text(found: Mapping[str, Any]) -> str:
    """The months as a table for a terminal."""
    rows = [HEADS, *as_rows(found)]
    widths = [max(len(cell) for cell in cells) for cells in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join([*lines, f"{found['folder']} holds all of it (ROUTING_ML_HOME)"])


def as_csv(found: Mapping[str, Any]) -> str:
    """The months as CSV: fractions and counts, a row a month."""
    names = ["month", "days", "proposed", *SHOWN, "model", "method"]
    counted = ["retrainings", "promoted", "alarms_items", "alarms_routings", "replaced"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*names, *counted])
    for month in found["months"]:
        counts = _counts(month)
        writer.writerow([*(month[name] for name in names), *(counts[name] for name in counted)])
    return text.getvalue()


def _counts(month: Mapping[str, Any]) -> dict[str, int]:
    kinds = [alarm["kind"] for alarm in month["alarms"]]
    return {
        "retrainings": len(month["retrainings"]),
        "promoted": sum(one["promoted"] for one in month["retrainings"]),
        "alarms_items": kinds.count("items"),
        "alarms_routings": kinds.count("routings"),
        "replaced": len(month["replaced"]),
    }


def _row(month: Mapping[str, Any]) -> tuple[str, ...]:
    counts = _counts(month)
    causes = [one["started_by"] for one in month["retrainings"]]
    kinds = [alarm["kind"] for alarm in month["alarms"]]
    between = f"{month['low']:.0%} to {month['high']:.0%}" if month["items"] else ""
    return (
        month["month"],
        f"{month['items']:,}",
        _percent(month["exact"]),
        between,
        _percent(month["confidence"]),
        month["method"] or "none",
        _numbered(causes),
        str(counts["promoted"] or ""),
        _numbered(kinds),
        str(counts["replaced"] or ""),
    )


def _numbered(names: list[str]) -> str:
    """Names with how often each is there.

    >>> _numbered(["schedule", "drift", "schedule"])
    '2 schedule, 1 drift'
    """
    return ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _line(month: Mapping[str, Any]) -> str:
    cells = dict(zip(HEADS, _row(month), strict=True))
    told = [f"{month['month']}  {cells['judged']} judged"]
    if month["items"]:
        told.append(f"{cells['exact']} exactly right (between {cells['between']})")
    told += [f"{key}: {cells[key]}" for key in HEADS[5:] if cells[key]]
    return ", ".join(told)


def _figures(tally: Tally) -> dict[str, Any]:
    live = Live.of(tally)
    return {name: getattr(live, name) for name in SHOWN}


def _total(months: list[dict[str, Any]], judged: Mapping[str, Tally]) -> dict[str, Any]:
    """All months together."""
    sum_of = Tally("total")
    for tally in judged.values():
        sum_of.items += tally.items
        sum_of.first_right += tally.first_right
        for name, amount in tally.sums.items():
            sum_of.sums[name] += amount
        for size, families in tally.sizes.items():
            sum_of.sizes[size] = sum_of.sizes.get(size, 0) + families
    lists = ("retrainings", "alarms", "replaced")
    together = {key: [one for month in months for one in month[key]] for key in lists}
    added = {key: sum(month[key] for month in months) for key in ("days", "proposed")}
    last = months[-1] if months else {"model": None, "method": None}
    in_use = {key: last[key] for key in ("model", "method")}
    return {"month": "total", **added, **_figures(sum_of), **in_use, **together}

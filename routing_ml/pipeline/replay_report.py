"""Counts what comes of a replay by month, and writes it down: as JSON, CSV, a plot and a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Any

from routing_ml import files
from routing_ml.errors import InputError
from routing_ml.judging import Live
from routing_ml.pipeline import replay_plot, replay_text
from routing_ml.registry import Registry
from routing_ml.settings import Settings
from routing_ml.store import Store, Tally


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
        return replay_text.as_line(self._months[f"{day:%Y-%m}"])

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
            "replay.csv": replay_text.as_csv(found),
            "replay.svg": replay_plot.draw({self.name: months}),
            "replay.html": replay_plot.page(self.name, months, replay_text.as_rows(found)),
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


def _figures(tally: Tally) -> dict[str, Any]:
    live = Live.of(tally)
    return {name: getattr(live, name) for name in replay_text.FIGURES}


def _total(months: list[dict[str, Any]], judged: Mapping[str, Tally]) -> dict[str, Any]:
    """All months together."""
    sum_of = Tally("total")
    for tally in judged.values():
        sum_of.items += tally.items
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

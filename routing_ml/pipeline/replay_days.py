"""The days of a replay: each as Airflow's schedules would have played it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from routing_ml import clock, dataset, drift
from routing_ml.errors import InputError, RoutingError, SettingError
from routing_ml.models import CANDIDATES
from routing_ml.pipeline.advice import advise
from routing_ml.pipeline.evidence import judge_data
from routing_ml.pipeline.proposing import propose_missing_of
from routing_ml.pipeline.replay_ahead import Ahead, run_of
from routing_ml.pipeline.replay_report import Report
from routing_ml.pipeline.retraining import StepError, retrain
from routing_ml.pipeline.standing import replace_model
from routing_ml.pipeline.steps import run_folder
from routing_ml.pipeline.workers import processors
from routing_ml.proposals import predict
from routing_ml.registry import Registry
from routing_ml.settings import DEFAULT_SOURCE, Settings
from routing_ml.source import DEFAULT_LIMIT, Columns

RETRAINING, PROPOSING, WATCHING = time(2), time(3), time(4, 10)
"""When Airflow does it; the watch, which runs each hour, tells nothing new until the next day."""
VALIDITY = {"_VALID_FROM", "_VALID_TO"}
MONTHLY, BY_DRIFT = ("both", "monthly"), ("both", "drift")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Play:
    """What is played: `months` from the 1st of a month (`first`) on, of a configured source, with a
    retraining as one of POLICIES says; the rest is as of `retrain`."""

    first: date
    months: int
    policy: str = "both"
    source: str = DEFAULT_SOURCE
    columns: Path | None = None
    limit: int = DEFAULT_LIMIT
    candidates: Sequence[str] | None = None

    @property
    def end(self) -> date:
        """The day after the last one, a 1st."""
        return _later(self.first, self.months)

    @property
    def name(self) -> str:
        """What its state folder is called."""
        return f"{self.first:%Y-%m}_{self.months}_{self.policy}"


@dataclass
class Player:
    """One replay under way: its own settings, and what the source was in the `past`."""

    settings: Settings
    plan: Play
    columns: Columns
    past: dataset.Past
    report: Report
    _read: tuple[tuple[int, ...], dataset.Dataset] | None = None
    _ahead: Ahead | None = None

    def play(self, say: Say) -> dict[str, Any]:
        """All days; what came of them (`Report.write`). `say` hears of each month; Ctrl-C, and
        whatever else ends it, leaves what was played so far."""
        began = perf_counter()
        day = self.plan.first

        def written(whole: bool = False) -> dict[str, Any]:
            return self.report.write(until=day, seconds=perf_counter() - began, whole=whole)

        try:
            with self._ahead_of_time() as self._ahead:
                while day < self.plan.end:
                    self.play_day(day)
                    day += timedelta(days=1)
                    if day.day == 1:
                        say(self.report.month_ended(day - timedelta(days=1)))
                        written()
        except BaseException as error:
            if day == self.plan.first:  # the next try finds no folder in its way
                shutil.rmtree(self.settings.home, ignore_errors=True)
                raise
            with suppress(RoutingError):  # what ended it is what is to be told
                self.report.month_ended(day - timedelta(days=1))
                written()
                how = "interrupted" if isinstance(error, KeyboardInterrupt) else "ended"
                say(f"{how}: what was played until {day} stays in {self.settings.home}")
            raise
        return written(whole=True)

    def play_day(self, day: date) -> None:
        """One day, in the order of Airflow's schedules."""
        if self._ahead:
            self._ahead.go_on()
        first = day == self.plan.first
        monthly = day.day == 1 and self.plan.policy in MONTHLY
        if first or monthly:
            with self._at(day, RETRAINING) as moment:
                self._retrain(moment, "on schedule", "schedule", needed=first)
        if Registry(self.settings.home / "models").active() is None:
            return
        with self._at(day, PROPOSING) as moment:
            data = self._data(moment)
            proposed = propose_missing_of(self.settings, data, as_of=moment, path=None)
            found = judge_data(self.settings, data, as_of=moment)
            self.report.proposed(day, proposed["items"])
            self.report.alarm(day, "routings", **_told(found.get("concept")))
            if found["decision"]:
                replaced = replace_model(self.settings, run_of(moment), found["decision"])
                self.report.replaced(day, replaced)
        with self._at(day, WATCHING) as moment:
            self._watch(day, moment, may_retrain=not (first or monthly))

    def _watch(self, day: date, moment: datetime, *, may_retrain: bool) -> None:
        """Look for drift, and retrain where it asks for that and the policy lets it."""
        if drift.obstacle(self.settings) is not None:
            return
        status = drift.look(self.settings, moment=moment)
        self.report.alarm(day, "items", on=status["drift_detected"], words=drift.describe(status))
        if may_retrain and self.plan.policy in BY_DRIFT:
            by, read = f"replay {day}", lambda: self._data(moment)
            advice = advise(self.settings, status, moment=moment, by=by, read=read)
            if advice.retrain:
                self._retrain(moment, f"by drift: {advice.reason}", "drift")

    def _retrain(
        self, moment: datetime, cause: str, started_by: str, *, needed: bool = False
    ) -> None:
        run_id = run_of(moment)
        brought = self._ahead is not None and self._ahead.bring(moment)
        try:
            outcome = retrain(
                self.settings,
                as_of=moment,
                limit=self.plan.limit,
                candidates=self.plan.candidates,
                run_id=run_id,
                cause=cause,
                started_by=started_by,
                at_once=1 if brought else processors(),
            )
        except StepError as error:
            outcome = error.outcome
            if needed and outcome["model"] is None:
                raise InputError(
                    f"nothing can be learned as of {moment:%Y-%m-%d}: {outcome['reason']}"
                ) from error
        when, folder = self.settings.seconds(moment), run_folder(self.settings, run_id)
        # old runs are pruned by the times of their files
        for path in [*folder.rglob("*"), folder] if folder.is_dir() else []:
            os.utime(path, (when, when))
        self.report.retrained(moment, outcome)

    def _ahead_of_time(self) -> AbstractContextManager[Ahead | None]:
        """What fits the candidates of the retrainings whose days are known, where there are several
        of them and processors."""
        plan, count = self.plan, processors()
        if plan.policy not in MONTHLY or plan.months < 2 or count < 2:
            return nullcontext()
        months = [_later(plan.first, month) for month in range(plan.months)]
        return Ahead(
            self.settings,
            [datetime.combine(day, RETRAINING) for day in months],
            limit=plan.limit,
            candidates=list(plan.candidates or CANDIDATES),
            processes=count,
        )

    def _data(self, moment: datetime) -> dataset.Dataset:
        """The source as it was at a moment."""
        if VALIDITY & self.columns.routings.parts.keys():  # what has ended is not in what was read
            return predict.read_source(self.settings.origin(), self.columns, moment, results=True)
        rows = self.past.rows(moment)
        if self._read is None or self._read[0] != rows:
            self._read = rows, self.past.at(moment)
        return self._read[1]

    @contextmanager
    def _at(self, day: date, hour: time) -> Iterator[datetime]:
        """Have it be that hour of the factory's day."""
        moment = datetime.combine(day, hour)
        with clock.at(moment.replace(tzinfo=self.settings.timezone)):
            yield moment


def _told(verdict: Mapping[str, Any] | None) -> dict[str, Any]:
    """Whether the watch over later routings is alarmed, and what it says."""
    return {"on": bool(verdict and verdict["alarm"]), "words": (verdict or {}).get("words", "")}


def _later(first: date, months: int) -> date:
    """The 1st of the month so many months after a 1st; SettingError where there is none."""
    year, month = divmod(12 * first.year + first.month - 1 + months, 12)
    if year > date.max.year:
        raise SettingError(
            f"{months} months from {first:%Y-%m} end after the year {date.max.year}: play fewer, "
            "or begin earlier"
        )
    return date(year, month + 1, 1)

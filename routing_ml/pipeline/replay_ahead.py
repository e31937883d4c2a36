"""Fits the candidates of a replay's coming months while the days before them are played: what is
learned depends on the source alone, and not on what was in use.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Self

from routing_ml.errors import RoutingError
from routing_ml.pipeline import steps
from routing_ml.pipeline.workers import Workers
from routing_ml.registry import Version
from routing_ml.settings import Settings, default_url

EACH = 2
"""How many months each process may be ahead, for what they leave takes room."""


class Ahead:
    """The retrainings that are due at these moments (the factory's, naive), in order: each month is
    fitted by one process, so that its candidates share what they learn alike."""

    def __init__(
        self,
        settings: Settings,
        moments: Sequence[datetime],
        *,
        limit: int,
        candidates: Sequence[str],
        processes: int,
    ) -> None:
        self._settings, self._limit, self._candidates = settings, limit, candidates
        self._waiting, self._most = list(moments), EACH * processes
        self._fitted: set[str] = set()
        self._begun: list[str] = []
        self._workers = Workers(processes)
        self._folder = tempfile.TemporaryDirectory(prefix="routing-ml-ahead-")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._workers.close()
        self._folder.cleanup()

    def go_on(self, *, patience: float = 0) -> None:
        """Hear what is fitted, waiting so long, and begin what can be begun."""
        self._fitted |= {name for name, _ in self._workers.ended(patience=patience)}
        while self._waiting and self._workers.free and len(self._begun) < self._most:
            moment = self._waiting.pop(0)
            name = _name(moment)
            self._begun.append(name)
            self._workers.give(
                name, fit_month, self._own(name), run_of(moment), moment,
                self._limit, self._candidates, at=moment.replace(tzinfo=self._settings.timezone),
            )  # fmt: skip

    def bring(self, moment: datetime) -> bool:
        """Register what was fitted for this moment, where the retraining will find it by its key,
        and say whether anything was asked for; what could not be fitted is left to it to meet."""
        name = _name(moment)
        self.go_on()
        if name not in self._begun:
            return False
        while name not in self._fitted:
            self.go_on(patience=60)
        self._begun.remove(name)
        mine, registry = self._own(name), steps.registry(self._settings)
        active = registry.active()
        for version in steps.registry(mine).versions():
            with suppress(RoutingError):
                registry.register(
                    partial(_copied, version),
                    key=version.manifest["key"],
                    facts=version.facts | {"parents": [active.name] if active else []},
                    now=version.created_at,
                )
        shutil.rmtree(mine.home, ignore_errors=True)
        self.go_on()
        return True

    def _own(self, name: str) -> Settings:
        """The settings of a month: a state folder of its own."""
        home = Path(self._folder.name) / name
        return replace(self._settings, home=home, store_url=default_url(home))


def fit_month(
    settings: Settings, run_id: str, moment: datetime, limit: int, candidates: Sequence[str]
) -> None:
    """Fit and register the candidates as a retraining as of then does."""
    data = steps.extract(settings, run_id, as_of=moment, limit=limit)
    for candidate in candidates:
        with suppress(RoutingError):  # the retraining itself comes upon it again, and says so
            steps.train(settings, run_id, data, candidate)


def run_of(moment: datetime) -> str:
    """The id of the retraining of a moment."""
    return f"replay__{moment:%Y-%m-%dT%H%M%S}"


def _name(moment: datetime) -> str:
    return f"{moment:%Y%m%d_%H%M%S}"


def _copied(version: Version, folder: Path) -> None:
    for name in version.manifest["files"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(version.folder / name, folder / name)

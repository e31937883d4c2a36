"""Fits the candidates of a retraining side by side, each in a process of its own, as Airflow's
workers do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from routing_ml import clock
from routing_ml.pipeline import steps
from routing_ml.pipeline.workers import Workers, came_of
from routing_ml.settings import Settings

Found = steps.Reference | Exception


def train_each(
    settings: Settings,
    run_id: str,
    data: steps.Reference,
    candidates: Sequence[str],
    *,
    at_once: int = 1,
) -> Iterator[tuple[str, Found]]:
    """Fit the candidates, so many `at_once`, and say of each what `train` returned or raised, in
    the order in which they end. With one at a time all is done in this process."""
    at_once = min(at_once, len(candidates))
    if at_once < 2:
        for candidate in candidates:
            yield candidate, came_of(steps.train, settings, run_id, data, candidate)
        return
    waiting, moment = list(candidates), clock.standing()
    with Workers(at_once) as workers:
        while waiting or workers.busy:
            while waiting and workers.free:
                candidate = waiting.pop()  # the last ones take longest
                # Versions are named by the second: as they are, one after the other.
                at = moment and moment + timedelta(seconds=len(waiting))
                workers.give(candidate, steps.train, settings, run_id, data, candidate, at=at)
            yield from workers.ended()

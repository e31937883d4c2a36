"""The whole retraining in one process, without Airflow: the same steps, the same result."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from routing_ml import clock
from routing_ml.errors import RoutingError, reason_of
from routing_ml.models import CANDIDATES
from routing_ml.pipeline import steps as pipeline
from routing_ml.pipeline.ending import end
from routing_ml.pipeline.fitting import train_each
from routing_ml.settings import DEFAULT_SOURCE, Settings
from routing_ml.source import DEFAULT_LIMIT, Progress

Say = Callable[[str], None]


class StepError(RoutingError):
    """A step failed; `outcome` is what was written down about the run."""

    def __init__(self, message: str, outcome: dict[str, Any]) -> None:
        super().__init__(message)
        self.outcome = outcome


def retrain(
    settings: Settings,
    *,
    as_of: datetime,
    asked: str | None = None,
    source: str = DEFAULT_SOURCE,
    columns: Path | None = None,
    limit: int = DEFAULT_LIMIT,
    candidates: Sequence[str] | None = None,
    promotion: str = "automatic",
    run_id: str | None = None,
    cause: str = "by command",
    started_by: str = "hand",
    at_once: int = 1,
    say: Say = lambda line: None,
    progress: Progress = lambda table, rows: None,
) -> dict[str, Any]:
    """Run every step of the retraining and return its outcome, as `outcome.json` has it.

    `asked` is the as-of that a person gave. `candidates` None means all. `run_id`, `cause` and
    `started_by` are as of `end`, where it is no command of a person's. So many candidates are
    fitted `at_once`, each in a process of its own where that is more than one. A candidate that
    cannot be fitted is left out and makes the run fail at its end, after the others were
    compared. Raises StepError when a step failed; the active model is then the one it was,
    unless a candidate alone failed.
    """
    run_id = run_id or f"command__{clock.utc():%Y-%m-%dT%H%M%S.%fZ}"
    data = decision = kept = None
    trained: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    unforeseen: Exception | None = None
    started = time.monotonic()
    step = "extract"
    try:
        say(f"extract  {source} as of {as_of:%Y-%m-%d %H:%M}")
        data = pipeline.extract(
            settings,
            run_id,
            source=source,
            columns=columns,
            limit=limit,
            as_of=as_of,
            asked=asked,
            progress=progress,
            say=say,
        )
        if data["away"]:
            say(f"extract  {data['away']['line']}")
        chosen = list(candidates or CANDIDATES)
        kept = pipeline.nothing_new(settings, run_id, data, chosen)
        if kept is None:
            step = "check"
            checked = pipeline.check(settings, run_id, data)
            say(f"check    {checked['found']}")
            step = "audit"
            warnings = pipeline.audit(settings, run_id, data)["warnings"]
            say(f"audit    passed, warnings: {warnings}")
            step = "train"
            fitted = dict[str, dict[str, Any]]()
            each = train_each(settings, run_id, data, chosen, at_once=at_once)
            for candidate, found in each:
                if isinstance(found, Exception):
                    failed[f"train {candidate}"] = reason_of(found)
                    unforeseen = unforeseen or found
                else:
                    fitted[candidate] = found
                    say(f"train    {candidate}: {found['model']}")
            trained = [fitted[name] for name in chosen if name in fitted]
            if trained:
                step = "compare"
                decision = pipeline.compare(
                    settings,
                    run_id,
                    data,
                    trained,
                    promotion=promotion,
                    withheld=checked["withheld"],
                )
                say(f"compare  {decision['reason']}")
                step = "promote"
                if decision["promote"]:
                    pipeline.promote(settings, run_id, decision)
                step = "prune"
                pipeline.prune(settings)
    except Exception as error:
        failed[step] = reason_of(error)
        unforeseen = error
    outcome = end(
        settings,
        run_id,
        data=data,
        trained=trained,
        decision=decision,
        failed=failed,
        cause=cause,
        started_by=started_by,
        seconds=time.monotonic() - started,
        nothing_new=kept,
    )
    if not outcome["succeeded"]:
        raise StepError(outcome["reason"], outcome) from unforeseen
    return outcome

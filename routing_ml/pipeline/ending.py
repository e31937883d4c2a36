"""Ends a run: what became of it is written down, counted, and told, whatever else failed."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from routing_ml import notices
from routing_ml.errors import tried
from routing_ml.pipeline import monitor, report, standing
from routing_ml.settings import Settings

log = logging.getLogger(__name__)


def end(
    settings: Settings,
    run_id: str,
    *,
    data: Mapping[str, Any] | None,
    trained: Sequence[Mapping[str, Any]],
    decision: Mapping[str, Any] | None,
    failed: Mapping[str, str],
    cause: str,
    seconds: float,
    started_by: str = "other",
    hands: Sequence[str] = (),
    link: str | None = None,
    nothing_new: str | None = None,
) -> dict[str, Any]:
    """Write the outcome of a run into its folder, count it in the monitoring store and tell people;
    return it.

    What a run did not come to is None or empty, `failed` maps the steps that failed to their
    reasons, `cause` says what started the run, `started_by` in one word, `hands` what a person did
    for it, `seconds` how long it took, `link` where to look at it, and `nothing_new` why it ended
    well without having trained. Each of the three is done
    whatever became of the others. What cannot be written or counted is a failure of the step
    `report`; whom nobody can tell now is told later, for the notice waits in the outbox.
    """

    def outcome(failed: Mapping[str, str]) -> dict[str, Any]:
        return report.outcome_of(
            settings, run_id, data=data, trained=trained, decision=decision, failed=failed,
            cause=cause, seconds=seconds, started_by=started_by, hands=hands,
            nothing_new=nothing_new,
        )  # fmt: skip

    found = outcome(failed)
    if trouble := tried(partial(report.write, settings, found)):
        found = outcome({**found["failed"], "report": trouble})
    if trouble := tried(partial(monitor.record_run, settings, found)):
        both = "; ".join([*filter(None, [found["failed"].get("report")]), trouble])
        found = outcome({**found["failed"], "report": both})
        tried(partial(report.write, settings, found))
    if trouble := tried(partial(standing.record_challengers, settings, found)):
        log.warning("judged items say nothing of the models of run %s: %s", run_id, trouble)
    if trouble := tried(partial(report.tell, settings, found, link)):
        log.warning("nobody could be told of run %s yet: %s", run_id, trouble)
    return found


def catch_up(settings: Settings) -> None:
    """Count the runs that could not be counted when they ended, and send the notices that nobody
    took; what still waits is told in the log."""
    for step in (_record_missed, notices.catch_up):
        if trouble := tried(partial(step, settings)):
            log.warning("what could not be counted or told waits on: %s", trouble)


def _record_missed(settings: Settings) -> None:
    """Count the runs that could not be counted when they ended, and take in what they decided."""
    for outcome in monitor.record_missed(settings):
        standing.record_challengers(settings, outcome)

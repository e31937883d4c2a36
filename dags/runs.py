"""What the DAGs share: the asset, how often a task is tried, and what it knows of its own run."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from airflow.sdk import Asset, Context, Param, get_current_context
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
)

from routing_ml.backup import require_whole
from routing_ml.errors import (
    AuditError,
    SettingError,
    SourceAwayError,
    SourceError,
    reason_of,
)
from routing_ml.notices import ASKING_TASK
from routing_ml.redaction import redact
from routing_ml.settings import DEFAULT_SOURCE, Settings

DRIFT = Asset(name="routing_ml_drift", uri="x-routing-ml://drift", group="routing_ml")
NOTHING_NEW = "nothing_new"
AGAIN = timedelta(minutes=5)
"""How long a task waits before it tries a source again that is away."""
log = logging.getLogger(__name__)
TRIES = {
    "retries": 2,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=1),
}


def source_param(settings: Settings) -> Param:
    """The choice among the configured sources."""
    return Param(
        DEFAULT_SOURCE,
        type="string",
        enum=sorted(settings.sources),
        title="Source",
        description_md="Which database is read: `default` is `ROUTING_ML_SOURCE`, any other name "
        "that of `ROUTING_ML_SOURCE_<NAME>`.",
    )


def as_of_param() -> Param:
    """The moment whose data a run reads, where it is another than its own."""
    return Param(
        None,
        type=["null", "string"],  # a date picker's format would refuse a date, and what has no zone
        title="As of",
        description_md="What was entered after this moment is ignored, as if the run were of then. "
        "Empty: the moment that the run is for. A date, or ISO 8601, in the factory's time zone "
        "where it names none: `2026-11-01`, `2026-11-01T02:00:00+09:00`.",
    )


def promotion_param(settings: Settings) -> Param:
    """Who decides what a run puts into use."""
    return Param(
        settings.promotion,
        type="string",
        enum=["automatic", "approve", "never"],
        title="Promotion",
        values_display={
            "automatic": "automatic: a model that is shown to be better goes into use",
            "approve": "approve: a person is asked before it does",
            "never": "never: compare and report, and change nothing",
        },
        description_md="`automatic` puts a model into use only where it is shown to be better, and "
        "`check` found nothing that a person must look at first. With `approve` a run that has a "
        "better model waits for an answer under *Required Actions*. `never` is for trying out; "
        "`routing-ml promote` puts the model into use later.",
    )


def run_id() -> str:
    """The id of the run that this task belongs to."""
    return get_current_context()["dag_run"].run_id


def moment(context: Context) -> str | datetime:
    """The moment whose data a run reads, the same at every try.

    The parameter `as_of`; without it the end of the schedule's interval, which is when the run was
    due; for a run by hand or by drift, which has none, when it was triggered.
    """
    run = context["dag_run"]
    return context["params"]["as_of"] or run.data_interval_end or run.run_after


@contextmanager
def told(*, waits: bool = False, lost: Callable[[Settings], None] | None = None) -> Iterator[None]:
    """Keep the reason of an error for the report; what no retry can mend fails at once, and nothing
    is begun on a state folder that is half restored.

    With `waits`, where the settings say `wait`, a task whose source is away is set aside, without a
    worker, and tried again until they have waited long enough since the run began; then `lost` is
    called, and it fails.
    """
    try:
        require_whole(Settings.from_env().home)
        yield
    except Exception as error:
        waited = ""
        if waits and isinstance(error, SourceAwayError):
            waited = _set_aside(error, lost)
        said = redact(f"{reason_of(error)}{waited}")
        get_current_context()["ti"].xcom_push(key="error", value=said)
        if waited or isinstance(error, (AuditError, SettingError, SourceError)):
            raise AirflowFailException(said) from error
        raise


def skip(reason: str) -> NoReturn:
    """Skip this task. Its log says why: what an exception says is folded away there."""
    log.info("skipped: %s", redact(reason))
    raise AirflowSkipException(reason)


def ended(outcome: Mapping[str, Any]) -> None:
    """Say in the log of this task how its run ended, whichever way."""
    words = "the run succeeded" if outcome["succeeded"] else "the run failed"
    log.log(logging.INFO if outcome["succeeded"] else logging.ERROR, "%s: %s", words,
            redact(str(outcome["reason"])))  # fmt: skip


def _set_aside(error: SourceAwayError, lost: Callable[[Settings], None] | None) -> str:
    """Have the task tried again later; where it has waited long enough, what to say of that, and
    nothing where it was not to wait."""
    settings = Settings.from_env()
    if settings.source_away != "wait":
        return ""
    run, now = get_current_context()["dag_run"], datetime.now(UTC)
    began = run.start_date or run.run_after
    end = began + settings.source_wait
    if now < end:
        at = settings.moment(end)
        log.warning("%s; it is tried again until %s", redact(str(error)), f"{at:%Y-%m-%d %H:%M}")
        raise AirflowRescheduleException(min(now + AGAIN, end)) from error
    if lost is not None:
        lost(settings)
    return f"; it was waited for since {settings.moment(began):%Y-%m-%d %H:%M}"


def time_limit(settings: Settings, hours: int) -> timedelta:
    """How long a run may take that works for so many hours, and may have to wait for its source."""
    waiting = settings.source_wait if settings.source_away == "wait" else timedelta(0)
    return timedelta(hours=hours) + waiting


def results(context: Context) -> dict[str, Any]:
    """What the steps of this run came to, None or empty for those that did not end well."""
    from routing_ml.pipeline import approval

    ti = context["ti"]
    kept = first(ti, "extract", key=NOTHING_NEW) or {}
    return {
        "data": first(ti, "extract") or kept.get("data"),
        "trained": [one for one in ti.xcom_pull(task_ids=["train"]) if one],
        "decision": approval.counts(compared(context), first(ti, "decide", key="decision")),
        "nothing_new": kept.get("reason"),
    }


def compared(context: Context) -> Any:
    """What the comparison of this run came to, before anybody was asked; None where it did not."""
    return first(context["ti"], "compare", key="decision")


def moment_of(given: str | datetime) -> datetime:
    """A moment that Airflow has passed on, aware."""
    return datetime.fromisoformat(given) if isinstance(given, str) else given


def result(context: Context, task: str) -> dict[str, Any] | None:
    """What a step of this run came to, None where it did not end well."""
    found: dict[str, Any] | None = first(context["ti"], task)
    return found


def withheld(context: Context) -> list[str]:
    """What the check of this run found that a person must look at before a model goes into use."""
    checked = first(context["ti"], "check")
    return list(checked["withheld"]) if checked else []


def failed(context: Context, mapped: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The tasks of this run that failed, each with its reason.

    `mapped` names what each mapped task was mapped over, so that "train_1" is "train boosted".
    """
    ti, run = context["ti"], context["dag_run"]
    states = ti.get_task_states(dag_id=run.dag_id, run_ids=[run.run_id]).get(run.run_id, {})
    reasons = {}
    for name in sorted(name for name, state in states.items() if state == "failed"):
        task, _, index = name.rpartition("_")
        if task in mapped:
            reason = ti.xcom_pull(task_ids=task, key="error", map_indexes=int(index))
            name = f"{task} {mapped[task][int(index)]}"
        else:
            reason = first(ti, name, key="error")
        reasons[name] = reason or "it ended without giving a reason; see its log"
    return reasons


def cause(context: Context) -> str:
    """What started this run, in words."""
    found = kind(context)
    if found == "manual":
        return f"triggered by {context['dag_run'].triggering_user_name or 'hand'}"
    if found != "asset_triggered":
        return "on schedule" if found == "scheduled" else found
    events = [event for of in context["triggering_asset_events"].values() for event in of]
    reasons = [str((event.extra or {}).get("reason", "")) for event in events]
    return "by drift: " + "; ".join(reason or "no reason given" for reason in reasons)


def kind(context: Context) -> str:
    """Airflow's word for what started this run."""
    run_type = context["dag_run"].run_type
    return str(getattr(run_type, "value", run_type))


def hands(context: Context) -> list[str]:
    """What a person did for this run after its start: cleared a task of it, answered it."""
    decision = results(context)["decision"] or {}
    cleared = ["clear"] if context["dag_run"].clear_number else []
    return cleared + (["answer"] if (decision.get("answer") or {}).get("by") else [])


def seconds(context: Context) -> float:
    """How long this run has taken so far."""
    run = context["dag_run"]
    return (datetime.now(UTC) - (run.start_date or run.run_after)).total_seconds()


def link(context: Context) -> str | None:
    """The address of this run in Airflow's UI, where AIRFLOW__API__BASE_URL is set."""
    run = context["dag_run"]
    return Settings.from_env().run_address(run.dag_id, run.run_id)


def answering(context: Context) -> str | None:
    """The address in Airflow's UI where this run's question is answered, as of `link`."""
    run = link(context)
    return run and f"{run}/tasks/{ASKING_TASK}/required_actions"


def first(ti: Any, task: str, key: str = "return_value") -> Any:
    """The value that `task` left, None without one (asked for by name alone it would be [])."""
    found = ti.xcom_pull(task_ids=[task], key=key)
    return found[0] if found else None

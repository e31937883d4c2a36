"""# Nightly backup of Routing ML

```
copy ──► verify ──► forget ──► report
```

Each day at 00:00 (Asia/Seoul) the source's file, the monitoring store, the models, the settings and
the records are copied into `ROUTING_ML_HOME/backups`, or where `ROUTING_ML_BACKUPS` says, while
others go on writing. What was copied is restored into a scratch folder, hashed and counted there,
and only then called good. Those of 7 days stay, and one of each month for a year; what an
earlier backup has too takes no space. People are told where it fails, never where all is well.

A part that cannot be copied makes the run red, and the others are copied all the same; what the
last backup has of it stays in its place. Each task may be cleared and run again. What to do when
something is lost is in `docs/disaster_recovery.md`.
"""

from datetime import timedelta

import runs
from airflow.sdk import CronTriggerTimetable, TriggerRule, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from routing_ml.errors import RoutingError
from routing_ml.settings import Settings

SETTINGS = Settings.from_env()


@dag(
    schedule=CronTriggerTimetable("0 0 * * *", timezone=SETTINGS.timezone.key),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=4),
    doc_md=__doc__,
    tags={"routing-ml"},
    default_args=runs.TRIES,
)
def routing_ml_backup() -> None:
    """The steps, functions of `routing_ml.backup`."""

    @task
    def copy() -> dict:
        """Copy all that must not be lost, what is required before what is optional."""
        from routing_ml import backup

        with runs.told():
            made = backup.copy(Settings.from_env())
        return {"backup": made.name, "bytes": made.bytes, "missing": sorted(made.missing)}

    @task
    def verify(made: dict) -> dict:
        """Restore it into a scratch folder, and hash and count what came out."""
        from routing_ml import backup

        with runs.told():
            return dict(backup.verify(Settings.from_env(), made["backup"]).verified or {})

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def forget() -> dict:
        """Forget old backups, also after a night that failed for want of space."""
        from routing_ml import backup

        with runs.told():
            return backup.forget(Settings.from_env())

    @task(trigger_rule=TriggerRule.ALL_DONE, retries=4)
    def report() -> dict:
        """Write the outcome, count the run, and where anything failed tell people and fail."""
        from routing_ml import backup

        context = get_current_context()
        made = runs.first(context["ti"], "copy")
        outcome = backup.end(
            Settings.from_env(),
            runs.run_id(),
            name=made["backup"] if made else None,
            failed=runs.failed(context, mapped={}),
            forgotten=runs.first(context["ti"], "forget"),
            seconds=runs.seconds(context),
            link=runs.link(context),
        )
        runs.ended(outcome)
        if "report" in outcome["failed"]:  # another try may be able to write
            raise RoutingError(outcome["reason"])
        if not outcome["succeeded"]:
            raise AirflowFailException(outcome["reason"])
        return outcome

    verify(copy()) >> forget() >> report()


routing_ml_backup()

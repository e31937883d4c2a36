"""# Drift watch of Routing ML

```
recorded similarities ──evaluate──► verdict of the day ──announce──► routing_ml_retrain
```

Ten minutes past each hour: do new items still resemble the past ones? The day's last evaluation is
its verdict. Drift on 5 of 7 days, or a KL divergence over 1.0, announces the asset
`routing_ml_drift`, which starts `routing_ml_retrain`: at most once a day, and only when 50 items
got a routing since the last retraining. With fewer, people are told instead. `announce` is skipped
when there is nothing to announce, which is as it should be. `catch_up` counts the
runs that ended while the store could not be written, and sends what Slack did not take.
"""

import logging
from datetime import timedelta
from typing import Any

import runs
from airflow.sdk import CronTriggerTimetable, dag, get_current_context, task

from routing_ml.settings import Settings

SETTINGS = Settings.from_env()
log = logging.getLogger(__name__)


@dag(
    schedule=CronTriggerTimetable("10 * * * *", timezone=SETTINGS.timezone.key),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=50),
    doc_md=__doc__,
    tags={"routing-ml"},
    default_args=runs.TRIES,
)
def routing_ml_drift_watch() -> None:
    """Steps, functions of `routing_ml.drift`, `routing_ml.pipeline` and `routing_ml.notices`."""

    @task
    def evaluate() -> dict:
        """Take in the similarities recorded since last time; the day's verdict so far."""
        from routing_ml import drift

        settings = Settings.from_env()
        if (reason := drift.obstacle(settings)) is not None:
            runs.skip(reason)
        with runs.told():
            return drift.look(settings, moment=settings.moment(None))

    @task(outlets=[runs.DRIFT])
    def announce(status: dict, *, outlet_events: Any = None) -> dict:
        """Ask for a retraining where drift calls for one, with the reason; else skipped."""
        from routing_ml import pipeline

        settings = Settings.from_env()
        with runs.told():
            moment = settings.moment(None)
            link = runs.link(get_current_context())
            advice = pipeline.advise(settings, status, moment=moment, by=runs.run_id(), link=link)
        if not advice.retrain:
            runs.skip(advice.reason)
        log.info("a retraining is asked for: %s", advice.reason)
        said = {"reason": advice.reason, "model": status["model"]}
        outlet_events[runs.DRIFT].extra = said
        return said

    @task
    def catch_up() -> None:
        """Count and tell what could not be counted or told when it was."""
        from routing_ml import pipeline

        pipeline.catch_up(Settings.from_env())

    announce(evaluate())
    catch_up()


routing_ml_drift_watch()

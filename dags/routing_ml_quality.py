"""# Weekly look at the data, of Routing ML

```
source ──► look ──► report
            │          └── the monitoring store, people
            └── a page, all findings as CSV
```

Each Monday at 06:00 (Asia/Seoul), before the week's work begins, everything in the source is looked
at: what is missing, there twice, impossible, in another unit, far from the usual, or belongs to
nothing; what changed since last week; and the worst items by name, with what to do about each. The
page for people and all findings for Excel are in `ROUTING_ML_HOME/quality`, a pair a run. Nothing
in the source is changed.

| parameter | means |
|---|---|
| source | the name of a configured source |
| as_of | ignore what was entered later; empty: the moment the run is for |

A red run found nothing out; bad data alone make none red. A task that is tried again gives the same
page, and people hear of a week once.
"""

from typing import Any

import runs
from airflow.sdk import CronTriggerTimetable, TriggerRule, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from routing_ml.errors import RoutingError
from routing_ml.settings import Settings

SETTINGS = Settings.from_env()


@dag(
    schedule=CronTriggerTimetable("0 6 * * 1", timezone=SETTINGS.timezone.key),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=runs.time_limit(SETTINGS, hours=3),
    doc_md=__doc__,
    tags={"routing-ml"},
    params={"source": runs.source_param(SETTINGS), "as_of": runs.as_of_param()},
    default_args=runs.TRIES,
)
def routing_ml_quality() -> None:
    """Two steps, functions of `routing_ml.pipeline`."""

    @task
    def look() -> dict:
        """Read the source, look at all of it, compare with last week, write the page."""
        from routing_ml import pipeline

        context, settings = get_current_context(), Settings.from_env()
        with runs.told(waits=True):
            return pipeline.look(
                settings,
                runs.run_id(),
                source=context["params"]["source"],
                as_of=settings.past_moment(runs.moment(context)),
                asked=context["params"]["as_of"],
            )

    @task(trigger_rule=TriggerRule.ALL_DONE, retries=4)
    def report() -> dict[str, Any]:
        """Write the outcome, record it, tell people, and fail where the look did."""
        from routing_ml import pipeline

        context = get_current_context()
        outcome = pipeline.end_look(
            Settings.from_env(),
            runs.run_id(),
            source=context["params"]["source"],
            found=runs.result(context, "look"),
            failed=runs.failed(context, mapped={}),
            cause=runs.cause(context),
            link=runs.link(context),
        )
        runs.ended(outcome)
        if "report" in outcome["failed"]:  # another try may be able to write
            raise RoutingError(outcome["reason"])
        if not outcome["succeeded"]:
            raise AirflowFailException(outcome["reason"])
        return {key: outcome[key] for key in ("reason", "total", "new", "mended", "report")}

    look() >> report()


routing_ml_quality()

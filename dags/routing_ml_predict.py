"""# Daily proposals of Routing ML

```
items without a routing ──► proposals (Parquet) ──► monitoring store
```

Each day at 03:00 (Asia/Seoul) the model in use proposes a routing for every item of the source
that has none. The proposals are in `ROUTING_ML_HOME/proposals`, a file a run; how similar each item
is to what the model knows goes into the monitoring store, where `routing_ml_drift_watch` looks for
drift.

| parameter | means |
|---|---|
| source | the name of a configured source |
| as_of | ignore what was entered later (ISO 8601); empty: the moment the run is for |

Where the source cannot be reached it fails, waits, or takes the items of the last good dataset, as
`ROUTING_ML_SOURCE_AWAY` says.

Skipped while no model is in use. A task that is tried again writes the same file and is recorded
once.
"""

import runs
from airflow.sdk import CronTriggerTimetable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from routing_ml.settings import Settings

SETTINGS = Settings.from_env()


@dag(
    schedule=CronTriggerTimetable("0 3 * * *", timezone=SETTINGS.timezone.key),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=runs.time_limit(SETTINGS, hours=3),
    doc_md=__doc__,
    tags={"routing-ml"},
    params={"source": runs.source_param(SETTINGS), "as_of": runs.as_of_param()},
    default_args=runs.TRIES,
)
def routing_ml_predict() -> None:
    """One step, a function of `routing_ml.pipeline`."""

    @task
    def predict() -> dict:
        """Propose a routing for every item without one, and record how similar each is."""
        from routing_ml import pipeline

        context, settings = get_current_context(), Settings.from_env()
        if pipeline.registry(settings).active() is None:
            raise AirflowSkipException("no model is in use yet: trigger routing_ml_retrain")
        with runs.told(waits=True, lost=pipeline.monitor.record_failure):
            return pipeline.predict(
                settings,
                runs.run_id(),
                source=context["params"]["source"],
                as_of=settings.moment(runs.moment(context)),
            )

    predict()


routing_ml_predict()

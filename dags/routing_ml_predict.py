"""# Daily proposals of Routing ML

```
items without a routing ──predict──► proposals (Parquet) ──► monitoring store
routings written since ──judge──► how right the proposals were ──► replace the model │ go on
```

Each day at 03:00 (Asia/Seoul) the model in use proposes a routing for every item of the source
that has none. The proposals are in `ROUTING_ML_HOME/proposals`, a file a run; how similar each item
is to what the model knows goes into the monitoring store, where `routing_ml_drift_watch` looks for
drift.

| parameter | means |
|---|---|
| source | the name of a configured source |
| as_of | ignore what was entered later; empty: the moment the run is for |
| promotion | `automatic`; `approve`: people are told, and decide; `never`: change nothing |

The versions that may replace the one in use propose too. `judge` holds the routings that planners
have written against what was proposed before, each once, and leaves the live accuracy in the store.
Where that shows a version to be better than the one in use, `replace` puts it into use and tells
people; it is skipped on all other days, which is as it should be.

Where the source cannot be reached it fails, waits, or takes the items of the last good dataset, as
`ROUTING_ML_SOURCE_AWAY` says.

Skipped while no model is in use. A task that is tried again writes the same file, and is recorded
and judged once.
"""

import runs
from airflow.sdk import (
    CronTriggerTimetable,
    TriggerRule,
    dag,
    get_current_context,
    task,
)

from routing_ml.settings import DEFAULT_SOURCE, Settings

SETTINGS = Settings.from_env()


@dag(
    schedule=CronTriggerTimetable("0 3 * * *", timezone=SETTINGS.timezone.key),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=runs.time_limit(SETTINGS, hours=3),
    doc_md=__doc__,
    tags={"routing-ml"},
    params={
        "source": runs.source_param(SETTINGS),
        "as_of": runs.as_of_param(),
        "promotion": runs.promotion_param(SETTINGS),
    },
    default_args=runs.TRIES,
)
def routing_ml_predict() -> None:
    """Steps, functions of `routing_ml.pipeline`."""

    @task
    def predict() -> dict:
        """Propose a routing for every item without one, and record how similar each is."""
        from routing_ml import pipeline

        context, settings = get_current_context(), Settings.from_env()
        if pipeline.registry(settings).active() is None:
            runs.skip("no model is in use yet: trigger routing_ml_retrain")
        with runs.told(waits=True, lost=pipeline.monitor.record_failure):
            return pipeline.predict(
                settings,
                runs.run_id(),
                source=context["params"]["source"],
                as_of=settings.moment(runs.moment(context)),
            )

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def judge() -> dict:
        """Judge what was proposed by the routings that planners have written since."""
        from routing_ml import pipeline

        context, settings = get_current_context(), Settings.from_env()
        if pipeline.registry(settings).active() is None:
            runs.skip("no model is in use yet: trigger routing_ml_retrain")
        if context["params"]["source"] != DEFAULT_SOURCE:
            runs.skip(f"what is proposed for {DEFAULT_SOURCE} alone is judged")
        with runs.told(waits=True):
            return pipeline.judge(settings, as_of=settings.moment(runs.moment(context)))

    @task
    def replace(judged: dict) -> dict:
        """Put a version into use that the judged items show to be better; else skipped."""
        from routing_ml import pipeline

        if judged["decision"] is None:
            runs.skip("no version is shown to be better than the one in use")
        context = get_current_context()
        about = (Settings.from_env(), runs.run_id(), judged["decision"])
        promotion, link = context["params"]["promotion"], runs.link(context)
        if promotion == "never":
            runs.skip(f"as the run was told: {judged['decision']['reason']}")
        if promotion == "approve":
            runs.skip(f"it waits for a person: {pipeline.offer(*about, link=link)}")
        with runs.told():
            return pipeline.replace_model(*about, link=link)

    judged = judge()
    predict() >> judged
    replace(judged)


routing_ml_predict()

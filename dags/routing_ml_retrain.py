"""# Monthly retraining of Routing ML

```
extract ──► check ──► audit ──► train × N ──► compare ──► promote │ keep ──► prune ──► report
                                                 └► approve ──► decide ┘
```

Reads the newest routings of a configured source, stops where its columns cannot have been mapped
right, judges the quality of the data, fits every candidate, compares them with the model in use on
the newest items, which none of them was fitted on, puts the winner into use or keeps what is there,
removes old versions, and tells people. Where `check` found what a person must look at, the winner
waits.

Runs on the 1st of each month at 02:00 (Asia/Seoul), and whenever the drift watch says that the
world has moved. To run it by hand: **Trigger**, and change what you need:

| parameter | means |
|---|---|
| source | the name of a configured source (`ROUTING_ML_SOURCE`, `ROUTING_ML_SOURCE_<NAME>`) |
| limit | how many routing rows to read, the newest ones |
| as_of | ignore what was entered later; empty: the moment the run is for |
| candidates | the methods to fit and compare |
| promotion | `automatic`; `approve`: a person is asked; `never`: report, and change nothing |

With `approve` (`ROUTING_ML_PROMOTION`) a run that has a better model waits at `approve`: who may
edit the DAG answers under *Required Actions*, once, with the comparison in front of them. Without
an answer within `ROUTING_ML_APPROVAL_WAIT` the model in use stays.

Where the source cannot be reached, `extract` fails, waits, or takes the last good dataset, as
`ROUTING_ML_SOURCE_AWAY` says; where that was learned from before, all but `report` is skipped.

A red run changed nothing in use unless its `promote` is green. Each task may be cleared and run
again: it gives the same result. The report is `report.html` in the run's folder under
`ROUTING_ML_HOME/runs`; what became of it is in the last line of the log of `compare` and `report`.
"""

import logging
from typing import Any

import runs
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import (
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    Param,
    TriggerRule,
    dag,
    get_current_context,
    task,
)
from airflow.sdk.exceptions import AirflowFailException

from routing_ml.errors import RoutingError
from routing_ml.models import CANDIDATES
from routing_ml.notices import ANSWERS, ASKING_TASK, MOST_WHY
from routing_ml.settings import Settings

# Airflow reads this file every 30 seconds: what takes a second to import, the tasks import.

SETTINGS = Settings.from_env()
PROMOTE, KEEP = ANSWERS.values()
WHY = f"kept with the switch; at most {MOST_WHY} characters"
log = logging.getLogger(__name__)
LEAST_ROWS = 2_000
"""Of the sample's newest rows so many pass the audit without a warning."""
PARAMS = {
    "source": runs.source_param(SETTINGS),
    "limit": Param(
        100_000,
        type="integer",
        minimum=LEAST_ROWS,
        title="Rows",
        description_md="How many routing rows are read, the newest first; all that there are is "
        "best. An item has some five to ten, and 30 items with a routing are the least to learn "
        "from, 200 the least whose figures mean something.",
    ),
    "as_of": runs.as_of_param(),
    "candidates": Param(
        list(CANDIDATES),
        type="array",
        items={"type": "string", "enum": list(CANDIDATES)},
        examples=list(CANDIDATES),
        minItems=1,
        uniqueItems=True,
        title="Candidates",
        description_md="The methods that are fitted and compared; the best goes into use, if it is "
        "good enough. `nearest`: the most similar past items vote. `forest`: the mean of many "
        "random trees. `boosted`: trees that each correct those before, most often the best and "
        "the slowest. With fewer a run is faster.",
    ),
    "promotion": runs.promotion_param(SETTINGS),
}


class Approval(HITLOperator):
    """Asks a person once: what a run asked first is what Airflow shows."""

    def execute(self, context: Any) -> Any:
        """Ask, unless the run has asked something else before, or was cut off with an answer that
        it can go on with."""
        from routing_ml import pipeline

        with runs.told():
            about = (Settings.from_env(), runs.run_id(), runs.compared(context))
            # Of a task that is cleared Airflow counts its tries anew, from those that it had.
            taken = pipeline.approval.require_first(*about, asking=context["ti"].max_tries)
        if taken:
            try:
                at = runs.moment_of(taken["responded_at"])
                return self.execute_complete(context, taken | {"responded_at": at})
            except (LookupError, TypeError, ValueError) as error:  # and so at every try
                log.warning("what was answered cannot be gone on with, so it asks again: %s", error)
        return super().execute(context)


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 2 1 * *", timezone=SETTINGS.timezone.key),
        assets=[runs.DRIFT],
    ),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=runs.time_limit(SETTINGS, hours=6) + SETTINGS.approval_wait,
    doc_md=__doc__,
    tags={"routing-ml"},
    params=PARAMS,
    default_args=runs.TRIES,
)
def routing_ml_retrain() -> None:
    """The pipeline; its steps are functions of `routing_ml.pipeline`."""

    @task
    def extract() -> dict:
        """Copy the newest rows of the source into the run's folder; skipped where the source is
        away and its last good dataset has been learned from."""
        from routing_ml import pipeline

        context, settings = get_current_context(), Settings.from_env()
        params = context["params"]
        with runs.told(waits=True):
            data = pipeline.extract(
                settings,
                runs.run_id(),
                source=params["source"],
                limit=int(params["limit"]),  # JSON knows 2000.0 as a whole number
                as_of=settings.past_moment(runs.moment(context)),
                asked=params["as_of"],
            )
            kept = pipeline.nothing_new(settings, runs.run_id(), data, params["candidates"])
        if kept is not None:
            context["ti"].xcom_push(key=runs.NOTHING_NEW, value={"reason": kept, "data": data})
            runs.skip(kept)
        return data

    @task
    def check(data: dict) -> dict:
        """See that the columns were mapped right; an error stops the run here."""
        from routing_ml import pipeline

        with runs.told():
            checked = pipeline.check(Settings.from_env(), runs.run_id(), data)
        log.info("check: %s", checked["found"])
        return checked

    @task
    def audit(data: dict) -> dict:
        """Judge the extract; an error stops the run here."""
        from routing_ml import pipeline

        with runs.told():
            return pipeline.audit(Settings.from_env(), runs.run_id(), data)

    @task
    def candidates() -> list[str]:
        """The candidates this run is to fit."""
        return list(get_current_context()["params"]["candidates"])

    @task(map_index_template="{{ candidate }}")
    def train(data: dict, candidate: str) -> dict:
        """Fit one candidate and register it, not yet in use."""
        from routing_ml import pipeline

        with runs.told():
            return pipeline.train(Settings.from_env(), runs.run_id(), data, candidate)

    @task.branch(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    def compare(trained: list[dict]) -> str:
        """Choose by items that what is compared was not fitted on."""
        from routing_ml import pipeline

        context = get_current_context()
        results = runs.results(context)  # `trained` lacks the place of a candidate that failed
        with runs.told():
            decision = pipeline.compare(
                Settings.from_env(),
                runs.run_id(),
                results["data"],
                results["trained"],
                promotion=context["params"]["promotion"],
                withheld=runs.withheld(context),
            )
            waits = pipeline.approval.waits(decision)
            if waits:
                question = pipeline.approval.ask(
                    Settings.from_env(), runs.run_id(), decision, runs.answering(context)
                )
                context["ti"].xcom_push(key="question", value=question)
        context["ti"].xcom_push(key="decision", value=decision)
        chosen = "promote" if decision["promote"] else "approve" if waits else "keep"
        log.info("%s: %s", chosen, decision["reason"])
        return chosen

    approve = Approval(
        task_id=ASKING_TASK,
        subject="Put a new model into use?",
        body="{{ ti.xcom_pull(task_ids='compare', key='question') }}",
        options=[PROMOTE, KEEP],
        defaults=KEEP,
        params={"why": Param("", type=["null", "string"], description=WHY)},
        response_timeout=SETTINGS.approval_wait,
        doc_md="Wait for a person; the model in use stays where nobody answers in time.",
    )

    @task.branch
    def decide(answer: dict) -> str:
        """Write down who has answered what, and go by it."""
        from routing_ml import pipeline

        context = get_current_context()
        user = answer["responded_by_user"] or {}
        with runs.told():
            decision = pipeline.approval.answered(
                Settings.from_env(),
                runs.run_id(),
                runs.compared(context),
                promote=answer["chosen_options"] == [PROMOTE],
                by=user.get("name") or user.get("id"),
                at=runs.moment_of(answer["responded_at"]),
                why=(answer["params_input"] or {}).get("why") or "",
            )
        context["ti"].xcom_push(key="decision", value=decision)
        chosen = "promote" if decision["promote"] else "keep"
        log.info("%s: %s", chosen, decision["reason"])
        return chosen

    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    def promote() -> dict:
        """Put the winner into use."""
        from routing_ml import pipeline

        decision = runs.results(get_current_context())["decision"]
        with runs.told():
            return pipeline.promote(Settings.from_env(), runs.run_id(), decision)

    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    def keep() -> dict:
        """The model in use stays."""
        return {"model": runs.results(get_current_context())["decision"]["champion"]}

    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    def prune() -> dict:
        """Remove versions, run folders, proposals and recorded details older than 180 days."""
        from routing_ml import pipeline

        with runs.told():
            return pipeline.prune(Settings.from_env())

    @task(trigger_rule=TriggerRule.ALL_DONE, retries=4)
    def report() -> dict:
        """Write the outcome, count the run, tell people, and fail where anything before failed."""
        from routing_ml import pipeline

        context = get_current_context()
        outcome = pipeline.end(
            Settings.from_env(),
            runs.run_id(),
            **runs.results(context),
            failed=runs.failed(context, mapped={"train": context["params"]["candidates"]}),
            cause=runs.cause(context),
            started_by=pipeline.started_by(runs.kind(context)),
            hands=runs.hands(context),
            seconds=runs.seconds(context),
            link=runs.link(context),
        )
        runs.ended(outcome)
        if "report" in outcome["failed"]:  # another try may be able to write
            raise RoutingError(outcome["reason"])
        if not outcome["succeeded"]:
            raise AirflowFailException(outcome["reason"])
        return outcome

    data = extract()
    audited = audit(data)
    check(data) >> audited
    trained = train.partial(data=data).expand(candidate=candidates())
    chosen, decided, ways = compare(trained), decide(approve.output), [promote(), keep()]
    audited >> trained
    chosen >> [approve, *ways]
    decided >> ways >> prune() >> report()


routing_ml_retrain()

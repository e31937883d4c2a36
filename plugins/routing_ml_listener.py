"""Counts and tells people of failed runs that no task reports: a retraining, a look at the data or
a backup that timed out or was marked failed by hand, and any failed run of the other DAGs, of each
of those once a day at most.

The report task of every other run has told them already, which the outbox knows. Airflow calls this
in the scheduler (in the API server for a marked run) amid its own work: nothing slow is imported
here, and a thread does the telling, so that a Slack that does not answer holds nobody up.
"""

import logging
from threading import Thread
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from routing_ml import backup, notices
from routing_ml.errors import RoutingError
from routing_ml.pipeline import monitor
from routing_ml.settings import Settings

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

OURS = "routing_ml_"
RETRAINING, LOOK, BACKUP = OURS + "retrain", OURS + "quality", OURS + "backup"
PROMISE = "The model in use is the one it was, unless the run's promote task is green."

log = logging.getLogger(__name__)


class RunListener:
    """Hears of every run that failed; speaks of ours."""

    @hookimpl
    def on_dag_run_failed(self, dag_run: "DagRun", msg: str) -> None:
        """Tell of a failed run, unless its report task has."""
        if dag_run.dag_id.startswith(OURS):
            kind = str(getattr(dag_run.run_type, "value", dag_run.run_type))
            about = (dag_run.dag_id, dag_run.run_id, msg, kind)
            Thread(target=tell, args=about, name="routing_ml_listener").start()


def tell(dag_id: str, run_id: str, why: str, kind: str) -> None:
    """Tell of a failed run what is known of it here, `kind` being Airflow's word for what started
    it; an error goes to the log, where it is seen."""
    retraining = dag_id == RETRAINING
    text = [
        f"{dag_id} failed without a report of its own: {why or 'no reason given'}",
        PROMISE if retraining else "It runs again by itself; until it succeeds, nothing is lost.",
        f"Run: {run_id}",
    ]
    try:
        settings = Settings.from_env()
    except RoutingError as error:
        log.error("nobody could be told of run %s yet: %s", run_id, error)
        return
    try:
        if retraining:
            monitor.record_unreported(settings, run_id, why or "no reason given", kind=kind)
        elif dag_id == LOOK:
            monitor.record_look_failed(settings)
        elif dag_id == BACKUP:
            backup.count_unreported(settings, run_id)
    except RoutingError as error:
        log.error("run %s could not be counted: %s", run_id, error)
    try:
        today = settings.moment(None).date()
        # Runs that have a report of their own were told of under their id.
        subject = run_id if dag_id in (RETRAINING, LOOK) else f"failed on {today}"
        subject, title = f"{dag_id.removeprefix(OURS)}/{subject}", "Routing ML: a run failed"
        link = settings.run_address(dag_id, run_id)
        notices.tell(
            settings, subject, title, "\n".join(text),
            level=notices.BAD, link=link, fallback=True,
        )  # fmt: skip
    except RoutingError as error:
        log.error("nobody could be told of run %s yet: %s", run_id, error)


class RoutingMLPlugin(AirflowPlugin):
    """Routing ML in Airflow."""

    name = "routing_ml"
    listeners = [RunListener()]

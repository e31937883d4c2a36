"""Tells people of the runs that no task can report: timed out, or marked failed by hand.

The report task of every other run has told them already, which the outbox knows. Runs in the
scheduler (in the API server for a marked run), so that nothing slow is imported here.
"""

import logging
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from routing_ml import notify
from routing_ml.errors import RoutingError
from routing_ml.settings import Settings

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

log = logging.getLogger(__name__)


class RunListener:
    """Hears of every run that failed; speaks of ours."""

    @hookimpl
    def on_dag_run_failed(self, dag_run: "DagRun", msg: str) -> None:
        """Tell of a failed run, unless its report task has."""
        if not dag_run.dag_id.startswith("routing_ml_"):
            return
        settings = Settings.from_env()
        base = (settings.ui_url or "").rstrip("/")
        text = [
            f"{dag_run.dag_id} failed before its report: {msg or 'no reason given'}",
            "The model in use is the one it was, unless the run's promote task is green.",
            f"Run: {dag_run.run_id}",
        ]
        if base:
            text.append(f"{base}/dags/{dag_run.dag_id}/runs/{dag_run.run_id}")
        try:
            notify.tell(settings, dag_run.run_id, "Routing ML: a run failed", "\n".join(text))
        except RoutingError as error:
            log.error("nobody could be told of run %s: %s", dag_run.run_id, error)


class RoutingMLPlugin(AirflowPlugin):
    """Routing ML in Airflow."""

    name = "routing_ml"
    listeners = [RunListener()]

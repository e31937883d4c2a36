"""The retraining from the moment on at which it asks: its own operator and steps, each run on a
state folder of its own. What came before is laid into that folder and into `compare`'s XComs.
"""

import functools
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule, get_current_context, task
from airflow.sdk.definitions._internal.contextmanager import DagContext

from routing_ml.notices import ASKING_DAG

# Airflow takes in every DAG that is made while it reads this file, and every one that this file has
# by a name; the product's is to be taken apart.
reading, DagContext.current_autoregister_module_name = (
    DagContext.current_autoregister_module_name, None,
)  # fmt: skip
import routing_ml_retrain as product  # noqa: E402
import runs  # noqa: E402

PRODUCT = product.routing_ml_retrain().task_dict
DagContext.current_autoregister_module_name = reading
ASKING = PRODUCT["approve"]


def enter(stage: str) -> None:
    """Work on the state folder of this run, and say which process does."""
    home = Path(get_current_context()["dag_run"].conf["home"])
    os.environ["ROUTING_ML_HOME"] = str(home)
    with (home / "stages").open("a") as stages:
        stages.write(f"{stage} {os.getpid()}\n")


def of_product(name: str) -> Callable[..., Any]:
    """What the product's task of that name does."""
    step = PRODUCT[name].python_callable

    @functools.wraps(step)
    def work(*given: Any, **named: Any) -> Any:
        enter(name)
        return step(*given, **named)

    return work


class Asking(product.Approval):
    """The product's own, on the state folder of its run."""

    def execute(self, context: Any) -> Any:
        enter("ask")
        return super().execute(context)

    def execute_complete(self, context: Any, event: Any) -> Any:
        enter("answered")
        return super().execute_complete(context, event)


with DAG(
    dag_id=ASKING_DAG,
    schedule=None,
    max_active_runs=200,
    max_active_tasks=200,
    default_args=runs.TRIES | {"retry_delay": timedelta(seconds=1)},
):
    compare = EmptyOperator(task_id="compare")
    approve = Asking(
        task_id=ASKING.task_id,
        **{
            name: getattr(ASKING, name)
            for name in ("subject", "body", "options", "defaults", "params", "response_timeout")
        },
    )
    decided = task.branch(task_id="decide")(of_product("decide"))(approve.output)
    once = {"trigger_rule": TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS}
    ways = [task(task_id=name, **once)(of_product(name))() for name in ("promote", "keep")]
    compare >> [approve, *ways]
    decided >> ways

"""Read by every process of Airflow: what a task imports is there before it starts, for its process
is forked from the scheduler's."""

import airflow.providers.standard.operators.hitl  # noqa: F401
import pandas  # noqa: F401

import routing_ml.pipeline.approval
import routing_ml.pipeline.steps
import routing_ml.registry.registry  # noqa: F401

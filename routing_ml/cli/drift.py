"""`drift status`, `summary`, `evaluate`, `reset`."""

import argparse
from typing import Any

from routing_ml.cli.shared import Result
from routing_ml.settings import Settings


def status(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.pipeline import monitor

    return _shown(monitor.drift_status(settings))


def evaluate(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.drift import look

    return _shown(look(settings, moment=settings.moment(None)))


def summary(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.pipeline import monitor

    found = monitor.drift_summary(settings, options.days)
    lines = [
        f"{event['day']}  KL {event['kl_divergence']:.2f} ({event['severity']})  "
        f"p {event['p_value']:.2g}  {event['scores']:,} items  {event['model']}"
        for event in found["events"]
    ]
    days = f"{found['drift_count']} drift days of the last {found['period_days']}, KL divergence "
    days += f"at most {found['max_kl_divergence']:.2f}, mean {found['avg_kl_divergence']:.2f}"
    return found, "\n".join([*lines, days])


def reset(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.pipeline import monitor

    monitor.reset_drift(settings, why=options.why)
    message = "The drift detector begins anew with its next evaluation."
    return {"message": message}, message


def _shown(status: dict[str, Any]) -> Result:
    from routing_ml.drift import describe

    if "evaluated_at" not in status:
        since = " since the reset" if "reset_at" in status else ""
        hint = "the drift watch does, or 'routing-ml drift evaluate'"
        return status, f"not evaluated yet{since}: {hint}"
    alarm = "DRIFT" if status["drift_detected"] else "no drift"
    advice = "; a retraining is advised" if status["should_retrain"] else ""
    return status, f"{alarm}: {describe(status)}{advice}"

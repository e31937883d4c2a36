"""The OpenAPI document of the exporter; tests/test_exporter_contract.py holds it against the
running process."""

from __future__ import annotations

from typing import Any

from routing_ml import __version__

DAYS_MOST = 366
NUMBER = {"type": "number"}
COUNT = {"type": "integer", "minimum": 0}
TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
MOMENT = {"type": "string", "format": "date-time"}
SEVERITY = {"type": "string", "enum": ["normal", "minor", "significant", "severe"]}
MAYBE = {"type": ["number", "null"]}


def document() -> dict[str, Any]:
    """OpenAPI 3.1 as a plain dict."""
    text = {
        "text/plain": {"schema": TEXT},
        "application/openmetrics-text": {"schema": TEXT},
    }
    metrics = _get("The metrics, as Prometheus text or OpenMetrics (by Accept)", text)
    days = {
        "name": "days",
        "in": "query",
        "description": "The last so many days, today included.",
        "schema": {"type": "integer", "minimum": 1, "maximum": DAYS_MOST, "default": 7},
    }
    summary = _get("The verdicts of the last days", _json("DriftSummary"), busy=True)
    summary["get"]["parameters"] = [days]
    summary["get"]["responses"]["400"] = _problem("days is no whole number in its range")
    reset = {
        "summary": "Have the drift detector begin anew",
        "security": [{"token": []}],
        "responses": {
            "200": {"description": "Done.", "content": _json("Message")},
            "401": _problem("The token is missing or wrong"),
            "403": _problem("No token is configured (ROUTING_ML_API_TOKEN)"),
            "503": _problem("The store cannot be written"),
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Routing ML exporter",
            "version": __version__,
            "description": "What the monitoring store says, for Prometheus and for people.",
        },
        "paths": {
            "/": _get("A page that names these paths", {"text/html": {"schema": TEXT}}),
            "/metrics": metrics,
            "/api/metrics": metrics,
            "/api/metrics/json": _get("The same metrics as JSON", _json("Metrics")),
            "/api/health": _get("That the process lives", _json("Health")),
            "/api/drift/status": _get("The last evaluation", _json("DriftStatus"), busy=True),
            "/api/drift/summary": summary,
            "/api/drift/reset": {"post": reset},
            "/openapi.json": _get(
                "This document", {"application/json": {"schema": {"type": "object"}}}
            ),
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _schemas() -> dict[str, Any]:
    drift = {
        "drift_detected": FLAG,
        "kl_divergence": {**NUMBER, "minimum": 0},
        "threshold": NUMBER,
        "p_value": {**NUMBER, "minimum": 0, "maximum": 1},
        "severity": SEVERITY,
        "buffer_size": COUNT,
        "buffer_mean": NUMBER,
        "buffer_std": {**NUMBER, "minimum": 0},
        "drift_days": COUNT,
        "should_retrain": FLAG,
    }
    event = {
        "day": {"type": "string", "format": "date"},
        "evaluated_at": NUMBER,
        "kl_divergence": NUMBER,
        "p_value": NUMBER,
        "severity": SEVERITY,
        "scores": COUNT,
        "model": TEXT,
    }
    summary = {
        "period_days": {"type": "integer", "minimum": 1, "maximum": DAYS_MOST},
        "drift_count": COUNT,
        "max_kl_divergence": NUMBER,
        "avg_kl_divergence": NUMBER,
        "should_retrain": FLAG,
        "events": {"type": "array", "items": _object(event)},
    }
    sample = {
        "name": TEXT,
        "labels": {"type": "object", "additionalProperties": TEXT},
        "value": NUMBER,
    }
    metrics = {
        "uptime_seconds": NUMBER,
        "requests_total": NUMBER,
        "errors_total": NUMBER,
        "predictions_total": MAYBE,
        "prediction_latency_avg": MAYBE,
        "drift_kl_divergence": MAYBE,
        "up": FLAG,
        "timestamp": MOMENT,
        "samples": {"type": "array", "items": _object(sample)},
    }
    health = {
        "status": {"const": "healthy"},
        "version": TEXT,
        "uptime_seconds": {**NUMBER, "minimum": 0},
        "timestamp": MOMENT,
    }
    return {
        "Health": _object(health),
        "Metrics": _object(metrics),
        "DriftStatus": _object(drift),
        "DriftSummary": _object(summary),
        "Message": _object({"message": TEXT}),
        "Problem": _object({"detail": TEXT}),
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": _json("Problem")}


def _get(summary: str, content: dict[str, Any], *, busy: bool = False) -> dict[str, Any]:
    responses = {"200": {"description": "As asked.", "content": content}}
    if busy:
        responses["503"] = _problem("The store cannot be read")
    return {"get": {"summary": summary, "responses": responses}}

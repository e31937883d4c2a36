"""The OpenAPI document of the exporter."""

from __future__ import annotations

from typing import Any

from routing_ml import __version__

DAYS_MOST = 366


def document() -> dict[str, Any]:
    """OpenAPI 3.1 as a plain dict."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Routing ML exporter", "version": __version__},
        "paths": {},
    }

"""The OpenAPI document of the API beside the pages."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

SENT = {"Promotion", "Rollback", "ValidationError", "HTTPValidationError"}
"""What a program sends, and FastAPI's own: there a field that has a default may be missing."""


def document(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1 as a plain dict. An answer has all of its fields: pydantic calls those of a
    dataclass optional that have a default."""
    found = app.openapi()
    for name, schema in found["components"]["schemas"].items():
        if name not in SENT and "properties" in schema:
            schema["required"] = list(schema["properties"])
    return found

"""Which of the two text formats a client gets, by its Accept header, whatever that says."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from prometheus_client import exposition
from prometheus_client.openmetrics import exposition as openmetrics

Format = tuple[Callable[[Any], bytes], str]

PROMETHEUS: Format = (exposition.generate_latest, exposition.CONTENT_TYPE_PLAIN_0_0_4)
OPENMETRICS: Format = (
    openmetrics.generate_latest,
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
)
# What makes OpenMetrics is 1.0.0; who wants another version gets Prometheus text.
OPENMETRICS_VERSIONS = ("", "1.0.0")
_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)


def chosen(accept: str) -> Format:
    """OpenMetrics where it is named and no less liked than plain text, otherwise Prometheus text.

    A part that says nothing valid counts as not said.
    """
    open_metrics = plain = 0.0
    for part in accept.split(","):
        kind, *rest = (text.strip().lower() for text in part.split(";"))
        said = dict(_pair(text) for text in rest)
        liked = _quality(said.get("q", "1"))
        if kind == "application/openmetrics-text":
            if said.get("version", "") in OPENMETRICS_VERSIONS:
                open_metrics = max(open_metrics, liked)
        elif kind == "text/plain":
            plain = max(plain, liked)
    return OPENMETRICS if open_metrics and open_metrics >= plain else PROMETHEUS


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip(), value.strip().strip('"')


def _quality(text: str) -> float:
    """What a q says, 0 where it is none."""
    return float(text) if _QUALITY.fullmatch(text) else 0.0

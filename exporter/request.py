"""What a client asks and what it is told: the two values between the HTTP side and the app."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from exporter.openapi import DAYS_MOST

JSON = "application/json"
DAYS_USUAL = 7


@dataclass(frozen=True)
class Answer:
    """A response: status, body and headers beside its length."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Request:
    """The parts of a request that answers depend on; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def of(
        cls, method: bytes, target: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> Request:
        """A request by its first line; what follows a scheme and a host counts, as for a proxy."""
        text = target.decode("latin-1")
        if not text.startswith("/") and "://" in text:
            try:
                parts = urlsplit(text)
                text = f"{parts.path or '/'}?{parts.query}"
            except ValueError:  # of a host in brackets that is none
                text = "*"
        path, _, query = text.partition("?")
        return cls(method.decode("ascii"), unquote(path), query, headers)

    def header(self, name: str) -> str:
        """A header's value, joined where it came more than once, empty where it did not."""
        wanted = name.encode()
        return ",".join(v.decode("latin-1") for key, v in self.headers if key == wanted)

    def days(self) -> int | None:
        """`days` of the query, 7 where it is not given, None where it is no number in range."""
        query = parse_qsl(self.query, keep_blank_values=True)
        given = [value for key, value in query if key == "days"]
        if not given:
            return DAYS_USUAL
        text = given[0]
        if len(given) > 1 or not (text.isascii() and text.isdigit() and len(text) < 5):
            return None
        return int(text) if 1 <= int(text) <= DAYS_MOST else None


def as_json(status: int, value: Any) -> Answer:
    """A JSON answer."""
    return Answer(status, json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def problem(status: int, text: str, **headers: str) -> Answer:
    """What is wrong, in one line; `headers` are named with _ for -."""
    told = as_json(status, {"detail": text})
    extra = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(status, told.body, headers=extra)

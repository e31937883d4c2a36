"""Turns a view into a page in a person's language and theme: whatever a text is, it stands there as
text, and nothing runs or loads that is not the page's own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from routing_ml.proposals import NEW, NO_WORD, UNKNOWN
from routing_ml_pages import charts
from routing_ml_pages.words import LANGUAGES, language_of, words

HERE = Path(__file__).parent
THEMES = ("auto", "light", "dark")
LANGUAGE_COOKIE, THEME_COOKIE = "routing_ml_language", "routing_ml_theme"
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
"""What no browser shows, what turns the text around it, and what UTF-8 cannot say."""
SHARE = re.compile(r" \.(\d\d)(?=;|$)")
LONGEST = 2_000  # characters of a text that a page shows
OWN_ONLY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
NO_VALUES = {UNKNOWN: "missing", NEW: "new", NO_WORD: "word"}
"""What an explanation says in the place of a value, and what the sentence for it is called."""
HEADERS = {
    "Content-Security-Policy": OWN_ONLY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """The page that a template makes of `values`."""
    language = language_of(
        request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", "")
    )
    root = root_of(request)
    said = _environment().get_template(template).render(
        t=partial(words, language),
        language=language,
        languages=LANGUAGES,
        theme=theme_of(request),
        themes=THEMES,
        link=partial(_link, root),
        asset=partial(_asset, root),
        here=f"{root}{request.url.path.removeprefix(root)}"
        + (f"?{request.url.query}" if request.url.query else ""),
        status=status,
        **{"place": template.removesuffix(".html"), **values},
    )  # fmt: skip
    return HTMLResponse(said, status, HEADERS)


def theme_of(request: Request) -> str:
    """The theme that a person chose, "auto" without a choice."""
    chosen = request.cookies.get(THEME_COOKIE, "auto")
    return chosen if chosen in THEMES else "auto"


def root_of(request: Request) -> str:
    """The path that all pages are below."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def plain(text: str) -> str:
    """A text without what hides or turns it, and no longer than anybody reads.

    >>> plain("a\\u202eb")
    'a\\ufffdb'
    """
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return HIDDEN.sub("\ufffd", shown)


def kept(text: str) -> Markup:
    """A text that a form sends back: whole, and as it is; what hides or turns it is written by its
    number, so that it does so in no source of the page.

    >>> kept("a\u202e<")
    Markup('a&#8238;&lt;')
    """
    escaped = str(escape(text.encode(errors="replace").decode()))
    numbered = HIDDEN.sub(lambda one: one[0] if one[0] < "\xa0" else f"&#{ord(one[0])};", escaped)
    return Markup(numbered)  # noqa: S704 - it was escaped


@lru_cache(maxsize=1)
def static_files() -> Mapping[str, bytes]:
    """The files that pages load, by name."""
    return {path.name: path.read_bytes() for path in sorted((HERE / "static").iterdir())}


def _finalized(value: Any) -> Any:
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "figure": figure,
        "minutes": minutes,
        "count": "{:,}".format,
        "signed": signed,
        "kept": kept,
        "likelihoods": likelihoods,
    }
    environment.globals |= {"charts": charts, "no_values": NO_VALUES}
    return environment


def _link(root: str, path: str, **parameters: Any) -> Markup:
    """The address of a page, whole however long it is; parameters that are None or empty are left
    out. `more` is a mapping of further ones, whose names need be no names of Python."""
    given = {**(parameters.pop("more", None) or {}), **parameters}
    query = urlencode({name: value for name, value in given.items() if value not in (None, "")})
    return escape(f"{root}{path}?{query}" if query else f"{root}{path}")


def _asset(root: str, name: str) -> str:
    return f"{root}/static/{name}?v={_digest(name)}"


@lru_cache(maxsize=16)
def _digest(name: str) -> str:
    return hashlib.sha256(static_files()[name]).hexdigest()[:8]


def percent(share: float | None, digits: int = 0) -> str:
    """
    >>> percent(0.125, 1), percent(None)
    ('12.5 %', '–')
    """
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def figure(value: float | None, digits: int = 3) -> str:
    """
    >>> figure(0.93512), figure(12), figure(None)
    ('0.935', '12', '–')
    """
    if value is None:
        return "–"
    return f"{value:,.{digits}f}" if isinstance(value, float) else f"{value:,}"


def likelihoods(text: str) -> str:
    """What a proposal says of other machines, its shares as the page has all others.

    >>> likelihoods("CNC-01 .22; CNC .07")
    'CNC-01 22 %; CNC 7 %'
    """
    return SHARE.sub(lambda found: f" {int(found[1])} %", text)


def minutes(value: float | None) -> str:
    """
    >>> minutes(3.14159), minutes(120.0), minutes(None)
    ('3.1', '120', '–')
    """
    if value is None:
        return "–"
    return f"{value:,.1f}".removesuffix(".0") if abs(value) >= 0.1 else f"{value:.3g}"


def signed(value: float, digits: int = 3) -> str:
    """
    >>> signed(0.01), signed(-0.01)
    ('+0.010', '−0.010')
    """
    return f"{value:+,.{digits}f}".replace("-", "−")

"""The page at `/`: what can be asked here, for a person who opens the exporter in a browser.

Made once, of the same document that machines get; it asks no store, so that nothing can hold it up.
"""

from __future__ import annotations

from functools import cache
from html import escape

from exporter.openapi import document
from routing_ml import __version__

HTML = "text/html; charset=utf-8"
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
  background: #fff; color: #1b1f24 }
a { color: #0a58ca } td { padding: .3rem .8rem .3rem 0; vertical-align: top }
@media (prefers-color-scheme: dark) { body { background: #14181d; color: #e6eaef }
  a { color: #7ab7ff } }
"""


@cache
def page() -> bytes:
    """The page, as bytes."""
    rows = "\n".join(
        f"<tr><td>{_named(path, method)}</td><td>{escape(said['summary'])}</td></tr>"
        for path, methods in document()["paths"].items()
        for method, said in methods.items()
        if path != "/"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="referrer" content="no-referrer">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Routing ML exporter</title><style>{STYLE}</style></head>\n"
        "<body><main><h1>Routing ML exporter</h1>\n"
        f"<p>Version {escape(__version__)}. It runs: this page "
        "came from it. Whether the monitoring store can be read is <code>routing_ml_up</code> in "
        f"the metrics.</p>\n<table>\n{rows}\n</table>\n</main></body></html>\n"
    ).encode()


def _named(path: str, method: str) -> str:
    """A path as a link, where a browser may ask for it."""
    if method != "get":
        return f"<code>{method.upper()} {escape(path)}</code>"
    # Relative, for there may be a proxy that serves this below a path of its own.
    return f'<a href="{escape(path.lstrip("/"))}">{escape(path)}</a>'

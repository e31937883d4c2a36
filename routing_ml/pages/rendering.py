"""Templates: each page's own stands beside its code and extends `base.html`, which has what all
pages share.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from routing_ml.pages import words

SHARED = Path(__file__).parent


@cache
def template(path: Path) -> Template:
    """The template at `path`, which may extend `base.html`; what is put into it is escaped, and a
    value that it does not get is an error (jinja2.UndefinedError) when it is rendered."""
    environment = Environment(
        loader=FileSystemLoader([path.parent, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Callable[[Any], str]] = {
        "plain": words.plain, "sentence": words.sentence, "signed": words.signed,
        "percent": words.percent, "points": words.points,
    }  # fmt: skip
    environment.filters |= filters
    return environment.get_template(path.name)

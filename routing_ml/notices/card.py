"""What people are told, in one description that says nothing of where it is shown."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

GOOD, ATTENTION, BAD = "good", "attention", "bad"
SIGNS = {GOOD: "\u2705", ATTENTION: "\u26a0\ufe0f", BAD: "\u274c"}
"""What stands before a title of each level, for those who see no colour too."""
BARS = "▁▂▃▄▅▆▇█"
NO_BAR = "·"
MOST_POINTS = 30


@dataclass(frozen=True)
class Fact:
    """A figure in words: its value now, and what became of it since the last time ('' where there
    was none)."""

    name: str
    value: str
    change: str = ""


@dataclass(frozen=True)
class Plot:
    """A few numbers, oldest first, None where there was none, under a name that says what they
    are and over what."""

    name: str
    values: Sequence[float | None]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))


@dataclass(frozen=True)
class Link:
    """An address of ours, and what is found there."""

    label: str
    address: str


@dataclass(frozen=True)
class Card:
    """What is said on a subject: the outcome first (`title`, and its `level`, one of SIGNS or ''),
    then sentences, figures, a plot, links. All of it is plain text, whatever is in it.

    Who is told of one subject twice sees one message that has changed, where that can be.
    """

    subject: str
    title: str
    text: str = ""
    level: str = ""
    facts: Sequence[Fact] = ()
    plot: Plot | None = None
    links: Sequence[Link] = ()

    def __post_init__(self) -> None:
        # Of whatever sequences it is made, it is equal to what comes back from the outbox.
        object.__setattr__(self, "facts", tuple(self.facts))
        object.__setattr__(self, "links", tuple(self.links))

    @property
    def headline(self) -> str:
        """The title behind the sign of its level."""
        return f"{SIGNS[self.level]} {self.title}" if self.level else self.title

    def changed(self, change: Callable[[str], str]) -> "Card":
        """The same with `change` made to all that is shown, but to addresses."""
        return replace(
            self,
            title=change(self.title),
            text=change(self.text),
            facts=[Fact(*map(change, (f.name, f.value, f.change))) for f in self.facts],
            plot=self.plot and Plot(change(self.plot.name), self.plot.values),
            links=[Link(change(link.label), link.address) for link in self.links],
        )


def sparkline(values: Iterable[float | None]) -> str:
    """The newest 30 numbers as bars between their least and greatest, a point for what is none;
    '' where there are none.

    >>> sparkline([1, 2, None, 8]), sparkline([3, 3]), sparkline([])
    ('▁▂·█', '▄▄', '')
    """
    shown = list(values)[-MOST_POINTS:]
    known = [value for value in shown if value is not None and math.isfinite(value)]
    if not known:
        return NO_BAR * len(shown)
    low, high = min(known), max(known)

    def bar(value: float | None) -> str:
        if value is None or not math.isfinite(value):
            return NO_BAR
        if high == low:
            return BARS[3]
        # Halved, for the difference of the greatest floats is none.
        return BARS[min(7, int(8 * ((value / 2 - low / 2) / (high / 2 - low / 2))))]

    return "".join(map(bar, shown))


def as_dict(card: Card) -> dict[str, Any]:
    """A card as JSON takes it."""
    return asdict(card)


def from_dict(given: Mapping[str, Any]) -> Card:
    """The card that `as_dict` gave; ValueError, TypeError or AttributeError where it is none.

    One of an earlier release has the address of a run under `link`, and no figures.
    """
    plot, link = given.get("plot"), given.get("link")
    words = [given.get(key) for key in ("subject", "title", "text")]
    facts = [Fact(**one) for one in given.get("facts", ())]
    links = [Link(**one) for one in given.get("links", ())]
    if link is not None:
        links = [Link("Open in Airflow", link)]
    words += [text for fact in facts for text in (fact.name, fact.value, fact.change)]
    words += [text for one in links for text in (one.label, one.address)]
    words += [plot["name"]] if plot else []
    if not all(isinstance(text, str) for text in words):
        raise ValueError("it lacks a text")
    level, numbers = given.get("level", ""), plot["values"] if plot else ()
    if level and level not in SIGNS:
        raise ValueError("its level is none")
    if not all(value is None or isinstance(value, (int, float)) for value in numbers):
        raise ValueError("its plot holds no numbers")
    return Card(
        given["subject"], given["title"], given["text"], level, facts,
        Plot(**plot) if plot else None, links,
    )  # fmt: skip

"""Writes what `check` found for people: plain text, in columns also where letters are wide."""

import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from routing_ml.dataset.checking import Checked, label

WIDTH = 90
BAR = 40  # characters of the longest bar
SHOWN_CHARACTERS = 40
TIMES = {"SETUP_TIME": "setup", "RUN_TIME": "run"}


def written_out(checked: Checked) -> str:
    """The whole of it; the findings and the verdict stand last."""
    facts = checked.facts
    parts = [
        ("Routings as they would be learned", _routings(facts["routings_shown"])),
        ("Rows", _rows(facts["rows"])),
        ("Counts", _counts(facts)),
        ("Items by entry", _bars(facts["items_entered"])),
        ("Times, in minutes", _times(facts["times"])),
        ("Columns", _columns(facts["columns"])),
        ("Found", _found(checked)),
    ]
    head = f"{facts['source']} as of {str(facts['as_of'])[:16].replace('T', ' ')}"
    text = [f"{title}\n{_indented(lines)}" for title, lines in parts]
    return "\n\n".join([head, *text, _verdict(checked)])


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}".rstrip() for line in lines)


def _routings(shown: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not shown:
        yield "none"
    for number, routing in enumerate(shown):
        if number:
            yield ""
        yield ", ".join(
            part
            for part in (
                f"{routing['item']}",
                routing["kind"],
                f"revision {routing['revision']}" if routing["revision"] else None,
                f"entered {routing['entered']}" if routing["entered"] else "without entry date",
            )
            if part
        )
        yield from _table(
            [
                [
                    f"  {one['sequence']}",
                    one["operation"],
                    one["name"] or "",
                    one["machine"] or "",
                    f"setup {_number(one['setup'])}",
                    f"run {_number(one['run'])}",
                ]
                for one in routing["operations"]
            ]
        )


def _rows(tables: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for role, rows in tables.items():
        gone = "".join(f", {count:,} {reason}" for reason, count in rows["dropped"].items())
        yield f"{role}: {rows['read']:,} read{gone}, {rows['used']:,} used"
        yield from (f"  {name} is left out: {why}" for name, why in rows["left_out"].items())
        if rows["unused"]:
            lines = textwrap.wrap(", ".join(rows["unused"]), WIDTH, break_on_hyphens=False)
            yield "  its columns that are not used:"
            yield from (f"    {line}" for line in lines)


def _counts(facts: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{facts['items_with_routing']:,} items with a routing, "
        f"{facts['items_without_routing']:,} without; {facts['operation_codes']:,} operation codes"
    )
    yield f"revisions an item: {_spread(facts['revisions_per_item'])}"
    yield f"operations a routing: {_spread(facts['operations_per_routing'])}"
    yield (
        f"revisions with several operations at one number: {facts['revisions_with_ties']:,} of "
        f"{facts['revisions']:,}"
    )
    if facts["items_with_alternatives"] is not None:
        yield f"items with alternatives: {facts['items_with_alternatives']:,}"


def _spread(counts: Mapping[str, int]) -> str:
    """A distribution in one line: `1 in 1,964, 2 in 402`."""
    listed = [f"{size} in {count:,}" for size, count in counts.items()]
    return ", ".join(listed[:14]) + (f", and up to {list(counts)[-1]}" if len(listed) > 14 else "")


def _bars(counts: Mapping[str, int]) -> Iterator[str]:
    most = max(counts.values(), default=1)
    width = len(f"{most:,}")
    for when, count in counts.items():
        bar = "#" * max(1, round(BAR * count / most))
        yield f"{when or 'no date':8} {count:>{width},} {bar}"


def _times(times: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if not times:
        yield "none"
    for name, of in times.items():
        line = f"{TIMES[name]}: {of['median']:,.3g} at the median, nine of ten from "
        line += f"{of['low']:,.3g} to {of['high']:,.3g}; these look like {of['guess']}"
        if of["ratio"] is not None:
            line += f" ({of['pairs']:,} work-order results: {of['reported']:,.3g} at the median)"
        else:
            line += ", by their range alone"
        yield line


def _columns(columns: Sequence[Mapping[str, str]]) -> Iterator[str]:
    for role in dict.fromkeys(column["table"] for column in columns):
        yield f"{role}:"
        yield from _table(
            [
                [f"  {column['column']}", _short(column["example"]), column["taken_for"]]
                for column in columns
                if column["table"] == role
            ]
        )


def _found(checked: Checked) -> Iterator[str]:
    if not checked.findings:
        yield "nothing that speaks against it"
    for finding in checked.findings:
        yield f"{label(finding):8} {finding.name}: {finding.found}"


def _verdict(checked: Checked) -> str:
    if checked.errors:
        return "This cannot be right: a retraining would stop here."
    if checked.withheld:
        names = ", ".join(f'"{name}"' for name in checked.withheld)
        return (
            "A person must look: a retraining would go on, and put no model into use by itself. "
            f"When it is right as it is, write accept = [{names}] at the top of the columns file."
        )
    return "A retraining would learn this."


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows with each column as wide as its widest cell, as a terminal shows it."""
    widths = [max(map(_width, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """Columns that a terminal needs: two for a wide letter, none for one that combines."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:6.2f}"

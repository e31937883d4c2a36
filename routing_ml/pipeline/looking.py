"""The weekly look at the data, from the source to people: the same functions serve Airflow's tasks
and `routing-ml quality`.
"""

import json
import logging
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from routing_ml import dataset, files, modes, notices, quality
from routing_ml.errors import InputError, tried
from routing_ml.pipeline import away, monitor, run_names, telling
from routing_ml.pipeline.steps import Reference, reference, run_folder
from routing_ml.redaction import redact
from routing_ml.settings import DEFAULT_SOURCE, Settings
from routing_ml.source import EVERY_ROW, Columns, Progress, extract

FOLDER = "quality"
TOLD = 3
TELLS = (
    "headline", "source", "as_of", "since", "rows", "total", "findings", "columns", "worse",
    "better", "new", "mended", "worst", "away",
)  # fmt: skip
SHOWN = 10
"""Items in what a command prints."""

log = logging.getLogger(__name__)


def look(
    settings: Settings,
    run_id: str,
    *,
    source: str = DEFAULT_SOURCE,
    columns: Path | None = None,
    as_of: datetime,
    asked: str | None = None,
    progress: Progress = lambda table, rows: None,
    say: Callable[[str], None] | None = None,
) -> Reference:
    """Look at all data of a configured source: the page, all findings as CSV and the look itself
    come into `quality/` under the name of the run; the reference is of the page.

    `asked` is the as-of that a person gave, None where it is the run's own; `say` is as of
    `away.read`. Raises InputError where the source or the folder is at fault.
    """
    settings.opened()
    named = Columns.load(columns or settings.columns.get(source))
    named.require_dates(asked)
    with tempfile.TemporaryDirectory(prefix="routing-ml-") as scratch:

        def fetch() -> quality.Look:
            extracted = extract(
                settings.origin(source), Path(scratch), columns=named, as_of=as_of,
                limit=EVERY_ROW, progress=progress,
            )  # fmt: skip
            return quality.look(extracted.path)

        seen, gone = away.read(
            settings, source, columns=named, as_of=as_of, fetch=fetch, instead=quality.look,
            say=say,
        )  # fmt: skip
    old = gone.line if gone else None
    folder, name = settings.home / FOLDER, run_folder(settings, run_id).name
    change = quality.compare(seen, quality.before(folder, name, seen))
    page, listed = folder / f"{name}.html", folder / f"{name}.csv"
    told = quality.Told(
        source=seen.source, at=settings.moment(None), run=run_id, all_findings=str(listed),
        away=old, zone=settings.timezone.key,
    )  # fmt: skip
    with files.told_as(InputError, f"{page} cannot be written"):
        modes.make_folder(folder)
        for path, text in (
            (listed, dataset.as_csv(seen.findings)),
            (page, quality.as_html(seen, change, told)),
        ):
            files.remove_leftovers(folder, path.name)
            files.atomic_write(path, text)
    items = quality.by_item(seen, change, SHOWN)
    facts = {
        **quality.summary(seen, change),
        "source": seen.source,
        "as_of": seen.as_of.isoformat(),
        "headline": change.headline,
        "rows": dict(seen.rows),
        "columns": [
            [quality.KINDS[kind].measure, kind, table, column, count]
            for (kind, table, column), count in seen.counts.items()
        ],
        "away": old,
        "worst": [item.as_dict() for item in items],
    }
    # Last: what is not whole is no look that another is compared with.
    quality.keep(folder, name, seen, facts)
    return reference(settings, page) | {
        "as_of": facts["as_of"], "headline": change.headline, "away": facts["away"],
    }  # fmt: skip


def end_look(
    settings: Settings,
    run_id: str,
    *,
    source: str,
    found: Mapping[str, Any] | None,
    failed: Mapping[str, str],
    cause: str,
    link: str | None = None,
) -> dict[str, Any]:
    """Write the outcome of a look into the run's folder, record it in the monitoring store and tell
    people; return it.

    `found` is the reference that `look` gave, None where it failed; the rest is as of `end`: each
    of the three is done whatever became of the others.
    """
    outcome = _outcome(settings, run_id, found=found, failed=failed, cause=cause)
    if trouble := tried(partial(_write, settings, outcome)):
        outcome = _failing(outcome, trouble)
    if trouble := tried(partial(_record, settings, outcome)):
        outcome = _failing(outcome, trouble)
        tried(partial(_write, settings, outcome))
    if trouble := tried(partial(_tell, settings, source, outcome, link)):
        log.warning("nobody could be told of run %s yet: %s", run_id, trouble)
    return outcome


def _outcome(
    settings: Settings,
    run_id: str,
    *,
    found: Mapping[str, Any] | None,
    failed: Mapping[str, str],
    cause: str,
) -> dict[str, Any]:
    folder, name = settings.home / FOLDER, run_folder(settings, run_id).name
    told: dict[str, Any] = {}
    if found is not None and not failed:
        try:
            told = quality.told(folder, name)
        except InputError as error:
            failed = {"report": str(error)}
    failed = {step: redact(why) for step, why in failed.items()}
    why = "; ".join(f"{step}: {reason}" for step, reason in failed.items())
    ended = "" if told else "the run ended before a look"
    return {
        "run": run_id,
        "succeeded": bool(told) and not failed,
        "reason": why or ended or told["headline"],
        "failed": failed,
        "cause": cause,
        "report": str(folder / f"{name}.html") if told else None,
        "all_findings": str(folder / f"{name}.csv") if told else None,
    } | {key: told.get(key) for key in TELLS}


def _failing(outcome: Mapping[str, Any], trouble: str) -> dict[str, Any]:
    both = "; ".join([*filter(None, [outcome["failed"].get("report")]), redact(trouble)])
    failed = {**outcome["failed"], "report": both}
    why = "; ".join(f"{step}: {reason}" for step, reason in failed.items())
    return {**outcome, "succeeded": False, "failed": failed, "reason": why}


def _write(settings: Settings, outcome: Mapping[str, Any]) -> None:
    path = run_folder(settings, outcome["run"]) / "outcome.json"
    settings.opened()
    with files.told_as(InputError, f"{path} cannot be written"):
        modes.make_folder(path.parent)
        files.remove_leftovers(path.parent, path.name)
        files.atomic_write(path, json.dumps(outcome, ensure_ascii=False) + "\n")


def _record(settings: Settings, outcome: Mapping[str, Any]) -> None:
    """What the exporter is to show; of a source that a command was given, nothing."""
    if settings.configured:
        monitor.record_quality(settings, outcome)


def _tell(settings: Settings, source: str, outcome: Mapping[str, Any], link: str | None) -> bool:
    """One notice a week of what was found, and one of each run that failed."""
    title, text = notice(settings, outcome)
    subject = f"quality/{outcome['run']}"
    if outcome["succeeded"]:
        year, week, _ = datetime.fromisoformat(outcome["as_of"]).isocalendar()
        subject = f"quality/{source}/{year}-W{week:02}"
    card = telling.look_card(settings, subject, outcome, title, text, link)
    return notices.tell_card(settings, card)


def notice(settings: Settings, outcome: Mapping[str, Any]) -> tuple[str, str]:
    """Title and text of the message on a look: what changed, the worst of it, where the rest is;
    one line where nothing got worse."""
    if not outcome["succeeded"]:
        run = run_names.run_in_words(settings, outcome["run"])
        text = f"{outcome['reason']}\nRun: {run} ({outcome['cause']})"
        return "Routing ML: the look at the data failed", text
    title = f"Routing ML, data quality: {outcome['headline'][:1].lower()}{outcome['headline'][1:]}"
    count = f"{outcome['total']:,} findings"
    if outcome["since"] is not None:
        count += f", {outcome['new']:,} new and {outcome['mended']:,} mended "
        count += f"since {outcome['since'][:10]}"
    lines = [f"{count}: {outcome['report']}"]
    if outcome["away"]:
        lines.insert(0, f"Of old data: {outcome['away']}")
    if worse := outcome["worse"]:
        more = [f"and {len(worse) - TOLD} more"] if len(worse) > TOLD else []
        lines = [*(f"- {one}" for one in worse[:TOLD]), *more]
        lines += [f"Worst item: {one}" for one in map(_named, outcome["worst"][:1])]
        lines += [f"Old data: {outcome['away']}"] if outcome["away"] else []
        lines.append(f"{count}: {outcome['report']}")
    return title, "\n".join(lines)


def _named(item: Mapping[str, Any]) -> str:
    name = f" {item['name']}" if item["name"] else ""
    code = item["code"] or "rows without an item"
    return f"{code}{name}, {item['count']} finding{'' if item['count'] == 1 else 's'}"

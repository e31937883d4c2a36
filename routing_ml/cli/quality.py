"""`quality`: the weekly look at the data, now."""

import argparse
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from routing_ml.cli.shared import Result, chosen_source, progress, say
from routing_ml.errors import InputError, reason_of
from routing_ml.settings import Settings


def quality(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import files, pipeline

    settings, source = chosen_source(settings, options.source)
    run_id = f"command__{datetime.now(UTC):%Y-%m-%dT%H%M%S.%fZ}"
    found, failed, unforeseen = None, {}, None
    try:
        found = pipeline.look(
            settings,
            run_id,
            source=source,
            columns=options.columns,
            as_of=settings.moment(None),
            progress=progress(),
            say=say,
        )
    except Exception as error:
        failed, unforeseen = {"look": reason_of(error)}, error
    outcome = pipeline.end_look(
        settings, run_id, source=source, found=found, failed=failed, cause="by command"
    )
    if not outcome["succeeded"]:
        raise pipeline.StepError(outcome["reason"], outcome) from unforeseen
    if options.out:
        with files.told_as(InputError, f"{options.out} cannot be written"):
            page = settings.home / str(found and found["uri"])
            files.atomic_write(options.out, page.read_bytes())
    if outcome["away"]:
        say(outcome["away"])
    return outcome | {"out": str(options.out or outcome["report"])}, "\n".join(
        _shown(outcome, str(options.out or outcome["report"]))
    )


def _shown(outcome: Mapping[str, Any], page: str) -> Iterator[str]:
    since = f", since {outcome['since'][:10]}" if outcome["since"] else ""
    yield f"{outcome['headline']}{since}"
    yield from (f"  {one}" for one in outcome["worse"])
    if outcome["better"]:
        yield "Better"
        yield from (f"  {one}" for one in outcome["better"])
    yield "Findings"
    yield from (f"  {measure:15}{count:>8,}" for measure, count in outcome["findings"].items())
    if outcome["since"]:
        yield f"  {outcome['new']:,} are new, {outcome['mended']:,} were mended"
    if outcome["worst"]:
        yield "The items with the most"
    for item in outcome["worst"]:
        new = f", {item['new']} new" if item["new"] else ""
        yield f"  {item['code'] or 'rows without an item'} {item['name']}: {item['count']}{new}"
        for one in item["findings"][:3]:
            yield f"    {one['words']}: {one['value']} in {one['where']} ({one['why']})"
    yield f"The page: {page}"
    yield f"All findings: {outcome['all_findings']}"

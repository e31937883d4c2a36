"""Commands that read a source, or what was read of one: `check`, `extract`, `audit`."""

import argparse
import tempfile
from pathlib import Path

from routing_ml.cli.shared import Result, chosen_columns, chosen_source, progress
from routing_ml.errors import InputError
from routing_ml.settings import Settings


def check(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import dataset
    from routing_ml.source import extract

    settings, source = chosen_source(settings, options.source)
    columns = chosen_columns(settings, source, options)
    columns.require_dates(options.as_of)
    with tempfile.TemporaryDirectory(prefix="routing-ml-") as folder:
        done = extract(
            settings.origin(source),
            Path(folder),
            columns=columns,
            as_of=settings.moment(options.as_of),
            limit=options.limit,
            progress=progress(),
        )
        found = dataset.check(done.path)
    return found.as_dict(), dataset.written_out(found)


def extract(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.source import extract

    settings, source = chosen_source(settings, options.source)
    columns = chosen_columns(settings, source, options)
    columns.require_dates(options.as_of)
    done = extract(
        settings.origin(source),
        options.out,
        columns=columns,
        as_of=settings.moment(options.as_of),
        limit=options.limit,
        progress=progress(),
    )
    facts = {
        "dataset": str(done.path),
        "rows": dict(done.rows),
        "bytes": done.bytes,
        "seconds": round(done.seconds, 3),
        "left_out": dict(done.left_out),
    }
    return facts, ""


def audit(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import files
    from routing_ml.dataset import audit, in_words

    found = audit(options.dataset, null_level=settings.null_gate)
    lines = [f"{check.level:8} {check.name}: {check.found}" for check in found.checks]
    for of in found.as_dict()["offenders"]:
        worst = "; ".join(in_words(one) for one in of["worst"])
        lines.append(f"         {of['gate']}, {of['table']}.{of['column']}, the worst: {worst}")
    if options.offenders:
        with files.told_as(InputError, f"{options.offenders} cannot be written"):
            files.atomic_write(options.offenders, found.offenders_csv())
    verdict = "failed" if found.errors else "passed"
    lines.append(f"{verdict} with {len(found.warnings)} warning(s)")
    return found.as_dict(), "\n".join(lines)

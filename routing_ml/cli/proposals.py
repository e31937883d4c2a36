"""Commands for planners: `predict`, `explain`."""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from routing_ml.cli.shared import Result, chosen_columns, chosen_source, say
from routing_ml.errors import InputError, tried
from routing_ml.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from routing_ml.source import Columns


_USUAL = {"run_time_unit": "minutes", "per_quantity": "for one piece"}


def predict(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import pipeline
    from routing_ml.proposals import add_workbook, beside, default_path

    settings, source = chosen_source(settings, options.source)
    columns = chosen_columns(settings, source, options)
    out = options.out or (None if options.item_cd else default_path(settings.home))
    if out and options.items:
        _spare(options.items, [out, beside(out)])
    if out and not options.items and not options.item_cd:
        facts = pipeline.propose_missing(
            settings, source=source, columns=columns, as_of=settings.moment(None), path=out,
            alternatives=options.top, quantity=options.quantity, say=say,
            seen="predict" if options.out else None, keep=settings.configured,
        ) | _assumed(columns, options)  # fmt: skip
        if facts["away"]:
            say(facts["away"])
    else:
        items = _asked(settings, source, columns, options)
        proposals, model = pipeline.propose(
            settings, items, save_to=out, alternatives=options.top, quantity=options.quantity,
            record=options.record, seen="predict",
        )  # fmt: skip
        facts = {"model": model, "items": len(items), "operations": len(proposals)}
        facts |= _assumed(columns, options)
        if out is None:
            facts["proposal"] = json.loads(proposals.to_json(orient="records", force_ascii=False))
            return facts, proposals.to_string(index=False)
        facts["out"] = str(out)
    # asked for a file, planners get that and programs the Parquet; unasked, the other way round
    also = ("parquet", beside(out)) if options.out else ("xlsx", add_workbook(out))
    if also[1]:
        facts[also[0]] = str(also[1])
    text = "{items} items, {operations} operations by {model}: {out}".format_map(facts)
    return facts, f"{text} and {also[1]}" if also[1] else text


def explain(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import pipeline
    from routing_ml.proposals import explain as explained
    from routing_ml.proposals import predict
    from routing_ml.registry import Registry

    settings, source = chosen_source(settings, options.source)
    columns = chosen_columns(settings, source, options)
    predictor = predict.Predictor(Registry(settings.home / "models"))
    items = _asked(settings, source, columns, options)
    code = options.item_cd if options.items else str(items["ITEM_CD"].iloc[0])
    found = explained(predictor.model, items, code, quantity=options.quantity)
    if trouble := tried(partial(pipeline.monitor.record_seen, settings, [code], how="explain")):
        say(f"that this proposal was seen is not recorded: {trouble}")
    facts = {"model": predictor.version} | found.as_dict()
    return facts | _assumed(columns, options), found.as_text()


def _assumed(columns: "Columns", options: argparse.Namespace) -> dict[str, str]:
    """What total minutes rest on that nobody has stated; said on standard error too."""
    if options.quantity is None or not (keys := columns.routings.times.assumed):
        return {}
    words = f"the columns file does not give {keys}: run times are taken as "
    words += "minutes for one piece" if "," in keys else _USUAL[keys]
    say(words)
    return {"assumed": words}


def _asked(
    settings: Settings, source: str, columns: "Columns", options: argparse.Namespace
) -> "pd.DataFrame":
    """The items that are asked for: of a file, what is to be said of it going to standard error;
    of the source where there is none, or where it has codes alone."""
    from routing_ml import pipeline
    from routing_ml.proposals import predict, read_items
    from routing_ml.registry import Registry

    codes = [options.item_cd]
    if options.items:
        model = predict.Predictor(Registry(settings.home / "models")).model
        items = read_items(options.items, columns, model)
        for note in items.notes:
            say(note)
        if not items.only_codes:
            return items.frame
        codes = items.frame["ITEM_CD"].tolist()
    data, away = pipeline.source_data(
        settings, source, columns=columns, as_of=settings.moment(None), say=say
    )
    if away:
        say(away.line)
    return predict.listed(data, codes)


def _spare(items: Path, written: list[Path | None]) -> None:
    """InputError where the file of items would be written over, by whatever path."""
    for path in written:
        if path and items.exists() and path.exists() and path.samefile(items):
            raise InputError(f"{items} would be overwritten; choose another name with --out")

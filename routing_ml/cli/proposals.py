"""Commands for planners: `predict`, `explain`."""

import argparse
import json
from typing import TYPE_CHECKING

from routing_ml.cli.shared import Result, chosen_columns, chosen_source, say
from routing_ml.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from routing_ml.source import Columns


def predict(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import pipeline
    from routing_ml.proposals import files, predict

    settings, source = chosen_source(settings, options.source)
    columns = chosen_columns(settings, source, options)
    out = options.out or (None if options.item_cd else files.default_path(settings.home))
    if out and not options.items and not options.item_cd:
        facts = pipeline.propose_missing(
            settings, source=source, columns=columns, as_of=settings.moment(None), path=out
        )
    else:
        items = _items(settings, options, columns) if options.items else None
        if items is None or list(items.columns) == ["ITEM_CD"]:
            codes = [options.item_cd] if items is None else items["ITEM_CD"].tolist()
            data = predict.read_source(settings.origin(source), columns, settings.moment(None))
            items = predict.listed(data, codes)
        proposals, model = pipeline.propose(settings, items, save_to=out)
        facts = {"model": model, "items": len(items), "operations": len(proposals)}
        if out is None:
            facts["proposal"] = json.loads(proposals.to_json(orient="records", force_ascii=False))
            return facts, proposals.to_string(index=False)
        facts["out"] = str(out)
    text = "{items} items, {operations} operations by {model}: {out}"
    return facts, text.format_map(facts)


def explain(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.proposals import explain as explained
    from routing_ml.proposals import predict
    from routing_ml.registry import Registry

    settings, source = chosen_source(settings, options.source)
    columns = chosen_columns(settings, source, options)
    predictor = predict.Predictor(Registry(settings.home / "models"))
    if options.items:
        items = _items(settings, options, columns)
    else:
        data = predict.read_source(settings.origin(source), columns, settings.moment(None))
        items = predict.listed(data, [options.item_cd])
    code = options.item_cd if options.items else str(items["ITEM_CD"].iloc[0])
    found = explained(predictor.model, items, code)
    return {"model": predictor.version} | found.as_dict(), found.as_text()


def _items(settings: Settings, options: argparse.Namespace, columns: "Columns") -> "pd.DataFrame":
    """The items of the file that was given; what it has in vain is told."""
    from routing_ml.proposals import predict, read_items
    from routing_ml.registry import Registry

    model = predict.Predictor(Registry(settings.home / "models")).model
    items, unused = read_items(options.items, columns, model.encoder_.attributes)
    for line in unused:
        say(line)
    return items

"""Turns a dataset into a registered version, and versions into a decision which is to be in use."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from routing_ml import comparison, dataset, models
from routing_ml.comparison import metrics
from routing_ml.drift import Baseline
from routing_ml.errors import ModelError
from routing_ml.models import RoutingModel
from routing_ml.registry import Registry, Version

MIN_AGREEMENT = 0.90
MIN_KNOWN = 0.5


def fit_and_register(
    versions: Registry, data: dataset.Dataset, candidate: str, *, key: str
) -> Version:
    """Fit `candidate` on `data`, twin and all, and register the two as one version."""
    newest = _newest(data)
    fitted, held_out = dataset.split(data.items, newest)
    twin = _fit(candidate, data, newest, fitted)
    whole = _fit(candidate, data, newest, [*fitted, *held_out])
    asked = _items(data, held_out)
    truth = newest[newest["ITEM_CD"].isin(held_out)]
    proposed = twin.predict(asked, similarity=False)
    # By the model that will score what is new, not by its twin: that knows 15 % fewer items, so
    # that its scores are lower (by .04 to .17 of their spread, measured), which would be drift.
    scores = whole.similarities(asked, dataset.entered(data.items, newest))
    active = versions.active()

    def write(folder: Path) -> None:
        twin.save(folder / "twin")
        whole.save(folder / "model")
        np.save(folder / "validation_scores.npy", scores, allow_pickle=False)
        with suppress(ModelError):  # too few scores to watch for drift with
            Baseline.fit(scores, in_order=True).save(folder)

    return versions.register(
        write,
        key=key,
        facts={
            "candidate": candidate,
            "data_sha256": data.sha256,
            "as_of": data.manifest["as_of"],
            "items_fitted": len(fitted) + len(held_out),
            "metrics": metrics.evaluate(proposed, truth),
            "agreement": _agreement(proposed, whole.predict(asked, similarity=False)),
            "parents": [active.name] if active else [],
        },
    )


def decide(
    versions: Registry,
    data: dataset.Dataset,
    challengers: dict[str, Version],
    active: Version | None,
) -> comparison.Decision:
    """The paired comparison of the challengers with the active version and the year's others."""
    newest = _newest(data)
    _, held_out = dataset.split(data.items, newest)
    as_of = data.manifest["as_of"]
    if active and active.manifest["as_of"] > as_of:
        # On items of the past, which the limit has kept from it, it could seem the worse one.
        reason = (
            f"the model in use was fitted on later data (as of {active.manifest['as_of']}, "
            f"this run's are as of {as_of}): it stays; retrain with a later as-of"
        )
        return comparison.Decision(None, reason, len(held_out), {})
    in_use = twin(active) if active else None
    if in_use and (known := _share_known(in_use, data.items)) < MIN_KNOWN:
        reason = (
            f"the model in use learned from another factory (only {known:.0%} of its items are in "
            "this source): it stays; keep a ROUTING_ML_HOME for each factory, or promote by hand"
        )
        return comparison.Decision(None, reason, len(held_out), {})
    unfit = {
        name: f"{name}: fitted on everything it agrees with its twin on only "
        f"{version.manifest['agreement']:.1%} of the newest items' operations"
        for name, version in challengers.items()
        if version.manifest["agreement"] < MIN_AGREEMENT
    }
    able = {name: version for name, version in challengers.items() if name not in unfit}
    if not able:
        return comparison.Decision(None, "; ".join(unfit.values()), len(held_out), {})
    earlier = {version.name: version for version in versions.references()}
    twins = {version.name: twin(version) for version in (*able.values(), *earlier.values())}
    if active and in_use:
        twins[active.name] = in_use
    seen = {code for model in twins.values() for code in model.items_}
    unseen = [code for code in held_out if code not in seen]
    if not unseen:
        reason = (
            "all newest items of this dataset were used to fit the model in use, so that nothing "
            "can be compared fairly: it stays; retrain with a later as-of"
        )
        return comparison.Decision(None, reason, 0, {})
    truth = newest[newest["ITEM_CD"].isin(unseen)]
    asked = _items(data, unseen)
    scored = {
        name: metrics.per_item(model.predict(asked, similarity=False), truth)
        for name, model in twins.items()
    }
    return comparison.decide(
        scored[active.name] if active else None,
        {name: scored[version.name] for name, version in able.items()},
        champion_method=active.manifest["candidate"] if active else None,
        references={name: scored[name] for name in earlier},
    )


def twin(version: Version) -> RoutingModel:
    """The version's model as it was fitted without its holdout: what every score is taken from."""
    return models.load(version.verify().folder / "twin")


def evaluate(version: Version, data: dataset.Dataset) -> dict[str, float | int | None]:
    """The metrics of a version's twin on the items of a dataset's holdout it was not fitted on."""
    model = twin(version)
    newest = _newest(data)
    seen = set(model.items_)
    asked = [code for code in dataset.split(data.items, newest)[1] if code not in seen]
    if not asked:
        raise ModelError(
            f"{version.name} was fitted on every item of this dataset's holdout, so that no fair "
            "score can be had; evaluate it on a later extract"
        )
    proposed = model.predict(_items(data, asked), similarity=False)
    return metrics.evaluate(proposed, newest[newest["ITEM_CD"].isin(asked)])


def _fit(
    candidate: str, data: dataset.Dataset, newest: pd.DataFrame, codes: Iterable[str]
) -> RoutingModel:
    wanted = set(codes)
    results = data.results
    others = dataset.other_routings(data.routings)
    return models.fit(
        candidate,
        data.items[data.items["ITEM_CD"].isin(wanted)],
        newest[newest["ITEM_CD"].isin(wanted)],
        None if results is None else results[results["ITEM_CD"].isin(wanted)],
        attributes=data.attributes,
        alternatives=others[others["ITEM_CD"].isin(wanted)],
    )


def _newest(data: dataset.Dataset) -> pd.DataFrame:
    """The newest routing of every item that the item table has."""
    newest = dataset.newest_routings(data.routings)
    return newest[newest["ITEM_CD"].isin(data.items["ITEM_CD"])]


def _items(data: dataset.Dataset, codes: Sequence[str]) -> pd.DataFrame:
    return data.items.set_index("ITEM_CD").loc[list(codes)].reset_index()


def _share_known(model: RoutingModel, items: pd.DataFrame) -> float:
    """Share of the items that a model was fitted on which are among `items`, a fraction."""
    known = set(items["ITEM_CD"])
    return sum(code in known for code in model.items_) / max(1, len(model.items_))


def _agreement(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """Share of operations that two sets of proposals have in common (F1), a fraction."""
    figure = metrics.evaluate(one, other)["operation_f1"]
    return 1.0 if figure is None else float(figure)

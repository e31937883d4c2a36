"""Turns a dataset into a registered version, and versions into a decision which is to be in use."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd

from routing_ml import clock, comparison, dataset, judging, models
from routing_ml.comparison import metrics
from routing_ml.drift import Baseline
from routing_ml.errors import ModelError
from routing_ml.models import RoutingModel
from routing_ml.pipeline import concept
from routing_ml.pipeline.examples import examples
from routing_ml.pipeline.material import Material, Rule
from routing_ml.pipeline.unseen import Unseen
from routing_ml.registry import Registry, Version

MIN_AGREEMENT = 0.90
BELOW_ACCURACY = 0.05
"""How much less than with the planners' routings the operations of a version's two proposals may
agree: what is learned by heart agrees with those, and not with what was fitted without them."""
MIN_KNOWN = 0.5
REREAD_ITEMS = 200
"""Of each model, asked again once it was saved and loaded."""


def fit_and_register(
    versions: Registry, material: Material, candidate: str, *, key: str
) -> Version:
    """Fit `candidate` on `material`, once on everything and once or more without what it is judged
    by (`Unseen`), and register all of these as one version.

    It is registered only when each model, saved and loaded again, proposes the same; ModelError
    otherwise, and where the items are too few for a judgement.
    """
    data, begun = material.data, monotonic()
    if (count := len(material.codes)) < comparison.LEAST_ITEMS:
        raise ModelError(
            f"{count} items have a routing, and nothing can be shown of a model with fewer than "
            f"{comparison.LEAST_ITEMS}: enter more routings, or extract more rows"
        )
    unseen = Unseen.fit(
        lambda codes, like: material.fit(candidate, codes, like), material.codes, material.folds
    )
    whole = material.fit(candidate, material.codes, like=unseen.models[0])
    recent = material.recent(material.codes)
    judged = material.judged(recent["since"])
    asked = material.items(judged)
    proposed = unseen.predict(asked)
    # By the model that will score what is new, not by one that knows 15 % fewer items: its scores
    # are lower (by .04 to .17 of their spread, measured), which would be drift.
    scores = whole.similarities(asked, material.entered)
    active = versions.active()
    figures = material.figures(proposed, judged)
    agreement = _agreement(proposed, whole.predict(asked, similarity=False))

    def write(folder: Path) -> None:
        unseen.save(folder / "twin")
        whole.save(folder / "model")
        _require_equal((whole, *unseen.models), folder, data.items)
        np.save(folder / "validation_scores.npy", scores, allow_pickle=False)
        with suppress(ModelError):  # too few scores to watch for drift with
            Baseline.fit(scores, in_order=True).save(folder)
        with suppress(ModelError):  # no item to know by what is to be expected
            concept.reference(whole, material, proposed).save(folder)
        concept.profile(whole, material).save(folder)

    return versions.register(
        write,
        key=key,
        facts={
            "candidate": candidate,
            "data_sha256": data.sha256,
            "as_of": data.manifest["as_of"],
            "items_fitted": len(material.codes),
            "seconds": round(monotonic() - begun, 1),
            "recent": recent,
            **figures,
            "agreement": agreement,
            "parents": [active.name] if active else [],
        },
    )


def decide(
    versions: Registry,
    material: Material,
    challengers: dict[str, Version],
    active: Version | None,
) -> comparison.Decision:
    """The paired comparison of the challengers with the active version, the year's others and the
    simple rules that any model has to be better than."""
    data = material.data
    judged = material.judged(
        max((_since(v) or "" for v in challengers.values()), default="") or None
    )
    in_use = unseen(active) if active else None
    if active and in_use and (reason := _beyond_comparison(active, in_use, data)):
        return comparison.Decision(None, reason, len(judged), {})
    unfit = {
        name: f"{name} cannot be judged, for fitted on everything it proposes something else than "
        f"fitted without what it is judged by (only {100 * version.manifest['agreement']:.1f} % of "
        "the operations agree)"
        for name, version in challengers.items()
        if version.manifest["agreement"] < _least_agreement(version)
    }
    able = {name: version for name, version in challengers.items() if name not in unfit}
    if not able:
        lead = comparison.STAYS if active else "no model goes into use: "
        reason = f"{lead}{'; '.join(unfit.values())}"
        return comparison.Decision(None, reason, len(judged), {}, why_not=unfit)
    earlier = {version.name: version for version in versions.references()}
    by_name = {version.name: unseen(version) for version in (*able.values(), *earlier.values())}
    if active and in_use:
        by_name[active.name] = in_use
    seen = {code for one in by_name.values() for code in one.seen}
    fair = [code for code in judged if code not in seen]
    if not fair:
        reason = (
            "all newest items of this dataset were used to fit the model in use, so that nothing "
            "can be compared fairly: it stays; retrain with a later as-of"
        )
        return comparison.Decision(None, reason, 0, {})
    asked = material.items(judged)
    proposed = {name: one.predict(asked) for name, one in by_name.items()}
    seen_here = {code for version in able.values() for code in by_name[version.name].seen}
    tests, baselines = _floor(
        material,
        {name: proposed[version.name] for name, version in able.items()},
        [code for code in judged if code not in seen_here],
    )
    scored = {
        name: metrics.per_item(found, material.truth(fair)) for name, found in proposed.items()
    }
    decision = comparison.decide(
        scored[active.name] if active else None,
        {name: scored[version.name] for name, version in able.items()},
        champion_method=active.manifest["candidate"] if active else None,
        references={name: scored[name] for name in earlier},
        floor=tests,
        families=material.families,
    )
    in_use_now = proposed[active.name] if active else None
    shown = examples(
        material,
        {name: proposed[version.name] for name, version in able.items()},
        exact={name: share for name, share in decision.exact.items() if name in able},
        winner=decision.winner,
        champion=in_use_now,
        codes=fair,
    )
    return replace(
        decision,
        baselines=baselines,
        streams=_streams(scored, able, active, material.families),
        champion={} if in_use_now is None else material.figures(in_use_now, fair),
        why_not=decision.why_not | unfit,
        examples=shown,
    )


def _streams(
    scored: Mapping[str, pd.DataFrame],
    able: Mapping[str, Version],
    active: Version | None,
    families: pd.Series,
) -> dict[str, dict[str, Any]]:
    """What the held-out items say of each challenger, to be gone on with by items judged later."""
    if active is None:
        return {}
    base = scored[active.name]
    of = families.reindex(base.index).astype("str").tolist()
    return {
        name: judging.take_in(
            comparison.PairedSequence(),
            of,
            scored[version.name]["exact"].reindex(base.index).tolist(),
            base["exact"].tolist(),
        ).state()
        for name, version in able.items()
    }


def unseen(version: Version) -> Unseen:
    """The version's models that were fitted without what they are judged by."""
    return Unseen.load(version.verify().folder / "twin")


def evaluate(version: Version, data: dataset.Dataset) -> dict[str, Any]:
    """The metrics of a version on the items of a dataset's holdout that it can be judged by, and
    their `intervals`: of a small factory all items, each by a model fitted without it."""
    one, material = unseen(version), Material(data)
    seen = one.seen
    asked = [code for code in material.judged(_since(version)) if code not in seen]
    if not asked:
        raise ModelError(
            f"{version.name} was fitted on every item of this dataset's holdout, so that no fair "
            "score can be had; evaluate it on a later extract"
        )
    found = material.figures(one.predict(material.items(asked)), asked)
    return found["metrics"] | {"intervals": found["intervals"]}


def _require_equal(fitted: Sequence[RoutingModel], folder: Path, items: pd.DataFrame) -> None:
    """Raise ModelError where a model saved in a version's folder cannot be loaded, or proposes
    something else than it did when it was fitted."""
    name = f"a {fitted[0].name}"
    refused = "it is not registered; this is a defect of Routing ML, please report it"
    try:
        loaded = (models.load(folder / "model"), *Unseen.load(folder / "twin").models)
    except ModelError as error:
        raise ModelError(
            f"{name} cannot be loaded once it was saved ({error}): {refused}"
        ) from error
    spread = items.iloc[:: max(1, len(items) // REREAD_ITEMS)]
    for before, after in zip(fitted, loaded, strict=True):
        similar = before is fitted[0]  # the others are never asked how alike items are
        one, two = (model.predict(spread, similarity=similar) for model in (before, after))
        if not one.equals(two):
            raise ModelError(
                f"{name} proposes something else once it was saved and loaded again: {refused}"
            )


def _beyond_comparison(active: Version, in_use: Unseen, data: dataset.Dataset) -> str | None:
    """Why the model in use cannot be compared on this dataset; None where it can."""
    as_of = data.manifest["as_of"]
    if as_of < active.manifest["as_of"] <= _tomorrow():  # later: by a clock that was wrong
        # On items of the past, which the limit has kept from it, it could seem the worse one.
        return (
            f"the model in use was fitted on later data (as of {active.manifest['as_of']}, "
            f"this run's are as of {as_of}): it stays; retrain with a later as-of"
        )
    if (known := _share_known(in_use, data.items)) < MIN_KNOWN:
        return (
            f"the model in use learned from another factory (only {known:.0%} of its items are in "
            "this source): it stays; keep a ROUTING_ML_HOME for each factory, or promote by hand"
        )
    return None


def _since(version: Version) -> str | None:
    """The day from which on planners make items otherwise, as the version learned."""
    found = version.manifest.get("recent") or {}
    return found.get("since")


def _tomorrow() -> str:
    """The end of tomorrow wherever the factory is, as an as-of."""
    return (clock.utc() + timedelta(days=2)).replace(tzinfo=None).isoformat()


def _floor(
    material: Material, proposed: Mapping[str, pd.DataFrame], judged: Sequence[str]
) -> tuple[dict[str, tuple[comparison.FloorTest, ...]], dict[str, dict[str, Any]]]:
    """The tests of each candidate's proposals against the simple rules on the items that they are
    judged by, whatever the model in use has seen of these; and what the rules come to."""
    rules = [Rule.fit(kind, material) for kind in models.BASELINES]
    truth = material.truth(judged)
    tests = comparison.floor_tests(
        {name: metrics.per_item(found, truth) for name, found in proposed.items()},
        {rule.name: metrics.per_item(rule.proposed, truth) for rule in rules},
        {rule.name: rule.words for rule in rules},
        material.families,
    )
    figures = {
        rule.name: {"words": rule.words, **material.figures(rule.proposed, judged)}
        for rule in rules
    }
    return tests, figures


def _least_agreement(version: Version) -> float:
    """The share of operations that a version's proposals have to have in common."""
    f1 = version.manifest.get("metrics", {}).get("operation_f1")
    return MIN_AGREEMENT if f1 is None else min(MIN_AGREEMENT, f1 - BELOW_ACCURACY)


def _share_known(one: Unseen, items: pd.DataFrame) -> float:
    """Share of the items that a version was fitted on which are among `items`, a fraction."""
    known, fitted = set(items["ITEM_CD"]), one.fitted
    return sum(code in known for code in fitted) / max(1, len(fitted))


def _agreement(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """Share of operations that two sets of proposals have in common (F1), a fraction."""
    figure = metrics.evaluate(one, other)["operation_f1"]
    return 1.0 if figure is None else float(figure)

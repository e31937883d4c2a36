"""The retraining, step by step: the same functions serve Airflow's tasks and `routing-ml retrain`.

Each step takes the settings, the run's id and references, and returns a plain dict that Airflow
passes on as XCom: data stays in files under the run's folder, a reference names one with its hash.
A step that is repeated after a crash gives the same result and leaves nothing behind.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from routing_ml import compare as comparison
from routing_ml import dataset, files, metrics, models
from routing_ml.audit import audit as audit_dataset
from routing_ml.baseline import Baseline
from routing_ml.columns import Columns
from routing_ml.errors import InputError, ModelError
from routing_ml.extract import DEFAULT_LIMIT, Progress
from routing_ml.extract import extract as extract_dataset
from routing_ml.models.base import RoutingModel
from routing_ml.registry import Registry, Version
from routing_ml.settings import DEFAULT_SOURCE, Settings

MIN_AGREEMENT = 0.90
MIN_KNOWN = 0.5
MAX_RUN_AGE_DAYS = 180
SECONDS_PER_DAY = 86_400

Reference = dict[str, Any]


def run_folder(settings: Settings, run_id: str) -> Path:
    """The folder of one run.

    >>> run_folder(Settings.from_env({"ROUTING_ML_HOME": "/srv"}), "manual__2026-11-01T02:00").name
    'manual__2026-11-01T02_00'
    """
    # Airflow allows runs to be called "..": no name may lead out of the folder, or hide in it.
    return settings.home / "runs" / re.sub(r"^\.|[^\w.+-]", "_", run_id)


def registry(settings: Settings) -> Registry:
    """The model versions of these settings."""
    return Registry(settings.home / "models")


def extract(
    settings: Settings,
    run_id: str,
    *,
    source: str = DEFAULT_SOURCE,
    columns: Path | None = None,
    limit: int = DEFAULT_LIMIT,
    as_of: datetime,
    progress: Progress = lambda table, rows: None,
) -> Reference:
    """Extract a configured source into the run's folder, and show it under `datasets/` as well.

    Raises InputError where the source or the folder is at fault, SettingError for a source that is
    not configured.
    """
    folder = run_folder(settings, run_id)
    files.remove_leftovers(folder, "*")
    extracted = extract_dataset(
        settings.source(source),
        folder,
        columns=Columns.load(columns or settings.columns.get(source)),
        as_of=as_of,
        limit=limit,
        progress=progress,
    )
    path, manifest = dataset.read_manifest(extracted.path)
    shown = settings.home / "datasets"
    with files.told_as(InputError, f"{shown} cannot be written"):
        shown.mkdir(parents=True, exist_ok=True)
        with FileLock(shown / ".lock", fallback_to_soft=False):
            files.remove_leftovers(shown, "*")
            for name in (*(table["file"] for table in manifest["tables"].values()), path.name):
                with files.atomic_path(shown / name) as temporary:
                    shutil.copyfile(folder / name, temporary)
    return {
        "uri": _uri(settings, path),
        "sha256": dataset.data_hash(manifest),
        "bytes": extracted.bytes,
        "rows": dict(extracted.rows),
        "as_of": manifest["as_of"],
    }


def audit(settings: Settings, run_id: str, data: Reference) -> Reference:
    """Audit the extract; AuditError when a gate says that nothing may be learned from it."""
    path, _ = _open(settings, data)
    found = audit_dataset(path, null_level=settings.null_gate)
    written = _write(settings, run_folder(settings, run_id) / "audit.json", found.as_dict())
    found.require()
    return written | {"warnings": len(found.warnings)}


def train(settings: Settings, run_id: str, data: Reference, candidate: str) -> Reference:
    """Fit one candidate and register it, not yet active: once without the holdout (its twin, which
    is scored and compared) and once on everything (what is used).
    """
    versions = registry(settings)
    # With the data's hash: a run that is cleared after its source was corrected fits anew.
    key = f"{run_id}/{candidate}/{data['sha256'][:16]}"
    version = next((v for v in versions.versions() if v.manifest["key"] == key), None)
    if version is None:
        path, _ = _open(settings, data)
        version = fit_and_register(versions, dataset.load(path), candidate, key=key)
    return {"model": version.name, "candidate": candidate, "metrics": version.manifest["metrics"]}


def fit_and_register(
    versions: Registry, data: dataset.Dataset, candidate: str, *, key: str
) -> Version:
    """Fit `candidate` on `data`, twin and all, and register the two as one version."""
    newest = dataset.newest_routings(data.routings)
    newest = newest[newest["ITEM_CD"].isin(data.items["ITEM_CD"])]
    fitted, held_out = dataset.split(data.items, newest)
    twin = _fit(candidate, data, newest, fitted)
    whole = _fit(candidate, data, newest, [*fitted, *held_out])
    asked = _items(data, held_out)
    truth = newest[newest["ITEM_CD"].isin(held_out)]
    proposed = twin.predict(asked)
    scores = proposed.drop_duplicates("ITEM_CD")["SIMILARITY_SCORE"].to_numpy(np.float64)
    active = versions.active()

    def write(folder: Path) -> None:
        twin.save(folder / "twin")
        whole.save(folder / "model")
        np.save(folder / "validation_scores.npy", scores, allow_pickle=False)
        with suppress(ModelError):  # too few scores to watch for drift with
            Baseline.fit(scores).save(folder)

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


def compare(
    settings: Settings,
    run_id: str,
    data: Reference,
    trained: Sequence[Reference],
    *,
    promotion: str = "automatic",
) -> Reference:
    """Decide which model is to be in use, on the newest items, which no twin was fitted on."""
    if not trained:
        raise ModelError("no candidate was fitted, so that there is nothing to compare")
    versions = registry(settings)
    challengers = {one["candidate"]: versions.get(one["model"]) for one in trained}
    decided = run_folder(settings, run_id) / "decision.json"
    active = versions.active()
    if active and active.name in {v.name for v in challengers.values()} and decided.is_file():
        return _decision(settings, decided)
    path, _ = _open(settings, data)
    decision = decide(versions, dataset.load(path), challengers, active)
    winner = decision.winner
    facts = {
        "winner": challengers[winner].name if winner else None,
        "promote": winner is not None and promotion == "automatic",
        "promotion": promotion,
        "champion": active.name if active else None,
        "reason": decision.reason,
        "metrics": challengers[winner].manifest["metrics"] if winner else None,
        "challengers": {name: version.name for name, version in challengers.items()},
        "comparison": decision.as_dict(),
    }
    _write(settings, decided, facts)
    return _decision(settings, decided)


def decide(
    versions: Registry,
    data: dataset.Dataset,
    challengers: dict[str, Version],
    active: Version | None,
) -> comparison.Decision:
    """The paired comparison of the challengers with the active version and the year's others."""
    newest = dataset.newest_routings(data.routings)
    newest = newest[newest["ITEM_CD"].isin(data.items["ITEM_CD"])]
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


def promote(settings: Settings, run_id: str, decision: Reference) -> Reference:
    """Put the winner into use, where the model it was compared with still is."""
    version = registry(settings).promote(
        decision["winner"],
        who=f"run {run_id}",
        why=decision["reason"],
        instead_of=decision["champion"],
    )
    return {"model": version.name}


def prune(settings: Settings) -> Reference:
    """Remove model versions and run folders that are older than 180 days."""
    removed = registry(settings).prune()
    before = time.time() - MAX_RUN_AGE_DAYS * SECONDS_PER_DAY
    runs = settings.home / "runs"
    trash = runs / ".trash"
    with files.told_as(InputError, f"{runs} cannot be pruned"):
        found = [run for run in runs.glob("*") if run.is_dir() and run != trash]
        old = [run for run in found if run.stat().st_mtime < before]
        for run in old:
            files.remove_folder(run, trash=trash)
        files.empty_trash(trash)
    return {"models": removed, "runs": sorted(run.name for run in old)}


def twin(version: Version) -> RoutingModel:
    """The version's model as it was fitted without its holdout: what every score is taken from."""
    return models.load(version.verify().folder / "twin")


def evaluate(version: Version, data: dataset.Dataset) -> dict[str, float | int | None]:
    """The metrics of a version's twin on the items of a dataset's holdout it was not fitted on."""
    model = twin(version)
    newest = dataset.newest_routings(data.routings)
    newest = newest[newest["ITEM_CD"].isin(data.items["ITEM_CD"])]
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
    return models.fit(
        candidate,
        data.items[data.items["ITEM_CD"].isin(wanted)],
        newest[newest["ITEM_CD"].isin(wanted)],
        None if results is None else results[results["ITEM_CD"].isin(wanted)],
        attributes=data.attributes,
    )


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


def _decision(settings: Settings, path: Path) -> Reference:
    """What the next tasks need of a decision, and where all of it is."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    keys = ("winner", "promote", "champion", "reason", "metrics", "challengers")
    return {key: facts[key] for key in keys} | _reference(settings, path)


def _write(settings: Settings, path: Path, facts: dict[str, Any]) -> Reference:
    with files.told_as(InputError, f"{path} cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.remove_leftovers(path.parent, path.name)
        files.atomic_write(path, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    return _reference(settings, path)


def _reference(settings: Settings, path: Path) -> Reference:
    return {"uri": _uri(settings, path), "sha256": files.sha256(path), "bytes": path.stat().st_size}


def _uri(settings: Settings, path: Path) -> str:
    """`path` relative to ROUTING_ML_HOME, which may lie elsewhere on another machine."""
    return Path(os.path.relpath(path, settings.home)).as_posix()


def _open(settings: Settings, data: Reference) -> tuple[Path, dict[str, Any]]:
    """The manifest that a reference names, its hash and those of its files checked."""
    path, manifest = dataset.read_manifest(settings.home / data["uri"])
    if dataset.data_hash(manifest) != data["sha256"]:
        raise InputError(f"{path} is not the dataset this run extracted; run 'extract' again")
    return path, manifest

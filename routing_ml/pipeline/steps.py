"""The retraining, step by step: the same functions serve Airflow's tasks and `routing-ml retrain`.

Each step takes the settings, the run's id and references, and returns a plain dict that Airflow
passes on as XCom: data stays in files under the run's folder, a reference names one with its hash.
A step that is repeated after a crash gives the same result and leaves nothing behind.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from routing_ml import clock, comparison, dataset, files, modes
from routing_ml.dataset import audit as audit_dataset
from routing_ml.dataset import check as check_dataset
from routing_ml.errors import InputError, ModelError
from routing_ml.pipeline import away, monitor, standing, training
from routing_ml.pipeline.material import Material
from routing_ml.pipeline.proposing import propose_missing
from routing_ml.registry import ANY, Registry
from routing_ml.settings import DEFAULT_SOURCE, Settings
from routing_ml.source import DEFAULT_LIMIT, Columns, Progress
from routing_ml.source import extract as extract_dataset

MAX_AGE_DAYS = 180
SECONDS_PER_DAY = 86_400
LONGEST_PAUSE_DAYS = 31

DECISION = "decision.json"
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
    asked: str | None = None,
    progress: Progress = lambda table, rows: None,
    say: Callable[[str], None] | None = None,
) -> Reference:
    """Extract a configured source into the run's folder, and show it under `datasets/` as well.

    `asked` is the as-of that a person gave, None where it is the run's own. Where the source cannot
    be reached and the settings say `last`, it is the last good dataset of it that comes into the
    run's folder, and `away` says so; `say` is as of `away.read`.
    Raises InputError where the source or the folder is at fault, SettingError for a source that is
    not configured.
    """
    folder = run_folder(settings, run_id)
    settings.opened()
    files.remove_leftovers(folder, "*")
    named = Columns.load(columns or settings.columns.get(source))
    named.require_dates(asked)
    with files.told_as(InputError, f"dataset in {folder} cannot be written"):
        modes.make_folder(folder)
    shown = settings.home / "datasets"

    def fetch() -> Path:
        return extract_dataset(
            settings.origin(source),
            folder,
            columns=named,
            as_of=as_of,
            limit=limit,
            progress=progress,
        ).path

    found, gone = away.read(
        settings, source, columns=named, as_of=as_of, fetch=fetch,
        instead=lambda last: _copied(last, folder), limit=limit, say=say,
    )  # fmt: skip
    path, manifest = dataset.read_manifest(found)
    if gone is None:
        with files.told_as(InputError, f"{shown} cannot be written"):
            modes.make_folder(shown)
            mode = modes.file_mode(shown)
            with FileLock(shown / ".lock", mode=mode, fallback_to_soft=False):
                files.remove_leftovers(shown, "*")
                _copied(path, shown)
    tables = manifest["tables"]
    return {
        "uri": _uri(settings, path),
        "sha256": dataset.data_hash(manifest),
        "bytes": sum(table["bytes"] for table in tables.values()),
        "rows": {role: table["rows"] for role, table in tables.items()},
        "as_of": manifest["as_of"],
        "away": gone and gone.as_dict(),
    }


def nothing_new(
    settings: Settings, run_id: str, data: Reference, candidates: Sequence[str]
) -> str | None:
    """Why a retraining on the last good dataset of a source that is away would teach nothing: the
    model in use, or every candidate, was fitted on it before. None where it may teach something.
    """
    if not data.get("away"):
        return None
    versions = registry(settings)
    active, key = versions.active(), f"{run_id}/"
    if active is None or active.manifest["key"].startswith(key):
        return None
    # Those of this run, which is repeated, are no reason.
    fitted = [v for v in versions.versions() if not v.manifest["key"].startswith(key)]
    same = {v.manifest["candidate"] for v in fitted if v.manifest["data_sha256"] == data["sha256"]}
    if active.manifest["data_sha256"] != data["sha256"] and not set(candidates) <= same:
        return None
    return f"kept {active.name}: nothing new to learn: {data['away']['line']}"


def check(settings: Settings, run_id: str, data: Reference) -> Reference:
    """Check that the columns were mapped right; AuditError when they cannot have been.

    `withheld` names the warnings that keep this run's winner from being promoted until a person has
    looked; `found` is all that was found, in one line.
    """
    path, _ = _open(settings, data)
    found = check_dataset(path)
    written = write_json(settings, run_folder(settings, run_id) / "check.json", found.as_dict())
    found.require()
    return written | {"withheld": found.withheld, "found": found.line}


def audit(settings: Settings, run_id: str, data: Reference) -> Reference:
    """Audit the extract; AuditError when a gate says that nothing may be learned from it.

    All offenders are in `offenders.csv` beside `audit.json`, which names the worst.
    """
    path, _ = _open(settings, data)
    found = audit_dataset(path, null_level=settings.null_gate)
    folder = run_folder(settings, run_id)
    write_text(folder / "offenders.csv", found.offenders_csv())
    written = write_json(settings, folder / "audit.json", found.as_dict())
    found.require()
    return written | {"warnings": len(found.warnings)}


def train(settings: Settings, run_id: str, data: Reference, candidate: str) -> Reference:
    """Fit one candidate and register it, not yet active: once on everything, which is used, and
    without what it is scored and compared by.
    """
    versions = registry(settings)
    # With the data's hash: a run that is cleared after its source was corrected fits anew.
    key = f"{run_id}/{candidate}/{data['sha256'][:16]}"
    version = next((v for v in versions.versions() if v.manifest["key"] == key), None)
    if version is None:
        path, _ = _open(settings, data)
        version = training.fit_and_register(
            versions, _material(path, files.sha256(path)), candidate, key=key
        )
    return {
        "model": version.name,
        "candidate": candidate,
        "metrics": version.manifest["metrics"],
        "intervals": version.manifest.get("intervals"),
        "recent": version.manifest.get("recent"),
        "items_fitted": version.manifest.get("items_fitted"),
        "seconds": version.manifest.get("seconds"),
    }


def compare(
    settings: Settings,
    run_id: str,
    data: Reference,
    trained: Sequence[Reference],
    *,
    promotion: str = "automatic",
    withheld: Sequence[str] = (),
) -> Reference:
    """Decide which model is to be in use, on items that what is compared was not fitted on, and by
    the routings that planners wrote since.

    `withheld` names what `check` found that a person must look at first: then the winner, if there
    is one, is named and not put into use. With the `promotion` "approve" it `asks` a person first
    (`approval`), with "never" nobody.
    """
    if not trained:
        raise ModelError("no candidate was fitted, so that there is nothing to compare")
    versions = registry(settings)
    place = versions.place()
    challengers = {one["candidate"]: versions.get(one["model"]) for one in trained}
    decided = run_folder(settings, run_id) / DECISION
    active = versions.active()
    if active and active.name in {v.name for v in challengers.values()} and decided.is_file():
        return decision_of(settings, decided)
    path, _ = _open(settings, data)
    decision = training.decide(versions, _material(path, files.sha256(path)), challengers, active)
    by_judged, judged = standing.judged_since(settings, active.name if active else None, decision)
    winner, reason = decision.winner or by_judged, decision.reason
    put_in = winner is not None and promotion == "automatic" and not withheld
    if by_judged:
        reason = comparison.by_later_routings(by_judged, reason, judged)
    elif judged:
        reason += f"; this is not changed by {judged}"
    if winner and not put_in:
        reason = comparison.not_put_in(reason)
    if winner and withheld:
        reason = f"{challengers[winner].name} waits: {_look_first(withheld)}; {reason}"
    facts = {
        "winner": challengers[winner].name if winner else None,
        "promote": put_in,
        "promotion": promotion,
        "asks": winner is not None and promotion == "approve",
        "withheld": list(withheld),
        "champion": active.name if active else None,
        "place": place,
        "reason": reason,
        "metrics": challengers[winner].manifest["metrics"] if winner else None,
        "challengers": {name: version.name for name, version in challengers.items()},
        "comparison": decision.as_dict(),
    }
    write_json(settings, decided, facts)
    return decision_of(settings, decided)


def promote(settings: Settings, run_id: str, decision: Reference) -> Reference:
    """Put the winner into use, where the model it was compared with still is."""
    version = registry(settings).promote(
        decision["winner"],
        who=f"{monitor.RUN}{run_id}",
        why=decision["reason"],
        instead_of=decision["champion"],
        after=decision.get("place", ANY),
    )
    return {"model": version.name}


def predict(
    settings: Settings, run_id: str, *, source: str = DEFAULT_SOURCE, as_of: datetime
) -> Reference:
    """Propose a routing for every item of the source without one, into a file of the run's name;
    the scores go into the monitoring store once a run."""
    path = settings.opened() / "proposals" / f"{run_folder(settings, run_id).name}.parquet"
    with files.told_as(InputError, f"{path} cannot be written"):
        modes.make_folder(path.parent)
    files.remove_leftovers(path.parent, path.name)
    found = propose_missing(
        settings,
        source=source,
        columns=Columns.load(settings.columns.get(source)),
        as_of=as_of,
        path=path,
        batch=run_id,
    )
    return reference(settings, path) | {
        key: found[key] for key in ("model", "items", "operations", "away")
    }


def prune(settings: Settings) -> Reference:
    """Remove what is older than 180 days: model versions, run folders, proposals, looks at the
    data, and the details of the monitoring store.

    A clock that is ahead would have all of it removed, for good: it is believed as far as a month
    after the last run that was recorded.
    """
    now = min(clock.seconds(), monitor.last_ended(settings) + LONGEST_PAUSE_DAYS * SECONDS_PER_DAY)
    removed = registry(settings).prune(now=datetime.fromtimestamp(now, UTC))
    before = now - MAX_AGE_DAYS * SECONDS_PER_DAY
    runs, proposals = settings.home / "runs", settings.home / "proposals"
    trash = runs / ".trash"
    with files.told_as(InputError, f"{settings.home} cannot be pruned"):
        found = [run for run in runs.glob("*") if run.is_dir() and run != trash]
        old = [run for run in found if run.stat().st_mtime < before]
        for run in old:
            files.remove_folder(run, trash=trash)
        files.empty_trash(trash)
        written = _removed(proposals, before)
        looks = _removed(settings.home / "quality", before)
    return {
        "models": removed,
        "runs": sorted(run.name for run in old),
        "proposals": written,
        "looks": looks,
        "details": monitor.prune(settings, now=now),
    }


def _removed(folder: Path, before: float) -> list[str]:
    """The names of the files of a folder that were written before a time, which are gone."""
    files_there = [path for path in folder.glob("*.*") if path.is_file()]
    old = sorted(path for path in files_there if path.stat().st_mtime < before)
    for path in old:
        path.unlink(missing_ok=True)
    return [path.name for path in old]


@lru_cache(maxsize=1)
def _material(path: Path, sha256: str) -> Material:
    """The dataset whose manifest has this hash; where one process does several steps, all learn
    from one."""
    return Material(dataset.load(path))


def _look_first(withheld: Sequence[str]) -> str:
    """Why a winner is not put into use by itself, and what a person can do."""
    names = ", ".join(f'"{name}"' for name in withheld)
    return (
        f"check found {names}, look with 'routing-ml check'; when it is right as it is, write "
        f"accept = [{names}] at the top of the columns file, or promote by hand"
    )


def decision_of(settings: Settings, path: Path) -> Reference:
    """What the next tasks need of a decision, and where all of it is."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    keys = ("winner", "promote", "champion", "reason", "metrics", "challengers")
    # a run of 2.1.0 that is repeated has none of these
    also = {
        "withheld": facts.get("withheld", []),
        "place": facts.get("place", ANY),
        "asks": facts.get("asks", False),
        "answer": facts.get("answer"),
    }
    return {key: facts[key] for key in keys} | also | reference(settings, path)


def write_json(settings: Settings, path: Path, facts: dict[str, Any]) -> Reference:
    """Write what a step found; what names it."""
    write_text(path, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    return reference(settings, path)


def write_text(path: Path, text: str) -> None:
    """Write a file of a run's folder."""
    with files.told_as(InputError, f"{path} cannot be written"):
        modes.make_folder(path.parent)
        files.remove_leftovers(path.parent, path.name)
        files.atomic_write(path, text)


def reference(settings: Settings, path: Path) -> Reference:
    """What names a file to the next step."""
    return {"uri": _uri(settings, path), "sha256": files.sha256(path), "bytes": path.stat().st_size}


def _copied(path: Path, to: Path) -> Path:
    """A copy of a dataset in the folder `to`, each file whole or not there, its manifest last."""
    _, manifest = dataset.read_manifest(path)
    with files.told_as(InputError, f"{to} cannot be written"):
        for name in (*(table["file"] for table in manifest["tables"].values()), path.name):
            with files.atomic_path(to / name) as temporary:
                shutil.copyfile(path.parent / name, temporary)
    return to / path.name


def _uri(settings: Settings, path: Path) -> str:
    """`path` relative to ROUTING_ML_HOME, which may lie elsewhere on another machine."""
    return Path(os.path.relpath(path, settings.home)).as_posix()


def _open(settings: Settings, data: Reference) -> tuple[Path, dict[str, Any]]:
    """The manifest that a reference names, its hash and those of its files checked."""
    path, manifest = dataset.read_manifest(settings.home / data["uri"])
    if dataset.data_hash(manifest) != data["sha256"]:
        raise InputError(f"{path} is not the dataset this run extracted; run 'extract' again")
    return path, manifest

"""One finished model version: its manifest, and the proof that its files are unchanged."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as library_version
from pathlib import Path, PurePosixPath
from platform import python_version
from typing import Any

import routing_ml
from routing_ml import files
from routing_ml.errors import ModelError

MANIFEST = "manifest.json"
NAME = re.compile(r"model_[0-9]{8}_[0-9]{6}")
NAME_TIME = "model_%Y%m%d_%H%M%S"
LIBRARIES = ("numpy", "pandas", "pyarrow", "scikit-learn", "scipy")
SHAPES: Mapping[str, type | tuple[type, ...]] = {
    "name": str, "key": str, "created_at": str, "code_version": str, "library_versions": dict,
    "files": dict, "digest": str, "candidate": str, "data_sha256": str, "as_of": str,
    "items_fitted": int, "metrics": dict, "intervals": (dict, type(None)),
    "agreement": (int, float), "parents": list,
}  # fmt: skip
"""What the entries of a manifest are, where they are there: the registry's, and a retraining's."""
OWN_KEYS = ("name", "key", "created_at", "code_version", "library_versions", "files", "digest")
INSTEAD = "put another version into use with 'routing-ml promote' or 'routing-ml rollback'"


@dataclass(frozen=True)
class Version:
    """One finished version: its name, its folder, and what its manifest says."""

    name: str
    folder: Path
    manifest: dict[str, Any] = field(hash=False)

    @property
    def created_at(self) -> datetime:
        """When it was registered, UTC, to the second (it is the name)."""
        return time_of(self.name)

    @property
    def facts(self) -> dict[str, Any]:
        """What who registered it has put into the manifest."""
        return {key: fact for key, fact in self.manifest.items() if key not in OWN_KEYS}

    def verify(self) -> "Version":
        """Check that the folder holds exactly the manifest's files, unchanged; return self.

        Raises ModelError with the file's name when one is missing, changed, added, or no plain
        file.
        """
        with files.told_as(ModelError, f"{self.name} cannot be read"):
            try:
                found = {_inside(p, self.folder): p for p in files.regular_files(self.folder)}
            except ValueError as error:
                raise ModelError(f"{self.name} is refused: {error}; {INSTEAD}") from None
            del found[MANIFEST]
            for name, digest in self.manifest["files"].items():
                if name not in found:
                    raise ModelError(f"{self.name} is refused: {name} is missing; {INSTEAD}")
                if files.sha256(found.pop(name)) != digest:
                    raise ModelError(
                        f"{self.name} is refused: {name} is not the file that was registered "
                        f"(its SHA-256 differs from the manifest's); {INSTEAD}"
                    )
            if found:
                raise ModelError(
                    f"{self.name} is refused: {min(found)} is not in its manifest; {INSTEAD}"
                )
        return self


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest in a version's folder, checked by itself (the files are not hashed).

    Raises ModelError when it is missing, truncated, edited, another version's, or names a file
    outside the folder.
    """
    path, name = folder / MANIFEST, folder.name
    if path.is_symlink() or not path.is_file():
        raise ModelError(f"{name} has no {MANIFEST}: it was never finished; {INSTEAD}")
    with files.told_as(ModelError, f"{path} cannot be read"):
        manifest = parsed(path.read_bytes())
    if not {"name", "key", "files", "digest"} <= manifest.keys():
        raise ModelError(f"{path} is truncated or no manifest of this program; {INSTEAD}")
    for entry, kind in SHAPES.items():
        if entry in manifest and not isinstance(manifest[entry], kind):
            raise ModelError(
                f"{path} has an entry {entry!r} of the wrong kind "
                f"({type(manifest[entry]).__name__}): it is damaged; {INSTEAD}"
            )
    if not all(isinstance(digest, str) for digest in manifest["files"].values()):
        raise ModelError(f"{path} has a file without a hash: it is damaged; {INSTEAD}")
    if _digest(manifest) != manifest["digest"]:
        raise ModelError(f"{path} was changed after it was written; {INSTEAD}")
    if manifest["name"] != name:
        raise ModelError(f"{path} is the manifest of {manifest['name']}: a copy; {INSTEAD}")
    for inside in manifest["files"]:
        parts = PurePosixPath(inside).parts
        if not parts or inside.startswith("/") or ".." in parts or "\\" in inside:
            raise ModelError(f"{path} names {inside!r}, which is not in its folder; {INSTEAD}")
    return manifest


def write_manifest(folder: Path, *, key: str, facts: Mapping[str, Any]) -> None:
    """Finish a version: hash its files, have the disk confirm them, put the manifest in place.

    Raises ModelError when the folder holds no file, or one that cannot be part of a version.
    """
    manifest = {
        **facts,
        "name": folder.name,
        "key": key,
        "created_at": time_of(folder.name).isoformat(),
        "code_version": routing_ml.__version__,
        "library_versions": _library_versions(),
        "files": _hashes(folder),
    }
    manifest["digest"] = _digest(manifest)
    files.fsync_tree(folder)
    files.atomic_write(folder / MANIFEST, as_json(manifest))
    files.fsync(folder.parent)


def checked_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """`facts` as JSON has them; ValueError for a key that is the registry's, TypeError for a value
    without a JSON form."""
    if own := sorted(set(facts) & set(OWN_KEYS)):
        raise ValueError(f"the registry writes {own[0]!r} into the manifest itself")
    return {str(k): _plain(v) for k, v in facts.items()}


def as_json(value: Any, *, indent: int | None = 1) -> str:
    """JSON as the registry writes it: UTF-8 kept, no NaN."""
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)


def parsed(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`, {} when it holds none."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):  # the latter of what is nested too deep
        return {}
    return value if isinstance(value, dict) else {}


def is_name(text: object) -> bool:
    """Whether a version may be called so: model_YYYYMMDD_HHMMSS, of a moment that there is."""
    if not isinstance(text, str) or not NAME.fullmatch(text):
        return False
    try:
        time_of(text)
    except ValueError:
        return False
    return True


def time_of(name: str) -> datetime:
    """The moment, UTC, that a version's name stands for."""
    return datetime.strptime(name, NAME_TIME).replace(tzinfo=UTC)


def _hashes(folder: Path) -> dict[str, str]:
    try:
        paths = {_inside(p, folder): p for p in files.regular_files(folder)}
    except ValueError as error:
        raise ModelError(f"{folder.name} cannot be stored: {error}") from None
    if not paths or MANIFEST in paths:
        what = f"a file named {MANIFEST}, which is the registry's" if paths else "no file"
        raise ModelError(f"{folder.name} cannot be stored: the model wrote {what}")
    return {name: files.sha256(path) for name, path in paths.items()}


def _inside(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of everything else in the manifest: notices an edit, not a forger."""
    rest = {k: v for k, v in manifest.items() if k != "digest"}
    text = json.dumps(rest, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    """The value as JSON has it: numpy scalars and times converted, NaN and infinity None."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{value!r} cannot go into a manifest: it has no JSON form")


def _library_versions() -> dict[str, str]:
    versions = {"python": python_version()}
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):
            versions[library] = library_version(library)
    return versions

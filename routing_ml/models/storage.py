"""A model on disk: `model.json` (facts) and `arrays.npz` (plain arrays), never a pickle.

Reading trusts nothing: every array is checked for its type, shape and range before any code indexes
with it, and whatever is wrong is one ModelError that names the file and the entry.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from routing_ml.errors import ModelError

FORMAT = 2
READABLE = (1, 2)  # 1 is of 2.1.0 and before
FACTS = "model.json"
ARRAYS = "arrays.npz"
MAX_BYTES = 2_000_000_000  # unpacked: a few bytes of zip can claim terabytes


def write(folder: Path, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write both files into `folder`, made when missing. The same model gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": FORMAT, **facts}, ensure_ascii=False, separators=(",", ":"))
    (folder / FACTS).write_text(text, encoding="utf-8")
    packed = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    np.savez_compressed(folder / ARRAYS, **packed)  # type: ignore[arg-type]


def read(folder: Path) -> Stored:
    """The two files of `folder`, unpacked but not yet believed."""
    facts = _read_facts(folder / FACTS)
    if facts.get("format") not in READABLE:
        raise ModelError(
            f"{folder / FACTS}: format {facts.get('format')!r}, this version reads "
            f"{' and '.join(map(str, READABLE))}: train a new model"
        )
    return Stored(folder, facts, _read_arrays(folder / ARRAYS))


class Stored:
    """What was read, handed out entry by entry, each checked."""

    def __init__(
        self, folder: Path, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> None:
        self.folder, self._facts, self._arrays = folder, facts, arrays
        self.format = facts.get("format", FORMAT)

    def fact(self, name: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        """The entry `name` of model.json, which must be of the type `kind`; `default` where an
        earlier release wrote none."""
        value = self._facts.get(name, default)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.refuse(name, f"is {type(value).__name__}")
        return value

    def strings(self, name: str, *, length: int | None = None, unique: bool = False) -> list[str]:
        """A list of strings of model.json."""
        values: list[str] = self.fact(name, list)
        if not all(isinstance(value, str) for value in values):
            self.refuse(name, "holds something that is no text")
        self._check_list(name, values, length, unique)
        return values

    def records(self, name: str, fields: Mapping[str, type | tuple[type, ...]]) -> list[dict]:
        """A list of objects of model.json, each with at least `fields` of these types."""
        values: list[dict] = self.fact(name, list)
        for value in values:
            if not isinstance(value, dict):
                self.refuse(name, f"holds {type(value).__name__} where an object is due")
            for field, kind in fields.items():
                if not isinstance(value.get(field), kind):
                    self.refuse(name, f"has no {field!r} of the right type")
        return values

    def array(
        self,
        name: str,
        kinds: str,
        shape: tuple[int | None, ...],
        *,
        low: float | None = None,
        high: float | None = None,
        finite: bool = True,
    ) -> np.ndarray:
        """An array whose dtype kind is in `kinds`, of `shape` (None: any), within [low, high]."""
        array = self._arrays.get(name)
        if array is None:
            self.refuse(name, "is missing")
        assert array is not None
        if array.dtype.kind not in kinds:
            self.refuse(name, f"has type {array.dtype}")
        fits = len(shape) == array.ndim and all(
            want is None or want == got for want, got in zip(shape, array.shape, strict=True)
        )
        if not fits:
            self.refuse(name, f"has shape {array.shape}, not {shape}")
        if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            self.refuse(name, "holds values that are no numbers")
        if array.size and low is not None and not np.nanmin(array) >= low:
            self.refuse(name, f"holds values under {low}")
        if array.size and high is not None and not np.nanmax(array) <= high:
            self.refuse(name, f"holds values over {high}")
        return array

    def has(self, name: str) -> bool:
        """Whether there is an array of that name."""
        return name in self._arrays

    def refuse(self, name: str, why: str) -> None:
        """Raise the ModelError for the entry `name`."""
        raise ModelError(
            f"{self.folder}: entry {name!r} {why}: the model is damaged or foreign; "
            "promote another version or train a new one"
        )

    def _check_list(self, name: str, values: list, length: int | None, unique: bool) -> None:
        if length is not None and len(values) != length:
            self.refuse(name, f"has {len(values)} entries, not {length}")
        if unique and len(set(values)) != len(values):
            self.refuse(name, "repeats an entry")


def prefixed(prefix: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries with `prefix.` before their names, for parts that share one file."""
    return {f"{prefix}.{name}": value for name, value in entries.items()}


def offsets(lengths: Iterable[int]) -> np.ndarray:
    """Starts of consecutive runs of these lengths, with the total at the end: (k + 1,) int64."""
    return np.concatenate([[0], np.cumsum(list(lengths), dtype=np.int64)]).astype(np.int64)


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read ({error}): the model is damaged") from error
    if not isinstance(facts, dict):
        raise ModelError(f"{path}: holds no JSON object: the model is damaged or foreign")
    return facts


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(entry.file_size for entry in archive.infolist())
        if claimed > MAX_BYTES:
            raise ModelError(f"{path}: claims {claimed} bytes unpacked, over {MAX_BYTES}: refused")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, TypeError, SyntaxError, NotImplementedError,
            MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:  # fmt: skip
        raise ModelError(f"{path}: cannot be read ({error}): the model is damaged") from error

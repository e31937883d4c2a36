"""Proposes routings with the model in use: for items of the ERP, or of a file."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from routing_ml import dataset, files, models
from routing_ml.errors import InputError, ModelError
from routing_ml.models import RoutingModel
from routing_ml.registry import Registry
from routing_ml.settings import Origin
from routing_ml.source import Columns, extract, typed

EVERY_ROW = 1_000_000_000


class Predictor:
    """The model in use, loaded once and again whenever another is put into use."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.version = ""
        self._model: RoutingModel | None = None

    @property
    def model(self) -> RoutingModel:
        """The active version's model, its files checked. ModelError when none is in use."""
        active = self.registry.active()
        if active is None:
            raise ModelError("no model is in use yet: 'routing-ml retrain' makes one")
        if self._model is None or active.name != self.version:
            self._model = models.load(active.verify().folder / "model")
            self.version = active.name
        return self._model

    def propose(self, items: pd.DataFrame, *, similarity: bool = True) -> pd.DataFrame:
        """A row per proposed operation; see `RoutingModel.predict`."""
        return self.model.predict(items, similarity=similarity)


def read_source(source: str | Origin, columns: Columns, as_of: datetime) -> dataset.Dataset:
    """All items and routings of a source as they are at `as_of`; nothing is kept on disk."""
    with tempfile.TemporaryDirectory(prefix="routing-ml-") as folder:
        done = extract(
            source,
            Path(folder),
            columns=replace(columns, results=None),
            as_of=as_of,
            limit=EVERY_ROW,
        )
        return dataset.load(done.path)


def item(data: dataset.Dataset, code: str) -> pd.DataFrame:
    """The one row of an item, whatever the case and padding of `code`."""
    return listed(data, [code])


def listed(data: dataset.Dataset, codes: list[str]) -> pd.DataFrame:
    """The rows of the items with these codes, in their order. InputError names an unknown one."""
    row_of = {code.casefold(): row for row, code in enumerate(data.items["ITEM_CD"])}
    wanted = [code.strip().casefold() for code in codes]
    for written, code in zip(codes, wanted, strict=True):
        if code not in row_of:
            raise InputError(
                f"item {written!r} is not in the item table of {data.manifest['source']}; "
                "check the code, or give its attributes with --items FILE"
            )
    return data.items.iloc[[row_of[code] for code in wanted]].reset_index(drop=True)


def read_items(path: Path, columns: Columns) -> pd.DataFrame:
    """Items of a CSV, Parquet or JSON file: a column of codes, named as in the ERP or ITEM_CD,
    and attributes under the ERP's names. InputError where it is not that.
    """
    readers: dict[str, Callable[[], pd.DataFrame]] = {
        ".csv": lambda: pd.read_csv(path, dtype="str", encoding="utf-8-sig"),
        ".parquet": lambda: pd.read_parquet(path),
        ".json": lambda: pd.read_json(path, dtype=False),
    }
    if path.suffix.lower() not in readers:
        raise InputError(f"{path} is no .csv, .parquet or .json file; write the items as one")
    try:
        items = readers[path.suffix.lower()]()
    except FileNotFoundError as error:
        raise InputError(f"{path} is not there; give a file of items") from error
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} cannot be read as {path.suffix}: {reason}; mend it") from error
    erp_names = columns.items.columns.items()
    names = {erp: standard for standard, erp in erp_names if standard not in items}
    items = items.rename(columns=names)
    if "ITEM_CD" not in items:
        wanted = columns.items.columns["ITEM_CD"]
        raise InputError(f"{path} has no column {wanted!r} with the item codes; add it")
    given = [None if pd.isna(code) else code for code in items["ITEM_CD"].tolist()]
    codes = typed.array(given, "code")
    items["ITEM_CD"] = pd.Series(codes.to_pylist(), dtype="str").str.strip()
    blank = items["ITEM_CD"].isna() | (items["ITEM_CD"] == "")
    if blank.any():
        raise InputError(f"{path}, row {int(blank.argmax()) + 1}: the item code is empty; fill it")
    if items["ITEM_CD"].duplicated().any():
        twice = items.loc[items["ITEM_CD"].duplicated(), "ITEM_CD"].iloc[0]
        raise InputError(f"{path} has item {twice!r} twice; keep one row an item")
    if "INSRT_DT" in items:
        items["INSRT_DT"] = pd.to_datetime(
            items["INSRT_DT"], format="ISO8601", errors="coerce", utc=True
        ).dt.tz_localize(None)
    return items


def save(proposals: pd.DataFrame, path: Path) -> Path:
    """Write proposals as Parquet, CSV or JSON, by the path's ending; nothing half-written."""
    writers: dict[str, Callable[[Path], object]] = {
        ".parquet": lambda to: proposals.to_parquet(to, index=False),
        ".csv": lambda to: proposals.to_csv(to, index=False, encoding="utf-8-sig"),
        ".json": lambda to: proposals.to_json(to, orient="records", force_ascii=False, indent=1),
    }
    if path.suffix.lower() not in writers:
        raise InputError(f"{path} is no .parquet, .csv or .json file; choose such a name")
    with files.told_as(InputError, f"{path} cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.atomic_path(path) as temporary:
            writers[path.suffix.lower()](temporary)
    return path


def default_path(home: Path) -> Path:
    """Where proposals go when no file is named."""
    return home / "proposals" / f"proposals_{datetime.now(UTC):%Y%m%d_%H%M%S_%f}.parquet"

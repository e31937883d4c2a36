"""Proposes routings with the model in use: for items of the ERP, or of a file."""

import tempfile
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import pandas as pd

from routing_ml import dataset, files, models
from routing_ml.errors import InputError, ModelError
from routing_ml.models import RoutingModel
from routing_ml.registry import Registry, Version
from routing_ml.settings import Origin
from routing_ml.source import EVERY_ROW, Columns, extract


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
            self._model = loaded(active)
            self.version = active.name
        return self._model

    def propose(self, items: pd.DataFrame, *, similarity: bool = True) -> pd.DataFrame:
        """A row per proposed operation; see `RoutingModel.predict`."""
        return self.model.predict(items, similarity=similarity)


def loaded(version: Version) -> RoutingModel:
    """The model of a version, its files checked: once in a process, and anew where one of them was
    written since. Raises ModelError where one is not what was registered."""
    with files.told_as(ModelError, f"{version.name} cannot be read"):
        found = [path.lstat() for path in sorted(version.folder.rglob("*"))]
    return _loaded(version, tuple((of.st_ino, of.st_size, of.st_ctime_ns) for of in found))


def read_source(
    source: str | Origin, columns: Columns, as_of: datetime, *, results: bool = False
) -> dataset.Dataset:
    """All items and routings of a source as they are at `as_of`, and what work was reported where
    `results` are wanted; nothing is kept on disk."""
    with tempfile.TemporaryDirectory(prefix="routing-ml-") as folder:
        done = extract(
            source,
            Path(folder),
            columns=columns if results else replace(columns, results=None),
            as_of=as_of,
            limit=EVERY_ROW,
        )
        return dataset.load(done.path)


@lru_cache(maxsize=4)
def _loaded(version: Version, written: tuple[tuple[int, int, int], ...]) -> RoutingModel:
    return models.load(version.verify().folder / "model")


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

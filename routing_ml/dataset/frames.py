"""Loads an extracted dataset into pandas frames with clean codes, and says which items are held
out. A dataset is a manifest, `training_dataset_YYYYMM.json`, beside the Parquet files it names.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from routing_ml import files
from routing_ml.dataset.codes import among
from routing_ml.dataset.sequences import renumbered
from routing_ml.errors import InputError
from routing_ml.source import Attributes

HOLDOUT_SHARE = 0.15
NO_KEY, REPEATED = "without a key", "repeated"
FORMATS = (1, 2)  # 1 is of 2.1.0 and before


@dataclass(frozen=True)
class Dataset:
    """The frames of one dataset; what they hold is said in docs/architecture.md.

    `routings` has every revision; `results` is None where the columns file names no such table.
    `dropped` says by table and reason how many extracted rows are not in the frames.
    """

    path: Path
    manifest: dict[str, Any]
    items: pd.DataFrame
    routings: pd.DataFrame
    results: pd.DataFrame | None
    attributes: Attributes
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """One hash of all rows: of the Parquet files' hashes, in the order of their names."""
        return data_hash(self.manifest)


def load(path: Path) -> Dataset:
    """The dataset at `path`: its manifest, or a folder (the newest month in it).

    Every file's hash is checked. Codes are stripped and spelled one way, rows without a key are
    dropped, repeats too (of an item's rows the one entered last stays), and numbers that are not
    finite are missing. Raises InputError where a file is missing or was changed.
    """
    path, manifest = read_manifest(path)
    return cleaned(path, manifest, read_tables(path, manifest))


def read_tables(path: Path, manifest: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """The tables of a dataset by their roles, as they are in its files."""
    return {
        role: pd.read_parquet(path.parent / table["file"])
        for role, table in manifest["tables"].items()
    }


def cleaned(path: Path, manifest: dict[str, Any], tables: Mapping[str, pd.DataFrame]) -> Dataset:
    """What `load` makes of the tables of a dataset, which it may change."""
    dropped: dict[str, dict[str, int]] = {}
    items, routings, results = _clean(
        tables["items"], tables["routings"], tables.get("results"), dropped
    )
    attributes = manifest["attributes"]
    return Dataset(
        path=path,
        manifest=manifest,
        items=items,
        routings=routings,
        results=results,
        attributes=Attributes(tuple(attributes["text"]), dict(attributes["units"])),
        dropped=dropped,
    )


def read_manifest(path: Path) -> tuple[Path, dict[str, Any]]:
    """The manifest at `path` (or the newest in that folder), its files' hashes checked."""
    path = Path(path)
    if path.is_dir():
        found = sorted(path.glob("training_dataset_??????.json"))
        if not found:
            raise InputError(
                f"{path} holds no dataset (no training_dataset_YYYYMM.json); "
                "make one with 'routing-ml extract --out DIR'"
            )
        path = found[-1]
    again = "make it again with 'routing-ml extract'"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        tables = manifest["tables"]
        if manifest["format"] not in FORMATS or not {"items", "routings"} <= tables.keys():
            raise ValueError
    except FileNotFoundError as error:
        raise InputError(f"dataset {path} is not there; {again}") from error
    except OSError as error:
        raise InputError(f"dataset {path} cannot be read: {error.strerror}; {again}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no manifest of a dataset; {again}") from error
    for table in tables.values():
        file = path.parent / Path(table["file"]).name
        if not file.is_file():
            raise InputError(f"dataset {path} lacks its file {file.name}; {again}")
        if files.sha256(file) != table["sha256"]:
            raise InputError(f"{file} is not what its manifest {path.name} says; {again}")
    return path, manifest


def data_hash(manifest: dict[str, Any]) -> str:
    """One SHA-256 for all tables of a manifest."""
    tables = manifest["tables"]
    return hashlib.sha256("".join(tables[r]["sha256"] for r in sorted(tables)).encode()).hexdigest()


def newest_routings(routings: pd.DataFrame) -> pd.DataFrame:
    """The rows of each item's newest revision (latest `INSRT_DT`), by `ITEM_CD`, `PROC_SEQ`.

    A revision is as new as its newest row; of two entered together, and where none has a date, the
    one with the higher last number in its `ROUT_NO` counts (`R10` before `R9`), then the one that
    sorts last. Of several alternatives it is the newest revision of the first one.
    """
    revisions = _by_age(routings)
    keys = revisions.columns.tolist()
    rows = routings.merge(revisions.drop_duplicates("ITEM_CD", keep="last"), on=keys)
    return rows.sort_values(["ITEM_CD", "PROC_SEQ"], kind="stable", ignore_index=True)


def other_routings(routings: pd.DataFrame) -> pd.DataFrame:
    """The rows of the newest revision of each further alternative of an item, by `ITEM_CD`,
    `ALT_NO`, `PROC_SEQ`; none where the columns file names no `alternative`."""
    if "ALT_NO" not in routings:
        return routings.iloc[:0]
    revisions = _by_age(routings)
    keys = revisions.columns.tolist()
    newest = revisions.drop_duplicates(["ITEM_CD", "ALT_NO"], keep="last")
    rows = routings.merge(newest[newest["ITEM_CD"].duplicated(keep="last")], on=keys)
    by = ["ITEM_CD", "ALT_NO", "PROC_SEQ"]
    return rows.sort_values(by, kind="stable", ignore_index=True)


def _by_age(routings: pd.DataFrame) -> pd.DataFrame:
    """The keys of all revisions, each item's in turn: the one that counts is its last."""
    keys = [name for name in ("ITEM_CD", "ROUT_NO", "ALT_NO") if name in routings]
    revisions = routings.groupby(keys, as_index=False, dropna=False)[["INSRT_DT"]].max()
    order = ["INSRT_DT", *_numbered(revisions, "ROUT_NO")]
    revisions = revisions.sort_values(order, na_position="first", kind="stable")
    if "ALT_NO" in revisions:
        revisions = revisions.sort_values(
            _numbered(revisions, "ALT_NO"), ascending=False, na_position="last", kind="stable"
        )
    return revisions[keys]


def entered(items: pd.DataFrame, newest: pd.DataFrame) -> pd.Series:
    """The entry date of each item with a routing, its newest revision's where it has none."""
    routed = newest.groupby("ITEM_CD")["INSRT_DT"].max()
    own = (
        items.set_index("ITEM_CD")["INSRT_DT"] if "INSRT_DT" in items else pd.Series(dtype="M8[us]")
    )
    return own.reindex(routed.index).fillna(routed)


def split(items: pd.DataFrame, newest: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Item codes to fit on and to hold out, each oldest first.

    The holdout is the newest 15 % of the items with a routing, ties by `ITEM_CD`. Where nothing
    is dated, nothing is known of what is new: it is drawn by a hash of the item's code, which is
    the same at every run.
    """
    dates = entered(items, newest).rename("entered").reset_index()
    if dates["entered"].isna().all():
        order = sorted(dates["ITEM_CD"], key=_drawn)
    else:
        dates = dates.sort_values(["entered", "ITEM_CD"], na_position="first")
        order = dates["ITEM_CD"].tolist()
    held_out = int(HOLDOUT_SHARE * len(order))
    return order[: len(order) - held_out], order[len(order) - held_out :]


def _drawn(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()


def _numbered(table: pd.DataFrame, name: str) -> list[str]:
    """The keys that sort codes by their last number, then as text; the number is added."""
    number = f"{name} number"
    table[number] = table[name].str.extract(r"(\d+)\D*$")[0].astype(float)
    return [number, name]


def without_routing(items: pd.DataFrame, routings: pd.DataFrame) -> pd.DataFrame:
    """The items that no routing row speaks of: those to predict."""
    # isin reads its values one by one, and a routing has many rows
    return items[~among(items["ITEM_CD"], routings["ITEM_CD"].unique())].reset_index(drop=True)


def _clean(
    items: pd.DataFrame,
    routings: pd.DataFrame,
    results: pd.DataFrame | None,
    dropped: dict[str, dict[str, int]],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None]:
    """The tables with one spelling a code and one row a key; `dropped` is filled with the counts
    of the rows that are left out.
    """
    tables = [table for table in (items, routings, results) if table is not None]
    for table in tables:
        numbers = table.select_dtypes("float64").columns
        table[numbers] = table[numbers].replace([np.inf, -np.inf], np.nan)
        for name in table.columns.intersection(
            ["ITEM_CD", "ROUT_NO", "JOB_CD", "JOB_NM", "RES_CD", "ALT_NO"]
        ):
            table[name] = table[name].str.strip().replace("", None)
    for name in ("ITEM_CD", "ROUT_NO", "JOB_CD", "RES_CD"):
        holders = [table for table in tables if name in table]
        if not holders:
            continue
        spelling = _spellings(pd.concat([table[name] for table in holders]))
        for table in holders:
            known = {code: spelling[code.casefold()] for code in table[name].dropna().unique()}
            table[name] = table[name].map(known).astype("str")
    for name, kind in (
        ("INSRT_DT", "M8[us]"),
        ("JOB_NM", "str"),
        ("RES_CD", "str"),
        ("SETUP_TIME", float),
        ("RUN_TIME", float),
    ):
        if name not in routings:
            routings[name] = pd.Series(None, index=routings.index, dtype=kind)
    read = {"items": len(items), "routings": len(routings)}
    items = _keyed(items, ["ITEM_CD"])
    routings = _keyed(routings, ["ITEM_CD", "PROC_SEQ", "JOB_CD"])
    keyed = {"items": len(items), "routings": len(routings)}
    if "INSRT_DT" in items:
        items = items.sort_values("INSRT_DT", na_position="first", kind="stable")
    items = items.drop_duplicates("ITEM_CD", keep="last").sort_index(ignore_index=True)
    keys = ["ITEM_CD", "ROUT_NO", "ALT_NO", "PROC_SEQ", "PROC_SUB", "JOB_CD"]
    routings = routings.drop_duplicates([name for name in keys if name in routings])
    routings = routings.reset_index(drop=True)
    for role, kept in (("items", items), ("routings", routings)):
        dropped[role] = {NO_KEY: read[role] - keyed[role], REPEATED: keyed[role] - len(kept)}
    if "PROC_SUB" in routings:
        routings, results = renumbered(routings, results)
    if results is not None:
        before = len(results)
        results = _keyed(results, ["ITEM_CD", "PROC_SEQ"])
        dropped["results"] = {NO_KEY: before - len(results)}
        for name in ("MACH_WORKED_HOURS", "SETUP_HOURS", "ORDER_QTY"):
            if name not in results:
                results[name] = float("nan")
    return items, routings, results


def _keyed(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The rows in which no key is missing; PROC_SEQ as whole numbers."""
    table = table.dropna(subset=keys).reset_index(drop=True)
    return table.astype({"PROC_SEQ": "int64"}) if "PROC_SEQ" in table else table


def _spellings(codes: pd.Series) -> dict[str, str]:
    """Each code's case-folded form to the way it is written most often (ties: the first one)."""
    counts = codes.value_counts().rename_axis("code").reset_index(name="rows")
    counts = counts.sort_values(["rows", "code"], ascending=[False, True])
    counts["folded"] = counts["code"].str.casefold()
    return dict(counts.drop_duplicates("folded")[["folded", "code"]].itertuples(index=False))

"""Whether a model says what it does not know: its confidence and its bands against the truth.

    python benchmarks/honesty.py [--source FILE.accdb] [--part columns ...] [--json]

Prints a Markdown table per part. `columns`: the newest 15 % of the items, asked with some of their
columns only; `folds`: every item so, by five models of which it is asked one that saw none of its
family. `kinds`: each value of `--leave-out` left out of training and asked for. `few`: all but
`--known` items of each left out. `chains`: each value of a factory that is made by rules left out.
`band`: how many run times lie in the 80 % band, by kind, material, and for a material that no past
item had. `likelihoods`: how often an operation, and the machine, is right that is said to be so
likely. `gap` is stated minus exact, `by chance` the calibration error that so many items show on
average where what is stated is the truth, and items of a kind left out are right each by itself or
`as a whole`.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from accuracy import EVERYTHING, calibration_error, parts
from factories_by_rule import RULED, chains, new_material, rising

from routing_ml import dataset, models
from routing_ml.comparison import metrics
from routing_ml.dataset import Dataset
from routing_ml.models import RoutingModel
from routing_ml.models.features.text import normalise
from routing_ml.pipeline import Material
from routing_ml.source import Columns, extract

SAMPLE = Path(__file__).parents[1] / "sample" / "factory_sample.accdb"
PLANNERS = (
    "ITEM_NM", "PART_TYPE", "ITEM_SPEC", "ITEM_MATERIAL", "OUTDIAMETER", "INDIAMETER",
    "OUTTHICKNESS", "OUTDIAMETER_UNIT", "SealTypeGrup", "IN_SEALTYPE_CD", "STANDARD_YN",
)  # fmt: skip
TWELVE = "a planner's twelve"  # these and ITEM_CD
GROUPS = ("ITEM_GRP1", "ITEM_GRP1NM")
SHARES = (0.2, 0.5, 0.8)  # of the columns left out at random
FIGURES = ("exact", "F1", "stated", "gap", "calibration", "by chance")
DRAWS = 200
FOLDS = 5
LEAST = 50  # operations from which a coverage is a figure
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", default="sample", help="sample, an Access file or ODBC string")
    parser.add_argument("--columns", type=Path, help="the columns file, where it is another ERP")
    parser.add_argument("--candidates", default="boosted")
    parser.add_argument("--part", action="append", choices=PARTS, help="this part alone")
    parser.add_argument("--keep", action="append", default=[], help="ask with COL,COL alone")
    parser.add_argument("--drop", action="append", default=[], help="ask without COL,COL")
    parser.add_argument("--leave-out", default="PART_TYPE", help="the column that tells kinds")
    parser.add_argument("--material", default="ITEM_MATERIAL", help="the column of materials")
    parser.add_argument("--values", type=int, default=1000, help="the N commonest values alone")
    parser.add_argument("--known", type=int, default=3, help="items of a kind that stay, of few")
    parser.add_argument("--chains", type=int, default=2352, help="parts of the factory by rule")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    options = parser.parse_args()
    chosen = options.part or list(PARTS)
    data = read(options.source, options.columns)
    found = {}
    for name in options.candidates.split(","):
        for part in chosen:
            rows = found[f"{name}, {part}"] = PARTS[part](name, data, options)
            if not options.json:
                print_table(f"{name}, {part}", rows)
    if options.json:
        print(json.dumps(found, indent=1))


def read(source: str, columns: Path | None) -> Dataset:
    """All rows of a source."""
    with tempfile.TemporaryDirectory() as folder:
        extract(
            str(SAMPLE) if source == "sample" else source, Path(folder),
            columns=Columns.load(columns), as_of=datetime.max, limit=EVERYTHING,
        )  # fmt: skip
        return dataset.load(Path(folder))


def fit(name: str, data: Dataset, routings: pd.DataFrame) -> RoutingModel:
    """A candidate fitted on the items that `routings` has."""
    return models.fit(name, data.items, routings, data.results, attributes=data.attributes)


def judged(proposals: pd.DataFrame, truth: pd.DataFrame, kinds: pd.Series | None = None) -> Row:
    """How right the proposals are beside how sure they are; `kinds` by item code are right or wrong
    together."""
    figures = metrics.evaluate(proposals, truth)
    exact = float(figures["exact_match"] or 0)
    said = float(proposals.drop_duplicates("ITEM_CD")["CONFIDENCE"].mean())
    return {
        "items": truth["ITEM_CD"].nunique(),
        "exact": exact,
        "F1": float(figures["operation_f1"] or 0),
        "stated": said,
        "gap": said - exact,
        "calibration": calibration_error(proposals, truth),
        "by chance": by_chance(proposals, kinds),
    }


def by_chance(proposals: pd.DataFrame, kinds: pd.Series | None = None) -> float:
    """The calibration error to be expected where each item is right as likely as is stated, by
    itself or with its kind."""
    asked = proposals.drop_duplicates("ITEM_CD").sort_values("CONFIDENCE", kind="stable")
    said = asked["CONFIDENCE"].to_numpy(float)
    drawn = np.arange(len(said)) if kinds is None else pd.factorize(asked["ITEM_CD"].map(kinds))[0]
    right = np.random.default_rng(0).random((DRAWS, len(said)))[:, drawn] < said
    bins = np.array_split(np.arange(len(said)), 10)
    apart = [abs(said[b].mean() - right[:, b].mean(axis=1)) for b in bins if len(b)]
    weights = [len(b) for b in bins if len(b)]
    return float(np.average(apart, axis=0, weights=weights).mean())


def by_columns(name: str, data: Dataset, options: argparse.Namespace) -> list[Row]:
    """The holdout asked with all of its columns and with some."""
    fitted, items, truth = parts(data)
    model = fit(name, data, fitted)
    return [
        {"asked with": asked, **judged(model.predict(given, similarity=False), truth)}
        for asked, given in views(items, options)
    ]


def by_fold(name: str, data: Dataset, options: argparse.Namespace) -> list[Row]:
    """As `by_columns`, of every item: each asked of one of five models that saw none of its family;
    so many items that hardly any of the calibration error is chance."""
    material = Material(data)
    family = pd.factorize(material.families.reindex(material.codes))[0]
    place = np.random.default_rng(0).permutation(family.max() + 1)
    fold = place[family] % FOLDS
    asked: dict[str, list[pd.DataFrame]] = {}
    for k in range(FOLDS):
        codes = np.array(material.codes, object)
        model = material.fit(name, codes[fold != k].tolist())
        for title, given in views(material.items(codes[fold == k].tolist()), options):
            asked.setdefault(title, []).append(model.predict(given, similarity=False))
    truth = material.truth(material.codes)
    return [{"asked with": title, **judged(pd.concat(of), truth)} for title, of in asked.items()]


def views(items: pd.DataFrame, options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """The items as somebody may give them, each in words; of the columns those that are there."""
    there = [column for column in items.columns if column != "ITEM_CD"]
    kept = dict.fromkeys([*options.keep, ",".join(PLANNERS), options.leave_out])
    dropped = [*options.drop, ",".join(GROUPS)]
    shown = {",".join(PLANNERS): TWELVE}
    yield "all columns", items
    for names in kept:
        some = [column for column in names.split(",") if column in there]
        if some:
            yield shown.get(names, f"{names} alone"), items[["ITEM_CD", *some]]
    for names in dropped:
        some = [column for column in names.split(",") if column in there]
        if some:
            yield f"without {', '.join(some)}", items.drop(columns=some)
    for share in SHARES:
        out = np.random.default_rng(0).random((len(items), len(there))) < share
        masked = items.copy()
        for column, gone in zip(there, out.T, strict=True):
            masked[column] = masked[column].mask(gone)
        yield f"each value out with {share:.0%}", masked


def by_kind(name: str, data: Dataset, options: argparse.Namespace) -> list[Row]:
    """Each of the commonest values of a column, never seen in training."""
    return left_out(name, data, [options.leave_out], options.values)


def by_few(name: str, data: Dataset, options: argparse.Namespace) -> list[Row]:
    """Each of the commonest values of a column, but for a few items never seen in training."""
    return left_out(name, data, [options.leave_out], options.values, options.known)


def by_chain(name: str, data: Dataset, options: argparse.Namespace) -> list[Row]:
    """Each of the values of a factory that is made by rules, never seen in training."""
    return left_out(name, chains(options.chains), RULED, options.values)


def left_out(
    name: str, data: Dataset, columns: Sequence[str], most: int, known: int = 0
) -> list[Row]:
    """For each value of each column: fitted without its items, but for some `known`, and asked for
    them; the largest gap and the means over values and over items last."""
    rows, every = [], []
    for column in columns:
        for value, fitted, items, truth in without_each(data, column, most, known):
            proposals = fit(name, data, fitted).predict(items, similarity=False)
            rows.append({"left out": f"{column} {value}", **judged(proposals, truth)})
            mine = f"{column} {value}"  # an item is asked once for each of its columns
            every.append(
                [f.assign(ITEM_CD=f"{mine} " + f["ITEM_CD"], kind=mine) for f in (proposals, truth)]
            )
    if not rows:
        return rows
    table = pd.DataFrame(rows)
    worst = rows[table["gap"].abs().argmax()]
    for title, weights in (("values", np.ones(len(table))), ("items", table["items"])):
        means = {figure: float(np.average(table[figure], weights=weights)) for figure in FIGURES}
        rows.append({"left out": f"mean of {title}", "items": int(table["items"].sum()), **means})
    proposals, truth = (pd.concat(frames) for frames in zip(*every, strict=True))
    kinds = truth.drop_duplicates("ITEM_CD").set_index("ITEM_CD")["kind"]
    rows.append({"left out": "all of them as one", **judged(proposals, truth)})
    rows.append({"left out": "the same, kinds as a whole", **judged(proposals, truth, kinds)})
    return [*rows, {**worst, "left out": f"largest gap: {worst['left out']}"}]


def without_each(
    data: Dataset, column: str, most: int, known: int = 0
) -> Iterator[tuple[Any, pd.DataFrame, pd.DataFrame, pd.DataFrame]]:
    """For the commonest values: the value, routings without its items, its items, their routings;
    some `known` items of it, drawn at random, stay with the others.

    All spellings of a value are one: "sleeve" in another letter case would tell of SLEEVE. A value
    that hardly any item has, or hardly any item has not, is passed over.
    """
    if column not in data.items:
        return
    newest = dataset.newest_routings(data.routings)
    items = data.items[data.items["ITEM_CD"].isin(newest["ITEM_CD"])]
    spelled = items[column].where(items[column].notna(), None).map(normalise)
    for value, count in spelled[spelled != ""].value_counts().head(most).items():
        if count < 10 or len(items) - count < 100:
            continue
        asked = items[spelled == value].sample(frac=1, random_state=0).iloc[known:]
        out = newest["ITEM_CD"].isin(asked["ITEM_CD"])
        yield value, newest[~out], asked, newest[out]


def by_band(name: str, data: Dataset, options: argparse.Namespace) -> list[Row]:
    """The band of run times for kinds and materials that are known, and that never were."""
    fitted, items, truth = parts(data)
    inside = banded(fit(name, data, fitted).predict(items, similarity=False), truth, items)
    rows = [band_row("all", inside)]
    for column in (options.leave_out, options.material):
        if column in inside:
            for value, mine in sorted(inside.groupby(column), key=lambda group: -len(group[1])):
                if len(mine) >= LEAST:
                    rows.append(band_row(f"{column} {value}", mine))
    for value, past, asked, true in without_each(data, options.material, options.values):
        proposals = fit(name, data, past).predict(asked, similarity=False)
        rows.append(band_row(f"never seen: {value}", banded(proposals, true, asked)))
    made, new = new_material()
    newest = dataset.newest_routings(made.routings)
    late = made.items["MATERIAL"] == new
    out = newest["ITEM_CD"].isin(made.items.loc[late, "ITEM_CD"])
    proposals = fit(name, made, newest[~out]).predict(made.items[late], similarity=False)
    inside = banded(proposals, newest[out], made.items[late])
    rows.append(band_row("made factory, never seen, 30 % slower", inside))
    for title, shown in (
        ("rising by 30 %", rising()),
        ("the same without dates", undated(rising())),
    ):
        fitted, items, truth = parts(rising())
        past = shown.routings[shown.routings["ITEM_CD"].isin(fitted["ITEM_CD"])]
        proposals = fit(name, shown, past).predict(items, similarity=False)
        rows.append(band_row(f"made factory, {title}", banded(proposals, truth, items)))
    return rows


def undated(data: Dataset) -> Dataset:
    """The same, of which nobody knows what is new."""
    frames = (f.assign(INSRT_DT=data.items["INSRT_DT"].min()) for f in (data.items, data.routings))
    items, routings = frames
    return replace(data, items=items, routings=routings)


def banded(proposals: pd.DataFrame, truth: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """True operations that were proposed: true minutes over proposed, inside the band or not, the
    band's width over the proposed minutes, and the item's columns."""
    keys = ["ITEM_CD", "JOB_CD", "k"]
    one, two = (f.assign(k=f.groupby(["ITEM_CD", "JOB_CD"]).cumcount()) for f in (truth, proposals))
    both = one.merge(two, on=keys, suffixes=("_true", ""))
    both = both[both["RUN_TIME_true"].notna() & (both["RUN_TIME"] > 0)]
    both = both.assign(
        inside=both["RUN_TIME_true"].between(both["RUN_TIME_LOW"], both["RUN_TIME_HIGH"]),
        off=both["RUN_TIME_true"] / both["RUN_TIME"] - 1,
        width=(both["RUN_TIME_HIGH"] - both["RUN_TIME_LOW"]) / both["RUN_TIME"],
    )
    return both[["ITEM_CD", "inside", "off", "width"]].merge(items, on="ITEM_CD")


def band_row(title: str, rows: pd.DataFrame) -> Row:
    """`off` is the median of true over proposed, less 1: .3 where it takes 30 % longer; `give or
    take` is what chance makes of the share in the band, with 95 % certainty, the operations of an
    item counting as one draw (the sandwich variance of clustered data, Liang and Zeger 1986)."""
    share = float(rows["inside"].mean())
    by_item = (rows["inside"] - share).groupby(rows["ITEM_CD"]).sum()
    return {
        "run times of": title,
        "operations": len(rows),
        "items": len(by_item),
        "in band": share,
        "give or take": float(1.96 * np.sqrt((by_item**2).sum()) / len(rows)),
        "width": float(rows["width"].median()),
        "off": float(rows["off"].median()),
    }


def by_likelihood(name: str, data: Dataset, options: argparse.Namespace) -> list[Row]:
    """All operations of all held-out items in ten bins of likelihood, with all columns and with a
    planner's; then the machines that are proposed, where the proposals say how likely they are."""
    fitted, items, truth = parts(data)
    model = fit(name, data, fitted)
    keyed = truth.assign(k=truth.groupby(["ITEM_CD", "JOB_CD"]).cumcount())
    has = set(zip(keyed["ITEM_CD"], keyed["JOB_CD"], keyed["k"], strict=True))
    asked = [(operation.job, operation.occurrence) for operation in model.operations_]
    right = np.array([[(code, *key) in has for key in asked] for code in items["ITEM_CD"]])
    rows = []
    for title, given in views(items, options):
        if title in ("all columns", TWELVE):
            said = model.likelihoods(model.encoder_.transform(given))
            rows += reliability(f"operation, {title}", said.ravel(), right.ravel())
    proposals = model.predict(items, similarity=False)
    if "RES_LIKELIHOOD" in proposals:
        proposals = proposals.assign(k=proposals.groupby(["ITEM_CD", "JOB_CD"]).cumcount())
        both = keyed.merge(proposals, on=["ITEM_CD", "JOB_CD", "k"], suffixes=("_true", ""))
        both = both[both["RES_CD_true"].notna() & both["RES_LIKELIHOOD"].notna()]
        same = (both["RES_CD"] == both["RES_CD_true"]).to_numpy(bool)
        rows += reliability("machine", both["RES_LIKELIHOOD"].to_numpy(float), same)
    return rows


def reliability(title: str, said: np.ndarray, right: np.ndarray) -> list[Row]:
    """Ten bins of equal width, and the mean distance of stated from right over all of them."""
    at = np.minimum((said * 10).astype(int), 9)
    rows: list[Row] = []
    for k in np.unique(at).tolist():
        mine = at == k
        stated, share = float(said[mine].mean()), float(right[mine].mean())
        rows.append({
            "likelihood": f"{title}: {k / 10:.1f} to {(k + 1) / 10:.1f}", "cases": int(mine.sum()),
            "right": share, "stated": stated, "gap": stated - share,
        })  # fmt: skip
    cases = [row["cases"] for row in rows]
    rows.append({
        "likelihood": f"{title}: mean distance", "cases": len(said),
        "right": float(right.mean()), "stated": float(said.mean()),
        "gap": float(np.average([abs(row["gap"]) for row in rows], weights=cases)),
    })  # fmt: skip
    return rows


PARTS: dict[str, Callable[[str, Dataset, argparse.Namespace], list[Row]]] = {
    "columns": by_columns, "folds": by_fold, "kinds": by_kind, "few": by_few, "chains": by_chain,
    "band": by_band,
    "likelihoods": by_likelihood,
}  # fmt: skip


def print_table(title: str, rows: list[Row]) -> None:
    """A Markdown table."""
    print(f"\n{title}\n")
    if not rows:
        print("nothing to ask", flush=True)
        return
    print(f"| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        cells = [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row.values()]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

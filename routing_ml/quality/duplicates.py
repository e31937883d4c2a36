"""Finds what is there twice under two names, which no key gives away."""

from collections.abc import Iterator

import pandas as pd

from routing_ml.dataset import compared, listed

MOST_ALIKE = 0.05
"""Where more of the items than that are like another one, the columns do not tell items apart."""
LEAST_COLUMNS = 3  # that are filled in: of an item of which less is known, nothing is known


def items_alike(items: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Items that are alike in all columns but their code and entry date, all of each group but the
    first; codes that differ in case or spaces alone are the same item, which the audit tells."""
    names = [name for name in items.columns if name not in ("ITEM_CD", "INSRT_DT")]
    if not names:
        return
    rows = items[names].apply(lambda of: compared(of) if pd.api.types.is_string_dtype(of) else of)
    codes = compared(items["ITEM_CD"])
    known = (rows.notna().sum(axis=1) >= LEAST_COLUMNS) & codes.notna() & ~codes.duplicated()
    rows = rows[known]
    alike = rows[rows.duplicated(keep=False)]
    twice = alike.index[alike.duplicated()]
    if not len(twice) or len(twice) > MOST_ALIKE * len(rows):
        return
    group = alike.groupby(names, dropna=False).ngroup()
    first = items["ITEM_CD"][alike.index].groupby(group).transform("first")
    why = "it is like " + first[twice] + " in every column"
    yield listed("items alike", "items", items, twice, "ITEM_CD", why)


def revisions_twice(routings: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Revisions of an item that say what an earlier one does, row by row: one row of each."""
    keys = [name for name in ("ITEM_CD", "ALT_NO", "ROUT_NO") if name in routings]
    told = [name for name in routings.columns if name not in (*keys, "INSRT_DT")]
    rows = routings.dropna(subset=["ITEM_CD", "ROUT_NO"])
    rows = rows.assign(**{name: compared(rows[name]) for name in keys})
    rows = rows.sort_values([*keys, "PROC_SEQ"], kind="stable")
    if rows.empty:
        return
    content = pd.util.hash_pandas_object(rows[told], index=False).rename("content")
    whole = (
        rows[keys]
        .assign(content=content, row=rows.index)
        .groupby(keys, dropna=False)
        .agg(content=("content", tuple), row=("row", "first"))
        .reset_index()
    )
    of = [name for name in keys if name != "ROUT_NO"] + ["content"]
    twice = whole[whole.duplicated(of)]
    if twice.empty:
        return
    first = whole.drop_duplicates(of).set_index(of)["row"]
    like = first.reindex(pd.MultiIndex.from_frame(twice[of])).to_numpy()
    why = "it says just what revision " + routings["ROUT_NO"][like].astype(str)
    why = pd.Series(why.to_numpy() + " says", twice["row"].to_numpy())
    found = listed("revision twice", "routings", routings, why.index, "ROUT_NO", why)
    yield found.assign(sequence=None)

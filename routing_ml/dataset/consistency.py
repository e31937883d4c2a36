"""Finds texts that are written in several ways, and values that break what otherwise holds between
two columns.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

PURITY = 0.98
"""Share of the rows in which one column must determine another for the rest to be suspect."""
MIN_ROWS = 50
MIN_GROUP = 5  # rows that a value must have to say anything
GROUP_PURITY = 0.9
MAX_MODE = 0.9  # a column that is nearly constant is determined by anything
MAX_VALUES = 1_000
MAX_VALUE_SHARE = 0.3


def folded(values: pd.Series) -> pd.Series:
    """Texts without what does not tell them apart: case and spaces."""
    return values.str.replace(r"\s+", "", regex=True).str.casefold()


def spellings(values: pd.Series) -> pd.Series:
    """The usual spelling of each text that is spelled in another way, by case or spaces only.

    The commonest spelling is the usual one, of equals the one that sorts first; rows spelled so,
    and missing ones, are not in the result.
    """
    filled = values.dropna()
    counts = filled.value_counts().rename_axis("text").reset_index(name="rows")
    counts["key"] = folded(counts["text"])
    counts = counts[counts["key"] != ""]
    counts = counts.sort_values(["rows", "text"], ascending=[False, True])
    usual = counts.drop_duplicates("key").set_index("key")["text"]
    usual = filled.map(dict(zip(counts["text"], usual[counts["key"]], strict=True)))
    return usual[usual.notna() & (usual != filled)]


def broken(table: pd.DataFrame, names: Sequence[str]) -> Iterator[tuple[str, pd.Series]]:
    """Each column of `names` with the rows that break its dependency on others, and why, the most
    suspect first.

    A determines B where B has its commonest value for A's in at least 98 % of the rows. Of a row
    the column is named that most others speak against: where a part's type does not fit four
    columns that fit each other, it is the type.
    """
    codes = {name: codes for name in names if (codes := _coded(table[name])) is not None}
    against = pd.DataFrame(0, table.index, list(codes))
    why = pd.DataFrame("", table.index, list(codes), dtype="str")
    for determined in codes:
        for by in codes:
            if by != determined:
                rows = _breaking(codes[by], codes[determined])
                at = table.index[rows]
                against.loc[at, determined] += 1
                new = at[why.loc[at, determined] == ""]
                why.loc[new, determined] = _reasons(table, new, by, determined, codes)
    most = against.max(axis=1)
    for name in codes:
        accused = against.index[(against[name] > 0) & (against[name] == most)]
        if len(accused):
            order = against.loc[accused, name].sort_values(ascending=False, kind="stable").index
            yield name, why.loc[order, name]


def _coded(values: pd.Series) -> np.ndarray | None:
    """A column as whole numbers, -1 missing; None where it has too few or too many values."""
    keys = folded(values)
    known = keys.notna() & (keys != "")
    found, places = np.unique(keys[known].to_numpy(object), return_inverse=True)
    codes = np.full(len(values), -1, np.int64)
    codes[known] = places
    filled = int((codes >= 0).sum())
    few = filled < MIN_ROWS or len(found) < 2
    return None if few or len(found) > min(MAX_VALUES, MAX_VALUE_SHARE * filled) else codes


def _table(by: np.ndarray, determined: np.ndarray) -> np.ndarray:
    """Rows with each pair of codes, (values of `by`, values of `determined`)."""
    both = (by >= 0) & (determined >= 0)
    size = int(determined.max()) + 1
    flat = np.bincount(by[both] * size + determined[both], minlength=(int(by.max()) + 1) * size)
    return flat.reshape(-1, size)


def _breaking(by: np.ndarray, determined: np.ndarray) -> np.ndarray:
    """The positions of the rows that break the dependency; none where there is no such."""
    table = _table(by, determined)
    rows, best = table.sum(axis=1), table.max(axis=1)
    total = rows.sum()
    if total < MIN_ROWS or not PURITY * total <= best.sum() < total:
        return np.array([], int)
    if table.sum(axis=0).max() > MAX_MODE * total:
        return np.array([], int)
    sure = (rows >= MIN_GROUP) & (best >= GROUP_PURITY * rows)
    usual = np.where(sure, table.argmax(axis=1), -1)
    both = (by >= 0) & (determined >= 0)
    expected = np.where(both, usual[by], -1)
    return np.flatnonzero((expected >= 0) & (determined != expected))


def _reasons(
    table: pd.DataFrame, at: pd.Index, by: str, determined: str, codes: dict[str, np.ndarray]
) -> list[str]:
    """What the other column's value usually goes with, for the rows `at`."""
    counts = _table(codes[by], codes[determined])
    first = {code: row for row, code in reversed(list(enumerate(codes[determined])))}
    reasons = []
    for row in table.index.get_indexer(at):
        of = counts[codes[by][row]]
        usual = table[determined].iloc[first[int(of.argmax())]]
        reasons.append(
            f"{by} {str(table[by].iloc[row]).strip()!r} goes with {str(usual).strip()!r} in "
            f"{of.max():,} of {of.sum():,} rows"
        )
    return reasons

"""Copies of items with attributes left out at random, as items come that nobody has filled in yet.

A model that has only seen complete items knows nothing of others: with a planner's twelve columns
one was right in 2.5 % of the items and said 50 %; with such copies in what it learned from, 92 %.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

SHARES = (0.2, 0.5, 0.8)
"""Of an item's columns, the shares that are left out, one of them drawn for each copy."""
MOST_OF_FEW = 3
"""Columns of a copy that holds hardly any."""
TELLING_KEPT = 0.5
"""Of the copies, the share in which a column is left out the less, the more it tells: people fill
in what matters. Worth half a point with a planner's columns."""
KEPT = ("ITEM_CD", "INSRT_DT")


def masked(
    items: pd.DataFrame, telling: Mapping[str, float], random: np.random.Generator
) -> pd.DataFrame:
    """`items` with cells left out at random; `telling` is how much a column tells, in [0, 1]."""
    share = random.choice(SHARES, len(items))
    spared = random.random(len(items)) < TELLING_KEPT
    given = {}
    for name in items.columns:
        chance = np.where(spared, share * (1 - telling.get(name, 0.0)), share)
        given[name] = random.random(len(items)) >= chance
    return _only(items, given)


def few(
    items: pd.DataFrame, telling: Mapping[str, float], random: np.random.Generator
) -> pd.DataFrame:
    """`items` with one to three columns each, drawn by how much they tell.

    Drawing: P. Efraimidis, P. Spirakis, "Weighted random sampling with a reservoir" (2006).
    """
    names = [name for name in items.columns if telling.get(name, 0.0) > 0]
    weights = np.array([telling[name] for name in names])
    with np.errstate(under="ignore"):
        keys = random.random((len(items), len(names))) ** (1 / weights)
    rank = np.argsort(np.argsort(-keys, axis=1), axis=1)
    count = random.integers(1, MOST_OF_FEW + 1, len(items))
    nothing = np.zeros(len(items), bool)
    given = {name: rank[:, i] < count for i, name in enumerate(names)}
    return _only(items, {name: given.get(name, nothing) for name in items.columns})


def _only(items: pd.DataFrame, given: Mapping[str, np.ndarray]) -> pd.DataFrame:
    cells = {n: items[n] if n in KEPT else items[n].where(given[n]) for n in items.columns}
    return pd.DataFrame(cells)

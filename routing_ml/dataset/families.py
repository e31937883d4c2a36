"""Items that belong together: parts that are alike are entered together."""

import pandas as pd

MAX_DAY_SHARE = 0.05
MAX_FAMILY = 20
"""More items than both, the share and the number, on one entry day are a data import, not a family.
By the share alone, in 76 items of pure noise, alike in fours, each had its like in another fold: a
model seemed .96 exactly right that gets .01."""


def families_of(entered: pd.Series) -> pd.Series:
    """The family of each item by its entry date (index ITEM_CD): those of one day, for parts that
    are alike are entered together. An item without a date, or of a day of a data import (more than
    20 and than a twentieth of the items), is a family of its own."""
    day = entered.dt.normalize()
    items = day.groupby(day).transform("size").reindex(day.index)
    own = day.isna() | (items > max(MAX_FAMILY, MAX_DAY_SHARE * len(day)))
    named = day.dt.strftime("%Y-%m-%d").astype(object)
    return named.mask(own, pd.Series(day.index, index=day.index).astype(object))

"""Finds the values of a column that lie far from the rest of it."""

import numpy as np
import pandas as pd

from routing_ml.dataset.units import FACTORS

Z = 3.0
MODIFIED_Z = 3.5
"""Iglewicz & Hoaglin, How to Detect and Handle Outliers (1993): .6745 (x - median) / MAD."""
QUANTILES = ((0.5, 0.6745), (0.75, 1.1503), (0.90, 1.6449), (0.95, 1.9600))
"""Of |N(0, 1)|: the first is the MAD's, the others are for columns in which most values are one."""
MIN_GROUP = 20
MOSTLY = 0.95


def plain(values: pd.Series) -> pd.Series:
    """By how many standard deviations each value is off the mean; 0 where there is no spread.

    One gross error makes the standard deviation so large that it hides all others.
    """
    finite = values.where(np.isfinite(values))
    finite = finite / (finite.abs().max() or 1.0)  # whose squares overflow no more
    spread = finite.std(ddof=0)
    if not spread > 0:
        return pd.Series(0.0, values.index)
    return ((finite - finite.mean()) / spread).fillna(0.0)


def robust(values: pd.Series, groups: pd.Series | None = None) -> pd.Series:
    """The modified z-score of each value, within its group where that has 20 values.

    Where (nearly) all are above 0 as sizes, weights and times are, logarithms are compared: twice
    is as far as half. Values that are not finite, or not above 0 among such, score 0.
    """
    finite = values.where(np.isfinite(values))
    positive = (finite.dropna() > 0).mean() >= MOSTLY
    if positive:
        finite = np.log(finite.where(finite > 0))
    least = np.log(1.5) if positive else 0.5 * abs(finite.median())
    score = _modified(finite, least)
    if groups is not None:
        sizes = finite.groupby(groups).transform("count")
        within = finite.groupby(groups).transform(_modified, least=least)
        score = within.where(sizes >= MIN_GROUP, score)
    return score.fillna(0.0)


def factors(units: pd.Series) -> pd.Series:
    """How many millimetres, kilograms or bar one of each unit is; 1 of an unknown one."""
    return units.str.strip().str.upper().map(FACTORS).astype(float).fillna(1.0)


def _modified(values: pd.Series, least: float) -> pd.Series:
    """Modified z-scores. Where the MAD is 0, since more than half of the values are one, a further
    quantile gives the scale; where 95 % are one, what is more than `least` off it scores infinity.
    """
    off = values - values.median()
    distances = off.abs()
    for quantile, normal in QUANTILES:
        if (scale := distances.quantile(quantile) / normal) > 0:
            return off / scale
    return (np.sign(off) * np.inf).where(distances > least, 0.0)

"""The figures that can stop a promotion beside the exact matches: operations, times, machines."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from routing_ml import paired

GUARDS = {
    "operation_f1": ("operation F1", 0.002),
    "run_time_error": ("run time error", 0.01),
    "setup_time_error": ("setup time error", 0.01),
    "resource_accuracy": ("machine accuracy", 0.01),
}
"""What each guard is called, and by how much worse (a fraction) it stops a promotion when shown."""


@dataclass(frozen=True)
class Guard:
    """One figure beside the exact matches; `worse` is how much worse the challenger's is."""

    name: str
    champion: float | None
    challenger: float | None
    worse: float
    tolerance: float
    stops: bool


def guards(mine: pd.DataFrame, base: pd.DataFrame, alpha: float) -> tuple[Guard, ...]:
    """Every guard of the challenger `mine` against `base`, two `metrics.per_item` of one order.

    One stops when the challenger is worse by more than the tolerance and shown to be worse at
    all, one-sided at `alpha`.
    """
    found = []
    for key, (name, tolerance) in GUARDS.items():
        a, a_of, b, b_of, sign = _ratios(key, mine, base)
        difference, error = paired.ratio_difference(a, a_of, b, b_of)
        worse = sign * difference
        known = bool(a_of.sum() and b_of.sum())
        found.append(
            Guard(
                name=name,
                champion=float(b.sum() / b_of.sum()) if known else None,
                challenger=float(a.sum() / a_of.sum()) if known else None,
                worse=worse,
                tolerance=tolerance,
                stops=worse > tolerance and worse > error * NormalDist().inv_cdf(1 - alpha),
            )
        )
    return tuple(found)


def _ratios(
    key: str, mine: pd.DataFrame, base: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """What is divided by what for each side, and +1 when more is worse."""
    if key == "operation_f1":
        a, b = 2.0 * mine["tp"], 2.0 * base["tp"]
        a_of, b_of = a + mine["fp"] + mine["fn"], b + base["fp"] + base["fn"]
    elif key == "resource_accuracy":
        a, b = mine["resource_hits"], base["resource_hits"]
        a_of, b_of = mine["resource_total"], base["resource_total"]
    else:
        column = {"run_time_error": "run_ape", "setup_time_error": "setup_ape"}[key]
        a_of = b_of = mine[column].notna() & base[column].notna()
        # An error of several hundred per cent is one mistake, not several.
        a, b = (f[column].clip(upper=1.0).where(a_of, 0.0) for f in (mine, base))
    first, first_of, second, second_of = (x.to_numpy(float) for x in (a, a_of, b, b_of))
    return first, first_of, second, second_of, 1 if key.endswith("_error") else -1

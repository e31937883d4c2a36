"""The figures that can stop a promotion beside the exact matches: operations, times, machines."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from routing_ml.comparison import paired

GUARDS = {
    "operation_f1": ("operation F1", 0.002),
    "run_time_error": ("run time error", 0.01),
    "setup_time_error": ("setup time error", 0.01),
    "resource_accuracy": ("machine accuracy", 0.01),
}
"""What each guard is called, and by how much worse (a fraction) it stops a promotion when shown."""
COLUMNS = {
    "operation_f1": ("tp", "fp", "fn"),
    "run_time_error": ("run_ape",),
    "setup_time_error": ("setup_ape",),
    "resource_accuracy": ("resource_hits", "resource_known"),
}


@dataclass(frozen=True)
class Guard:
    """One figure beside the exact matches; `worse` is how much worse the challenger's is."""

    name: str
    champion: float | None
    challenger: float | None
    worse: float
    tolerance: float
    stops: bool


def guards(
    mine: pd.DataFrame, base: pd.DataFrame, alpha: float, families: np.ndarray | None = None
) -> tuple[Guard, ...]:
    """Every guard of the challenger `mine` against `base`, two `metrics.per_item` of one order.

    One stops when the challenger is worse by more than the tolerance and shown to be worse at
    all, one-sided at `alpha`; `families` (n,) number those whose items go right together.
    """
    found = []
    for key, (name, tolerance) in GUARDS.items():
        a, a_of, b, b_of, sign = _ratios(key, mine, base)
        difference, error = paired.ratio_difference(a, a_of, b, b_of, families)
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
    m, b = ({c: f[c].to_numpy(float) for c in COLUMNS[key]} for f in (mine, base))
    if key == "operation_f1":
        hits, of = (
            [2 * s["tp"] for s in (m, b)],
            [2 * s["tp"] + s["fp"] + s["fn"] for s in (m, b)],
        )
    elif key == "resource_accuracy":
        # Of all true operations: who finds more of them, the hard ones, must not look worse.
        hits, of = ([s["resource_hits"] for s in (m, b)], [s["resource_known"] for s in (m, b)])
    else:
        (column,) = COLUMNS[key]
        both = np.isfinite(m[column]) & np.isfinite(b[column])
        # An error of several hundred per cent is one mistake, not several.
        hits = [np.where(both, np.minimum(s[column], 1.0), 0.0) for s in (m, b)]
        of = [both.astype(float)] * 2
    return hits[0], of[0], hits[1], of[1], 1 if key.endswith("_error") else -1

"""Whether a candidate is shown to be better than the simple rules of `models.BASELINES`."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from routing_ml.comparison import paired
from routing_ml.comparison.cases import FloorTest, PairedTest, aligned
from routing_ml.comparison.intervals import numbered

LEVEL = 0.001
"""Of every test against a simple rule: of 500 small factories, in many of which a candidate is just
as good, none may get a model that is worse (`python benchmarks/floor.py`)."""
WORSE_LEVEL = 0.05
"""At which a figure that does not decide is shown to be worse, and stops."""
RARELY_EXACT = 0.1
"""Share of exact matches up to which, in both, operation F1 decides: routings that hardly recur,
such as those of work orders with rework, are exactly right by luck."""
LEAST_ITEMS = 30
"""Fewer show nothing."""
EXACT, F1 = "exact matches", "operation F1"


def floor_tests(
    challengers: Mapping[str, pd.DataFrame],
    baselines: Mapping[str, pd.DataFrame],
    words: Mapping[str, str],
    families: pd.Series | None = None,
) -> dict[str, tuple[FloorTest, ...]]:
    """The tests of each challenger against each baseline, by `metrics.per_item` of the same items.

    `words` say what each baseline does; `families` (by item code) are right or wrong together.
    """
    frames = aligned({**challengers, **baselines})
    group = None
    if families is not None:
        group = numbered(next(iter(frames.values())).index, families)
    return {
        mine: tuple(
            _test(name, words.get(name, name), frames[mine], frames[name], group)
            for name in baselines
        )
        for mine in challengers
    }


def _test(
    name: str, words: str, mine: pd.DataFrame, base: pd.DataFrame, families: np.ndarray | None
) -> FloorTest:
    exact = PairedTest.of(words, mine, base, margin=0.0, alpha=LEVEL, families=families)
    reverse = PairedTest.of(words, base, mine, margin=0.0, alpha=LEVEL, families=families)
    (a, a_of), (b, b_of) = ((2.0 * f["tp"], 2 * f["tp"] + f["fp"] + f["fn"]) for f in (mine, base))
    ratios = [column.to_numpy(float) for column in (a, a_of, b, b_of)]
    difference, error = paired.ratio_difference(
        ratios[0], ratios[1], ratios[2], ratios[3], families
    )
    groups = len(mine) if families is None else len(np.unique(families))
    # By t, for a few families tell little of how much they vary.
    freedom = max(groups - 1, 1)
    error *= float(np.sqrt(groups / freedom))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = float(np.nan_to_num(difference / error)) if error else 0.0
    reach = error * float(stats.t.isf(LEVEL, freedom))
    better = float(stats.t.sf(t, freedom))
    by = F1 if max(exact.exact, exact.exact_against) < RARELY_EXACT else EXACT
    if by == F1:
        passes = better <= LEVEL and reverse.p_value > WORSE_LEVEL
    else:
        passes = exact.p_value <= LEVEL and 1 - better > WORSE_LEVEL
    return FloorTest(
        against=name,
        words=words,
        by=by,
        exact=exact,
        f1=_ratio(a, a_of),
        f1_against=_ratio(b, b_of),
        f1_difference=difference,
        f1_low=max(-1.0, difference - reach),
        f1_high=min(1.0, difference + reach),
        f1_p_value=better,
        level=LEVEL,
        passes=passes and len(mine) >= LEAST_ITEMS,
    )


def _ratio(part: pd.Series, whole: pd.Series) -> float:
    return float(part.sum() / whole.sum()) if whole.sum() else 0.0

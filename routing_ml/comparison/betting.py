"""The comparison of two models that may be looked at after every judged item: e-values by betting.

`cases.PairedTest` may be read once. Here the champion and a challenger meet on a stream of items
as they are judged, and the answer holds whenever it is read: better, worse, equivalent, or go on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import exp, log, sqrt
from statistics import NormalDist
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from routing_ml.comparison.cases import ALPHA, MARGIN
from routing_ml.errors import InputError

BETS = np.array([0.12, 0.25, 0.5, 0.95])
"""Shares of the wealth that are bet on a difference. The best one is about the true difference over
the share of items on which the two differ: these suit 1 to 3 points at up to 8 %."""
WEIGHTS = np.array([1, 2, 2, 2]) / 7
MOST_LOST = 0.98
"""Of the wealth, by one family."""
DIGITS = 6
PRECISION = 1e-7


@dataclass(frozen=True)
class Standing:
    """Where the comparison stands; differences are challenger minus champion, as fractions.

    `difference` is the mean over families, `low` and `high` its anytime bounds (each at `alpha`).
    The four e-values are against the challenger being not better, worse by the margin or more, not
    worse, and better by the margin or more; 1 / alpha shows the contrary. Where families are of
    unlike sizes, most of them may say one thing and most items another: so an answer must also be
    that of a single look (at `alpha`) at the mean over items, `by_item`, of standard error `error`.
    """

    families: int
    items: int
    differing: int
    difference: float
    by_item: float
    error: float
    low: float
    high: float
    e_not_better: float
    e_margin_worse: float
    e_not_worse: float
    e_margin_better: float
    margin: float
    alpha: float

    @property
    def better(self) -> bool:
        """Shown to be better: what another method needs to go in."""
        return self._shown(self.e_not_better, self.by_item)

    @property
    def worse(self) -> bool:
        """Shown to be worse."""
        return self._shown(self.e_not_worse, -self.by_item)

    @property
    def within(self) -> bool:
        """Shown to be less than the margin worse: what a fresh fit needs to go in."""
        return self._shown(self.e_margin_worse, self.by_item + self.margin)

    @property
    def equivalent(self) -> bool:
        """Shown to be less than the margin worse, and less than the margin better."""
        return self.within and self._shown(self.e_margin_better, self.margin - self.by_item)

    @property
    def answer(self) -> str:
        """better, worse, equivalent or go on."""
        for answer in ("better", "worse", "equivalent"):
            if getattr(self, answer):
                return answer
        return "go on"

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        shown = {name: getattr(self, name) for name in ("answer", "within")}
        return asdict(self) | shown

    def _shown(self, e_value: float, ahead: float) -> bool:
        certain = NormalDist().inv_cdf(1 - self.alpha) * self.error
        return e_value >= 1 / self.alpha and ahead > certain


class PairedSequence:
    """Champion against challenger on a stream of judged items; both fixed before its first one.

    Each family of items, right or wrong together, is one bet, whatever its size: on a mean
    difference d in [-1, 1] of its exact matches (challenger minus champion), the wealth against
    "d is x or less" is multiplied by 1 + b (d - x). Nobody who bets so, on families whose expected
    difference is x or less each, ever multiplies his wealth by 1 / alpha with a chance of more than
    alpha (Ville), so that it may be looked at daily. Items on which both agree change little, and
    nothing at x = 0: there it is the sequential sign test of those that differ. The wealth is
    the mixture over `BETS` (Waudby-Smith and Ramdas, JRSS B 86, 2024, 1-27, "grid Kelly"). It
    depends on how many families had which difference, not on their order: that is the state.

    >>> test = PairedSequence().update([1] * 20 + [0] * 180, [1] * 200)
    >>> test.standing().answer
    'better'
    """

    def __init__(self, *, margin: float = MARGIN, alpha: float = ALPHA) -> None:
        """InputError for a margin or an alpha outside (0, 1)."""
        for name, value in (("margin", margin), ("alpha", alpha)):
            if not 0 < value < 1:
                raise InputError(f"{name} is {value}: it must be above 0 and below 1")
        self.margin = margin
        self.alpha = alpha
        self.items = 0
        self._net = 0.0
        self._squares = np.zeros(3)
        self._families: Counter[float] = Counter()

    def update(self, differences: ArrayLike, sizes: ArrayLike) -> Self:
        """Take in families: the mean difference (n,) of each in [-1, 1], and how many items it has.

        InputError for differences outside, sizes below 1, or more of the one than of the other.
        """
        d, size = np.asarray(differences, float).ravel(), np.asarray(sizes, float).ravel()
        if len(d) != len(size):
            raise InputError(f"{len(d)} differences but {len(size)} sizes: give one for each")
        if not (inside := np.abs(d) <= 1).all():
            raise InputError(f"a family's difference is {d[~inside][0]}: it must be from -1 to 1")
        if not (counted := size >= 1).all():
            raise InputError(f"a family's size is {size[~counted][0]:g}: it must be at least 1")
        self.items += round(float(size.sum()))
        self._net += float(d @ size)
        self._squares += [float(size**2 @ d**power) for power in range(3)]
        self._families.update((np.round(d, DIGITS) + 0.0).tolist())
        return self

    def standing(self) -> Standing:
        """The answer, the interval and the e-values as of now; before the first family "go on"."""
        d, counts = np.array(list(self._families)), np.array(list(self._families.values()))
        families = int(counts.sum())
        mean = float(d @ counts) / families if families else 0.0
        by_item = self._net / self.items if families else 0.0
        # The sum of (size (d - by_item))^2, as of a ratio of sums over families.
        squares = max(float(self._squares @ [by_item**2, -2 * by_item, 1]), 0.0)

        def e_value(sign: int, at_most: float) -> float:
            return exp(min(float(log_wealth(sign * d, counts, at_most)), 700.0))

        return Standing(
            families=families,
            items=self.items,
            differing=int(counts[d != 0].sum()),
            difference=mean,
            by_item=by_item,
            error=sqrt(squares) / self.items if families else 0.0,
            low=_lowest(d, counts, mean, self.alpha),
            high=-_lowest(-d, counts, -mean, self.alpha),
            e_not_better=e_value(1, 0.0),
            e_margin_worse=e_value(1, -self.margin),
            e_not_worse=e_value(-1, 0.0),
            e_margin_better=e_value(-1, -self.margin),
            margin=self.margin,
            alpha=self.alpha,
        )

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on as if nothing had happened, as JSON."""
        return {
            "items": self.items,
            "net": self._net,
            "squares": self._squares.tolist(),
            "families": {str(d): number for d, number in sorted(self._families.items())},
        }

    @classmethod
    def restore(
        cls, state: Mapping[str, Any], *, margin: float = MARGIN, alpha: float = ALPHA
    ) -> Self:
        """The comparison whose `state` that is."""
        test = cls(margin=margin, alpha=alpha)
        test.items, test._net = int(state["items"]), float(state["net"])
        test._squares = np.array(state["squares"], float)
        test._families.update({float(d): int(n) for d, n in state["families"].items()})
        return test


def log_wealth(differences: np.ndarray, counts: np.ndarray, at_most: float) -> np.ndarray:
    """Log e-value (...,) against the mean difference being `at_most` or less.

    `counts` (..., k) are the numbers of families that had each of the `differences` (k,).
    """
    bets = np.minimum(BETS, MOST_LOST / max(1 + at_most, 1e-9))
    each = counts @ np.log1p(bets[:, None] * (differences - at_most)).T  # (..., bets)
    top = each.max(axis=-1)
    found: np.ndarray = top + np.log(np.exp(each - top[..., None]) @ WEIGHTS)
    return found


def _lowest(differences: np.ndarray, counts: np.ndarray, mean: float, alpha: float) -> float:
    """The smallest mean difference that is not refuted at `alpha`."""

    def beyond(at_most: float) -> float:
        return float(log_wealth(differences, counts, at_most)) - log(1 / alpha)

    # At the mean itself no bet has gained.
    if beyond(-1.0) <= 0:
        return -1.0
    return max(float(optimize.brentq(beyond, -1.0, mean, xtol=PRECISION)) - PRECISION, -1.0)

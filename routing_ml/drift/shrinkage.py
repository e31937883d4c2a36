"""Means of places with few samples, drawn towards the mean of all by what is known of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Shrunk(NamedTuple):
    """`means` and their standard `errors` (k,); `mean` and `error` of a place that is not there."""

    means: NDArray[np.float64]
    errors: NDArray[np.float64]
    mean: float
    error: float


def shrunk(means: NDArray[np.float64], variances: NDArray[np.float64], *, least: float) -> Shrunk:
    """The means (k,) of places, whose sampling `variances` (k,) are above 0, as of one population.

    Posterior means and errors with the variance between places by R. DerSimonian and N. Laird,
    "Meta-analysis in clinical trials", Controlled Clinical Trials 7 (1986), at `least` that of a
    standard deviation of `least`. Without places the mean is 0 and its error `least`.
    """
    if not len(means):
        return Shrunk(np.zeros(0), np.zeros(0), 0.0, least)
    weights = 1 / variances
    total = float(weights.sum())
    fixed = float(weights @ means) / total
    spread = float(weights @ (means - fixed) ** 2) - (len(means) - 1)
    room = total - float(weights @ weights) / total
    between = max(spread / room if room > 0 else 0.0, least**2)
    together = 1 / (variances + between)
    mean = float(together @ means / together.sum())
    posterior = 1 / (weights + 1 / between)
    error = float(np.sqrt(between + 1 / together.sum()))
    return Shrunk(posterior * (weights * means + mean / between), np.sqrt(posterior), mean, error)

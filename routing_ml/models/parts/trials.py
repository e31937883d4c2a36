"""Kinds of items that are held out to learn how well the unknown is predicted.

A trial leaves out all items, or all but a few, of some values of a column, fits on the others and
asks for those: what a model says of a kind that it has never seen says nothing of how often it is
right. Left out one by one, the values of a column gave .0 to 1.0 of exact matches at a stated .99.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from routing_ml.models.features.attributes import NEW, UNSEEN, Prepared, state_of
from routing_ml.models.parts.minutes import possible
from routing_ml.models.parts.operations import Rows

MAX_COLUMNS = 8  # the most telling ones
LEAST_TOLD = 0.01
SHOWN = 3.0  # standard deviations of chance, from which an attribute tells of the times
STEPS = 8  # of a number, to see whether it does
MIN_TOLD = 0.05  # of the weight of the most telling column
AT_ONCE = 2  # columns of which values are left out in one trial
GROUPS = (5, 8)  # of values of a column, at least and at most
MAX_SHARE = 0.15  # of the items in one group, where it holds more than one value
MAX_FITTED = 1_200
MAX_ASKED = 400
MIN_FITTED = 60
LEFT = (0, 0, 3, 0, 0, 8)  # items of a value that stay, group by group: fewer than 3 teach nothing
SEED = 20250601


@dataclass(frozen=True)
class Trial:
    """Fitted rows, and the rows asked for, as they look to who has never seen their values."""

    fitted: np.ndarray
    asked: np.ndarray
    items: Prepared


def telling(weights: np.ndarray, codes: np.ndarray, rows: Rows) -> np.ndarray:
    """How much each attribute tells (A,), of the operations by the `weights` of similarity, or of
    the times; of a category at least a little, for what was always the same has taught nothing.

    A new material of which only the times are others would else not be noticed: the band of its
    run times held .13 instead of .80.
    """
    known, apart = _apart(rows)
    shares = np.zeros(len(weights))
    for i in range(codes.shape[1]):
        shares[i] = max(0.0, _explained(codes[known, i], apart)[0])
    shares = np.sqrt(shares)
    found = np.maximum(weights, shares / max(1.0, shares.sum()))
    found[: codes.shape[1]] = np.maximum(found[: codes.shape[1]], LEAST_TOLD)
    return found


def timing(items: Prepared, rows: Rows) -> np.ndarray:
    """Which attributes are shown to tell of the times (A,) bool: categories and numbers, for a text
    tells of nothing that its words do not.

    A number of which only the times are others would else cost no width where it is missing: the
    band of items that have it held 1.00 instead of .80.
    """
    known, apart = _apart(rows)
    found = np.zeros(items.states.shape[1], bool)
    steps = [_steps(numbers) for numbers in items.numbers.T]
    for i, group in enumerate([*items.codes.T, *steps]):
        share, chance = _explained(group[known], apart)
        found[i] = share > max(LEAST_TOLD, SHOWN * chance)
    return found


def _apart(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Which items have a run time (n,), and how much longer these take than items usually do (k,),
    in log minutes, less the mean of all."""
    minutes = possible(rows.table["RUN_TIME"].to_numpy(float))
    timed = minutes > 0
    item, operation = rows.item[timed], rows.operation[timed]
    log = np.log(minutes[timed])
    size, count = len(rows.operations), len(rows.codes)
    usual = np.bincount(operation, weights=log, minlength=size) / np.maximum(
        1, np.bincount(operation, minlength=size)
    )
    number = np.bincount(item, minlength=count)
    apart = np.bincount(item, weights=log - usual[operation], minlength=count)
    mean = apart[number > 0] / number[number > 0]
    return number > 0, mean - mean.mean() if len(mean) else mean


def _explained(group: np.ndarray, apart: np.ndarray) -> tuple[float, float]:
    """The share of the variance of `apart` (k,) that lies between the groups (k,), beyond what
    chance would give, and how far chance strays."""
    total = float((apart**2).sum())
    if total <= 0:
        return 0.0, 0.0
    _, group = np.unique(group, return_inverse=True)
    between = np.bincount(group, weights=apart) ** 2 / np.bincount(group)
    free, most = int(group.max()), max(1, len(apart) - 1)
    return float(between.sum()) / total - free / most, float(np.sqrt(2 * free)) / most


def _steps(numbers: np.ndarray) -> np.ndarray:
    """Each of the numbers (n,) as one of STEPS about equally common ones; what is missing too."""
    given = numbers[~np.isnan(numbers)]
    edges = np.quantile(given, np.arange(1, STEPS) / STEPS) if len(given) else given
    return np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers, side="right"))


def tried_columns(codes: np.ndarray, weights: np.ndarray) -> list[int]:
    """Which categories are tried: those that tell most of the routing, a column that only spells
    another one anew not again. `codes` (n, C), `weights` (C,)."""
    chosen: list[int] = []
    least = MIN_TOLD * weights.max(initial=0.0)
    for i in np.argsort(-weights, kind="stable").tolist():
        if weights[i] <= 0 or weights[i] < least or len(chosen) == MAX_COLUMNS:
            break
        values = len(np.unique(codes[codes[:, i] >= 0, i]))
        if values >= 2 and not any(_same(codes[:, i], codes[:, j]) for j in chosen):
            chosen.append(i)
    return chosen


def trials(items: Prepared, columns: list[int]) -> Iterator[Trial]:
    """The trials of these columns, each group of values once. Of a group none or a few items stay
    fitted (LEFT), for a kind may be new, or nearly; beside it some items like all are asked for."""
    random = np.random.default_rng(SEED)
    groups = {i: _groups(items.codes[:, i]) for i in columns}
    for start in range(0, len(columns), AT_ONCE):
        some = columns[start : start + AT_ONCE]
        for k in range(max(len(groups[i]) for i in some)):
            out = np.zeros(len(items.codes), bool)
            for j, i in enumerate(some):
                for value in groups[i][k] if k < len(groups[i]) else []:
                    mine = random.permutation(np.flatnonzero(items.codes[:, i] == value))
                    out[mine[LEFT[(start + j + k) % len(LEFT)] :]] = True
            fitted, asked = np.flatnonzero(~out), np.flatnonzero(out)
            if len(fitted) < MIN_FITTED:
                continue
            fitted, asked = random.permutation(fitted), random.permutation(asked)[:MAX_ASKED]
            usual = min(len(fitted) // 5, MAX_ASKED // 4)
            asked = np.sort(np.r_[asked, fitted[:usual]])
            fitted = np.sort(fitted[usual:][:MAX_FITTED])
            yield Trial(fitted, asked, _unknown(items, fitted, asked))


def _unknown(items: Prepared, fitted: np.ndarray, asked: np.ndarray) -> Prepared:
    """The asked items as they look to who knows the fitted ones alone."""
    known, theirs = items.at(fitted), items.at(asked)
    codes, states = theirs.codes.copy(), theirs.states.copy()
    for i in range(codes.shape[1]):
        size = int(items.codes[:, i].max(initial=-1)) + 1
        mine = known.codes[:, i]
        counts = np.r_[np.bincount(mine[mine >= 0], minlength=size), 0, 0]
        states[:, i] = state_of(codes[:, i], counts)
        codes[states[:, i] == NEW, i] = UNSEEN
    words = theirs.words * known.words.any(axis=0).astype(np.uint8)
    return replace(theirs, codes=codes, states=states, words=words)


def _groups(codes: np.ndarray) -> list[list[int]]:
    """All values of a column in a few groups of about equally many items: were the commonest alone
    tried, of others it would be said what is true of these."""
    values, counts = np.unique(codes[codes >= 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    groups: list[list[int]] = []
    sizes: list[int] = []
    for value, count in zip(values[order].tolist(), counts[order].tolist(), strict=True):
        at = int(np.argmin(sizes)) if len(groups) >= GROUPS[0] else len(groups)
        full = at < len(groups) and sizes[at] + count > MAX_SHARE * len(codes)
        if at == len(groups) or (full and len(groups) < GROUPS[1]):
            groups.append([])
            sizes.append(0)
            at = len(groups) - 1
        groups[at].append(value)
        sizes[at] += count
    return groups


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Do two columns part the items in nearly the same way?"""
    both = (one >= 0) & (other >= 0)
    if both.sum() < 0.5 * len(one):
        return False
    pairs = len(np.unique(one[both].astype(np.int64) * 100_003 + other[both]))
    return pairs <= 1.1 * min(len(np.unique(one[both])), len(np.unique(other[both])))

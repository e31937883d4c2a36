"""Which features are worth keeping: those that say something of operations, their order, machines,
times, or what else is decided item by item."""

from __future__ import annotations

import numpy as np

from routing_ml.models.features.attributes import MIN_COUNT, Prepared
from routing_ml.models.features.design import Design
from routing_ml.models.parts import flags, machines, order
from routing_ml.models.parts.minutes import possible
from routing_ml.models.parts.operations import Rows
from routing_ml.models.trees.boosting import feature_gains

SAMPLE_ROWS = 10_000
MOST_FOR_OPERATIONS = 100
MOST_FOR_MACHINES = 30
MOST_FOR_TIMES = 40
MOST_FOR_ORDER = 30
MOST_FOR_FLAGS = 30


def choose(design: Design, items: Prepared, rows: Rows) -> Design:
    """The features with the greatest gains in a few large trees for each of these, and every
    plain number: times are smooth in them where trees see steps."""
    some = np.arange(0, len(items.codes), max(1, -(-len(items.codes) // SAMPLE_ROWS)))
    matrix = design.transform(items.at(some))
    kept = {i for i, feature in enumerate(design.features) if feature.kind == "number"}
    operations = rows.present[some].astype(np.float32)
    _, _, chosen = machines.targets(rows)
    for target, most in (
        (operations, MOST_FOR_OPERATIONS),
        (order.targets(rows)[some], MOST_FOR_ORDER),
        (chosen[some], MOST_FOR_MACHINES),
        (flags.open_targets(rows)[1][some], MOST_FOR_FLAGS),
        (_log_minutes(rows)[some], MOST_FOR_TIMES),
    ):
        if target.shape[1]:
            gains = feature_gains(matrix, design.bins, target, MIN_COUNT)
            best = np.argsort(-gains, kind="stable")[:most]
            kept.update(best[gains[best] > 0].tolist())
    return design.only(np.array(sorted(kept), np.int64))


def _log_minutes(rows: Rows) -> np.ndarray:
    """(n, 2 L): log setup and log run minutes, NaN where there is none."""
    size = len(rows.operations)
    found = np.full((len(rows.codes), 2 * size), np.nan, np.float32)
    for start, column in ((0, "SETUP_TIME"), (size, "RUN_TIME")):
        minutes = possible(rows.table[column].to_numpy(float))
        good = minutes > 0
        found[rows.item[good], start + rows.operation[good]] = np.log(minutes[good])
    return found

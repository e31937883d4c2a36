"""Which operations are done outside, by a subcontractor."""

from __future__ import annotations

import numpy as np

from routing_ml.models.parts.operations import Rows
from routing_ml.models.storage import Stored
from routing_ml.source import says_outside

UNSAID = -1.0  # in a stored model
SETTLED = 0.97  # share from which a machine says it, whatever the item
MIN_ROWS = 3  # of an operation on a machine, to go by these alone


class Outside:
    """`share` (L,) of each operation's past rows that were done outside, and `share_on` (K,) of
    those on each machine as of `Machines.choices`; NaN where nobody said."""

    def __init__(self, share: np.ndarray, choices: np.ndarray, share_on: np.ndarray) -> None:
        self.share, self.share_on = share, share_on
        self._on = {(k, m): i for i, (k, m) in enumerate(choices.tolist())}

    @classmethod
    def unknown(cls, choices: np.ndarray, size: int) -> Outside:
        """Nobody said."""
        return cls(np.full(size, np.nan), choices, np.full(len(choices), np.nan))

    @classmethod
    def fit(cls, rows: Rows, choices: np.ndarray, names: list[str]) -> Outside:
        """`INSIDE_FLAG` may be missing, in rows or altogether."""
        found = cls.unknown(choices, len(rows.operations))
        share, share_on = found.share, found.share_on
        if "INSIDE_FLAG" not in rows.table:
            return found
        flags = rows.table["INSIDE_FLAG"]
        said = flags.notna().to_numpy()
        outside = np.array([says_outside(flag) for flag in flags.fillna("")], bool)
        counts = np.bincount(rows.operation[said], minlength=len(share))
        hits = np.bincount(rows.operation[said], weights=outside[said], minlength=len(share))
        share[counts > 0] = hits[counts > 0] / counts[counts > 0]
        number = {name: m for m, name in enumerate(names)}
        machines = rows.table["RES_CD"].astype("str").str.strip().map(number)
        known = said & machines.notna().to_numpy()
        keys = zip(rows.operation[known], machines[known].astype(int), strict=True)
        at = np.array([found._on[key] for key in keys], np.int64)
        counts = np.bincount(at, minlength=len(share_on))
        hits = np.bincount(at, weights=outside[known], minlength=len(share_on))
        enough = counts >= MIN_ROWS
        share_on[enough] = hits[enough] / counts[enough]
        return found

    def predict(self, operation: np.ndarray, machine: np.ndarray, likely: np.ndarray) -> np.ndarray:
        """(k,) share of past rows done outside: of the operation on this machine, where there are
        enough, else of the operation; where that is open, how `likely` (k,) it is of an item like
        this one, NaN where that does not differ between items."""
        pairs = zip(operation.tolist(), machine.tolist(), strict=True)
        at = np.array([self._on.get(pair, -1) for pair in pairs], np.int64)
        on = np.r_[self.share_on, np.nan][at]
        share = np.where(np.isnan(on), self.share[operation], on)
        settled = (share <= 1 - SETTLED) | (share >= SETTLED) | np.isnan(likely)
        return np.where(settled, share, likely)

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs."""
        said = np.nan_to_num(self.share, nan=UNSAID), np.nan_to_num(self.share_on, nan=UNSAID)
        return dict(zip(("share", "share_on"), said, strict=True))

    @classmethod
    def from_stored(cls, stored: Stored, prefix: str, choices: np.ndarray, size: int) -> Outside:
        """The part of a stored model."""
        shares = [
            stored.array(f"{prefix}.{name}", "f", (count,), low=UNSAID, high=1)
            for name, count in (("share", size), ("share_on", len(choices)))
        ]
        share, share_on = (np.where(of < 0, np.nan, of) for of in shares)
        return cls(share, choices, share_on)

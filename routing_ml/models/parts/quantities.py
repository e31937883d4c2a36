"""How the minutes of an operation grow with the quantity: per piece, per lot, or in between."""

from __future__ import annotations

import numpy as np
import pandas as pd

from routing_ml.models.parts.operations import Rows
from routing_ml.models.storage import Stored
from routing_ml.source import says_yes

MIN_REPORTS = 20  # work orders of an operation, of quantities that differ
MIN_SPREAD = 0.3  # standard deviation of their log quantities
NEAR = 0.15  # a power this near to 1 is per piece, to 0 per lot
LEVELS = (-50.0, 50.0)  # of a logarithm of minutes that can be
ASSUMED, WRITTEN, REPORTED = 0, 1, 2


class Quantities:
    """Of each operation: run minutes of N pieces are RUN_TIME · exp(`level`) · N ^ `power`, or
    RUN_TIME for each started `lot` pieces where the power is 0 and the lot above 0; `told` by
    nobody (then it is per piece), by the ERP's flag, or by the work orders: (L,) each."""

    def __init__(
        self, power: np.ndarray, level: np.ndarray, lot: np.ndarray, told: np.ndarray
    ) -> None:
        self.power, self.level, self.lot, self.told = power, level, lot, told

    @classmethod
    def usual(cls, size: int) -> Quantities:
        """Per piece, as far as anybody knows."""
        return cls(np.ones(size), np.zeros(size), np.zeros(size), np.full(size, ASSUMED, np.int8))

    @classmethod
    def fit(cls, rows: Rows, results: pd.DataFrame | None) -> Quantities:
        """What work orders of different quantities say counts more than a flag: on the sample the
        minutes of operations that are flagged as a lot's grow with the quantity to the power .99.
        """
        found = cls.usual(len(rows.operations))
        found._written(rows)
        keys = ["ITEM_CD", "ROUT_NO", "PROC_SEQ"]
        if results is None or not len(results) or not {*keys} <= {*rows.table.columns}:
            return found
        planned = rows.table[[*keys, "RUN_TIME"]].assign(operation=rows.operation)
        both = results.merge(planned, on=keys)
        hours, quantity, run = (
            both[name].to_numpy(float) for name in ("MACH_WORKED_HOURS", "ORDER_QTY", "RUN_TIME")
        )
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            x, y = np.log(quantity), np.log(hours * 60 / run)
        good = np.isfinite(x) & np.isfinite(y)
        operation = both["operation"].to_numpy()
        for k in range(len(found.power)):
            mine = good & (operation == k)
            if mine.sum() >= MIN_REPORTS and x[mine].std() >= MIN_SPREAD:
                found._reported(k, x[mine], y[mine])
        return found

    def _written(self, rows: Rows) -> None:
        if "PER_LOT" not in rows.table:
            return
        lots = np.array([says_yes(flag) for flag in rows.table["PER_LOT"].fillna("")], bool)
        count = np.bincount(rows.operation, minlength=len(self.power))
        share = np.bincount(rows.operation, weights=lots, minlength=len(self.power)) / count
        self.told[:] = WRITTEN
        self.power[share > 0.5] = 0
        if "LOT_SIZE" in rows.table:
            size = rows.table["LOT_SIZE"].where(lots & (rows.table["LOT_SIZE"] > 0).to_numpy())
            median = size.groupby(rows.operation).median().reindex(range(len(self.power)))
            self.lot[:] = median.fillna(0)

    def _reported(self, k: int, x: np.ndarray, y: np.ndarray) -> None:
        """Take the slope of log minutes on log quantity, (n,) each, of operation `k`."""
        middle = x.mean()
        slope = float(np.cov(x, y)[0, 1] / x.var(ddof=1))
        rest = y - y.mean() - slope * (x - middle)
        error = float(np.sqrt(rest.var() / (len(x) - 2) / x.var()))
        near = max(NEAR, 2 * error)
        if slope > 1 or abs(slope - 1) <= near:
            self.power[k], self.level[k], self.lot[k] = 1, 0, 0
        elif slope <= near:
            if self.power[k] or not self.lot[k]:
                self.power[k], self.lot[k] = 0, 0
                self.level[k] = float(np.clip(np.median(y), *LEVELS))
        else:
            self.power[k], self.lot[k] = slope, 0
            self.level[k] = float(np.clip(np.median(y) - slope * middle, *LEVELS))
        self.told[k] = REPORTED

    def minutes(
        self,
        operation: np.ndarray,
        run: np.ndarray,
        quantity: float | np.ndarray,
        per_lot: np.ndarray,
    ) -> np.ndarray:
        """(k,) run minutes of `quantity` pieces, one number or (k,), from RUN_TIME (k,). `per_lot`
        (k,) is how likely the ERP's flag is set for such an item, NaN where that does not differ
        between items."""
        power = self._powers(operation, per_lot)
        lot = np.where(power == 0, self.lot[operation], 0)
        lots = np.ceil(quantity / np.where(lot > 0, lot, np.inf))
        grown = np.exp(self.level[operation]) * quantity**power
        return run * np.where(lot > 0, np.maximum(lots, 1), grown)

    def notes(self, operation: np.ndarray, per_lot: np.ndarray) -> np.ndarray:
        """(k,) what is to be said of each operation's time, None of one that is per piece."""
        power, found = self._powers(operation, per_lot), np.full(len(operation), None, object)
        said: dict[tuple[int, float], str] = {}
        for row in np.flatnonzero(power < 1).tolist():
            key = int(operation[row]), float(power[row])
            if key not in said:
                said[key] = self._note(*key)
            found[row] = said[key]
        return found

    def _powers(self, operation: np.ndarray, per_lot: np.ndarray) -> np.ndarray:
        written = (self.told[operation] == WRITTEN) & ~np.isnan(per_lot)
        return np.where(written, np.where(per_lot >= 0.5, 0.0, 1.0), self.power[operation])

    def _note(self, operation: int, power: float) -> str:
        by = "by its work orders" if self.told[operation] == REPORTED else "by the ERP"
        if power:
            return f"run minutes grow with the quantity to the power {power:.2f}, {by}"
        if self.lot[operation]:
            return f"run time is for a lot of up to {self.lot[operation]:g} pieces, {by}"
        return f"run time is for a lot, whatever its quantity, {by}"

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs."""
        return {"power": self.power, "level": self.level, "lot": self.lot, "told": self.told}

    @classmethod
    def from_stored(cls, stored: Stored, prefix: str, size: int) -> Quantities:
        """The part of a stored model."""
        return cls(
            stored.array(f"{prefix}.power", "f", (size,), low=0, high=1),
            stored.array(f"{prefix}.level", "f", (size,), low=LEVELS[0], high=LEVELS[1]),
            stored.array(f"{prefix}.lot", "f", (size,), low=0),
            stored.array(f"{prefix}.told", "i", (size,), low=0, high=2),
        )

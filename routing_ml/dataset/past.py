"""What a dataset was on earlier days, by when its rows were entered: a source that was read once
stands for an extract as of each day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from routing_ml.dataset.frames import Dataset, cleaned, read_manifest, read_tables
from routing_ml.errors import InputError

ENTERED = {"items": "INSRT_DT", "routings": "INSRT_DT", "results": "REPORT_DT"}
"""What says when a row of each table was entered."""


@dataclass(frozen=True)
class Past:
    """The rows of a dataset that was extracted without a limit, as they came from the source."""

    path: Path
    manifest: dict[str, Any]
    tables: dict[str, pd.DataFrame]

    @classmethod
    def load(cls, path: Path) -> Self:
        """That of the dataset at `path`, its hashes checked. Raises InputError as `load` does, and
        where no item or no routing has an entry date, so that nothing tells what was when."""
        path, manifest = read_manifest(path)
        tables = read_tables(path, manifest)
        for role in ("items", "routings"):
            entered = ENTERED[role]
            named = entered in manifest["columns"][role]
            if not named or (len(tables[role]) and tables[role][entered].isna().all()):
                raise InputError(
                    f"{manifest['source']}: no row of the {role} says when it was entered, so that "
                    f"nothing tells what there was on an earlier day; name the column as 'entered' "
                    f"in [{role}] of the columns file"
                )
        return cls(path, manifest, tables)

    def began(self) -> datetime | None:
        """When the first item was entered; None where there is none with a date."""
        first = self.tables["items"][ENTERED["items"]].min()
        return None if pd.isna(first) else first.to_pydatetime()

    def at(self, moment: datetime) -> Dataset:
        """What `load` gives of an extract without a limit as of a moment (naive, the factory's):
        the rows entered until then, and those without a date."""
        tables = {role: table[self._there(role, moment)] for role, table in self.tables.items()}
        manifest = self.manifest | {"as_of": moment.isoformat()}
        return cleaned(self.path, manifest, tables)

    def rows(self, moment: datetime) -> tuple[int, ...]:
        """How many rows of each table there were: where that is the same, so is the dataset."""
        return tuple(int(self._there(role, moment).sum()) for role in sorted(self.tables))

    def _there(self, role: str, moment: datetime) -> np.ndarray:
        entered = self.tables[role][ENTERED[role]]
        return ~(entered > pd.Timestamp(moment)).to_numpy()

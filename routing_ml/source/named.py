"""The names that an ERP gives to what the product knows: its tables, their columns, their units."""

from collections.abc import Mapping
from dataclasses import dataclass, field

JOINED_BY = "/"  # the parts of a key that takes several columns

# key in the columns file -> (standard name, what its values are, whether it must be given).
# Names that begin with "_" are read to choose rows or to give others their meaning, and not kept.
ROUTING_COLUMNS = {
    "item": ("ITEM_CD", "code", True),
    "revision": ("ROUT_NO", "code", True),
    "sequence": ("PROC_SEQ", "sequence", True),
    "entered": ("INSRT_DT", "date", False),
    "operation": ("JOB_CD", "code", True),
    "operation_name": ("JOB_NM", "text", False),
    "resource": ("RES_CD", "code", False),
    "setup_minutes": ("SETUP_TIME", "number", False),
    "run_minutes": ("RUN_TIME", "number", False),
    "alternative": ("ALT_NO", "code", False),
    "inside": ("INSIDE_FLAG", "code", False),
    "per_lot": ("PER_LOT", "code", False),
    "lot_size": ("LOT_SIZE", "number", False),
    "status": ("_STATUS", "code", False),
    "valid_from": ("_VALID_FROM", "date", False),
    "valid_to": ("_VALID_TO", "date", False),
}
RESULT_COLUMNS = {
    "item": ("ITEM_CD", "code", True),
    "revision": ("ROUT_NO", "code", True),
    "sequence": ("PROC_SEQ", "sequence", True),
    "entered": ("REPORT_DT", "date", True),
    "machine_hours": ("MACH_WORKED_HOURS", "number", False),
    "setup_hours": ("SETUP_HOURS", "number", False),
    "quantity": ("ORDER_QTY", "number", False),
}
ITEM_COLUMNS = {
    "item": ("ITEM_CD", "code", True),
    "entered": ("INSRT_DT", "date", False),
}


@dataclass(frozen=True)
class Attributes:
    """What cannot be told from an attribute's type: the free texts, and the units of numbers."""

    text: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Times:
    """What a number of the routings' times means.

    `run_unit` and `setup_unit` are minutes in one of their unit, or the column that names the
    unit; `per_quantity` is the number of pieces that a run time is for, or the column that has it;
    `assumed` names the keys of the columns file that were left to their defaults.
    """

    run_unit: float | str = 1.0
    setup_unit: float | str = 1.0
    per_quantity: float | str = 1.0
    assumed: str = ""


@dataclass(frozen=True)
class Table:
    """One table of the ERP, or a query in its place.

    `parts` maps standard names to the ERP's columns, several where a key is joined of them; absent
    ones are left out. `active` are the values of `_STATUS` that count.
    """

    role: str
    name: str
    parts: Mapping[str, tuple[str, ...]]
    kinds: Mapping[str, str]
    required: tuple[str, ...]
    query: str = ""
    where: str = ""
    ignore: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    times: Times = Times()

    @property
    def columns(self) -> dict[str, str]:
        """Standard names to the ERP's, those of a joined key in one text."""
        return {name: " / ".join(parts) for name, parts in self.parts.items()}

    @property
    def entered(self) -> str | None:
        """The standard name of the column that says when a row was entered, if there is one."""
        dated = (name for name in ("INSRT_DT", "REPORT_DT") if name in self.parts)
        return next(dated, None)

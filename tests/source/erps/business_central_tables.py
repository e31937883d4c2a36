"""A Business Central's tables around a made-up factory: what counts of it, and what does not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from data_fixtures import Rows
from erp_factory import AS_OF, CENTERS, TASKS, Chance, Step

BLANK = datetime(1753, 1, 1)  # how a date that was not entered is stored
CODE, NUMBER, MOMENT, FLAG = "NVARCHAR(20)", "DECIMAL(38,20)", "DATETIME", "TINYINT"
APP = "437dbf0e-84ff-417a-965d-ed2bb9650972"
MATERIAL = "Material$5ab1c0de-0000-4000-8000-000000000001"
SCHEMA: dict[str, dict[str, str]] = {
    "Item": {
        "timestamp": "BLOB", "No_": CODE, "Description": CODE, "Description 2": CODE,
        "Base Unit of Measure": CODE, "Item Category Code": CODE, "Inventory Posting Group": CODE,
        "Gen_ Prod_ Posting Group": CODE, "Gross Weight": NUMBER, "Net Weight": NUMBER,
        "Unit Volume": NUMBER, "Unit Cost": NUMBER, "Routing No_": CODE, "Blocked": FLAG,
        "Replenishment System": "INT", "$systemCreatedAt": MOMENT,
    },
    "Routing Header": {"No_": CODE, "Status": "INT", "Type": "INT", "Last Date Modified": MOMENT},
    "Routing Version": {
        "Routing No_": CODE, "Version Code": CODE, "Status": "INT", "Starting Date": MOMENT,
    },
    "Routing Line": {
        "Routing No_": CODE, "Version Code": CODE, "Operation No_": CODE, "Type": "INT",
        "No_": CODE, "Work Center No_": CODE, "Description": CODE, "Standard Task Code": CODE,
        "Routing Link Code": CODE, "Setup Time": NUMBER, "Run Time": NUMBER,
        "Setup Time Unit of Meas_ Code": CODE, "Run Time Unit of Meas_ Code": CODE,
        "Lot Size": NUMBER, "Sequence No_ (Forward)": "INT", "$systemCreatedAt": MOMENT,
    },
    "Work Center": {"No_": CODE, "Subcontractor No_": CODE, "Unit of Measure Code": CODE},
    "Capacity Unit of Measure": {"Code": CODE, "Type": "INT"},
}  # fmt: skip
MINUTES = {"MS": 1 / 60_000, "CENTI": 0.6, "MIN": 1.0, "STD": 60.0, "TAG": 1440.0}
CERTIFIED = 1


@dataclass(frozen=True)
class Version:
    """A routing's version, or its own lines (`code` ''), with the steps of all its items."""

    code: str
    status: int
    start: datetime
    steps: tuple[Step, ...]


class BusinessCentral:
    """`tables` to fill a database with, and what they say: `versions` of each item, `items`."""

    def __init__(self, seed: int = 8, routings: int = 80) -> None:
        self.chance = Chance(seed)
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMA}
        self.versions: dict[str, list[Version]] = {}
        self.items: dict[str, dict[str, Any]] = {}
        for place, code in enumerate(MINUTES):
            self.rows["Capacity Unit of Measure"].append({"Code": code, "Type": place})
        for center in (name for names in CENTERS.values() for name in names):
            self.rows["Work Center"].append(
                {"No_": f"W-{center}",
                 "Unit of Measure Code": "STD" if center[-1] == "1" else "MIN",
                 "Subcontractor No_": "V01" if center.startswith("PAINT") else ""}
            )  # fmt: skip
        for number in range(routings):
            items = [f"{1000 + number}-{n}" for n in range(self.chance.choice((1, 1, 2)))]
            self._routing(f"R{number:03}", [item for item in items if self._item(item, number)])

    def tables(self, types: dict[str, str]) -> dict[str, Rows]:
        """The rows of each table, in no order; types as the database calls them."""
        tables = {}
        for name, columns in SCHEMA.items():
            rows = [tuple(row.get(column) for column in columns) for row in self.rows[name]]
            kinds = {column: types.get(kind, kind) for column, kind in columns.items()}
            tables[f"CRONUS${name}${APP}"] = Rows(kinds, self.chance.sample(rows, len(rows)))
        others = [(item, "Steel" if n % 2 else "") for n, item in enumerate(self.items)]
        text = types.get(CODE, CODE)
        tables[f"CRONUS$Item${APP}$ext"] = Rows({"No_": text, MATERIAL: text}, others)
        tables[f"OTHER$Item${APP}"] = tables[f"CRONUS$Item${APP}"]
        return tables

    def steps(self, as_of: datetime) -> list[Step]:
        """What is to be read as it was at a moment."""
        return [
            step
            for versions in self.versions.values()
            for version in versions
            if version.status == CERTIFIED and version.start <= as_of
            for step in version.steps
            if step.entered is None or step.entered <= as_of
        ]

    def in_force(self, as_of: datetime) -> list[Step]:
        """What Business Central would make an order by at a moment."""
        chosen: dict[str, Version] = {}
        there = set(self.steps(as_of))
        for item, versions in self.versions.items():
            usable = [version for version in versions if there & set(version.steps)]
            if usable:
                chosen[item] = max(usable, key=lambda v: (v.code != "", v.start, v.code))
        return [step for version in chosen.values() for step in version.steps if step in there]

    def _item(self, item: str, number: int) -> bool:
        """Write an item; whether it counts."""
        chance = self.chance
        entered = chance.choice((chance.day(), chance.day(), BLANK))
        attributes = {
            "Description": f"Welle {number}", "Description 2": chance.choice((None, "h6")),
            "Base Unit of Measure": "STÜCK", "Item Category Code": chance.choice(("SHAFT", "RING")),
            "Inventory Posting Group": "FINISHED", "Gen_ Prod_ Posting Group": "MANUFACT",
            "Gross Weight": 2.5, "Net Weight": round(chance.uniform(0.1, 2), 3), "Unit Volume": 0.0,
        }  # fmt: skip
        wrong = {}
        if chance.yes(0.2):
            wrong = chance.choice(({"Blocked": 1}, {"Replenishment System": 0}))
        # Business Central stores '' for every text that is not there.
        stored = {name: "" if value is None else value for name, value in attributes.items()}
        self.rows["Item"].append(
            {"timestamp": b"\0\1", "No_": item, "Routing No_": f"R{number:03}", "Blocked": 0,
             "Replenishment System": 1, "Unit Cost": 3.2, "$systemCreatedAt": entered}
            | stored | wrong
        )  # fmt: skip
        if not wrong:
            self.items[item] = attributes | {"INSRT_DT": None if entered == BLANK else entered}
        return not wrong

    def _routing(self, routing: str, items: list[str]) -> None:
        chance = self.chance
        status = chance.choices((CERTIFIED, 0, 2, 3), (9, 1, 1, 1))[0]
        self.rows["Routing Header"].append(
            {"No_": routing, "Status": status, "Type": 0, "Last Date Modified": AS_OF}
        )
        starts = [chance.choice((BLANK, datetime(2023, 4, 1), self._midnight()))
                  for _ in range(chance.choice((0, 0, 1, 2, 3)))]  # fmt: skip
        drafts = [("", status, BLANK)]
        drafts += [
            (f"V{n}", CERTIFIED if chance.yes(0.7) else chance.choice((0, 2, 3)), start)
            for n, start in enumerate(starts)
        ]
        # The latest start first, then the last code; a routing's own lines at the end.
        drafts.sort(key=lambda draft: (draft[0] != "", draft[2], draft[0]), reverse=True)
        for rank, (code, state, start) in enumerate(drafts, start=1):
            if code:
                self.rows["Routing Version"].append(
                    {"Routing No_": routing, "Version Code": code, "Status": state,
                     "Starting Date": start}
                )  # fmt: skip
            steps = self._lines(routing, code, rank)
            for item in items:
                mine = tuple(Step(**{**vars(step), "item": item}) for step in steps)
                self.versions.setdefault(item, []).append(Version(code, state, start, mine))

    def _midnight(self) -> datetime:
        day = self.chance.day(last=AS_OF + timedelta(days=200))
        return day.replace(hour=0, minute=0, second=0)

    def _lines(self, routing: str, version: str, rank: int) -> list[Step]:
        chance = self.chance
        numbers = chance.choice((
            [f"{n}0" for n in range(4, 12)], ["10", "10A", "20", "30", "100", "110", "120"]
        ))  # fmt: skip
        created = chance.choice((chance.day(), chance.day(), BLANK))
        found = []
        for place, (number, task) in enumerate(zip(numbers, chance.tasks(), strict=False), start=1):
            center, by_task = chance.choice(CENTERS[task]), chance.yes(0.7)
            is_machine = chance.yes(0.5)
            resource = f"M-{center}" if is_machine else f"W-{center}"
            setup, run = float(chance.choice((0, 0.5, 12))), chance.minutes()
            units = [chance.choice(("", *MINUTES, "X")) for _ in range(2)]
            lot = chance.choice((0, 1, 10))
            self.rows["Routing Line"].append(
                {"Routing No_": routing, "Version Code": version, "Operation No_": number,
                 "Type": int(is_machine), "No_": resource, "Work Center No_": f"W-{center}",
                 "Description": TASKS[task], "Standard Task Code": task if by_task else "",
                 "Routing Link Code": "", "Setup Time": setup, "Run Time": run,
                 "Setup Time Unit of Meas_ Code": units[0], "Run Time Unit of Meas_ Code": units[1],
                 "Lot Size": lot, "Sequence No_ (Forward)": place, "$systemCreatedAt": created}
            )  # fmt: skip
            own = "STD" if center[-1] == "1" else "MIN"
            per_unit = [MINUTES.get(unit or own) for unit in units]
            found.append(
                Step(
                    "", version or "(none)", 10 * place, task if by_task else resource, resource,
                    None if per_unit[0] is None else setup * per_unit[0],
                    None if per_unit[1] is None else run * per_unit[1] / (lot or 1),
                    None if created == BLANK else created, name=TASKS[task],
                    alternative=str(rank), inside="N" if center.startswith("PAINT") else "Y",
                )
            )  # fmt: skip
        return found

"""SAP's routing tables around a made-up factory, each row followed by those that changed it."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from access_builder import DOUBLE, TEXT, Builder, Column
from data_fixtures import Rows
from erp_factory import AS_OF, CENTERS, TASKS, Chance, Step

MARCH = datetime(2024, 3, 1)  # a day on which much is changed
NUMBERS = ("BMSCH", "UMREZ", "UMREN", "VGW01", "VGW02", "VGW03", "BRGEW", "NTGEW")
SCHEMA: dict[str, str] = {
    "MARA": "MANDT MATNR ERSDA LAEDA LVORM MTART MATKL MEINS BRGEW NTGEW GEWEI GROES NORMT WRKST "
    "ZEINR",
    "MAKT": "MANDT MATNR SPRAS MAKTX",
    "MARC": "MANDT MATNR WERKS BESKZ",
    "CRHD": "MANDT OBJTY OBJID ARBPL WERKS",
    "MAPL": "MANDT MATNR WERKS PLNTY PLNNR PLNAL ZKRIZ ZAEHL DATUV LOEKZ ANDAT",
    "PLKO": "MANDT PLNTY PLNNR PLNAL ZAEHL DATUV LOEKZ ANDAT VERWE WERKS STATU LOSVN LOSBS",
    "PLAS": "MANDT PLNTY PLNNR PLNAL PLNFL PLNKN ZAEHL DATUV LOEKZ",
    "PLPO": "MANDT PLNTY PLNNR PLNKN ZAEHL DATUV LOEKZ ANDAT VORNR SUMNR STEUS ARBID WERKS KTSCH "
    "LTXA1 BMSCH MEINH UMREZ UMREN VGE01 VGW01 VGE02 VGW02 VGE03 VGW03",
}
UNITS = {"MIN": 1.0, "H": 60.0, "STD": 60.0, "S": 1 / 60, "TAG": 1440.0, "": 1.0}


@dataclass(frozen=True)
class Row:
    """A row of a table in force from a day on, until the next one of its history is."""

    start: datetime
    values: dict[str, Any]
    deleted: bool


History = list[Row]


class Sap:
    """`tables` to fill a database with, and what they say: `steps`, `items`."""

    def __init__(self, seed: int = 8, materials: int = 120) -> None:
        self.chance = Chance(seed)
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMA}
        self.items: dict[str, dict[str, Any]] = {}
        # Of each use of a routing by a material: its item, plant and the histories that say so.
        self.uses: list[tuple[str, str, History, History, list[tuple[History, History]]]] = []
        self.centers: dict[str, str] = {}
        for number, name in enumerate(name for names in CENTERS.values() for name in names):
            self.centers[name] = f"{10_000_000 + number}"
            for kind, code in (("A", name), ("K", "CAPACITY")):
                self.add("CRHD", OBJTY=kind, OBJID=self.centers[name], ARBPL=code, WERKS="1000")
        codes = [self._material(number) for number in range(materials)]
        for number in range(materials):
            self._routing(f"5{number:07}", codes)

    def add(self, table: str, client: str = "100", **values: Any) -> None:
        """A new row, and what may be beside it: the same in another client."""
        self.rows[table].append({"MANDT": client, **values})
        if client == "100" and self.chance.yes(0.5):
            self.rows[table].append({"MANDT": "200", **values})

    @property
    def tables(self) -> dict[str, Rows]:
        """The rows of each table, in no order; everything but quantities is text."""
        found = {}
        for name, listed in SCHEMA.items():
            columns = {c: "REAL" if c in NUMBERS else "TEXT" for c in listed.split()}
            rows = [tuple(row.get(column) for column in columns) for row in self.rows[name]]
            found[name] = Rows(columns, self.chance.sample(rows, len(rows)))
        return found

    def access(self) -> bytes:
        """The tables as an Access file."""
        builder = Builder()
        for name, table in self.tables.items():
            columns = [
                Column(column, DOUBLE) if kind == "REAL" else Column(column, TEXT, length=100)
                for column, kind in table.columns.items()
            ]
            builder.table(name, columns, [[_packed(value) for value in row] for row in table.rows])
        return builder.build()

    def steps(self, as_of: datetime, plants: Sequence[str] = ("1000",)) -> list[Step]:
        """What is to be read as it was at a moment; items with their plant where there are two."""
        found = []
        for item, plant, use, header, operations in self.uses:
            link, head = _in_force(use, as_of), _in_force(header, as_of)
            if plant not in plants or link is None or head is None:
                continue
            if head.values["STATU"] not in ("2", "4") or head.values["VERWE"] != "1":
                continue
            for choice, operation in operations:
                chosen, row = _in_force(choice, as_of), _in_force(operation, as_of)
                if chosen is None or row is None:
                    continue
                if chosen.values["PLNFL"] != "000000" or row.values["SUMNR"] not in (
                    "",
                    "00000000",
                ):
                    continue
                step = self._step(item if len(plants) == 1 else f"{plant}/{item}", head, row)
                if step.entered is None or step.entered <= as_of:
                    found.append(step)
        return found

    def _step(self, item: str, head: Row, row: Row) -> Step:
        v = row.values
        entered = v["ANDAT"] if v["ANDAT"] > "00000000" else head.values["ANDAT"]
        center = next((name for name, i in self.centers.items() if i == v["ARBID"]), None)
        pieces = (v["BMSCH"] or 1) * (v["UMREZ"] or 1) / (v["UMREN"] or 1)
        return Step(
            item, v["PLNNR"], int(v["VORNR"]), v["KTSCH"].strip() or center or v["STEUS"], center,
            v["VGW01"] * UNITS[v["VGE01"]], v["VGW02"] * UNITS[v["VGE02"]] / pieces,
            None if entered == "00000000" else datetime.strptime(entered, "%Y%m%d"),
            name=v["LTXA1"], alternative=head.values["PLNAL"],
            inside="N" if v["STEUS"] == "PP02" else "Y",
        )  # fmt: skip

    def _material(self, number: int) -> str:
        chance = self.chance
        code = f"{number + 4711:018}" if number % 3 else f"SEAL-{number}"
        wrong = {}
        if chance.yes(0.2):
            wrong = chance.choice(({"LVORM": "X"}, {"MTART": "ROH"}))
        entered = chance.day().replace(hour=0, minute=0, second=0)
        unknown = chance.yes(0.1)
        attributes = {
            "MTART": chance.choice(("FERT", "HALB")), "MATKL": "001", "MEINS": "ST",
            "BRGEW": round(chance.uniform(1, 9), 3), "NTGEW": 0.5, "GROES": "Ø12", "NORMT": None,
            "GEWEI": chance.choice(("KG", "G")), "WRKST": "1.4301", "ZEINR": None,
        }  # fmt: skip
        stored = {name: "" if value is None else value for name, value in attributes.items()}
        day = "00000000" if unknown else f"{entered:%Y%m%d}"
        self.add(
            "MARA", MATNR=code, ERSDA=day, LAEDA="00000000", **{"LVORM": "", **stored, **wrong}
        )
        self.add("MAKT", MATNR=code, SPRAS="D", MAKTX=f"Ring {number} (deutsch)")
        if number % 5:
            self.add("MAKT", MATNR=code, SPRAS="E", MAKTX=f"Ring {number}")
        for plant in ("1000", "2000"):
            self.add("MARC", MATNR=code, WERKS=plant, BESKZ="E")
        if not wrong:
            text = f"Ring {number}" if number % 5 else None
            dated = None if unknown else entered
            self.items[code] = attributes | {"MAKTX": text, "INSRT_DT": dated}
        return code

    def _routing(self, group: str, codes: Sequence[str]) -> None:
        """A group with its counters and operations, and the materials that it is for."""
        chance = self.chance
        key = {"PLNTY": chance.choice("NNNNNNNR"), "PLNNR": group}
        nodes = [self._operation(key, place, task) for place, task in enumerate(chance.tasks())]
        if chance.yes(0.2):
            parent = nodes[0][-1].values["PLNKN"]
            nodes.append(self._operation(key, len(nodes), "WASH", SUMNR=parent))
        counters = []
        for counter in range(1, chance.choice((1, 1, 1, 2)) + 1):
            mine = {**key, "PLNAL": str(counter)}
            header = self._history(
                "PLKO", mine, lambda: {
                    "VERWE": chance.choice("11111113"), "STATU": chance.choice("444442213"),
                    "WERKS": "1000", "LOSVN": "0", "LOSBS": "99999999", "ANDAT": self._day(),
                },
            )  # fmt: skip
            choices = []
            for history in nodes:
                node = history[0].values["PLNKN"]
                sequence = {"PLNFL": chance.choice(("000000",) * 9 + ("000001",)), "PLNKN": node}
                choices.append(self._history("PLAS", {**mine, **sequence}, dict))
            counters.append((mine, header, list(zip(choices, nodes, strict=True))))
        for code in chance.sample(codes, chance.choice((1, 1, 2))):
            plant = chance.choice(("1000", "1000", "1000", "2000"))
            for mine, header, operations in counters:
                link = {**mine, "MATNR": code, "WERKS": plant, "ZKRIZ": "0000001"}
                use = self._history("MAPL", link, lambda: {"ANDAT": self._day()})
                if mine["PLNTY"] == "N":
                    self.uses.append((code, plant, use, header, operations))

    def _operation(self, key: dict[str, str], place: int, task: str, **more: str) -> History:
        chance = self.chance
        fixed = {**key, "PLNKN": f"{place + 1:08}"}

        def values() -> dict[str, Any]:
            control = chance.choice(("PP01", "PP01", "PP02"))
            center = chance.choice(CENTERS[task])
            is_elsewhere = control == "PP02" and chance.yes(0.5)
            return {
                "VORNR": f"{10 * place + 10:04}", "SUMNR": chance.choice(("00000000", "")),
                "STEUS": control, "ARBID": "00000000" if is_elsewhere else self.centers[center],
                "WERKS": "1000", "KTSCH": chance.choice((task, task, "", " ")), "MEINH": "ST",
                "LTXA1": TASKS[task], "BMSCH": float(chance.choice((1, 1, 100, 0))),
                "UMREZ": float(chance.choice((1, 1, 2, 0))), "UMREN": float(chance.choice((1, 12))),
                "VGE01": chance.choice(list(UNITS)), "VGW01": float(chance.choice((0, 15))),
                "VGE02": chance.choice(list(UNITS)), "VGW02": chance.minutes(), "VGE03": "",
                "VGW03": 0.0, "ANDAT": self._day(), **more,
            }  # fmt: skip

        return self._history("PLPO", fixed, values)

    def _history(self, table: str, key: dict[str, str], values: Any) -> History:
        """Write a key's rows: the first, changes of it and perhaps its end."""
        chance = self.chance
        starts = [chance.choice((datetime(2020, 10, 9), datetime(2022, 1, 1)))]
        if chance.yes(0.25):
            starts.append(MARCH)
        if chance.yes(0.15):
            starts.append(MARCH)  # changed twice for the same day
        if chance.yes(0.1):
            starts.append(AS_OF)
        if chance.yes(0.1):
            starts.append(AS_OF + timedelta(days=1))
        ends = chance.yes(0.1)
        history = []
        for counter, start in enumerate(starts, start=1):
            deleted = ends and counter == len(starts)
            row = Row(start, {**key, **values()}, deleted)
            history.append(row)
            self.add(
                table, ZAEHL=f"{counter:08}", DATUV=f"{start:%Y%m%d}", LOEKZ="X" if deleted else "",
                **row.values,
            )  # fmt: skip
        return history

    def _day(self) -> str:
        chance = self.chance
        later = AS_OF + timedelta(days=chance.randint(0, 40))
        return (
            f"{chance.choice((chance.day(), chance.day(), later)):%Y%m%d}" * chance.yes(0.7)
            or "00000000"
        )


def _in_force(history: Iterable[Row], as_of: datetime) -> Row | None:
    """The last row that has begun, unless it is an end."""
    begun = [row for row in history if row.start <= as_of]
    return None if not begun or begun[-1].deleted else begun[-1]


def _packed(value: Any) -> bytes | None:
    if isinstance(value, float):
        return struct.pack("<d", value)
    return None if value is None else value.encode("utf-16-le")

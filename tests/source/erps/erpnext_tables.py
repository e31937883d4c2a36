"""An ERPNext's tables around a made-up factory: what counts of it, and what does not beside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from data_fixtures import Rows
from erp_factory import AS_OF, CENTERS, Chance, Step

SCHEMA: dict[str, dict[str, str]] = {
    "tabItem": {
        "name": "VARCHAR(140)", "creation": "DATETIME(6)", "modified": "DATETIME(6)",
        "docstatus": "INT", "item_name": "VARCHAR(140)", "item_group": "VARCHAR(140)",
        "brand": "VARCHAR(140)", "stock_uom": "VARCHAR(140)", "variant_of": "VARCHAR(140)",
        "has_variants": "INT", "disabled": "INT", "is_stock_item": "INT",
        "weight_per_unit": "DECIMAL(21,9)", "weight_uom": "VARCHAR(140)", "description": "LONGTEXT",
        "default_bom": "VARCHAR(140)",
    },
    "tabBOM": {
        "name": "VARCHAR(140)", "creation": "DATETIME(6)", "docstatus": "INT",
        "item": "VARCHAR(140)", "company": "VARCHAR(140)", "is_active": "INT",
        "is_default": "INT", "with_operations": "INT", "quantity": "DECIMAL(21,9)",
    },
    "tabBOM Operation": {
        "name": "VARCHAR(140)", "creation": "DATETIME(6)", "docstatus": "INT", "idx": "INT",
        "parent": "VARCHAR(140)", "parenttype": "VARCHAR(140)", "sequence_id": "INT",
        "operation": "VARCHAR(140)", "workstation": "VARCHAR(140)",
        "workstation_type": "VARCHAR(140)", "time_in_mins": "DECIMAL(21,9)", "fixed_time": "INT",
        "batch_size": "INT",
    },
}  # fmt: skip


class ErpNext:
    """`tables` to fill a database with, and what is to be read of them: `steps`, `items`."""

    def __init__(self, seed: int = 8, items: int = 150) -> None:
        self.chance = Chance(seed)
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMA}
        self.steps: list[Step] = []
        self.items: dict[str, dict[str, Any]] = {}
        for number in range(items):
            if number % 10 == 0:
                self._template(f"FLANGE {number}")
            else:
                code = f"PART-{number:03}"
                counts = self._item(code)
                bills = self._bills(code, default=self.chance.yes(0.8))
                self._made(code, bills if counts else [])

    @property
    def tables(self) -> dict[str, Rows]:
        """The rows of each table, in no order."""
        return {
            name: Rows(columns, self.chance.sample(rows, len(rows)))
            for name, columns in SCHEMA.items()
            for rows in [[tuple(row.get(c) for c in columns) for row in self.rows[name]]]
        }

    def _item(self, code: str, variant_of: str | None = None, **wrong: Any) -> bool:
        """Write an item; whether it counts."""
        chance = self.chance
        if variant_of is None and not wrong and chance.yes(0.15):
            wrong = chance.choice(({"disabled": 1}, {"is_stock_item": 0}))
        entered = chance.day()
        attributes = {
            "item_name": f"Name of {code}", "item_group": chance.choice(("Seals", "Ringe ø")),
            "brand": chance.choice((None, "ACME")), "stock_uom": "Nos", "variant_of": variant_of,
            "weight_per_unit": chance.choice((0.0, 1.25)), "description": f"<div>{code}</div>",
            "weight_uom": chance.choice((None, "Kg")),
        }  # fmt: skip
        self.rows["tabItem"].append(
            {"name": code, "creation": entered, "modified": AS_OF + timedelta(days=3),
             "docstatus": 0, "has_variants": 0, "disabled": 0, "is_stock_item": 1}
            | attributes | wrong
        )  # fmt: skip
        if not wrong:
            self.items[code] = attributes | {"INSRT_DT": entered}
        return not wrong

    def _template(self, code: str) -> None:
        """An item that is only a pattern, with variants: made by its bills, or by their own."""
        self._item(code, has_variants=1)
        variants = [f"{code}-{place}" for place in range(3)]
        for variant in variants:
            self._item(variant, variant_of=code)
        of_template = self._bills(code, default=True)
        self._made(variants[0], of_template)
        self._made(variants[1], self._bills(variants[1], default=True))
        default, *others = of_template
        others += self._bills(variants[2], default=False)
        others.sort(key=lambda steps: self._age(steps[0].revision), reverse=True)
        self._made(variants[2], [default, *others])

    def _made(self, item: str, bills: list[list[Step]]) -> None:
        """`item` is made by these bills, the first one first."""
        self.steps += [
            replace(step, item=item, alternative=str(alternative))
            for alternative, steps in enumerate(bills, start=1)
            for step in steps
        ]

    def _bills(self, owner: str, *, default: bool) -> list[list[Step]]:
        """Bills of an item, the default first and then the newest, and some that do not count."""
        chance = self.chance
        entered = sorted((chance.day() for _ in range(chance.choice((1, 1, 2, 3)))), reverse=True)
        if default:  # any of them may be it
            entered.insert(0, entered.pop(chance.randrange(len(entered))))
        for n, wrong in enumerate(
            ({"docstatus": 0}, {"docstatus": 2}, {"is_active": 0}, {"with_operations": 0},
             {"company": "Other Company"})
        ):  # fmt: skip
            if chance.yes(0.3):
                self._bill(owner, chance.day(), f"X{n}", {"is_default": int(n == 4)} | wrong)
        return [
            self._bill(owner, moment, f"{n:03}", {"is_default": int(default and n == 0)})
            for n, moment in enumerate(entered)
        ]

    def _age(self, bill: str) -> datetime:
        return next(row["creation"] for row in self.rows["tabBOM"] if row["name"] == bill)

    def _bill(
        self, owner: str, entered: datetime, number: str, standing: dict[str, Any]
    ) -> list[Step]:
        chance = self.chance
        name, quantity = f"BOM-{owner}-{number}", float(chance.choice((1, 1, 5)))
        usual = {"docstatus": 1, "is_active": 1, "with_operations": 1, "company": "My Company"}
        self.rows["tabBOM"].append(
            {"name": name, "creation": entered, "item": owner, "quantity": quantity}
            | usual | standing
        )  # fmt: skip
        steps = []
        for idx, task in enumerate(chance.tasks(), start=1):
            center, minutes = chance.choice(CENTERS[task]), chance.minutes()
            fixed, batch = int(chance.yes(0.2)), chance.choice((None, 0, 1, 20))
            by_type = chance.yes(0.3)
            written = chance.choice((entered, AS_OF + timedelta(minutes=1))) if idx > 1 else entered
            self.rows["tabBOM Operation"].append(
                {"name": f"{name}{idx}", "creation": written, "docstatus": 1, "idx": idx,
                 "parent": name, "parenttype": "BOM", "sequence_id": (idx + 1) // 2,
                 "operation": task, "workstation": chance.choice((None, "")) if by_type else center,
                 "workstation_type": center if by_type else "Any", "time_in_mins": minutes,
                 "fixed_time": fixed, "batch_size": batch}
            )  # fmt: skip
            # A pattern of operations has the same rows.
            self.rows["tabBOM Operation"].append(
                {**self.rows["tabBOM Operation"][-1], "name": f"R{name}{idx}",
                 "parenttype": "Routing"}
            )  # fmt: skip
            pieces = quantity * (batch or 1)
            setup, run = (minutes, 0.0) if fixed else (0.0, minutes / pieces)
            steps.append(Step(owner, name, idx, task, center, setup, run, written))
        return steps

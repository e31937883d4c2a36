"""An Odoo's tables around a made-up factory: what counts of it, and what does not beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from data_fixtures import Rows
from erp_factory import AS_OF, CENTERS, Chance, Step

SEOUL = timedelta(hours=9)
SCHEMA: dict[str, dict[str, str]] = {
    "product_template": {
        "id": "integer", "name": "jsonb", "active": "boolean", "company_id": "integer",
        "categ_id": "integer", "type": "varchar", "uom_id": "integer",
    },
    "product_product": {
        "id": "integer", "product_tmpl_id": "integer", "default_code": "varchar",
        "active": "boolean", "weight": "numeric", "volume": "numeric", "barcode": "varchar",
        "create_date": "timestamp", "write_date": "timestamp",
    },
    "product_category": {"id": "integer", "complete_name": "varchar"},
    "uom_uom": {"id": "integer", "name": "jsonb"},
    "product_attribute_value": {"id": "integer", "attribute_id": "integer", "name": "jsonb"},
    "product_template_attribute_value": {
        "id": "integer", "product_tmpl_id": "integer", "attribute_id": "integer",
        "product_attribute_value_id": "integer",
    },
    "product_variant_combination": {
        "product_product_id": "integer", "product_template_attribute_value_id": "integer",
    },
    "mrp_bom": {
        "id": "integer", "product_tmpl_id": "integer", "product_id": "integer", "type": "varchar",
        "sequence": "integer", "active": "boolean", "company_id": "integer",
        "product_qty": "numeric", "create_date": "timestamp",
    },
    "mrp_workcenter": {
        "id": "integer", "name": "varchar", "code": "varchar", "active": "boolean",
        "default_capacity": "double precision", "time_start": "double precision",
        "time_stop": "double precision",
    },
    "mrp_workcenter_capacity": {
        "id": "integer", "workcenter_id": "integer", "product_id": "integer",
        "capacity": "double precision", "time_start": "double precision",
        "time_stop": "double precision",
    },
    "mrp_routing_workcenter": {
        "id": "integer", "bom_id": "integer", "workcenter_id": "integer", "name": "varchar",
        "sequence": "integer", "active": "boolean", "time_mode": "varchar",
        "time_cycle_manual": "double precision", "create_date": "timestamp",
        "write_date": "timestamp",
    },
    "mrp_routing_workcenter_product_template_attribute_value_rel": {
        "mrp_routing_workcenter_id": "integer", "product_template_attribute_value_id": "integer",
    },
}  # fmt: skip
COLOURS, SIZES = ("red", "blue"), ("S", "L")


@dataclass
class Operation:
    """An operation of a bill; `only` are the colours and sizes that it is for, none for all."""

    task: str
    center: int
    minutes: float
    entered: datetime
    only: dict[str, Sequence[str]] = field(default_factory=dict)


class Odoo:
    """`tables` to fill a database with, and what is to be read of them: `steps`, `items`."""

    def __init__(self, seed: int = 8, templates: int = 120) -> None:
        self.chance = Chance(seed)
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMA}
        self.steps: list[Step] = []
        self.items: dict[str, dict[str, Any]] = {}
        self.own: dict[tuple[int, int], bool] = {}
        self.uncoded = False
        self.centers = self._centers()
        for name in ("All / Made here / Seals", "All / Made here / Rings"):
            self.add("product_category", complete_name=name)
        for unit in ("Units", "m"):
            self.add("uom_uom", name=_translated(unit))
        self.values = {
            value: self.add("product_attribute_value", attribute_id=a, name=_translated(value))
            for a, values in ((1, COLOURS), (2, SIZES))
            for value in values
        }
        for number in range(templates):
            self._template(number)

    @property
    def tables(self) -> dict[str, Rows]:
        """The rows of each table, in no order."""
        return {
            name: Rows(columns, self.chance.sample(rows, len(rows)))
            for name, columns in SCHEMA.items()
            for rows in [[tuple(row.get(c) for c in columns) for row in self.rows[name]]]
        }

    def add(self, table: str, **values: Any) -> int:
        """A new row; its id."""
        self.rows[table].append({"id": len(self.rows[table]) + 1, **values})
        return len(self.rows[table])

    def _centers(self) -> dict[str, list[tuple[int, str, float, float]]]:
        """Task -> id, code, pieces at once and set-up minutes of the work centres for it."""
        found: dict[str, list[tuple[int, str, float, float]]] = {}
        for task, names in CENTERS.items():
            for n, name in enumerate(names):
                at_once, start = (
                    float(self.chance.choice((1, 1, 4))),
                    float(self.chance.choice((0, 12))),
                )
                stop = None if n else 3.0
                number = self.add(
                    "mrp_workcenter", name=f"Center {name}", active=True,
                    code=name if n else self.chance.choice((None, " ")),
                    default_capacity=at_once, time_start=start, time_stop=stop,
                )  # fmt: skip
                code = name if n else f"Center {name}"
                found.setdefault(task, []).append((number, code, at_once, start + (stop or 0)))
        return found

    def _template(self, number: int) -> None:
        chance = self.chance
        state = "usual" if number < 12 else chance.choices(
            ("usual", "archived", "service", "another company's"), (12, 1, 1, 2)
        )[0]  # fmt: skip
        template = self.add(
            "product_template", name=_translated(f"Ring {number} 링"), active=state != "archived",
            company_id=2 if state == "another company's" else chance.choice((1, None)),
            categ_id=1 + number % 2, type="service" if state == "service" else "consu",
            uom_id=1 + number % 2,
        )  # fmt: skip
        counts = state == "usual"
        variants = self._variants(template, number, counts)
        values = {}
        if len(variants) > 1:
            values = {value: self._value(template, value) for value in (*COLOURS, *SIZES)}
            for product, chosen, _ in variants:
                for value in chosen:
                    self.add(
                        "product_variant_combination", product_product_id=product,
                        product_template_attribute_value_id=values[value],
                    )  # fmt: skip
        self._bills(template, variants, values)

    def _variants(
        self, template: int, number: int, counts: bool
    ) -> list[tuple[int, tuple[str, ...], str | None]]:
        """Id, values and item code (None where it does not count) of a template's products."""
        chance = self.chance
        several = number % 4 == 0
        choices = [(c, s) for c in COLOURS for s in SIZES] if several else [()]
        variants = []
        for place, chosen in enumerate(choices):
            code: str | None = f"R-{number:03}" + (f"-{place}" if several else "")
            item = code
            kind = chance.choice(("coded",) * 6 + ("uncoded", "repeated"))
            weight, volume = round(chance.uniform(0.1, 9), 3), chance.choice((None, 0.002))
            entered = chance.day(last=AS_OF - 2 * SEOUL)
            product = self.add(
                "product_product", product_tmpl_id=template, default_code=code, active=True,
                weight=weight, volume=volume, create_date=entered, write_date=AS_OF,
            )  # fmt: skip
            row = self.rows["product_product"][-1]
            if kind == "uncoded":
                blank = None if self.uncoded else " "  # one alone, and several
                self.uncoded = True
                row["default_code"], item = blank, f"id {product}"
            if kind == "repeated" and counts:
                # Two active products of this company, told apart by case alone.
                item = f"id {product}"
                other = self._twin(template, code.lower(), active=True)
                self.items[f"id {other}"] = self._attributes(number, 1.0, None, (), AS_OF - SEOUL)
            if kind == "coded" and chance.yes(0.2):
                self._twin(template, code, active=False)
            if kind == "coded" and not several and chance.yes(0.1):
                row["active"], item = False, None
            if counts and item:
                self.items[item] = self._attributes(number, weight, volume, chosen, entered)
            variants.append((product, chosen, item if counts else None))
        return variants

    def _twin(self, template: int, code: str, *, active: bool) -> int:
        """Another product with the same code, of a template of its own."""
        copy = {**self.rows["product_template"][template - 1]}
        copy.pop("id")
        return self.add(
            "product_product", product_tmpl_id=self.add("product_template", **copy),
            default_code=code, active=active, weight=1.0, create_date=AS_OF - SEOUL,
        )  # fmt: skip

    def _attributes(
        self, number: int, weight: float, volume: float | None, chosen: Sequence[str], utc: datetime
    ) -> dict[str, Any]:
        return {
            "name": f"Ring {number} 링",
            "category": f"All / Made here / {('Seals', 'Rings')[number % 2]}",
            "unit": ("Units", "m")[number % 2],
            "weight": weight,
            "volume": volume,
            "variant": ", ".join(chosen) or None,
            "INSRT_DT": utc + SEOUL,
        }

    def _value(self, template: int, value: str) -> int:
        return self.add(
            "product_template_attribute_value", product_tmpl_id=template,
            attribute_id=1 if value in COLOURS else 2,
            product_attribute_value_id=self.values[value],
        )  # fmt: skip

    def _bills(
        self,
        template: int,
        variants: Sequence[tuple[int, tuple[str, ...], str | None]],
        values: dict[str, int],
    ) -> None:
        """A template's bills in the order in which Odoo takes them, and some that it never does."""
        chance = self.chance
        sequence = chance.randint(0, 3)
        shared: list[tuple[int, int, list[Operation]]] = []
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
            sequence += chance.choice((0, 0, 1, 5))  # ties go by id
            shared.append((sequence, *self._bill(template, None, sequence, values)))
        for wrong in ({"active": False}, {"type": "phantom"}, {"company_id": 2}):
            if chance.yes(0.3):
                self._bill(template, None, 0, values, **wrong)
        for product, chosen, item in variants:
            bills = list(shared)
            if chance.yes(0.25):  # its own comes before those with the same sequence
                own = chance.choice((0, sequence, sequence + 1))
                place = sum(s < own for s, _, _ in shared)
                bills.insert(place, (own, *self._bill(template, product, own, {})))
            if item is None:
                continue
            alternative = 0
            for _, bill, operations in bills:
                fitting = [
                    operation
                    for operation in operations
                    if all(set(chosen) & set(some) for some in operation.only.values())
                ]
                alternative += bool(fitting)
                for place, operation in enumerate(fitting):
                    code, at_once, setup = self._center(operation.center, product)
                    self.steps.append(
                        Step(
                            item, str(bill), 10 * place + 10, operation.task, code, setup,
                            operation.minutes / at_once, operation.entered + SEOUL,
                            alternative=str(alternative),
                        )
                    )  # fmt: skip

    def _bill(
        self,
        template: int,
        product: int | None,
        sequence: int,
        values: dict[str, int],
        **wrong: Any,
    ) -> tuple[int, list[Operation]]:
        """Id and operations of a new bill, archived ones left out."""
        chance = self.chance
        usual = {"active": True, "type": "normal", "company_id": chance.choice((1, 1, None))}
        bill = self.add(
            "mrp_bom", product_tmpl_id=template, product_id=product, sequence=sequence,
            product_qty=1, create_date=AS_OF, **{**usual, **wrong},
        )  # fmt: skip
        stored = list(enumerate(self._operation(task, values) for task in chance.tasks()))
        dragged = chance.yes(0.5)
        if dragged:
            stored = chance.sample(stored, len(stored))
        found = {}
        for place, operation in stored:
            active = chance.yes(0.9)
            number = self.add(
                "mrp_routing_workcenter", bom_id=bill, workcenter_id=operation.center,
                name=chance.choice(("", " ")) + operation.task, active=active,
                sequence=place if dragged else 100, time_mode=chance.choice(("auto", "manual")),
                time_cycle_manual=operation.minutes, create_date=operation.entered,
                write_date=AS_OF + SEOUL,
            )  # fmt: skip
            for value in (value for some in operation.only.values() for value in some):
                self.add(
                    "mrp_routing_workcenter_product_template_attribute_value_rel",
                    mrp_routing_workcenter_id=number,
                    product_template_attribute_value_id=values[value],
                )
            if active:
                found[place] = operation
        return bill, [found[place] for place in sorted(found)]

    def _operation(self, task: str, values: dict[str, int]) -> Operation:
        chance = self.chance
        # In Seoul it is the as-of nine hours before it is in UTC.
        entered = chance.choice(
            (chance.day(), AS_OF - timedelta(hours=10), AS_OF - timedelta(hours=8))
        )
        only: dict[str, Sequence[str]] = {}
        if values and chance.yes(0.4):
            only = chance.choice(
                ({"colour": ["red"]}, {"colour": ["red", "blue"]}, {"size": ["L"]},
                 {"colour": ["blue"], "size": ["S"]})
            )  # fmt: skip
        center, *_ = chance.choice(self.centers[task])
        return Operation(task, center, chance.minutes(), entered, only)

    def _center(self, center: int, product: int) -> tuple[str, float, float]:
        """Code, pieces at once and set-up minutes of a work centre, which may be the product's."""
        of_all = {number: rest for centers in self.centers.values() for number, *rest in centers}
        code, at_once, setup = of_all[center]
        if (center, product) not in self.own:
            self.own[center, product] = self.chance.yes(0.1)
            if self.own[center, product]:
                self.add(
                "mrp_workcenter_capacity", workcenter_id=center, product_id=product,
                capacity=8.0, time_start=20.0, time_stop=1.0,
              )  # fmt: skip
        return (code, 8.0, 21.0) if self.own[center, product] else (code, at_once, setup)


def _translated(text: str) -> str:
    return json.dumps({"en_US": text, "ko_KR": "다른 말"}, ensure_ascii=False)

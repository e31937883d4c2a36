"""The columns file for Odoo reads a PostgreSQL with Odoo's tables as the factory behind it is."""

import pytest
from data_fixtures import odbc, postgres_tables
from erp_factory import AS_OF, assert_items, assert_newest, assert_read, dropped, read
from odoo_tables import Odoo
from postgresql import PostgreSQL

from routing_ml.dataset import Dataset


@pytest.fixture(scope="module")
def factory() -> Odoo:
    return Odoo()


@pytest.fixture(scope="module")
def data(factory: Odoo, postgresql: PostgreSQL, tmp_path_factory) -> Dataset:
    url = postgresql.fresh("odoo")
    postgres_tables(url, factory.tables)
    return read("odoo", odbc(url), tmp_path_factory.mktemp("odoo"))


def test_every_operation_that_counts_is_read_and_no_other(factory: Odoo, data: Dataset) -> None:
    later = [step for step in factory.steps if step.entered and step.entered > AS_OF]
    assert later and dropped(data) == {"entered after the as-of": len(later)}
    assert_read(data, [step for step in factory.steps if step not in later])


def test_the_bill_that_odoo_takes_is_the_routing(factory: Odoo, data: Dataset) -> None:
    steps = [step for step in factory.steps if step.entered and step.entered <= AS_OF]
    first: dict[str, int] = {}
    for step in steps:
        alternative = int(step.alternative or 0)
        first[step.item] = min(alternative, first.get(step.item, alternative))
    assert {1, 2} <= set(first.values())
    assert_newest(data, [step for step in steps if int(step.alternative or 0) == first[step.item]])


def test_items_are_the_companys_products_with_their_attributes(
    factory: Odoo, data: Dataset
) -> None:
    assert any(item.startswith("id ") for item in factory.items)
    assert_items(data, factory.items)


def test_the_factory_has_what_makes_odoo_hard(factory: Odoo) -> None:
    operations = factory.rows["mrp_routing_workcenter"]
    assert sum(row["sequence"] == 100 for row in operations) > 100
    assert {row["active"] for row in operations} == {True, False}
    assert len(factory.rows["mrp_workcenter_capacity"]) > 10
    bills = factory.rows["mrp_bom"]
    assert {row["type"] for row in bills} == {"normal", "phantom"}
    assert {row["company_id"] for row in bills} == {1, 2, None}
    assert any(row["product_id"] for row in bills)

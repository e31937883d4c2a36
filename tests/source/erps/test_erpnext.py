"""The columns file for ERPNext reads a database with its tables as the factory behind it is."""

import pytest
from data_fixtures import sqlite_source
from erp_factory import AS_OF, assert_items, assert_newest, assert_read, dropped, read
from erpnext_tables import ErpNext

from routing_ml.dataset import Dataset


@pytest.fixture(scope="module")
def factory() -> ErpNext:
    return ErpNext()


@pytest.fixture(scope="module")
def data(factory: ErpNext, tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("erpnext")
    return read("erpnext", sqlite_source(folder / "e.sqlite", factory.tables), folder)


def test_every_operation_that_counts_is_read_and_no_other(factory: ErpNext, data: Dataset) -> None:
    later = [step for step in factory.steps if step.entered and step.entered > AS_OF]
    assert later and dropped(data) == {"entered after the as-of": len(later)}
    assert_read(data, [step for step in factory.steps if step not in later])


def test_the_default_bill_is_the_routing(factory: ErpNext, data: Dataset) -> None:
    first = [step for step in factory.steps if step.alternative == "1"]
    assert_newest(data, [step for step in first if step.entered and step.entered <= AS_OF])


def test_items_are_what_is_in_use_with_their_attributes(factory: ErpNext, data: Dataset) -> None:
    assert_items(data, factory.items)
    assert dict(data.attributes.units) == {"weight_per_unit": "weight_uom"}


def test_variants_are_made_by_their_template(factory: ErpNext) -> None:
    bills = {item: {s.revision for s in factory.steps if s.item == item} for item in factory.items}
    assert all(bill.startswith("BOM-FLANGE 0-0") for bill in bills["FLANGE 0-0"])
    assert all(bill.startswith("BOM-FLANGE 0-1-") for bill in bills["FLANGE 0-1"])
    assert len({bill[:14] for bill in bills["FLANGE 0-2"]}) == 2

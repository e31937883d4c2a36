"""The columns file for SAP reads extracts of its tables, in SQLite and in Access files, as the
factory behind them is.
"""

from datetime import datetime, timedelta

import pytest
from data_fixtures import sqlite_source
from erp_factory import AS_OF, Step, assert_items, assert_newest, assert_read, dropped, read
from sap_tables import MARCH, Sap


@pytest.fixture(scope="module")
def factory() -> Sap:
    return Sap()


@pytest.fixture(scope="module", params=["sqlite", "access"])
def source(request, factory: Sap, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("sap")
    if request.param == "sqlite":
        return sqlite_source(folder / "sap.sqlite", factory.tables)
    (folder / "sap.accdb").write_bytes(factory.access())
    return str(folder / "sap.accdb")


@pytest.mark.parametrize("as_of", [AS_OF, MARCH, MARCH - timedelta(minutes=1)])
def test_what_holds_at_the_as_of_is_read_and_nothing_else(
    factory: Sap, source: str, tmp_path, as_of: datetime
) -> None:
    data = read("sap", source, tmp_path, as_of=as_of)
    assert_read(data, factory.steps(as_of))
    assert dropped(data).keys() >= {"not active", "not yet valid at the as-of"}
    assert as_of < AS_OF or len(dropped(data)) == 4


def test_the_newest_group_of_the_first_counter_is_the_routing(
    factory: Sap, source: str, tmp_path
) -> None:
    steps = factory.steps(AS_OF)
    routings: dict[str, dict[tuple[str, str], list[Step]]] = {}
    for step in steps:
        key = (step.alternative or "", step.revision)
        routings.setdefault(step.item, {}).setdefault(key, []).append(step)

    def newness(routing: list[Step]) -> tuple[int, datetime, int]:
        entered = max(step.entered or datetime.min for step in routing)
        return -int(routing[0].alternative or 0), entered, int(routing[0].revision)

    newest = [step for of in routings.values() for step in max(of.values(), key=newness)]
    assert len(newest) < len(steps)
    assert_newest(read("sap", source, tmp_path), newest)


def test_items_are_the_materials_that_are_made_with_their_attributes(
    factory: Sap, source: str, tmp_path
) -> None:
    assert_items(read("sap", source, tmp_path), factory.items)


def test_several_plants_are_told_apart_by_a_joined_key(factory: Sap, source: str, tmp_path) -> None:
    def with_plants(text: str) -> str:
        text = text.replace("SELECT m.MATNR,", "SELECT p.WERKS, m.MATNR,")
        joined = "FROM MARA m\nJOIN MARC p ON p.MANDT = m.MANDT AND p.MATNR = m.MATNR"
        text = text.replace("FROM MARA m", joined).replace(" AND WERKS = '1000'", "")
        text = text.replace("SELECT l.MATNR,", "SELECT l.WERKS, l.MATNR,")
        return text.replace('item = "MATNR"', 'item = ["WERKS", "MATNR"]')

    data = read("sap", source, tmp_path, changed=with_plants)
    assert_read(data, factory.steps(AS_OF, ("1000", "2000")))
    assert set(data.items["ITEM_CD"].str[:5]) == {"1000/", "2000/"}

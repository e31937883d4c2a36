"""The columns file for Business Central reads its tables as the factory behind it is, from two
databases that share SQL Server's SQL as far as it is used.
"""

from datetime import datetime

import pytest
from business_central_tables import CODE, FLAG, MATERIAL, MOMENT, BusinessCentral
from data_fixtures import odbc, postgres_tables, sqlite_source
from erp_factory import AS_OF, assert_items, assert_newest, assert_read, dropped, read
from postgresql import PostgreSQL

POSTGRESQL = {CODE: "varchar", MOMENT: "timestamp", FLAG: "smallint", "BLOB": "bytea"}
APRIL = datetime(2023, 4, 1)  # when versions start, too


@pytest.fixture(scope="module")
def factory() -> BusinessCentral:
    return BusinessCentral()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def source(request, factory: BusinessCentral, postgresql: PostgreSQL, tmp_path_factory) -> str:
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("bc") / "bc.sqlite"
        return sqlite_source(path, factory.tables({}))
    url = postgresql.fresh("business_central")
    postgres_tables(url, factory.tables(POSTGRESQL))
    return odbc(url)


@pytest.mark.parametrize("as_of", [AS_OF, APRIL])
def test_certified_versions_are_read_and_the_one_in_force_counts(
    factory: BusinessCentral, source: str, tmp_path, as_of: datetime
) -> None:
    data = read("business_central", source, tmp_path, as_of=as_of)
    assert_read(data, factory.steps(as_of))
    assert_newest(data, factory.in_force(as_of))
    assert dropped(data).keys() >= {"not active", "not yet valid at the as-of"}


def test_items_are_what_is_made_with_their_attributes(
    factory: BusinessCentral, source: str, tmp_path
) -> None:
    assert_items(read("business_central", source, tmp_path), factory.items)


def test_a_field_of_an_extension_is_read_from_the_companion_table(
    factory: BusinessCentral, source: str, tmp_path
) -> None:
    table = '"CRONUS$Item$437dbf0e-84ff-417a-965d-ed2bb9650972'

    def with_material(text: str) -> str:
        text = text.replace('i."Unit Volume",', f'i."Unit Volume", x."{MATERIAL}" AS "Material",')
        joined = f'LEFT JOIN {table}$ext" x ON x."No_" = i."No_"'
        return text.replace(f'{table}" i\nWHERE', f'{table}" i\n{joined}\nWHERE', 1)

    data = read("business_central", source, tmp_path, changed=with_material)
    assert set(data.items["Material"].dropna()) == {"Steel"}


def test_the_factory_has_what_makes_business_central_hard(factory: BusinessCentral) -> None:
    versions = [v for of_item in factory.versions.values() for v in of_item]
    assert {v.status for v in versions} == {0, 1, 2, 3}
    newer = [v for v in versions if v.start == APRIL and v.status == 1]
    assert newer and any(v.start > AS_OF for v in versions)
    assert len(factory.in_force(AS_OF)) < len(factory.steps(AS_OF))
    assert any(step.run is None for step in factory.steps(AS_OF))

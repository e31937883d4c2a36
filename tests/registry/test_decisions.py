"""A decision is for the place in the history at which it was made, whatever the clock says."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from routing_ml.errors import ModelError
from routing_ml.registry.registry import Registry

NOW = datetime(2026, 11, 1, 2, 0, 0, tzinfo=UTC)
WHO = {"who": "tester", "why": "test"}


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "models")


def add(registry, key, **facts):
    def write(folder):
        (folder / "arrays.npz").write_bytes(b"0")

    return registry.register(write, key=key, facts=facts, now=NOW).name


def chosen(registry, winner):
    """What a run knows when it has decided for `winner`."""
    active = registry.active()
    champion = active.name if active else None
    return {"name": winner, "instead_of": champion, "after": registry.place(), **WHO}


def test_a_decision_is_carried_out_and_its_repetition_changes_nothing(registry):
    decided = chosen(registry, add(registry, "a"))
    for _ in range(2):
        registry.promote(**decided)
    assert [e["action"] for e in registry.history()] == ["promote"]


def test_a_decision_repeated_after_somebody_went_back_is_refused(registry):
    first, second = add(registry, "a"), add(registry, "b")
    registry.promote(first, **WHO)
    decided = chosen(registry, second)
    registry.promote(**decided)
    registry.rollback(who="maria", why="wrong machines")
    with pytest.raises(ModelError, match=f"since then {first} was put into use by maria"):
        registry.promote(**decided)
    assert registry.active().name == first
    registry.promote(second, **WHO)  # a person may


def test_a_decision_before_the_first_promotion_is_for_that_place_too(registry):
    first, second = add(registry, "a"), add(registry, "b")
    decided = chosen(registry, second)
    registry.promote(first, **WHO)
    with pytest.raises(ModelError, match="was chosen instead of no model"):
        registry.promote(**decided)


def test_a_link_changed_by_hand_before_the_decision_is_no_switch_after_it(registry):
    first, second, third = (add(registry, key) for key in "abc")
    registry.promote(first, **WHO)
    registry.folder.joinpath("active").unlink()
    registry.folder.joinpath("active").symlink_to(second)  # nobody has written it down yet
    decided = chosen(registry, third)
    registry.promote(**decided)
    assert registry.active().name == third


def test_a_link_changed_by_hand_after_the_decision_is_one(registry):
    first, second, third = (add(registry, key) for key in "abc")
    registry.promote(first, **WHO)
    decided = chosen(registry, third)
    registry.folder.joinpath("active").unlink()
    registry.folder.joinpath("active").symlink_to(second)
    with pytest.raises(ModelError, match=f"since then {second} was put into use by unknown"):
        registry.promote(**decided)


def test_a_first_promotion_may_come_right_after_somebody_looked(registry, monkeypatch):
    name, promoted = add(registry, "a"), []

    def then_promotes(look):
        def looks(path):
            try:
                return look(path)
            finally:
                if path.name == "active" and not promoted:
                    promoted.append(name)
                    registry.promote(name, **WHO)

        return looks

    for look in ("exists", "is_symlink", "readlink"):
        monkeypatch.setattr(Path, look, then_promotes(getattr(Path, look)))
    assert registry.active() is None
    assert promoted and registry.active().name == name


def dated(registry, *moments):
    """Promote a version for each moment and have the history say that it was then."""
    names = [add(registry, f"key {k}") for k in range(len(moments))]
    for name in names:
        registry.promote(name, **WHO)
    path = registry.folder / "history.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    for entry, moment in zip(entries, moments, strict=True):
        entry["at"] = moment.isoformat()
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return names


@pytest.mark.parametrize(
    "wrong",
    [datetime(1970, 1, 1, tzinfo=UTC), datetime(2062, 1, 1, tzinfo=UTC)],
    ids=["long ago", "to come"],
)
@pytest.mark.parametrize("place", range(4))
def test_a_wrong_date_in_the_history_forgets_no_version_of_the_year(registry, wrong, place):
    moments = [NOW - timedelta(days=days) for days in (300, 200, 100, 1)]
    moments[place] = wrong
    names = dated(registry, *moments)
    found = {version.name for version in registry.references(now=NOW)}
    assert found == set(names[:-1])  # the last is in use
    registry.prune(now=NOW + timedelta(days=1), older_than_days=0)
    assert {v.name for v in registry.references(now=NOW)} == set(names[:-1])


def test_a_version_of_before_the_year_is_no_reference(registry):
    names = dated(registry, *(NOW - timedelta(days=days) for days in (900, 600, 300, 1)))
    found = [version.name for version in registry.references(now=NOW)]
    assert found == [names[2], names[1]]  # the second was in use until the third came


def test_going_back_from_a_place_that_has_passed_is_refused(registry):
    names = [add(registry, key) for key in "abc"]
    for name in names:
        registry.promote(name, **WHO)
    place = registry.place()
    registry.rollback(**WHO, after=place)
    assert registry.active().name == names[1]
    with pytest.raises(ModelError, match=f"{names[1]} was put into use by tester in the meantime"):
        registry.rollback(**WHO, after=place)
    assert registry.active().name == names[1]

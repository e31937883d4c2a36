"""Which backups stay: seven days, one of each month of a year, and never less than a good one."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from routing_ml.backup.keeping import forget, keep
from routing_ml.backup.manifest import NAME_TIME, Backup
from routing_ml.backup.vault import Vault
from routing_ml.settings import Settings

SEOUL = ZoneInfo("Asia/Seoul")
NIGHT = datetime(2026, 11, 26, 0, 0, tzinfo=SEOUL)


def at(moment: datetime, *, verified: bool = True, missing: bool = False) -> Backup:
    return Backup(
        name=moment.astimezone(UTC).strftime(NAME_TIME),
        made_at="", home="", code_version="",
        verified={"at": ""} if verified else None,
        missing={"store": "why"} if missing else {},
    )  # fmt: skip


def days(names: set[str]) -> list[str]:
    """The factory's days of backups."""
    moments = (datetime.strptime(name, NAME_TIME).replace(tzinfo=UTC) for name in names)
    return sorted(f"{moment.astimezone(SEOUL):%Y-%m-%d}" for moment in moments)


def test_of_two_years_of_nights_a_week_and_one_a_month_of_a_year_stay():
    kept: list[Backup] = []
    for night in range(730):
        now = NIGHT - timedelta(days=729 - night)
        kept.append(at(now))
        names = keep(kept, now + timedelta(minutes=5), SEOUL)
        kept = [backup for backup in kept if backup.name in names]
    found = days({backup.name for backup in kept})
    assert found[-8:] == [f"2026-11-{day}" for day in range(19, 27)]
    assert found[:-8] == [
        "2025-11-30", "2025-12-31", "2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30",
        "2026-05-31", "2026-06-30", "2026-07-31", "2026-08-31", "2026-09-30", "2026-10-31",
    ]  # fmt: skip


def test_when_every_night_fails_the_last_good_one_stays_whatever_its_age():
    good = at(NIGHT - timedelta(days=800))
    partly = at(NIGHT - timedelta(days=500), missing=True)
    failed = [at(NIGHT - timedelta(days=n), verified=False) for n in range(90, 0, -1)]
    names = keep([good, partly, *failed], NIGHT, SEOUL)
    assert names == {good.name, partly.name, failed[-1].name}


def test_of_a_month_a_whole_one_is_kept_rather_than_a_later_that_lacks_something():
    whole = at(NIGHT - timedelta(days=40))
    later = at(NIGHT - timedelta(days=35), missing=True)
    assert whole.name in keep([whole, later, at(NIGHT)], NIGHT, SEOUL)
    assert later.name not in keep([whole, later, at(NIGHT)], NIGHT, SEOUL)


def test_of_two_factories_in_one_folder_each_has_its_own_kept():
    ours, theirs = at(NIGHT - timedelta(days=800)), at(NIGHT - timedelta(days=40))
    later = replace(at(NIGHT - timedelta(days=35)), home="/other")
    assert keep([ours, theirs, later], NIGHT, SEOUL) == {theirs.name, later.name}
    assert keep([ours, replace(theirs, home="/other"), later], NIGHT, SEOUL) == {
        ours.name, later.name
    }  # fmt: skip


BACKUPS = st.lists(
    st.tuples(st.integers(-3, 1000), st.booleans(), st.booleans()), unique_by=lambda one: one[0]
)


@given(BACKUPS)
def test_what_is_forgotten_was_old_and_there_is_a_better_one(given):
    backups = [
        at(NIGHT - timedelta(days=age), verified=verified, missing=missing)
        for age, verified, missing in sorted(given, reverse=True)
    ]
    names = keep(backups, NIGHT, SEOUL)
    recent = {
        one.name for one in backups if one.verified and one.moment > NIGHT - timedelta(days=7)
    }
    assert recent <= names <= {one.name for one in backups}
    for holds in (lambda one: one.is_good, lambda one: one.verified is not None):
        of_kind = [one.name for one in backups if holds(one)]
        assert not of_kind or of_kind[-1] in names
    months = Counter(
        one.moment.astimezone(SEOUL).strftime("%Y-%m")
        for one in backups
        if one.name in names and one.moment < NIGHT - timedelta(days=8)
    )
    assert all(count <= 3 for count in months.values())


def test_a_clock_that_is_ahead_has_no_more_forgotten_than_a_day_would(tmp_path):
    settings = Settings.from_env({"ROUTING_ML_HOME": str(tmp_path)})
    vault = Vault(settings.backup_folder)
    nights = [NIGHT - timedelta(days=n) for n in range(1, 8)]
    with vault.locked():
        for night in reversed(nights):
            vault.put(at(night))
        vault.put(at(NIGHT + timedelta(days=400)))
    assert forget(settings, now=NIGHT + timedelta(days=400))["forgotten"] == []
    assert len(vault.backups()) == 8

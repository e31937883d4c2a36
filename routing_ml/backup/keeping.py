"""Forgets old backups: those of 7 days stay, and of each month of a year the newest good one."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from routing_ml import files
from routing_ml.backup.manifest import Backup
from routing_ml.backup.vault import Vault
from routing_ml.errors import BackupError
from routing_ml.settings import Settings

DAYS = 7
MONTHS = 12
UNVERIFIED_DAYS = 1
"""How long one that was never verified stays, for a person to see why."""


def forget(settings: Settings, *, now: datetime | None = None) -> dict[str, object]:
    """Forget what is too old, then free what no backup needs any more; returns the names of the
    `forgotten` and the bytes `freed`.

    Nothing is freed while a manifest cannot be read, for nobody knows what it needs. The clock is
    believed as far as a day after the last backup but one.
    """
    vault = Vault(settings.backup_folder)
    with vault.locked():
        backups = vault.backups()
        now = now or datetime.now(settings.timezone)
        if len(backups) > 1:  # a clock that is ahead must not have them all forgotten
            now = min(now, backups[-2].moment + timedelta(days=1))
        kept = keep(backups, now, settings.timezone)
        old = [one for one in backups if one.name not in kept]
        for backup in old:
            vault.drop(backup)
        found: dict[str, object] = {"forgotten": [one.name for one in old], "freed": 0}
        if damaged := vault.damaged():
            found["note"] = f"nothing was freed: {'; '.join(damaged.values())}"
            return found
        needed = {file.sha256 for one in vault.backups() for file in one.files}
        with files.told_as(BackupError, f"{vault.blobs.folder} cannot be tidied"):
            found["freed"] = vault.blobs.collect(needed)
    return found


def keep(backups: Sequence[Backup], now: datetime, zone: ZoneInfo) -> set[str]:
    """The names of those that stay at that moment (aware), of backups oldest first.

    The days and months are the factory's. Whatever its age, the newest that was verified stays, and
    the newest that lacks nothing. Those of another state folder take the place of none.
    """
    today = now.astimezone(zone).date()
    homes = {backup.home for backup in backups}
    of_homes = ([one for one in backups if one.home == home] for home in homes)
    return {name for of_home in of_homes for name in _keep(of_home, today, zone)}


def _keep(backups: Sequence[Backup], today: date, zone: ZoneInfo) -> set[str]:
    """`keep`, of the backups of one state folder."""
    kept: set[str] = set()
    of_month: dict[tuple[int, int], Backup] = {}
    for backup in backups:
        day = backup.moment.astimezone(zone).date()
        days = DAYS if backup.verified else UNVERIFIED_DAYS
        if day >= today - timedelta(days=days):
            kept.add(backup.name)
        months = (today.year - day.year) * 12 + today.month - day.month
        month = (day.year, day.month)
        if backup.verified and months <= MONTHS and not _is_better(of_month.get(month), backup):
            of_month[month] = backup
    kept |= {backup.name for backup in of_month.values()}
    for newest in (
        next((one for one in reversed(backups) if one.verified), None),
        next((one for one in reversed(backups) if one.is_good), None),
    ):
        kept |= {newest.name} if newest else set()
    return kept


def _is_better(old: Backup | None, new: Backup) -> bool:
    """Whether the earlier one of a month is to stay, since it alone lacks nothing."""
    return old is not None and old.is_good and not new.is_good

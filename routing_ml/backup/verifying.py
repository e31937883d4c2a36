"""Calls a backup good when all of it was restored into a scratch folder and read there again."""

import time
from datetime import UTC, datetime

from routing_ml.backup.laying import lay_out, read_again
from routing_ml.backup.manifest import Backup
from routing_ml.backup.vault import Vault
from routing_ml.settings import Settings


def verify(settings: Settings, name: str) -> Backup:
    """Restore a backup into a scratch folder beside the backups, hash and count what came out, and
    only then say in its manifest that it was verified.

    Raises BackupError where anything differs; it then counts as unverified, if it was verified
    before too.
    """
    started = time.monotonic()
    vault = Vault(settings.backup_folder)
    with vault.locked():
        backup = vault.get(name)
        if backup.verified is not None:
            backup = backup.with_verified(None)
            vault.put(backup)
        scratch = vault.room()
        lay_out(vault.blobs, scratch, backup.files, backup.links)
        counted = read_again(backup, scratch)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        seconds = round(time.monotonic() - started, 3)
        backup = backup.with_verified({"at": at, "seconds": seconds, **counted})
        vault.put(backup)
    return backup

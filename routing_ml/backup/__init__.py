"""Turns what a factory cannot lose (its Access file, the store, the models, settings, records) into
backups that were restored and read again before they are called good, and back.
"""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.backup.copying import copy as copy
    from routing_ml.backup.ending import count_unreported as count_unreported
    from routing_ml.backup.ending import end as end
    from routing_ml.backup.keeping import forget as forget
    from routing_ml.backup.manifest import PARTS as PARTS
    from routing_ml.backup.manifest import Backup as Backup
    from routing_ml.backup.moving import require_whole as require_whole
    from routing_ml.backup.nightly import backup as backup
    from routing_ml.backup.restoring import Restore as Restore
    from routing_ml.backup.restoring import restore as restore
    from routing_ml.backup.vault import Vault as Vault
    from routing_ml.backup.verifying import verify as verify
else:
    __getattr__ = handing_on(__name__, __file__)

"""Ends a night's backup: what became of it is written down, counted, and told where it failed,
whatever else failed.
"""

import json
import logging
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any

from routing_ml import files, notices, pipeline
from routing_ml.backup.blobs import make_folder, write_private
from routing_ml.backup.manifest import Backup
from routing_ml.backup.vault import Vault
from routing_ml.errors import BackupError, tried
from routing_ml.redaction import redact
from routing_ml.settings import Settings
from routing_ml.store import Store

OUTCOME = "last_outcome.json"
SAME_DISK = (
    "the backups are on the disk of the state folder, and are lost with it: set ROUTING_ML_BACKUPS "
    "to a folder on another disk or a share"
)

log = logging.getLogger(__name__)


def end(
    settings: Settings,
    run_id: str,
    *,
    name: str | None,
    failed: Mapping[str, str],
    forgotten: Mapping[str, Any] | None = None,
    seconds: float,
    link: str | None = None,
) -> dict[str, Any]:
    """Write the outcome of a run beside the backups, count it in the monitoring store, and tell
    people where it failed; return it.

    `name` is the backup's, None where there came none; `failed` maps the steps that failed to their
    reasons. What the backup lacks is a failure too. Each of the three is done whatever became of
    the others.
    """
    failed = {step: redact(why) for step, why in failed.items()}
    backup = None
    if name is not None:
        try:
            backup = Vault(settings.backup_folder).get(name)
        except BackupError as error:
            failed.setdefault("report", str(error))
    outcome = _outcome(settings, run_id, backup, failed, forgotten, seconds)
    troubles = {
        "its outcome cannot be written": tried(partial(_write, settings, outcome)),
        "it cannot be counted": tried(partial(_count, settings, outcome)),
    }
    if said := {what: why for what, why in troubles.items() if why}:
        failed["report"] = "; ".join(f"{what}: {redact(why)}" for what, why in said.items())
        outcome = _outcome(settings, run_id, backup, failed, forgotten, seconds)
        tried(partial(_write, settings, outcome))
    for note in outcome["notes"]:
        log.info("%s", note)
    if not outcome["succeeded"] and (trouble := tried(partial(_tell, settings, outcome, link))):
        log.warning("nobody could be told of run %s yet: %s", run_id, redact(trouble))
    return outcome


def _outcome(
    settings: Settings,
    run_id: str,
    backup: Backup | None,
    failed: Mapping[str, str],
    forgotten: Mapping[str, Any] | None,
    seconds: float,
) -> dict[str, Any]:
    missing = dict(backup.missing) if backup else {}
    notes = list(backup.notes) if backup else []
    if forgotten and "note" in forgotten:
        notes.append(forgotten["note"])
    if Vault(settings.backup_folder).is_beside(settings.home):
        notes.append(SAME_DISK)
    reasons = [f"{step}: {why}" for step, why in {**failed, **missing}.items()]
    return {
        "run": run_id,
        "succeeded": not reasons and backup is not None and backup.is_good,
        "reason": "; ".join(reasons),
        "backup": backup.name if backup else None,
        "verified_at": backup.verified["at"] if backup and backup.verified else None,
        "files": len(backup.files) if backup else 0,
        "bytes": backup.bytes if backup else 0,
        "new_bytes": backup.new_bytes if backup else 0,
        "seconds": round(seconds, 3),
        "failed": dict(failed),
        "missing": missing,
        "notes": notes,
        "forgotten": list(forgotten["forgotten"]) if forgotten else [],
        "freed": forgotten["freed"] if forgotten else 0,
        "folder": str(settings.backup_folder),
    }


def _write(settings: Settings, outcome: Mapping[str, Any]) -> None:
    path = settings.backup_folder / OUTCOME
    with files.told_as(BackupError, f"{path} cannot be written"):
        make_folder(path.parent)
        write_private(path, json.dumps(outcome, indent=1) + "\n")


def _count(settings: Settings, outcome: Mapping[str, Any]) -> None:
    """Count a run once, however often its task is tried; one that was cleared and came out
    otherwise is another."""
    settings.opened()
    with closing(Store(settings.store_url)) as store, store.transaction():
        _add(store, outcome["run"], "success" if outcome["succeeded"] else "failure")
        if outcome["verified_at"] and not outcome["missing"]:
            at = datetime.fromisoformat(outcome["verified_at"]).timestamp()
            kept = ("backup", "bytes", "new_bytes", "seconds")
            store.set_fact("backup", {"at": at, **{key: outcome[key] for key in kept}}, time.time())


def count_unreported(settings: Settings, run_id: str) -> None:
    """Count a run that failed without a report of its own; once, and not where its report did."""
    settings.opened()
    with closing(Store(settings.store_url)) as store, store.transaction():
        _add(store, run_id, "failure")


def _add(store: Store, run_id: str, result: str) -> None:
    if store.claim("backup", f"{result} {run_id}"):
        store.add({("backups", result): 1})


def _tell(settings: Settings, outcome: Mapping[str, Any], link: str | None) -> None:
    last = Vault(settings.backup_folder).newest()
    text = [
        outcome["reason"] or "it ended without a verified backup",
        f"The newest verified backup: {last.name if last else 'none'}",
        f"Run: {pipeline.run_in_words(settings, outcome['run'])}",
        "Correct the cause, then 'routing-ml backup' or clear the run; docs/disaster_recovery.md "
        "says what to do where something is lost.",
    ]
    title = "Routing ML: the backup failed"
    # Once a day: the subject is the one of the listener, which hears of the failed run too.
    subject = f"backup/failed on {settings.moment(None).date()}"
    links = [notices.Link("Open the run", link)] if link else []
    facts = [notices.Fact("The newest verified backup", *_age(last))]
    card = notices.Card(subject, title, "\n".join(text), notices.BAD, facts, links=links)
    notices.tell_card(settings, card)


def _age(last: Backup | None) -> tuple[str, str]:
    """How old a backup is, and what it holds."""
    if last is None:
        return "none", ""
    hours = (datetime.now(UTC) - last.moment).total_seconds() / 3600
    return f"{hours:,.0f} hours old", f"{last.bytes / 1e6:,.1f} MB in {len(last.files):,} files"

"""`backup`, `backups`, `restore`."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routing_ml.backup import PARTS
from routing_ml.cli.shared import Result
from routing_ml.settings import Settings, default_url, expanded

if TYPE_CHECKING:
    from routing_ml.backup import Backup, Restore


def backup(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.backup import Vault, backup

    outcome = backup(settings)
    name = outcome["backup"]
    made = Vault(settings.backup_folder).get(name) if name else None
    lines = _told(made) if made else []
    lines += [f"  note: {note}" for note in outcome["notes"]]
    if outcome["forgotten"]:
        gone = f"{len(outcome['forgotten'])} old backups forgotten"
        lines.append(f"  {gone}, {_size(outcome['freed'])} freed")
    lines += [f"  FAILED {what}: {why}" for what, why in outcome["failed"].items()]
    lines += [f"  NOT COPIED {what}: {why}" for what, why in outcome["missing"].items()]
    return outcome | {"passed": outcome["succeeded"]}, "\n".join(lines)


def backups(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.backup import Vault

    settings = _from(settings, options)
    vault = Vault(settings.backup_folder)
    found, damaged = vault.backups(), vault.damaged()
    rows = [
        {
            "backup": one.name,
            "made_at": one.made_at,
            "verified": one.verified,
            "missing": dict(one.missing),
            "files": len(one.files),
            "bytes": one.bytes,
            "new_bytes": one.new_bytes,
        }
        for one in found
    ]
    lines = [_line(one) for one in found] + [f"! {why}" for why in damaged.values()]
    text = "\n".join(lines) or f"no backup in {vault.folder} yet: 'routing-ml backup' makes one"
    return {"folder": str(vault.folder), "backups": rows, "damaged": damaged}, text


def restore(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.backup import restore

    settings = _from(settings, options)
    if options.into is not None:
        home = _absolute(options.into)
        backups = settings.backup_folder
        settings = replace(settings, home=home, store_url=default_url(home), backups=backups)
    done = restore(
        settings,
        options.backup,
        parts=options.only or PARTS,
        elsewhere=options.into is not None,
        replace_database=options.replace_database,
        dry_run=options.dry_run,
    )
    found = done.as_dict() | {"dry_run": options.dry_run}
    if done.steps and all(step.action == "left" for step in done.steps):
        found["passed"] = False
    return found, "\n".join(_shown(done, options.dry_run))


def _from(settings: Settings, options: argparse.Namespace) -> Settings:
    if options.backups is None:
        return settings
    return replace(settings, backups=_absolute(options.backups))


def _absolute(path: Path) -> Path:
    """As the shell completes it."""
    return expanded(str(path)).absolute()


def _told(backup: "Backup") -> list[str]:
    """What was copied, in words."""
    facts, seconds = backup.facts, backup.seconds
    if backup.verified:
        seconds += backup.verified["seconds"]
    lines = [f"{_line(backup)}, {seconds:.1f} s"]
    for name, one in facts.get("database", {}).items():
        lines.append(f"  database  {name}: {one['source']}: {_database(one)}")
    tables = facts.get("store", {}).get("tables")
    rows = f"{sum(tables.values()):,} rows" if tables else "nothing was recorded yet"
    lines.append(f"  store     {rows}")
    models = facts.get("models", {})
    versions = models.get("versions", [])
    lines.append(f"  models    {len(versions)} versions, in use: {models.get('active') or 'none'}")
    given = facts.get("settings", {})
    anew = ", ".join(given.get("supply_anew", ())) or "nothing"
    lines.append(
        f"  settings  {len(given.get('columns', {}))} columns files; to be supplied anew: {anew}"
    )
    counts = facts.get("records", {})
    listed = ", ".join(f"{counts[name]} of {name}" for name in counts if counts[name])
    lines.append(f"  records   {listed or 'none'}")
    return lines


def _database(one: dict[str, Any]) -> str:
    if "rows" not in one:
        return str(one.get("note", "never copied"))
    earlier = f", as {one['of']} has it" if "of" in one else ""
    return f"{sum(one['rows'].values()):,} rows in {len(one['rows'])} tables{earlier}"


def _line(backup: "Backup") -> str:
    state = "verified" if backup.verified else "NOT VERIFIED"
    if backup.verified and backup.missing:
        state = f"verified, without a new copy of {', '.join(backup.missing)}"
    size = f"{_size(backup.bytes)} ({_size(backup.new_bytes)} new)"
    return f"{backup.name}  {state}: {len(backup.files):,} files, {size}"


def _shown(done: "Restore", dry_run: bool) -> list[str]:
    """What was restored, or would be, in words."""
    verbs = {"new": "restored to", "replace": "in the place of", "same": "is the same in"}
    if dry_run:
        verbs |= {"new": "would be restored to", "replace": "would replace"}
    acts = any(step.acts for step in done.steps) or done.finished
    says = "would go into" if dry_run else "is in" if acts else "has nothing to restore in"
    lines = [f"{done.backup} {says} {done.home}"]
    for step in done.steps:
        files = f"{step.files:,} files, " if step.files != 1 else ""
        verb = verbs.get(step.action, "is not restored:")
        what = f"{step.inside} ({files}{_size(step.bytes)}) {verb} {step.target or 'PostgreSQL'}"
        what += f": {step.note}" if step.note else ""
        if step.aside:
            what += f"; what {'is' if dry_run else 'was'} there "
            what += f"{'would go' if dry_run else 'is now'} in {step.aside}"
        lines.append(f"  {step.part:9} {what}")
    lines += [f"  note: {note}" for note in done.notes]
    if done.supply_anew:
        lines.append(f"  to be supplied anew: {', '.join(done.supply_anew)}")
    return lines


def _size(count: int) -> str:
    if count < 1_000_000:
        return f"{count / 1000:.1f} kB"
    return f"{count / 1_000_000:,.1f} MB"

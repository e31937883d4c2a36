"""Which version is in use: the link `active`, switched in one step, and the record of every switch.

A switch is three steps: its intent goes to `.pending.json`, the link is renamed into place, the
entry is added to `history.jsonl`. A process killed in between leaves the intent, and `recover`
completes it, so that the record and the link always agree again.
"""

import errno
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import accumulate, zip_longest
from pathlib import Path
from secrets import token_hex
from typing import Any

from routing_ml import clock, files
from routing_ml.errors import ModelError
from routing_ml.registry.version import MANIFEST, as_json, is_name, parsed

ENTRY_KEYS = {"id", "at", "action", "from", "to", "who", "why"}


class History:
    """The link and the record in one models folder; change them only under the registry's lock."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.link = folder / "active"
        self.path = folder / "history.jsonl"
        self.pending = folder / ".pending.json"

    def target(self) -> str | None:
        """What the link says, unchecked; None when there is no link."""
        try:  # one look, for the first promotion may come between two
            return str(self.link.readlink())
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise ModelError(
                f"{self.link} is not a symlink: move it away, then promote a version"
            ) from None

    def active(self) -> str | None:
        """The name of the version in use; ModelError when the link names no version."""
        target = self.target()
        if target is not None and not is_name(target):
            raise ModelError(
                f"{self.link} points to {target}, which is no version of this registry; "
                "put one into use with 'routing-ml promote'"
            )
        return target

    def entries(self) -> list[dict[str, Any]]:
        """Every switch, oldest first, with one that is done but not yet recorded."""
        entries, pending = self._recorded(), self._intent()
        if pending and pending["to"] == self.target() and not _holds(entries, pending):
            entries.append(pending)
        return entries

    def previous(self, present: Collection[str]) -> str | None:
        """The version of `present` that was in use before the active one.

        A promotion adds to a stack and a rollback takes its top off: after A, B, C and two
        rollbacks (A in use) there is none; a promotion of D then has A before it.
        """
        stack: list[str] = []
        for entry in self.entries():
            if entry["action"] == "rollback" and entry["to"] in stack:
                while stack[-1] != entry["to"]:
                    stack.pop()
            elif entry["to"] is not None:
                stack.append(entry["to"])
        active = self.target()
        return next((n for n in reversed(stack) if n in present and n != active), None)

    def used_since(self, moment: datetime) -> list[str]:
        """The versions that were in use at any time since `moment` (aware), newest first.

        One is in use until the next entry. A clock may have been wrong: a date before that of an
        earlier entry counts as that, so that no version is forgotten for it.
        """
        entries = self.entries()
        dates = [datetime.fromisoformat(entry["at"]) for entry in entries]
        ends = list(accumulate(dates, max))[1:]
        names: dict[str, None] = {}
        for entry, end in reversed(list(zip_longest(entries, ends))):
            if entry["to"] is not None and (end is None or end >= moment):
                names.setdefault(entry["to"])
        return list(names)

    def place(self) -> str | None:
        """The id of the last switch, by which it is seen whether there was another one since."""
        entries = self.entries()
        return entries[-1]["id"] if entries else None

    def since(self, place: str | None, champion: str | None) -> list[dict[str, Any]]:
        """The switches after that `place`. What changed the link outside before it and was written
        down after it is none: it led to the `champion` that was seen there."""
        entries = self.entries()
        ids = [entry["id"] for entry in entries]
        after = entries[ids.index(place) + 1 :] if place in ids else entries
        return [e for e in after if e["action"] != "outside" or e["to"] != champion]

    def switch(self, action: str, to: str, *, who: str, why: str) -> None:
        """Point the link to `to` and record it. OSError: neither has changed."""
        entry = _entry(action, self.target(), to, who, why)
        files.atomic_write(self.pending, as_json(entry))
        try:
            # All that needs space on the disk is written before the link changes.
            with self._recording(entry):
                files.replace_link(self.link, to)
        finally:
            # A link that changed without its entry keeps the intent, for `recover`.
            if self.target() != to or _holds(self._recorded(), entry):
                self.pending.unlink()

    def recover(self) -> None:
        """Complete a switch that a killed process had begun; record one made by other means."""
        for path in (self.link, self.path, self.pending):
            files.remove_leftovers(self.folder, path.name)
        entry = self._intent()
        if entry:
            begun = self.target() == entry["to"]
            if not begun and (self.folder / entry["to"] / MANIFEST).exists():
                files.replace_link(self.link, entry["to"])
                begun = True
            if begun and not _holds(self._recorded(), entry):
                self._record(entry)
            self.pending.unlink()
        recorded, target = self._recorded(), self.target()
        last = recorded[-1]["to"] if recorded else None
        if target != last:
            why = f"{self.link} was changed by something other than routing-ml"
            self._record(_entry("outside", last, target, "unknown", why))

    def _record(self, entry: dict[str, Any]) -> None:
        with self._recording(entry):
            pass

    @contextmanager
    def _recording(self, entry: dict[str, Any]) -> Iterator[None]:
        """Have the record with `entry` ready on disk; put it in place after the block."""
        with files.atomic_path(self.path) as temporary:
            old = self.path.read_bytes() if self.path.exists() else b""
            temporary.write_bytes(old + as_json(entry, indent=None).encode() + b"\n")
            files.fsync(temporary)
            yield

    def _recorded(self) -> list[dict[str, Any]]:
        lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        entries = [parsed(line) for line in lines]
        for number, entry in enumerate(entries, start=1):
            if not _is_entry(entry):
                raise ModelError(
                    f"{self.path} line {number} is no record of a switch: "
                    "repair the line, or delete it and lose that record"
                )
        return entries

    def _intent(self) -> dict[str, Any] | None:
        try:
            entry = parsed(self.pending.read_bytes())
        except FileNotFoundError:
            return None
        if not _is_entry(entry) or not is_name(entry["to"]):
            raise ModelError(f"{self.pending} is no record of a switch: delete it")
        return entry


def _entry(action: str, old: str | None, to: str | None, who: str, why: str) -> dict[str, Any]:
    at = clock.utc().isoformat(timespec="milliseconds")
    return {
        "id": token_hex(8),
        "at": at,
        "action": action,
        "from": old,
        "to": to,
        "who": who,
        "why": why,
    }


def _is_entry(entry: dict[str, Any]) -> bool:
    """Whether it is the record of a switch, each entry of its kind."""
    if not entry.keys() >= ENTRY_KEYS:
        return False
    texts = [entry[name] for name in ("id", "at", "action", "who", "why")]
    names = [entry["from"], entry["to"]]
    if not all(isinstance(t, str) for t in texts):
        return False
    if not all(name is None or isinstance(name, str) for name in names):
        return False
    try:
        return datetime.fromisoformat(entry["at"]).tzinfo is not None
    except ValueError:
        return False


def _holds(entries: list[dict[str, Any]], entry: dict[str, Any]) -> bool:
    return any(e["id"] == entry["id"] for e in entries)

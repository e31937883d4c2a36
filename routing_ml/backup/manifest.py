"""What a backup says of itself: its files by their hashes, what was counted in them, what it lacks,
and whether it has been verified.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from routing_ml.errors import BackupError

FORMAT = 1
PARTS = ("database", "store", "models", "settings", "records")
"""In the order in which they are copied: what a factory cannot have again comes first."""
NAME = re.compile(r"backup_[0-9]{8}_[0-9]{6}")
NAME_TIME = "backup_%Y%m%d_%H%M%S"
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class File:
    """A file of a backup: the part that it is of, its path in the backup, its content, and when
    that was last changed, in seconds since 1970, for what is old is to be old again; None where it
    was made for the backup."""

    part: str
    path: str
    sha256: str
    bytes: int
    changed_at: float | None = None


@dataclass(frozen=True)
class Link:
    """A symlink of a backup, kept as it is written and never followed."""

    part: str
    path: str
    target: str


@dataclass(frozen=True)
class Backup:
    """One backup. `facts` has what is known of each part, such as rows; `missing` says of each part
    that could not be copied why, and an earlier copy of it is in its place where there is one;
    `verified` is None until all of it was restored and read again."""

    name: str
    made_at: str
    home: str
    code_version: str
    files: tuple[File, ...] = ()
    links: tuple[Link, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    new_bytes: int = 0
    seconds: float = 0.0
    verified: Mapping[str, Any] | None = None

    @property
    def moment(self) -> datetime:
        """When it was begun, UTC, to the second (it is the name)."""
        return time_of(self.name)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths in it of all its files and symlinks."""
        return (*(file.path for file in self.files), *(link.path for link in self.links))

    @property
    def bytes(self) -> int:
        """What all its files hold."""
        return sum(file.bytes for file in self.files)

    @property
    def is_good(self) -> bool:
        """Whether it was verified and lacks nothing."""
        return self.verified is not None and not self.missing

    def of(self, *parts: str) -> tuple[File, ...]:
        """Its files of these parts."""
        return tuple(file for file in self.files if file.part in parts)

    def links_of(self, *parts: str) -> tuple[Link, ...]:
        """Its symlinks of these parts."""
        return tuple(link for link in self.links if link.part in parts)

    def with_verified(self, verified: Mapping[str, Any] | None) -> "Backup":
        """The same, verified or not."""
        return replace(self, verified=verified)


def written(backup: Backup) -> str:
    """The manifest's text. Names that are no UTF-8 are in it too, as JSON's escapes."""
    facts = {"format": FORMAT, **asdict(backup)}
    return json.dumps({**facts, "digest": _digest(facts)}, indent=1) + "\n"


def read(data: bytes, where: str) -> Backup:
    """The backup that a manifest tells of; BackupError, which names `where`, for any other text."""
    try:
        facts = json.loads(data)
        digest = facts.pop("digest")
        version = facts.pop("format")
        if not isinstance(version, int) or version > FORMAT:
            raise BackupError(
                f"{where} has format {version}, this version knows {FORMAT}: update Routing ML"
            )
        if digest != _digest({"format": version, **facts}):
            raise ValueError("it was changed after it was written")
        files = tuple(File(**file) for file in facts.pop("files"))
        links = tuple(Link(**link) for link in facts.pop("links"))
        backup = Backup(files=files, links=links, notes=tuple(facts.pop("notes")), **facts)
        _check(backup)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BackupError(
            f"{where} is no manifest of a backup: {error}; restore another one, and move this file "
            "away"
        ) from None
    return backup


def is_name(text: str) -> bool:
    """Whether a backup may be called so: backup_YYYYMMDD_HHMMSS, of a moment that there is."""
    try:
        return bool(NAME.fullmatch(text)) and bool(time_of(text))
    except ValueError:
        return False


def time_of(name: str) -> datetime:
    """The moment, UTC, that a backup's name stands for."""
    return datetime.strptime(name, NAME_TIME).replace(tzinfo=UTC)


def _check(backup: Backup) -> None:
    """ValueError for what could lead out of the folder that it is restored into."""
    if not is_name(backup.name):
        raise ValueError(f"it names no backup, but {backup.name!r}")
    links = {link.path for link in backup.links}
    for path in backup.paths:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts:
            raise ValueError(f"{path!r} is outside of it")
        if any("/".join(parts[:n]) in links for n in range(1, len(parts))):
            raise ValueError(f"{path!r} lies behind a symlink")
    for file in backup.files:
        if not SHA256.fullmatch(file.sha256) or not isinstance(file.bytes, int):
            raise ValueError(f"{file.path!r} has no hash")
    if len(set(backup.paths)) != len(backup.paths):
        raise ValueError("it names a file twice")
    for text in (*backup.paths, *(link.target for link in backup.links)):
        if not isinstance(text, str) or "\0" in text:
            raise ValueError(f"{text!r} is no path")
    if not _is_told(backup):
        raise ValueError("it tells of its parts in another form")


def _is_told(backup: Backup) -> bool:
    """Whether what it says of its parts has the form that a list and a restore go by."""
    facts, verified = backup.facts, backup.verified
    tables = [facts, backup.missing, *(facts.get(part, {}) for part in PARTS)]
    tables += [*facts.get("database", {}).values(), facts.get("settings", {}).get("columns", {})]
    tables += [facts["store"]["tables"] for _ in backup.of("store")]
    tables += [] if verified is None else [verified]
    return all(isinstance(table, dict) for table in tables) and len(backup.of("store")) <= 1


def _digest(facts: Mapping[str, Any]) -> str:
    """SHA-256 of all else in the manifest: notices damage, not a forger."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

"""What a part of a backup is while it is copied, and how a folder's files become a part of it."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from routing_ml.backup.blobs import Blobs
from routing_ml.backup.manifest import File, Link
from routing_ml.errors import InputError


@dataclass
class Contents:
    """What was copied of one part so far."""

    part: str
    blobs: Blobs
    files: list[File] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    new_bytes: int = 0

    def add(self, path: Path, name: str, *, made: bool = False) -> File:
        """Copy a file as `name`; `made` where it was made for the backup. FileNotFoundError where
        it is not there (any more), InputError where it cannot be read."""
        taken = self.blobs.take(path)
        self.new_bytes += taken.bytes if taken.new else 0
        changed_at = None if made else taken.changed_at
        self.files.append(File(self.part, name, taken.sha256, taken.bytes, changed_at))
        return self.files[-1]

    def add_link(self, path: Path, name: str) -> None:
        """Keep a symlink as it is written."""
        self.links.append(Link(self.part, name, str(path.readlink())))

    def add_folder(self, folder: Path, name: str) -> None:
        """Copy a folder's files and symlinks but those that are hidden: locks, what is not whole
        yet. What goes meanwhile is left out; pipes and the like are noted."""
        for path in _below(folder):
            inside = f"{name}/{path.relative_to(folder).as_posix()}"
            try:
                mode = path.lstat().st_mode
                if stat.S_ISLNK(mode):
                    self.add_link(path, inside)
                elif stat.S_ISREG(mode):
                    self.add(path, inside)
                else:
                    self.notes.append(f"{path} is no file and was left out")
            except FileNotFoundError:
                continue


def _below(folder: Path) -> Iterator[Path]:
    """All that is no folder under one, sorted, nothing hidden and nothing behind a symlink."""
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}; see to its rights") from None
    for entry in found:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path))
        else:
            yield Path(entry.path)

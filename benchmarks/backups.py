"""Makes backups while others write and things break, and looks at each that is called good.

    python benchmarks/backups.py [--trials 200] [--seed N]
    python benchmarks/backups.py --part time [--source FILE]

A writer keeps recording proposals, switching between two versions, overwriting the Access file
piece by piece and adding pairs to a SQLite source. In each trial one thing happens besides:
nothing, the Access file is cut off, files cannot grow, a byte of a content is flipped, the copy is
killed; as root also, a disk is nearly full. What is then called good is restored into an empty
folder and judged here, by other means: the Access file is one of the two that ever were, pairs of
the SQLite source and of the store are whole, link, history and versions of the registry belong
together. The exit code is 1 where a bad copy was called good, a restore differed, or an earlier
good backup was harmed.

`--part time` prints what a backup and a restore on an empty machine take, as a person runs them.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import backed_up  # noqa: E402
from access_factories import marked  # noqa: E402

from routing_ml.backup import Backup, Vault, copy, forget, restore, verify  # noqa: E402
from routing_ml.errors import RoutingError  # noqa: E402
from routing_ml.registry import Registry  # noqa: E402
from routing_ml.settings import Settings  # noqa: E402
from routing_ml.store import Store  # noqa: E402

SMALL = "full disk"
KINDS = ("nothing else", "cut off", "small files only", "flipped byte", "killed")
PIECE_BYTES, PIECE_SECONDS = 1 << 16, 0.002
PAUSE_SECONDS = 1.5
fork = multiprocessing.get_context("fork")


class Factory:
    """A state folder with two sources, both written to, and the contents that the first one has."""

    def __init__(self, folder: Path) -> None:
        backed_up.make(folder)
        self.folder, self.pairs = folder, folder / "pairs.sqlite"
        self.settings = backed_up.of(folder, ROUTING_ML_SOURCE_PAIRS=str(self.pairs))
        self.access = Path(self.settings.sources["default"])
        self.contents = [marked(1), marked(2)]
        self.hashes = {hashlib.sha256(content).hexdigest() for content in self.contents}
        self.access.write_bytes(self.contents[0])
        with closing(sqlite3.connect(self.pairs)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("CREATE TABLE one (n INTEGER)")
            database.execute("CREATE TABLE other (n INTEGER)")

    def write(self, stop: Event, whole: Event) -> None:
        """Write to everything until told to stop, to the Access file while it is to be whole."""
        registry, turn = Registry(self.settings.home / "models"), 0
        names = [version.name for version in registry.versions()]
        with (
            closing(Store(self.settings.store_url)) as store,
            closing(sqlite3.connect(self.pairs, isolation_level=None)) as pairs,
        ):
            due = 0.0
            while not stop.is_set():
                turn += 1
                items = [f"I{turn}-{n}" for n in range(5)]
                store.record_predictions(items, [0.5] * 5, [0.5] * 5, model=names[0], seconds=0.1)
                with suppress(RoutingError):  # locked for a moment
                    registry.promote(names[turn % 2], who="writer", why=f"turn {turn}")
                pairs.execute("BEGIN")
                for table in ("one", "other"):
                    pairs.execute(f"INSERT INTO {table} VALUES (?)", (turn,))
                pairs.execute("COMMIT")
                if whole.is_set() and time.monotonic() > due:
                    self._overwrite(self.contents[turn % 2])
                    due = time.monotonic() + PAUSE_SECONDS
                time.sleep(0.01)

    def _overwrite(self, content: bytes) -> None:
        with self.access.open("r+b", buffering=0) as file:
            for start in range(0, len(content), PIECE_BYTES):
                file.write(content[start : start + PIECE_BYTES])
                time.sleep(PIECE_SECONDS)

    def faults(self, name: str, settings: Settings) -> list[str]:
        """What is wrong with a backup that was called good, by a restore into an empty folder."""
        with tempfile.TemporaryDirectory(dir=self.folder) as empty:
            there = Settings.from_env({
                "ROUTING_ML_HOME": f"{empty}/home",
                "ROUTING_ML_BACKUPS": str(settings.backup_folder),
            })  # fmt: skip
            restore(there, name, elsewhere=True)
            return list(self._wrong(there.home, Vault(settings.backup_folder).get(name)))

    def _wrong(self, home: Path, backup: Backup) -> Iterator[str]:
        databases = home / "restored" / "database"
        digest = hashlib.sha256((databases / "default" / self.access.name).read_bytes()).hexdigest()
        if digest not in self.hashes:
            yield "an Access file that never was"
        counts = backed_up.rows(databases / "pairs" / self.pairs.name)
        if counts["one"] != counts["other"]:
            yield "half a pair in the SQLite source"
        with closing(Store(f"sqlite:///{home}/store.db", write=False)) as store:
            recorded = store.database.rows("SELECT count(*) FROM predictions")[0][0]
            if recorded != store.snapshot().count("predictions"):
                yield "half a batch in the store"
        registry = Registry(home / "models")
        active = registry.active()
        for version in registry.versions():
            version.verify()
        if active is None or active.name != registry.history()[-1]["to"]:
            yield "a link that the history does not know"
        for file in backup.files:
            place = home / file.path
            if file.part in ("models", "records") and (
                hashlib.sha256(place.read_bytes()).hexdigest() != file.sha256
            ):
                yield f"{file.path} differs"


def made(settings: Settings) -> str | None:
    """A backup that was copied and verified and lacks nothing; None where there came none."""
    try:
        backup = verify(settings, copy(settings).name)
    except RoutingError:
        return None
    return backup.name if backup.is_good else None


def trial(
    factory: Factory, kind: str, kept: Backup, rng: random.Random, whole: Event
) -> str | None:
    """One backup while a thing of that kind happens; the name of what was called good."""
    settings = factory.settings
    if kind == "cut off":
        whole.clear()
        time.sleep(0.2 + PIECE_SECONDS * len(factory.contents[0]) / PIECE_BYTES)
        with factory.access.open("r+b") as file:
            file.truncate(rng.randrange(len(factory.contents[0])))
        try:
            return made(settings)
        finally:
            factory.access.write_bytes(factory.contents[0])
            whole.set()
    if kind == "small files only":
        size = sum(file.bytes for file in kept.files)
        return in_child(lambda: limited(settings, int(size ** rng.random())))
    if kind == "killed":
        return in_child(lambda: made(settings), life=rng.uniform(0.05, 0.9))
    if kind == "flipped byte":
        try:
            backup = copy(settings)
        except RoutingError:
            return None
        flip(Vault(settings.backup_folder), rng.choice(backup.files).sha256, rng)
        try:
            verify(settings, backup.name)
        except RoutingError:
            return None
        return backup.name if not backup.missing else None
    return made(settings)


def limited(settings: Settings, limit: int) -> str | None:
    """A backup whose files cannot grow beyond a limit, as a disk that is full has it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return made(settings)


def flip(vault: Vault, digest: str, rng: random.Random) -> None:
    """Change a bit of a content; of an empty one its size."""
    path = vault.blobs.path(digest)
    data = bytearray(path.read_bytes()) or bytearray(1)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def in_child(work: Callable[[], str | None], life: float | None = None) -> str | None:
    """What `work` returns in a process of its own; None where that is killed before it ends."""
    ours, theirs = fork.Pipe(duplex=False)
    process = fork.Process(target=lambda: theirs.send(work()))
    process.start()
    process.join(life)
    if process.is_alive():
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
    return ours.recv() if ours.poll() else None


@contextmanager
def writing(factory: Factory) -> Iterator[Event]:
    """Others at work meanwhile."""
    stop, whole = fork.Event(), fork.Event()
    whole.set()
    process = fork.Process(target=factory.write, args=(stop, whole))
    process.start()
    try:
        yield whole
    finally:
        stop.set()
        process.join(30)
        process.kill()


def trials(folder: Path, count: int, rng: random.Random) -> bool:
    """Print a table of trials; whether all is as it must be."""
    factory, found, reasons = Factory(folder), Counter[tuple[str, str]](), Counter[str]()
    settings = factory.settings
    vault = Vault(settings.backup_folder)
    with writing(factory) as whole:
        while (first := made(settings)) is None:  # one that must be good ever after
            pass
        kept = vault.get(first)
        for number in range(count):
            kind = KINDS[number % len(KINDS)]
            name = trial(factory, kind, kept, rng, whole)
            found[kind, "trials"] += 1
            if name is not None:
                found[kind, "called good"] += 1
                wrong = factory.faults(name, settings)
                found[kind, "bad, called good"] += bool(wrong)
                reasons.update(wrong)
                found[kind, "restored, equal by hash"] += not wrong
            for backup in vault.backups():
                if backup.name != first:  # else each would be laid out again and again
                    vault.drop(backup)
        while made(settings) is None:  # writes anew what was flipped
            pass
    if os.geteuid() == 0:
        tmpfs(factory, count // len(KINDS), rng, found)
    earlier = verify(settings, first).is_good
    columns = ("trials", "called good", "bad, called good", "restored, equal by hash")
    print(f"{'':16}" + "".join(f"{name:>26}" for name in columns))
    for kind in (*KINDS, *([SMALL] if found[SMALL, "trials"] else [])):
        print(f"{kind:16}" + "".join(f"{found[kind, name]:>26}" for name in columns))
    bad = sum(times for (_, what), times in found.items() if what == "bad, called good")
    broken = found["cut off", "called good"] + found["flipped byte", "called good"]
    print(f"bad copy called good: {bad}; of a file that was cut off or a flipped byte: {broken}")
    for reason, times in reasons.items():
        print(f"  {reason}: {times}")
    harmed = found[SMALL, "harmed"] + (not earlier)
    print(f"earlier good backups harmed: {harmed}")
    return not (bad or broken or harmed)


def tmpfs(
    factory: Factory, count: int, rng: random.Random, found: Counter[tuple[str, str]]
) -> None:
    """Backups onto a file system that is nearly full, beside a good one."""
    disk = factory.folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", disk]).returncode:
        return
    try:
        small = replace(factory.settings, backups=disk / "backups")
        first = made(small)
        assert first is not None
        fill = disk / "ballast"
        for _ in range(count):
            (factory.settings.home / "proposals" / "new.parquet").write_bytes(
                rng.randbytes(300_000)
            )
            free = shutil.disk_usage(disk).free
            fill.write_bytes(bytes(max(free - rng.randrange(1, 10_000_000), 0)))
            name = made(small)
            fill.unlink()
            found[SMALL, "trials"] += 1
            if name is not None:
                wrong = factory.faults(name, small)
                found[SMALL, "called good"] += 1
                found[SMALL, "bad, called good"] += bool(wrong)
                found[SMALL, "restored, equal by hash"] += not wrong
            found[SMALL, "harmed"] += not verify(small, first).is_good
            for backup in Vault(small.backup_folder).backups():
                if backup.name != first:
                    Vault(small.backup_folder).drop(backup)
            forget(small)
    finally:
        subprocess.run(["umount", disk], check=True)


def timed(folder: Path, source: Path | None) -> None:
    """Print what a backup and a restore on an empty machine take, each a command of its own."""
    settings = backed_up.make(folder)
    if source is not None:
        shutil.copyfile(source, settings.sources["default"])
    env = os.environ | backed_up.environment(folder)
    new = env | {"ROUTING_ML_HOME": str(folder / "new"), "ROUTING_ML_SOURCE": str(folder / "n.mdb")}
    figures: dict[str, object] = {}
    for what, given, arguments in (
        ("the first backup", env, ("backup",)),
        ("one after it", env, ("backup",)),
        ("a restore on an empty machine", new, ("restore", "--from", settings.backup_folder)),
    ):
        started = time.monotonic()
        command = [sys.executable, "-m", "routing_ml", *map(str, arguments), "--json"]
        done = subprocess.run(command, env=given, cwd=ROOT, capture_output=True, check=True)
        seconds = round(time.monotonic() - started, 2)
        facts = json.loads(done.stdout)
        sizes = {key: facts[key] for key in ("bytes", "new_bytes") if key in facts}
        figures[what] = {"seconds": seconds, **sizes}
    print(json.dumps(figures, indent=1))


def main() -> None:
    """Run one part, or both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--part", choices=("trials", "time"))
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--source", type=Path, help="the Access file of --part time")
    options = parser.parse_args()
    fine = True
    if options.part in (None, "trials"):
        with tempfile.TemporaryDirectory() as folder:
            fine = trials(Path(folder), options.trials, random.Random(options.seed))
    if options.part in (None, "time"):
        with tempfile.TemporaryDirectory() as folder:
            timed(Path(folder), options.source)
    sys.exit(not fine)


if __name__ == "__main__":
    main()

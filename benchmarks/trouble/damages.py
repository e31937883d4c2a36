"""Random damages to the state folder and the settings: one line each, and never a wrong model."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd

from trouble.bed import Bed, Row, one_line

SHAPES = ('{"', "[]", "null", '{"a": 1}', '"text"', "1e999", "[" * 5000, "\x00\xff", "", "NaN")
SETTINGS = ("HOME", "SOURCE", "COLUMNS", "STORE_URL", "TIMEZONE", "NULL_GATE", "GROUP_READABLE")
VALUES = (
    *("", "x", "/", "/dev/null", "/proc/self/mem", "sqlite:///", "postgresql://", "~nobody/x"),
    *("\u00e9\u4e2d", "a" * 5000, "DSN=", "DRIVER={x", "../..", "-1", "true", "x\ty", "%00"),
)
COMMANDS = (
    ("models",),
    ("explain", "P0265"),
    ("drift", "status"),
    ("drift", "summary"),
    ("drift", "evaluate"),
    ("drift", "reset"),
    ("rollback",),
)
CHANGING = (*COMMANDS, ("prune",), ("train", "{home}/datasets", "--candidate", "nearest"))
"""Not with wrong settings: what they name may be somebody's folder."""


def rows(make: Callable, trials: int, chance: random.Random) -> Iterator[Row]:
    """A row for each place that is damaged."""
    kinds = {"models": "models", "store": "store.db*", "outbox": "outbox", "datasets": "datasets"}
    with make() as bed:
        out = bed.folder / "reference.csv"
        bed.command("predict", "--out", str(out))
        reference = pd.read_csv(out)
    for name in kinds:
        row = Row(f"damages to {name}")
        for _ in range(trials):
            with make() as bed:
                (bed.home / "outbox").mkdir(exist_ok=True)
                (bed.home / "outbox" / "a.json").write_text('{"subject": "a"}')
                _damage(chance, _choose(bed.home, kinds[name], chance))
                _commands(bed, row, reference, chance.choice(CHANGING))
        yield row
    row = Row("wrong settings")
    for _ in range(trials):
        with make() as bed:
            others = _modes(bed)
            for key in chance.sample(SETTINGS, chance.choice((1, 1, 2))):
                bed.env[f"ROUTING_ML_{key}"] = chance.choice(VALUES)
            _commands(bed, row, reference, chance.choice(COMMANDS))
            row.lost += [f"{path} has another mode" for path, _ in others ^ _modes(bed)]
    yield row


def _modes(bed: Bed) -> set[tuple[Path, int]]:
    """The modes of the folders that settings may lead to, and that are nobody's to change."""
    others = {*Path(__file__).resolve().parents, *bed.folder.parents, Path.home()}
    return {(path, path.stat().st_mode) for path in others}


def _commands(bed: Bed, row: Row, reference: pd.DataFrame, some: tuple[str, ...]) -> None:
    out = bed.folder / "p.csv"
    some = tuple(each.format(home=bed.home) for each in some)
    for arguments in (("predict", "--out", str(out)), some, ("models", "--json")):
        ended = bed.command(*arguments)
        row.lines += [f"{' '.join(arguments[:2])}: {line}" for line in one_line(ended)]
        if arguments[0] == "predict" and ended.code == 0:
            found = pd.read_csv(out)
            if not found.equals(reference):
                row.models.append("other proposals than before")
    row.trials += 1
    row.went_on += ended.code == 0


def _choose(home: Path, pattern: str, chance: random.Random) -> Path:
    found = [path for top in home.glob(pattern) for path in (top, *top.rglob("*"))]
    return chance.choice(sorted(found))


def _damage(chance: random.Random, path: Path) -> None:
    """Do something to a file, a folder or a link that is never done by the product."""
    kind = chance.choice(
        ("cut", "flip", "shape", "gone", "folder", "file", "loop", "stray", "swap")
    )
    if kind == "stray" or (path.is_dir() and kind in ("cut", "flip", "shape", "swap")):
        within = path if path.is_dir() and not path.is_symlink() else path.parent
        name = chance.choice(
            ("model_20261399_000000", "model_20260101_000000", "x.json", "é", ".x")
        )
        with suppress(OSError):
            (within / name).mkdir() if chance.random() < 0.5 else (within / name).write_text("x")
        return
    if kind == "cut":
        with path.open("r+b") as file:
            file.truncate(chance.randint(0, path.stat().st_size))
    elif kind == "flip":
        data = bytearray(path.read_bytes() or b"\0")
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
    elif kind == "shape":
        _shape(chance, path)
    elif kind == "swap":
        others = [one for one in path.parent.iterdir() if one.is_file() and one != path]
        if others:
            shutil.copyfile(chance.choice(others), path)
    else:
        path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)
        if kind == "folder":
            path.mkdir()
        elif kind == "file":
            path.write_bytes(chance.randbytes(50))
        elif kind == "loop":
            path.symlink_to(path.name)


def _shape(chance: random.Random, path: Path) -> None:
    """JSON of another shape, in all or in one of its values."""
    other = chance.choice(SHAPES)
    try:
        value = json.loads(path.read_text())
        key = chance.choice(sorted(value))
        value[key] = json.loads(other)
        path.write_text(json.dumps(value))
    except (ValueError, TypeError, LookupError, RecursionError, AttributeError):
        path.write_bytes(other.encode("utf-8", "surrogateescape"))

"""The rooms of the house: what others may use of one is what its `__init__` names, and tests mirror
them. Which room may import which is checked by import-linter (pyproject.toml).
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "routing_ml"
ROOMS = sorted(path.parent.name for path in LIBRARY.glob("*/__init__.py"))
FILES = [
    path
    for folder in ("routing_ml", "dags", "plugins", "exporter")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of each `from routing_ml...` import of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def handed_on(room: str) -> set[str]:
    """The names that a room's `__init__` imports or defines."""
    tree = ast.parse((LIBRARY / room / "__init__.py").read_text(encoding="utf-8"))
    names = {name for _, name in imports(LIBRARY / room / "__init__.py") if name}
    return (
        names
        | {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
        | {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_imports_past_the_door_of_a_room(path: Path) -> None:
    home = path.relative_to(LIBRARY).parts[0] if path.is_relative_to(LIBRARY) else ""
    for module, name in imports(path):
        parts = module.split(".")
        if parts[0] != "routing_ml" or len(parts) < 2 or parts[1] not in ROOMS:
            continue
        if parts[1] != home:
            assert len(parts) == 2, f"{module} is inside {parts[1]}/: import from the folder"
            assert name in handed_on(parts[1]), f"{parts[1]}/__init__.py does not name {name}"


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_that_a_room_hands_on_is_there(room: str) -> None:
    package = __import__(f"routing_ml.{room}", fromlist=["_"])
    for name in handed_on(room) - {"TYPE_CHECKING", "handing_on"}:
        assert hasattr(package, name), name


@pytest.mark.parametrize("room", ROOMS)
def test_no_name_that_a_room_hands_on_is_hidden_by_a_file_of_its_own(room: str) -> None:
    """Once that file is imported, the name is the module."""
    files = {path.stem for path in (LIBRARY / room).glob("*.py")}
    handed = imports(LIBRARY / room / "__init__.py")
    assert [name for module, name in handed if name in files and module.count(".") > 1] == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_goes_in_and_out(room: str) -> None:
    assert (
        len(ast.get_docstring(ast.parse((LIBRARY / room / "__init__.py").read_text())) or "") > 40
    )


def test_the_tests_mirror_the_rooms() -> None:
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert set(ROOMS) <= folders

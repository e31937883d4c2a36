"""Lets a folder's `__init__` name what others may use without importing any of it."""

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def handing_on(package: str, file: str) -> Callable[[str], object]:
    """The module `__getattr__` (PEP 562) of the package whose `__init__` is `file`.

    The names are those that the `if TYPE_CHECKING:` block of that file imports, so that they are
    written once, in the form that type checkers read; a name's module is imported at its first
    use. Raises AttributeError for any other name.
    """
    source = ast.parse(Path(file).read_text(encoding="utf-8"))
    blocks = [node for node in source.body if isinstance(node, ast.If)]
    imports = [line for block in blocks for line in block.body if isinstance(line, ast.ImportFrom)]
    modules = {alias.name: line.module for line in imports for alias in line.names}

    def get(name: str) -> Any:
        module = modules.get(name)
        if module is None:
            raise AttributeError(f"{package} hands on no {name!r}")
        if module == package:  # a module of the folder, as a whole
            return import_module(f"{package}.{name}")
        return getattr(import_module(module), name)

    return get

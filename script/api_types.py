"""Writes docs/api/*.d.ts, TypeScript types of both APIs, from their OpenAPI documents.

docs/api/example.ts, which uses them, must compile.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from install import NODE, ROOT

FOLDER = ROOT / "docs" / "api"


def pages() -> dict[str, Any]:
    """The document of the API beside the pages, which nobody is asked to log in for."""
    sys.path.append(str(ROOT / "plugins"))
    from routing_ml_pages.access import Access
    from routing_ml_pages.app import make
    from routing_ml_pages.document import document

    return document(make(Access(*[lambda: None] * 4)))


def exporter() -> dict[str, Any]:
    """The exporter's document."""
    from exporter.openapi import document

    return document()


DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "pages.d.ts": pages,
    "exporter.d.ts": exporter,
}


def types_of(document: dict[str, Any]) -> str:
    """A document's types, as openapi-typescript writes them."""
    with tempfile.TemporaryDirectory() as folder:
        path, made = Path(folder, "openapi.json"), Path(folder, "types.d.ts")
        path.write_text(json.dumps(document))
        _run("openapi-typescript", str(path), "--output", str(made))
        return made.read_text()


def wrong() -> list[str]:
    """Which files are not what the documents say, and what does not compile."""
    found = []
    for name, made in DOCUMENTS.items():
        path = FOLDER / name
        if not path.is_file() or path.read_text() != types_of(made()):
            found.append(f"{path.name} is not what the API says: run script/api-types")
    return found or _compiled()


def _compiled() -> list[str]:
    try:
        _run("tsc", "--noEmit", "--strict", "--target", "es2022", str(FOLDER / "example.ts"))
    except subprocess.CalledProcessError as error:
        return str(error.stdout).splitlines()
    return []


def _run(program: str, *arguments: str) -> None:
    command = [str(NODE / "node_modules" / ".bin" / program), *arguments]
    subprocess.run(command, check=True, capture_output=True, text=True)


def main() -> int:
    """Write both, or with --check say what is wrong; the exit code says whether anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    if not parser.parse_args().check:
        for name, made in DOCUMENTS.items():
            (FOLDER / name).write_text(types_of(made()))
    found = wrong()
    for line in found:
        print(line, file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())

"""Writes the SBOMs (CycloneDX, JSON) of all that runs, and of the exporter's image, from the locks.

No time and no random number is in them: the same lock makes the same file.
"""

import ast
import hashlib
import json
import re
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from install import ROOT
from packageurl import PackageURL

# Each lock, and the SBOM beside it.
SBOMS = {
    "requirements.txt": "sbom.cdx.json",
    "deploy/exporter/requirements.txt": "deploy/exporter/sbom.cdx.json",
}


# What is in the repository itself, of which SBOM: its name in the npm registry, release and file.
COPIED = {
    "requirements.txt": (("uplot", "1.6.32", "plugins/routing_ml_pages/static/uplot.js"),),
}


@dataclass
class Pin:
    """A package of a lock: its hashes, by whom it is needed, and whether not everywhere."""

    name: str
    version: str
    marker: str = ""
    hashes: list[str] = field(default_factory=list)
    needed_by: list[str] = field(default_factory=list)


def pins(lock: str) -> Iterator[Pin]:
    r"""The packages of the text of a lock.

    >>> lock = "a==1 ; sys_platform == 'win32' \\\n    --hash=sha256:0a\n    # via b\n"
    >>> list(pins(lock))
    [Pin(name='a', version='1', marker="sys_platform == 'win32'", hashes=['0a'], needed_by=['b'])]
    """
    found: list[Pin] = []
    for line in lock.splitlines():
        if start := re.match(r"([\w.-]+)==([^\s;]+)(?: ; (.*?))?(?: \\)?$", line):
            found.append(Pin(start[1], start[2], start[3] or ""))
        elif given := re.match(r" +--hash=sha256:(\w+)", line):
            found[-1].hashes.append(given[1])
        elif via := re.match(r" +#(?: via)? +(.+)$", line):
            found[-1].needed_by.append(via[1])
    yield from found


def sbom(lock: str, name: str, version: str, copied: Sequence[tuple[str, str, str]] = ()) -> str:
    """The SBOM of the text of a lock and of what is `copied`, of the project's `name` and
    `version`."""
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{name} {version} {lock}"))
    bom.metadata.component = root = Component(
        type=ComponentType.APPLICATION, name=name, version=version, bom_ref=name
    )
    packages = list(pins(lock))
    components = {pin.name: _component(pin) for pin in packages}
    needs: dict[str, list[Component]] = {each: [] for each in components}
    wanted = []
    for pin in packages:
        for user in pin.needed_by:
            if user in needs:
                needs[user].append(components[pin.name])
            elif user.startswith("-r "):
                wanted.append(components[pin.name])
    bom.components.update(components.values())
    for copy in copied:
        wanted.append(_copied(*copy))
        bom.components.add(wanted[-1])
    bom.register_dependency(root, wanted)
    for user, needed in needs.items():
        bom.register_dependency(components[user], needed)
    made = json.loads(JsonV1Dot6(bom).output_as_string())
    del made["metadata"]["timestamp"]
    return json.dumps(made, indent=1) + "\n"


def _component(pin: Pin) -> Component:
    address = PackageURL("pypi", name=pin.name, version=pin.version)
    return Component(
        type=ComponentType.LIBRARY,
        name=pin.name,
        version=pin.version,
        purl=address,
        bom_ref=str(address),
        # Of every file that the lock allows, one of which is installed.
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in pin.hashes],
        scope=ComponentScope.OPTIONAL if pin.marker else ComponentScope.REQUIRED,
    )


def _copied(name: str, version: str, file: str) -> Component:
    address = PackageURL("npm", name=name, version=version)
    digest = hashlib.sha256((ROOT / file).read_bytes()).hexdigest()
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        purl=address,
        bom_ref=str(address),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        scope=ComponentScope.REQUIRED,
    )


def version() -> str:
    """The project's, read without importing it."""
    for node in ast.parse((ROOT / "routing_ml" / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__":
            return str(ast.literal_eval(node.value))
    raise AssertionError("routing_ml/__init__.py has no __version__")


def main() -> int:
    """Write each."""
    for lock, file in SBOMS.items():
        name = "routing-ml" if lock == "requirements.txt" else "routing-ml-exporter"
        text, copied = Path(ROOT, lock).read_text(), COPIED.get(lock, ())
        (ROOT / file).write_text(sbom(text, name, version(), copied))
    return 0


if __name__ == "__main__":
    sys.exit(main())

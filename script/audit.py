"""Asks OSV, a service of known vulnerabilities, about every package that the locks pin.

Where it cannot be reached, that is said in one line and is no error: nothing was found out.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from install import ROOT, VENV

LOCKS = ("requirements.txt", "requirements-dev.txt")
TIMEOUT_SECONDS = 15
# Vulnerabilities that cannot be had here, by their names, each with the reason.
ACCEPTED: dict[str, str] = {}
UNREACHED = re.compile(r"ConnectionError|ConnectTimeout|ReadTimeout|ServiceError|HTTPError")


def audit(options: Sequence[str]) -> tuple[list[str], int]:
    """What pip-audit found, in lines, and this program's exit code; `options` are pip-audit's."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [str(VENV / "bin" / "pip-audit"), "--vulnerability-service", "osv"]
        # Every package with its dependencies is in the locks: there is nothing to resolve.
        command += ["--disable-pip", "--require-hashes", "--progress-spinner", "off"]
        command += ["--format", "json", "--output", str(report), "--timeout", str(TIMEOUT_SECONDS)]
        for lock in LOCKS:
            command += ["--requirement", str(ROOT / lock)]
        for name in ACCEPTED:
            command += ["--ignore-vuln", name]
        asked = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        if report.exists():
            return judged(json.loads(report.read_text())["dependencies"])
    words = " ".join((asked.stderr.strip().splitlines() or ["it said nothing"])[-1].split())[:300]
    if UNREACHED.search(words):
        return [f"pip-audit: NOT AUDITED, the vulnerability service was not reached: {words}"], 0
    return [f"pip-audit failed: {words}"], 1


def judged(packages: Sequence[dict]) -> tuple[list[str], int]:
    """A line for each vulnerability, and 1 where there is one.

    >>> judged([{"name": "a", "version": "1", "vulns": []}])
    (['pip-audit: no known vulnerability in 1 packages'], 0)
    """
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, "
        f"mended in {', '.join(found['fix_versions']) or 'no version yet'}"
        for package in packages
        for found in package.get("vulns", [])
    ]
    lines += [
        f"{package['name']}: not audited: {package['skip_reason']}"
        for package in packages
        if "skip_reason" in package
    ]
    if lines:
        return lines, 1
    return [f"pip-audit: no known vulnerability in {len(packages)} packages"], 0


def main() -> int:
    """Print what was found."""
    lines, code = audit(sys.argv[1:])
    print("\n".join(lines), file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())

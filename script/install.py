"""Makes .venv from the pinned requirements and installs the system packages that are missing.

Standard library only: this runs before anything is installed.
"""

import argparse
import ast
import contextlib
import ctypes.util
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
# Not the virtual environment's own, which may be the one that is running and is to be replaced.
BASE_PYTHON: str = getattr(sys, "_base_executable", sys.executable)
UV = ROOT / "script" / "uv.txt"
NODE = ROOT / "script" / "node"
SYSTEM_CA = Path("/etc/ssl/certs/ca-certificates.crt")
# A package that is built here would fetch what builds it, in any version and without a hash.
LOCKED = ("--require-hashes", "--only-binary", ":all:")

RUN_PACKAGES = ("unixodbc",)
TEST_PACKAGES = (
    "bubblewrap",
    "chromium",
    "libsqliteodbc",
    "mdbtools",
    "npm",
    "odbc-mdbtools",
    "odbc-postgresql",
    "postgresql",
    "prometheus",
    "prometheus-alertmanager",
    "wget",
)

# Debian starts what these bring, at the ports that script/monitor is to use.
SERVICES = ("prometheus", "prometheus-alertmanager")
SYSTEMD = Path("/run/systemd/system")  # there where systemd runs

# What these bring may have come otherwise; Ubuntu has its Chromium as a snap alone.
PROGRAMS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "npm": ("npm",),
}

Say = Callable[[str], None]


class SetupError(Exception):
    """What stops the set-up, in one line with the next step."""


def prepare(
    say: Say,
    *,
    tests: bool = False,
    developer: bool = False,
    packages: Sequence[str] = (),
    log: Path | None = None,
) -> None:
    """Leave a machine on which .venv and the system packages are there, `packages` besides those
    that every start needs; quick when they are.

    A `developer` has the Python packages of checks and tests too, `tests` those of the system.

    The output of pip and apt goes to `log`; its end is shown when they fail.
    """
    log = log or ROOT / "var" / "log" / "setup.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    except OSError as error:
        raise SetupError(f"{log} cannot be written ({error.strerror}); make it writable") from error
    # Two starts at once would otherwise build the same folder; the second waits.
    with _alone():
        packages = [*RUN_PACKAGES, *packages, *(TEST_PACKAGES if tests else ())]
        if not _ready("requirements.txt") and not _can_make_venv():
            packages.append(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
        renewed = _stamp("requirements-dev.txt").exists() and not _ready("requirements-dev.txt")
        if (tests or developer) and renewed:
            # Else what the lock names no more would stay, and be found.
            _stamp("requirements.txt").unlink(missing_ok=True)
        anew = not _ready("requirements.txt")
        checks = (tests or developer) and (anew or not _ready("requirements-dev.txt"))
        lacking = not all(map(_is_installed, packages))
        modules = tests and not _has_node_modules()
        say = numbered(say, lacking + 2 * anew + checks + modules)
        _install_system_packages(packages, say, log)
        _make_venv(say, log)
        if (tests or developer) and not _ready("requirements-dev.txt"):
            say(f"installing {_count('requirements-dev.txt')} Python packages of tests and checks")
            _install_locked(ROOT / "requirements-dev.txt", log)
            _mark_ready("requirements-dev.txt")
        if modules:
            _install_node_modules(say, log)


def numbered(say: Say, total: int) -> Say:
    """`say`, with which step of how many each line is; a step more is no step too many.

    >>> tell = numbered(print, 2)
    >>> tell("making .venv")
    set-up 1 of 2: making .venv
    """
    done = 0

    def tell(line: str) -> None:
        nonlocal done
        done += 1
        say(f"set-up {done} of {max(done, total)}: {line}")

    return tell


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hold the checkout's own folder locked."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


# System packages


def _install_system_packages(packages: Sequence[str], say: Say, log: Path) -> None:
    missing = [name for name in packages if not _is_installed(name)]
    if not missing:
        return
    command = _apt(missing)
    say(f"installing {', '.join(missing)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    _call([*command, "update"], log, environment)
    _call([*command, "install", "-y", "--no-install-recommends", *missing], log, environment)
    if SYSTEMD.is_dir():
        for service in set(missing) & set(SERVICES):
            _call([*command[:-1], "systemctl", "disable", "--now", service], log)


def _apt(missing: Sequence[str]) -> list[str]:
    """The start of an apt-get command that may install, or an error that says what is needed."""
    wanted = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
    if not shutil.which("apt-get"):
        raise SetupError(
            f"this machine lacks {', '.join(missing)} (Debian's names) and has no apt-get; "
            "install the equivalents, then start again"
        )
    if os.geteuid() == 0:
        return ["apt-get"]
    if shutil.which("sudo"):
        # A password can only be typed where a person sits.
        quiet = [] if sys.stdin.isatty() else ["-n"]
        if subprocess.run(["sudo", *quiet, "-v"], capture_output=bool(quiet)).returncode == 0:
            return ["sudo", *quiet, "apt-get"]
    raise SetupError(
        f"installing needs root: have an administrator run '{wanted}', then start again"
    )


def _is_installed(package: str) -> bool:
    if package in PROGRAMS:
        return any(map(shutil.which, PROGRAMS[package]))
    if shutil.which("dpkg-query"):
        asked = subprocess.run(
            ["dpkg-query", "-W", "-f=${db:Status-Status}", package], capture_output=True, text=True
        )
        return asked.stdout == "installed"
    # Another distribution, other names: see whether what they bring is there.
    if package in SERVICES:
        return shutil.which(package) is not None
    if package == "unixodbc":
        return ctypes.util.find_library("odbc") is not None
    return False


# What looks at the pages in a browser


def _has_node_modules() -> bool:
    stamp = NODE / "node_modules" / ".sha256"
    return stamp.exists() and stamp.read_text() == _node_fingerprint()


def _install_node_modules(say: Say, log: Path) -> None:
    """What package-lock.json names, with the hash of each; none may run a script of its own."""
    count = len(json.loads((NODE / "package-lock.json").read_text())["packages"]) - 1
    say(f"installing {count} npm packages that look at the pages, for half a minute")
    npm = shutil.which("npm") or "npm"
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund")
    # Node trusts the authorities that it brings alone; pip and apt trust the system's.
    trusted = ({"NODE_EXTRA_CA_CERTS": str(SYSTEM_CA)} if SYSTEM_CA.is_file() else {}) | os.environ
    _call([npm, "ci", *quiet, "--prefix", str(NODE)], log, trusted)
    (NODE / "node_modules" / ".sha256").write_text(_node_fingerprint())


def _node_fingerprint() -> str:
    return hashlib.sha256((NODE / "package-lock.json").read_bytes()).hexdigest()


# The virtual environment


def _make_venv(say: Say, log: Path) -> None:
    if _ready("requirements.txt"):
        return
    if VENV.is_symlink():  # venv would empty the folder that it leads to, which others may use
        raise SetupError(
            f"{VENV} is a link to {VENV.readlink()}, which would be emptied; remove the link"
        )
    say(f"making .venv with Python {platform.python_version()}")
    _call([BASE_PYTHON, "-m", "venv", "--clear", str(VENV)], log)
    say(f"installing {_count('requirements.txt')} Python packages, 0.9 GB, for a minute or more")
    _install_locked(ROOT / "requirements.txt", log)
    # Without isolation the build uses the setuptools that the requirements pin.
    _install_python_packages(["--no-deps", "--no-build-isolation", "-e", str(ROOT)], log)
    _mark_ready("requirements.txt")


def _can_make_venv() -> bool:
    """Whether `python -m venv` works: Debian splits ensurepip off into a package of its own."""
    probe = [BASE_PYTHON, "-c", "import venv, ensurepip"]
    return subprocess.run(probe, capture_output=True).returncode == 0


def _install_locked(requirements: Path, log: Path) -> None:
    """What a lock names: no other version, and no other file than those whose hash it has."""
    _install_python_packages([*LOCKED, "-r", str(requirements)], log)


def _install_python_packages(arguments: Sequence[str], log: Path) -> None:
    """With uv where pip can fetch it (a fifth of the time), otherwise with pip itself."""
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    uv = VENV / "bin" / "uv"
    try:
        if not uv.exists():
            _call([*pip, "install", *LOCKED, "-r", str(UV)], log)
        listing = subprocess.run([*pip, "config", "list"], capture_output=True, text=True).stdout
        environment = uv_settings(listing) | os.environ
        _call([str(uv), "pip", "install", "--compile-bytecode", *arguments], log, environment)
    except SetupError:
        _call([*pip, "install", *arguments], log)


def uv_settings(pip_configuration: str) -> dict[str, str]:
    """The environment that makes uv look where pip does, from `pip config list`.

    uv reads none of pip's files. The values may hold passwords: they are passed on, not shown.

    >>> uv_settings("global.index-url='https://example.org/simple'")["UV_DEFAULT_INDEX"]
    'https://example.org/simple'
    """
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):  # the later beats the earlier, as in pip
        for line in pip_configuration.splitlines():
            key, separator, value = line.partition("=")
            if separator and key.startswith(section + "."):
                found[key.removeprefix(section + ".")] = str(ast.literal_eval(value))
    environment = {
        "UV_PYTHON_DOWNLOADS": "never",
        "VIRTUAL_ENV": str(VENV),
        # pip takes the best version of all indexes; uv would stop at the first that has the name.
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    names = {
        "index-url": ("UV_DEFAULT_INDEX", " "),
        "extra-index-url": ("UV_INDEX", " "),
        "find-links": ("UV_FIND_LINKS", ","),
        "trusted-host": ("UV_INSECURE_HOST", " "),
        "cert": ("SSL_CERT_FILE", " "),
        "proxy": ("ALL_PROXY", " "),
        "no-index": ("UV_NO_INDEX", " "),
        "timeout": ("UV_HTTP_TIMEOUT", " "),
    }
    for option, (name, separator) in names.items():
        if option in found:
            environment[name] = separator.join(found[option].split())
    return environment


def _count(requirements: str) -> int:
    """How many packages a lock names."""
    lines = (ROOT / requirements).read_text().splitlines()
    return sum("==" in line and not line.startswith((" ", "#")) for line in lines)


def _ready(requirements: str) -> bool:
    stamp = _stamp(requirements)
    return stamp.exists() and stamp.read_text() == _fingerprint(requirements)


def _mark_ready(requirements: str) -> None:
    _stamp(requirements).write_text(_fingerprint(requirements))


def _stamp(requirements: str) -> Path:
    return VENV / f".{requirements}.sha256"


def _fingerprint(requirements: str) -> str:
    """What the environment depends on: the pins, the project's metadata, the Python, the place."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    metadata = [project["build-system"], project["project"], project["tool"]["setuptools"]]
    parts = [(ROOT / requirements).read_text(), repr(metadata), sys.version, str(ROOT)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _call(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a command with its output in `log`; its last lines are in the error when it fails."""
    with log.open("a") as output:
        start = output.tell()
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    if ended.returncode:
        with log.open(errors="replace") as output:
            output.seek(start)
            tail = [line for line in output.read().splitlines() if line.strip()][-5:]
        raise SetupError("\n  ".join([f"{Path(command[0]).name} failed (see {log}):", *tail]))


def main() -> int:
    """Set up, and say how long it took when it took anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", action="store_true", help="what the tests need, too")
    parser.add_argument("--developer", action="store_true", help="its Python packages alone")
    arguments = parser.parse_args()
    begun = time.monotonic()
    try:
        prepare(
            lambda line: print(line, flush=True),
            tests=arguments.tests,
            developer=arguments.developer,
        )
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    if time.monotonic() - begun > 2:
        print(f"set-up took {time.monotonic() - begun:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

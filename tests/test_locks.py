"""Nothing is installed but what the locks name, file by file; the SBOMs name all of it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "script"))

import audit  # noqa: E402
import install  # noqa: E402
import sbom  # noqa: E402

LOCKS = (
    "requirements.txt",
    "requirements-dev.txt",
    "deploy/exporter/requirements.txt",
    "script/uv.txt",
)
# A package and version, where it is not for all machines those, and the hashes of its files.
PINNED = re.compile(r"([a-z0-9-]+)==(\S+)(?: ; (.+?))?((?: --hash=sha256:[0-9a-f]{64})+)")


def lines(lock: str) -> list[str]:
    """The requirements of a lock, each in one line."""
    text = re.sub(r"\\\n\s+", "", (ROOT / lock).read_text())
    return [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]


def pins(lock: str) -> dict[str, tuple[str, str]]:
    """The version and the hashes of each package."""
    found = [PINNED.fullmatch(line) for line in lines(lock)]
    return {each[1]: (each[2], each[4]) for each in found if each}


def requirements(file: str) -> list[Requirement]:
    """What an .in file asks for."""
    text = re.sub(r"(^|\s+)#.*|^-c .*", "", (ROOT / file).read_text(), flags=re.MULTILINE)
    return [Requirement(line) for line in text.splitlines() if line]


# The locks


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_has_one_version_and_the_hashes_of_its_files(lock: str) -> None:
    assert lines(lock)
    for line in lines(lock):
        assert PINNED.fullmatch(line), line
    assert len(pins(lock)) == len(lines(lock))


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_place_to_download_from(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text()
    assert not re.search("index|find-links|trusted", (ROOT / lock).read_text())


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_what_is_asked_for_and_what_that_needs(lock: str) -> None:
    """By what each installed package says of itself; it is of the lock's version."""
    pinned, todo = pins(lock), requirements(lock.replace(".txt", ".in"))
    seen: set[str] = set()
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        assert name in pinned, f"{wanted} is not in {lock}: run script/lock"
        version = importlib.metadata.version(name)
        assert pinned[name][0] == version
        assert wanted.specifier.contains(version, prereleases=True), f"{wanted}: run script/lock"
        for text in importlib.metadata.requires(name) or ():
            needed = Requirement(text)
            extras = wanted.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
                todo.append(needed)


@pytest.mark.parametrize("lock", ["requirements-dev.txt", "deploy/exporter/requirements.txt"])
def test_what_two_locks_have_is_the_same(lock: str) -> None:
    first, second = pins("requirements.txt"), pins(lock)
    assert first.keys() & second.keys()
    assert all(first[name] == second[name] for name in first.keys() & second.keys())


def test_what_is_installed_here_is_what_the_locks_name() -> None:
    pinned = {name: pin[0] for lock in LOCKS for name, pin in pins(lock).items()}
    for package in importlib.metadata.distributions():
        name = canonicalize_name(package.name)
        if name != "routing-ml":
            assert pinned.get(name) == package.version, name


# Installing


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A wheel that an index would give."""
    path = tmp_path / "index" / "of_a_test-1.0-py3-none-any.whl"
    path.parent.mkdir()
    about = "of_a_test-1.0.dist-info"
    files = {
        "of_a_test.py": "",
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: of-a-test\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{about}/RECORD"))
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return path


@pytest.fixture(params=["uv", "pip"])
def environment(
    request: pytest.FixtureRequest, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An environment of its own that script/install.py installs into, by uv or without it."""
    made = tmp_path / "venv"
    venv.create(made, with_pip=True)
    if request.param == "uv":
        shutil.copy(ROOT / ".venv" / "bin" / "uv", made / "bin")
    monkeypatch.setattr(install, "VENV", made)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(package.parent))
    return made


def installed(environment: Path) -> bool:
    return bool(list(environment.glob("lib/*/site-packages/of_a_test.py")))


def test_only_the_file_whose_hash_is_in_the_lock_is_installed(
    environment: Path, package: Path, tmp_path: Path
) -> None:
    lock, log = tmp_path / "lock.txt", tmp_path / "log"
    for text in ("of-a-test==1.0\n", f"of-a-test==1.0 --hash=sha256:{'0' * 64}\n"):
        lock.write_text(text)
        with pytest.raises(install.SetupError, match="hash"):
            install._install_locked(lock, log)
        assert not installed(environment)
    right = hashlib.sha256(package.read_bytes()).hexdigest()
    lock.write_text(f"of-a-test==1.0 --hash=sha256:{right}\n")
    install._install_locked(lock, log)
    assert installed(environment)


def test_what_a_lock_names_no_more_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    monkeypatch.setattr(install, "VENV", tmp_path)
    monkeypatch.setattr(install, "_install_system_packages", lambda *given: None)
    monkeypatch.setattr(install, "_install_locked", lambda *given: None)
    monkeypatch.setattr(install, "_has_node_modules", lambda: True)
    monkeypatch.setattr(
        install, "_make_venv", lambda *given: kept.append(install._ready("requirements.txt"))
    )
    for lock in ("requirements.txt", "requirements-dev.txt"):
        install._mark_ready(lock)
    install.prepare(print, tests=True, log=tmp_path / "log")
    install._stamp("requirements-dev.txt").write_text("of another lock")
    install.prepare(print, tests=True, log=tmp_path / "log")
    assert kept == [True, False]


def test_the_images_install_nothing_else() -> None:
    for path in ROOT.glob("deploy/*/Dockerfile"):
        copied = re.findall(r"^COPY (.*) \./$", path.read_text(), re.MULTILINE)
        lock = "requirements.txt"
        assert any(ROOT / file in map(ROOT.joinpath, LOCKS) for file in " ".join(copied).split())
        asked = re.findall(r"pip install (.*)", path.read_text())
        assert asked[0] == f"--no-cache-dir --require-hashes --only-binary :all: -r {lock}"
        # The project itself, built by the setuptools of the lock.
        assert asked[1:] in ([], ["--no-cache-dir --no-deps --no-build-isolation --editable ."])
        assert path.read_text().count("pip ") == len(asked)
    assert "setuptools" in pins("requirements.txt")


# The wheel


def test_the_wheel_has_every_file_of_the_packages_and_no_other(tmp_path: Path) -> None:
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("routing_ml", "exporter", "tests", "dags", "script"):
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    for file in ("pyproject.toml", "README.md", "requirements.in"):
        shutil.copy(ROOT / file, source)
    command = [sys.executable, "-P", "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    ours = {
        str(path.relative_to(ROOT))
        for folder in ("routing_ml", "exporter")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == ours


# The SBOMs


@pytest.mark.parametrize(("lock", "file"), sbom.SBOMS.items())
def test_an_sbom_is_valid_and_names_every_package_of_its_lock(lock: str, file: str) -> None:
    text = (ROOT / file).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = json.loads(text)
    hashes = {
        (each["name"], each["version"]): {hash_["content"] for hash_ in each["hashes"]}
        for each in found["components"]
    }
    assert hashes == {
        (name, version): set(re.findall(r"sha256:(\w+)", listed))
        for name, (version, listed) in pins(lock).items()
    } | {
        (name, version): {hashlib.sha256((ROOT / copied).read_bytes()).hexdigest()}
        for name, version, copied in sbom.COPIED.get(lock, ())
    }
    assert found["metadata"]["component"]["version"] == sbom.version()


@pytest.mark.parametrize(("lock", "file"), sbom.SBOMS.items())
def test_an_sbom_says_what_needs_what(lock: str, file: str) -> None:
    found = json.loads((ROOT / file).read_text())
    needs = {each["ref"]: set(each.get("dependsOn", ())) for each in found["dependencies"]}
    names = {each["bom-ref"]: each["name"] for each in found["components"]}
    asked = {canonicalize_name(each.name) for each in requirements(lock.replace(".txt", ".in"))}
    root = found["metadata"]["component"]["bom-ref"]
    copied = {name for name, *_ in sbom.COPIED.get(lock, ())}
    assert {names[each] for each in needs[root]} == asked | copied
    # Everything is there because something else is.
    assert names.keys() == set().union(*needs.values())


@pytest.mark.parametrize(("lock", "file"), sbom.SBOMS.items())
def test_an_sbom_is_what_script_sbom_makes_of_the_lock(lock: str, file: str) -> None:
    text = (ROOT / file).read_text()
    name = json.loads(text)["metadata"]["component"]["name"]
    text_of_lock, copied = (ROOT / lock).read_text(), sbom.COPIED.get(lock, ())
    assert sbom.sbom(text_of_lock, name, sbom.version(), copied) == text


@pytest.mark.parametrize(("name", "version", "file"), sbom.COPIED["requirements.txt"])
def test_what_is_copied_says_that_it_is_of_that_release(name: str, version: str, file: str) -> None:
    begins = (ROOT / file).read_text(encoding="utf-8")[:200].lower()
    assert name in begins and f"(v{version})" in begins


# Known vulnerabilities


@contextmanager
def osv(vulnerable: str, status: int = 200) -> Iterator[str]:
    """A service of vulnerabilities, which knows one, of one package."""
    asked = set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = question["package"]["name"]
            asked.add(name)
            answer: dict = {}
            if name == vulnerable:
                events = [{"introduced": "0"}, {"fixed": "999.1"}]
                affected = {
                    "package": {"name": name, "ecosystem": "PyPI"},
                    "ranges": [{"type": "ECOSYSTEM", "events": events}],
                }
                known = {"id": "OSV-2026-1", "details": "of the test", "affected": [affected]}
                answer = {"vulns": [known]}
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
    if status == 200:
        assert asked >= {"pandas", "pytest"}


def audited(url: str, tmp_path: Path) -> tuple[list[str], int]:
    return audit.audit(["--osv-url", url, "--cache-dir", str(tmp_path)])


def test_a_known_vulnerability_fails_the_check_by_its_name(tmp_path: Path) -> None:
    version = pins("requirements.txt")["pandas"][0]
    with osv("pandas") as url:
        lines, code = audited(url, tmp_path)
    assert (lines, code) == ([f"pandas {version}: OSV-2026-1, mended in 999.1"], 1)


def test_where_none_is_known_the_check_says_of_how_many_packages(tmp_path: Path) -> None:
    with osv("") as url:
        (line,), code = audited(url, tmp_path)
    assert code == 0
    assert int(line.split()[-2]) > 150


def test_a_service_that_is_away_is_told_and_is_no_pass(tmp_path: Path) -> None:
    with osv("", status=503) as url:
        away = audited(url, tmp_path)
    for (line,), code in (away, audited(url, tmp_path)):  # it answers wrongly, and not at all
        assert code == 0
        assert "NOT AUDITED" in line and "\n" not in line


def test_a_lock_that_cannot_be_read_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "LOCKS", (str(tmp_path / "none.txt"),))
    (line,), code = audited("http://127.0.0.1:1/v1/query", tmp_path)
    assert code == 1 and line.startswith("pip-audit failed: ")

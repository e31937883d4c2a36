"""deploy/digests.py against a registry on loopback that speaks the real protocol: who asks without
a token is refused, a token is for one repository, an answer is of the kinds that were asked for.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy"))

import digests  # noqa: E402

INDEX = "application/vnd.oci.image.index.v1+json"
IMAGES = [image for path in digests.files() for image in digests.images(path.read_text())]


class Registry:
    """Has the images that the project names; `wrong` says what it gets wrong."""

    def __init__(self) -> None:
        self.wrong = ""
        self.manifests = {
            (image.address("")[1], image.tag): json.dumps(
                {"schemaVersion": 2, "mediaType": INDEX, "annotations": {"of": str(image)}}
            ).encode()
            for image in IMAGES
        }
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                if address.path == "/token":
                    (scope,) = parse_qs(address.query)["scope"]
                    token = {} if registry.wrong == "no token" else {"token": f"may {scope}"}
                    return self.answer(200, json.dumps(token).encode())
                _, version, *repository, kind, tag = address.path.split("/")
                assert (version, kind) == ("v2", "manifests")
                return self.manifest("/".join(repository), tag)

            def manifest(self, repository: str, tag: str) -> None:
                scope = f"repository:{repository}:pull"
                if self.headers.get("Authorization") != f"Bearer may {scope}":
                    realm = f'realm="{registry.url}/token",' if registry.wrong != "no realm" else ""
                    challenge = f'Bearer {realm}service="registry",scope="{scope}"'
                    return self.answer(401, b"{}", {"WWW-Authenticate": challenge})
                if registry.wrong == "garbage":
                    self.wfile.write(b"this is no HTTP\r\n\r\n")
                    return None
                if registry.wrong in ("404", "429", "503"):
                    return self.answer(int(registry.wrong), b"{}")
                assert INDEX in self.headers["Accept"]
                body = registry.manifests[repository, tag]
                said = {"Docker-Content-Digest": f"sha256:{hashlib.sha256(body).hexdigest()}"}
                if registry.wrong == "changed":
                    body += b" "
                if registry.wrong == "endless":
                    body += b" " * digests.BYTES_MOST
                return self.answer(200, body, {} if registry.wrong == "unsaid" else said)

            def answer(self, status: int, body: bytes, headers: dict | None = None) -> None:
                self.send_response(status)
                for name, value in {**(headers or {}), "Content-Length": len(body)}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def digest(self, image: digests.Image) -> str:
        """The digest of what it has."""
        body = self.manifests[image.address("")[1], image.tag]
        return f"sha256:{hashlib.sha256(body).hexdigest()}"


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry that answers."""
    registry = Registry()
    thread = threading.Thread(target=registry.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield registry
    registry.server.shutdown()
    registry.server.server_close()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The script and the files that it changes, in a place of their own."""
    for path in (ROOT / "deploy" / "digests.py", *digests.files()):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return tmp_path


def texts(checkout: Path) -> dict[str, str]:
    return {
        str(path.relative_to(checkout)): path.read_text()
        for path in checkout.rglob("*")
        if path.is_file()
    }


def run(checkout: Path, url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "deploy" / "digests.py"), "--registry", url]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_published_image_has_one_exact_version() -> None:
    assert {image.name for image in IMAGES} >= {"python", "postgres", "grafana/grafana"}
    for path in digests.files():
        named = [
            line.split()[-1]
            for line in path.read_text().splitlines()
            if line.startswith("FROM ") or line.lstrip().startswith("image: ")
        ]
        published = [str(image) for image in digests.images(path.read_text())]
        ours = {"routing-ml-airflow", "routing-ml-exporter"}
        assert [name.partition("@")[0] for name in named if name not in ours] == published
    for image in IMAGES:
        assert len(image.tag.split("-")[0].split(".")) >= 2, f"{image} may be another tomorrow"


def test_every_image_gets_the_digest_of_its_registry(registry: Registry, checkout: Path) -> None:
    before = texts(checkout)
    (checkout / "docker-compose.yaml").chmod(0o640)
    done = run(checkout, registry.url)
    assert done.returncode == 0, done.stderr
    after = texts(checkout)
    assert after.keys() == before.keys()
    assert all(f"{image}@{registry.digest(image)}" in done.stdout for image in IMAGES)
    pins = {str(image): f"{image}@{registry.digest(image)}" for image in IMAGES}
    for name, text in before.items():
        if not name.endswith(".py"):
            for image, pin in pins.items():
                text = text.replace(image, pin)
            assert after[name] == text
    assert (checkout / "docker-compose.yaml").stat().st_mode & 0o777 == 0o640


def test_a_second_time_changes_only_what_has_changed_there(
    registry: Registry, checkout: Path
) -> None:
    run(checkout, registry.url)
    first = texts(checkout)
    assert run(checkout, registry.url).returncode == 0
    assert texts(checkout) == first
    moved = next(image for image in IMAGES if image.name == "postgres")
    old = registry.digest(moved)
    registry.manifests["library/postgres", moved.tag] = b"{}"
    assert run(checkout, registry.url).returncode == 0
    compose = first["docker-compose.yaml"].replace(old, registry.digest(moved))
    assert texts(checkout) == first | {"docker-compose.yaml": compose}


def test_a_registry_that_names_no_digest_is_believed_by_its_bytes(
    registry: Registry, checkout: Path
) -> None:
    registry.wrong = "unsaid"
    assert run(checkout, registry.url).returncode == 0
    assert registry.digest(IMAGES[0]) in (checkout / "docker-compose.yaml").read_text()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("404", "answered 404: it has no such tag; correct it"),
        ("429", "answered 429: too many were asked; try again later"),
        ("503", "answered 503: see whether"),
        ("changed", "somebody between changed it"),
        ("endless", "sent more than a manifest can have"),
        ("garbage", "was not reached"),
        ("no token", "gave no token"),
        ("no realm", "does not say where from"),
    ],
)
def test_what_a_registry_gets_wrong_is_one_line_and_changes_no_file(
    registry: Registry, checkout: Path, wrong: str, says: str
) -> None:
    registry.wrong = wrong
    before = texts(checkout)
    done = run(checkout, registry.url)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("postgres:") and says in done.stderr
    assert done.stderr.endswith("; nothing was changed\n") and done.stderr.count("\n") == 1
    assert texts(checkout) == before


def test_where_no_registry_is_reached_that_is_one_line(registry: Registry, checkout: Path) -> None:
    before = texts(checkout)
    registry.server.server_close()
    done = run(checkout, registry.url)
    assert done.returncode == 1
    assert "was not reached" in done.stderr and done.stderr.count("\n") == 1
    assert texts(checkout) == before


def test_an_address_that_is_none_is_refused(checkout: Path) -> None:
    done = run(checkout, "registry.example")
    assert done.returncode == 1
    assert done.stderr == (
        "--registry is 'registry.example', which must begin with https://; correct it\n"
    )

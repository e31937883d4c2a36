"""Writes the digest of each published image beside its tag: `postgres:17.11` becomes
`postgres:17.11@sha256:…`, in docker-compose.yaml and the Dockerfiles.

Asks the images' registry by the Registry HTTP API v2, and needs the standard library alone.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import re
import shutil
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCKER_HUB = "https://registry-1.docker.io"
TIMEOUT_SECONDS = 30
BYTES_MOST = 4 << 20  # the specification's limit of a manifest
# An index names the image of every kind of machine, so that one digest holds on all of them.
ACCEPTED = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
# An image of our own has no tag.
PUBLISHED = re.compile(
    r"^(?P<before>\s*image: |FROM )(?P<name>[\w./-]+(?::\d+/[\w./-]+)?):(?P<tag>[\w.-]+)"
    r"(?P<digest>@sha256:[0-9a-f]{64})?(?=\s|$)",
    re.MULTILINE,
)


class RegistryError(Exception):
    """What a registry did not answer, in one line with the next step."""


@dataclass(frozen=True)
class Image:
    """A published image: its name as it is written, and its tag."""

    name: str
    tag: str

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}"

    def address(self, hub: str) -> tuple[str, str]:
        """Its registry and its repository there; `hub` is where names without a host are.

        >>> Image("postgres", "17").address("https://hub")
        ('https://hub', 'library/postgres')
        >>> Image("quay.io/a/b", "1").address("https://hub")
        ('https://quay.io', 'a/b')
        """
        host, slash, rest = self.name.partition("/")
        if slash and (set(host) & set(".:") or host == "localhost"):
            return f"https://{host}", rest
        return hub, self.name if slash else f"library/{self.name}"


def files() -> Iterator[Path]:
    """The files that name images."""
    yield ROOT / "docker-compose.yaml"
    yield from sorted(ROOT.glob("deploy/*/Dockerfile"))


def images(text: str) -> list[Image]:
    """The published images that a file's text names.

    >>> images("FROM python:3.11.15-slim\\nimage: routing-ml\\n  image: prom/prometheus:v3\\n")
    [Image(name='python', tag='3.11.15-slim'), Image(name='prom/prometheus', tag='v3')]
    """
    return [Image(found["name"], found["tag"]) for found in PUBLISHED.finditer(text)]


def pinned(text: str, digests: Mapping[Image, str]) -> str:
    """The text with each image's digest, also where it had another."""

    def named(found: re.Match[str]) -> str:
        image = Image(found["name"], found["tag"])
        return f"{found['before']}{image}@{digests[image]}"

    return PUBLISHED.sub(named, text)


def digest(image: Image, hub: str = DOCKER_HUB) -> str:
    """The digest of what the tag stands for now. Raises RegistryError."""
    registry, repository = image.address(hub)
    url = f"{registry}/v2/{repository}/manifests/{image.tag}"
    body, said = _asked(image, url)
    found = f"sha256:{hashlib.sha256(body).hexdigest()}"
    if said not in (None, found):
        raise RegistryError(
            f"{image}: what {registry} sent has digest {found}, not {said} as it says: somebody "
            "between changed it; find out who before this image is used"
        )
    return found


def _asked(image: Image, url: str) -> tuple[bytes, str | None]:
    """The manifest, byte for byte, and the digest that the registry says it has."""
    request = urllib.request.Request(url, headers={"Accept": ACCEPTED})  # noqa: S310 - asked in main
    try:
        try:
            return _read(image, request)
        except urllib.error.HTTPError as error:
            challenge = error.headers.get("WWW-Authenticate", "")
            if error.code != 401 or not challenge.lower().startswith("bearer "):
                raise
        # Not to be sent along where the registry leads to another host.
        request.add_unredirected_header("Authorization", f"Bearer {_token(image, challenge)}")
        return _read(image, request)
    except urllib.error.HTTPError as error:
        why = {404: "it has no such tag; correct it", 429: "too many were asked; try again later"}
        step = why.get(error.code, "see whether its registry lets everyone read it")
        raise RegistryError(f"{image}: {url} answered {error.code}: {step}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        why_not = " ".join(str(getattr(error, "reason", None) or error).split())
        host = urllib.parse.urlsplit(url).netloc
        raise RegistryError(
            f"{image}: its registry {host} was not reached ({why_not}); run this where it is"
        ) from None


def _token(image: Image, challenge: str) -> str:
    """What anybody may read with, from where the registry says."""
    given = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = given.pop("realm", "")
    if urllib.parse.urlsplit(realm).scheme not in ("http", "https"):
        raise RegistryError(f"{image}: its registry wants a token and does not say where from")
    url = f"{realm}?{urllib.parse.urlencode(given)}"
    answer, _ = _read(image, urllib.request.Request(url))  # noqa: S310 - asked above
    try:
        found = json.loads(answer)
        return str(found.get("token") or found["access_token"])
    except (ValueError, KeyError, AttributeError):
        raise RegistryError(f"{image}: {realm} gave no token; try again later") from None


def _read(image: Image, request: urllib.request.Request) -> tuple[bytes, str | None]:
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        body = answer.read(BYTES_MOST + 1)
        if len(body) > BYTES_MOST:
            raise RegistryError(f"{image}: {request.full_url} sent more than a manifest can have")
        return body, answer.headers.get("Docker-Content-Digest")


def _write(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    shutil.copymode(path, new)
    new.replace(path)


def main() -> int:
    """Ask for every image, and only then write; exit code 1, and no change, where one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--registry", default=DOCKER_HUB, metavar="URL", help="a mirror of Docker Hub to ask"
    )
    hub = parser.parse_args().registry.rstrip("/")
    if urllib.parse.urlsplit(hub).scheme not in ("http", "https"):
        print(f"--registry is {hub!r}, which must begin with https://; correct it", file=sys.stderr)
        return 1
    texts = {path: path.read_text(encoding="utf-8") for path in files()}
    try:
        digests = {
            image: digest(image, hub)
            for image in dict.fromkeys(each for text in texts.values() for each in images(text))
        }
    except RegistryError as error:
        print(f"{error}; nothing was changed", file=sys.stderr)
        return 1
    for path, text in texts.items():
        if (new := pinned(text, digests)) != text:
            _write(path, new)
    for image, found in digests.items():
        print(f"{image}@{found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

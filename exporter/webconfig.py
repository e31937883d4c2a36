"""Reads a web configuration file, the one of Prometheus's exporter-toolkit: TLS, basic
authentication and fixed headers. Keys it does not know, or cannot honour, are an error.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from routing_ml.errors import SettingError

VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
TOP_KEYS = {"tls_server_config", "http_server_config", "basic_auth_users"}
TLS_KEYS = {
    "cert_file",
    "key_file",
    "client_auth_type",
    "client_ca_file",
    "min_version",
    "max_version",
}
HTTP_KEYS = {"http2", "headers"}
HEADERS = {
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
}
# A password's check takes 50 ms by design, so the last ones that were right are remembered.
REMEMBERED = 64


@dataclass(frozen=True)
class WebConfig:
    """What the file says; without a file: no TLS, no passwords."""

    tls: ssl.SSLContext | None = None
    http2: bool = True
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> WebConfig:
        """Read the YAML file at `path`; its own paths are relative to it. Raises SettingError."""
        import yaml  # type: ignore[import-untyped]  # here, since 2 MB that most do without

        try:
            loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingError(
                f"the web config file {path} cannot be read: {error.strerror}; "
                "correct --web.config.file"
            ) from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            text = " ".join(str(error).split())
            raise SettingError(f"the web config file {path} is no YAML: {text}") from None
        read = _Reader(path)
        top = read.section({"": loaded}, "", TOP_KEYS)
        http = read.section(top, "http_server_config", HTTP_KEYS)
        http2 = http.get("http2", True)
        if not isinstance(http2, bool):
            raise read.error(f"http2 is {http2!r}", "it must be true or false")
        return cls(
            tls=read.tls(top),
            http2=http2,
            headers=tuple(read.section(http, "headers", HEADERS).items()),
            users=read.users(top),
        )


class Passwords:
    """Checks basic authentication against bcrypt hashes, one at a time and off the event loop."""

    def __init__(self, users: Mapping[str, str]) -> None:
        """`users` are bcrypt hashes by name."""
        self._users = users
        self._right: dict[bytes, None] = {}
        self._turn = asyncio.Semaphore(1)

    async def accept(self, header: str) -> bool:
        """Whether an Authorization header names a user with the right password."""
        scheme, _, encoded = header.partition(" ")
        try:
            name, colon, password = base64.b64decode(encoded.strip()).partition(b":")
        except (binascii.Error, ValueError):
            return False
        if scheme.lower() != "basic" or not colon:
            return False
        user = name.decode("utf-8", "replace")
        # An unknown name takes as long as a wrong password, so that names cannot be found out.
        known = user in self._users
        stored = self._users.get(user) or next(iter(self._users.values()))
        print_of_it = hashlib.sha256(stored.encode() + name + b":" + password).digest()
        if print_of_it in self._right:
            return True
        async with self._turn:
            right = await asyncio.to_thread(_matches, password, stored) and known
        if right:
            self._right[print_of_it] = None
            if len(self._right) > REMEMBERED:
                del self._right[next(iter(self._right))]
        return right


def bears(header: str, token: str) -> bool:
    """Whether an Authorization header bears this token."""
    scheme, _, given = header.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode("latin-1", "replace"), token.encode()
    )


def _matches(password: bytes, stored: str) -> bool:
    import bcrypt

    # bcrypt takes 72 bytes; the toolkit cuts there too.
    return bcrypt.checkpw(password[:72], stored.encode())


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path

    def error(self, what: str, rule: str) -> SettingError:
        return SettingError(f"the web config file {self.path}: {what}: {rule}; correct it")

    def section(self, parent: Mapping[str, Any], name: str, keys: set[str]) -> dict[str, Any]:
        value = parent.get(name) or {}
        shown = name or "the file"
        if not isinstance(value, dict):
            raise self.error(f"{shown} is {value!r}", "it must be a mapping")
        for key in value:
            if key not in keys:
                known = ", ".join(sorted(keys))
                raise self.error(f"{shown} has the key {key!r}", f"supported are {known}")
        return value

    def tls(self, top: Mapping[str, Any]) -> ssl.SSLContext | None:
        given = self.section(top, "tls_server_config", TLS_KEYS)
        if not given:
            return None
        cert, key = given.get("cert_file"), given.get("key_file")
        if not cert or not key:
            raise self.error("tls_server_config", "cert_file and key_file are both needed")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = self._one_of(given, "min_version", VERSIONS, "TLS12")
        context.maximum_version = self._one_of(given, "max_version", VERSIONS, "TLS13")
        context.verify_mode = self._one_of(given, "client_auth_type", CLIENTS, "NoClientCert")
        try:
            context.load_cert_chain(self._file(cert), self._file(key))
            if authority := given.get("client_ca_file"):
                context.load_verify_locations(self._file(authority))
            elif context.verify_mode != ssl.CERT_NONE:
                raise self.error("client_auth_type", "it needs client_ca_file beside it")
        except (OSError, ssl.SSLError) as error:
            text = error.strerror or " ".join(str(error).split())
            what = f"tls_server_config cannot be used ({text})"
            raise self.error(what, "its files must be PEM certificates and keys") from None
        return context

    def users(self, top: Mapping[str, Any]) -> dict[str, str]:
        users = top.get("basic_auth_users") or {}
        if not isinstance(users, dict):
            raise self.error("basic_auth_users", "it must be a mapping of names to bcrypt hashes")
        for name, stored in users.items():
            if not (isinstance(stored, str) and stored.startswith(("$2a$", "$2b$", "$2y$"))):
                raise self.error(f"the password of {name!r}", "it must be a bcrypt hash ($2y$...)")
        return {str(name): stored for name, stored in users.items()}

    def _file(self, name: object) -> Path:
        return self.path.parent / str(name)

    def _one_of(
        self, given: Mapping[str, Any], key: str, known: Mapping[str, Any], usual: str
    ) -> Any:
        value = given.get(key, usual)
        if value not in known:
            raise self.error(f"{key} is {value!r}", f"it must be one of {', '.join(known)}")
        return known[value]

"""Reads a web configuration file, the one of Prometheus's exporter-toolkit: TLS, basic
authentication and fixed headers. What it says is tried before it is used: a key it does not know, a
value that cannot be honoured, is an error when the file is read, never when somebody asks.
"""

from __future__ import annotations

import re
import reprlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.yamlfile import load
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
HEADER = re.compile(r"[!-~]([ -~]{0,998}[!-~])?")
# Cost 14 takes a second. The last characters of salt and hash hold fewer bits than six, and where
# the others are set no password can match.
BCRYPT = re.compile(
    r"(?P<kind>\$2[aby]\$)(?P<cost>0[4-9]|1[0-4])\$"
    r"(?P<rest>[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26])"
)


@dataclass(frozen=True)
class WebConfig:
    """What the file says; without a file: no TLS, no passwords."""

    tls: ssl.SSLContext | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> WebConfig:
        """Read the YAML file at `path`; its own paths are relative to it. Raises SettingError."""
        read = _Reader(path)
        top = read.section({"": load(path)}, "", TOP_KEYS)
        http = read.section(top, "http_server_config", HTTP_KEYS)
        # HTTP/2 is never spoken. That it may be, which is what `true` says, asks for nothing.
        if not isinstance(http.get("http2", False), bool):
            raise read.error(f"http2 is {_short(http['http2'])}", "it must be true or false")
        return cls(tls=read.tls(top), headers=read.headers(http), users=read.users(top))


class _Reader:
    """Takes the parts of a file, each by its rule."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def error(self, what: str, rule: str) -> SettingError:
        return SettingError(f"the web config file {str(self.path)!r}: {what}: {rule}; correct it")

    def section(self, parent: Mapping[str, Any], name: str, keys: set[str]) -> dict[str, Any]:
        """A mapping, empty where it is not there, with no other keys than these."""
        value = parent.get(name)
        shown = name or "the file"
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.error(f"{shown} is {_short(value)}", "it must be a mapping")
        for key in value:
            if key not in keys:
                known = ", ".join(sorted(keys))
                raise self.error(f"{shown} has the key {_short(key)}", f"supported are {known}")
        return value

    def headers(self, http: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """Names and values; a value is text that a header can hold."""
        given = self.section(http, "headers", HEADERS)
        for name, value in given.items():
            if not (isinstance(value, str) and HEADER.fullmatch(value)):
                rule = "it must be text of one line in ASCII, 1,000 characters at most"
                raise self.error(f"the header {name} is {_short(value)}", rule)
        return tuple((name.lower(), value) for name, value in given.items())

    def tls(self, top: Mapping[str, Any]) -> ssl.SSLContext | None:
        """A context with the certificate loaded; None where the file has no such section."""
        given = self.section(top, "tls_server_config", TLS_KEYS)
        if not given:
            return None
        cert, key = self._file(given, "cert_file"), self._file(given, "key_file")
        if cert is None or key is None:
            raise self.error("tls_server_config", "cert_file and key_file are both needed")
        lowest = self._one_of(given, "min_version", VERSIONS, "TLS12")
        highest = self._one_of(given, "max_version", VERSIONS, "TLS13")
        if lowest > highest:
            raise self.error("min_version is TLS13", "it must not be above max_version, TLS12")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version, context.maximum_version = lowest, highest
        context.verify_mode = self._one_of(given, "client_auth_type", CLIENTS, "NoClientCert")
        context.set_alpn_protocols(["http/1.1"])
        authority = self._file(given, "client_ca_file")
        if (authority is None) != (context.verify_mode == ssl.CERT_NONE):
            rule = "a client_auth_type other than NoClientCert and client_ca_file need each other"
            raise self.error("tls_server_config", rule)
        try:
            # A key with a pass phrase would ask for it on the terminal.
            context.load_cert_chain(cert, key, password="")
            if authority is not None:
                context.load_verify_locations(authority)
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            text = getattr(error, "strerror", None) or " ".join(str(error).split())
            what = f"tls_server_config cannot be used ({text})"
            raise self.error(what, "its files must be PEM certificates and keys") from None
        return context

    def users(self, top: Mapping[str, Any]) -> dict[str, str]:
        """bcrypt hashes by name."""
        users = top.get("basic_auth_users")
        if users is None:
            return {}
        if not isinstance(users, dict):
            rule = "it must be a mapping of names to bcrypt hashes"
            raise self.error(f"basic_auth_users is {_short(users)}", rule)
        for name, stored in users.items():
            if not (isinstance(name, str) and _is_utf8(name) and ":" not in name):
                rule = "it must be text without a colon; put a number in quotes"
                raise self.error(f"the user name {_short(name)}", rule)
            found = BCRYPT.fullmatch(stored) if isinstance(stored, str) else None
            if found is None or not _can_be_checked(found):
                rule = "it must be a bcrypt hash of cost 04 to 14 ($2y$10$...), as htpasswd -B has"
                raise self.error(f"the password of {_short(name)}", rule)
        return dict(users)

    def _file(self, given: Mapping[str, Any], key: str) -> Path | None:
        name = given.get(key)
        if name is None:
            return None
        if not (isinstance(name, str) and name and name.isprintable()):
            raise self.error(f"{key} is {_short(name)}", "it must be the path of a file")
        return self.path.parent / name

    def _one_of(
        self, given: Mapping[str, Any], key: str, known: Mapping[str, Any], usual: str
    ) -> Any:
        value = given.get(key, usual)
        if not (isinstance(value, str) and value in known):
            raise self.error(f"{key} is {_short(value)}", f"it must be one of {', '.join(known)}")
        return known[value]


def _can_be_checked(stored: re.Match[str]) -> bool:
    """Whether bcrypt itself takes it, tried at its least cost."""
    import bcrypt  # here, since it is needed with passwords only

    try:
        bcrypt.checkpw(b"", f"{stored['kind']}04${stored['rest']}".encode())
    except ValueError:
        return False
    return True


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(value: object) -> str:
    """A value on one line, however large it is."""
    return reprlib.repr(value)

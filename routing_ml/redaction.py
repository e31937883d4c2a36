"""Shows where data comes from and what went wrong without a secret in it.

A connection string is never printed: `named` says its driver, server and database, which are on a
list of what may be shown; all else may be a secret under a name that nobody here knows. `redact` is
for what others say (a driver, an error): what is known to be secret goes, in every way it may be
written, and so does whatever looks like a password, a token or a webhook.
"""

import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"
SHOWN = frozenset(
    ("driver", "dsn", "server", "servername", "host", "hostname", "port", "database", "dbname")
    + ("db", "dbq", "data source", "initial catalog")
)
"""The keywords of an ODBC connection string whose values may be shown."""
PLAIN_VALUE = re.compile(r"[\w .,:\\/()*+$\[\]-]*|\{[\w .,:\\/()*+$\[\]-]*\}")
SECRET_KEYWORD = re.compile(r"(?i)pass|pwd|pw$|token|secret|key|credential|auth|sas|sig")
ATTRIBUTE = re.compile(
    r"[\s;]*([^=;{}]+?)\s*=\s*(\{(?:[^}]|\}\})*\}(?=\s*(?:;|$))|[^;{][^;]*|)\s*(?:;|$)", re.DOTALL
)
_OPTIONS = (  # libpq's; it repeats what it does not know, which may be a part of a password
    "host|hostaddr|port|dbname|user|password|passfile|require_auth|channel_binding|connect_timeout"
    "|client_encoding|options|application_name|fallback_application_name|keepalives(?:_\\w+)?"
    "|tcp_user_timeout|gss\\w+|krbsrvname|ssl\\w*|requiressl|requirepeer|service|servicefile"
    "|target_session_attrs|load_balance_hosts|min_protocol_version|max_protocol_version|replication"
)
_OPTION = rf"(?:{_OPTIONS})=(?:[^\s&=%]|%(?!00)[0-9A-Fa-f]{{2}})*"
POSTGRESQL = re.compile(
    # What libpq reads as that, and as nothing else: it tells of the whole URL where it cannot.
    r"(?P<scheme>postgres(?:ql)?)://"
    r"(?:(?:[^\s@/:%]|%(?!00)[0-9A-Fa-f]{2})*"
    r"(?::(?P<password>(?:[^\s@/%]|%(?!00)[0-9A-Fa-f]{2})*))?@)?"
    r"(?P<host>(?:[\w.,:\[\]-]|%(?!00)[0-9A-Fa-f]{2})*)"
    r"(?P<database>/(?:[^\s@/?#%]|%(?!00)[0-9A-Fa-f]{2})*)?"
    rf"(?:\?(?P<query>(?:{_OPTION}(?:&{_OPTION})*)?))?",
    re.DOTALL,
)
URL = re.compile(r"\s*([A-Za-z][\w+.-]*)://(.*)", re.DOTALL)
PLACE = re.compile(r"[\w.,:\[\]%-]*(?:/[\w.$%-]*)?")
LEAST_FRAGMENT = 6
"""Characters in a row that a message and a secret share before they are hidden; half of the words
that a driver writes would be at 4."""

_NAMES = (
    r"pass(?:w\w*|phrase|code)?\b|pwd\w*|\w*token|\w*secret\w*|credentials?|authorization"
    r"|(?:api|access|account|shared|private)[ _-]?key"
)
_VALUE = r"""\{(?:[^}]|\}\})*\}?[^;\n]*|"(?:[^"\\]|\\.|"")*"?|'(?:[^'\\]|\\.|'')*'?|[^;\n]*"""
KEYED = re.compile(rf"(?i)((?:{_NAMES})[\"']?\s*(?:[=:]|%3[ad])\s*)(?!\.\.\.(?:[;\s]|$))({_VALUE})")
WEBHOOK = re.compile(
    r"(?i)(https?://)[^\s\"'<>]*(?:hooks?[./]|/services/|/workflows/|[?&]sig=)[^\s\"'<>]*"
)
USERINFO = re.compile(r"(\w[\w+.-]*://)\S*@")
BARE_USERINFO = re.compile(r"(?<![\w/])[\w.+-]+:(?!//)\S*@")
TOKEN = re.compile(r"(?i)(\bbearer\s+)[\w+/=.~-]+|\bx(?:ox[a-z]|app)-[\w-]+")


def named(source: str) -> str:
    """A source or store as it may be shown: of a connection string or URL its driver, server and
    database, of a file its path.

    >>> named("DRIVER={PostgreSQL Unicode};SERVER=erp;UID=ml;PWD={a;b}")
    'DRIVER={PostgreSQL Unicode};SERVER=erp'
    >>> named("postgresql://ml:secret@db:5432/store?sslpassword=x")
    'postgresql://db:5432/store'
    >>> named("ml:secret@erp"), named("/data/factory.accdb")
    ('***@erp', '/data/factory.accdb')
    """
    if url := URL.fullmatch(source):
        return _named_url(url[1], url[2], source)
    if re.match(r"\s*[A-Za-z][\w -]*=", source):
        return _named_odbc(source)
    if "://" in source:
        return HIDDEN
    if re.search(r":.*@", source, re.DOTALL):
        place = source.rpartition("@")[2]
        return f"{HIDDEN}@{place}" if PLACE.fullmatch(place) else HIDDEN
    return redact(source)


def redact(text: str, *of: str) -> str:
    """`text` without the secrets of the connection strings and URLs `of`, as they stand there or
    encoded in another way, and without what looks like a secret.

    >>> redact("login of a;b}c failed", "DRIVER={X};PWD={a;b}}c}")
    'login of *** failed'
    >>> redact('{"password": "x", "host": "y"} https://hooks.slack.com/services/T/B/x')
    '{"password": ***, "host": "y"} https://***'
    """
    for source in of:
        if len(source) >= LEAST_FRAGMENT:
            text = text.replace(source, named(source))
        forms = {form for secret in _secrets(source) for form in _forms(secret)}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, HIDDEN)
        text = _without_fragments(text, forms)
    text = WEBHOOK.sub(rf"\1{HIDDEN}", text)
    text = KEYED.sub(rf"\1{HIDDEN}", text)
    text = USERINFO.sub(rf"\1{HIDDEN}@", text)
    text = BARE_USERINFO.sub(f"{HIDDEN}@", text)
    return TOKEN.sub(lambda found: f"{found[1] or ''}{HIDDEN}", text)


def attributes(text: str) -> list[tuple[str, str]]:
    """The keywords of an ODBC connection string and their values as they are written; empty where
    it cannot be read to its end."""
    found, at = [], 0
    while text[at:].strip("; \t\r\n"):
        one = ATTRIBUTE.match(text, at)
        if one is None:
            return []
        found.append((one[1].strip(), one[2].strip()))
        at = one.end()
    return found


def _named_odbc(text: str) -> str:
    parts = [
        f"{name}={value}"
        for name, value in attributes(text)
        if name.lower() in SHOWN and PLAIN_VALUE.fullmatch(value)
    ]
    return ";".join(parts) or "an ODBC connection string"


def _named_url(scheme: str, rest: str, url: str) -> str:
    if scheme.startswith("sqlite"):
        path = rest.partition("?")[0]
        shown = path if path.startswith("/") and not re.search(r":.*@", path) else HIDDEN
        return f"{scheme}://{shown}"
    if known := POSTGRESQL.fullmatch(url):
        return f"{scheme}://{known['host']}{known['database'] or ''}"
    before, _, place = rest.rpartition("@")
    place = re.split("[?#]", place)[0]
    # With a ? or # before the @ this may be the end of a password in the query.
    clear = PLACE.fullmatch(place) and not re.search("[?#]", before)
    return f"{scheme}://{place if clear else HIDDEN}"


def _secrets(source: str) -> Iterator[str]:
    """What in a connection string or URL may be secret, as it is written."""
    parts = attributes(source)
    for name, value in parts:
        if SECRET_KEYWORD.search(name):
            yield value
    if not parts:  # what cannot be read may be secret to its end
        for found in re.finditer(r"([^=;{}]*)=", source):
            if SECRET_KEYWORD.search(found[1]):
                yield from (source[found.end() :], source[found.end() :].partition(";")[0])
    if url := URL.fullmatch(source):
        yield url[2].rpartition("@")[0].partition(":")[2]
        known = POSTGRESQL.fullmatch(source)
        if known:
            yield known["password"] or ""
        query = (known["query"] or "") if known else source.partition("?")[2]
        for part in query.split("&") + re.split("[&;]", query):
            name, _, value = part.partition("=")
            if SECRET_KEYWORD.search(unquote(name)):
                yield value
    elif "@" in source and "=" not in source.partition(":")[0]:
        yield source.rpartition("@")[0].partition(":")[2]


def _forms(secret: str) -> set[str]:
    """The ways in which a secret may be written by who repeats it."""
    found = {secret}
    if len(secret) > 1 and secret[0] == "{" and secret[-1] == "}":
        found |= {secret[1:-1], secret[1:-1].replace("}}", "}")}
    found |= {unquote(form) for form in found} | {unquote_plus(form) for form in found}
    found |= {form.strip() for form in found}
    for form in tuple(found):
        plain = form.encode("utf-8", "replace")
        for encoded in (quote(plain, safe=""), quote(plain), quote_plus(plain)):
            found |= {encoded, re.sub("%..", lambda hexed: hexed[0].lower(), encoded)}
        found |= {json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1]}
        found |= {repr(form)[1:-1], form.replace("}", "}}"), " ".join(form.split())}
    return {form for form in found if form}


def _without_fragments(text: str, forms: set[str]) -> str:
    """Without what is left of a secret that was cut off."""
    size = LEAST_FRAGMENT
    pieces = {form[at : at + size] for form in forms for at in range(len(form) - size + 1)}
    hidden = {
        place
        for at in range(len(text) - size + 1)
        if text[at : at + size] in pieces
        for place in range(at, at + size)
    }
    if not hidden:
        return text
    kept = ("" if at in hidden else sign for at, sign in enumerate(text))
    starts = (HIDDEN if at in hidden and at - 1 not in hidden else "" for at in range(len(text)))
    return "".join(start + sign for start, sign in zip(starts, kept, strict=True))

"""What a source is, by the text that names it (a path or an ODBC connection string), and how that
may be shown.
"""

import re

KEYWORD = re.compile(r"\s*([A-Za-z][\w -]*?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)\s*(?:;|$)")
SECRET = re.compile(
    r"(?i)(\b[^;={}]*(?:pwd|password|token|secret|key)[^;={}]*=)(\{(?:[^}]|\}\})*\}|[^;]*)"
)
URL_SECRET = re.compile(r"(://[^:/@]*:)(.*)(?=@)")


def keywords(text: str) -> dict[str, str]:
    """The keywords of a connection string in lower case, with their values without braces.

    >>> keywords("DRIVER={MDBTools};DBQ={/srv/a;b}}c.accdb}")
    {'driver': 'MDBTools', 'dbq': '/srv/a;b}c.accdb'}
    """
    found: dict[str, str] = {}
    for name, value in KEYWORD.findall(text):
        if value.startswith("{") and value.endswith("}"):
            value = value[1:-1].replace("}}", "}")
        found.setdefault(name.lower(), value.strip())
    return found


def label(source: str) -> str:
    """`source` as it may be shown and logged: a connection string without its secrets.

    >>> label("DRIVER={PostgreSQL Unicode};SERVER=erp;UID=ml;PWD={a;b}")
    'DRIVER={PostgreSQL Unicode};SERVER=erp;UID=ml;PWD=***'
    """
    return SECRET.sub(r"\1***", URL_SECRET.sub(r"\1***", source))


def secrets(source: str) -> list[str]:
    """The secrets in a connection string, as written and without their braces, longest first."""
    found = {match[2] for pattern in (SECRET, URL_SECRET) for match in pattern.finditer(source)}
    found |= {text.strip("{}").replace("}}", "}") for text in found}
    return sorted(filter(None, found), key=len, reverse=True)

"""What the keywords of an ODBC connection string say."""

from routing_ml.redaction import attributes


def keywords(text: str) -> dict[str, str]:
    """The keywords of a connection string in lower case, with their values without braces.

    >>> keywords("DRIVER={MDBTools};DBQ={/srv/a;b}}c.accdb}")
    {'driver': 'MDBTools', 'dbq': '/srv/a;b}c.accdb'}
    """
    found: dict[str, str] = {}
    for name, value in attributes(text):
        if value.startswith("{") and value.endswith("}"):
            value = value[1:-1].replace("}}", "}")
        found.setdefault(name.lower(), value.strip())
    return found

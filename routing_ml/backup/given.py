"""Copies the settings that are set and the columns files, without a secret in clear."""

import shlex
from pathlib import Path
from urllib.parse import urlsplit

from routing_ml.backup.blobs import write_private
from routing_ml.backup.contents import Contents
from routing_ml.errors import InputError
from routing_ml.redaction import named
from routing_ml.settings import Settings

COLUMNS = "ROUTING_ML_COLUMNS"
PLAIN = (
    COLUMNS,
    "ROUTING_ML_HOME",
    "ROUTING_ML_BACKUPS",
    "ROUTING_ML_TIMEZONE",
    "ROUTING_ML_NULL_GATE",
    "ROUTING_ML_GROUP_READABLE",
    "ROUTING_ML_EXPORTER_PORT",
    "SLACK_CHANNEL",
)
"""Settings in which no secret can be; of any other its value is kept only where it shows none."""
NAMED = ("ROUTING_ML_SOURCE", "ROUTING_ML_STORE_URL")
FILE = "settings.env"


def copy_settings(contents: Contents, settings: Settings, scratch: Path) -> None:
    """Copy what a new machine has to be told; `facts` names what must be supplied anew."""
    lines, anew = [], []
    for name, value in sorted(settings.given.items()):
        if (shown := in_clear(name, value)) is not None:
            lines.append(f"{name}={shlex.quote(shown)}")
        else:
            anew.append(name)
            place = f"  ({named(value)})" if name.startswith(NAMED) else ""
            lines.append(f"# {name}: supply it anew, it holds a secret{place}")
    path = scratch / FILE
    write_private(path, "\n".join(["# The settings of this factory.", *lines]) + "\n")
    contents.add(path, f"settings/{FILE}", made=True)
    contents.facts |= {"set": sorted(settings.given), "supply_anew": anew, "columns": {}}
    for name, columns in sorted(settings.columns.items()):
        inside = f"settings/columns/{name}.toml"
        try:
            contents.add(columns, inside)
        except FileNotFoundError:
            raise InputError(
                f"columns file {columns} is not there; set ROUTING_ML_COLUMNS to the one in use"
            ) from None
        contents.facts["columns"][name] = {"file": inside, "path": str(columns)}


def in_clear(name: str, value: str) -> str | None:
    """A setting's value where there can be no secret in it, else None.

    >>> in_clear("ROUTING_ML_SOURCE", "/data/erp.accdb")
    '/data/erp.accdb'
    >>> in_clear("ROUTING_ML_SOURCE", "DRIVER={X};SERVER=erp;UID=a;PWD=b")
    >>> in_clear("ROUTING_ML_API_TOKEN", "x")
    >>> in_clear("AIRFLOW__API__BASE_URL", "http://[x")
    """
    if name in PLAIN or name.startswith(f"{COLUMNS}_"):
        return value
    if name.startswith(NAMED):
        return value if named(value) == value else None
    if name == "AIRFLOW__API__BASE_URL":
        try:
            return None if "@" in urlsplit(value).netloc or "?" in value else value
        except ValueError:  # no address, such as http://[host
            return None
    return None

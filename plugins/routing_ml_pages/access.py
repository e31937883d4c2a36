"""Who may open which page and send which form: Airflow's own permissions on the retraining DAG."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

from routing_ml.errors import SettingError
from routing_ml.settings import Settings

DAG = "routing_ml_retrain"
READ, ACT = "GET", "PUT"
"""What a person must be allowed to do with the DAG."""
PERMISSIONS = {
    ("GET", "/"): READ,
    ("GET", "/why"): READ,
    ("GET", "/why/routing.xlsx"): READ,
    ("POST", "/why/read"): READ,
    ("GET", "/models"): READ,
    ("GET", "/models/compare"): READ,
    ("POST", "/models/promote"): ACT,
    ("POST", "/models/rollback"): ACT,
    ("GET", "/drift"): READ,
    ("GET", "/data"): READ,
    ("GET", "/data/{which}.csv"): READ,
    ("GET", "/run"): READ,
    ("GET", "/choose"): READ,
    ("GET", "/static/{name}"): READ,
    ("GET", "/api/openapi.json"): READ,
    ("GET", "/api/health"): READ,
    ("GET", "/api/items"): READ,
    ("GET", "/api/why"): READ,
    ("GET", "/api/models"): READ,
    ("GET", "/api/models/compare"): READ,
    ("POST", "/api/models/promote"): ACT,
    ("POST", "/api/models/rollback"): ACT,
    ("GET", "/api/drift"): READ,
    ("GET", "/api/data"): READ,
}
"""Every route, and what it takes; a route that is not here cannot be made."""


@dataclass(frozen=True)
class Access:
    """What FastAPI asks before a route: `read` and `act` raise for who may not, `may_act` says
    whether `act` would not, `who` is the name of the person who is logged in."""

    read: Callable[..., Any]
    act: Callable[..., Any]
    may_act: Callable[..., Any]
    who: Callable[..., Any]

    def to(self, method: str, path: str) -> list[Callable[..., Any]]:
        """What is asked before a route; KeyError for one that nobody has listed."""
        permission = PERMISSIONS[method, path]
        asked = [self.act if permission == ACT else self.read]
        return asked if method == "GET" else [*asked, same_site]


def of_airflow() -> Access:
    """As the Airflow that this runs in has it."""
    from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag

    act = requires_access_dag("PUT", None, param_dag_id=DAG)

    def who(user: GetUserDep) -> str:
        return str(user.get_name())

    def may_act(request: Request, user: GetUserDep) -> bool:
        try:
            act(request, user)
        except HTTPException:
            return False
        return True

    # FastAPI looks types up where a function's module is; this one is known in here alone.
    for function in (who, may_act):
        function.__annotations__["user"] = GetUserDep
    may_act.__annotations__["request"] = Request
    return Access(
        read=requires_access_dag("GET", None, param_dag_id=DAG), act=act, may_act=may_act, who=who
    )


def same_site(request: Request) -> None:
    """Refuse what another site had a browser send: its cookie would speak for the person.

    Browsers say where a request comes from by Sec-Fetch-Site, over plain HTTP by Origin alone. A
    program that gives its token has no cookie that could be misused.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        allowed = site == "same-origin"
    elif origin is not None:
        allowed = urlsplit(origin).netloc in _own_names(request)
    else:
        allowed = request.headers.get("authorization", "").lower().startswith("bearer ")
    if not allowed:
        raise HTTPException(403, "this was sent from another site; send it from the page itself")


def _own_names(request: Request) -> set[str]:
    """Under which names this site is known: the one that was asked, and Airflow's base URL."""
    names = {request.headers.get("host", "")}
    with suppress(SettingError):
        names.add(urlsplit(Settings.from_env().ui_url or "").netloc)
    return names - {""}

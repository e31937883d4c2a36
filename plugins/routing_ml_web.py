"""Puts Routing ML's pages into Airflow's UI: into its navigation, and beside the runs of its DAGs.

Every process of Airflow reads its plugins, and the API server alone shows pages: they are made at
the first request, so that the others pay nothing for them.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

PREFIX = "/routing-ml"
BASE = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
OF_A_RUN = "dag_id={DAG_ID}&run_id={RUN_ID}"
Message = MutableMapping[str, Any]


async def pages(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """The pages as an ASGI application."""
    await _made()(scope, receive, send)


@lru_cache(maxsize=1)
def _made() -> Any:
    from routing_ml_pages.access import of_airflow
    from routing_ml_pages.app import make

    return make(of_airflow())


class RoutingMLPages(AirflowPlugin):
    """Routing ML's pages in Airflow."""

    name = "routing_ml_pages"
    fastapi_apps = [{"app": pages, "url_prefix": PREFIX, "name": "Routing ML"}]
    external_views = [
        {
            "name": "Routing ML",
            "href": f"{BASE}{PREFIX}/",
            "destination": "nav",
            "url_route": "routing-ml",
            "nav_top_level": True,
            "icon": f"{BASE}{PREFIX}/static/icon.svg",
            "icon_dark_mode": f"{BASE}{PREFIX}/static/icon_dark.svg",
        },
        {
            "name": "Report",
            "href": f"{BASE}{PREFIX}/run?{OF_A_RUN}",
            "destination": "dag_run",
            "url_route": "routing-ml-run",
        },
        {
            "name": "Routing ML",
            "href": f"{BASE}{PREFIX}/",
            "destination": "dag",
            "url_route": "routing-ml-health",
        },
    ]

"""Routing ML's pages as a site of their own: mounted as Airflow mounts them, with people who may do
nothing, read, and act; and a state folder with real models of the sample.
"""

import atexit
import shutil
import sys
import tempfile
from datetime import datetime
from functools import cache
from pathlib import Path

from conftest import ROOT, two_folds
from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient

from routing_ml.pipeline import looking
from routing_ml.pipeline import steps as pipeline
from routing_ml.pipeline.retraining import retrain
from routing_ml.settings import Settings

PLUGINS = ROOT / "plugins"
if str(PLUGINS) not in sys.path:
    sys.path.append(str(PLUGINS))

from routing_ml_pages.access import Access  # noqa: E402 - the path comes first, as in Airflow
from routing_ml_pages.app import make  # noqa: E402

AUGUST, NOVEMBER = datetime(2026, 8, 1), datetime(2026, 11, 1)
PREFIX = "/routing-ml"
SITE = "http://airflow"
RUN = "manual__2026-08-01"


@cache
def trained() -> Path:
    """A state folder: two candidates of August, one in use, its proposals, a look at the data."""
    home = Path(tempfile.mkdtemp(prefix="routing-ml-pages-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    settings = Settings.from_env({"ROUTING_ML_HOME": str(home)})
    with two_folds():
        retrain(settings, as_of=AUGUST, limit=4_000, candidates=["nearest", "forest"])
    pipeline.predict(settings, RUN, as_of=AUGUST)
    found = looking.look(settings, RUN, as_of=AUGUST)
    looking.end_look(settings, RUN, source="default", found=found, failed={}, cause="by hand")
    return home


def state(folder: Path) -> Settings:
    """A copy of it that a test may change."""
    shutil.copytree(trained(), folder, symlinks=True)
    return Settings.from_env({"ROUTING_ML_HOME": str(folder)})


def access() -> Access:
    """Permissions by a header that says who asks."""

    def read(request: Request) -> None:
        if request.headers.get("x-role") not in ("viewer", "editor"):
            raise HTTPException(401, "Not authenticated")

    def act(request: Request) -> None:
        read(request)
        if request.headers.get("x-role") != "editor":
            raise HTTPException(403, "Forbidden")

    def may_act(request: Request) -> bool:
        return request.headers.get("x-role") == "editor"

    def who(request: Request) -> str:
        return "kim"

    return Access(read=read, act=act, may_act=may_act, who=who)


def client(role: str | None = "editor") -> TestClient:
    """A browser of somebody who has that role, on a page of the site."""
    airflow = FastAPI()
    airflow.mount(PREFIX, make(access()))
    headers = {"accept-language": "en", "sec-fetch-site": "same-origin"}
    headers |= {"x-role": role} if role else {}
    return TestClient(airflow, base_url=SITE, headers=headers, follow_redirects=False)

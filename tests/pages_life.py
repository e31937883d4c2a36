"""A factory that has lived with Routing ML for half a year, and its pages without Airflow: as of
one moment, so that they look the same on each day.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import uvicorn
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from routing_ml import clock, drift, pipeline
from routing_ml.pipeline import Play
from routing_ml.settings import SAMPLE, Settings

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = ROOT / "plugins"
if str(PLUGINS) not in sys.path:
    sys.path.append(str(PLUGINS))

from routing_ml_pages.access import Access  # noqa: E402 - the path comes first, as in Airflow
from routing_ml_pages.app import make  # noqa: E402

FIRST, NOVEMBER = date(2026, 6, 1), datetime(2026, 11, 1)
NOW = datetime(2026, 11, 2, 9, 0, tzinfo=ZoneInfo("Asia/Seoul"))
WAITING, ROUTED = "5R12383NG", "3N12331LY"
TYPED = {"PART_TYPE": "SLEEVE", "OUTDIAMETER": "82.5", "ITEM_SPEC": "SLEEVE 82.5x60x15 SUS316"}
"""An item of the sample that waits for its routing, one that has one, and one that is not in it."""
PREFIX, RUN, PROPOSED = "/routing-ml", "manual__2026-11-01", "scheduled__2026-11-02"


def lived(home: Path, months: int = 5, source: str = str(SAMPLE)) -> Settings:
    """A state folder: `months` to November played day by day, then a retraining of all candidates,
    proposals, and a look at the data. The environment's settings are its own from now on."""
    os.environ |= {"ROUTING_ML_HOME": str(home), "ROUTING_ML_SOURCE": source}
    first = date(2026, 11 - months, 1)
    own = Settings.from_env({"ROUTING_ML_HOME": str(home / "none"), "ROUTING_ML_SOURCE": source})
    pipeline.play(own, Play(first, months, "never", candidates=["boosted"]), out=home)
    settings = Settings.from_env()
    with clock.at(NOW):
        pipeline.retrain(settings, as_of=NOVEMBER, run_id=RUN)
        pipeline.predict(settings, PROPOSED, as_of=NOVEMBER)
        found = pipeline.look(settings, RUN, as_of=NOVEMBER)
        pipeline.end_look(
            settings, RUN, source="default", found=found, failed={}, cause="by hand"
        )  # fmt: skip
        drift.look(settings, moment=settings.moment(None))
    return settings


@contextmanager
def served(port: int) -> Iterator[str]:
    """Their address: mounted and compressed as Airflow does it, for who may do everything; of a
    report's policy without what keeps every script out, so that it can be looked into."""
    airflow = FastAPI()
    airflow.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    airflow.mount(PREFIX, make(_everybody()))

    async def as_of_then(scope: Any, receive: Any, send: Any) -> None:
        async def open_to_tools(message: Any) -> None:
            # A page that may run nothing cannot be asked by axe or Lighthouse either.
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, value.replace(b"; sandbox allow-popups", b""))
                    for name, value in message["headers"]
                ]
            await send(message)

        with clock.at(NOW):
            await airflow(scope, receive, open_to_tools)

    config = uvicorn.Config(as_of_then, "127.0.0.1", port, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port}{PREFIX}"
    finally:
        server.should_exit = True
        thread.join()


def _everybody() -> Access:
    return Access(
        read=lambda: None, act=lambda: None, may_act=lambda: True, who=lambda: "kim"
    )  # fmt: skip

"""A real Airflow with the pages, as script/run starts it, and people who log in in Chromium."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import chromium
from conftest import ROOT, free_port
from playwright.sync_api import Browser, BrowserContext, Error, Frame, FrameLocator, Page

DAG = "routing_ml_retrain"
PEOPLE = {"engineer": "user", "planner": "viewer", "steward": "viewer"}
"""Each with the role that Airflow gives them."""
START_SECONDS, PATIENCE_SECONDS = 480, 600


@dataclass
class Site:
    """It is served at `url`; who has logged in stays so."""

    url: str
    home: Path
    browser: Browser
    _states: dict[str, Any] = field(default_factory=dict)

    @property
    def pages(self) -> str:
        """Where the pages are, without Airflow around them."""
        return f"{self.url}/routing-ml"

    @contextmanager
    def logged_in(self, who: str, **options: Any) -> Iterator[BrowserContext]:
        """A person's browser, after the login page."""
        with chromium.person(
            self.browser, storage_state=self._states.get(who), **options
        ) as context:
            if who not in self._states:
                page = context.new_page()
                page.goto(self.url)
                page.get_by_label("Username").fill(who)
                page.locator("input[type=password]").fill(who)
                page.get_by_role("button", name="Sign in").click()
                page.get_by_role("link", name="Routing ML").wait_for()
                self._states[who] = context.storage_state()
                page.close()
            yield context


@contextmanager
def running(home: Path, source: str, meanwhile: Callable[[], Any]) -> Iterator[Site]:
    """Airflow, which starts while `meanwhile` makes its state, and Chromium; nothing is left."""
    passwords = home / "airflow" / "passwords.json"
    passwords.parent.mkdir(mode=0o700)
    passwords.write_text(json.dumps({name: name for name in ("admin", *PEOPLE)}))
    port = free_port()
    command = [str(ROOT / "script" / "run"), "--no-retrain", "--airflow-port", str(port)]
    env = os.environ | {
        "ROUTING_ML_HOME": str(home),
        "ROUTING_ML_SOURCE": source,
        "ROUTING_ML_PROMOTION": "approve",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            f"{name}:{role}" for name, role in PEOPLE.items()
        ),
    }
    for name in ("AIRFLOW_HOME", "AIRFLOW__CORE__DAGS_FOLDER", "AIRFLOW__CORE__PLUGINS_FOLDER"):
        env.pop(name, None)
    printed = home.parent / "printed.txt"
    with printed.open("w") as output:
        started = subprocess.Popen(
            [*command, "--exporter-port", str(free_port())],
            env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,  # else Ctrl-C would end it before what it serves
        )  # fmt: skip
    try:
        meanwhile()
        until(
            lambda: "Ctrl-C ends both" in printed.read_text() or started.poll() is not None,
            "it does not start", START_SECONDS,
        )  # fmt: skip
        assert started.poll() is None, printed.read_text()
        with chromium.chromium() as browser:
            yield Site(f"http://127.0.0.1:{port}", home, browser)
    finally:
        started.terminate()
        started.wait(60)


def until(holds: Callable[[], Any], otherwise: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """What `holds` returns once it is true."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, otherwise
        time.sleep(0.5)
    return found


def ours(page: Page) -> FrameLocator:
    """Our page within Airflow's, to act in."""
    return page.frame_locator("iframe")


def frame_of(page: Page) -> Frame:
    """The same, to look into."""
    found = page.locator("iframe").element_handle().content_frame()
    assert found is not None
    return found


def asked(page: Page, path: str) -> Any:
    """What Airflow's API says of the DAG to who is logged in."""
    address = f"{page.url.split('/dags')[0]}/api/v2/dags/{DAG}/{path}"
    # Its SQLite may hold the server up for half a minute, or refuse, while DAGs begin.
    return until(partial(_answer, page, address), f"{address} is not answered")


def _answer(page: Page, address: str) -> Any:
    try:
        answer = page.request.get(address)
    except Error:
        return None
    return answer.json() if answer.ok else None


def task_state(page: Page, run: str, task: str) -> str:
    """How a task of a run is."""
    return str(asked(page, f"dagRuns/{quote(run)}/taskInstances/{task}")["state"])

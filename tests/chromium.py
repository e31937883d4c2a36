"""A headless Chromium that opens pages as a person does, and what is wrong with a page in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Frame, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "script" / "node" / "node_modules"
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
DESKTOP, PHONE = (1280, 900), (390, 844)
ASKED = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.map(
  each => `${each.id}: ${each.nodes.slice(0, 3).map(node => node.target.join(" ")).join(", ")}`)"""
TOO_WIDE = """() => document.documentElement.scrollWidth > document.documentElement.clientWidth
  ? [...document.querySelectorAll("body *")].filter(
      each => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1
    ).slice(0, 3).map(each => each.outerHTML.slice(0, 80)) : []"""


def program() -> str:
    """Where Chromium is; RuntimeError where it is not."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise RuntimeError("there is no Chromium: apt-get install chromium")


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """A browser without a past; each context of it is another one's."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program(), args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def person(
    browser: Browser,
    *,
    size: tuple[int, int] = DESKTOP,
    theme: str = "light",
    language: str = "en",
    **options: Any,
) -> Iterator[BrowserContext]:
    """Somebody's browser: its window, the theme of their system, their language."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, locale=language, color_scheme=theme,
        has_touch=size == PHONE, is_mobile=size == PHONE, **options,
    )  # fmt: skip
    context.set_default_timeout(30_000)
    try:
        yield context
    finally:
        context.close()


class Watch:
    """Listens to a page: errors of its console and scripts, dialogs, what it asked elsewhere."""

    def __init__(self, page: Page) -> None:
        self.seen: list[str] = []
        self._page = page
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.seen.append(f"script: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", self._request)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.seen.append(f"console: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        self.seen.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            self.seen.append(f"network: {request.url[:200]}")


@cache
def _axe() -> str:
    return (MODULES / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page | Frame) -> list[str]:
    """What axe finds against a page: the rule, and the first elements that it is about."""
    page.evaluate(_axe())
    return page.evaluate(ASKED)


def too_wide(page: Page | Frame) -> list[str]:
    """The first elements that stand out to the right where the page itself scrolls sideways."""
    return page.evaluate(TOO_WIDE)


def unfold(page: Page | Frame) -> None:
    """Open all that is folded: what nobody sees is not looked at."""
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")

"""What axe and Lighthouse find in the pages, in headless Chromium.

    python benchmarks/browser.py [--home DIR] [--months 5] [--pages NAME ...] [--replications 1]
                                 [--part axe lighthouse]

Plays so many months of the sample day by day, retrains (or takes the state folder in which that was
done), and serves the pages as Airflow does, without its login. Opens each in every combination of
light and dark, 1,280 and 390 pixels, English and Korean, and counts what axe finds, what stands out
to the right, and what the console, a dialog or the network says. Then Lighthouse opens each as a
phone, light and dark, so many times, of which the median counts. Prints a line a page and theme;
exits with 1 where axe or anything else found something, accessibility is under 100, best practices
under 95 or performance under 90. `script/check` installs what it needs, with `npm ci` in
script/node.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]

import chromium  # noqa: E402 - where they are is said above
import pages_life as life  # noqa: E402

from routing_ml.registry import Registry  # noqa: E402

PARTS = ("axe", "lighthouse")
THEMES, LANGUAGES, SIZES = ("light", "dark"), ("en", "ko"), (chromium.DESKTOP, chromium.PHONE)
LEAST = {"accessibility": 100, "best-practices": 95, "performance": 90}
PORT, EXPORTER_PORT = 8794, 8795
LIGHTHOUSE = chromium.MODULES / "lighthouse" / "cli" / "index.js"
PATIENCE_SECONDS = 180


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="a state folder that was made so; not changed")
    parser.add_argument("--months", type=int, default=5)
    parser.add_argument("--pages", nargs="*", metavar="NAME", help="these alone")
    parser.add_argument("--replications", type=int, default=1, help="of Lighthouse, a page")
    parser.add_argument("--part", nargs="*", choices=PARTS, default=PARTS, help="these alone")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="routing-ml-")))
        if options.home:
            os.environ |= {
                "ROUTING_ML_HOME": str(options.home),
                "ROUTING_ML_SOURCE": str(life.SAMPLE),
            }
        else:
            life.lived(folder / "home", options.months)
        url = stack.enter_context(life.served(PORT))
        exporter = stack.enter_context(_exporter())
        pages = _pages(url, exporter)
        pages = {name: pages[name] for name in options.pages or pages}
        good = "axe" not in options.part or _looked_at(pages)
        if "lighthouse" in options.part:
            good &= _scored(pages, options.replications)
    return int(not good)


def _pages(url: str, exporter: str) -> dict[str, str]:
    """The address of each page, by its name."""
    home = Path(os.environ["ROUTING_ML_HOME"])
    names = [version.name for version in Registry(home / "models").versions()]
    item, past = life.WAITING, life.ROUTED
    typed = "&".join(f"set.{name}={quote(value)}" for name, value in life.TYPED.items())
    return {
        "start": f"{url}/",
        "search": f"{url}/why?q={item[1:4]}",
        "why": f"{url}/why?item={item}",
        "why, routed": f"{url}/why?item={past}&quantity=40",
        "what if": f"{url}/why?item={item}&{typed.split('&')[0]}",
        "type in": f"{url}/why?new=1",
        "typed in": f"{url}/why?new=1&{typed}&quantity=12",
        "models": f"{url}/models",
        "compare": f"{url}/models/compare?one={names[-1]}&other={names[0]}",
        "drift": f"{url}/drift",
        "data": f"{url}/data",
        "report": f"{url}/run?dag_id=routing_ml_retrain&run_id={life.RUN}",
        "proposals": f"{url}/run?dag_id=routing_ml_predict&run_id={life.PROPOSED}",
        "data look": f"{url}/run?dag_id=routing_ml_quality&run_id={life.RUN}",
        "error": f"{url}/no/such/page",
        "exporter": f"{exporter}/",
    }


@contextmanager
def _exporter() -> Iterator[str]:
    command = [sys.executable, "-P", "-m", "exporter", "--port", str(EXPORTER_PORT)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([*command, "--host", "127.0.0.1"], env=env) as process:
        try:
            yield f"http://127.0.0.1:{EXPORTER_PORT}"
        finally:
            process.terminate()


def _looked_at(pages: Mapping[str, str]) -> bool:
    """Print what is wrong with each page in each theme, over all sizes and languages; whether
    nothing is."""
    found: dict[tuple[str, str], list[str]] = {each: [] for each in product(pages, THEMES)}
    with chromium.chromium() as browser:
        for theme, size, language in product(THEMES, SIZES, LANGUAGES):
            with chromium.person(browser, theme=theme, size=size, language=language) as context:
                for name, address in pages.items():
                    page = context.new_page()
                    watch = chromium.Watch(page)
                    page.goto(address)
                    if name == "error":  # its status is what the console tells of
                        watch.seen.clear()
                    wrong = [f"too wide: {each}" for each in chromium.too_wide(page)]
                    chromium.unfold(page)
                    wrong += [*watch.seen, *chromium.violations(page)]
                    wrong += [f"too wide, unfolded: {each}" for each in chromium.too_wide(page)]
                    found[name, theme] += [f"{size[0]} px, {language}: {each}" for each in wrong]
                    page.close()
    print(f"{'page':12} {'theme':6} found by axe, and otherwise wrong")
    for (name, theme), wrong in found.items():
        print(f"{name:12} {theme:6} {len(wrong)}")
        for each in wrong:
            print(f"    {each}")
    return not any(found.values())


def _scored(pages: Mapping[str, str], replications: int) -> bool:
    """Print Lighthouse's scores, the median of so many; whether none is under its bound. It looks
    at no page that answers with an error."""
    good = True
    print(f"{'page':12} {'theme':6} {'  '.join(LEAST)}", flush=True)
    for name, theme in product((name for name in pages if name != "error"), THEMES):
        runs = [_lighthouse(pages[name], theme) for _ in range(replications)]
        score = {each: round(statistics.median(run[each] for run in runs)) for each in LEAST}
        line = "  ".join(f"{score[each]:>{len(each)}}" for each in score)
        print(f"{name:12} {theme:6} {line}", flush=True)
        good &= all(score[each] >= LEAST[each] for each in score)
    return good


def _lighthouse(address: str, theme: str) -> dict[str, int]:
    # A page that has no choice of its own follows the system, as Chromium is told of it.
    dark = " --force-dark-mode --blink-settings=preferredColorScheme=0" if theme == "dark" else ""
    command = [
        shutil.which("node") or "node", str(LIGHTHOUSE), address, "--quiet",
        "--output=json", "--output-path=stdout", "--form-factor=mobile",
        f"--only-categories={','.join(LEAST)}",
        f"--chrome-flags={' '.join(chromium.FLAGS)}{dark}",
        "--extra-headers=" + json.dumps({"Cookie": f"routing_ml_theme={theme}"}),
    ]  # fmt: skip
    env = os.environ | {"CHROME_PATH": chromium.program()}
    done = subprocess.run(
        command, capture_output=True, text=True, env=env, timeout=PATIENCE_SECONDS, check=False
    )
    if done.returncode:
        raise SystemExit(f"Lighthouse cannot look at {address}: {done.stderr[-500:]}")
    report = json.loads(done.stdout)
    if "runtimeError" in report:
        raise SystemExit(f"Lighthouse cannot look at {address}: {report['runtimeError']}")
    _tell_what_fails(address, theme, report)
    return {name: round(100 * (report["categories"][name]["score"] or 0)) for name in LEAST}


def _tell_what_fails(address: str, theme: str, report: Mapping[str, Any]) -> None:
    for name, least in LEAST.items():
        category = report["categories"][name]
        if 100 * (category["score"] or 0) < least:
            failing = [
                f"{each['id']} ({report['audits'][each['id']]['score']})"
                for each in category["auditRefs"]
                if each["weight"] and (report["audits"][each["id"]]["score"] or 0) < 0.9
            ]
            print(f"  {address} {theme}, {name}: {', '.join(failing)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

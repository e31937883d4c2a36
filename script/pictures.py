"""Takes the pictures of the pages that the README shows: of the sample after half a year, as of one
moment, so that they change when the pages do.

    script/pictures [--home DIR] [NAME ...]

The names of the sample's items are Korean: a font that has them is needed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from install import ROOT

sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import chromium  # noqa: E402 - the path comes first
import pages_life as life  # noqa: E402

INTO = ROOT / "docs" / "images"
MOST_BYTES = 150_000
PORT = 8796
WHY = f"/why?item={life.WAITING}"
WIDE, PHONE = (1100, 860), (390, 844)
PICTURES = {
    "pages_why": (WHY, "light", (1100, 900)),
    "pages_why_phone_dark": (WHY, "dark", PHONE),
    "pages_what_if_dark": (f"{WHY}&attribute=PART_TYPE&value=SLEEVE", "dark", (1100, 980)),
    "pages_models": ("/models", "light", (1100, 980)),
    "pages_drift_dark": ("/drift", "dark", (1100, 1180)),
    "pages_data": ("/data", "light", (1100, 860)),
}
"""Of each the page, its theme, and how much of it, in pixels."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="these alone")
    parser.add_argument("--home", type=Path, help="a state folder that was made so; not changed")
    options = parser.parse_args()
    listing = shutil.which("fc-list")
    korean = listing and subprocess.run([listing, ":lang=ko"], capture_output=True, check=True)
    if not korean or not korean.stdout:
        print(
            "no font here has Korean, which the sample's names are: install one "
            "(Debian: apt-get install fontconfig fonts-noto-cjk)",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory(prefix="routing-ml-") as folder:
        if options.home:
            os.environ |= {
                "ROUTING_ML_HOME": str(options.home),
                "ROUTING_ML_SOURCE": str(life.SAMPLE),
            }
        else:
            life.lived(Path(folder) / "home")
        with life.served(PORT) as url, chromium.chromium("--hide-scrollbars") as browser:
            for name in options.names or PICTURES:
                path, theme, size = PICTURES[name]
                with chromium.person(browser, size=size, theme=theme) as context:
                    page = context.new_page()
                    page.goto(url + path)
                    taken = page.screenshot(path=INTO / f"{name}.png")
                print(f"{name}.png  {len(taken):,} bytes")
                if len(taken) > MOST_BYTES:
                    print(
                        f"{name} is over {MOST_BYTES:,} bytes: take less of the page",
                        file=sys.stderr,
                    )
                    return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

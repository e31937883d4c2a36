"""Trouble with Slack for a day: it is silent, refuses, or says it is well while it is not."""

import random
from collections import deque
from collections.abc import Callable, Iterator

from routing_ml import pipeline
from routing_ml.notices import notify
from trouble.bed import RETRAIN, Bed, Row, one_line

PAGE = b"<html><body>ok: please sign in</body></html>"
HOURS = 24
SLOW_SECONDS = 1.0
"""How long a call waits here for a Slack that says nothing; half a minute in use."""

LIES: dict[str, tuple] = {
    "silent": ("silent",),
    "refusing": (500, 503, (429, "3600"), 404, "garbage"),
    "lying": (
        (200, {"Content-Type": "text/html"}, PAGE),
        (302, {"Location": "/login"}, b""),
        (200, {}, b""),
        (204, {}, b""),
    ),
}


def rows(make: Callable, trials: int, chance: random.Random) -> Iterator[Row]:
    """A retraining on that day is none the worse, and people hear of it once, afterwards."""
    for name, answers in LIES.items():
        row = Row(f"Slack {name} for a day")
        for _ in range(trials):
            with make() as bed:
                before = bed.known()
                bed.slack.script = deque(chance.choices(answers, k=100_000))
                ended = bed.command(*RETRAIN, inside=_impatient)
                row.trials += 1
                row.lines += one_line(ended)
                if ended.code:
                    row.lost.append(f"the retraining failed: {ended.line()}")
                for _hour in range(HOURS):
                    _catch_up(bed)
                if bed.told():
                    row.notices.append("counted as told while nobody was")
                bed.slack.script.clear()
                again = bed.command("predict", "--out", str(bed.folder / "p.csv"))
                row.went_on += again.code == 0
                bed.judge(row, before)
        yield row


def _impatient() -> None:
    notify.SENDING_S = SLOW_SECONDS


def _catch_up(bed: Bed) -> None:
    """As the drift watch does each hour."""
    usual = notify.SENDING_S
    _impatient()
    try:
        pipeline.catch_up(bed.settings)
    finally:
        notify.SENDING_S = usual

"""Trouble with Slack or Teams for a day: silent, refusing, or saying to be well while it is not."""

import random
from collections import deque
from collections.abc import Callable, Iterator

from routing_ml import pipeline
from routing_ml.notices import notify
from trouble.bed import RETRAIN, Bed, FakeSlack, FakeTeams, Row, one_line

PAGE = b"<html><body>ok: please sign in</body></html>"
HOURS = 24
SLOW_SECONDS = 1.0
"""How long a call waits here for one that says nothing; half a minute in use."""

REFUSALS: tuple = (500, 503, (429, "3600"), 404, "garbage")
PAGES: tuple = ((200, {"Content-Type": "text/html"}, PAGE), (302, {"Location": "/login"}, b""))
EMPTY: tuple = ((200, {}, b""), (204, {}, b""))  # what Teams may say where it is well
ANSWERS: dict[str, dict[str, tuple]] = {
    "silent": {"Slack": ("silent",), "Teams": ("silent",)},
    "refusing": {"Slack": REFUSALS, "Teams": REFUSALS},
    "lying": {"Slack": (*PAGES, *EMPTY), "Teams": PAGES},
}


def rows(make: Callable, trials: int, chance: random.Random) -> Iterator[Row]:
    """A retraining on that day is none the worse, and people hear of it once, afterwards, and by
    the other one on the day itself."""
    for name, answers in ANSWERS.items():
        for bad in answers:
            row = Row(f"{bad} {name} for a day")
            for _ in range(trials):
                with FakeTeams() as teams, make(TEAMS_WEBHOOK_URL=teams.url) as bed:
                    both = {"Slack": bed.slack, "Teams": teams}
                    both[bad].script = deque(chance.choices(answers[bad], k=100_000))
                    _day(bed, row, both, bad)
            yield row


def _day(bed: Bed, row: Row, both: dict[str, FakeSlack | FakeTeams], bad: str) -> None:
    before = bed.known()
    ended = bed.command(*RETRAIN, inside=_impatient)
    row.trials += 1
    row.lines += one_line(ended)
    if ended.code:
        row.lost.append(f"the retraining failed: {ended.line()}")
    for _hour in range(HOURS):
        _catch_up(bed)
    for name, fake in both.items():
        if len(fake.messages) != (name != bad):
            row.notices.append(f"{name} has taken {len(fake.messages)} notices on that day")
    both[bad].script.clear()
    again = bed.command("predict", "--out", str(bed.folder / "p.csv"))
    row.went_on += again.code == 0
    bed.judge(row, before)
    for name, fake in both.items():
        if len(fake.messages) != 1:
            row.notices.append(f"{name} was told {len(fake.messages)} times in the end")


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

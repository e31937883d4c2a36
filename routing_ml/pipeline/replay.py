"""Plays a source's past day by day, as Airflow would have: what would have happened, in a state
folder of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from routing_ml import dataset, files, modes
from routing_ml.errors import InputError, SettingError
from routing_ml.pipeline.replay_days import RETRAINING, Play, Player
from routing_ml.pipeline.replay_report import Report
from routing_ml.settings import DEFAULT_SOURCE, Settings, default_url
from routing_ml.source import EVERY_ROW, Columns, extract
from routing_ml.store import Store

POLICIES = ("both", "monthly", "drift", "never")
"""When the model is retrained after the first day."""

Say = Callable[[str], None]


def play(
    settings: Settings, plan: Play, *, out: Path, say: Say = lambda line: None
) -> dict[str, Any]:
    """Play it into the state folder `out`, which is new or empty, and return what came of it, as
    `replay.json` in it has it (`Report.write`). `say` hears of each month.

    Nothing of the state folder of these settings is read or changed, and nobody is told. Ctrl-C
    leaves what was played so far, and passes through. Raises SettingError or InputError where there
    is nothing to play, and what the daily steps raise.
    """
    if plan.policy not in POLICIES:
        raise SettingError(f"policy {plan.policy!r} is none of {', '.join(POLICIES)}")
    if plan.months < 1:
        raise SettingError(f"months is {plan.months}: at least 1 is to be played")
    now = settings.moment(None).date()
    if plan.end > now + timedelta(days=1):
        raise SettingError(
            f"{plan.months} months from {plan.first:%Y-%m} end on {plan.end}, which is ahead of "
            f"the clock of this machine ({now}): play fewer, or begin earlier"
        )
    columns = Columns.load(plan.columns or settings.columns.get(plan.source))
    with tempfile.TemporaryDirectory(prefix="routing-ml-") as folder:
        end = datetime.combine(plan.end, time())
        origin = settings.origin(plan.source)
        read = extract(origin, Path(folder), columns=columns, as_of=end, limit=EVERY_ROW)
        past = dataset.Past.load(read.path)
    began = past.began()
    if began is None or began >= datetime.combine(plan.first, RETRAINING):
        when = f"on {began:%Y-%m-%d}" if began else f"after {plan.end}"
        raise InputError(
            f"--from {plan.first:%Y-%m}: the first item was entered {when}, so that there is "
            "nothing to learn from yet; begin some months after it"
        )
    own = _own(settings, plan, out)
    player = Player(own, plan, columns, past, Report(own, plan.name))
    with closing(Store(own.store_url)):  # SQLite tidies up when the last one closes, not each day
        return player.play(say)


def _own(settings: Settings, plan: Play, out: Path) -> Settings:
    """The settings of the replay: a state folder of its own, one source, and nobody to tell."""
    with files.told_as(InputError, f"{out} cannot be used"):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out} is not empty: name another folder with --out, or remove it")
        modes.make_folder(out)
    out = out.resolve()
    columns = plan.columns or settings.columns.get(plan.source)
    return replace(
        settings,
        home=out,
        store_url=default_url(out),
        sources={DEFAULT_SOURCE: settings.source(plan.source)},
        columns={DEFAULT_SOURCE: columns} if columns else {},
        slack_webhook_url=None,
        slack_bot_token=None,
        teams_webhook_url=None,
        ui_url=None,
        backups=None,
        daily_files_seen=False,
        source_away="fail",
        configured=False,
    )

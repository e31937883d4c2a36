"""The parser of `routing-ml`, and what runs a command: results go to standard output, all else to
standard error; a failure is one line and a non-zero exit code.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import routing_ml
from routing_ml import files
from routing_ml.backup import PARTS, require_whole
from routing_ml.cli import backup, data, models, proposals, runs
from routing_ml.cli import drift as drift_commands
from routing_ml.cli import history as history_commands
from routing_ml.cli import live as live_commands
from routing_ml.cli import quality as quality_commands
from routing_ml.cli import replay as replay_commands
from routing_ml.cli import slackbot as slackbot_commands
from routing_ml.cli.helping import epilog
from routing_ml.cli.shared import Result
from routing_ml.errors import RoutingError, SettingError
from routing_ml.redaction import redact
from routing_ml.settings import Settings

# The commands import what they need when they run: pandas and scikit-learn take a second, which
# `extract`, `models` and `--help` need not wait for.


WITHOUT_STATE = (data.check, data.extract, data.audit, backup.backups)
BEGINNING = (
    runs.retrain,
    models.train,
    quality_commands.quality,
    replay_commands.replay,
    slackbot_commands.slack_bot,
)
RESTORING = (backup.restore,)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.from_env()
        _state_folder(settings, options)
        result, text = options.run(settings, options)
    except RoutingError as error:
        print(f"routing-ml: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("routing-ml: interrupted", file=sys.stderr)
        return 130
    try:
        print(json.dumps(result, ensure_ascii=False) if options.json or not text else text)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1 if result.get("passed") is False else 0


def _state_folder(settings: Settings, options: argparse.Namespace) -> None:
    """Say which state folder is made where there is none; only what begins one makes it.

    Raises SettingError for a command that needs what an earlier one left there.
    """
    if options.run in WITHOUT_STATE + RESTORING:  # a restore makes it when it has something for it
        return
    with files.told_as(SettingError, f"state folder {settings.home} cannot be looked at"):
        is_there = settings.home.is_dir()
    if is_there:
        require_whole(settings.home)
        settings.opened()
        return
    if options.run not in BEGINNING:
        raise SettingError(
            f"there is no state folder {settings.home}; set ROUTING_ML_HOME to the one in use, "
            "begin one with 'routing-ml retrain', or have it back with 'routing-ml restore'"
        )
    print(f"state folder {settings.home} is made (ROUTING_ML_HOME)", file=sys.stderr)


def _candidates(text: str) -> list[str]:
    from routing_ml.models import CANDIDATES

    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        _candidate(name)
    if not names:
        raise argparse.ArgumentTypeError(f"no candidate: choose from {', '.join(CANDIDATES)}")
    return list(dict.fromkeys(names))


def _candidate(name: str) -> str:
    from routing_ml.models import CANDIDATES

    if name not in CANDIDATES:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(CANDIDATES)}")
    return name


def _limit(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 366:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from 1 to 366")
    return int(text)


def _quantity(text: str) -> float:
    try:
        quantity = float(text)
    except ValueError:
        quantity = 0.0
    if not 0 < quantity <= 1e12:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of pieces above 0")
    return quantity


class _Parser(argparse.ArgumentParser):
    """Repeats no secret of what it does not understand."""

    def error(self, message: str) -> NoReturn:
        super().error(redact(message, *sys.argv[1:]))


def _parser() -> argparse.ArgumentParser:
    shared = _Parser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print one JSON object")
    shared.add_argument("--columns", type=Path, metavar="FILE", help="the columns file (TOML)")
    reading = _Parser(add_help=False)
    reading.add_argument("--source", metavar="S", help="an Access file, an ODBC connection string")
    reading.add_argument("--as-of", metavar="T", help="ISO 8601; later rows are ignored")
    reading.add_argument("--limit", type=_limit, default=100_000, metavar="N", help="routing rows")

    parser = _Parser(prog="routing-ml", description=routing_ml.__doc__)
    parser.add_argument("--version", action="version", version=routing_ml.__version__)
    every = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(
        name: str,
        run: Callable[..., Result],
        text: str,
        *parents: _Parser,
        among: "argparse._SubParsersAction[_Parser]" = every,
    ) -> argparse.ArgumentParser:
        raw = argparse.RawDescriptionHelpFormatter
        added = among.add_parser(
            name, help=text, description=text, parents=[shared, *parents], formatter_class=raw
        )
        added.epilog = epilog(added.prog.removeprefix(f"{parser.prog} "))
        added.set_defaults(run=run)
        return added

    text = "what would be learned, before anything is; exit code 1 when the columns cannot be right"
    command("check", data.check, text, reading)
    added = command("extract", data.extract, "copy a source's tables to Parquet", reading)
    added.add_argument("--out", type=Path, required=True, metavar="DIR")
    added = command("audit", data.audit, "judge a dataset; exit code 1 when a gate fails")
    added.add_argument("dataset", type=Path, metavar="DIR")
    text = "write every row behind the gates there, as CSV"
    added.add_argument("--offenders", type=Path, metavar="FILE", help=text)
    added = command("train", models.train, "fit and register a model, not yet in use")
    added.add_argument("dataset", type=Path, metavar="DIR")
    added.add_argument("--candidate", type=_candidate, default="boosted", metavar="NAME")
    added = command("evaluate", models.evaluate, "the metrics of a model on a dataset's holdout")
    added.add_argument("model", metavar="MODEL")
    added.add_argument("dataset", type=Path, metavar="DIR")
    added = command(
        "retrain", runs.retrain, "extract, audit, train, compare, promote, report", reading
    )
    added.add_argument("--candidates", type=_candidates, metavar="A,B", help="default: all")
    added.add_argument(
        "--promotion", choices=("automatic", "approve", "never"), help="approve: name the winner"
    )
    text = "play a source's past day by day: what would have happened"
    added = command("replay", replay_commands.replay, text)
    text = "the first month that is played, such as 2024-11"
    added.add_argument(
        "--from", dest="first", type=replay_commands.month, required=True, metavar="M", help=text
    )
    text = "how many months; default: 12"
    added.add_argument("--months", type=replay_commands.months, default=12, metavar="N", help=text)
    text = "when it is retrained after the first day; default: both, monthly and by drift"
    policies = ("both", "monthly", "drift", "never")
    added.add_argument("--retrain", choices=policies, default="both", help=text)
    text = "the replay's own state folder, new or empty; default: ROUTING_ML_HOME/replays/..."
    added.add_argument("--out", type=Path, metavar="DIR", help=text)
    added.add_argument("--source", metavar="S", help="an Access file, an ODBC connection string")
    text = "routing rows that a retraining learns from; default: 100,000"
    added.add_argument("--limit", type=_limit, default=100_000, metavar="N", help=text)
    added.add_argument("--candidates", type=_candidates, metavar="A,B", help="default: all")
    added = command(
        "predict", proposals.predict, "propose routings; by default for every item without one"
    )
    which = added.add_mutually_exclusive_group()
    which.add_argument("--items", type=Path, metavar="FILE", help="Excel, CSV, Parquet or JSON")
    which.add_argument("--item-cd", metavar="CODE", help="one item of the source")
    added.add_argument("--out", type=Path, metavar="FILE", help=".xlsx, .csv, .parquet or .json")
    text = "count the items that were asked for among those proposed for, and watch them for drift"
    added.add_argument("--record", action="store_true", help=text)
    text = "routings an item, ranked (RANK), each with its CONFIDENCE; default: 1"
    added.add_argument("--top", type=int, choices=(1, 2, 3), default=1, help=text)
    text = "pieces: adds TOTAL_MINUTES, setup and run of all"
    added.add_argument("--quantity", type=_quantity, metavar="N", help=text)
    added.add_argument("--source", metavar="S", help="an Access file, an ODBC connection string")
    added = command(
        "explain", proposals.explain, "why this routing: similar items, what decided, what lacks"
    )
    added.add_argument("item_cd", metavar="CODE")
    added.add_argument("--items", type=Path, metavar="FILE", help="the file that has the item")
    added.add_argument("--quantity", type=_quantity, metavar="N", help=text)
    added.add_argument("--source", metavar="S", help="an Access file, an ODBC connection string")
    command("models", models.models, "list the versions; * is in use")
    text = "who put which version into use, when and why, the newest first"
    added = command("history", history_commands.history, text)
    added.add_argument("--limit", type=_limit, default=20, metavar="N", help="default: 20")
    added = command("promote", models.promote, "put a version into use")
    added.add_argument("model", metavar="MODEL")
    added.add_argument("--why", default="by hand", help="for the history")
    added = command("rollback", models.rollback, "put the version into use that was before")
    added.add_argument("--why", default="by hand", help="for the history")
    command(
        "prune", models.prune, "remove versions, runs, proposals and records older than 180 days"
    )
    command("backup", backup.backup, "copy all that must not be lost, and verify the copy")
    command("backups", backup.backups, "list the backups").add_argument(
        "--from", dest="backups", type=Path, metavar="FOLDER", help="the folder of backups"
    )
    text = "put a backup in the place of what there is, which is moved aside"
    added = command("restore", backup.restore, text)
    added.add_argument("backup", nargs="?", metavar="BACKUP", help="default: the newest verified")
    added.add_argument("--dry-run", action="store_true", help="only say what would be replaced")
    added.add_argument("--from", dest="backups", type=Path, metavar="FOLDER", help="of backups")
    text = "another state folder; nothing outside of it is touched"
    added.add_argument("--into", type=Path, metavar="HOME", help=text)
    text = "a part alone; may be given several times"
    added.add_argument("--only", action="append", choices=PARTS, help=text)
    text = "put the source's file in the place of one that is there"
    added.add_argument("--replace-database", action="store_true", help=text)
    text = "what is wrong in the data, what changed since last week, the worst items by name"
    added = command("quality", quality_commands.quality, text)
    added.add_argument("--out", type=Path, metavar="FILE", help="the page there too, as HTML")
    added.add_argument("--source", metavar="S", help="an Access file, an ODBC connection string")
    text = "answer in Slack, and act for those who may, until it is ended"
    added = command("slack-bot", slackbot_commands.slack_bot, text)
    text = "only say whether one is connected; exit code 1 where none is"
    added.add_argument("--healthy", action="store_true", help=text)
    text = "how right the proposals are, by the routings that planners wrote later"
    live = every.add_parser("live", help=text, description=text)
    within = live.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command("status", live_commands.status, "the figures of the last judgement", among=within)
    text = "judge now what was proposed: what Airflow does each day"
    command("judge", live_commands.judge, text, among=within)
    text = "whether new items still resemble the past ones"
    drift = every.add_parser("drift", help=text, description=text)
    within = drift.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command("status", drift_commands.status, "the last evaluation", among=within)
    text = "evaluate now: what Airflow does each hour"
    command("evaluate", drift_commands.evaluate, text, among=within)
    added = command(
        "summary", drift_commands.summary, "the drift days of the last days", among=within
    )
    added.add_argument("--days", type=_days, default=7, metavar="N", help="default: 7")
    text = "begin anew: an empty window and no drift days"
    added = command("reset", drift_commands.reset, text, among=within)
    added.add_argument("--why", default="by hand", help="for the record")
    return parser

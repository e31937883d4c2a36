"""`routing-ml`: every part of the product as a command. Results go to standard output, all else
to standard error; a failure is one line and a non-zero exit code.
"""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import routing_ml
from routing_ml.errors import ModelError, RoutingError
from routing_ml.settings import DEFAULT_SOURCE, Settings

if TYPE_CHECKING:
    from routing_ml.columns import Columns

# The commands import what they need when they run: pandas and scikit-learn take a second, which
# `extract`, `models` and `--help` need not wait for.

Result = tuple[dict[str, Any], str]
"""What a command prints: its JSON, and its text for people ('' where the JSON is the text)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        result, text = options.run(Settings.from_env(), options)
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


def _extract(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.extract import extract

    settings, source = _source(settings, options.source)
    done = extract(
        settings.source(source),
        options.out,
        columns=_columns(settings, source, options),
        as_of=settings.moment(options.as_of),
        limit=options.limit,
        progress=_progress(),
    )
    facts = {
        "dataset": str(done.path),
        "rows": dict(done.rows),
        "bytes": done.bytes,
        "seconds": round(done.seconds, 3),
    }
    return facts, ""


def _audit(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.audit import audit

    found = audit(options.dataset, null_level=settings.null_gate)
    lines = [f"{check.level:8} {check.name}: {check.found}" for check in found.checks]
    verdict = "failed" if found.errors else "passed"
    lines.append(f"{verdict} with {len(found.warnings)} warning(s)")
    return found.as_dict(), "\n".join(lines)


def _train(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import dataset, pipeline, training

    data = dataset.load(options.dataset)
    key = f"command__{datetime.now(UTC):%Y-%m-%dT%H%M%S.%fZ}/{options.candidate}"
    version = training.fit_and_register(
        pipeline.registry(settings), data, options.candidate, key=key
    )
    return {
        "model": version.name,
        "candidate": options.candidate,
        "metrics": version.manifest["metrics"],
    }, ""


def _evaluate(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import dataset, pipeline, training

    version = pipeline.registry(settings).get(options.model)
    found = training.evaluate(version, dataset.load(options.dataset))
    return {"model": version.name} | found, ""


def _retrain(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.retrain import retrain

    settings, source = _source(settings, options.source)
    outcome = retrain(
        settings,
        as_of=settings.moment(options.as_of),
        source=source,
        columns=options.columns,
        limit=options.limit,
        candidates=options.candidates,
        promotion=options.promotion,
        say=_say,
        progress=_progress(),
    )
    return outcome, ""


def _predict(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import predict

    settings, source = _source(settings, options.source)
    columns = _columns(settings, source, options)
    out = options.out or (None if options.item_cd else predict.default_path(settings.home))
    if out and not options.items and not options.item_cd:
        facts = predict.propose_missing(
            settings, source=source, columns=columns, as_of=settings.moment(None), path=out
        )
    else:
        items = predict.read_items(options.items, columns) if options.items else None
        if items is None or list(items.columns) == ["ITEM_CD"]:
            codes = [options.item_cd] if items is None else items["ITEM_CD"].tolist()
            data = predict.read_source(settings.source(source), columns, settings.moment(None))
            items = predict.listed(data, codes)
        proposals, model = predict.propose(settings, items, save_to=out)
        facts = {"model": model, "items": len(items), "operations": len(proposals)}
        if out is None:
            facts["proposal"] = json.loads(proposals.to_json(orient="records", force_ascii=False))
            return facts, proposals.to_string(index=False)
        facts["out"] = str(out)
    text = "{items} items, {operations} operations by {model}: {out}"
    return facts, text.format_map(facts)


def _explain(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import explain, predict
    from routing_ml.registry import Registry

    settings, source = _source(settings, options.source)
    columns = _columns(settings, source, options)
    predictor = predict.Predictor(Registry(settings.home / "models"))
    if options.items:
        items = predict.read_items(options.items, columns)
    else:
        data = predict.read_source(settings.source(source), columns, settings.moment(None))
        items = predict.listed(data, [options.item_cd])
    code = options.item_cd if options.items else str(items["ITEM_CD"].iloc[0])
    found = explain.explain(predictor.model, items, code)
    return {"model": predictor.version} | found.as_dict(), found.as_text()


def _drift_status(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import monitor

    return _shown(monitor.drift_status(settings))


def _drift_evaluate(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import watch

    return _shown(watch.look(settings, moment=settings.moment(None)))


def _shown(status: dict[str, Any]) -> Result:
    from routing_ml import watch

    if "evaluated_at" not in status:
        since = " since the reset" if "reset_at" in status else ""
        hint = "the drift watch does, or 'routing-ml drift evaluate'"
        return status, f"not evaluated yet{since}: {hint}"
    alarm = "DRIFT" if status["drift_detected"] else "no drift"
    advice = "; a retraining is advised" if status["should_retrain"] else ""
    return status, f"{alarm}: {watch.describe(status)}{advice}"


def _drift_summary(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import monitor

    found = monitor.drift_summary(settings, options.days)
    lines = [
        f"{event['day']}  KL {event['kl_divergence']:.2f} ({event['severity']})  "
        f"p {event['p_value']:.2g}  {event['scores']:,} items  {event['model']}"
        for event in found["events"]
    ]
    days = f"{found['drift_count']} drift days of the last {found['period_days']}, KL divergence "
    days += f"at most {found['max_kl_divergence']:.2f}, mean {found['avg_kl_divergence']:.2f}"
    return found, "\n".join([*lines, days])


def _drift_reset(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import monitor

    monitor.reset_drift(settings, why=options.why)
    message = "The drift detector begins anew with its next evaluation."
    return {"message": message}, message


def _models(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.registry import Registry

    registry = Registry(settings.home / "models")
    try:
        active, trouble = registry.active(), []
    except ModelError as error:  # the list is what helps out of it
        active, trouble = None, [f"! {error}"]
    rows = [
        {
            "model": version.name,
            "candidate": version.manifest["candidate"],
            "as_of": version.manifest["as_of"],
            "exact_match": version.manifest["metrics"].get("exact_match"),
            "active": active is not None and version.name == active.name,
        }
        for version in registry.versions()
    ]
    lines = [
        f"{'*' if row['active'] else ' '} {row['model']}  {row['candidate']:10} "
        f"exact {_figure(row['exact_match'])}  as of {row['as_of']}"
        for row in rows
    ]
    text = "\n".join([*lines, *trouble]) or "no model yet: 'routing-ml retrain' makes one"
    return {"models": rows, "history": registry.history(), "damaged": registry.damaged()}, text


def _promote(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import monitor
    from routing_ml.registry import Registry

    registry = Registry(settings.home / "models")
    version = registry.promote(options.model, who=_user(), why=options.why)
    monitor.record_model(settings)
    return {"model": version.name}, f"{version.name} is in use"


def _rollback(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import monitor
    from routing_ml.registry import Registry

    version = Registry(settings.home / "models").rollback(who=_user(), why=options.why)
    monitor.record_model(settings)
    return {"model": version.name}, f"{version.name} is in use again"


def _prune(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import pipeline

    removed = pipeline.prune(settings)
    text = ", ".join(
        f"{found if isinstance(found, int) else len(found)} {kind}"
        for kind, found in removed.items()
    )
    text = f"removed: {text}"
    return removed, text


def _source(settings: Settings, given: str | None) -> tuple[Settings, str]:
    """The name of the source to read; a path or connection string takes the default's place."""
    if given is None or given in settings.sources:
        return settings, given or DEFAULT_SOURCE
    return replace(settings, sources={**settings.sources, DEFAULT_SOURCE: given}), DEFAULT_SOURCE


def _columns(settings: Settings, source: str, options: argparse.Namespace) -> "Columns":
    """The columns file of a source; one given with the command comes first."""
    from routing_ml.columns import Columns

    return Columns.load(options.columns or settings.columns.get(source))


def _progress() -> Callable[[str, int], None]:
    """Shows rows as they are read, when a person watches."""
    if not sys.stderr.isatty():
        return lambda table, rows: None
    return lambda table, rows: print(f"\r{table}: {rows:,} rows read ", end="", file=sys.stderr)


def _say(line: str) -> None:
    lead = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{lead}{line}", file=sys.stderr)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has a number and no name
        return f"user {os.getuid()}"


def _figure(value: float | None) -> str:
    return " none" if value is None else f"{value:.3f}"


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
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows of at least 1")
    return int(text)


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 366:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from 1 to 366")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print one JSON object")
    shared.add_argument("--columns", type=Path, metavar="FILE", help="the columns file (TOML)")
    reading = argparse.ArgumentParser(add_help=False)
    reading.add_argument("--source", metavar="S", help="an Access file, an ODBC connection string")
    reading.add_argument("--as-of", metavar="T", help="ISO 8601; later rows are ignored")
    reading.add_argument("--limit", type=_limit, default=100_000, metavar="N", help="routing rows")

    parser = argparse.ArgumentParser(prog="routing-ml", description=routing_ml.__doc__)
    parser.add_argument("--version", action="version", version=routing_ml.__version__)
    every = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(
        name: str,
        run: Callable[..., Result],
        text: str,
        *parents: argparse.ArgumentParser,
        among: "argparse._SubParsersAction[argparse.ArgumentParser]" = every,
    ) -> argparse.ArgumentParser:
        added = among.add_parser(name, help=text, description=text, parents=[shared, *parents])
        added.set_defaults(run=run)
        return added

    added = command("extract", _extract, "copy a source's tables to Parquet", reading)
    added.add_argument("--out", type=Path, required=True, metavar="DIR")
    added = command("audit", _audit, "judge a dataset; exit code 1 when a gate fails")
    added.add_argument("dataset", type=Path, metavar="DIR")
    added = command("train", _train, "fit and register a model, not yet in use")
    added.add_argument("dataset", type=Path, metavar="DIR")
    added.add_argument("--candidate", type=_candidate, default="boosted", metavar="NAME")
    added = command("evaluate", _evaluate, "the metrics of a model on a dataset's holdout")
    added.add_argument("model", metavar="MODEL")
    added.add_argument("dataset", type=Path, metavar="DIR")
    added = command("retrain", _retrain, "extract, audit, train, compare, promote, report", reading)
    added.add_argument("--candidates", type=_candidates, metavar="A,B", help="default: all")
    added.add_argument("--promotion", choices=("automatic", "never"), default="automatic")
    added = command("predict", _predict, "propose routings; by default for every item without one")
    which = added.add_mutually_exclusive_group()
    which.add_argument("--items", type=Path, metavar="FILE", help="CSV, Parquet or JSON")
    which.add_argument("--item-cd", metavar="CODE", help="one item of the source")
    added.add_argument("--out", type=Path, metavar="FILE", help=".parquet, .csv or .json")
    added.add_argument("--source", metavar="S", help="an Access file, an ODBC connection string")
    added = command(
        "explain", _explain, "why this routing: similar items, what decided, what lacks"
    )
    added.add_argument("item_cd", metavar="CODE")
    added.add_argument("--items", type=Path, metavar="FILE", help="the file that has the item")
    added.add_argument("--source", metavar="S", help="an Access file, an ODBC connection string")
    command("models", _models, "list the versions; * is in use")
    added = command("promote", _promote, "put a version into use")
    added.add_argument("model", metavar="MODEL")
    added.add_argument("--why", default="by hand", help="for the history")
    added = command("rollback", _rollback, "put the version into use that was before")
    added.add_argument("--why", default="by hand", help="for the history")
    command("prune", _prune, "remove versions, runs, proposals and records older than 180 days")
    text = "whether new items still resemble the past ones"
    drift = every.add_parser("drift", help=text, description=text)
    within = drift.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command("status", _drift_status, "the last evaluation", among=within)
    text = "evaluate now: what Airflow does each hour"
    command("evaluate", _drift_evaluate, text, among=within)
    added = command("summary", _drift_summary, "the drift days of the last days", among=within)
    added.add_argument("--days", type=_days, default=7, metavar="N", help="default: 7")
    text = "begin anew: an empty window and no drift days"
    added = command("reset", _drift_reset, text, among=within)
    added.add_argument("--why", default="by hand", help="for the record")
    return parser

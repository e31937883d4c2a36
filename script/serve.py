"""script/run: sets up, starts Airflow and the exporter on loopback, retrains where no model is in
use, serves.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import places
from airflow_api import Airflow, ApiError
from install import ROOT, SetupError, prepare
from instance import DAG, USER, Instance
from outcome import Screen, follow, show_outcome
from places import StartError
from processes import ProcessError, Processes, Stopped, stop_on_signals

AIRFLOW_PORT = 8080
SAMPLE = ROOT / "sample" / "factory_sample.accdb"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until the outcome or until a signal; the exit code says whether the run succeeded."""
    screen = Screen()
    try:
        stop_on_signals()
        asked = _arguments(arguments)
        instance = _instance(asked, os.environ)
        with _lock(instance):
            _check_ports(instance)
            processes = Processes(instance.home / "log")
            try:
                return _run(instance, processes, screen, asked)
            finally:
                processes.stop()
    except (StartError, SetupError, ProcessError, ApiError) as error:
        screen.clear()
        print(f"script/run: {error}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        screen.say("stopped")
        return 128 + stopped.number


def _run(
    instance: Instance, processes: Processes, screen: Screen, asked: argparse.Namespace
) -> int:
    begun = time.monotonic()
    prepare(screen.say, log=processes.log("setup"))
    screen.say(f"set-up                    {time.monotonic() - begun:6.1f} s")

    begun = time.monotonic()
    # What Airflow logs of the ERP's data is nobody else's; `routing_ml` sees to its own files.
    os.umask(0o077)
    screen.status("starting Airflow and the exporter")
    airflow = instance.start(processes, os.environ)
    screen.say(f"Airflow's start           {time.monotonic() - begun:6.1f} s")

    in_use = instance.model_in_use()
    succeeded = True
    if asked.once or asked.retrain or not (in_use or asked.no_retrain):
        succeeded = _retrained(instance, airflow, processes, screen)
    else:
        why = f"{in_use} is in use" if in_use else "no model is in use yet"
        screen.say(f"no retraining: {why}; script/run --retrain, or trigger {DAG} in Airflow")
    if asked.once:
        return not succeeded

    screen.say(f"Airflow   {instance.airflow_url}  user {USER}, password {instance.password()}")
    whose = "  of script/monitor" if instance.exporter_is_there() else ""
    screen.say(f"exporter  {instance.exporter_url}/metrics{whose}")
    screen.say("Ctrl-C ends both.")
    try:
        while True:
            processes.check()
            time.sleep(1)
    except Stopped:  # the end that was asked for
        screen.say("stopping")
        return not succeeded


def _retrained(instance: Instance, airflow: Airflow, processes: Processes, screen: Screen) -> bool:
    """Retrain once, and whether that succeeded."""
    run = f"manual__{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}"
    what = "an ODBC source" if _is_connection_string(instance.source) else instance.source
    screen.say(f"{DAG} reads {what}")
    begun = time.monotonic()
    airflow.trigger(run)
    follow(airflow, run, screen, processes.check)
    screen.say(f"the run                   {time.monotonic() - begun:6.1f} s")
    return show_outcome(airflow, run, instance.home / "runs", screen.say)


# Before anything starts


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/run",
        description="Sets up what is missing, starts Airflow and the exporter on this machine, "
        "retrains once where no model is in use yet, and serves until Ctrl-C. The ROUTING_ML_* "
        "settings of the environment hold.",
        epilog="PYTHON names another Python (3.11 to 3.13) to make .venv with.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--once", action="store_true", help="retrain, and end after the outcome")
    which.add_argument(
        "--retrain", action="store_true", help="retrain though a model is in use, then serve"
    )
    which.add_argument("--no-retrain", action="store_true", help="serve only")
    parser.add_argument(
        "--source",
        metavar="FILE",
        help="an .accdb or .mdb file or an ODBC connection string (default: the sample factory)",
    )
    parser.add_argument(
        "--airflow-port",
        type=places.port,
        metavar="N",
        default=AIRFLOW_PORT,
        help="default: %(default)s",
    )
    parser.add_argument(
        "--exporter-port", type=places.port, metavar="N", help=f"default: {places.EXPORTER_PORT}"
    )
    return parser.parse_args(arguments)


def _instance(asked: argparse.Namespace, env: Mapping[str, str]) -> Instance:
    exporter = places.exporter_port(asked.exporter_port, env)
    if exporter == asked.airflow_port:
        raise StartError(f"port {exporter} cannot serve both; choose another with --exporter-port")
    return Instance(
        home=places.home_of(env, ROOT),
        source=_source(asked.source or env.get("ROUTING_ML_SOURCE") or str(SAMPLE)),
        airflow_port=asked.airflow_port,
        exporter_port=exporter,
    )


def _source(text: str) -> str:
    """The source as the tasks get it: a connection string as it is, a path made absolute."""
    if _is_connection_string(text):
        return text
    path = Path(text).expanduser()
    if not path.is_file():
        what = "is no file" if path.exists() else "is not there"
        # Without a = it may be an address with a password all the same.
        shown = "that was given" if "@" in text or "://" in text else text
        raise StartError(
            f"the source {shown} {what}; give an .accdb or .mdb file with --source or "
            "ROUTING_ML_SOURCE"
        )
    return str(path.absolute())


def _is_connection_string(source: str) -> bool:
    return "=" in source and not Path(source).exists()


def _lock(instance: Instance) -> IO[str]:
    """Held while this start lives: two would write one Airflow database."""
    folders = [instance.airflow_home, instance.home / "log"]
    lock = instance.airflow_home / "run.lock"
    return places.hold(lock, instance.home, folders, "script/run", instance.airflow_url)


def _check_ports(instance: Instance) -> None:
    ports = {"--airflow-port": instance.airflow_port}
    if not instance.exporter_is_there():
        ports["--exporter-port"] = instance.exporter_port
    places.check_ports(ports)


if __name__ == "__main__":
    sys.exit(main())

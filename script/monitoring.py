"""script/monitor: starts Prometheus and Alertmanager on loopback beside the exporter, which it
starts too where none is there, and watches until Ctrl-C.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import IO

import places
from airflow_api import answers
from install import ROOT, SetupError, prepare
from instance import MONITOR_LOCK
from outcome import Screen
from places import StartError
from processes import ProcessError, Processes, Stopped, stop_on_signals
from watchers import Watchers, missing, program

PROMETHEUS_PORT, ALERTMANAGER_PORT = 9090, 9093
# An exporter that ends is started again, at most so often.
AGAIN_SECONDS = 10
DEBIANS = "Debian's own service may hold it: 'systemctl disable --now {}'"
HINTS = {
    "--prometheus-port": DEBIANS.format("prometheus"),
    "--alertmanager-port": DEBIANS.format("prometheus-alertmanager"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch until a signal; the exit code says whether that was asked for."""
    screen = Screen()
    try:
        stop_on_signals()
        watchers = _watchers(_arguments(arguments), os.environ)
        # Before the lock: what is said in it is whose exporter this is.
        has_exporter = _has_exporter(watchers)
        with _lock(watchers, has_exporter):
            processes = Processes(watchers.home / "log")
            try:
                return _run(watchers, processes, screen, has_exporter)
            finally:
                processes.stop()
                watchers.forget()
    except (StartError, SetupError, ProcessError) as error:
        screen.clear()
        print(f"script/monitor: {error}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        screen.say("stopped")
        return 128 + stopped.number


def _run(watchers: Watchers, processes: Processes, screen: Screen, has_exporter: bool) -> int:
    ports = {
        "--prometheus-port": watchers.prometheus_port,
        "--alertmanager-port": watchers.alertmanager_port,
    }
    places.check_ports(ports, HINTS)
    prepare(screen.say, packages=missing(), log=processes.log("setup"))
    for package in ("prometheus", "prometheus-alertmanager"):
        program(package)
    os.umask(0o077)
    try:
        watchers.configure()
    except OSError as error:
        raise StartError(
            f"{watchers.folder} cannot be written ({error.strerror}); make it writable"
        ) from error
    screen.status("starting Prometheus and Alertmanager")
    if not has_exporter:
        watchers.start_exporter(processes, os.environ)
    watchers.start(processes, os.environ)

    whose = "which was there" if has_exporter else "started with them"
    tells = "Slack" if watchers.slack else "nobody: set SLACK_WEBHOOK_URL to have Slack told"
    exporter, prometheus = watchers.url(watchers.exporter_port), watchers.prometheus_port
    screen.say(f"exporter      {exporter}/metrics  {whose}")
    screen.say(f"Prometheus    {watchers.url(prometheus)}  alerts: /alerts")
    screen.say(f"Alertmanager  {watchers.url(watchers.alertmanager_port)}  tells {tells}")
    screen.say("Ctrl-C ends what was started here.")
    try:
        while True:
            processes.check(but="exporter")
            if not has_exporter and (code := processes.ended("exporter")) is not None:
                _start_again(watchers, processes, screen, code)
            time.sleep(1)
    except Stopped:  # the end that was asked for
        screen.say("stopping")
        return 0


def _start_again(watchers: Watchers, processes: Processes, screen: Screen, code: int) -> None:
    """Start the exporter that has ended: what watches it must go on, to tell of it."""
    lines = processes.log("exporter").read_text(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
    again = f"in {AGAIN_SECONDS} s it is started again"
    screen.say(f"the exporter ended with code {code} ({last.strip()}); {again}")
    time.sleep(AGAIN_SECONDS)
    watchers.start_exporter(processes, os.environ)


# Before anything starts


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/monitor",
        description="Starts Prometheus and Alertmanager on this machine, with the rules and routes "
        "of deploy/, and watches the exporter: that of script/run, or one of its own where none "
        "answers. SLACK_WEBHOOK_URL says where alerts go.",
        epilog="Prometheus and Alertmanager are installed with apt-get where they are missing.",
    )
    for option, default in (
        ("--prometheus-port", PROMETHEUS_PORT),
        ("--alertmanager-port", ALERTMANAGER_PORT),
    ):
        parser.add_argument(
            option, type=places.port, metavar="N", default=default, help="default: %(default)s"
        )
    parser.add_argument(
        "--exporter-port",
        type=places.port,
        metavar="N",
        help=f"the exporter to watch; default: {places.EXPORTER_PORT}",
    )
    return parser.parse_args(arguments)


def _watchers(asked: argparse.Namespace, env: Mapping[str, str]) -> Watchers:
    slack = env.get("SLACK_WEBHOOK_URL", "").strip()
    if slack and not re.fullmatch(r"https?://[^\s/]\S*", slack):
        raise StartError(
            "SLACK_WEBHOOK_URL is no address that begins with https://; give the one that Slack "
            "shows for the incoming webhook"
        )
    watchers = Watchers(
        home=places.home_of(env, ROOT),
        prometheus_port=asked.prometheus_port,
        alertmanager_port=asked.alertmanager_port,
        exporter_port=places.exporter_port(asked.exporter_port, env),
        slack=slack,
    )
    ports = (watchers.prometheus_port, watchers.alertmanager_port, watchers.exporter_port)
    if len(set(ports)) < len(ports):
        raise StartError(f"the ports {', '.join(map(str, ports))} must all be different")
    return watchers


def _has_exporter(watchers: Watchers) -> bool:
    """Whether there is one to watch; StartError where something else has its port."""
    exporter = watchers.url(watchers.exporter_port)
    if answers(f"{exporter}/api/health"):
        return True
    if places.taken(watchers.exporter_port) is None:
        return False
    raise StartError(
        f"port {watchers.exporter_port} is taken, and {exporter}/api/health does not answer: no "
        "exporter, or one with TLS or passwords, which this cannot watch; choose another with "
        "--exporter-port"
    )


def _lock(watchers: Watchers, has_exporter: bool) -> IO[str]:
    """Held while this start lives: two would write one Prometheus database."""
    own = "none" if has_exporter else watchers.exporter_port
    folders = [watchers.folder, watchers.home / "log"]
    lock = watchers.home / MONITOR_LOCK
    return places.hold(lock, watchers.home, folders, "script/monitor", f"exporter {own}")


if __name__ == "__main__":
    sys.exit(main())

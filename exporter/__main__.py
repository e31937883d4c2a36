"""Starts the exporter: `python -m exporter [--host H] [--port P] [--web.config.file FILE]`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
from asyncio import sslproto
from collections.abc import Mapping, Sequence
from pathlib import Path

from exporter.app import App
from exporter.link import Link
from exporter.log import Log
from exporter.server import Server
from exporter.webconfig import WebConfig
from routing_ml.errors import RoutingError, SettingError
from routing_ml.settings import Settings

HOST = "127.0.0.1"
PORT = 9877
STOP_SECONDS = 2
# The reading thread gets its turn this soon: it gives up the interpreter at each row, and while
# many clients ask, the usual 5 ms each time would add up to more than an answer may take.
SWITCH_SECONDS = 0.0005
# asyncio sets 256 KiB aside for each TLS connection, also for one that never shakes hands: 300 of
# those took 120 MiB. A TLS record has 16 KiB at most.
TLS_BUFFER_BYTES = 32 * 1024


def main(arguments: Sequence[str] | None = None, env: Mapping[str, str] = os.environ) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code."""
    log = Log()
    try:
        options = _options(arguments, env)
        settings = Settings.from_env(env)
        file = Path(options.web_config) if options.web_config else None
        web = WebConfig.load(file) if file else WebConfig()
        app = App(
            Link(settings.store_url),
            api_token=env.get("ROUTING_ML_API_TOKEN"),
            timezone=settings.timezone,
            web=web,
            log=log,
        )
        listener = _listen(options.host, options.port)
    except RoutingError as error:
        print(f"exporter: {error}", file=sys.stderr)
        return 1
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    scheme = "https" if web.tls else "http"
    print(f"The exporter answers on {scheme}://{shown}:{port}/metrics", file=sys.stderr, flush=True)
    sys.setswitchinterval(SWITCH_SECONDS)
    # What is loaded by now stays; looking through it for garbage would stop the one thread.
    gc.collect()
    gc.freeze()
    sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES
    asyncio.run(_serve(app, listener, file, log))
    return 0


async def _serve(app: App, listener: socket.socket, file: Path | None, log: Log) -> None:
    """Serve until SIGTERM or SIGINT; at SIGHUP read the web configuration `file` again."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    log.take_over(loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reading: set[asyncio.Task[None]] = set()

    def read_again() -> None:
        if file is not None and not reading:
            reading.add(task := loop.create_task(_reload(app, file, log)))
            task.add_done_callback(reading.discard)

    if file is not None:
        loop.add_signal_handler(signal.SIGHUP, read_again)
    app.link.start()
    server = Server(app, listener, tls=lambda: app.tls, log=log)
    server.start()
    await stop.wait()
    await server.stop(STOP_SECONDS)


async def _reload(app: App, file: Path, log: Log) -> None:
    """Go on with what the file says now, or, where it is no good, with what it said before."""
    try:
        web = await asyncio.to_thread(WebConfig.load, file)
    except SettingError as error:
        log.say("reload", f"{error}; what was read before still holds")
        return
    app.reload(web)
    log.say("reloaded", f"the web config file {file} was read again")


def _options(arguments: Sequence[str] | None, env: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="exporter", description=__doc__)
    parser.add_argument("--host", default=HOST, help=f"address to listen on (default: {HOST})")
    parser.add_argument(
        "--port", help=f"port (default: ROUTING_ML_EXPORTER_PORT, else {PORT}; 0: a free one)"
    )
    parser.add_argument(
        "--web.config.file",
        dest="web_config",
        metavar="FILE",
        help="TLS and passwords, a file as Prometheus's exporter-toolkit has it",
    )
    options = parser.parse_args(arguments)
    named = "--port" if options.port is not None else "ROUTING_ML_EXPORTER_PORT"
    text = options.port if options.port is not None else env.get(named) or str(PORT)
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise SettingError(f"{named} is {text!r}: it must be a port from 0 to 65535; give another")
    options.port = int(text)
    return options


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingError(
            f"cannot listen on {host} port {port}: {reason}; end what uses it or choose another "
            "with --port or ROUTING_ML_EXPORTER_PORT"
        ) from None
    return listener


if __name__ == "__main__":
    sys.exit(main())

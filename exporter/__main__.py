"""Starts the exporter: `python -m exporter [--host HOST] [--port PORT]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

from hypercorn.asyncio import serve
from hypercorn.config import Config

from exporter.app import App
from exporter.link import Link
from routing_ml.errors import RoutingError, SettingError
from routing_ml.settings import Settings
from routing_ml.store import default_url

HOST = "127.0.0.1"
PORT = 9877
# A client that sends nothing for this long is dropped; 300 of them otherwise fill every server.
CLIENT_SECONDS = 5
STOP_SECONDS = 2


def main(arguments: Sequence[str] | None = None, env: Mapping[str, str] = os.environ) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code."""
    try:
        options = _options(arguments, env)
        url = env.get("ROUTING_ML_STORE_URL") or default_url(Settings.from_env(env).home)
        app = App(Link(url), api_token=env.get("ROUTING_ML_API_TOKEN"))
        listener = _listen(options.host, options.port)
    except RoutingError as error:
        print(f"exporter: {error}", file=sys.stderr)
        return 1
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"The exporter answers on http://{shown}:{port}/metrics", file=sys.stderr, flush=True)
    asyncio.run(_serve(app, listener))
    return 0


async def _serve(app: App, listener: socket.socket) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.read_timeout = CLIENT_SECONDS
    config.keep_alive_timeout = CLIENT_SECONDS
    config.ssl_handshake_timeout = CLIENT_SECONDS
    config.graceful_timeout = STOP_SECONDS
    config.backlog = 1024
    config.include_server_header = False
    config.errorlog = None
    await serve(app, config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]


def _options(arguments: Sequence[str] | None, env: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="exporter", description=__doc__)
    parser.add_argument("--host", default=HOST, help=f"address to listen on (default: {HOST})")
    parser.add_argument(
        "--port", help=f"port (default: ROUTING_ML_EXPORTER_PORT, else {PORT}; 0: a free one)"
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

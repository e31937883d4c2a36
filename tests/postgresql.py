"""A PostgreSQL of Debian's package on loopback, for the tests that need a real one."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

PASSWORD = "s3cret+word"


class PostgreSQL:
    """A running server; `url` names its database `store`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.url = f"postgresql://ml:s3cret%2Bword@127.0.0.1:{port}/store"

    def fresh(self, name: str) -> str:
        """Make the database `name` anew, empty; returns its URL."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.execute(f"CREATE DATABASE {name}")
        return self.url.removesuffix("/store") + f"/{name}"

    def start(self) -> None:
        """Start the server (again)."""
        _run("pg_ctl", "start", "-w", "-s", "-D", self.data, "-l", self.folder / "log")

    def stop(self) -> None:
        """Stop it at once, as a crash would."""
        _run("pg_ctl", "stop", "-w", "-s", "-m", "immediate", "-D", self.data)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def signal_all(self, number: int) -> None:
        """Send a signal to the server and all its processes: SIGSTOP makes it silent."""
        main = int((self.data / "postmaster.pid").read_text().split()[0])
        with suppress(psutil.NoSuchProcess):
            server = psutil.Process(main)
            server.send_signal(number)  # stopped, it starts no further process
            for process in server.children():
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def running() -> Iterator[PostgreSQL]:
    """A server of its own in a temporary folder, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="routing-ml-pg-", dir="/tmp"))
    user = _user()
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = PostgreSQL(folder, port)
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    try:
        _run(
            *("initdb", "-D", server.data, "-U", "ml", "-E", "UTF8", "--no-locale", "--no-sync"),
            *("--auth=scram-sha-256", f"--pwfile={secret}"),
        )
        with (server.data / "postgresql.conf").open("a") as settings:
            settings.write(
                f"listen_addresses = '127.0.0.1'\nport = {port}\n"
                f"unix_socket_directories = '{folder}'\nfsync = off\nmax_connections = 40\n"
            )
        server.start()
        administration = PostgreSQL(folder, port)
        administration.url = server.url.replace("/store", "/postgres")
        administration.execute("CREATE DATABASE store")
        yield server
    finally:
        with suppress(OSError, subprocess.CalledProcessError):
            server.signal_all(signal.SIGCONT)
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _run(program: str, *arguments: Any) -> None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    if not found:
        raise AssertionError(f"{program} is missing: apt-get install postgresql")
    # PostgreSQL refuses to run as root.
    user = _user()
    subprocess.run(
        [str(found[-1]), *map(str, arguments)],
        check=True,
        cwd="/tmp",
        stdout=subprocess.DEVNULL,
        user=user,
        group=None if user is None else pwd.getpwnam(user).pw_gid,
        extra_groups=None if user is None else [],
    )


def _user() -> str | None:
    return "postgres" if os.geteuid() == 0 else None

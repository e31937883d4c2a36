"""Starts the services of docker-compose.yaml as processes, each in a sandbox of its own, with what
a container engine would give it: its command, environment, user, mounts and files, and no more.

The images' own programs are this machine's: .venv for Python's, Debian's packages for the others.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = ROOT / "docker-compose.yaml"
VENV = ROOT / ".venv"
START_SECONDS = 300
ASK_AGAIN_SECONDS = 1.0

# What the entrypoint of the PostgreSQL image does, in short.
POSTGRES_ENTRYPOINT = r"""
set -eu
: "${POSTGRES_PASSWORD:?}"
user=${POSTGRES_USER:-postgres} export PGPASSWORD=$POSTGRES_PASSWORD
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    echo "$POSTGRES_PASSWORD" > /tmp/password
    initdb --username="$user" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    pg_ctl -w -o "-c listen_addresses='' -k /tmp" start
    run="psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc -h /tmp --username $user"
    [ "${POSTGRES_DB:-$user}" = postgres ] || createdb -h /tmp -U "$user" "${POSTGRES_DB:-$user}"
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
            *.sql) $run --dbname "${POSTGRES_DB:-$user}" -f "$file" ;;
            *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
        esac
    done
    pg_ctl -w -m fast stop
fi
exec "$@" -c listen_addresses='*' -k /tmp
"""


class StackError(Exception):
    """A service that did not start as it should; its last words are in the message."""


# The file


def load(env: Mapping[str, str]) -> dict[str, Any]:
    """docker-compose.yaml with its variables replaced."""
    return _interpolated(yaml.safe_load(COMPOSE.read_text(encoding="utf-8")), env)


def interpolate(text: str, env: Mapping[str, str]) -> str:
    """The text with `$$`, `${NAME}`, `${NAME:-default}` and `${NAME:?message}` replaced.

    >>> interpolate("${A}:${B:-2}:$$C", {"A": "1"})
    '1:2:$C'
    """

    def replaced(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        if found["name"] is None:
            raise StackError(f"{text!r} has a $ that is no variable here")
        value = env.get(found["name"], "")
        if not value and found["sign"] == ":?":
            raise StackError(f"{found['name']} is not set: {found['rest']}")
        return value or (found["rest"] if found["sign"] == ":-" else "")

    pattern = r"\$\$|\$\{(?P<name>\w+)(?:(?P<sign>:[-?])(?P<rest>[^}]*))?\}|\$"
    return re.sub(pattern, replaced, text)


def environment_file(text: str) -> dict[str, str]:
    """The variables of an .env file."""
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))


def _interpolated(node: Any, env: Mapping[str, str]) -> Any:
    if isinstance(node, str):
        return interpolate(node, env)
    if isinstance(node, dict):
        return {key: _interpolated(value, env) for key, value in node.items()}
    return [_interpolated(value, env) for value in node] if isinstance(node, list) else node


# The images


@dataclass(frozen=True)
class Image:
    """What an image brings along."""

    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    home: str = "/"
    workdir: str = "/"
    # A path in the image, and what stands for it here.
    files: Mapping[str, Path] = field(default_factory=dict)
    # Folders that belong to the image's user: a new volume there belongs to it too.
    folders: Sequence[str] = ()
    # What a health check may call.
    tools: Sequence[str] = ()

    @property
    def path(self) -> str:
        """PATH in the image."""
        return self.environment.get("PATH", "/usr/local/bin:/usr/bin:/bin")


# Debian's builds of Prometheus's programs look for their pages and templates there.
PROMETHEUS_FILES = {
    "/bin/wget": Path("/usr/bin/wget"),
    "/usr/share/prometheus": Path("/usr/share/prometheus"),
}
POSTGRES_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
PUBLISHED = {
    "postgres": Image(
        entrypoint=["sh", "-c", POSTGRES_ENTRYPOINT, "docker-entrypoint.sh"],
        command=["postgres"],
        environment={
            "PATH": ":".join([*map(str, POSTGRES_PROGRAMS), "/usr/bin", "/bin"]),
            "LANG": "C.UTF-8",
            "PGDATA": "/var/lib/postgresql/data",
        },
        files={"/usr": Path("/usr")},
        folders=["/var/lib/postgresql/data"],
        tools=["pg_isready"],
    ),
    "prom/prometheus": Image(
        entrypoint=["/bin/prometheus"],
        files={"/bin/prometheus": Path("/usr/bin/prometheus"), **PROMETHEUS_FILES},
        folders=["/prometheus"],
        tools=["wget"],
    ),
    "prom/alertmanager": Image(
        entrypoint=["/bin/alertmanager"],
        files={"/bin/alertmanager": Path("/usr/bin/prometheus-alertmanager"), **PROMETHEUS_FILES},
        folders=["/alertmanager"],
        tools=["wget"],
    ),
    "grafana/grafana": Image(folders=["/var/lib/grafana"], tools=["wget"]),
}


def image(service: Mapping[str, Any]) -> Image:
    """The image of a service: read from its Dockerfile, or known from its publisher's."""
    if "build" in service:
        return built_image((ROOT / service["build"]["dockerfile"]).read_text(encoding="utf-8"))
    name, _, version = service["image"].partition(":")
    if name not in PUBLISHED or not version:
        raise StackError(f"the image {service['image']} is not known, or of no fixed version")
    return PUBLISHED[name]


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, with their arguments in one line."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.MULTILINE).replace("\\\n", " ")
    return [
        (name, " ".join(rest.split())) for name, rest in re.findall(r"^([A-Z]+) (.*)$", text, re.M)
    ]


def built_image(dockerfile: str) -> Image:
    """What a Dockerfile on a Python image makes, its packages being those of .venv."""
    environment = {"PATH": f"{VENV / 'bin'}:/usr/local/bin:/usr/bin:/bin"}
    files = {"/usr": Path("/usr"), str(VENV): VENV, sys.base_prefix: Path(sys.base_prefix)}
    workdir, home, folders = "/", "/", []
    for name, rest in instructions(dockerfile):
        if name == "WORKDIR":
            workdir = rest
        elif name == "ENV":
            key, _, value = rest.partition("=")
            environment[key] = value
        elif name == "COPY":
            *sources, target = rest.split()
            for source in sources:
                name = Path(source).name if (ROOT / source).is_file() else ""
                at = Path(workdir, target, name if target.endswith(("/", ".")) else "")
                files[str(at)] = ROOT / source
        elif name == "RUN":
            folders += re.findall(r"(?<=\s)/\S+", (re.findall("install -d (.*)", rest) or [""])[0])
            home = (re.findall(r"--home-dir (\S+)", rest) or [home])[0]
    return Image(
        environment=environment,
        home=home,
        workdir=workdir,
        files=files,
        folders=folders,
        tools=["python"],
    )


# The sandbox


def sandbox(
    name: str, service: Mapping[str, Any], secrets: Mapping[str, str], state: Path
) -> list[str]:
    """The start of the command line that runs something as this service would run it."""
    made, (uid, gid) = image(service), service["user"].split(":")
    own = state / "services" / name
    own.mkdir(parents=True, exist_ok=True)
    (own / "passwd").write_text(f"user:x:{uid}:{gid}::{made.home}:/bin/sh\n")
    command = ["bwrap", "--die-with-parent", "--unshare-user", "--uid", uid, "--gid", gid]
    command += ["--unshare-ipc", "--unshare-uts", "--hostname", name]
    command += ["--bind", "/proc", "/proc", "--dev", "/dev"]
    command += [*_in_memory(service), *_system(made)]
    command += ["--ro-bind", str(own / "passwd"), "/etc/passwd"]
    command += [*_mounted(service, state), *_secrets(service, secrets, own)]
    # An ordinary user writes nowhere else, in a container too.
    return [*command, "--remount-ro", "/", "--chdir", made.workdir, "--"]


def _in_memory(service: Mapping[str, Any]) -> Iterator[str]:
    for folder in [] if service.get("read_only") else ["/tmp", "/var/tmp"]:
        yield from ("--tmpfs", folder)
    for folder in service.get("tmpfs", ()):
        yield from ("--tmpfs", folder.split(":")[0])


def _system(made: Image) -> Iterator[str]:
    yield from ("--ro-bind", "/usr/lib", "/usr/lib", "--ro-bind-try", "/usr/lib64", "/usr/lib64")
    for link in ("lib", "lib64", *(["bin", "sbin"] if "/usr" in made.files else [])):
        yield from ("--symlink", f"usr/{link}", f"/{link}")
    for path, source in made.files.items():
        yield from ("--ro-bind", str(source), path)
        # The project is installed in .venv by its place in the checkout.
        if source.is_relative_to(ROOT) and path != str(source):
            yield from ("--symlink", path, str(source))
    for path in ("/etc/hosts", "/etc/ld.so.cache", "/etc/localtime", "/etc/odbcinst.ini"):
        yield from ("--ro-bind-try", path, path)


def _mounted(service: Mapping[str, Any], state: Path) -> Iterator[str]:
    for source, target, writable in sorted(mounts(service), key=lambda mount: mount[1]):
        at = ROOT / source
        if "/" not in source:  # a volume, not a folder of the host
            at = state / "volumes" / source
            at.mkdir(parents=True, exist_ok=True)
        yield from ("--bind" if writable else "--ro-bind", str(at), target)


def _secrets(service: Mapping[str, Any], secrets: Mapping[str, str], own: Path) -> Iterator[str]:
    for name in service.get("secrets", ()):
        if secrets[name]:  # of an empty one Compose makes no file
            (own / name).write_text(secrets[name])
            yield from ("--ro-bind", str(own / name), f"/run/secrets/{name}")


def mounts(service: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """What is mounted: a volume's name or a path here, the place of it, whether it is writable."""
    for mount in service.get("volumes", ()):
        source, target, *options = mount.split(":")
        yield source, target, "ro" not in options


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """The whole environment of the service's processes."""
    made = image(service)
    given = {name: str(value) for name, value in service.get("environment", {}).items()}
    return {"PATH": made.path, "HOME": made.home, **made.environment, **given}


def start_command(service: Mapping[str, Any]) -> list[str]:
    """The image's entrypoint and command, where the file does not say another."""
    made = image(service)
    return [*service.get("entrypoint", made.entrypoint), *service.get("command", made.command)]


def health_command(service: Mapping[str, Any]) -> list[str]:
    """The command that says whether the service is well."""
    kind, *command = service["healthcheck"]["test"]
    return ["/bin/sh", "-c", *command] if kind == "CMD-SHELL" else command


# The stack


class Stack:
    """The services that run, by name."""

    def __init__(self, env: Mapping[str, str], state: Path) -> None:
        """`env` is what an .env file says; `state` is where volumes and logs go."""
        compose = load(env)
        self.env, self.state = env, state
        self.services: Mapping[str, Any] = compose["services"]
        self._secrets = {
            name: env[secret["environment"]] for name, secret in compose["secrets"].items()
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._healthy: set[str] = set()
        self._asked: dict[str, float] = {}

    def start(self, names: Collection[str]) -> None:
        """Start these services in the order they ask for; returns when all are healthy."""
        end = time.monotonic() + START_SECONDS
        while late := [name for name in names if not self._is_well(name)]:
            for name in set(names) - set(self._running):
                wanted = self.services[name].get("depends_on", {})
                if all(self._holds(other, **of) for other, of in wanted.items()):
                    self._start(name)
            self._check()
            if time.monotonic() > end:
                raise StackError(f"not healthy after {START_SECONDS} s:\n{self.words(late[0])}")
            time.sleep(0.2)

    def process(self, name: str) -> int:
        """The process id of a service."""
        return self._running[name].pid

    def words(self, name: str) -> str:
        """What a service and its health check said last."""
        told = [f"{name}: {shlex.join(self.services[name].get('command', []))}"]
        for log in (self.state / f"{name}.log", self.state / f"{name}.health.log"):
            if log.exists():
                told += log.read_text(errors="replace").splitlines()[-15:]
        return "\n  ".join(told)

    def _holds(self, name: str, *, condition: str) -> bool:
        assert condition in ("service_healthy", "service_completed_successfully")
        ends = "healthcheck" not in self.services[name]
        assert ends == (condition == "service_completed_successfully"), name
        return self._is_well(name)

    def _is_well(self, name: str) -> bool:
        """Whether it is healthy; whether it ended well, for one that is to end."""
        if name not in self._running or name in self._healthy:
            return name in self._healthy
        if "healthcheck" not in self.services[name]:
            well = self._running[name].poll() == 0
        else:
            well = self._is_due(name) and self._ask(name)
        if well:
            self._healthy.add(name)
        return well

    def _is_due(self, name: str) -> bool:
        now = time.monotonic()
        due = now - self._asked.get(name, 0.0) > ASK_AGAIN_SECONDS
        if due:
            self._asked[name] = now
        return due

    def _ask(self, name: str) -> bool:
        service = self.services[name]
        seconds = float(service["healthcheck"]["timeout"].removesuffix("s"))
        command = [*self._sandbox(name), *health_command(service)]
        with (self.state / f"{name}.health.log").open("ab") as log:
            try:
                return not subprocess.run(
                    command,
                    env=environment(service),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    timeout=seconds,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                return False

    def _start(self, name: str) -> None:
        service = self.services[name]
        with (self.state / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                [*self._sandbox(name), *start_command(service)],
                env=environment(service),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _sandbox(self, name: str) -> list[str]:
        return sandbox(name, self.services[name], self._secrets, self.state)

    def _check(self) -> None:
        for name, process in self._running.items():
            code = process.poll()
            if code is not None and (code or "healthcheck" in self.services[name]):
                raise StackError(f"ended with code {code}:\n{self.words(name)}")

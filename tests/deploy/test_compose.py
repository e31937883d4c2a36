"""docker-compose.yaml keeps to its specification, and its services start together: without a
container engine, each as a process in a sandbox (`compose_stack.py`, `compose_checks.py`).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_stack import (
    COMPOSE,
    ROOT,
    StackError,
    environment,
    environment_file,
    health_command,
    image,
    instructions,
    interpolate,
    load,
    mounts,
)

sys.path.insert(0, str(ROOT / "deploy"))
from new_env import filled

EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
ENV = environment_file(filled(EXAMPLE))
SERVICES: dict[str, Any] = load(ENV)["services"]
BUILT = {name: service for name, service in SERVICES.items() if "build" in service}
AIRFLOW = {name: service for name, service in SERVICES.items() if name.startswith("airflow-")}


def test_the_file_keeps_to_the_compose_specification() -> None:
    check = Path(sys.executable).with_name("check-jsonschema")
    run = subprocess.run(
        [check, "--builtin-schema", "vendor.compose-spec", COMPOSE], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr


# Passwords


def test_every_password_must_be_given_and_the_message_says_how() -> None:
    empty = environment_file(EXAMPLE)
    for name in (name for name, value in ENV.items() if value and not empty[name]):
        with pytest.raises(StackError, match=f"{name} is not set: run 'python3 deploy/new_env.py'"):
            load(ENV | {name: ""})


def test_no_password_stands_in_the_file() -> None:
    for name, value in every_variable(yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))):
        if re.search("PASSWORD|SECRET|TOKEN|_KEY|_CONN|STORE_URL", name):
            # Compose reads the tokens of Slack also where the bot is not started.
            assert ":?" in value or value == f"${{{name}:-}}", name


def test_every_variable_of_the_file_is_in_the_example_and_the_other_way_round() -> None:
    used = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text(encoding="utf-8"))) | {
        "SLACK_WEBHOOK_URL"
    }
    assert used == set(re.findall(r"^#?([A-Z]\w+)=", EXAMPLE, re.MULTILINE))


def test_new_passwords_differ_and_need_no_encoding_in_an_address() -> None:
    made = {name: value for name, value in ENV.items() if value}
    assert len(made) == len(set(made.values())) == 12
    assert all(re.fullmatch(r"[\w-]{43,}=?", value, re.ASCII) for value in made.values())


# Names


def test_every_airflow_variable_is_an_option_of_airflow() -> None:
    from airflow.configuration import retrieve_configuration_description

    options = {
        f"AIRFLOW__{section}__{option}".upper()
        for section, known in retrieve_configuration_description().items()
        for option in known["options"]
    }
    given = {key for service in AIRFLOW.values() for key in environment(service) if "__" in key}
    assert len(given) > 15
    assert given <= options


def test_every_setting_that_the_code_reads_is_given_and_no_other() -> None:
    files = [*ROOT.glob("routing_ml/**/*.py"), *ROOT.glob("exporter/*.py")]
    code = "".join(path.read_text(encoding="utf-8") for path in files)
    read = set(re.findall(r'"((?:ROUTING_ML|SLACK|TEAMS)_[A-Z_]+)"', code))
    given = {name for service in SERVICES.values() for name in environment(service)}
    # The port is a container's own, and published.
    assert {name for name in given if re.match("ROUTING_ML_|SLACK_|TEAMS_", name)} == read - {
        "ROUTING_ML_EXPORTER_PORT"
    }


def test_every_variable_of_grafana_is_well_formed() -> None:
    assert all(
        re.fullmatch(r"GF(_[A-Z0-9]+){2,}", name) for name in SERVICES["grafana"]["environment"]
    )


# Users, folders, tools


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_an_ordinary_user_without_privileges(name: str) -> None:
    service = SERVICES[name]
    assert int(service["user"].split(":")[0]) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    # Compose can copy no secret into a container that is read-only.
    assert service.get("read_only", False) == ("secrets" not in service)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_takes_no_more_than_its_share_of_the_machine(name: str) -> None:
    assert re.fullmatch(r"[1-9]\d*[mg]", SERVICES[name]["mem_limit"])
    assert 0 < SERVICES[name]["pids_limit"] <= 1024


@pytest.mark.parametrize("name", BUILT)
def test_an_image_ends_as_the_user_that_its_service_names(name: str) -> None:
    dockerfile = (ROOT / BUILT[name]["build"]["dockerfile"]).read_text(encoding="utf-8")
    assert instructions(dockerfile)[-1] == ("USER", BUILT[name]["user"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_volume_is_where_the_image_has_a_folder_of_its_user(name: str) -> None:
    for source, target, _ in mounts(SERVICES[name]):
        if "/" in source:
            assert (ROOT / source).exists(), source
        else:
            assert target in image(SERVICES[name]).folders


@pytest.mark.parametrize("name", [name for name in SERVICES if "healthcheck" in SERVICES[name]])
def test_a_health_check_calls_what_the_image_has(name: str) -> None:
    assert health_command(SERVICES[name])[0] in image(SERVICES[name]).tools


def test_every_service_that_stays_has_a_health_check_and_starts_again() -> None:
    for name in SERVICES.keys() - {"airflow-init"}:
        assert SERVICES[name]["healthcheck"]["test"]
        assert SERVICES[name]["restart"] == "unless-stopped"


def test_what_the_images_copy_is_sent_to_the_build() -> None:
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    for service in BUILT.values():
        for path in image(service).files.values():
            if path.is_relative_to(ROOT) and path.name != ".venv":
                assert f"!{path.relative_to(ROOT)}" in allowed


def test_only_services_with_a_page_of_their_own_are_published() -> None:
    published = {name for name, service in SERVICES.items() if service.get("ports")}
    assert published == {"airflow-api-server", "exporter", "prometheus", "alertmanager", "grafana"}
    assert all(p.startswith("127.0.0.1:") for name in published for p in SERVICES[name]["ports"])


def test_interpolation_is_the_specification_s() -> None:
    assert interpolate("$$${A:-x}${B}", {"B": "b"}) == "$xb"
    with pytest.raises(StackError, match="A is not set: why"):
        interpolate("${A:?why}", {"A": ""})


# All together


@pytest.mark.timeout(720)
def test_all_services_but_grafana_start_and_find_each_other(
    tmp_path: Path, sandboxes: None
) -> None:
    (tmp_path / ".env").write_text(filled(EXAMPLE))
    hosts = tmp_path / "hosts"
    addresses = [f"127.0.1.{number} {name}" for number, name in enumerate(SERVICES, 1)]
    hosts.write_text("\n".join(["127.0.0.1 localhost", *addresses, ""]))
    inside = [sys.executable, "-P", "-m", "pytest", "-c", os.devnull, "--noconftest"]
    inside += [
        "-p",
        "no:cacheprovider",
        "-q",
        "-x",
        "--tb=short",
        "--durations=0",
        "--timeout=700",
    ]
    run = subprocess.run(
        [*confinement(tmp_path, hosts), *inside, str(ROOT / "tests" / "compose_checks.py")],
        env={"PATH": os.environ["PATH"], "COMPOSE_STATE": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    print(run.stdout)
    if run.returncode:
        pytest.fail(run.stdout + run.stderr, pytrace=False)


# The sandbox

# One of each kind that the services are kept apart by.
NAMESPACES = ("--unshare-user", "--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts")


@pytest.fixture(scope="session")
def sandboxes() -> None:
    """Skips the test, with the reason, on a machine that lets nobody make a sandbox."""
    refusal = refused("bwrap")
    if refusal:
        pytest.skip(
            f"this machine lets nobody make a sandbox ({refusal}): allow user namespaces (sysctl "
            "kernel.unprivileged_userns_clone=1, in a container --security-opt seccomp=unconfined; "
            "the kernel has none in a chroot)"
        )


def refused(bwrap: str) -> str:
    """Why bubblewrap may not make the plainest sandbox, with another inside; empty where it may.

    That asks for a right and nothing else: whatever fails later, in a sandbox with the project's
    files, is a fault, and so is a program that is missing or does not run.
    """
    subprocess.run([bwrap, "--version"], check=True, capture_output=True)
    plain = [bwrap, *NAMESPACES, "--ro-bind", "/", "/", "--dev", "/dev"]
    outer, inner = [*plain, "--proc", "/proc"], [bwrap, "--unshare-user", "--bind", "/", "/"]
    probe = subprocess.run([*outer, *inner, "true"], capture_output=True, text=True, check=False)
    if probe.returncode not in (0, 1):  # 1 is bubblewrap's own
        pytest.fail(f"{bwrap} ended with code {probe.returncode}: {probe.stderr}", pytrace=False)
    return probe.stderr.strip() if probe.returncode else ""


def test_a_sandbox_that_is_not_allowed_is_told_apart_from_a_fault(tmp_path: Path) -> None:
    def program(does: str) -> str:
        path = tmp_path / "bwrap"
        path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit\n{does}\n')
        path.chmod(0o755)
        return str(path)

    assert refused(program("exit 0")) == ""
    assert refused(program("echo it may not >&2; exit 1")) == "it may not"
    for fault in ("exit 127", "kill -SEGV $$"):
        with pytest.raises(pytest.fail.Exception):
            refused(program(fault))
    with pytest.raises(FileNotFoundError):
        refused(str(tmp_path / "none"))


def confinement(state: Path, hosts: Path) -> list[str]:
    """A sandbox with a network of its own, which writes to `state` alone and ends with the test."""
    command = ["bwrap", "--die-with-parent", *NAMESPACES, "--uid", "1000", "--gid", "1000"]
    command += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    command += ["--ro-bind", str(ROOT), str(ROOT)]  # it may lie in /tmp
    command += ["--bind", str(state), str(state), "--ro-bind", str(hosts), "/etc/hosts"]
    return [*command, "--chdir", str(ROOT), "--"]


def every_variable(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The texts of the file, each with the key it stands under."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from every_variable(value, str(key))
    elif isinstance(node, str):
        yield name, node

"""What the documents promise is what the code has: commands, settings, files, names."""

import re
import shlex
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest

from routing_ml.cli.command_line import _parser

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    (chosen,) = [action for action in _parser()._actions if action.choices]
    return sorted(chosen.choices)


def settings() -> list[str]:
    files = [*ROOT.glob("routing_ml/**/*.py"), *ROOT.glob("exporter/*.py"), *ROOT.glob("dags/*.py")]
    code = "".join(path.read_text(encoding="utf-8") for path in files)
    return sorted(set(re.findall(r'"((?:ROUTING_ML|SLACK|TEAMS)_[A-Z_]+[A-Z])"', code)))


def metrics() -> list[str]:
    code = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("exporter/*.py"))
    counters = re.findall(r'(?:_counter\(|CounterMetricFamily\()\s*"(?:routing_ml_)?(\w+)"', code)
    others = re.findall(
        r'(?:_gauge\(|_figure\(|(?:Gauge|Histogram)MetricFamily\()\s*"(?:routing_ml_)?(\w+)"', code
    )
    infos = re.findall(r'InfoMetricFamily\(\s*"routing_ml_(\w+)"', code)
    return sorted({*others, *(f"{name}_total" for name in counters), *(f"{n}_info" for n in infos)})


@pytest.mark.parametrize("metric", metrics())
def test_every_metric_is_in_the_readme(metric: str) -> None:
    assert f"`{metric}`" in README


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"routing-ml {command}" in README


@pytest.mark.parametrize("setting", settings())
def test_every_setting_is_in_the_readme(setting: str) -> None:
    assert f"`{setting}`" in README


def test_the_readme_names_no_command_that_is_not_there() -> None:
    assert set(re.findall(r"routing-ml ([a-z]+(?:-[a-z]+)*)", README)) <= set(commands())


def exporter_commands() -> list[str]:
    """Every way to start the exporter that the documents show, as written."""
    documents = "\n".join(
        path.read_text(encoding="utf-8") for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))
    )
    return sorted(set(re.findall(r"[^`\n]*-m exporter[^`\n]*", documents)))


def test_the_readme_says_how_to_start_the_exporter() -> None:
    assert exporter_commands()


@pytest.mark.parametrize("command", exporter_commands())
def test_the_exporter_starts_from_the_checkout_as_the_documents_say(
    command: str, tmp_path: Path
) -> None:
    """With no environment but a state folder, and another port, since that one may be in use."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    arguments = shlex.split(command.replace("9877", port))
    assert port in arguments
    env = {"ROUTING_ML_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(
        arguments, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert f"http://127.0.0.1:{port}/metrics" in line
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=60) as reply:
                assert reply.status == 200
        finally:
            process.terminate()


PROGRAMS = ("docker", "python3")  # of the system; others are in the checkout
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md")
COMMAND = re.compile(
    r"^(?:\$ )?(?:[A-Z_]+=\S+ )*((?:script/|\.venv/|python|routing-ml|promtool|docker ).*)$", re.M
)

ON_PATH = 'export PATH="$PWD/.venv/bin:$PATH"'
"""Typed first, where a document says so."""


def typed() -> list[str]:
    """Every command that a block of the documents shows, without what is set before it."""
    found: set[str] = set()
    for path in [path for kind in DOCUMENTS for path in ROOT.glob(kind)]:
        text = path.read_text(encoding="utf-8")
        fenced = re.split(r"^```", text, flags=re.MULTILINE)[1::2]
        lines = [line for block in fenced for line in COMMAND.findall(block)]
        if ON_PATH in text:
            lines = [re.sub("^routing-ml", ".venv/bin/routing-ml", line) for line in lines]
        found |= set(lines)
    return sorted(line.partition("  #")[0].strip() for line in found)


def test_the_documents_show_commands() -> None:
    assert {"script/run", "script/monitor"} <= set(typed())
    assert any(command.startswith(".venv/bin/routing-ml check") for command in typed())


@pytest.mark.parametrize("command", typed())
def test_a_command_of_the_documents_starts_as_it_is_written(command: str) -> None:
    """In the checkout, with no environment in use."""
    program, *arguments = shlex.split(command)
    if program in PROGRAMS:
        assert all((ROOT / each).exists() for each in arguments if each.endswith(".py"))
        return
    module = [word for word in arguments if word in ("-m", "exporter")]
    given = module or [word for word in arguments[:1] if not word.startswith("-")]
    done = subprocess.run(
        [program, *given, "--help"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_no_document_runs_the_checkouts_python_by_a_name_that_is_not_there() -> None:
    """Inline too; `python` is short for that of the checkout in the benchmarks alone."""
    texts = [path.read_text(encoding="utf-8") for kind in DOCUMENTS for path in ROOT.glob(kind)]
    spans = {span for text in texts for span in re.findall(r"`(python3? [^`]+)`", text)}
    scripts = {span: next(w for w in span.split() if w.endswith(".py")) for span in spans}
    assert {script for script in scripts.values() if not (ROOT / script).exists()} == set()
    short = {s for span, s in scripts.items() if span.startswith("python ")}
    assert {script for script in short if not script.startswith("benchmarks/")} == set()


def test_the_readme_says_what_routing_ml_stands_for_before_its_commands() -> None:
    said = README.find("`routing-ml` stands for\n`.venv/bin/routing-ml`")
    assert 0 < said < README.find("| `routing-ml check")


def test_where_python_is_short_for_that_of_the_checkout_the_readme_says_so() -> None:
    first = README.find("`python benchmarks/")
    assert 0 < README.find("`python` is `.venv/bin/python`") < first


def test_nothing_was_left_to_fill_in() -> None:
    for path in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        left = re.findall(r"^[A-Z_]{6,}$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert not left, path.name


GUIDES = ("CONTRIBUTING.md", "SECURITY.md")
WRITTEN = ("*.py", "*.toml", "*.yaml", "*.yml", "*.sh", "*.in", ".env.example")


def code() -> str:
    """Everything that is written in the project but documents and data."""
    folders = [
        path for path in ROOT.iterdir() if path.is_dir() and path.name not in (".venv", "var")
    ]
    files = [path for kind in WRITTEN for path in ROOT.glob(kind)]
    files += [path for folder in folders for kind in WRITTEN for path in folder.rglob(kind)]
    return "\n".join(path.read_text(encoding="utf-8") for path in files if path != Path(__file__))


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_names_only_what_is_there(guide: str) -> None:
    """Each word that is set as code is a file, or stands in the code."""
    text, written = (ROOT / guide).read_text(encoding="utf-8"), code()
    words = {word for span in re.findall(r"`([^`]+)`", text) for word in span.split()}
    words = {word for word in words if not word.startswith("var/")}  # what is made when it is run
    files = {word for word in words if re.match(r"[\w.]+/", word) and not word.startswith(".venv")}
    assert {word for word in files if not (ROOT / word).exists()} == set()
    others = {word for word in words - files if not (ROOT / word).exists()}
    assert {word for word in others if word.removeprefix(".venv/bin/") not in written} == set()


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_names_no_command_that_is_not_there(guide: str) -> None:
    text = (ROOT / guide).read_text(encoding="utf-8")
    assert set(re.findall(r"routing-ml ([a-z]+(?:-[a-z]+)*)", text)) <= set(commands())


def test_the_readme_leads_to_the_guides() -> None:
    assert all(f"]({guide})" in README for guide in GUIDES)

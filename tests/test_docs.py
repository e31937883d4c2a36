"""What the README promises is what the code has: commands, settings."""

import re
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
    code = (ROOT / "exporter" / "metrics.py").read_text(encoding="utf-8")
    counters = re.findall(r'(?:_counter\(|CounterMetricFamily\()\s*"(?:routing_ml_)?(\w+)"', code)
    others = re.findall(
        r'(?:_gauge\(|(?:Gauge|Histogram)MetricFamily\()\s*"(?:routing_ml_)?(\w+)"', code
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
    assert set(re.findall(r"routing-ml ([a-z]+)", README)) <= set(commands())


def test_nothing_was_left_to_fill_in() -> None:
    for path in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        left = re.findall(r"^[A-Z_]{6,}$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert not left, path.name

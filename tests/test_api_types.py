"""The TypeScript types of both APIs are what the APIs say, and a program can use them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "script"))

import api_types


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the types that a test may change."""
    shutil.copytree(api_types.FOLDER, tmp_path / "api")
    monkeypatch.setattr(api_types, "FOLDER", tmp_path / "api")
    return tmp_path / "api"


def test_the_types_are_those_of_the_apis_and_the_example_compiles():
    said = subprocess.run(
        [sys.executable, "script/api_types.py", "--check"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


@pytest.mark.parametrize("name", api_types.DOCUMENTS)
def test_a_file_that_is_not_what_the_api_says_is_named(name, folder, monkeypatch, capsys):
    path = folder / name
    path.write_text(path.read_text().replace("severity: string", "severity: number").replace(
        "should_retrain: boolean", "should_retrain: string"
    ))  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["api_types.py", "--check"])
    assert api_types.main() == 1
    assert capsys.readouterr().err == f"{name} is not what the API says: run script/api-types\n"


def test_what_uses_a_field_that_there_is_not_does_not_compile(folder):
    example = folder / "example.ts"
    example.write_text(example.read_text().replace("why.steps", "why.step"))
    assert "Property 'step' does not exist" in api_types.wrong()[0]


def test_every_answer_has_a_type():
    for made in api_types.DOCUMENTS.values():
        document = made()
        for path, methods in document["paths"].items():
            for asked in methods.values():
                for kind, said in asked["responses"]["200"]["content"].items():
                    schema = said["schema"]
                    assert "$ref" in schema or kind != "application/json" or "openapi" in path
        for name, schema in document["components"]["schemas"].items():
            for field, of in schema["properties"].items():
                assert {"type", "$ref", "anyOf", "enum", "const"} & of.keys(), (name, field)
                assert of.get("type") != "object" or "additionalProperties" in of, (name, field)

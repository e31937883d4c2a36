"""Whatever is in the models folder: one line, the other versions stay usable, nothing is lost."""

import json
import os
import re
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing_ml.errors import ModelError
from routing_ml.registry import version as versions
from routing_ml.registry.registry import Registry

NOW = datetime(2026, 11, 1, 2, 0, 0, tzinfo=UTC)
WHO = {"who": "tester", "why": "test"}
FACTS = {
    "candidate": "boosted", "metrics": {"exact_match": 0.9}, "intervals": None,
    "as_of": "2026-10-01T00:00:00", "parents": [], "agreement": 0.99, "items_fitted": 100,
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def filled(folder):
    def write(into):
        (into / "arrays.npz").write_bytes(b"0" * 50)

    registry = Registry(folder)
    names = [
        registry.register(write, key=key, facts=FACTS, now=NOW + timedelta(days=k)).name
        for k, key in enumerate("abc")
    ]
    for name in names[:2]:
        registry.promote(name, **WHO)
    return names


def anew(template, tmp_path):
    """A models folder of three versions, the second in use, and its names."""
    folder = tmp_path / "models"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template[0], folder, symlinks=True)
    return Registry(folder), template[1]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template") / "models"
    return folder, filled(folder)


def told_in_one_line(call):
    """What the call returns; None where it raises a ModelError, which must be of one line."""
    try:
        return call()
    except ModelError as error:
        assert "\n" not in str(error) and len(str(error)) > 30
        return None


def survey(registry):
    """All that reads the folder, each by itself."""
    return [
        told_in_one_line(call)
        for call in (registry.versions, registry.damaged, registry.active, registry.previous,
                     registry.history, registry.references)
    ]  # fmt: skip


@st.composite
def damages(draw):
    """A file of a models folder and what is done to its bytes."""
    name = draw(st.sampled_from(["history.jsonl", ".pending.json", "manifest.json"]))
    kind = draw(st.sampled_from(["cut", "flip", "other", "entry", "deep", "binary"]))
    return name, kind, draw(st.integers(0, 10_000)), draw(JSON)


def damaged(data, kind, at, value):
    whole = data.startswith(b"{\n") or b"\n" not in data
    entry = json.loads(data if whole else data.splitlines()[-1])
    if kind == "cut":
        return data[: at % (len(data) + 1)]
    if kind == "flip":
        return bytes(b ^ (1 << at % 8) if k == at % len(data) else b for k, b in enumerate(data))
    if kind == "other":
        return json.dumps(value).encode()
    if kind == "entry":
        entry[sorted(entry)[at % len(entry)]] = value
        if "digest" in entry and isinstance(entry["digest"], str):
            entry["digest"] = versions._digest(entry)  # as one who knows the format would
        return json.dumps(entry).encode() + b"\n"
    if kind == "deep":
        return b"[" * 100_000
    return os.urandom(at % 300)


@given(damages())
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_file_is_one_line_and_the_other_versions_stay_usable(template, tmp_path, damage):
    name, kind, at, value = damage
    registry, names = anew(template, tmp_path)
    path = registry.folder / (names[2] if name == "manifest.json" else "") / name
    if name == ".pending.json":
        entry = registry.history()[-1] | {"id": "ab", "to": names[2]}
        path.write_text(json.dumps(entry))
    path.write_bytes(damaged(path.read_bytes(), kind, at, value))
    survey(registry)
    assert {v.name for v in registry.versions()} >= set(names[:2])
    if name == "manifest.json":
        registry.promote(names[0], **WHO)
        assert registry.active().name == names[0]
        registry.prune(now=NOW)
    else:
        told_in_one_line(lambda: registry.promote(names[0], **WHO))
        told_in_one_line(lambda: registry.prune(now=NOW))
        assert registry.active().name in names


@pytest.mark.parametrize(
    "stray", ["model_20261399_000000", "model_20260231_000000", "model_２０２６１１０１_000000"]
)
def test_a_folder_of_a_moment_that_never_was_is_no_version_and_stops_nothing(
    template, tmp_path, stray
):
    registry, names = anew(template, tmp_path)
    (registry.folder / stray).mkdir()
    (registry.folder / stray / "notes.txt").write_text("mine")
    assert [v.name for v in registry.versions()] == names
    registry.prune(now=NOW + timedelta(days=400))
    assert (registry.folder / stray / "notes.txt").exists()
    with pytest.raises(ModelError, match="is no version name"):
        registry.get(stray)


@pytest.mark.parametrize("entry", sorted(set(versions.SHAPES) - {"name"}))
def test_an_entry_of_the_wrong_kind_is_named(template, tmp_path, entry):
    registry, names = anew(template, tmp_path)
    path = registry.folder / names[2] / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest[entry] = 3.5j.imag if versions.SHAPES[entry] is not dict else [1]
    if entry == "agreement":
        manifest[entry] = "much"
    if entry != "digest":
        manifest["digest"] = versions._digest(manifest)
    path.write_text(json.dumps(manifest))
    (reason,) = registry.damaged().values()
    assert re.search(rf"'{entry}' of the wrong kind", reason)
    assert [v.name for v in registry.versions()] == names[:2]

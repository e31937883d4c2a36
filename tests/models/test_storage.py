import io
import json
import pickle
import zipfile
from pathlib import Path

import models_factory as valves
import numpy as np
import pytest

from routing_ml import models
from routing_ml.errors import ModelError
from routing_ml.models import CANDIDATES
from routing_ml.models.parts.times import Times

FACTORY = valves.make(200)


@pytest.fixture(scope="module", params=CANDIDATES)
def saved(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    model = models.fit(
        request.param, FACTORY.items, FACTORY.routings, attributes=valves.Attributes()
    )
    model.save(folder)
    return folder


def copy(saved: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for path in saved.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def arrays(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "arrays.npz") as archive:
        return {name: archive[name] for name in archive.files}


def survives(folder: Path) -> bool:
    """Whether what was made of the model still predicts; anything but a ModelError is a crash."""
    try:
        models.load(folder).predict(FACTORY.items[:5])
    except ModelError:
        return False
    return True


def test_a_model_cut_short_anywhere_is_refused(saved, tmp_path):
    for name in ("model.json", "arrays.npz"):
        whole = (saved / name).read_bytes()
        for length in np.linspace(0, len(whole) - 1, 12).astype(int):
            folder = copy(saved, tmp_path)
            (folder / name).write_bytes(whole[:length])
            with pytest.raises(ModelError):
                models.load(folder)


def test_flipped_bytes_are_refused_or_harmless(saved, tmp_path):
    random = np.random.default_rng(7)
    for name in ("model.json", "arrays.npz"):
        for _ in range(40):
            folder = copy(saved, tmp_path)
            data = bytearray((folder / name).read_bytes())
            data[random.integers(len(data))] ^= int(random.integers(1, 256))
            (folder / name).write_bytes(bytes(data))
            survives(folder)


def test_every_array_of_another_shape_type_or_range_is_refused_or_harmless(saved, tmp_path):
    held = arrays(saved)
    folder = copy(saved, tmp_path)
    for turn, (name, array) in enumerate(held.items()):
        odd = (
            array[:-1], np.full_like(array, 99), array.astype("U1"), np.full(array.shape, np.nan),
            array[None], np.full(array.shape, -1_000_000_000), array[:0],
        )  # fmt: skip
        for value in (odd[turn % 7], odd[(turn + 3) % 7]):
            np.savez(folder / "arrays.npz", **{**held, name: value})
            survives(folder)
        np.savez(folder / "arrays.npz", **{k: v for k, v in held.items() if k != name})
        with pytest.raises(ModelError, match=name.replace(".", r"\.")):
            models.load(folder)


def test_every_fact_of_another_type_is_refused(saved, tmp_path):
    facts = json.loads((saved / "model.json").read_text(encoding="utf-8"))
    for name in facts:
        for odd in (None, 3.5, "x", [None], [{}], {"a": 1}):
            folder = copy(saved, tmp_path)
            (folder / "model.json").write_text(json.dumps({**facts, name: odd}))
            with pytest.raises(ModelError):
                models.load(folder)


def test_a_tree_that_leads_in_a_circle_is_refused(saved, tmp_path):
    held = arrays(saved)
    for name in [name for name in held if name.endswith(".left") and held[name].any()]:
        circle = held[name].copy()
        circle[np.flatnonzero(circle)[0]] = 0
        folder = copy(saved, tmp_path)
        np.savez_compressed(folder / "arrays.npz", **{**held, name: circle})
        with pytest.raises(ModelError, match="not below"):
            models.load(folder)


def test_a_pickle_in_the_archive_is_never_loaded(saved, tmp_path):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("the pickle was loaded",)

    folder = copy(saved, tmp_path)
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|O", "fortran_order": False, "shape": (1,)}
    )
    held = arrays(saved)
    del held["order.before"]
    np.savez(folder / "arrays.npz", **held)
    with zipfile.ZipFile(folder / "arrays.npz", "a") as archive:
        archive.writestr("order.before.npy", buffer.getvalue() + pickle.dumps([Bomb()]))
    with pytest.raises(ModelError, match=r"arrays\.npz"):
        models.load(folder)


def test_another_candidates_model_is_refused_by_name(saved):
    for name in CANDIDATES:
        if name != saved.name.rstrip("0"):
            with pytest.raises(ModelError, match=f"not '{name}'"):
                models.candidate(name).load(saved)


def test_a_folder_without_a_model_and_a_newer_format_are_refused(saved, tmp_path):
    with pytest.raises(ModelError, match=r"model\.json"):
        models.load(tmp_path / "nothing")
    folder = copy(saved, tmp_path / "newer")
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps({**facts, "format": 3}))
    with pytest.raises(ModelError, match="format 3"):
        models.load(folder)


def empty(*names):
    return lambda facts, found: found.update({name: found[name][..., :0] for name in names})


def turned(name):
    return lambda facts, found: found.update({name: found[name][::-1]})


def value(name, change):
    return lambda facts, found: found.update({name: change(found[name])})


def said(entry, change):
    return lambda facts, found: facts.update({entry: change(facts[entry])})


WRONG = {
    "a band that does not hold its time": turned("times.band"),
    "no widths": empty("times.wider"),
    "no points of the confidence": empty("confidence.raw", "confidence.probability"),
    "points that fall": turned("confidence.raw"),
    "a value that is not there": value("gower.codes", lambda codes: codes * 0 + 10**6),
    "weights that turn likely into unlikely": value("alternatives.weights", lambda w: -abs(w)),
    "weights beyond measure": value("alternatives.weights", lambda w: np.sign(w) * 1e308),
    "a number beyond measure": said("numbering", lambda pair: [10**30, pair[1]]),
    "numbers that are none": said("numbering", lambda pair: [True, False]),
    "a step back": said("numbering", lambda pair: [pair[0], -pair[1]]),
    "an operation twice": said("operations", lambda found: [found[1], *found[1:]]),
    "a time before the first": said(
        "operations", lambda found: [found[0] | {"occurrence": -5}, *found[1:]]
    ),
    "a gain by what is missing": said(
        "confidence",
        lambda c: c | {"missing": c["missing"] | {"odds": [1.0 for _ in c["missing"]["odds"]]}},
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_would_propose_otherwise_or_fail_later_is_refused(saved, tmp_path, wrong):
    folder = copy(saved, tmp_path)
    facts, found = json.loads((folder / "model.json").read_text()), arrays(folder)
    WRONG[wrong](facts, found)
    (folder / "model.json").write_text(json.dumps(facts))
    np.savez(folder / "arrays.npz", **found)
    with pytest.raises(ModelError):
        models.load(folder)


@pytest.mark.parametrize("seed", [5, 22, 26])
def test_a_band_widens_in_steps_that_a_model_is_loaded_with(seed):
    random = np.random.default_rng(seed)
    absent = (random.random((int(random.integers(200, 900)), 1)) < 0.5).astype(float)
    stray = random.lognormal(absent[:, 0] * random.uniform(0.1, 1), 0.5)
    times = object.__new__(Times)
    times.widen(absent, stray)
    assert (np.diff(times.wider, axis=1) >= 0).all()
    assert times.wider[1, -1] > times.wider[1, 0]


def test_what_is_equally_blurred_has_one_width_and_what_is_complete_its_own():
    random = np.random.default_rng(4)
    absent = (np.arange(4_000) >= 2_000)[:, None] * (random.random((4_000, 2)) < 0.5)
    stray = random.lognormal(absent[:, 0] * 0.7 - 0.3, 0.5)
    times = object.__new__(Times)
    times.widen(absent.astype(float), stray)
    whole = ~absent.any(axis=1)
    assert np.interp(0, *times.wider) == pytest.approx(np.quantile(stray[whole], 0.8))
    assert (np.diff(times.wider[0]) > 0).all()

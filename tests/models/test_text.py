"""Words and numbers are read as they are meant, and by a saved model as they were; what is read in
a text is kept for the next time, as far as there is room."""

import string
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from routing_ml.errors import ModelError
from routing_ml.models.features import text
from routing_ml.models.features.attributes import Encoder, Words
from routing_ml.models.features.reading import Number
from routing_ml.models.storage import Stored

IN_MM = {"MM": 1, "CM": 10, "IN": 25.4, "INCH": 25.4, "ZOLL": 25.4, '"': 25.4, "″": 25.4}


@pytest.mark.parametrize(
    "written, expected",
    [
        ("L=120mm", {"L": 120}),
        ("L=120 mm", {"L": 120}),
        ("L: 12cm, gehärtet", {"L": 120}),
        ("Ø12,5mm", {"Ø": 12.5}),
        ("Welle Ø12,5mm L=120mm C45", {"Ø": 12.5, "L": 120, "C": 45}),
        ("D=2 Zoll", {"D": 50.8}),
        ("T=5in", {"T": 127}),
        ('D1/2"NPT', {"D": 12.7}),
        ('D1 1/2"', {"D": 38.1}),
        ('DN15 1/2"', {"DN": 15}),
        ("R3/4", {"R": 0.75}),
        ("DN50/PN10/16", {"DN": 50, "PN": 10}),
        ("L=50,hardened", {"L": 50}),
        ("L=120m", {}),
        ("D40H7", {"D": 40}),
        ("Ø12H7", {"Ø": 12}),
        ("42CrMo4 316SS", {}),
        ("軸φ12研磨", {"Φ": 12}),
        ("外径50ミリ研磨", {"外径": 50}),
        ("SUS304研磨", {"SUS": 304}),
        ("L=٢٣٫٧", {"L": 23.7}),
    ],
)
def test_a_number_behind_a_name_is_read_with_its_unit(written, expected):
    found = text.named_numbers(text.normalise(written))
    assert dict(found) == pytest.approx(expected)


@pytest.mark.parametrize(
    "written, expected",
    [
        ("Ø40h6x120", (40, 120)),
        ("Ø40 js9 x 120", (40, 120)),
        ("40x20 M8", (40, 20)),
        ("C45x100", ()),
        ("42CrMo4x100", ()),
        ("C45 40x100", (40, 100)),
        ("M8x40", (8, 40)),
        ("M8x1,25x40", (8, 1.25, 40)),
        ("4xM8x40", (8, 40)),
        ("G2x30", (2, 30)),
        ("R1x30", (1, 30)),
        ("Tr20x4", (20, 4)),
        ("L50x50x5", (50, 50, 5)),
        ('Rohr 1/4" x 100', (6.35, 100)),
        ('Rohr 3/4" x 100', (19.05, 100)),
        ('Rohr 1 1/2" x 100', (38.1, 100)),
        ('Rohr 1½" x 100', (38.1, 100)),
        ('10 3/4" x 100', (273.05, 100)),
        ('1/2"x3/4"', (12.7, 19.05)),
        ("2inx1in", (50.8, 25.4)),
        ("40mm x 20mm x 5", (40, 20, 5)),
        ("4 x 5mm", (4, 5)),
        ("4 x 5cm", (40, 50)),
        ("3x400V", ()),
        ("10x20x400V", (10, 20)),
        ("1000x2000x3T", (1000, 2000, 3)),
        ("板40x20研磨", (40, 20)),
        ("1.2.3x4", ()),
    ],
)
def test_a_run_is_read_whole_and_not_from_within_a_word_or_a_fraction(written, expected):
    assert text.run(text.normalise(written)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "written, expected",
    [
        ("Welle Ø12,5mm L=120mm", {"WELLE"}),
        ("Welle Ø12,5 mm L=120 mm", {"WELLE"}),
        ("PIN10mm", {"PIN"}),
        ("Blech 10mm", {"BLECH", "10MM"}),
        ("Blech 10 mm", {"BLECH", "10MM"}),
        ("Blech (2,5 mm)", {"BLECH", "2.5MM"}),
        ('Hahn 1/2"NPT', {"HAHN", "HAHN 12.7MM", "12.7MM", "NPT"}),
        ("Welle Ø40h6x120", {"WELLE", "H6"}),
        ("Welle C45x100", {"WELLE", "C45X100", "C45", "100"}),
        ("M8", {"M8"}),
        ("„Welle“", {"WELLE"}),
        ("مطلي، فولاذ؛", {"مطلي", "فولاذ", "مطلي فولاذ"}),
        ("軸φ12研磨", {"軸", "研磨", "軸 研磨"}),
        ("SUS304研磨。", {"SUS304研磨", "SUS304", "研磨"}),
        ("焼入、研磨", {"焼入、研磨", "焼入", "研磨"}),
        ("316스테인리스", {"316스테인리스", "316", "스테인리스"}),
    ],
)
def test_words_are_without_sizes_and_marks_and_apart_where_the_script_changes(written, expected):
    assert text.words(text.normalise(written)) == expected


@pytest.mark.parametrize(
    "written, expected",
    [("٢٣٫٧", 23.7), ("٢٣٫٧ مم", 23.7), ('1½"', 38.1), ("5″", 127), ("-12", -12), ("3/0", np.nan)],
)
def test_a_number_alone_is_read_in_any_digits(written, expected):
    assert text.number(text.normalise(written)) == pytest.approx(expected, nan_ok=True)


sizes = st.decimals("0.1", 9999, places=1).map(lambda size: f"{size.normalize():f}")


@given(st.sampled_from(["Ø", "L=", "D", "DN ="]), sizes, st.sampled_from(sorted(IN_MM)))
def test_glued_spaced_and_with_a_decimal_comma_a_size_is_the_same(name, size, unit):
    key = name.rstrip(" =")
    spellings = [
        text.normalise(f"SHAFT {name}{digits}{space}{unit} C")
        for digits in (size, size.replace(".", ","))
        for space in ("", " ")
    ]
    for spelled in spellings:
        found = dict(text.named_numbers(spelled))
        assert found == {key: pytest.approx(float(size) * IN_MM[unit])}
        assert text.words(spelled) == text.words(spellings[0])
        assert not any(letter.isdigit() for word in text.words(spelled) for letter in word)


letters = st.text(string.ascii_uppercase.replace("X", ""), min_size=1, max_size=6)
digits = st.integers(0, 9999).map(str)


@given(letters, digits, letters, digits)
def test_no_number_is_read_out_of_the_inside_of_a_word(front, inner, middle, last):
    assume(middle not in text._LENGTHS and front not in text._LED.split("|"))
    for word in (f"{inner}{middle}", f"{inner}{middle}{last}", f"{front}{inner}{middle}"):
        assert not text.run(f"{word} Y"), word
        assert not text.named_numbers(f"{word} Y"), word
    for word in (f"{front}{inner}X{last}", f"{inner}X{last}{front}{middle}VAC"):
        assert not text.run(word), word


@pytest.mark.parametrize(
    "reading, size, words", [({}, 6, [1, 1, 0]), ({"reading": 2}, 40, [0, 0, 1])]
)
def test_a_model_reads_texts_as_it_did_when_it_was_saved(reading, size, words):
    first = Number("first", "TEXT", "run")
    facts = Encoder([], [first], [Words("TEXT", ["5MM", "Ø40H", "H6"])]).facts()
    del facts["reading"]
    encoder = Encoder.from_facts(Stored(Path(), {**facts, **reading}, {}))
    found = encoder.transform(pd.DataFrame({"TEXT": ["Ø40h6x120 2,5mm"]}))
    assert found.numbers.tolist() == [[size]] and found.words.tolist() == [words]
    again = Encoder.from_facts(Stored(Path(), encoder.facts(), {}))
    assert again.reading == encoder.reading


def test_a_model_that_reads_texts_as_no_release_did_is_refused():
    facts = {**Encoder([], [], []).facts(), "reading": 3}
    with pytest.raises(ModelError, match="reading"):
        Encoder.from_facts(Stored(Path(), facts, {}))


@pytest.mark.parametrize("read", [text._spelled, text.words, text.run, text.named_numbers])
def test_what_is_read_in_a_text_is_the_same_whether_it_is_kept_or_not(read):
    for longer in (0, text.MOST_KEPT):
        asked = f"RING 12X3 DN50 {'N' * longer}"
        assert read(asked) == read(asked) == read.__wrapped__(asked)


def test_of_more_texts_than_there_is_room_for_the_first_are_kept():
    asked = []
    read = text.kept(lambda letters: asked.append(letters) or letters.lower())
    texts = [f"{number:05} {'N' * 94}" for number in range(2 * text.MOST_KEPT // 120)]
    for _ in range(3):
        assert [read(each) for each in texts] == [each.lower() for each in texts]
    kept = text.MOST_KEPT // (100 + text.EACH)
    assert len(asked) == kept + 3 * (len(texts) - kept)
    assert asked[len(texts) :] == 2 * texts[kept:]


def test_a_text_that_is_longer_than_the_room_is_not_kept_and_takes_none():
    asked = []
    read = text.kept(lambda letters: asked.append(len(letters)))
    for letters in ("N" * text.MOST_KEPT, "N"):
        read(letters)
        read(letters)
    assert asked == [text.MOST_KEPT, text.MOST_KEPT, 1]


def test_nobody_can_change_what_is_kept():
    with pytest.raises(TypeError):
        text.named_numbers("DN50")["DN"] = 0.0

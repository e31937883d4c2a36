"""What is read in a text is kept for the next time, as far as there is room."""

import pytest

from routing_ml.models.features import text


@pytest.mark.parametrize("read", [text._spelled, text.words, text.run, text.named_numbers])
def test_what_is_read_in_a_text_is_the_same_whether_it_is_kept_or_not(read):
    for longer in (0, text.MOST_KEPT):
        asked = f"RING 12X3 DN50 {'N' * longer}"
        assert read(asked) == read(asked) == read.__wrapped__(asked)


def test_of_more_texts_than_there_is_room_for_the_first_are_kept():
    asked = []
    read = text._kept(lambda letters: asked.append(letters) or letters.lower())
    texts = [f"{number:05} {'N' * 94}" for number in range(2 * text.MOST_KEPT // 120)]
    for _ in range(3):
        assert [read(each) for each in texts] == [each.lower() for each in texts]
    kept = text.MOST_KEPT // (100 + text.EACH)
    assert len(asked) == kept + 3 * (len(texts) - kept)
    assert asked[len(texts) :] == 2 * texts[kept:]


def test_a_text_that_is_longer_than_the_room_is_not_kept_and_takes_none():
    asked = []
    read = text._kept(lambda letters: asked.append(len(letters)))
    for letters in ("N" * text.MOST_KEPT, "N"):
        read(letters)
        read(letters)
    assert asked == [text.MOST_KEPT, text.MOST_KEPT, 1]


def test_nobody_can_change_what_is_kept():
    with pytest.raises(TypeError):
        text.named_numbers("DN50")["DN"] = 0.0

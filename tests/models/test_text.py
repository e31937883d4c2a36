"""What is read in a text is kept for the next time, but not of a long one, of which it is much."""

import pytest

from routing_ml.models.features import text


@pytest.mark.parametrize("read", [text.normalise, text.words, text.run, text.named_numbers])
def test_what_is_read_in_a_long_text_is_not_kept(read):
    long = f"RING 12X3 DN50 {'N' * text.LONGEST_KEPT}"
    short = long[: text.LONGEST_KEPT]
    assert read(short) is read(short)
    assert read(long) == read(long)
    assert read(long) is not read(long)

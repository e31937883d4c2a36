r"""Texts that a spreadsheet would take for something else, written so that it does not, and back.

CSV: a text that begins like a formula gets an apostrophe before it, as OWASP's page on CSV
injection says. Excel's XML: a character that XML does not allow, and the carriage return, which
its readers turn into a line feed, is `_xHHHH_` (ECMA-376-1, 22.9.2.19, ST_Xstring).
"""

import re

# The full-width forms start a formula where the keyboard is Japanese or Korean. Apostrophes before
# it count too: an escape that left "'=1" alone could not be undone.
FORMULA = re.compile(r"'*(?:[\t\r\n]|\s*[=+\-@＝＋－＠])")
ESCAPED = re.compile(r"'+(?:[\t\r\n]|\s*[=+\-@＝＋－＠])")
NOT_IN_XML = re.compile(r"[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
WRITTEN_IN_XML = re.compile(r"_x([0-9A-Fa-f]{4})_")


def to_csv(text: str) -> str:
    """
    >>> to_csv("=1+1"), to_csv("'-x"), to_csv("316SS")
    ("'=1+1", "''-x", '316SS')
    """
    return f"'{text}" if FORMULA.match(text) else text


def from_csv(text: str) -> str:
    """The inverse of `to_csv`."""
    return text[1:] if ESCAPED.match(text) else text


def to_xml(text: str) -> str:
    r"""
    >>> to_xml("a\rb_x0041_")
    'a_x000D_b_x005F_x0041_'
    """
    return NOT_IN_XML.sub(lambda match: f"_x{ord(match[0]):04X}_", text)


def from_xml(text: str) -> str:
    """The inverse of `to_xml`."""
    return WRITTEN_IN_XML.sub(lambda match: chr(int(match[1], 16)), text)

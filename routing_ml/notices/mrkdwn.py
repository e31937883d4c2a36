"""Writes plain text so that Slack shows it as it stands: no mention, link, markup or emoji of it.

By Slack's page on formatting, `&`, `<` and `>` are what its markup is made of, and a plain `@here`
is no mention unless `link_names` or `parse` asks for it; in a block it may be one, unless the block
is `verbatim`. Compatible servers (Mattermost, Rocket.Chat) take `@here` for a mention always.
Whatever is not on the list of what passes is written otherwise, so that nobody has to know all
that Slack may make something of.
"""

import re

PASSES = frozenset(" \n.,;:!?/\\()[]{}'\"=+-%^$|@#_")
"""The signs that mean nothing to Slack but where `MEANT` says so; letters and digits pass too."""
MEANT = re.compile(
    r"(?P<apart>@(?=\w)|(?<![^\W_])\#(?=\w)|:(?=//|[\w+-]*[a-z][\w+-]*:))"  # a mention, link, emoji
    r"|(?P<quote>^[ \t]*>)"
    # Within a name (model_20261125_212627) it means nothing, and people copy names.
    r"|(?P<slanted>(?<!\w)_+|_+(?!\w))",
    re.MULTILINE,
)
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
APART = "\u200b"
"""Zero width: what follows it is not the name that it was."""
LOOKALIKES = {"*": "\u2217", "~": "\u223c", "`": "\u2018", "\t": " "}
HIDDEN = "\ufffd"
LINK = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(?:/[A-Za-z0-9._~!$'()+,;=:@%/?#&-]*)?")


def escaped(text: str, most: int) -> str:
    """`text` as Slack's markup takes it, cut to `most` characters without cutting an escape in two.

    >>> escaped("<!here> @here *M07* model_2026_1", 99)
    '&lt;!here&gt; @\\u200bhere ∗M07∗ model_2026_1'
    """
    written = [ENTITIES.get(sign, sign) for sign in plain(text)]
    if sum(map(len, written)) > most:
        room = most - 1
        for at, part in enumerate(written):
            room -= len(part)
            if room < 0:
                written[at:] = ["…"]
                break
    return "".join(written)


def plain(text: str) -> str:
    """`text` with nothing in it that Slack would make anything of, but for `&`, `<` and `>`."""
    return MEANT.sub(_apart, "".join(map(_passing, text)))


def linked(address: str, label: str = "") -> str:
    """An address of ours as a link, under a `label` that is `escaped` already; as plain text where
    it is not made of an address's signs.

    >>> linked("http://factory:8080/dags"), linked("http://x/|a>")
    ('<http://factory:8080/dags>', 'http:\\u200b//x/|a&gt;')
    >>> linked("http://factory:8080/dags", "The run")
    '<http://factory:8080/dags|The run>'
    """
    if is_link(address):
        return f"<{address.replace('&', '&amp;')}{f'|{label}' if label else ''}>"
    return escaped(address, len(address) * 5)


def is_link(address: str) -> bool:
    """Whether it is made of the signs of an http address, and of nothing else."""
    return LINK.fullmatch(address) is not None


def _apart(found: re.Match[str]) -> str:
    if slanted := found["slanted"]:
        return "\u2017" * len(slanted)
    return APART + found[0] if found["quote"] else found[0] + APART


def _passing(sign: str) -> str:
    if sign in PASSES or sign in ENTITIES or sign == APART or sign.isalnum():
        return sign
    if sign in LOOKALIKES:
        return LOOKALIKES[sign]
    # Marks, dashes, units and arrows of any script are shown; what turns the direction of
    # writing, hides or is nothing is not.
    return sign if ord(sign) > 127 and sign.isprintable() else HIDDEN

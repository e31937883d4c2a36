"""Cards in which every text is somebody else's: markup, mentions, what hides or turns, length."""

from hypothesis import strategies as st

from routing_ml.notices.card import SIGNS, Card, Fact, Link, Plot

SEEDS = [
    *("<!here>", "<!channel>", "<!everyone>", "<!subteam^S012|team>", "<@U024BE7LH>"),
    *("<#C024BE7LR|general>", "<https://evil/|click>", "<mailto:a@b|c>", "<!date^1^{date}|x>"),
    *("@here", "@channel", "@everyone", "@all", "#general", "https://evil/x", "http://evil"),
    *("*bold*", "_slanted_", "~gone~", "`code`", "```", ">quote", ":fire:", "&lt;", "&amp;"),
    *("<script>alert(1)</script>", "<at>Ann</at>", "[click](https://evil)", "![x](http://evil/x)"),
    *(
        "[a]: http://evil",
        "# head",
        "- item",
        "1. item",
        "---",
        "===",
        "\\*",
        "\\",
        "&#42;",
        "    ",
    ),
    *("{{DATE(2026-11-26T00:00:00Z,SHORT)}}", "${title}", "**", "__", "![", "](", "a|b", "***"),
    *(
        "\u202eevil",
        "\u200d",
        "\u2066",
        "שלום",
        "مرحبا",
        "슬리브",
        "🙂",
        "\x00",
        "\x1b[31m",
        "\ud800",
    ),
    *("\r", "\t", " ", "\n", "a", "1", "@", "#", ":", "/", "<", ">", "&", "!", "|", "_", "*", "~"),
]
texts = st.lists(st.sampled_from(SEEDS) | st.text(max_size=5), max_size=12).map("".join)
long_texts = st.builds(lambda text, times: (text * times)[:10_000], texts, st.integers(1, 10_000))
addresses = st.sampled_from(
    ["http://factory:8080/dags/a/runs/b:+c", "https://factory/x?a=1&b=2", "javascript:alert(1)"]
    + ["http://factory/" + "x" * 5_000, "http://evil/|a>", ""]
)


def cards_of(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Card]:
    return st.builds(
        Card,
        subject=texts,
        title=texts,
        text=texts,
        level=st.sampled_from(["", *SIGNS]),
        facts=st.lists(st.builds(Fact, texts, texts, texts), max_size=30),
        plot=st.none() | st.builds(Plot, texts, st.lists(st.floats(), max_size=40)),
        links=st.lists(st.builds(Link, texts, addresses), max_size=6),
    )


def widest(sign: str, times: int = 10_000) -> Card:
    """A card that has as much of everything as there can be."""
    text = (sign * times)[:times]
    facts = [Fact(text, text, text) for _ in range(40)]
    links = [Link(text, "http://factory/" + "&" * 480) for _ in range(9)]
    return Card(text, text, text, "bad", facts, Plot(text, range(99)), links)

"""A page as a browser takes it, for the tests of all pages: names of things that try to be markup,
and what every page holds to."""

from collections.abc import Iterator
from html.parser import HTMLParser

from hypothesis import strategies as st

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "</code></style><b>",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- x",
    "&lt;b&gt;",
    "]]><![CDATA[",
    "javascript:alert(1)",
]


class Read(HTMLParser):
    """The tags with their attributes, and the text, of a page as a browser takes them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple]] = []
        self.text: list[str] = []
        self.others: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)

    handle_pi = unknown_decl


texts = st.one_of(
    st.sampled_from(PAYLOADS),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
    st.builds("".join, st.lists(st.sampled_from(["<", ">", "&", '"', "'", "{", "%", "}", "-", "!",
                                                 "/", "script", "a"]), min_size=1)),
)  # fmt: skip


def links(read: Read) -> Iterator[str]:
    for _, attributes in read.tags:
        for name, value in attributes:
            if name in ("src", "href", "srcset", "action", "data", "poster") or "url(" in str(
                value
            ):
                yield f"{name}={value}"


def assert_inert(text: str) -> None:
    """It asks for nothing from elsewhere and runs nothing, and says so to the browser."""
    read = Read(text)
    assert list(links(read)) == []
    assert {"script", "link", "img", "iframe", "object", "form"} & {
        t for t, _ in read.tags
    } == set()
    assert not [a for _, attributes in read.tags for a, _ in attributes if a.startswith("on")]
    assert "http://" not in text and "https://" not in text and "@import" not in text
    (policy,) = [dict(a)["content"] for _, a in read.tags if dict(a).get("http-equiv")]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text


def assert_nested(text: str) -> None:
    """Every element is closed in turn."""
    stack: list[str] = []

    class Nesting(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list) -> None:
            if tag not in ("meta", "br"):
                stack.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert stack.pop() == tag

        def handle_startendtag(self, tag: str, attrs: list) -> None:
            """Of SVG: it is closed at once."""

    Nesting().feed(text)
    assert stack == []

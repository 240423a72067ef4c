"""The links of a letter are exchanged where they stand, and not a byte besides."""

from __future__ import annotations

import html
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.outreach.rewriting import is_target, measured, target_of
from lifecycle.outreach.templates.mail import html_of

TO = "https://shop.example/"


def led(number: int, target: str) -> str:
    return f"https://we.example/r/{number}"


def targets(document: str) -> list[tuple[int, str]]:
    """What a letter's links are said to lead to."""
    found: list[tuple[int, str]] = []

    def note(number: int, target: str) -> str:
        found.append((number, target))
        return "x"

    measured(document, lead=note)
    return found


AWKWARD = [
    # the letter; the links as they lead through us
    ('<a href="https://a.example/">x</a>', '<a href="R1">x</a>'),
    ("<A HREF='https://a.example/'>x</A>", "<A HREF='R1'>x</A>"),
    ("<a href=https://a.example/b/>x</a>", "<a href=R1>x</a>"),
    ('<a\n  class=b\n\thref = "https://a.example/"\n>x</a>', '<a\n  class=b\n\thref = "R1"\n>x</a>'),
    ('<a title="a > b" href="https://a.example/">x</a>', '<a title="a > b" href="R1">x</a>'),
    ('<a title=\'href="https://a.example/"\'>x</a>', None),
    ('<a data-href="https://a.example/">x</a>', None),
    ('<a href="https://a.example/" href="https://b.example/">x</a>', '<a href="R1" href="https://b.example/">x</a>'),
    ('<a/href="https://a.example/">x</a>', '<a/href="R1">x</a>'),
    ('<a href="https://a.example/"/>', '<a href="R1"/>'),
    ('<a href="&#104;ttps://a.example/">x</a>', '<a href="R1">x</a>'),
    ('<a href=" https://a.example/\n">x</a>', '<a href="R1">x</a>'),
    ('<a href="https://a.example/"><a href="https://b.example/">x</a></a>', '<a href="R1"><a href="R2">x</a></a>'),
    ('é<a href="https://a.example/">\r\n漢</a>\r\n<a href="https://b.example/">😀</a>', 'é<a href="R1">\r\n漢</a>\r\n<a href="R2">😀</a>'),
    ('<a>x</a><a href>x</a><a href="">x</a><a href=>x</a>', None),
    ('<a href="mailto:a@b.example">x</a><a href="tel:+1">x</a><a href="sms:+1">x</a>', None),
    ('<a href="#end">x</a><a href="/path">x</a><a href="//a.example/">x</a><a href="?q">x</a>', None),
    ('<a href="javascript:alert(1)">x</a><a href="data:text/html,x">x</a>', None),
    ('<a href="java&#10;script:alert(1)//https://a.example">x</a>', None),
    ('<abbr href="https://a.example/">x</abbr><link href="https://a.example/">', None),
    ('<!--[if mso]><v:roundrect href="https://a.example/"><a href="https://a.example/">x</a><![endif]-->', None),
    ('<!--[if !mso]><!--><a href="https://a.example/">x</a><!--<![endif]-->', '<!--[if !mso]><!--><a href="R1">x</a><!--<![endif]-->'),
    ('<![if !vml]><a href="https://a.example/">x</a><![endif]><![what]>', '<![if !vml]><a href="R1">x</a><![endif]><![what]>'),
    ('<style>a[href="https://a.example/"]::after{content:"<a href=\'https://a.example/\'>"}</style>', None),
    ('<a href="https://a.example/>x</a>', None),
    ('<a href="https://a.example/', None),
    ('<a href="https://例子.example/">x</a>', None),
    ("", None),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), AWKWARD)
def test_only_the_value_of_a_link_is_exchanged(before: str, after: str | None) -> None:
    assert measured(before, lead=lambda number, _: f"R{number}") == (after or before)


@pytest.mark.parametrize(
    ("href", "target"),
    [
        ("https://a.example/?a=1&amp;b=2", "https://a.example/?a=1&b=2"),
        ("https://a.example/?a=1&copy=2&reg=3", "https://a.example/?a=1&copy=2&reg=3"),
        ("https://a.example/?a=1&copyright", "https://a.example/?a=1&copyright"),
        ("https://a.example/?a=&quot;&#x27;&lt;", "https://a.example/?a=\"'<"),
        ("https://a.example/?a=&nothing;", "https://a.example/?a=&nothing;"),
        ("HTTPS://A.example/b%20c", "HTTPS://A.example/b%20c"),
        ("https://a.example/路?q=é b#ü", "https://a.example/%E8%B7%AF?q=%C3%A9%20b#%C3%BC"),
        ("https://a.ex\nample/", "https://a.example/"),
        ("https://a.example", "https://a.example"),
        ("https://a.example:8443?x", "https://a.example:8443?x"),
    ],
)
def test_it_leads_where_a_browser_would_have_gone(href: str, target: str) -> None:
    assert targets(f'<a href="{href}">x</a>') == [(1, target)]


@pytest.mark.parametrize(
    "text",
    ["javascript:alert(1)", "ftp://a.example/", "//a.example", " https://a.example/", "https://",
     "https://a.example/\r\nX: y", "https://a.example/é", "data:,https://a.example/", ""],
)  # fmt: skip
def test_what_is_no_place_on_the_web_is_no_target(text: str) -> None:
    assert not is_target(text)


def test_links_that_stay_take_no_number() -> None:
    stays = '<a href="mailto:x@y.example">m</a><a href="https://a.example/stays">s</a>'
    document = f'{stays}<a href="https://b.example/">b</a>'
    found = measured(
        document, lead=lambda number, to: None if to.endswith("stays") else f"R{number}"
    )
    assert found == document.replace("https://b.example/", "R1")


def test_what_it_is_exchanged_for_is_an_address_and_not_markup() -> None:
    found = measured('<a href="https://a.example/">x</a>', lead=lambda *_: 'https://b/?a&b"<')
    assert found == '<a href="https://b/?a&amp;b&quot;&lt;">x</a>'


PICTURE = (
    '<img src="https://we.example/o/t?a&amp;b" alt="" width="1" height="1"'
    ' style="display:block;width:1px;height:1px;border:0">'
)


@pytest.mark.parametrize(
    "document",
    [
        "<html><body><p>x</p>¦</body></html>",
        "<html><BODY><p>x</p>¦</BODY ></html>",
        "<p>x</p>¦",
        "<body><!-- </body> -->x¦</body>",
        '<body>x</body><a href="https://a.example/">late</a>¦',
        "<body></body>¦</body>",
        "¦",
    ],
)
def test_the_picture_stands_at_the_end_of_the_body(document: str) -> None:
    found = measured(document.replace("¦", ""), picture="https://we.example/o/t?a&b")
    assert found == document.replace("¦", PICTURE)


def test_what_is_not_measured_stays_as_it_is() -> None:
    for before, _ in AWKWARD:
        assert measured(before) == before


def test_a_letter_made_of_mjml_keeps_all_but_its_links() -> None:
    made = html_of(
        "<mjml><mj-body><mj-section><mj-column>"
        '<mj-button href="https://a.example/?x=1&amp;y=2">Buy</mj-button>'
        '<mj-image href="https://b.example/" src="https://b.example/i.png" />'
        '<mj-text><a href="mailto:c@d.example">write</a></mj-text>'
        "</mj-column></mj-section></mj-body></mjml>"
    )
    assert targets(made) == [(1, "https://a.example/?x=1&y=2"), (2, "https://b.example/")]
    found = measured(made, lead=led, picture="https://we.example/o/t")
    assert len(hrefs(found)) == len(hrefs(made)) == 3
    back = found.replace("https://we.example/r/1", "https://a.example/?x=1&amp;y=2")
    back = back.replace("https://we.example/r/2", "https://b.example/")
    back = back.replace(PICTURE.replace("t?a&amp;b", "t"), "")
    assert back in {made, made.replace("x=1&y=2", "x=1&amp;y=2")}


# -- for all letters


class _Read(HTMLParser):
    """What somebody else finds in a document."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.rest: list[object] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        seen = False
        kept = []
        for name, value in attrs:
            if tag == "a" and name == "href" and not seen:
                seen = True
                self.hrefs.append(value or "")
            else:
                kept.append((name, value))
        self.rest.append((tag, kept))

    def handle_endtag(self, tag: str) -> None:
        self.rest.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.rest.append(data)

    def handle_comment(self, data: str) -> None:
        self.rest.append(("comment", data))


def hrefs(document: str) -> list[str]:
    return _Read(document).hrefs


PATHS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
ADDRESSES = st.one_of(
    st.builds("https://shop.example/{}".format, PATHS),
    st.builds("http://shop.example?{}".format, PATHS),
    st.builds("mailto:{}".format, PATHS),
    st.builds("#{}".format, PATHS),
    PATHS,
)
QUOTED = st.builds(
    lambda address, quote, before: f"<a {before}href={quote}{html.escape(address)}{quote}>",
    ADDRESSES,
    st.sampled_from("\"'"),
    st.sampled_from(["", "class=b ", 'title="a > b" ', "disabled ", "/ ", "\n"]),
)
BITS = st.one_of(
    QUOTED,
    st.sampled_from(
        ["</a>", "<p>", "</p>", "<body>", "</body>", "<br/>", "<!-- <a href='https://x.example'> -->",
         "<!--[if mso]>", "<![endif]-->", "<b title='", "&amp;", "&", "<", ">", "\n", "\r\n", "<a", "<a>",
         "<style>", "</style>", "</", "<!", "<?", "<![if x]>", "'", '"']
    ),
    PATHS.map(html.escape),
)  # fmt: skip


@given(st.lists(BITS, max_size=15).map("".join))
def test_of_any_letter_the_links_lead_to_where_they_led_and_all_else_is_as_it_was(
    document: str,
) -> None:
    """A place on the web through us, and from there to the very same one; everything else not at all."""
    signed: dict[str, str] = {}

    def sign(number: int, target: str) -> str:
        assert is_target(target)
        led = f"https://we.example/r/{number}"
        signed[led] = target
        return led

    found = measured(document, lead=sign)
    before, after = _Read(document), _Read(found)
    assert after.rest == before.rest
    assert len(signed) == len(set(signed))
    for was, now in zip(before.hrefs, after.hrefs, strict=True):
        if now.startswith("https://we.example/r/"):
            assert signed[now] == target_of(was)
        else:
            assert now == was


@given(st.lists(QUOTED, max_size=5).map("".join))
def test_no_link_to_the_web_is_forgotten(document: str) -> None:
    found = measured(document, lead=led)
    for was, now in zip(hrefs(document), hrefs(found), strict=True):
        assert now.startswith("https://we.example/r/") is (target_of(was) is not None)

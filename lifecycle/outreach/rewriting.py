"""How do the links of a letter come to lead through us, without anything else of it being touched?

The HTML is read by a parser and not changed by it: of each link only the value of its `href` is
exchanged where it stands, and a picture is put before the end of the body. What stands in a comment is
left alone, those of Outlook among them: its own drawings keep their plain links.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from html.entities import html5
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import quote

Lead = Callable[[int, str], str | None]
"""(number of the link, counted from 1; where it leads) → where it is to lead; None: it stays."""

_BLANK = " \t\n\r\f"
_AROUND = "".join(map(chr, range(33)))  # what browsers cut off at either end of an address
_REFERENCE = re.compile("&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[A-Za-z0-9]+;?)")
_WEB = re.compile(r"(https?://[!-~]+?)(?=[/?#\\]|\Z)(.*)", re.IGNORECASE | re.DOTALL)
_PLAIN = "".join(map(chr, range(0x21, 0x7F)))


class _Change(NamedTuple):
    """What stands from `start` to `end` is exchanged."""

    start: int
    end: int
    text: str


def measured(document: str, *, lead: Lead | None = None, picture: str | None = None) -> str:
    """The letter with its links led by `lead`, and `picture`, an address, at the end of its body."""
    found = _Found(document)
    changes = [] if lead is None else list(_led(found.links, lead))
    if picture is not None:
        changes.append(_Change(found.end, found.end, _image(picture)))
    parts, at = [], 0
    for change in changes:  # in the order of the document: the body ends after its links
        parts += [document[at : change.start], change.text]
        at = change.end
    return "".join([*parts, document[at:]])


def target_of(href: str) -> str | None:
    """Where a browser goes for it, if that is a place on the web; as a header can hold it."""
    address = href.strip(_AROUND).translate(dict.fromkeys(map(ord, "\t\n\r")))
    match = _WEB.fullmatch(address)
    if match is None:
        return None
    try:
        return match[1] + quote(match[2], safe=_PLAIN)
    except UnicodeEncodeError:  # half a character: nobody can say where it leads
        return None


def is_target(text: str) -> bool:
    """Whether it may be answered as a redirect: nothing but a place on the web, printable ASCII."""
    return target_of(text) == text


def _led(links: list[_Change], lead: Lead) -> Iterator[_Change]:
    number = 1
    for link in links:
        target = target_of(link.text)
        led = None if target is None else lead(number, target)
        if led is not None:
            number += 1
            yield link._replace(text=html.escape(led))


def _image(picture: str) -> str:
    """It takes no room, says nothing to who has pictures read out, and has no colour of its own."""
    return (
        f'<img src="{html.escape(picture)}" alt="" width="1" height="1"'
        ' style="display:block;width:1px;height:1px;border:0">'
    )


class _Found(HTMLParser):
    """Where the links of a document stand, and where its body ends."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=False)
        self.links: list[_Change] = []  # with where they lead
        self.end = len(document)
        self._document = document
        self._lines = [0, *(match.end() for match in re.finditer("\n", document))]
        self.feed(document)
        self.close()
        if self.links and self.end < self.links[-1].end:
            self.end = len(document)  # an end that was none: readers go on

    def _at(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - Python unescapes them wrongly
        text = self.get_starttag_text()
        span = _href(text) if tag == "a" and text is not None else None
        if span is not None:
            start = self._at() + span[0]
            end = self._at() + span[1]
            self.links.append(_Change(start, end, _unescaped(self._document[start:end])))

    def handle_endtag(self, tag: str) -> None:
        if tag == "body":
            self.end = self._at()

    def parse_html_declaration(self, i: int) -> int:
        """As browsers do it: `<![if mso]>` is a comment up to its `>`, whatever it says."""
        if self.rawdata.startswith("<![", i):
            return self.parse_bogus_comment(i)
        return super().parse_html_declaration(i)


def _href(tag: str) -> tuple[int, int] | None:
    """From where to where the value of the first `href` stands in a start tag; None: it has none.

    As the HTML standard reads attributes (13.2.5.32 to 13.2.5.39); `<a` was read by the parser.
    """
    at = len("<a")
    while True:
        while at < len(tag) and tag[at] in f"{_BLANK}/":
            at += 1
        if at >= len(tag) or tag[at] == ">":
            return None
        name, at = _until(tag, at, f"{_BLANK}/>=", least=1)
        equals = _past_blank(tag, at)
        if not tag.startswith("=", equals):
            continue
        at = _past_blank(tag, equals + 1)
        if tag.startswith(('"', "'"), at):
            start, close = at + 1, tag.find(tag[at], at + 1)
            if close == -1:
                return None
            end, at = close, close + 1
        else:
            start = at
            _, end = _until(tag, at, f"{_BLANK}>")
            at = end
        if name.lower() == "href":
            return (start, end) if end > start else None


def _past_blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _until(text: str, start: int, ends: str, *, least: int = 0) -> tuple[str, int]:
    """What stands up to the first of `ends`, and where that is."""
    at = start + least
    while at < len(text) and text[at] not in ends:
        at += 1
    return text[start:at], at


def _unescaped(value: str) -> str:
    """The value of an attribute: there `&copy` before `=` or a letter is no reference, but itself.

    Python's own `unescape` does not know that, and makes another address of `?a=1&copy=2`.
    """

    def character(match: re.Match[str]) -> str:
        named = match[1]
        if named.startswith("#"):
            return html.unescape(match[0])
        if value.startswith("=", match.end()) and not named.endswith(";"):
            return match[0]
        return html5.get(named, match[0])

    return _REFERENCE.sub(character, value)

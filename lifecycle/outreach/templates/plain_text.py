"""How does an e-mail read where no HTML is shown? The text part, made of the same MJML as the HTML."""

from __future__ import annotations

import re
from functools import lru_cache
from html import unescape

from lifecycle.outreach.templates.mail import LINKING, SCHEMES, BadMail, is_safe_link

_SKIPPED = frozenset({"mj-head", "head", "style", "script", "title", "mj-style"})
_LINKS = frozenset({"a", "mj-button", "mj-social-element", "mj-navbar-link"})
_IMAGES = frozenset({"img", "mj-image"})
_RULES = frozenset({"hr", "mj-divider"})
_PARAGRAPHS = frozenset(
    {"h1", "h2", "h3", "h4", "h5", "h6", "p", "ul", "ol", "blockquote", "table", "mj-table",
     "mj-text", "mj-button", "mj-section", "mj-hero", "mj-wrapper", "mj-social", "mj-navbar"}
)  # fmt: skip
_LINES = frozenset({"div", "tr", "li", "mj-column", "mj-social-element", "mj-navbar-link"})
_EMPTY = frozenset({"br", "img", "hr", "mj-image", "mj-divider", "mj-spacer"})
_RULE = "-" * 32

_WIDE = "[⺀-鿿豈-﫿︰-﹏＀-￯]"
_BETWEEN_WIDE = re.compile(rf"(?<={_WIDE})[ \t]*\n\s*(?={_WIDE})")
_TAG = re.compile(
    r"""<!--.*?-->|<(/?)([a-zA-Z][a-zA-Z0-9-]*)((?:"[^"]*"|'[^']*'|[^"'>])*)>""", re.DOTALL
)
_ATTRIBUTE = re.compile(r"""([a-zA-Z-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_SPACES = re.compile(r"\s+")


def text_of_mjml(mjml: str) -> str:
    """Headings, paragraphs, lists and tables as lines; a link as its words and where it goes.

    What is given has been read as MJML, so its tags are well-formed. Raises BadMail for a link that
    goes where no link of an e-mail goes.
    """
    reader = _Reader()
    end = 0
    for token in _TAG.finditer(mjml):
        if token.start() > end:
            reader.data(unescape(mjml[end : token.start()]))
        end = token.end()
        slash, name, attributes = token.groups()
        if name is None:
            continue  # a comment
        if slash:
            reader.closed(name.lower())
        else:
            reader.opened(name.lower(), _given(attributes), itself=attributes.endswith("/"))
    reader.data(unescape(mjml[end:]))
    return reader.text()


@lru_cache(maxsize=2048)  # most tags are the layout's, and the same in every letter
def _given(attributes: str) -> dict[str, str]:
    if "=" not in attributes:
        return {}
    given = {
        name.lower(): unescape(double or single)
        for name, double, single in _ATTRIBUTE.findall(attributes)
    }
    for name in given.keys() & LINKING:
        if not is_safe_link(given[name]):
            allowed = ", ".join(sorted(SCHEMES))
            raise BadMail("unsafe_link", f"{name} goes elsewhere than {allowed}")
    return given


class _Reader:
    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._links: list[tuple[str, int]] = []  # where it goes, and where in the line it begins
        self._lists: list[int | None] = []  # the next number of an ordered list
        self._skipping = 0

    def text(self) -> str:
        self._break(empty=True)
        while self._lines and not self._lines[-1]:
            self._lines.pop()
        return "\n".join(self._lines)

    def opened(self, tag: str, given: dict[str, str], *, itself: bool) -> None:
        """`itself`: closed as well, as in <br/>."""
        if tag in _SKIPPED:
            self._skipping += not itself
        if self._skipping:
            return
        self._open(tag)
        if tag in _LINKS:
            self._links.append((given.get("href", ""), len(self._line)))
        elif tag in _IMAGES:
            self._image(given)
        elif tag in {"ul", "ol"}:
            self._lists.append(1 if tag == "ol" else None)
        elif tag == "li":
            self._item()
        elif tag in {"td", "th"} and "".join(self._line).strip():
            self._line.append("  ")
        if itself and tag not in _EMPTY:
            self.closed(tag)

    def closed(self, tag: str) -> None:
        if tag in _SKIPPED:
            self._skipping = max(self._skipping - 1, 0)
            return
        if self._skipping:
            return
        if tag in _LINKS and self._links:
            self._close_link(own_line=tag != "a")
        if tag in {"ul", "ol"} and self._lists:
            self._lists.pop()
        if tag in _PARAGRAPHS or tag in _LINES:
            self._break(empty=tag in _PARAGRAPHS and not (self._lists and tag in {"ul", "ol", "p"}))

    def data(self, data: str) -> None:
        if self._skipping:
            return
        if data.isspace():  # as between most tags
            self._line.append(" ")
        else:
            self._line.append(_SPACES.sub(" ", _BETWEEN_WIDE.sub("", data)))

    def _open(self, tag: str) -> None:
        if tag == "br":
            self._break()
        elif tag in _RULES:
            self._break(empty=True)
            self._line.append(_RULE)
            self._break(empty=True)
        elif tag in _PARAGRAPHS and not (self._lists and tag in {"ul", "ol", "p"}):
            self._break(empty=True)
        elif tag in _LINES or (tag in {"ul", "ol"} and self._lists):
            self._break()

    def _item(self) -> None:
        indent = "  " * max(len(self._lists) - 1, 0)
        number = self._lists[-1] if self._lists else None
        if number is None:
            self._line.append(f"{indent}- ")
        else:
            self._line.append(f"{indent}{number}. ")
            self._lists[-1] = number + 1

    def _image(self, given: dict[str, str]) -> None:
        alt = _SPACES.sub(" ", given.get("alt", "")).strip()
        if alt:
            link = given.get("href", "")
            self._line.append(f"{alt}: {link}" if link else alt)
            self._break()

    def _close_link(self, *, own_line: bool) -> None:
        href, begin = self._links.pop()
        words = "".join(self._line[begin:]).strip()
        bare = href.removeprefix("mailto:").removeprefix("tel:")
        if not href or href.startswith("#") or words in {href, bare}:
            return
        last = next((line for line in reversed(self._lines) if line), "")
        if last.endswith(f": {href}"):
            return  # just told, by the picture above the button
        if not words:
            self._line.append(bare)
        elif own_line:
            self._line.append(f": {href}")
        else:
            self._line.append(f" ({bare})")

    def _break(self, *, empty: bool = False) -> None:
        """Ends the line, and leaves an empty one behind a paragraph; never two, nothing twice."""
        joined = "".join(self._line)
        self._line.clear()
        if self._links:
            self._links = [(href, 0) for href, _ in self._links]
        if stripped := joined.strip():
            indent = joined[: len(joined) - len(joined.lstrip())] if self._lists else ""
            line = indent + _SPACES.sub(" ", stripped).replace("\xa0", " ")
            if line not in self._lines[-2:]:
                self._lines.append(line)
        if empty and self._lines and self._lines[-1]:
            self._lines.append("")

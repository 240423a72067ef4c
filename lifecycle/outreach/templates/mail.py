"""How does MJML become the HTML of an e-mail, and is that harmless to whoever opens it?"""

from __future__ import annotations

import re

import mrml

CLIPPED_AT = 102 * 1024  # bytes: Gmail cuts off what is behind, the link to unsubscribe too

SCHEMES = frozenset({"http", "https", "mailto", "tel", "sms"})
LINKING = frozenset({"href", "src", "action", "background", "background-url", "poster"})
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_BLANK = re.compile("[\x00-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202f\ufeff]")  # browsers skip them

_PARSER = mrml.ParserOptions(include_loader=mrml.noop_loader())
_RENDER = mrml.RenderOptions()


class BadMail(Exception):
    """It is no MJML, or holds what no e-mail of ours may hold."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def html_of(mjml: str) -> str:
    """Raises BadMail. Nothing is read from anywhere: an include in MJML is refused."""
    try:
        output = mrml.to_html(mjml, _PARSER, _RENDER)
    except OSError as error:
        raise BadMail(
            "bad_mjml", f"this is no MJML: {' '.join(str(error).split())[:200]}"
        ) from error
    return str(output.content)


def is_safe_link(link: str) -> bool:
    """Whether it goes where links of e-mails go: no script, no data, no file."""
    scheme = _SCHEME.match(_BLANK.sub("", link))
    return scheme is None or scheme.group(1).lower() in SCHEMES

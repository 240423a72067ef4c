"""Who fetched something of a letter: she, or a machine on its way to her? Pure; what is doubtful is a machine's.

Gmail's and Yahoo's proxies fetch a picture when she opens the letter, so theirs is her opening. Whoever
fetches before that is listed here, with how to know them; docs/feedback.md says what stays hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

SOON = timedelta(seconds=10)  # after a letter was handed over: nobody has read it yet
TOGETHER = timedelta(seconds=2)  # different links within this are followed by one who follows all


class Why(StrEnum):
    """Why what was fetched is taken for a machine's."""

    HEAD = "head"
    """It asked whether there is something, and not for it."""

    AHEAD = "ahead"
    """It said that it fetches in case somebody asks: a prefetch, a preview."""

    PRIVACY = "privacy"
    """Apple Mail's privacy protection, which fetches every picture of every letter."""

    NAMELESS = "nameless"
    """It does not say what it is; every browser does."""

    SCANNER = "scanner"
    """A filter, a crawler, a previewer of links, or a program by its name."""

    SOON = "soon"
    """The letter had hardly been handed over."""

    TOGETHER = "together"
    """Several links at once: who looks for harm follows all."""


_TOLD = {
    Why.HEAD: "it asked whether there is something, and not for it",
    Why.AHEAD: "it fetched in case somebody asks",
    Why.PRIVACY: "Apple Mail fetches every picture of every letter",
    Why.NAMELESS: "it does not say what it is",
    Why.SCANNER: "a filter, a crawler or a previewer by its name",
    Why.SOON: "the letter had hardly been handed over",
    Why.TOGETHER: "several links were followed at once",
}


def told(why: Why) -> str:
    """Plain English, half a sentence without a full stop."""
    return _TOLD[why]


_AHEAD = ("purpose", "sec-purpose", "x-purpose", "x-moz")
_AHEAD_WORDS = re.compile("prefetch|prerender|preview", re.IGNORECASE)
_PRIVACY = "Mozilla/5.0"
_SCANNER = re.compile(
    r"(?<!cu)bots?\b|crawl|spider|slurp|scan|preview|headless|phantomjs|externalhit|validator"
    r"|monitor|archiver|prefetch|proofpoint|mimecast|barracuda|symantec|messagelabs|trendmicro"
    r"|fireeye|fortinet|forcepoint|sophos|ironport|zscaler|safelinks|virustotal|urlscan"
    r"|^(?:whatsapp|viber|java|curl|wget|python|go-http|okhttp|axios|node|ruby|perl|php|libwww"
    r"|apache-httpclient|httpx|aiohttp|dalvik|microsoft office|ms-office)\b",
    re.IGNORECASE,
)


def machine(method: str, headers: Mapping[str, str]) -> Why | None:
    """Why whoever asks is a machine, as far as the request itself tells; names are in small letters."""
    if method != "GET":
        return Why.HEAD
    if any(_AHEAD_WORDS.search(headers.get(name, "")) for name in _AHEAD):
        return Why.AHEAD
    agent = headers.get("user-agent", "").strip()
    if not agent:
        return Why.NAMELESS
    if agent == _PRIVACY:
        return Why.PRIVACY
    return Why.SCANNER if _SCANNER.search(agent) else None


def is_soon(at: datetime, handed_over: datetime) -> bool:
    """Whether it was fetched before or just after the letter was handed over; both by one clock."""
    return at < handed_over + SOON


def together(fetched: Iterable[tuple[int, datetime]]) -> list[tuple[datetime, datetime]]:
    """The times, from and to, in which different links were followed together.

    `fetched` are links of one letter, by their numbers, and when each was followed.
    """
    ordered = sorted(fetched, key=lambda each: each[1])
    return [
        (before, after)
        for (one, before), (other, after) in pairwise(ordered)
        if one != other and after - before <= TOGETHER
    ]


def is_within(at: datetime, times: Iterable[tuple[datetime, datetime]]) -> bool:
    """Whether it was fetched in one of those times, or so close to one that it was the same machine."""
    return any(since - TOGETHER <= at <= until + TOGETHER for since, until in times)

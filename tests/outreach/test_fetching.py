"""Who fetches what before she does, and how they are known; what is doubtful is a machine's."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from lifecycle.outreach.fetching import (
    SOON,
    TOGETHER,
    Why,
    is_soon,
    is_within,
    machine,
    together,
    told,
)
from tests.conftest import ROOT

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/131.0.0.0 Safari/537.36"
)
HERS = [
    CHROME,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:133.0) Gecko/20100101 Thunderbird/128.5.0",
    "Mozilla/5.0 (Linux; Android 13; CUBOT NOTE 20) AppleWebKit/537.36 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 14; wv) AppleWebKit/537.36 MicroMessenger/8.0.49 NetType/WIFI Language/zh_CN",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Microsoft Outlook 16.0.17328; ms-office)",
]  # fmt: skip
MACHINES = [
    ("HEAD", {"user-agent": CHROME}, Why.HEAD),
    ("GET", {"user-agent": CHROME, "purpose": "prefetch"}, Why.AHEAD),
    ("GET", {"user-agent": CHROME, "sec-purpose": "prefetch;prerender"}, Why.AHEAD),
    ("GET", {"user-agent": CHROME, "x-purpose": "preview"}, Why.AHEAD),
    ("GET", {"user-agent": CHROME, "x-moz": "Prefetch"}, Why.AHEAD),
    ("GET", {}, Why.NAMELESS),
    ("GET", {"user-agent": " "}, Why.NAMELESS),
    ("GET", {"user-agent": "Mozilla/5.0"}, Why.PRIVACY),
    *(
        ("GET", {"user-agent": agent}, Why.SCANNER)
        for agent in (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
            "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "TelegramBot (like TwitterBot)",
            "LinkedInBot/1.0 (compatible; Mozilla/5.0; +https://www.linkedin.com)",
            "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
            "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
            "WhatsApp/2.23.20.0 A",
            "Barracuda Sentinel (EE)",
            "Mozilla/5.0 (compatible; Proofpoint URL Defense)",
            "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/131.0.0.0 Safari/537.36",
            "python-requests/2.32.3",
            "Python/3.11 aiohttp/3.9",
            "curl/8.5.0",
            "Wget/1.21",
            "Go-http-client/2.0",
            "Java/17.0.1",
            "okhttp/4.12.0",
            "axios/1.6.0",
            "node-fetch/1.0",
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("agent", HERS)
def test_whoever_reads_a_letter_is_no_machine(agent: str) -> None:
    assert machine("GET", {"user-agent": agent}) is None


@pytest.mark.parametrize(("method", "headers", "why"), MACHINES)
def test_a_machine_is_known_by_what_it_says_of_itself(
    method: str, headers: dict[str, str], why: Why
) -> None:
    assert machine(method, headers) is why


def test_nobody_reads_a_letter_that_has_just_left() -> None:
    assert is_soon(NOW - timedelta(seconds=1), NOW)
    assert is_soon(NOW + SOON - timedelta(microseconds=1), NOW)
    assert not is_soon(NOW + SOON, NOW)


def seconds(number: float) -> datetime:
    return NOW + timedelta(seconds=number)


@pytest.mark.parametrize(
    ("fetched", "machines"),
    [
        ([(1, 0)], []),
        ([(1, 0), (2, 2)], [0, 2]),
        ([(1, 0), (2, 2.1)], []),
        ([(1, 0), (1, 0.1)], []),
        ([(1, 0), (2, 1.5), (3, 3), (4, 9)], [0, 1.5, 3]),
        ([(1, 9), (3, 3), (2, 1.5), (1, 0)], [0, 1.5, 3]),
    ],
)
def test_different_links_at_once_are_followed_by_one_who_follows_all(
    fetched: list[tuple[int, float]], machines: list[float]
) -> None:
    times = together((link, seconds(at)) for link, at in fetched)
    assert sorted(at for _, at in fetched if is_within(seconds(at), times)) == machines


def test_what_is_fetched_about_then_was_fetched_by_the_same() -> None:
    times = [(seconds(0), seconds(1))]
    assert is_within(NOW - TOGETHER, times)
    assert is_within(seconds(1) + TOGETHER, times)
    assert not is_within(seconds(1.1) + TOGETHER, times)
    assert not is_within(NOW, [])


def test_each_reason_is_told_and_stands_in_the_documentation() -> None:
    document = (ROOT / "docs" / "feedback.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z]+)` \|", document.partition("### Machines")[2], re.MULTILINE)
    assert rows == [why.value for why in Why]
    assert all(told(why) for why in Why)

"""From the settings to a guard: a letter leaves by SMTP, is opened and clicked over HTTP, and that counts.

Everything is real, but that nobody is outside: the texts' processes, the mail server and the web server.
"""

from __future__ import annotations

import email
import email.policy
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from lifecycle.bootstrap import Engine, build
from lifecycle.domain.builtin import CONSENT_GIVEN
from lifecycle.domain.event import Event
from lifecycle.engine.reading import customer
from lifecycle.outreach.secret import Secret
from lifecycle.outreach.tokens import message_in
from lifecycle.resources import templates_dir
from lifecycle.settings import Settings
from lifecycle.store import events
from lifecycle.web.feedback.fetches import PICTURE
from tests.policies import scenario_policy
from tests.scenarios.driver import ANNA
from tests.sending.conftest import RULES, bought, known, paid_back
from tests.sending.post_office import let_real
from tests.support.current import make_current
from tests.support.engine import draft
from tests.support.smtp import SmtpServer, Taken
from tests.web.conftest import PUBLIC_URL, serving
from tests.web.letters import Sent, left

SECRET = b"a secret of the tests, not of any shop"
CHANNELS = """\
company: {{name: Ours, address: 1 Road, website: "https://shop.example/?from=button&to=all"}}
channels:
  email:
    kind: smtp
    host: 127.0.0.1
    port: {port}
    security: none
    signed_by: example.com
    senders: {{care: {{name: Care, address: care@example.com}}}}
    {measure}
"""
POLICY = scenario_policy(
    facts=["clicks: {count: lifecycle.clicked, within: 90d}", "opens: {count: lifecycle.opened}"],
    transitions=[
        "{name: keen, on: page_viewed, from: deal, to: loyal, when: clicks == 1 && opens == 1}"
    ],
    outreach=RULES,
)
TEXT = """\
---
subject: Hello
layout: {layout}
---
<mj-text>Hello, and <a href="https://shop.example/路?a=1&amp;b=2">look</a>,
or <a href="mailto:care@example.com">write</a> to us, or <a href="tel:+86215555">call</a>.</mj-text>
<mj-button href="{{{{ company.website }}}}">Shop</mj-button>
"""
HERS = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"}
EVERYTHING = "measure: {opens: true, clicks: true, consent: measurement}"


@contextmanager
def shop(url: str, home: Path, port: int, measure: str) -> Iterator[Engine]:
    """An installation on real time that sends by SMTP to that port."""
    config, texts = home / "config", home / "templates"
    for folder in ("_layouts", "_partials"):
        shutil.copytree(templates_dir() / folder, texts / folder)
    for rule, layout in (("offer", "brand"), ("receipt", "service")):
        (texts / rule).mkdir()
        (texts / rule / "email.en.mjml").write_text(TEXT.format(layout=layout), encoding="utf-8")
    config.mkdir()
    (config / "policy.yaml").write_text(POLICY, encoding="utf-8")
    channels = CHANNELS.format(port=port, measure=measure)
    (config / "channels.yaml").write_text(channels, encoding="utf-8")
    make_current(url)
    settings = Settings(
        database_url=url,
        config_dir=config,
        templates_dir=texts,
        secret=SECRET,
        public_url=PUBLIC_URL,
    )
    with build(settings, sends=True) as engine:
        let_real(engine.installation)
        try:
            yield engine
        finally:
            engine.stop_sending()


def arrive(engine: Engine, *posted: Event) -> None:
    engine.accept([draft(each) for each in posted])
    engine.apply_pending()
    engine.fire_due()
    assert engine.send_due()
    engine.apply_pending()


def agreed(engine: Engine) -> Event:
    said = {"purpose": "measurement", "channel": "email"}
    now = engine.now()
    return Event("shop", "measured", ANNA, CONSENT_GIVEN, now, now, said)


def html_of(letter: Taken) -> str:
    return part(letter, "html")


def part(letter: Taken, kind: str) -> str:
    mail = email.message_from_bytes(letter.content, policy=email.policy.default)
    found = mail.get_body((kind,))
    assert found is not None
    text: str = found.get_content()
    return text


class _Links(HTMLParser):
    def __init__(self, document: str) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "a":
            self.hrefs.append(said["href"] or "")
        if tag == "img":
            self.images.append(said)


def told(engine: Engine) -> list[str]:
    with engine.db.read() as tx:
        found = events.all_of(tx, customer(engine.installation, ANNA).number)
    ours = [each.event for each in found if each.event.type.startswith("lifecycle.")]
    return [
        each.type.removeprefix("lifecycle.") + f" {each.properties.get('why', '')}".rstrip()
        for each in ours
        if each.type != "lifecycle.sent"
    ]


def settle(engine: Engine) -> None:
    from lifecycle.engine import fetches

    fetches.settle(engine.installation, engine.feedback.measures, quiet=timedelta(seconds=-60))
    engine.apply_pending()


def path(link: str) -> str:
    assert link.startswith(f"{PUBLIC_URL}/")
    return link.removeprefix(PUBLIC_URL)


def test_a_letter_is_measured_from_the_mailbox_to_the_guard(
    database_url: str, tmp_path: Path
) -> None:
    with SmtpServer() as server, shop(database_url, tmp_path, server.port, EVERYTHING) as engine:
        now = engine.now()
        arrive(engine, *known(now), agreed(engine), bought(now))
        (letter,) = server.taken
        links = _Links(html_of(letter))
        led = [link for link in links.hrefs if link.startswith(f"{PUBLIC_URL}/r/")]
        (picture,) = [i for i in links.images if (i["src"] or "").startswith(f"{PUBLIC_URL}/o/")]
        assert (picture["alt"], picture["width"], picture["height"]) == ("", "1", "1")
        with serving(engine) as client:
            client.headers.update(HERS)
            # a filter looks at it as it comes in
            assert client.get(path(led[0])).status_code == 302
            settle(engine)
            assert told(engine) == ["prefetched soon"]
            # an hour later she reads it
            row = message_in(Secret(SECRET), letter.key.strip("<>").partition("@")[0])
            assert row is not None
            sent = Sent(customer=1, message=row, key="", address_hash="")
            left(engine, sent, timedelta(hours=1))
            assert client.get(path(picture["src"] or "")).content == PICTURE
            answer = client.get(path(led[0]))
            assert answer.headers["location"] == "https://shop.example/%E8%B7%AF?a=1&b=2"
            settle(engine)
        assert sorted(told(engine)) == ["clicked", "opened", "prefetched soon"]
        page = Event("shop", "page", ANNA, "page_viewed", engine.now(), engine.now(), {})
        arrive(engine, page)
        assert customer(engine.installation, ANNA).state == "loyal"


def test_only_what_leads_to_the_web_leads_through_us(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'test.db'}"
    with SmtpServer() as server, shop(url, tmp_path, server.port, EVERYTHING) as engine:
        now = engine.now()
        arrive(engine, *known(now), agreed(engine), bought(now))
        (letter,) = server.taken
        with serving(engine) as client:
            leads = [leading(client, href) for href in _Links(html_of(letter)).hrefs]
    assert "https://shop.example/%E8%B7%AF?a=1&b=2" in leads
    assert "https://shop.example/?from=button&to=all" in leads
    assert "mailto:care@example.com" in leads
    assert "tel:+86215555" in leads
    assert [lead for lead in leads if lead.startswith(f"{PUBLIC_URL}/u/")], "the way out is direct"
    assert "/r/" not in part(letter, "plain")
    assert "https://shop.example/路?a=1&b=2" in part(letter, "plain")
    header = email.message_from_bytes(letter.content)["List-Unsubscribe"]
    assert f"<{PUBLIC_URL}/u/" in header


def leading(client: httpx.Client, href: str) -> str:
    """Where a link leads in the end."""
    if not href.startswith(f"{PUBLIC_URL}/r/"):
        return href
    return client.get(path(href)).headers["location"]


def letters_of(home: Path, measure: str, *, agrees: bool = False) -> dict[str, bytes]:
    """The marketing and the service letter of an installation, without the second they left in."""
    home.mkdir()
    url = f"sqlite:///{home / 'test.db'}"
    with SmtpServer() as server, shop(url, home, server.port, measure) as engine:
        now = engine.now()
        said = [agreed(engine)] if agrees else []
        arrive(engine, *known(now), *said, bought(now))
        arrive(engine, paid_back(now))
        taken = {letter.key: letter.content for letter in server.taken}
    dateless = [re.sub(rb"^Date: [^\r]*", b"", content) for content in taken.values()]
    service = [b"List-Unsubscribe" not in content for content in dateless]
    assert service == [False, True]
    return dict(zip(("marketing", "service"), dateless, strict=True))


def test_a_letter_that_is_not_measured_is_the_same_to_the_byte(tmp_path: Path) -> None:
    """Where measuring is off, where she has not agreed to it, and what is no marketing in any case."""
    off = letters_of(tmp_path / "off", "")
    assert letters_of(tmp_path / "not-agreed", EVERYTHING) == off
    on = letters_of(tmp_path / "agreed", EVERYTHING, agrees=True)
    assert on["service"] == off["service"]
    assert on["marketing"] != off["marketing"]
    everybody = EVERYTHING.replace("measurement", "none")
    without_consent = letters_of(tmp_path / "everybody", everybody)["marketing"]
    assert measured_in(without_consent) == (True, True)


def measured_in(content: bytes) -> tuple[bool, bool]:
    """Whether links of it lead through us, and whether it has a picture of ours."""
    html = html_of(Taken(content=b"Date: now" + content))
    return f"{PUBLIC_URL}/r/v1." in html, f"{PUBLIC_URL}/o/v1." in html


@pytest.mark.parametrize(
    ("measure", "has"),
    [
        ("measure: {opens: true, consent: none}", (False, True)),
        ("measure: {clicks: true, opens: false, consent: none}", (True, False)),
    ],
)
def test_each_is_measured_by_itself(tmp_path: Path, measure: str, has: tuple[bool, bool]) -> None:
    letter = letters_of(tmp_path / "shop", measure)["marketing"]
    assert measured_in(letter) == has

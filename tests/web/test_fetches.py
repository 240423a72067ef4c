"""The links and the picture of a measured letter, over HTTP and on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import httpx
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.engine import fetches, keys
from lifecycle.errors import Unavailable
from lifecycle.outreach import tokens
from lifecycle.outreach.secret import Secret
from lifecycle.outreach.tokens import Followed, Looked
from lifecycle.store import events, handed
from lifecycle.store import fetches as rows
from lifecycle.web.feedback import fetches as pages
from tests.intake.bad_input import event
from tests.web.conftest import running, serving
from tests.web.letters import Sent, leaving, left, secret_of, send, survey

TARGET = "https://shop.example/a%20b?x=1&y=%E8%B7%AF;|'*#part"
MEASURED = """\
channels:
  email: {kind: file, folder: letters, measure: {opens: true, clicks: true, consent: none}}
"""
HERS = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"}


@pytest.fixture
def engine(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "channels.yaml").write_text(MEASURED, encoding="utf-8")
    with running(database_url, tmp_path, secret=b"s" * 32) as engine:
        yield engine


@pytest.fixture
def client(engine: Engine) -> Iterator[httpx.Client]:
    with serving(engine) as client:
        client.headers.update(HERS)
        yield client


@pytest.fixture
def sent(engine: Engine, client: httpx.Client) -> Sent:
    client.post("/v1/events", json={"events": [event(id="1")]})
    engine.apply_pending()
    letter = send(engine)
    left(engine, letter, timedelta(days=1))
    return letter


def link(engine: Engine, sent: Sent, target: str = TARGET, number: int = 1) -> str:
    followed = Followed(
        letter=sent.key, channel="email", consent=None, number=number, target=target
    )
    return f"/r/{tokens.followed_token(secret_of(engine), followed)}"


def picture(engine: Engine, sent: Sent) -> str:
    looked = Looked(letter=sent.key, channel="email", consent=None)
    return f"/o/{tokens.looked_token(secret_of(engine), looked)}"


def told(engine: Engine, sent: Sent) -> list[str]:
    fetches.settle(engine.installation, engine.feedback.measures, quiet=timedelta(seconds=-60))
    with engine.db.read() as tx:
        found = events.all_of(tx, sent.customer)
    return [
        each.event.type.removeprefix("lifecycle.")
        + (f" {each.event.properties['why']}" if "why" in each.event.properties else "")
        for each in found
        if each.event.source == "lifecycle"
    ]


def test_a_link_leads_to_exactly_where_it_led(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    answer = client.get(link(engine, sent))
    assert answer.status_code == 302
    assert answer.headers["location"] == TARGET
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers
    assert answer.content == b""
    assert told(engine, sent) == ["clicked"]


def test_the_picture_is_one_that_web_mail_may_show(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    answer = client.get(picture(engine, sent))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.content == pages.PICTURE
    assert answer.content.startswith(b"GIF89a\x01\x00\x01\x00")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "set-cookie" not in answer.headers
    assert told(engine, sent) == ["opened"]


def test_who_only_asks_is_answered_and_is_a_machine(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    assert client.head(link(engine, sent)).headers["location"] == TARGET
    assert client.head(picture(engine, sent)).status_code == 200
    ahead = {"Sec-Purpose": "prefetch;prerender"}
    assert client.get(link(engine, sent, number=2), headers=ahead).status_code == 302
    assert client.get(picture(engine, sent), headers={"User-Agent": "Mozilla/5.0"}).is_success
    assert told(engine, sent) == ["prefetched head", "prefetched head"]


def test_other_methods_do_nothing(engine: Engine, client: httpx.Client, sent: Sent) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert client.request(method, link(engine, sent)).status_code == 405
        assert client.request(method, picture(engine, sent)).status_code == 405
    assert told(engine, sent) == []


def test_a_scanner_that_follows_all_links_has_not_clicked(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    for number in range(1, 6):
        client.get(link(engine, sent, number=number))
    client.get(picture(engine, sent))
    assert told(engine, sent) == ["prefetched together", "prefetched together"]


def wrong_links(engine: Engine, sent: Sent) -> dict[str, str]:
    good = link(engine, sent)
    head, _, tag = good.rpartition(".")
    stranger = tokens.followed_token(
        Secret(b"x" * 32),
        Followed(letter=sent.key, channel="email", consent=None, number=1, target="https://evil.example/"),
    )  # fmt: skip
    payload = tokens._base64(b'["m1-x","email",null,1,"https://evil.example/"]')
    version, key, *_ = good.split(".")
    return {
        "altered": good[:-1] + ("A" if good[-1] != "A" else "B"),
        "another target": f"{version}.{key}.{payload}.{tag}",
        "cut": head,
        "signed by a stranger": f"/r/{stranger}",
        "to unsubscribe": leaving(engine, sent).replace("/u/", "/r/"),
        "for a survey": survey(engine, sent).replace("/s/", "/r/"),
        "of the picture": picture(engine, sent).replace("/o/", "/r/"),
        "to a script": link(engine, sent, "javascript:alert(1)"),
        "to another host's path": link(engine, sent, "//evil.example/"),
        "with a header in it": link(engine, sent, "https://a.example/\r\nSet-Cookie: x=y"),
        "no link": "/r/https://evil.example/",
        "nothing": "/r/x",
        "long": f"/r/{'x' * 5000}",
    }


def test_a_wrong_link_leads_nowhere(engine: Engine, client: httpx.Client, sent: Sent) -> None:
    for what, path in wrong_links(engine, sent).items():
        for method in ("GET", "HEAD"):
            answer = client.request(method, path)
            assert answer.status_code == (404 if what == "no link" else 400), what
            assert "location" not in answer.headers
            assert "set-cookie" not in answer.headers
    assert "This link does not work" in client.get("/r/x").text
    assert told(engine, sent) == []


def test_a_link_to_follow_is_good_for_nothing_else(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    for path in ("/u/", "/s/", "/c/"):
        assert client.post(link(engine, sent).replace("/r/", path)).status_code == 400
        assert client.post(picture(engine, sent).replace("/o/", path)).status_code == 400
    assert told(engine, sent) == []


def test_a_wrong_picture_is_the_same_picture_and_tells_nothing(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    right = client.get(picture(engine, sent))
    for path in ("/o/x", picture(engine, sent)[:-1], link(engine, sent).replace("/r/", "/o/")):
        wrong = client.get(path)
        assert (wrong.status_code, wrong.content) == (right.status_code, right.content)
        same = {"content-type", "cache-control", "cross-origin-resource-policy", "content-length"}
        assert {name: wrong.headers[name] for name in same} == {
            name: right.headers[name] for name in same
        }
    assert told(engine, sent) == ["opened"]


def test_it_leads_on_where_the_letter_is_known_no_more(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    unknown = Sent(
        customer=9,
        message=999,
        key=tokens.letter_key(secret_of(engine), 999),
        address_hash="",
    )
    assert client.get(link(engine, unknown)).headers["location"] == TARGET
    assert client.get(picture(engine, unknown)).content == pages.PICTURE
    assert told(engine, sent) == []
    with engine.db.read() as tx:
        assert handed.of_message(tx, 999, None) is None


def away(*_: object) -> NoReturn:
    raise Unavailable("the database does not answer")


def test_it_leads_on_while_the_database_is_away_and_that_is_told(
    engine: Engine,
    client: httpx.Client,
    sent: Sent,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    paths = [link(engine, sent), picture(engine, sent)]
    with monkeypatch.context() as failing:
        for way in ("read", "write", "run"):
            failing.setattr(engine.db, way, away)
        answer = client.get(paths[0])
        assert (answer.status_code, answer.headers["location"]) == (302, TARGET)
        assert client.get(paths[1]).content == pages.PICTURE
        assert client.head(paths[1]).status_code == 200
        assert client.get("/healthz").status_code == 503
    assert "noting what was opened or clicked failed" in caplog.text
    assert engine.complaints.total == 4  # the three, and the one of /healthz
    assert told(engine, sent) == []


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Nothing is noted until this is set: what is asked for meanwhile waits."""
    go_on = threading.Event()
    note = fetches.note

    def slowly(*args: object) -> None:
        assert go_on.wait(60)
        note(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(pages, "note", slowly)
    monkeypatch.setattr(pages, "PATIENCE_SECONDS", 0.01)
    yield go_on
    go_on.set()


def test_nobody_waits_for_a_database_that_is_slow(
    engine: Engine, sent: Sent, stuck: threading.Event
) -> None:
    """Neither she nor whoever else asks; and all of it is noted all the same, once it goes on."""
    links = [link(engine, sent, number=number) for number in range(1, 121)]
    with serving(engine) as client:
        for one in links:
            assert client.get(one, headers=HERS).headers["location"] == TARGET
        with engine.db.read() as tx:
            assert rows.of(tx, [sent.message]) == {}
        for other in ("/readyz", "/healthz", leaving(engine, sent)):
            assert client.get(other).status_code == 200
        stuck.set()
    with engine.db.read() as tx:
        noted = rows.of(tx, [sent.message])[sent.message]
    assert sorted(each.link for each in noted) == list(range(1, 121))


def test_only_so_many_wait_to_be_noted(
    engine: Engine,
    client: httpx.Client,
    sent: Sent,
    stuck: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """She gets where she goes all the same, and that it was not noted is told."""
    monkeypatch.setattr(pages, "MOST_WAITING", 6)
    for number in range(1, 10):
        assert client.get(link(engine, sent, number=number)).headers["location"] == TARGET
    assert engine.complaints.total == 3
    assert "6 wait for the database already" in caplog.text
    assert not stuck.is_set()


def test_what_waits_at_the_end_is_given_up_in_time_and_told(
    engine: Engine,
    sent: Sent,
    stuck: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What the database has begun is not: it ends by the database's own limits."""
    monkeypatch.setattr(pages, "LAST_SECONDS", 0.01)
    complain = engine.complaints.about

    def about(event: str, what: str, error: BaseException) -> None:
        complain(event, what, error)
        stuck.set()  # only once the rest is given up

    monkeypatch.setattr(engine.complaints, "about", about)
    with serving(engine) as client:
        for number in range(1, pages.WRITERS + 4):
            client.get(link(engine, sent, number=number), headers=HERS)
    assert "3 still waited for the database at the end" in caplog.text
    with engine.db.read() as tx:
        noted = rows.of(tx, [sent.message])[sent.message]
    assert len(noted) == pages.WRITERS


def test_looking_at_the_link_to_leave_is_neither(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    for _ in range(3):
        assert client.get(leaving(engine, sent)).status_code == 200
    assert told(engine, sent) == []


def test_customers_need_no_key_and_may_come_by_any_name(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    keys.create(engine.db, "shop", [], by="olga")
    with serving(engine) as other:
        assert other.get("/v1/transitions").status_code == 401
        public = {"Host": "care.example.com", **HERS}
        assert other.get(link(engine, sent), headers=public).status_code == 302
        assert other.get(picture(engine, sent), headers=public).status_code == 200
    assert sorted(told(engine, sent)) == ["clicked", "opened"]


def test_nothing_of_the_visitor_is_kept(
    engine: Engine, client: httpx.Client, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    client.get(
        link(engine, sent),
        headers={"User-Agent": "Canary/7 Gecko", "Referer": "https://canary.example"},
    )
    told(engine, sent)
    with engine.db.read() as tx:
        (found,) = [
            e.event for e in events.all_of(tx, sent.customer) if e.event.source == "lifecycle"
        ]
    assert set(found.properties) == {"rule", "step", "channel", "message", "link", "url"}
    ours = [each.getMessage() for each in caplog.records if each.name.startswith("lifecycle")]
    assert any("/r/{token}" in line for line in ours)
    assert not [line for line in ours if "anary" in line or "x=1" in line]

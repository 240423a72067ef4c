"""What follows from reports, on both databases: at once, once, and for no other address."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lifecycle import killpoints
from lifecycle.bootstrap import Engine
from lifecycle.domain.event import FAILED, SENT, UNKNOWN
from lifecycle.domain.fate import Fate
from lifecycle.engine import feedback, wishes
from lifecycle.engine.accept import accept_within
from lifecycle.engine.explain.gather import explain
from lifecycle.engine.feedback import KnownAlready, Recorded, Taken, Unmatched
from lifecycle.engine.reading import customer
from lifecycle.intake.draft import draft_of_ours
from lifecycle.intake.native import read_batch
from lifecycle.killpoints import Point
from lifecycle.outreach.replies import News, Report
from lifecycle.outreach.secret import Secret
from lifecycle.outreach.tokens import Membership
from lifecycle.store import customers, events, handed, suppressions
from lifecycle.store.sql import Tx
from lifecycle.store.suppressions import SOFT_FOR, SOFT_MOST
from tests.intake.bad_input import body, event
from tests.web.conftest import running
from tests.web.letters import Sent, fate_of, scopes, secret_of, send

OTHERS = "other@example.com"


@pytest.fixture
def engine(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    with running(database_url, tmp_path, secret=b"s" * 32) as engine:
        post(engine)
        yield engine


def post(engine: Engine) -> None:
    batch = read_batch(body(event(id="1")), engine.policy(), engine.now(), "shop")
    engine.accept([item for item in batch.items if not isinstance(item, Exception)])
    engine.apply_pending()


def report(
    engine: Engine, news: News, sent: Sent, *, code: str = "5.1.1", channel: str = "email"
) -> Taken:
    said = Report(news=news, code=code, letters=(sent.key,), channel=channel)
    return feedback.take(engine.installation, secret_of(engine), said)


def told(engine: Engine) -> list[tuple[str, dict[str, Any]]]:
    with engine.db.read() as tx:
        found = events.all_of(tx, customer(engine.installation, "c1").number)
    return [
        (each.event.type, dict(each.event.properties))
        for each in found
        if each.event.source == "lifecycle"
    ]


def test_a_hard_bounce_ends_all_mail_to_that_address(engine: Engine) -> None:
    sent, other = send(engine), send(engine, 2, address=OTHERS)
    assert report(engine, News.HARD, sent) == Recorded(rule="win-back", channel="email")
    assert scopes(engine, sent.address_hash, other.address_hash) == {sent.address_hash: {"all"}}
    said = {"rule": "win-back", "step": 1, "channel": "email", "message": sent.message}
    assert told(engine) == [("lifecycle.bounced", {**said, "code": "5.1.1", "kind": "hard"})]
    assert engine.apply_pending().events == 1
    assert fate_of(engine, sent) is Fate.SENT


def test_a_complaint_ends_marketing_only(engine: Engine) -> None:
    """Row 76, whatever the letter was that she complained of."""
    sent = send(engine)
    report(engine, News.COMPLAINED, sent, code="abuse")
    found = scopes(engine, sent.address_hash)[sent.address_hash]
    assert found == {"marketing"}
    assert not suppressions.covers(found, None, marketing=False)
    assert [kind for kind, _ in told(engine)] == ["lifecycle.complained"]


def test_a_refusal_for_what_we_are_is_no_fault_of_the_address(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    sent = send(engine)
    report(engine, News.POLICY, sent, code="5.7.1")
    assert scopes(engine, sent.address_hash) == {}
    assert told(engine)[0][1]["kind"] == "policy"
    assert "refused for how we send (5.7.1)" in caplog.text


def test_several_soft_bounces_silence_an_address_for_a_while(engine: Engine) -> None:
    letters = [send(engine, number) for number in range(1, SOFT_MOST + 1)]
    hashed = letters[0].address_hash
    for sent in letters[:-1]:
        report(engine, News.SOFT, sent, code="5.2.2")
        report(engine, News.SOFT, sent, code="5.2.2")  # said twice
    assert scopes(engine, hashed) == {}
    report(engine, News.SOFT, letters[-1], code="5.2.2")
    assert scopes(engine, hashed) == {hashed: {"all"}}
    with engine.db.read() as tx:
        later = engine.db.clock(tx) + SOFT_FOR + timedelta(seconds=1)
        assert suppressions.suppressed(tx, [hashed], later) == {}


@pytest.mark.parametrize(
    ("news", "code", "lines"),
    [
        (
            News.HARD,
            "5.1.1",
            [
                "win-back (email) came back for good (5.1.1, a hard bounce).",
                "The address to which it went is written to no more, until a person lifts that.",
            ],
        ),
        (
            News.SOFT,
            "5.2.2",
            [
                "win-back (email) did not arrive this time (5.2.2, a soft bounce).",
                "It was counted: soft bounces of 5 letters within 14 days silence the address for 30 days.",
            ],
        ),
        (
            News.POLICY,
            "5.7.1",
            [
                "win-back (email) was refused for how we send (5.7.1), which is no fault of her address.",
                "A person should look into it before more is sent.",
            ],
        ),
        (
            News.COMPLAINED,
            "abuse",
            [
                "She called win-back (email) spam (abuse).",
                "No marketing goes to that address any more, until a person lifts that; service messages do.",
            ],
        ),
        (
            News.DELIVERED,
            "2.0.0",
            [
                "win-back (email) arrived.",
                "It counts as sent, also where nobody knew whether it had left.",
            ],
        ),
    ],
)
def test_explain_tells_of_a_report_and_what_followed_in_words(
    engine: Engine, news: News, code: str, lines: list[str]
) -> None:
    report(engine, news, send(engine), code=code)
    engine.apply_pending()
    story = explain(engine.installation, "c1").lines()
    (at,) = [number for number, line in enumerate(story) if line.endswith(lines[0])]
    assert story[at + 1].strip() == lines[1]
    assert "Nothing followed" not in story[at + 2]
    assert "lifecycle." not in "\n".join(story)


@pytest.mark.parametrize(
    ("kind", "channel", "line"),
    [
        (SENT, "email", "nurture (email, letter 2 of the series) was sent."),
        (FAILED, "email", "nurture (email, letter 2 of the series) could not be sent (5.1.1)."),
        (
            UNKNOWN,
            "",
            "nurture (letter 2 of the series) may have been sent: the answer was lost (5.1.1), so it is not sent again.",
        ),
    ],
)
def test_explain_tells_in_words_how_sending_ended(
    engine: Engine, kind: str, channel: str, line: str
) -> None:
    said: dict[str, Any] = {"message": "key", "rule": "nurture", "step": 2, "channel": channel}
    if kind != SENT:
        said["code"] = "5.1.1"

    def ended(tx: Tx) -> None:
        draft = draft_of_ours(f"{kind}:1", "c1", kind, engine.installation.now(tx), said)
        accept_within(engine.installation, tx, [draft])

    engine.db.run(ended)
    engine.apply_pending()
    assert any(told.endswith(line) for told in explain(engine.installation, "c1").lines())


def test_the_same_report_twice_is_one(engine: Engine) -> None:
    sent = send(engine)
    report(engine, News.HARD, sent)
    assert report(engine, News.HARD, sent) == KnownAlready()
    assert report(engine, News.HARD, sent, code="5.1.2") == KnownAlready()
    assert len(told(engine)) == 1


def test_a_report_that_comes_again_does_not_undo_what_a_person_did(engine: Engine) -> None:
    sent = send(engine)
    report(engine, News.HARD, sent)
    engine.db.run(lambda tx: suppressions.remove(tx, [sent.address_hash], "all"))
    report(engine, News.HARD, sent)
    assert scopes(engine, sent.address_hash) == {}


@pytest.mark.parametrize(
    ("news", "becomes"),
    [
        (News.DELIVERED, Fate.SENT),
        (News.COMPLAINED, Fate.SENT),
        (News.HARD, Fate.FAILED),
        (News.SOFT, Fate.FAILED),
        (News.POLICY, Fate.FAILED),
    ],
)
def test_a_message_of_which_nobody_knew_is_settled(
    engine: Engine, news: News, becomes: Fate
) -> None:
    sent = send(engine, fate=Fate.UNKNOWN)
    report(engine, news, sent)
    assert fate_of(engine, sent) is becomes


def test_a_forged_key_names_no_letter(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    sent = send(engine, fate=Fate.UNKNOWN)
    forged = f"m{sent.message}-{'0' * 20}"
    said = Report(news=News.HARD, code="5.1.1", letters=(forged, "x", ""), channel="email")
    assert feedback.take(engine.installation, secret_of(engine), said) == Unmatched()
    assert "names no letter of ours" in caplog.text
    assert told(engine) == []
    assert fate_of(engine, sent) is Fate.UNKNOWN
    assert scopes(engine, sent.address_hash) == {}


def test_a_letter_of_another_channel_is_not_meant(engine: Engine) -> None:
    sent = send(engine, channel="sms", address="+8613800000000")
    assert report(engine, News.HARD, sent) == Unmatched()
    assert scopes(engine, sent.address_hash) == {}


def test_a_provider_s_id_names_a_letter_where_the_report_is_signed(engine: Engine) -> None:
    sent = send(engine, channel="sms", provider_id="SM1")
    said = Report(news=News.DELIVERED, code="delivered", provider_ids=("SM1",), channel="sms")
    assert feedback.take(engine.installation, None, said) == Recorded(
        rule="win-back", channel="sms"
    )
    assert told(engine)[0][1]["message"] == sent.message


class Killed(BaseException):
    """As if the process had ended here."""


@contextmanager
def killed_at(point: Point) -> Iterator[None]:
    def reached(here: Point) -> None:
        if here is point:
            raise Killed

    killpoints.arm(reached)
    try:
        with pytest.raises(Killed):
            yield
    finally:
        killpoints.arm(None)


def test_a_crash_before_the_commit_leaves_nothing_behind(engine: Engine) -> None:
    """B1: the report comes again, and then all of it is done."""
    sent = send(engine, fate=Fate.UNKNOWN)
    with killed_at(Point.BOUNCE_BEFORE_COMMIT):
        report(engine, News.HARD, sent)
    assert told(engine) == []
    assert scopes(engine, sent.address_hash) == {}
    assert fate_of(engine, sent) is Fate.UNKNOWN
    report(engine, News.HARD, sent)
    assert len(told(engine)) == 1
    assert scopes(engine, sent.address_hash) == {sent.address_hash: {"all"}}
    assert fate_of(engine, sent) is Fate.FAILED


def test_unsubscribing_works_on_either_database(engine: Engine) -> None:
    sent = send(engine)
    link = Membership(customer=sent.customer, letter=sent.key, purpose="marketing", channel="email")
    for _ in range(2):
        wishes.unsubscribe(engine.installation, secret_of(engine), link, "n", "why")
    assert [kind for kind, _ in told(engine)] == ["consent_withdrawn"]
    assert scopes(engine, sent.address_hash) == {sent.address_hash: {"list:marketing"}}
    wishes.prefer(engine.installation, link, "n", ["marketing/email"], None)
    assert [kind for kind, _ in told(engine)][-1] == "consent_given"
    assert scopes(engine, sent.address_hash) == {}


def test_who_agreed_to_all_channels_can_take_back_one(engine: Engine) -> None:
    """It is shown as given, as messages go by it; and what is not chosen any more is withdrawn."""
    inst, sent = engine.installation, send(engine)
    link = Membership(customer=sent.customer, letter=sent.key, purpose="marketing", channel="email")

    def agrees(tx: Tx) -> None:
        said = {"purpose": "marketing", "channel": "all"}
        key = customers.key_of(tx, sent.customer)
        accept_within(inst, tx, [draft_of_ours("all", key, "consent_given", inst.now(tx), said)])

    inst.db.run(agrees)
    given = {one.about: one.given for one in wishes.preferences(inst, link).choices}
    assert given["marketing/email"]
    kept = [about for about, so in given.items() if so and about != "marketing/email"]
    after = wishes.prefer(inst, link, "n", kept, None)
    assert {one.about: one.given for one in after.choices} == given | {"marketing/email": False}


def test_a_wish_waits_for_whoever_claims_her_messages(
    postgres_database_url: str, tmp_path: Path
) -> None:
    """Answered before the claim ends it would not be seen by it, and a message could leave after it."""
    with running(postgres_database_url, tmp_path, secret=b"s" * 32) as engine:
        post(engine)
        sent = send(engine)
        link = Membership(
            customer=sent.customer, letter=sent.key, purpose="marketing", channel="email"
        )
        args = (engine.installation, secret_of(engine), link, "n", "why")
        with ThreadPoolExecutor(1) as pool:
            with engine.db.write() as claim:
                customers.wait_for(claim, sent.customer)
                wish = pool.submit(wishes.unsubscribe, *args)
                wait_until_somebody_waits(engine)
                assert not wish.done()
                assert told(engine) == []
            wish.result(timeout=30)
        assert [kind for kind, _ in told(engine)] == ["consent_withdrawn"]


def wait_until_somebody_waits(engine: Engine) -> None:
    """For a lock that another transaction holds, as the server says."""
    asked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with engine.db.read() as tx:
            found = tx.connection.execute(asked).fetchone()
        if found and found[0]:
            return
    raise AssertionError("nobody waits")


def test_an_address_is_found_by_the_secret_that_it_was_written_under(engine: Engine) -> None:
    """A letter that left before the secret was replaced bounces after it."""
    sent = send(engine)
    replaced = Secret(b"n" * 32, previous=secret_of(engine))
    said = Report(news=News.HARD, code="5.1.1", letters=(sent.key,), channel="email")
    assert isinstance(feedback.take(engine.installation, replaced, said), Recorded)
    with engine.db.read() as tx:
        assert handed.hashes_of_customer(tx, sent.customer, "email") == {sent.address_hash}

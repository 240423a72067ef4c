"""Mails that came back and providers' reports, as programs post them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.domain.fate import Fate
from lifecycle.domain.scope import Scope
from lifecycle.engine import feedback, keys
from lifecycle.outreach.hooks import SignedHook, TwilioHook
from lifecycle.outreach.replies import News, Report
from lifecycle.store import unmatched
from tests.intake.bad_input import event
from tests.outreach import test_dsn, test_hooks
from tests.web.conftest import PUBLIC_URL, serving
from tests.web.letters import Sent, fate_of, scopes, send

MAIL = {"Content-Type": "message/rfc822"}


@pytest.fixture
def client(engine: Engine) -> Iterator[httpx.Client]:
    """A server to which two providers report."""
    engine.feedback = replace(
        engine.feedback,
        hooks={
            "twilio": TwilioHook(account="AC1", auth_token="12345"),
            "gateway": SignedHook(secrets=(test_hooks.SECRET,), account="shop"),
        },
    )
    with serving(engine) as client:
        yield client


@pytest.fixture
def sent(engine: Engine, client: httpx.Client) -> Sent:
    client.post("/v1/events", json={"events": [event(id="1")]})
    engine.apply_pending()
    return send(engine)


def bounce(sent: Sent) -> bytes:
    return test_dsn.bounce().replace(test_dsn.KEY.encode(), sent.key.encode())


def twilio(client: httpx.Client, letter: str, fields: dict[str, str]) -> httpx.Response:
    path = f"/v1/hooks/twilio?letter={letter}"
    posted = test_hooks.twilio(fields, url=f"{PUBLIC_URL}{path}")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return client.post(path, content=posted.body, headers={**posted.headers, **form})


def test_a_bounce_that_the_mail_server_hands_on(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    answers = [
        client.post("/v1/feedback/mail", content=bounce(sent), headers=MAIL) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == {"status": "recorded", "rule": "win-back", "channel": "email"}
    assert answers[1].json() == {"status": "duplicate"}
    assert scopes(engine, sent.address_hash) == {sent.address_hash: {"all"}}


def test_other_mail_is_answered_and_ignored(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    foreign = test_dsn.bounce()  # of a key that is not ours
    answer = client.post("/v1/feedback/mail", content=foreign, headers=MAIL)
    assert answer.json() == {"status": "unmatched"}
    answer = client.post("/v1/feedback/mail", content=b"Subject: hello\n\nhello", headers=MAIL)
    assert answer.json() == {"status": "ignored", "why": "no_report"}
    assert scopes(engine, sent.address_hash) == {}


def test_what_is_no_mail_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/feedback/mail", json={})
    assert (answer.status_code, answer.json()["code"]) == (415, "content_type")
    answer = client.post("/v1/feedback/mail", content=b"x" * 1_100_000, headers=MAIL)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_handing_on_mail_needs_a_key_of_its_own(engine: Engine, sent: Sent) -> None:
    poster = keys.create(engine.db, "shop", [Scope.EVENTS_WRITE], by="olga").text
    pipe = keys.create(engine.db, "pipe", [Scope.FEEDBACK_WRITE], by="olga").text
    with serving(engine) as client:
        for shown, status in ((poster, 403), (pipe, 200)):
            headers = {**MAIL, "Authorization": f"Bearer {shown}"}
            answer = client.post("/v1/feedback/mail", content=bounce(sent), headers=headers)
            assert answer.status_code == status


def test_a_provider_says_that_it_arrived_before_we_know_that_it_left(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    """Its id is not known yet; the key of the letter in its address is."""
    unknown = send(engine, 2, channel="sms", address="+8613800000000", fate=Fate.UNKNOWN)
    answer = twilio(client, unknown.key, test_hooks.callback("delivered"))
    assert answer.json() == {"status": "recorded", "rule": "win-back", "channel": "sms"}
    assert fate_of(engine, unknown) is Fate.SENT


def test_a_forged_a_foreign_and_an_unknown_report(
    engine: Engine, client: httpx.Client, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    letter = send(engine, 2, channel="sms", address="+8613800000000").key
    good = test_hooks.callback("failed", ErrorCode="30005")
    forged = client.post(f"/v1/hooks/twilio?letter={letter}", data=good)
    assert (forged.status_code, forged.json()["code"]) == (401, "signature_invalid")
    foreign = twilio(client, letter, good | {"AccountSid": "AC2"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "account_foreign")
    unknown = twilio(client, "m1-00000000000000000000", good)
    assert (unknown.status_code, unknown.json()) == (200, {"status": "unmatched"})
    nobody = client.post("/v1/hooks/nobody", data=good)
    assert (nobody.status_code, nobody.json()["code"]) == (404, "not_found")
    with engine.db.read() as tx:
        assert tx.connection.execute("SELECT * FROM suppression").fetchall() == []
        (kept,) = unmatched.newest(tx, 10)  # neither the forged nor the foreign one
    assert kept[1:] == ("hard", "30005", "sms", ("m1-00000000000000000000", good["MessageSid"]))
    assert "12345" not in caplog.text


def test_what_an_unmatched_report_names_is_kept_clipped_and_forgotten_in_time(
    engine: Engine,
) -> None:
    """Whoever writes such a mail may have written anything there."""
    named = ("m1-\x1b[31m" + "x" * 500, "m2")
    report = Report(news=News.SOFT, code="4.2.2", letters=named, provider_ids=("m2",))
    inst = engine.installation
    assert feedback.take(inst, None, report) == feedback.Unmatched()
    with engine.db.write() as tx:
        (kept,) = unmatched.newest(tx, 10)
        assert kept.named == ("m1-[31m" + "x" * 93, "m2")
        assert unmatched.forget(tx, kept.received_at, 10) == 0
        assert unmatched.forget(tx, kept.received_at + timedelta(seconds=1), 10) == 1
        assert unmatched.newest(tx, 10) == []


def test_a_signed_report_that_is_too_old(client: httpx.Client, sent: Sent) -> None:
    old = test_hooks.signed(test_hooks.bounced(), at=datetime(2026, 1, 1, tzinfo=UTC))
    answer = client.post("/v1/hooks/gateway", content=old.body, headers=dict(old.headers))
    assert (answer.status_code, answer.json()["code"]) == (401, "timestamp_outside_tolerance")


def test_a_signed_report_sent_twice_is_a_duplicate(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    """Row 27: replayed within its five minutes."""
    said = test_hooks.bounced(message_id=sent.key)
    posted = test_hooks.signed(said, at=datetime.fromtimestamp(time.time(), UTC))
    statuses = [
        client.post("/v1/hooks/gateway", content=posted.body, headers=dict(posted.headers)).json()
        for _ in range(2)
    ]
    assert [each["status"] for each in statuses] == ["recorded", "duplicate"]
    assert scopes(engine, sent.address_hash) == {sent.address_hash: {"all"}}


def test_a_provider_reports_under_the_public_name(engine: Engine, client: httpx.Client) -> None:
    keys.create(engine.db, "shop", [], by="olga")
    answer = client.post("/v1/hooks/twilio", headers={"Host": "care.example.com"})
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")


def test_the_reference_tells_of_these_routes(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/consents", "/v1/feedback/mail", "/v1/hooks/{provider}"} <= paths.keys()
    assert paths["/v1/hooks/{provider}"]["post"]["security"] == [{}]
    assert "/u/{token}" not in paths
    assert "confirm_url" in client.get("/docs").text

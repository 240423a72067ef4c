"""What a provider posts is believed if it is signed, ours and fresh; and nothing else is."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from lifecycle.errors import Problem
from lifecycle.outreach.hooks import (
    Posted,
    SignedHook,
    ToldHook,
    TwilioHook,
    foreign,
    refuse_without_secret,
    standard_secret,
)
from lifecycle.outreach.replies import Ignored, News, Report

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
URL = "https://care.example.com/v1/hooks/twilio?letter=m42-0123456789abcdef0123"
TWILIO = TwilioHook(account="AC1", auth_token="12345")
SECRET = standard_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
SIGNED = SignedHook(secrets=(SECRET,), account="shop")


def twilio(fields: dict[str, str], *, url: str = URL, token: str = "12345") -> Posted:
    """Signed as Twilio describes it: the URL, then each field's name and value in order of names."""
    said = url + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    digest = hmac.new(token.encode(), said.encode(), "sha1").digest()
    headers = {"x-twilio-signature": base64.b64encode(digest).decode()}
    return Posted(url=URL, headers=headers, body=urlencode(fields).encode(), now=NOW)


def callback(status: str, **more: str) -> dict[str, str]:
    return {"AccountSid": "AC1", "MessageSid": "SM1", "MessageStatus": status, **more}


def signed(
    said: Any,
    headers: dict[str, str] | None = None,
    *,
    at: datetime = NOW,
    secret: bytes = SECRET,
    id: str = "msg_1",
) -> Posted:
    body, stamp = json.dumps(said).encode(), str(int(at.timestamp()))
    digest = hmac.new(secret, f"{id}.{stamp}.".encode() + body, "sha256").digest()
    given = {
        "webhook-id": id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    return Posted(url=URL, headers=given | (headers or {}), body=body, now=NOW)


def bounced(kind: str = "hard", **more: Any) -> dict[str, Any]:
    data = {"message_id": "P1", "kind": kind, "code": "550", "account": "shop", **more}
    return {"type": "message.bounced", "data": data}


def refused(hook: TwilioHook | SignedHook | ToldHook, posted: Posted) -> tuple[str, int]:
    with pytest.raises(Problem) as caught:
        hook.read(posted)
    return caught.value.code, caught.value.status


# -- refusals


def test_what_is_refused_is_told_once_a_minute_for_each_code(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    hook = ToldHook("texts", TWILIO, lambda: now[0])
    of_others = twilio(callback("delivered") | {"AccountSid": "AC2\n\x1b[2Jä"})
    forged = twilio(callback("delivered"), token="other")
    for now[0] in (0.0, 30.0, 59.0):
        assert refused(hook, of_others) == ("account_foreign", 403)
        assert refused(hook, forged) == ("signature_invalid", 401)
    now[0] = 60.0
    refused(hook, of_others)
    told = "a report about letters by texts was refused"
    assert [record.getMessage() for record in caplog.records] == [
        f"{told} (account_foreign): this is about an account that is not ours, got AC2[2J",
        f"{told} (signature_invalid): the signature is not this provider's",
        f"{told} (account_foreign): this is about an account that is not ours, got AC2[2J; and 2 more since it was last told",
    ]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_what_is_good_is_read_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    hook = ToldHook("texts", TWILIO)
    assert hook.read(twilio(callback("delivered"))) == TWILIO.read(twilio(callback("delivered")))
    assert hook.most_bytes == TWILIO.most_bytes
    assert caplog.records == []


class Guarded(SignedHook):
    def refuse_stranger(self, url: str) -> None:
        refuse_without_secret(url, [b"only the provider knows it"])


def test_a_stranger_is_told_too_and_what_he_guessed_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook = ToldHook("email", Guarded(secrets=()))
    with pytest.raises(Problem):
        hook.refuse_stranger("https://example.com/v1/hooks/email?secret=a-guess")
    (record,) = caplog.records
    assert "a report about letters by email was refused (hook_secret_wrong)" in record.getMessage()
    assert "a-guess" not in record.getMessage()


def test_a_foreign_topic_is_called_one_and_shown_to_its_last_letter() -> None:
    arn = f"arn:aws:sns:eu-west-1:123456789012:{'ses-feedback-of-the-shop' * 3}x"
    problem = foreign(arn)
    assert problem.detail == "this is about a topic that is not ours"
    assert (problem.got, problem.expected) == (arn, "the topic that is configured")
    assert len(foreign(arn * 9).got or "") == 200


# -- Twilio


def test_the_signature_is_twilio_s_own() -> None:
    """The example of Twilio's documentation of request validation."""
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert TWILIO._signature(url, list(fields.items())) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


@pytest.mark.parametrize(
    ("status", "code", "news"),
    [
        ("delivered", "", News.DELIVERED),
        ("undelivered", "30005", News.HARD),
        ("undelivered", "30003", News.SOFT),
        ("failed", "30007", News.POLICY),
        ("failed", "21610", News.COMPLAINED),
        ("failed", "", News.SOFT),
    ],
)
def test_a_status_of_twilio_is_news(status: str, code: str, news: News) -> None:
    said = callback(status, ErrorCode=code) if code else callback(status)
    assert TWILIO.read(twilio(said)) == Report(
        news=news,
        code=code or status,
        letters=("m42-0123456789abcdef0123",),
        provider_ids=("SM1",),
        channel="sms",
    )


@pytest.mark.parametrize("status", ["queued", "sending", "sent", "accepted", "read", ""])
def test_what_is_on_its_way_is_no_outcome(status: str) -> None:
    assert TWILIO.read(twilio(callback(status))) == Ignored(why="no_outcome_yet")


def test_a_forged_callback_is_refused() -> None:
    good = twilio(callback("delivered"))
    forged = [
        Posted(url=good.url, headers={}, body=good.body, now=NOW),
        Posted(url=good.url + "x", headers=good.headers, body=good.body, now=NOW),
        Posted(url=good.url, headers=good.headers, body=good.body + b"&a=b", now=NOW),
        Posted(url=good.url, headers=good.headers, body=b"\xff", now=NOW),
        Posted(url=good.url, headers={"x-twilio-signature": "ä"}, body=good.body, now=NOW),
        twilio(callback("delivered"), token="other"),
    ]
    assert {refused(TWILIO, each) for each in forged} == {("signature_invalid", 401)}


def test_a_callback_of_a_foreign_account_is_refused() -> None:
    """Signed by a token that both accounts might share, as accounts and their subaccounts do."""
    said = callback("delivered") | {"AccountSid": "AC2"}
    assert refused(TWILIO, twilio(said)) == ("account_foreign", 403)


# -- Standard Webhooks


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of its specification."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    posted = Posted(
        url=URL,
        headers=headers,
        body=b'{"test": 2432232314}',
        now=datetime.fromtimestamp(1614265330, UTC),
    )
    with pytest.raises(Problem) as caught:
        SignedHook(secrets=(SECRET,)).read(posted)
    assert caught.value.code == "report_not_understood"  # it is signed, and no report


@pytest.mark.parametrize("kind", ["hard", "soft", "policy"])
def test_a_signed_bounce_is_news(kind: str) -> None:
    assert SIGNED.read(signed(bounced(kind))) == Report(
        news=News(kind), code="550", letters=("P1",), provider_ids=("P1",)
    )


def test_other_news_and_no_news() -> None:
    data = {"message_id": "P1", "account": "shop"}
    read = {
        kind: SIGNED.read(signed({"type": f"message.{kind}", "data": data}))
        for kind in ("delivered", "complained", "opened")
    }
    assert [getattr(each, "news", None) for each in read.values()] == [
        News.DELIVERED,
        News.COMPLAINED,
        None,
    ]


def test_a_forged_report_is_refused() -> None:
    good = signed(bounced())
    first = good.headers["webhook-signature"]
    forged = [
        signed(bounced(), secret=b"x" * 24),
        signed(bounced(), {"webhook-signature": ""}),
        signed(bounced(), {"webhook-signature": first.replace("v1,", "v1a,")}),
        signed(bounced(), {"webhook-signature": first[:-2] + "A="}),
        signed(bounced(), {"webhook-id": "msg_2"}),
        signed(bounced(), {"webhook-timestamp": str(int(NOW.timestamp()) + 1)}),
        signed(bounced(), id=""),
        Posted(url=URL, headers=good.headers, body=good.body + b" ", now=NOW),
        Posted(url=URL, headers={}, body=good.body, now=NOW),
    ]
    assert {refused(SIGNED, each) for each in forged} == {("signature_invalid", 401)}


@pytest.mark.parametrize("minutes", [-5.1, 5.1, 60 * 24 * 365])
def test_an_old_report_is_refused_however_well_it_is_signed(minutes: float) -> None:
    old = signed(bounced(), at=NOW - timedelta(minutes=minutes))
    assert refused(SIGNED, old) == ("timestamp_outside_tolerance", 401)
    fresh = signed(bounced(), at=NOW - timedelta(minutes=4.9))
    assert isinstance(SIGNED.read(fresh), Report)


def test_one_of_several_signatures_is_enough_and_so_is_one_of_several_secrets() -> None:
    good = signed(bounced())
    several = f"v2,x v1,AAAA {good.headers['webhook-signature']}"
    assert isinstance(SIGNED.read(signed(bounced(), {"webhook-signature": several})), Report)
    assert isinstance(SignedHook(secrets=(b"n" * 24, SECRET)).read(good), Report)


def test_a_report_of_a_foreign_account_is_refused() -> None:
    assert refused(SIGNED, signed(bounced(account="other"))) == ("account_foreign", 403)
    assert refused(SIGNED, signed(bounced(account=None))) == ("account_foreign", 403)


@pytest.mark.parametrize(
    "said", [[], {}, {"type": "message.bounced", "data": 7}, bounced("odd"), bounced(message_id=7)]
)
def test_what_is_signed_and_makes_no_sense_is_refused(said: Any) -> None:
    assert refused(SIGNED, signed(said)) == ("report_not_understood", 422)


def test_a_code_is_clipped_and_printable() -> None:
    found = SIGNED.read(signed(bounced(code="a\n\x1b" + "x" * 100)))
    assert isinstance(found, Report)
    assert found.code == "a" + "x" * 39


@pytest.mark.parametrize("text", ["whsec_!", "whsec_AAAA", "", f"whsec_{'A' * 200}"])
def test_a_secret_that_is_none_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="a secret"):
        standard_secret(text)


def test_secrets_are_not_shown() -> None:
    assert "12345" not in repr(TWILIO)
    assert "secrets" not in repr(SIGNED)

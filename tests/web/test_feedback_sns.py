"""What Amazon SES reports of letters through SNS, as it is posted, on either database."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.domain.fate import Fate
from lifecycle.outreach.channels.http import Reply, Request
from lifecycle.outreach.outcome import Ambiguous
from lifecycle.store import unmatched
from tests.intake.bad_input import event
from tests.outreach import test_ses, test_sns
from tests.support import sns
from tests.support.sns import CERTIFICATE, FakeAmazon
from tests.web.conftest import running, serving
from tests.web.letters import Sent, fate_of, scopes, send

PLAIN = {"Content-Type": "text/plain; charset=UTF-8"}


@pytest.fixture
def engine(tmp_path: Path, database_url: str) -> Iterator[Engine]:
    with running(database_url, tmp_path, secret=b"s" * 32) as engine:
        yield engine


@pytest.fixture
def amazon() -> FakeAmazon:
    """Its certificate holds in real time, by which reports are judged."""
    real = datetime.now(UTC)
    until = real.replace(year=real.year + 1, day=1)
    made = sns.certificate("sns.amazonaws.com", until=until)
    return FakeAmazon({CERTIFICATE: made, sns.confirmation()["SubscribeURL"]: b"confirmed"})


@pytest.fixture
def client(engine: Engine, amazon: FakeAmazon) -> Iterator[httpx.Client]:
    engine.feedback = replace(engine.feedback, hooks={"email": test_sns.hook(amazon)})
    with serving(engine) as client:
        client.post("/v1/events", json={"events": [event(id="1")]})
        engine.apply_pending()
        yield client


@pytest.fixture
def sent(engine: Engine, client: httpx.Client) -> Sent:
    return send(engine, provider_id=test_ses.SES_ID)


def post(client: httpx.Client, message: dict[str, str]) -> httpx.Response:
    return client.post("/v1/hooks/email", content=json.dumps(message).encode(), headers=PLAIN)


def message(kind: str, part: dict[str, Any], **mail: Any) -> dict[str, str]:
    """Signed, and of this moment."""
    text = test_ses.said(kind, part, **mail)
    return sns.signed(sns.notification(text, Timestamp=real_time()))


def real_time() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def of(sent: Sent) -> dict[str, Any]:
    return {"headers": [{"name": "Message-ID", "value": f"<{sent.key}@mail.example.com>"}]}


def test_a_bounce_is_recorded_once_however_often_it_is_posted(
    engine: Engine, client: httpx.Client, sent: Sent, amazon: FakeAmazon
) -> None:
    """Row 27: within its day a message may be replayed, and does nothing then."""
    bounced = message("Bounce", test_ses.bounce(), **of(sent))
    answers = [post(client, bounced) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == {"status": "recorded", "rule": "win-back", "channel": "email"}
    assert answers[1].json() == {"status": "duplicate"}
    assert scopes(engine, sent.address_hash) == {sent.address_hash: {"all"}}
    assert amazon.asked == [CERTIFICATE]


@pytest.mark.parametrize(
    ("kind", "part", "suppressed"),
    [
        ("Complaint", test_ses.complaint(), {"marketing"}),
        ("Delivery", test_ses.delivery(), set()),
        ("Bounce", test_ses.bounce("Transient", "MailboxFull", "4.2.2"), set()),
        ("Bounce", test_ses.bounce("Permanent", "OnAccountSuppressionList"), set()),
        ("Reject", test_ses.reject(), set()),
    ],
    ids=["complaint", "delivery", "soft", "policy", "reject"],
)
def test_each_news_has_its_effect(
    engine: Engine,
    client: httpx.Client,
    sent: Sent,
    kind: str,
    part: dict[str, Any],
    suppressed: set[str],
) -> None:
    answer = post(client, message(kind, part, **of(sent)))
    assert answer.json()["status"] == "recorded"
    assert scopes(engine, sent.address_hash).get(sent.address_hash, frozenset()) == suppressed


def test_a_letter_is_found_by_the_id_under_which_ses_took_it(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    """Where the notifications of SES are set to leave the headers out."""
    other = send(engine, 2, address="other@example.com", provider_id="another-id")
    bare = message("Bounce", test_ses.bounce(), headers=None, commonHeaders=None)
    assert post(client, bare).json()["status"] == "recorded"
    found = scopes(engine, sent.address_hash, other.address_hash)
    assert found == {sent.address_hash: {"all"}}


def test_a_delivery_tells_that_a_letter_had_left(engine: Engine, client: httpx.Client) -> None:
    unknown = send(engine, 2, fate=Fate.UNKNOWN)
    assert post(client, message("Delivery", test_ses.delivery(), **of(unknown))).is_success
    assert fate_of(engine, unknown) is Fate.SENT


def test_a_letter_that_ses_rejected_did_not_leave_and_a_person_hears_of_it(
    engine: Engine, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = send(engine, 2, fate=Fate.UNKNOWN)
    answer = post(client, message("Reject", test_ses.reject(), **of(unknown)))
    assert answer.json()["status"] == "recorded"
    assert fate_of(engine, unknown) is Fate.FAILED
    assert "refused for how we send (Reject)" in caplog.text


def test_a_report_of_a_letter_that_we_never_sent_has_no_effect(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    """Of others who share the account, or made up; and of a letter that went by another channel."""
    sms = send(engine, 2, channel="sms", address="+8613800000000")
    forged = {"name": "Message-ID", "value": f"<m{sent.message}-00000000000000000000@x.example>"}
    for named in ({"headers": [forged]}, of(sms)):
        made = message("Bounce", test_ses.bounce(), messageId="theirs", **named)
        answer = post(client, made)
        assert (answer.status_code, answer.json()) == (200, {"status": "unmatched"})
    assert scopes(engine, sent.address_hash, sms.address_hash) == {}
    with engine.db.read() as tx:
        assert [row.channel for row in unmatched.newest(tx, 10)] == ["email", "email"]


def test_a_wrong_letter_in_the_name_of_a_topic_is_seen_on_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As it is put together from `channels.yaml`: else bounces would be missed, and nobody knew."""
    written = sns.TOPIC.replace("ses-feedback", "ses-feedbak")
    (tmp_path / "channels.yaml").write_text(
        "channels:\n  email: {kind: smtp, host: smtp.example.com, senders: {care: {address: care@example.com}},"
        f" reports: {{sns: {{topics: ['{written}']}}}}}}\n",
        encoding="utf-8",
    )
    url = f"sqlite:///{tmp_path / 'test.db'}"
    with running(url, tmp_path) as engine, serving(engine) as client:
        answers = [post(client, message("Bounce", test_ses.bounce())) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [403] * 3
    assert answers[0].json()["expected"] == "the topic that is configured"
    (line,) = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert line == (
        "a report about letters by email was refused (account_foreign): this is about a topic that is"
        f" not ours, got {sns.TOPIC}"
    )


def test_what_is_refused_changes_nothing(
    engine: Engine, client: httpx.Client, sent: Sent, amazon: FakeAmazon
) -> None:
    bounced = message("Bounce", test_ses.bounce(), **of(sent))
    foreign = sns.signed(bounced | {"TopicArn": sns.TOPIC.replace("ses-feedback", "other")})
    elsewhere = {
        "SigningCertURL": CERTIFICATE.replace("amazonaws.com", "amazonaws.com.evil.example")
    }
    old = sns.signed(bounced | {"Timestamp": "2026-01-01T00:00:00.000Z"})
    answers = [
        post(client, each)
        for each in (
            bounced | {"Message": bounced["Message"] + " "},
            foreign,
            sns.signed(bounced | elsewhere),
            old,
        )
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (401, "signature_invalid"),
        (403, "account_foreign"),
        (401, "signature_invalid"),
        (401, "timestamp_outside_tolerance"),
    ]
    assert amazon.asked == [CERTIFICATE]
    assert scopes(engine, sent.address_hash) == {}
    with engine.db.read() as tx:
        assert unmatched.newest(tx, 10) == []


def test_while_amazon_is_away_it_is_asked_to_come_again(
    engine: Engine, client: httpx.Client, sent: Sent, amazon: FakeAmazon
) -> None:
    good = amazon.answers[CERTIFICATE]
    amazon.answers[CERTIFICATE] = Ambiguous(code="no_answer", detail="no answer came in time")
    bounced = message("Bounce", test_ses.bounce(), **of(sent))
    answer = post(client, bounced)
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unreachable")
    assert answer.headers["Retry-After"] == "20"
    assert scopes(engine, sent.address_hash) == {}
    amazon.answers[CERTIFICATE] = good
    assert post(client, bounced).json()["status"] == "recorded"


def test_others_are_answered_while_a_report_waits_for_its_certificate(
    engine: Engine, client: httpx.Client, sent: Sent, amazon: FakeAmazon
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def ask(request: Request) -> Reply:
        asked.set()
        assert answer.wait(30)
        return amazon.ask(request)

    slow = FakeAmazon()
    slow.ask = ask  # type: ignore[method-assign]
    engine.feedback.hooks["email"] = test_sns.hook(slow)  # type: ignore[index]
    bounced = message("Bounce", test_ses.bounce(), **of(sent))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, client, bounced)
        try:
            assert asked.wait(30)
            assert client.get("/healthz", timeout=5).status_code == 200
        finally:
            answer.set()
        assert waiting.result(30).json()["status"] == "recorded"


def test_a_subscription_is_confirmed_if_its_topic_is_ours(
    client: httpx.Client, amazon: FakeAmazon, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 75."""
    caplog.set_level(logging.INFO)
    wanted = sns.confirmation(Timestamp=real_time())
    foreign = sns.confirmation(
        Timestamp=real_time(), TopicArn=sns.TOPIC.replace("ses-feedback", "other")
    )
    answer = post(client, sns.signed(foreign))
    assert (answer.status_code, answer.json()["code"]) == (403, "account_foreign")
    assert amazon.asked == []
    answer = post(client, sns.signed(wanted))
    assert answer.json() == {"status": "ignored", "why": "subscription_confirmed"}
    assert amazon.asked == [CERTIFICATE, wanted["SubscribeURL"]]
    ended = post(client, sns.signed(wanted | {"Type": "UnsubscribeConfirmation"}))
    assert ended.json() == {"status": "ignored", "why": "subscription_ended"}
    assert len(amazon.asked) == 2
    assert sns.TOKEN not in caplog.text


SECRETS = ("new-secret-0123456789abcdef", "old-secret-0123456789abcdef")
STRANGERS = [
    "",
    "?secret=",
    f"?secret={SECRETS[0][:-1]}",
    f"?secret={SECRETS[0]}0",
    f"?secret={SECRETS[0].upper()}",
    f"?Secret={SECRETS[0]}",
    f"?key={SECRETS[0]}",
    f"?secret={SECRETS[0]}&secret=x",
    "?secret=%ff%00",
    f"?{'x&' * 200}secret={SECRETS[0]}",
]


def test_who_does_not_know_the_secret_of_the_address_has_nobody_asked(
    engine: Engine,
    client: httpx.Client,
    sent: Sent,
    amazon: FakeAmazon,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However well he knows the topic; else he could use up what may be asked of Amazon."""
    caplog.set_level(logging.DEBUG)
    secrets = tuple(each.encode() for each in SECRETS)
    hook = replace(test_sns.hook(amazon), secrets=secrets)
    engine.feedback.hooks["email"] = hook  # type: ignore[index]
    bounced = json.dumps(message("Bounce", test_ses.bounce(), **of(sent))).encode()

    def asked(query: str, content: bytes = bounced) -> httpx.Response:
        return client.post(f"/v1/hooks/email{query}", content=content, headers=PLAIN)

    for query in STRANGERS:
        answer = asked(query)
        assert (query, answer.status_code) == (query, 401)
        assert answer.json()["code"] == "hook_secret_wrong"
    too_long = asked("", b"x" * 600_000)
    assert too_long.json()["code"] == "hook_secret_wrong"  # nobody looked at how long it is
    assert amazon.asked == []
    assert scopes(engine, sent.address_hash) == {}
    answers = [asked(f"?secret={secret}").json()["status"] for secret in SECRETS]
    assert answers == ["recorded", "duplicate"]
    ours = [each.getMessage() for each in caplog.records if each.name.startswith("lifecycle")]
    assert not [secret for secret in SECRETS if secret in f"{ours} {hook}"]
    assert ours


def test_a_body_may_be_as_long_as_sns_writes_one(client: httpx.Client, sent: Sent) -> None:
    """256 KiB of text, in which every quotation mark is written as two."""
    padding = ["x" * 5] * 26_000
    long = message("Bounce", test_ses.bounce(), padding=padding, **of(sent))
    assert len(long["Message"]) < 256 * 1024 < len(json.dumps(long))
    assert post(client, long).json()["status"] == "recorded"
    answer = post(client, long | {"more": "x" * 300_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")

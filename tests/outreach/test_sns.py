"""A message of Amazon SNS is believed if its own certificate signs it and its topic is ours; nothing else is."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ed25519

from lifecycle.errors import Problem
from lifecycle.outreach.certificates import MOST_KEPT, MOST_WAITING, Amazon, Certificates
from lifecycle.outreach.channels.http import Answer, Client, Reply, Request
from lifecycle.outreach.channels.target import Target, Targets
from lifecycle.outreach.channels.throttle import Throttle
from lifecycle.outreach.hooks import Read
from lifecycle.outreach.outcome import Ambiguous, Fault, Refused
from lifecycle.outreach.replies import Ignored, News, Report
from lifecycle.outreach.sns import SnsHook, topic_named
from tests.outreach.channels.test_http_client import served_as
from tests.outreach.test_ses import KEY, SES_ID, bounce, said
from tests.support import sns
from tests.support.providers import SILENCE, Act, Drip, FakeProvider, Say
from tests.support.sns import CERTIFICATE, HOST, NOW, TOPIC, FakeAmazon

BOUNCE = said("Bounce", bounce())
LEAF = CERTIFICATE.removeprefix(f"https://{HOST}")


def hook(
    amazon: FakeAmazon | Client | None = None, *topics: str, throttle: Throttle | None = None
) -> SnsHook:
    found = [topic_named(each) for each in topics or (TOPIC,)]
    ask = (amazon or FakeAmazon()).ask
    return SnsHook(
        topics=tuple(each for each in found if each is not None),
        channel="email",
        amazon=Amazon(ask),
        certificates=Certificates(Amazon(ask, throttle)),
    )


def read(message: object, amazon: FakeAmazon | Client | None = None, *topics: str) -> Read:
    return hook(amazon, *topics).read(sns.posted(message))


def refused(
    message: object, amazon: FakeAmazon | Client | None = None, *, now: datetime = NOW
) -> tuple[str, int]:
    with pytest.raises(Problem) as caught:
        hook(amazon).read(sns.posted(message, now=now))
    return caught.value.code, caught.value.status


def good(version: str = "2", **changed: str) -> dict[str, str]:
    return sns.signed(sns.notification(BOUNCE, **changed), version=version)


# -- signatures


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [{}, {"Subject": "Amazon SES Email Event Notification"}])
def test_a_signed_notification_is_news(version: str, subject: dict[str, str]) -> None:
    assert read(good(version, **subject)) == Report(
        news=News.HARD, code="5.1.1", letters=(KEY,), provider_ids=(SES_ID,), channel="email"
    )


FIELDS = ["Message", "MessageId", "Timestamp", "Type", "Subject"]


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("field", [*FIELDS, "Signature"])
def test_no_field_can_be_altered(field: str, version: str) -> None:
    message = good(version, Subject="about a letter")
    changed = {
        "Type": "UnsubscribeConfirmation",
        "Timestamp": "2026-02-01T11:59:58.656Z",
        "Signature": good(version)["Signature"],  # of the same without a subject
    }
    altered = message | {field: changed.get(field, message[field] + " ")}
    assert altered != message
    assert refused(altered | {"Token": "t", "SubscribeURL": "u"}) == ("signature_invalid", 401)


@pytest.mark.parametrize("field", [*FIELDS, "Signature", "SignatureVersion", "SigningCertURL"])
@pytest.mark.parametrize("how", ["left out", "null", "a number"])
def test_no_field_can_be_left_out(field: str, how: str) -> None:
    message: dict[str, Any] = dict(good(Subject="about a letter"))
    del message[field]
    if how != "left out":
        message[field] = None if how == "null" else 7
    assert refused(message) == ("signature_invalid", 401)


@pytest.mark.parametrize("version", ["3", "0", "", "1 ", "v1"])
def test_a_version_that_is_not_known_is_refused(version: str) -> None:
    assert refused(good() | {"SignatureVersion": version}) == ("signature_invalid", 401)


def test_a_version_does_not_pass_for_the_other() -> None:
    assert refused(good("1") | {"SignatureVersion": "2"}) == ("signature_invalid", 401)
    assert refused(good("2") | {"SignatureVersion": "1"}) == ("signature_invalid", 401)


@pytest.mark.parametrize("signature", ["", "AAAA", "!!!!", "ä", "A" * 10_000])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    assert refused(good() | {"Signature": signature}) == ("signature_invalid", 401)


def test_a_signature_by_another_key_is_refused() -> None:
    forged = sns.signed(sns.notification(BOUNCE), signer=sns.key("somebody"))
    assert refused(forged) == ("signature_invalid", 401)


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 5000])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        hook().read(replace(sns.posted({}), body=body))
    expected = ("account_foreign", 403) if body == b"{}" else ("signature_invalid", 401)
    assert (caught.value.code, caught.value.status) == expected


def test_what_ses_says_raw_is_refused() -> None:
    """Raw message delivery: nothing signs it, and it names no topic."""
    with pytest.raises(Problem) as caught:
        hook().read(replace(sns.posted({}), body=BOUNCE.encode()))
    assert (caught.value.code, caught.value.status) == ("account_foreign", 403)


def test_one_field_does_not_pass_for_two() -> None:
    """What is signed is all fields written one after the other, in which a line break is not told."""
    subject = "about a letter"
    message = good(Subject=subject)
    joined = f"{message['MessageId']}\nSubject\n{subject}"
    forged = {**message, "MessageId": joined}
    del forged["Subject"]
    assert refused(forged) == ("signature_invalid", 401)


@pytest.mark.parametrize(
    ("away", "taken"),
    [
        (timedelta(hours=23), True),
        (timedelta(hours=25), False),
        (timedelta(minutes=-4), True),
        (timedelta(minutes=-6), False),
    ],
)
def test_a_message_is_good_for_a_day(away: timedelta, taken: bool) -> None:
    """SNS tries for an hour; replayed within the day it is one report all the same."""
    message, now = good(), NOW + away
    if taken:
        assert isinstance(hook().read(sns.posted(message, now=now)), Report)
    else:
        assert refused(message, now=now) == ("timestamp_outside_tolerance", 401)


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01T00:00:00Z", "2026-02-01T11:59:58", ""])
def test_what_is_no_time_is_refused_however_well_it_is_signed(text: str) -> None:
    assert refused(good(Timestamp=text)) == ("timestamp_outside_tolerance", 401)


# -- topics


@pytest.mark.parametrize(
    "arn",
    [
        TOPIC.replace("ses-feedback", "other"),
        TOPIC.replace("123456789012", "123456789013"),
        TOPIC.replace("eu-west-1", "eu-west-2"),
        TOPIC + " ",
        TOPIC.upper(),
        "",
    ],
)
@pytest.mark.parametrize(
    "make", [lambda arn: good(TopicArn=arn), lambda arn: _asking(TopicArn=arn)]
)
def test_a_foreign_topic_is_refused_before_anybody_is_asked(
    arn: str, make: Callable[[str], dict[str, str]]
) -> None:
    amazon = FakeAmazon()
    assert refused(make(arn), amazon) == ("account_foreign", 403)
    assert amazon.asked == []


def test_the_same_message_of_another_topic_of_ours_is_refused() -> None:
    second = TOPIC.replace("ses-feedback", "second")
    amazon = FakeAmazon()
    with pytest.raises(Problem) as caught:
        read(good() | {"TopicArn": second}, amazon, TOPIC, second)
    assert caught.value.code == "signature_invalid"


@pytest.mark.parametrize(
    ("arn", "host", "signer"),
    [
        (TOPIC, HOST, "sns.amazonaws.com"),
        (TOPIC, HOST, "sns.eu-west-1.amazonaws.com"),
        (
            TOPIC.replace("eu-west-1", "af-south-1"),
            "sns.af-south-1.amazonaws.com",
            "sns-signing.af-south-1.amazonaws.com",
        ),
        (
            "arn:aws-cn:sns:cn-north-1:123456789012:ses",
            "sns.cn-north-1.amazonaws.com.cn",
            "sns-cn-north-1.amazonaws.com.cn",
        ),
        (
            "arn:aws-us-gov:sns:us-gov-east-1:123456789012:ses",
            "sns.us-gov-east-1.amazonaws.com",
            "sns-us-gov-west-1.amazonaws.com",
        ),
    ],
)
def test_each_region_has_its_host_and_its_names(arn: str, host: str, signer: str) -> None:
    place = f"https://{host}{LEAF}"
    for names in ((signer,), ("elsewhere.example", signer), ()):
        subject = signer if not names else "elsewhere.example"
        amazon = FakeAmazon({place: sns.certificate(*names, subject=subject)})
        message = good(TopicArn=arn, SigningCertURL=place)
        assert isinstance(read(message, amazon, arn), Report)
        assert amazon.asked == [place]


# -- where the certificate is


ELSEWHERE = [
    CERTIFICATE.replace("https:", "http:"),
    CERTIFICATE.replace("https:", "HTTPS:"),
    CERTIFICATE.replace("https://", "//"),
    CERTIFICATE.replace("https:", "file:"),
    f"https://evil.example{LEAF}",
    f"https://{HOST}.evil.example{LEAF}",
    f"https://evil.example/{HOST}{LEAF}",
    f"https://evil-{HOST}{LEAF}",
    f"https://evil.{HOST}{LEAF}",
    f"https://{HOST}.{LEAF}",
    f"https://{HOST.upper()}{LEAF}",
    f"https://{HOST.replace('.', 'x', 1)}{LEAF}",
    f"https://{HOST.replace('eu-west-1', 'us-east-1')}{LEAF}",
    f"https://{HOST}.cn{LEAF}",
    f"https://sns.amazonaws.com{LEAF}",
    f"https://s3.eu-west-1.amazonaws.com{LEAF}",
    f"https://user@{HOST}{LEAF}",
    f"https://{HOST}@evil.example{LEAF}",
    f"https://{HOST}:secret@evil.example{LEAF}",
    f"https://{HOST}:443{LEAF}",
    f"https://{HOST}:8443{LEAF}",
    f"https://evil.example#@{HOST}{LEAF}",
    f"https://evil.example\\@{HOST}{LEAF}",
    f"https://evil.example?{HOST}{LEAF}",
    f"https://{HOST}/evil.pem",
    f"https://{HOST}/x{LEAF}",
    f"https://{HOST}/{LEAF}",
    f"https://{HOST}/bucket/..{LEAF}",
    f"https://{HOST}/SimpleNotificationService-.pem",
    f"https://{HOST}/SimpleNotificationService-xyz.pem",
    f"https://{HOST}/SimpleNotificationService-{'a' * 65}.pem",
    f"https://{HOST}/SimpleNotificationService-0123456789abcdef.crt",
    f"https://{HOST}/SimpleNotificationService-0123/../evil.pem",
    f"https://{HOST}/?Action=ConfirmSubscription",
    f"{CERTIFICATE}?x=1",
    f"{CERTIFICATE}#x",
    f"{CERTIFICATE}/",
    f"{CERTIFICATE}\n",
    f" {CERTIFICATE}",
    f"{CERTIFICATE}%0d%0aHost:%20evil.example",
    "https://169.254.169.254/latest/meta-data",
    "",
]


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_certificate_from_elsewhere_is_never_asked_for(url: str) -> None:
    """Though whoever wrote the message has a certificate there that signs it."""
    amazon = FakeAmazon({url: sns.certificate("sns.amazonaws.com")})
    assert refused(good(SigningCertURL=url), amazon) == ("signature_invalid", 401)
    assert amazon.asked == []


@pytest.mark.parametrize(
    "made",
    [
        sns.certificate("sns.amazonaws.com", until=NOW - timedelta(seconds=1)),
        sns.certificate("sns.amazonaws.com", since=NOW + timedelta(seconds=1)),
        sns.certificate("sns.evil.example"),
        sns.certificate("sns.amazonaws.com.evil.example"),
        sns.certificate("sns.us-east-1.amazonaws.com"),
        sns.certificate("amazonaws.com", "*.amazonaws.com"),
        sns.certificate(subject="sns.evil.example"),
    ],
    ids=["over", "not begun", "other", "suffix", "other region", "wider", "subject"],
)
def test_a_certificate_of_another_name_or_time_proves_nothing(made: bytes) -> None:
    assert refused(good(), FakeAmazon({CERTIFICATE: made})) == ("certificate_refused", 401)


def test_a_certificate_that_was_kept_ends_in_its_time() -> None:
    """Whoever has it from then may sign today, and would be believed."""
    listening = hook()
    assert isinstance(listening.read(sns.posted(good())), Report)
    late = NOW + timedelta(days=31)
    message = good(Timestamp=f"{late:%Y-%m-%dT%H:%M:%SZ}")
    with pytest.raises(Problem) as caught:
        listening.read(sns.posted(message, now=late))
    assert caught.value.code == "certificate_refused"
    assert "2026-03-03" in (caught.value.got or "")


def test_a_key_of_another_kind_signs_nothing() -> None:
    made = sns.certificate("sns.amazonaws.com", signer=ed25519.Ed25519PrivateKey.generate())
    assert refused(good(), FakeAmazon({CERTIFICATE: made})) == ("signature_invalid", 401)


# -- fetching it


NO = Refused(code="connect_failed", detail="no connection", fault=Fault.PROVIDER, permanent=False)
MAYBE = Ambiguous(code="no_answer", detail="no answer came in time")


def at(status: int, body: bytes = b"", **headers: str) -> Answer:
    return Answer(status=status, headers=headers, body=body)


@pytest.mark.parametrize(
    "reply", [NO, MAYBE, at(500), at(503), at(429), at(200, b"<html>"), at(200)], ids=repr
)
def test_without_the_certificate_nobody_knows_and_sns_shall_come_again(reply: Reply) -> None:
    with pytest.raises(Problem) as caught:
        read(good(), FakeAmazon({CERTIFICATE: reply}))
    assert (caught.value.code, caught.value.status) == ("provider_unreachable", 503)
    assert caught.value.retry_after == 20


@pytest.mark.parametrize("reply", [at(403), at(404), at(302, location="https://evil.example/")])
def test_a_certificate_that_is_not_there_signs_nothing(reply: Reply) -> None:
    amazon = FakeAmazon({CERTIFICATE: reply})
    assert refused(good(), amazon) == ("signature_invalid", 401)
    assert amazon.asked == [CERTIFICATE]


def test_a_certificate_is_fetched_once_and_one_that_failed_again() -> None:
    amazon = FakeAmazon({CERTIFICATE: NO})
    listening = hook(amazon)
    with pytest.raises(Problem):
        listening.read(sns.posted(good()))
    amazon.answers[CERTIFICATE] = sns.certificate("sns.amazonaws.com")
    for version in ("1", "2", "2"):
        assert isinstance(listening.read(sns.posted(good(version))), Report)
    assert amazon.asked == [CERTIFICATE] * 2


def numbered(number: int) -> str:
    return f"https://{HOST}/SimpleNotificationService-{number:x}.pem"


def test_only_so_many_certificates_are_kept() -> None:
    made = sns.certificate("sns.amazonaws.com")
    amazon = FakeAmazon({numbered(n): made for n in range(MOST_KEPT + 1)})
    listening = hook(amazon, throttle=Throttle(None))
    for number in (*range(MOST_KEPT + 1), MOST_KEPT, 0):
        listening.read(sns.posted(good(SigningCertURL=numbered(number))))
    assert len(listening.certificates._kept) == MOST_KEPT
    assert len(amazon.asked) == MOST_KEPT + 2  # the first had to go, and was fetched again


def test_forged_messages_have_us_ask_ten_times_a_minute_and_no_more() -> None:
    seconds = [0.0]
    amazon = FakeAmazon()
    listening = hook(amazon, throttle=Throttle(1 / 6, 10, monotonic=lambda: seconds[0]))
    assert isinstance(listening.read(sns.posted(good())), Report)
    answers = []
    for number in range(20):
        with pytest.raises(Problem) as caught:
            listening.read(sns.posted(good(SigningCertURL=numbered(number))))
        answers.append((caught.value.status, caught.value.retry_after))
    assert answers == [(401, None)] * 9 + [(503, 6)] * 11
    assert isinstance(listening.read(sns.posted(good())), Report)  # its certificate is kept
    assert len(amazon.asked) == 10


def test_few_wait_for_a_certificate_and_those_that_need_none_for_nobody() -> None:
    asked, answer = threading.Event(), threading.Event()
    made = sns.certificate("sns.amazonaws.com")
    urls = []

    def ask(request: Request) -> Reply:
        urls.append(request.url)
        if request.url != CERTIFICATE:
            asked.set()
            assert answer.wait(30)
        return at(200, made)

    amazon = FakeAmazon()
    amazon.ask = ask  # type: ignore[method-assign]
    listening = hook(amazon)
    listening.read(sns.posted(good()))
    found: list[Read] = []
    message = sns.posted(good(SigningCertURL=numbered(1)))
    waiting = [
        threading.Thread(target=lambda: found.append(listening.read(message)))
        for _ in range(MOST_WAITING)
    ]
    for thread in waiting:
        thread.start()
    assert asked.wait(30)
    for _ in range(30_000):
        if listening.certificates._places._value == 0:  # each has its place
            break
        threading.Event().wait(0.001)
    with pytest.raises(Problem) as caught:
        listening.read(message)
    assert caught.value.status == 503
    assert isinstance(listening.read(sns.posted(good())), Report)
    answer.set()
    for thread in waiting:
        thread.join(30)
    assert [type(each) for each in found] == [Report] * MOST_WAITING
    assert urls == [CERTIFICATE, numbered(1)]  # one asked for all of them


# -- by the real client


class Here(Targets):
    """Judges as ever, with every name at a public address, and then leads to a port of this machine."""

    def __init__(self, port: int) -> None:
        super().__init__(only=(HOST,), resolve=lambda host, port: ["93.184.216.34"])
        self._port = port

    def find(self, url: str) -> Target:
        return replace(super().find(url), port=self._port, addresses=("127.0.0.1",))


def by_tls(
    act: Act, host: str = HOST, *, seconds: float = 5.0
) -> tuple[Callable[[], Read], FakeProvider]:
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    provider = FakeProvider(act, tls=served_as(authority, host))
    client = Client(
        targets=Here(provider.port), tls=trusting, connect_seconds=5, read_seconds=seconds
    )
    return lambda: read(good(), client), provider


def test_it_is_fetched_by_tls_from_the_host_itself() -> None:
    reading, provider = by_tls(Say(body=sns.certificate("sns.amazonaws.com")))
    with provider:
        assert isinstance(reading(), Report)
    assert [(each.method, each.target) for each in provider.asked] == [("GET", LEAF)]
    assert provider.asked[0].headers["host"].startswith(HOST)


@pytest.mark.parametrize(
    ("act", "host", "status"),
    [
        (Say(body=sns.certificate("sns.amazonaws.com")), "evil.example", 503),
        (Say(status=302, headers={"Location": "https://evil.example/x.pem"}), HOST, 401),
        (Say(body=b" " * 100_000 + sns.certificate("sns.amazonaws.com")), HOST, 503),
        (SILENCE, HOST, 503),
        (Drip(head=b"HTTP/1.1 200 OK\r\n\r\n"), HOST, 503),
    ],
    ids=["another's certificate", "redirect", "too long", "silence", "drip"],
)
def test_what_else_is_there_is_not_believed(act: Act, host: str, status: int) -> None:
    reading, provider = by_tls(act, host, seconds=0.3)
    with provider, pytest.raises(Problem) as caught:
        reading()
    assert caught.value.status == status
    assert len(provider.asked) <= 1  # and no redirect was followed


# -- subscriptions


def _asking(kind: str = "SubscriptionConfirmation", **changed: str) -> dict[str, str]:
    return sns.signed(sns.confirmation(kind, **changed))


def with_confirmation(reply: Reply | bytes = b"<ConfirmSubscriptionResponse/>") -> FakeAmazon:
    url = sns.confirmation()["SubscribeURL"]
    return FakeAmazon({CERTIFICATE: sns.certificate("sns.amazonaws.com"), url: reply})


def test_a_subscription_to_a_topic_of_ours_is_confirmed_once_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    amazon = with_confirmation()
    assert read(_asking(), amazon) == Ignored(why="subscription_confirmed")
    assert amazon.asked == [CERTIFICATE, sns.confirmation()["SubscribeURL"]]
    assert f"{TOPIC} reports to us from now on about letters by email" in caplog.text
    assert sns.TOKEN not in caplog.text


@pytest.mark.parametrize("field", ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token"])
def test_a_forged_subscription_is_not_confirmed(field: str) -> None:
    """Row 75 and penpot#11092: whoever could have us confirm could have us ask any address."""
    amazon = with_confirmation()
    message = _asking()
    assert refused(message | {field: message[field] + "0"}, amazon) == ("signature_invalid", 401)
    missing = {name: value for name, value in message.items() if name != field}
    assert refused(missing, amazon) == ("signature_invalid", 401)
    assert set(amazon.asked) <= {CERTIFICATE}


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("https:", "http:"),
        lambda url: url.replace(HOST, "evil.example"),
        lambda url: url.replace(HOST, f"{HOST}.evil.example"),
        lambda url: url.replace(HOST, f"{HOST}@evil.example"),
        lambda url: url.replace(HOST, f"user@{HOST}"),
        lambda url: url.replace(HOST, f"{HOST}:443"),
        lambda url: url.replace(HOST, "sns.us-east-1.amazonaws.com"),
        lambda url: url.replace(HOST, "169.254.169.254"),
        lambda url: url.replace("/?", "/x?"),
        lambda url: url.replace("/?", "?"),
        lambda url: url.replace("ConfirmSubscription", "Unsubscribe"),
        lambda url: url.replace("ses-feedback", "other"),
        lambda url: url.replace(sns.TOKEN, "00"),
        lambda url: f"{url}&Action=Publish",
        lambda url: f"{url}#x",
        lambda url: url.replace("&Token", "&token"),
        lambda _url: f"https://{HOST}/",
    ],
)
def test_a_confirmation_leads_to_the_topic_s_own_host_however_well_it_is_signed(
    change: Callable[[str], str],
) -> None:
    url = change(sns.confirmation()["SubscribeURL"])
    amazon = with_confirmation()
    amazon.answers[url] = b"confirmed"
    assert refused(_asking(SubscribeURL=url), amazon) == ("report_not_understood", 422)
    assert amazon.asked == [CERTIFICATE]


def test_a_confirmation_that_does_not_arrive_is_asked_for_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    assert refused(_asking(), with_confirmation(NO)) == ("provider_unreachable", 503)
    assert refused(_asking(), with_confirmation(at(403))) == ("subscription_refused", 422)
    assert "reports to us" not in caplog.text


def test_that_a_subscription_ended_is_told_and_nothing_is_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The address in it would subscribe us again, which only a person may want."""
    amazon = with_confirmation()
    found = read(_asking("UnsubscribeConfirmation"), amazon)
    assert found == Ignored(why="subscription_ended")
    assert amazon.asked == [CERTIFICATE]
    assert f"{TOPIC} reports to us no more" in caplog.text

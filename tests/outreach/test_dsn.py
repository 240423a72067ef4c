"""Mails that came back, as servers write them and as nobody should; all written for these tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.outreach import dsn
from lifecycle.outreach.replies import Ignored, News, Report

KEY = "m42-0123456789abcdef0123"


def bounce(
    *,
    action: str = "failed",
    status: str = "Status: 5.1.1",
    more: str = "",
    envelope: str = "",
    returned: str = f"Message-ID: <{KEY}@care.example.com>",
    kind: str = "message/rfc822",
    to: str = "bounces@care.example.com",
    head: str = "Auto-Submitted: auto-replied",
) -> bytes:
    """A report as Postfix and its like write it."""
    return f"""\
From: MAILER-DAEMON@mx.example.net
To: {to}
Subject: Undelivered Mail Returned to Sender
{head}
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=_b"

--=_b
Content-Type: text/plain; charset=us-ascii

Your message could not be delivered. m7-ffffffffffffffffffff is only talked about here.

--=_b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
{envelope}
Arrival-Date: Sat, 3 Jan 2026 10:00:00 +0000

Final-Recipient: rfc822; someone.else@forwarded.example
Action: {action}
{status}
{more}

--=_b
Content-Type: {kind}

{returned}
From: Care <care@care.example.com>
Subject: Hello

Text
--=_b--
""".replace("\n\n\n", "\n\n").encode()


def complaint(kind: str = "abuse") -> bytes:
    return f"""\
From: fbl@mail.example.net
To: fbl@care.example.com
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an abuse report.
--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1

--b
Content-Type: text/rfc822-headers

Message-ID: <{KEY}@care.example.com>
Subject: Hello
--b--
""".encode()


def report(mail: bytes) -> Report:
    found = dsn.read(mail)
    assert isinstance(found, Report), found
    return found


@pytest.mark.parametrize(
    ("status", "news"),
    [
        ("5.1.1", News.HARD),  # no such mailbox
        ("5.1.2", News.HARD),  # no such domain
        ("5.1.10", News.HARD),  # null MX
        ("5.2.1", News.HARD),  # disabled
        ("5.0.0", News.HARD),
        ("5.4.4", News.HARD),  # cannot be routed
        ("5.2.2", News.SOFT),  # full
        ("5.3.0", News.SOFT),
        ("5.4.7", News.SOFT),  # tried for days
        ("4.2.2", News.SOFT),
        ("4.4.1", News.SOFT),
        ("4.7.1", News.SOFT),
        ("5.7.1", News.POLICY),
        ("5.7.26", News.POLICY),  # not authenticated
        ("5.1.8", News.POLICY),  # our own address is bad
        ("5.2.3", News.POLICY),  # the letter is too long
        ("5.6.0", News.POLICY),
    ],
)
def test_a_status_says_what_is_wrong(status: str, news: News) -> None:
    found = report(bounce(status=f"Status: {status} (some words)"))
    assert (found.news, found.code) == (news, status)
    assert dsn.classed(status) is news


def test_a_status_is_found_in_what_the_other_server_said() -> None:
    said = "Diagnostic-Code: smtp; 550 5.1.1 <a@10.1.1.2>: no such user"
    found = report(bounce(status="X: y", more=said))
    assert (found.news, found.code) == (News.HARD, "5.1.1")


def test_a_failure_without_a_status_is_no_reason_to_give_an_address_up() -> None:
    found = report(bounce(status="X: y"))
    assert (found.news, found.code) == (News.SOFT, "no_status")


def test_a_delivery_is_news_too() -> None:
    found = report(bounce(action="delivered", status="Status: 2.1.5"))
    assert (found.news, found.code) == (News.DELIVERED, "2.1.5")


@pytest.mark.parametrize("action", ["delayed", "relayed", "expanded"])
def test_what_is_on_its_way_still_is_no_outcome(action: str) -> None:
    assert dsn.read(bounce(action=action)) == Ignored(why=f"action_{action}")


def test_the_letter_is_named_by_its_message_id() -> None:
    assert report(bounce()).letters == (KEY,)
    assert report(bounce(kind="text/rfc822-headers")).letters == (KEY,)


def test_or_by_its_envelope_id() -> None:
    found = report(bounce(envelope=f"Original-Envelope-Id: {KEY}", returned="X-Nothing: here"))
    assert found.letters == (KEY,)


def test_or_by_the_address_that_the_report_came_to() -> None:
    found = report(bounce(to=f"bounces+{KEY}@care.example.com", returned="X-Nothing: here"))
    assert KEY in found.letters


def test_a_key_that_is_only_talked_about_names_nothing() -> None:
    """Whoever writes text into a mail names no letter by it."""
    assert "m7-ffffffffffffffffffff" not in report(bounce()).letters


def test_whom_it_names_as_recipient_is_of_no_interest() -> None:
    """A forwarded letter bounces for an address that nobody here has written to."""
    assert "forwarded.example" not in repr(report(bounce()))


def test_a_report_that_names_no_letter_is_none() -> None:
    mail = bounce(returned="Message-ID: <X@Y>", to="a@b.c")
    assert dsn.read(mail) == Ignored(why="no_letter")


@pytest.mark.parametrize("kind", ["abuse", "fraud", "opt-out", "Abuse"])
def test_a_complaint_is_recognised(kind: str) -> None:
    found = report(complaint(kind))
    assert (found.news, found.code, found.letters) == (News.COMPLAINED, kind.lower(), (KEY,))


@pytest.mark.parametrize("kind", ["not-spam", "other", "virus", ""])
def test_another_kind_of_report_is_no_complaint(kind: str) -> None:
    assert dsn.read(complaint(kind)) == Ignored(why="no_complaint")


@pytest.mark.parametrize("marked", ["auto-replied", "auto-generated; owner=x", "AUTO-REPLIED"])
def test_an_automatic_reply_is_no_bounce(marked: str) -> None:
    """Row 75: somebody is on holiday, and quotes our letter and a status like a bounce's."""
    mail = f"""\
From: ann@example.com
To: care@care.example.com
Subject: Out of office: 5.1.1
In-Reply-To: <{KEY}@care.example.com>
Auto-Submitted: {marked}

550 5.1.1 I am away.
"""
    assert dsn.read(mail.encode()) == Ignored(why="auto_reply")


def test_what_a_person_wrote_is_no_report() -> None:
    mail = f"From: a@b.c\nIn-Reply-To: <{KEY}@x>\nAuto-Submitted: no\n\nStatus: 5.1.1\n"
    assert dsn.read(mail.encode()) == Ignored(why="no_report")


def test_a_report_inside_another_mail_is_none() -> None:
    """Somebody forwards a bounce to us."""
    inner = bounce().decode()
    mail = f'Content-Type: multipart/mixed; boundary="o"\n\n--o\nContent-Type: message/rfc822\n\n{inner}\n--o--\n'
    assert dsn.read(mail.encode()) == Ignored(why="no_report")


HOSTILE = {
    "empty": b"",
    "no end": bounce()[:300],
    "binary": bytes(range(256)) * 100,
    "nested": b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(3000)
    ),
    "a thousand parts": b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
    + b"--b\nContent-Type: message/delivery-status\n\nAction: failed\n\n" * 1000,
    "a boundary of nothing": bounce().replace(b'boundary="=_b"', b"boundary="),
    "an unknown charset": bounce(head="Subject: =?x-nonsense?b?AAAA?="),
    "a broken parameter": bounce().replace(
        b"report-type=delivery-status", b"report-type*0*=utf-8''%ff; report-type*1=x"
    ),
    "a parameter of bytes": bounce().replace(b"delivery-status", b"\xff\xfe"),
    "header bytes": bounce(head="X: y").replace(b"X: y", b"Subject: \xff\xfe\x00"),
    "a very long line": b"A" * 900_000,
    "many headers": b"A: b\n" * 100_000 + b"\n",
    "a status of a thousand digits": bounce(status=f"Status: 5.{'1' * 1000}.1"),
    "message without a message": b"Content-Type: message/rfc822\n\n",
    "base64 of a report": bounce().replace(
        b"Content-Type: message/delivery-status",
        b"Content-Transfer-Encoding: base64\nContent-Type: message/delivery-status",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_mail_that_nobody_should_send_does_no_harm(what: str) -> None:
    found = dsn.read(HOSTILE[what])
    assert isinstance(found, Ignored) or set(found.letters) == {KEY}


def test_one_beyond_the_limit_is_not_read() -> None:
    assert dsn.read(bounce() + b"x" * dsn.MOST_BYTES) == Ignored(why="too_large")


@given(mail=st.binary(max_size=2000), at=st.integers(0, 900))
def test_nothing_in_a_mail_raises(mail: bytes, at: int) -> None:
    whole = bounce()
    for each in (mail, whole[:at] + mail + whole[at:]):
        assert isinstance(dsn.read(each), Report | Ignored)

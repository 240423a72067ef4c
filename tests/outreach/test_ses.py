"""What Amazon SES says of a letter, in both of its forms. The samples have the fields that it documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lifecycle.errors import Problem
from lifecycle.outreach import ses
from lifecycle.outreach.channels.smtp_answers import Stage, answered
from lifecycle.outreach.outcome import Accepted
from lifecycle.outreach.replies import Ignored, News, Report

KEY = "m42-0123456789abcdef0123"
SES_ID = "0102018d6f0a1b2c-9d8e7f60-1a2b-4c3d-8e4f-5a6b7c8d9e0f-000000"
FORMS = ["notificationType", "eventType"]


def mail(**changed: Any) -> dict[str, Any]:
    return {
        "timestamp": "2026-02-01T11:58:00.000Z",
        "messageId": SES_ID,
        "source": "care@mail.example.com",
        "sourceArn": "arn:aws:ses:eu-west-1:123456789012:identity/mail.example.com",
        "sendingAccountId": "123456789012",
        "destination": ["ann@example.com"],
        "headersTruncated": False,
        "headers": [
            {"name": "Date", "value": "Sun, 1 Feb 2026 11:58:00 +0000"},
            {"name": "Message-ID", "value": f"<{KEY}@mail.example.com>"},
        ],
        "commonHeaders": {"messageId": SES_ID, "subject": "Thank you"},
        **changed,
    }


def bounce(
    kind: str = "Permanent", subtype: str = "General", status: str | None = "5.1.1", **changed: Any
) -> dict[str, Any]:
    """Of a delivery report that has this status; None: of a mail that is none."""
    recipient = {"emailAddress": "ann@example.com"}
    said: dict[str, Any] = {
        "bounceType": kind,
        "bounceSubType": subtype,
        "bouncedRecipients": [recipient],
        "timestamp": "2026-02-01T11:59:00.000Z",
        "feedbackId": "0102018d6f0a-feedback-000000",
    }
    if status is not None:
        recipient |= {"action": "failed", "status": status, "diagnosticCode": f"smtp; 550 {status}"}
        said["reportingMTA"] = "dns; a1-2.smtp-out.eu-west-1.amazonses.com"
    return {"bounce": said | changed}


def complaint(**said: Any) -> dict[str, Any]:
    own = {
        "complainedRecipients": [{"emailAddress": "ann@example.com"}],
        "timestamp": "2026-02-01T11:59:00.000Z",
        "feedbackId": "0102018d6f0a-feedback-000000",
        "complaintSubType": None,
        "complaintFeedbackType": "abuse",
        "userAgent": "ExampleCorp Feedback Loop (V0.01)",
    }
    return {"complaint": own | said}


def delivery() -> dict[str, Any]:
    return {
        "delivery": {
            "timestamp": "2026-02-01T11:58:02.000Z",
            "processingTimeMillis": 546,
            "recipients": ["ann@example.com"],
            "smtpResponse": "250 ok: Message 64111812 accepted",
            "reportingMTA": "a1-2.smtp-out.eu-west-1.amazonses.com",
        }
    }


def reject() -> dict[str, Any]:
    return {"reject": {"reason": "Bad content"}}


def said(kind: str, part: dict[str, Any], *, form: str = "eventType", **more: Any) -> str:
    return json.dumps({form: kind, "mail": mail(**more), **part})


def news(kind: str, part: dict[str, Any]) -> tuple[News, str] | str:
    """And the code; or why it is none."""
    found = ses.read(said(kind, part), "email")
    return found.why if isinstance(found, Ignored) else (found.news, found.code)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("kind", "part", "expected", "code"),
    [
        ("Bounce", bounce(), News.HARD, "5.1.1"),
        ("Complaint", complaint(), News.COMPLAINED, "abuse"),
        ("Delivery", delivery(), News.DELIVERED, "delivered"),
        ("Reject", reject(), News.POLICY, "Reject"),
    ],
)
def test_each_is_news_of_the_letter_in_either_form(
    form: str, kind: str, part: dict[str, Any], expected: News, code: str
) -> None:
    assert ses.read(said(kind, part, form=form), "email") == Report(
        news=expected, code=code, letters=(KEY,), provider_ids=(SES_ID,), channel="email"
    )


@pytest.mark.parametrize(
    ("kind", "subtype", "status", "expected", "code"),
    [
        ("Permanent", "General", None, News.HARD, "Permanent/General"),
        ("Permanent", "General", "5.7.1", News.POLICY, "5.7.1"),  # as in a mail that came back
        ("Permanent", "General", "5.2.2", News.SOFT, "5.2.2"),
        ("Permanent", "NoEmail", "5.1.1", News.HARD, "5.1.1"),
        ("Permanent", "NoEmail", "5.7.1", News.HARD, "5.7.1"),
        ("Permanent", "Suppressed", "5.1.1", News.POLICY, "Suppressed"),
        (
            "Permanent",
            "OnAccountSuppressionList",
            "5.1.1",
            News.POLICY,
            "OnAccountSuppressionList",
        ),
        ("Transient", "General", "4.4.7", News.SOFT, "4.4.7"),
        ("Transient", "General", "5.1.1", News.SOFT, "5.1.1"),
        ("Transient", "General", "5.7.1", News.POLICY, "5.7.1"),
        ("Transient", "MailboxFull", None, News.SOFT, "Transient/MailboxFull"),
        ("Transient", "MessageTooLarge", None, News.POLICY, "MessageTooLarge"),
        ("Transient", "ContentRejected", "5.6.1", News.POLICY, "ContentRejected"),
        ("Transient", "AttachmentRejected", None, News.POLICY, "AttachmentRejected"),
        ("Undetermined", "Undetermined", None, News.SOFT, "Undetermined/Undetermined"),
        ("Unheard", "Of", None, News.SOFT, "Unheard/Of"),
    ],
)
def test_a_bounce_is_what_ses_calls_it(
    kind: str, subtype: str, status: str | None, expected: News, code: str
) -> None:
    assert news("Bounce", bounce(kind, subtype, status)) == (expected, code)


def test_the_status_may_stand_in_the_words_of_the_server() -> None:
    recipient = {"emailAddress": "ann@example.com", "diagnosticCode": "smtp; 554 5.7.9 DMARC"}
    part = bounce("Transient", status=None, bouncedRecipients=[recipient])
    assert news("Bounce", part) == (News.POLICY, "5.7.9")


def test_an_automatic_answer_is_no_bounce() -> None:
    """Row 75: that she is out of her office is a bounce to SES, of which it tells no status."""
    assert news("Bounce", bounce("Transient", "General", None)) == "auto_reply"
    told = bounce("Transient", "General", None, reportingMTA="dns; mx.example.com")
    assert news("Bounce", told) == (News.SOFT, "Transient/General")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (complaint(complaintFeedbackType="fraud"), (News.COMPLAINED, "fraud")),
        (complaint(complaintFeedbackType=None), (News.COMPLAINED, "abuse")),
        (complaint(complaintFeedbackType="not-spam"), "no_complaint"),
        (complaint(complaintFeedbackType="auth-failure"), "no_complaint"),
        (complaint(complaintFeedbackType=["abuse"]), "no_complaint"),
        (
            complaint(complaintSubType="OnAccountSuppressionList"),
            (News.POLICY, "OnAccountSuppressionList"),
        ),
    ],
)
def test_a_complaint_is_hers_or_none(part: dict[str, Any], expected: object) -> None:
    assert news("Complaint", part) == expected


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("Send", "no_outcome_yet"),
        ("DeliveryDelay", "action_delayed"),
        ("Rendering Failure", "rejected"),
        ("Open", "other_type"),
        ("Click", "other_type"),
        ("Subscription", "other_type"),
        ("AmazonSnsSubscriptionSucceeded", "no_report"),
        ("Sneeze", "no_report"),
    ],
)
def test_what_is_no_outcome_is_ignored_and_says_why(kind: str, why: str) -> None:
    assert ses.read(said(kind, {}), "email") == Ignored(why=why)


@pytest.mark.parametrize(
    "text",
    [
        "Successfully validated SNS topic for Amazon SES event publishing.",
        '{"notificationType":"AmazonSnsSubscriptionSucceeded","message":"You have subscribed."}',
        "[]",
        "{}",
        "",
        "[" * 5000,
    ],
)
def test_words_to_a_new_topic_are_no_report(text: str) -> None:
    assert ses.read(text, "email") == Ignored(why="no_report")


@pytest.mark.parametrize(
    "named",
    [
        {"headers": [{"name": "MESSAGE-ID", "value": f"<{KEY}@x.example>"}]},
        {"headers": [], "commonHeaders": {"messageId": f"<{KEY}@x.example>"}},
        {"headers": None, "commonHeaders": None, "source": f"bounces+{KEY}@mail.example.com"},
        {"headers": [7, {}], "commonHeaders": 7, "source": f"Care <bounces+{KEY}@x.example>"},
    ],
)
def test_a_letter_is_named_where_ses_leaves_what_we_wrote(named: dict[str, Any]) -> None:
    found = ses.read(said("Bounce", bounce(), **named), "email")
    assert isinstance(found, Report)
    assert found.letters == (KEY,)


def test_without_headers_it_is_known_by_the_id_under_which_ses_took_it() -> None:
    """The one that the channel of e-mail reads in SES's answer to a letter."""
    taken = answered(Stage.DOT, 250, f"Ok {SES_ID}".encode())
    assert taken == Accepted(provider_id=SES_ID)
    text = said("Bounce", bounce(), headers=None, commonHeaders=None)
    found = ses.read(text, "email")
    assert isinstance(found, Report)
    assert (found.letters, found.provider_ids) == ((), (SES_ID,))


@pytest.mark.parametrize(
    "made",
    [
        {"eventType": "Bounce", "mail": mail()},
        {"eventType": "Bounce", "bounce": [], "mail": mail()},
        {"eventType": "Complaint", "mail": mail()},
        {"eventType": "Delivery"},
        {"eventType": "Reject", **reject()},
        {"eventType": "Bounce", **bounce(), "mail": 7},
    ],
)
def test_what_ses_would_not_write_is_refused(made: dict[str, Any]) -> None:
    with pytest.raises(Problem) as caught:
        ses.read(json.dumps(made), "email")
    assert (caught.value.code, caught.value.status) == ("report_not_understood", 422)


@pytest.mark.parametrize("value", [None, 7, "x", [], [7], [None], {}, [{"status": 7}]])
def test_strange_values_end_nothing(value: Any) -> None:
    made = bounce(status=None, bouncedRecipients=value, bounceSubType=value)
    text = said("Bounce", made, headers=value, commonHeaders=value, source=value, messageId=value)
    assert isinstance(ses.read(text, "email"), Report)

"""What does Amazon SES say of a letter, in a notification or an event? The two differ in a name only.

SES writes a Message-ID of its own into what leaves. So the key of a letter is looked for in the headers
that it was given and in the envelope's sender, and else the letter is known by SES's id, which was the
answer when it was handed over. Whom the report names as recipient is of no interest: ours have one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from lifecycle.outreach.dsn import COMPLAINTS, classed, status_in
from lifecycle.outreach.hooks import Read, code_of, not_understood
from lifecycle.outreach.replies import Ignored, News, Report
from lifecycle.outreach.tokens import keys_in

_MOST_HEADERS = 200
_MOST_RECIPIENTS = 20

_NO_NEWS = {
    "Send": "no_outcome_yet",
    "DeliveryDelay": "action_delayed",
    "Rendering Failure": "rejected",
    "Open": "other_type",
    "Click": "other_type",
    "Subscription": "other_type",
}
# It was not even tried, because of a list at SES that forgets, or that a person keeps; or it was
# refused for what is in it. Neither says that there is nobody at the address.
_NOT_OF_THE_ADDRESS = frozenset(
    {
        "Suppressed",
        "OnAccountSuppressionList",
        "UnsubscribedRecipient",
        "MessageTooLarge",
        "ContentRejected",
        "AttachmentRejected",
    }
)


def read(text: str, channel: str) -> Read:
    """Of the text of a notification that was proved to be Amazon's; raises Problem where it makes no sense."""
    said = _object(text)
    kind = said.get("eventType", said.get("notificationType"))
    if kind == "Bounce":
        found = _bounce(_part(said, "bounce"))
    elif kind == "Complaint":
        found = _complaint(_part(said, "complaint"))
    elif kind == "Reject":  # SES found a virus in it, and it never left
        found = News.POLICY, "Reject"
    elif kind == "Delivery":
        found = News.DELIVERED, News.DELIVERED.value
    else:  # or none at all: both greet a new topic, in words
        return Ignored(why=_NO_NEWS.get(str(kind), "no_report"))
    if isinstance(found, Ignored):
        return found
    news, code = found
    mail = _part(said, "mail")
    taken_as = mail.get("messageId")
    return Report(
        news=news,
        code=code_of(code),
        letters=tuple(dict.fromkeys(_letters(mail))),
        provider_ids=(taken_as,) if isinstance(taken_as, str) and taken_as else (),
        channel=channel,
    )


def _bounce(bounce: Mapping[str, Any]) -> tuple[News, str] | Ignored:
    kind, subtype = str(bounce.get("bounceType")), str(bounce.get("bounceSubType"))
    if subtype in _NOT_OF_THE_ADDRESS:
        return News.POLICY, subtype
    recipients = list(_objects(bounce.get("bouncedRecipients"), _MOST_RECIPIENTS))
    status = _status(recipients)
    code = status or f"{kind}/{subtype}"
    if kind == "Permanent":
        if status is not None and subtype == "General":
            return classed(status), code  # the server's own words, as in a mail that came back
        return News.HARD, code
    if status is not None and classed(status) is News.POLICY:
        return News.POLICY, code
    if (kind, subtype) == ("Transient", "General") and not _is_delivery_report(bounce, recipients):
        return Ignored(why="auto_reply")  # such as that she is out of her office
    return News.SOFT, code


def _is_delivery_report(bounce: Mapping[str, Any], recipients: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a mail server said it. SES calls an automatic answer a bounce too, and tells nothing of it."""
    told = {"action", "status", "diagnosticCode"}
    return "reportingMTA" in bounce or any(told & each.keys() for each in recipients)


def _status(recipients: Sequence[Mapping[str, Any]]) -> str | None:
    for each in recipients:
        for name in ("status", "diagnosticCode"):
            if found := status_in(str(each.get(name, ""))):
                return found
    return None


def _complaint(complaint: Mapping[str, Any]) -> tuple[News, str] | Ignored:
    subtype = str(complaint.get("complaintSubType"))
    if subtype in _NOT_OF_THE_ADDRESS:
        return News.POLICY, subtype
    kind = str(complaint.get("complaintFeedbackType") or "abuse")  # not every mailbox says which
    if kind not in COMPLAINTS:
        return Ignored(why="no_complaint")
    return News.COMPLAINED, kind


def _letters(mail: Mapping[str, Any]) -> Iterator[str]:
    for header in _objects(mail.get("headers"), _MOST_HEADERS):
        if str(header.get("name")).lower() == "message-id":
            yield from keys_in(str(header.get("value")))
    common = mail.get("commonHeaders")
    if isinstance(common, dict):
        yield from keys_in(str(common.get("messageId")))
    yield from keys_in(str(mail.get("source")))


def _object(text: str) -> dict[str, Any]:
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        said = None
    return said if isinstance(said, dict) else {}


def _part(said: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = said.get(name)
    if not isinstance(part, dict):
        raise not_understood(f"Message/{name}", "an object, as Amazon SES writes it")
    return part


def _objects(value: object, most: int) -> Iterator[dict[str, Any]]:
    items = value if isinstance(value, list) else []
    return (each for each in items[:most] if isinstance(each, dict))

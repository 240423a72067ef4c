"""What does a mail say that came back: that a letter bounced, was called spam, or nothing of the kind?

Mail is written by anybody, so nothing in it is believed but the key of a letter, which cannot be made up:
it stands in the envelope id (RFC 3461), in the Message-ID of the letter that is returned with the report,
or in the address that the report came to. Whom the report names as recipient is of no interest: a letter
that was forwarded bounces for an address that we never wrote to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.errors import MessageError
from email.message import Message
from email.parser import BytesParser, Parser
from typing import TypeAlias

from lifecycle.outreach.replies import Ignored, News, Report
from lifecycle.outreach.tokens import keys_in

MOST_BYTES = 1024 * 1024  # of a mail; a report with the letter in it has a tenth of that
CHANNEL = "email"
COMPLAINTS = frozenset({"abuse", "fraud", "opt-out"})  # of RFC 5965; the others are none of hers

_MOST_PARTS = 20
_MOST_BLOCKS = 20  # recipients in one report; ours have one
_MOST_CANDIDATES = 20
_STATUS = re.compile(r"(?<![0-9.])([245])\.([0-9]{1,3})\.([0-9]{1,3})(?![0-9.])")
_CODE_UNKNOWN = "no_status"

_Mail: TypeAlias = "Message[str, str]"


def read(mail: bytes) -> Report | Ignored:
    """Never raises, whatever is in the mail."""
    if len(mail) > MOST_BYTES:
        return Ignored(why="too_large")
    try:
        return _read(BytesParser().parsebytes(mail))
    except (MessageError, ValueError, LookupError, TypeError, RecursionError):
        # The standard library's reader of mail stumbles over some that nobody should send.
        return Ignored(why="unreadable")


def classed(status: str) -> News:
    """What an enhanced status code (RFC 3463) of a failure says of the address."""
    kind, subject, detail = (int(part) for part in status.split("."))
    if kind != 5:
        return News.SOFT
    return _EXACTLY.get((subject, detail)) or _BY_SUBJECT.get(subject, News.HARD)


def status_in(text: str) -> str | None:
    """The first enhanced status code (RFC 3463) that stands in it."""
    found = _STATUS.search(text[:1000])
    return ".".join(found.groups()) if found else None


_EXACTLY = {
    (1, 7): News.POLICY,  # our own address is malformed
    (1, 8): News.POLICY,  # or does not exist
    (2, 2): News.SOFT,  # the mailbox is full
    (2, 3): News.POLICY,  # this letter is too long
    (4, 4): News.HARD,  # nobody takes mail for that domain
}
_BY_SUBJECT = {
    3: News.SOFT,  # their system
    4: News.SOFT,  # the way to it
    5: News.POLICY,  # how we spoke
    6: News.POLICY,  # what we wrote
    7: News.POLICY,  # who we are
}


def _read(mail: _Mail) -> Report | Ignored:
    kind = str(mail.get_param("report-type", "")).lower()
    if mail.get_content_type() == "multipart/report" and mail.is_multipart():
        if kind == "delivery-status":
            return _bounce(mail)
        if kind == "feedback-report":
            return _complaint(mail)
    # Looked at last: reports of both kinds are themselves marked as written by no person.
    if _field(mail, "Auto-Submitted").lower().partition(";")[0] not in {"", "no"}:
        return Ignored(why="auto_reply")
    return Ignored(why="no_report")


def _bounce(mail: _Mail) -> Report | Ignored:
    blocks = list(_blocks(mail, "message/delivery-status"))
    for block in blocks[:_MOST_BLOCKS]:
        action = _field(block, "Action").lower()
        if action == "failed":
            status = _status(block)
            news = News.SOFT if status is None else classed(status)
            return _report(mail, blocks, news, status or _CODE_UNKNOWN)
        if action == "delivered":
            return _report(mail, blocks, News.DELIVERED, _status(block) or _CODE_UNKNOWN)
        if action:  # delayed, relayed, expanded: the end of it is not known yet
            return Ignored(why=f"action_{action}" if action in _ON_THE_WAY else "no_report")
    return Ignored(why="no_report")


_ON_THE_WAY = frozenset({"delayed", "relayed", "expanded"})


def _complaint(mail: _Mail) -> Report | Ignored:
    """RFC 5965."""
    blocks = list(_blocks(mail, "message/feedback-report"))
    for block in blocks[:_MOST_BLOCKS]:
        kind = _field(block, "Feedback-Type").lower()
        if kind in COMPLAINTS:
            return _report(mail, blocks, News.COMPLAINED, kind)
    return Ignored(why="no_complaint")


def _report(mail: _Mail, blocks: list[_Mail], news: News, code: str) -> Report | Ignored:
    letters = dict.fromkeys(_candidates(mail, blocks))
    if not letters:
        return Ignored(why="no_letter")
    return Report(news=news, code=code, letters=tuple(letters)[:_MOST_CANDIDATES], channel=CHANNEL)


def _candidates(mail: _Mail, blocks: list[_Mail]) -> Iterator[str]:
    for block in blocks[:_MOST_BLOCKS]:
        yield from keys_in(_field(block, "Original-Envelope-Id"))
    for part in _parts(mail):
        if part.get_content_type() == "message/rfc822" and part.is_multipart():
            yield from keys_in(_field(part.get_payload(0), "Message-ID"))
        elif part.get_content_type() == "text/rfc822-headers":
            text = part.get_payload(decode=True)
            if isinstance(text, bytes):
                headers = Parser().parsestr(text.decode("latin-1"), headersonly=True)
                yield from keys_in(_field(headers, "Message-ID"))
    for name in ("To", "X-Original-To", "In-Reply-To"):
        yield from keys_in(_field(mail, name))


def _blocks(mail: _Mail, kind: str) -> Iterator[_Mail]:
    """The groups of fields of a report; the first one is about the letter, the others about recipients."""
    for part in _parts(mail):
        if part.get_content_type() == kind and part.is_multipart():
            yield from (block for block in part.get_payload() if isinstance(block, Message))


def _parts(mail: _Mail) -> list[_Mail]:
    parts = mail.get_payload()
    found = parts if isinstance(parts, list) else []
    return [part for part in found[:_MOST_PARTS] if isinstance(part, Message)]


def _status(block: _Mail) -> str | None:
    for name in ("Status", "Diagnostic-Code"):
        if found := status_in(_field(block, name)):
            return found
    return None


def _field(mail: object, name: str) -> str:
    """Nothing where it is missing; what is no text is written as text."""
    if not isinstance(mail, Message):
        return ""
    return str(mail.get(name, "")).strip()

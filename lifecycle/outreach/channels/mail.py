"""What bytes is this letter, as an e-mail? Written by us header by header, and read back before it goes.

Input that could end a header, begin one or name a second recipient is refused. What was written is then
parsed again: only with exactly the planned headers, recipient and body does it become a `Mail`.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.parser import BytesHeaderParser
from email.utils import format_datetime, getaddresses
from functools import lru_cache

from lifecycle.outreach.channels import header
from lifecycle.outreach.channels.header import LINE, Unfit
from lifecycle.outreach.channels.letterhead import Letterhead, Sender
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Fault, Refused

LONGEST_LINE = 998
MOST_BYTES = 2 * 1024 * 1024

_KEY = re.compile("[a-z0-9-]{1,64}")
_LINK = re.compile("https?://[!-;=?-~]{1,900}")
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")

Sign = Callable[[bytes], bytes]
"""Gives the line DKIM-Signature for a whole e-mail, with its line break."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """An e-mail whose bytes say what was planned, and nothing else."""

    content: bytes
    sender: Address
    recipient: Address
    message_id: str  # with its brackets

    @property
    def needs_utf8(self) -> bool:
        """Only a server that speaks SMTPUTF8 can take it."""
        return header.beyond_ascii(self.recipient) or header.beyond_ascii(self.sender)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What shall be in the e-mail, as readers understand it."""

    headers: tuple[tuple[str, str], ...]  # as written, folded
    subject: str
    sender: Address
    recipient: Address
    body: bytes


def build(
    letter: Letter, head: Letterhead, *, at: datetime, sign: Sign | None = None
) -> Mail | Refused:
    """The same letter gives the same Message-ID on every try; only its date, `at`, may differ."""
    try:
        message_id = _message_id(letter, head)
        plan = _plan(letter, head, message_id, at)
        content = _serialised(plan)
        if sign is not None:
            line = sign(content)
            plan, content = _signed(plan, line), line + content
        _check(content, plan)
    except Unfit as unfit:
        return unfit.refused
    return Mail(
        content=content, sender=plan.sender, recipient=plan.recipient, message_id=message_id
    )


def _sender(letter: Letter, head: Letterhead) -> tuple[str, Sender]:
    found = head.sender(letter.content.sender)
    if found is None:
        allowed = ", ".join(head.senders)
        raise Unfit(
            "sender_unknown",
            f"the template names a sender that the channel does not have; allowed: {allowed}",
            Fault.MESSAGE,
        )
    return found


def _message_id(letter: Letter, head: Letterhead) -> str:
    if not _KEY.fullmatch(letter.key):
        raise Unfit("key_malformed", "the key of the letter is none", Fault.MESSAGE)
    domain = head.id_domain or _sender(letter, head)[1].address.domain
    return f"<{letter.key}@{domain}>"


def _plan(letter: Letter, head: Letterhead, message_id: str, at: datetime) -> _Plan:
    called, sender = _sender(letter, head)
    subject = header.subject(letter.content.subject or "")
    recipient = header.mailbox(letter.to.address, letter.to.name)
    content_headers, body = _body(letter)
    headers = (
        ("Date", format_datetime(at)),
        ("Message-ID", message_id),
        ("From", header.written_mailbox(sender.address, taken=6)),
        *_reply_to(sender),
        ("To", header.written_mailbox(recipient, taken=4)),
        ("Subject", header.written(subject, taken=9)),
        ("Auto-Submitted", "auto-generated"),
        *_of_list(letter, head, called, sender),
        *_feedback_id(letter, head),
        ("MIME-Version", "1.0"),
        *content_headers,
    )
    return _Plan(
        headers=headers, subject=subject, sender=sender.address, recipient=recipient, body=body
    )


def _reply_to(sender: Sender) -> Iterator[tuple[str, str]]:
    if sender.reply_to is not None:
        yield "Reply-To", header.written_mailbox(sender.reply_to, taken=10)


def _of_list(
    letter: Letter, head: Letterhead, called: str, sender: Sender
) -> Iterator[tuple[str, str]]:
    """What marketing owes: a way out in one click (RFC 8058), and what it is."""
    if not letter.marketing:
        return
    if letter.links is None or not _LINK.fullmatch(letter.links.unsubscribe):
        raise Unfit(
            "no_unsubscribe_link", "marketing goes with a link to unsubscribe only", Fault.PROVIDER
        )
    ways = f"<{letter.links.unsubscribe}>"
    if head.unsubscribe_by_mail is not None:
        address = head.unsubscribe_by_mail.addr_spec
        ways += f",\r\n <mailto:{address}?subject=unsubscribe%20{letter.key}>"
    yield "List-Unsubscribe", ways
    yield "List-Unsubscribe-Post", "List-Unsubscribe=One-Click"
    plain_name = re.sub("[^A-Za-z0-9-]", "-", called)
    yield "List-Id", f"<{head.list_id or f'{plain_name}.{sender.address.domain}'}>"
    yield "Precedence", "bulk"


def _feedback_id(letter: Letter, head: Letterhead) -> Iterator[tuple[str, str]]:
    if head.feedback_id is not None:
        parts = (letter.rule, letter.content.language, _class(letter))
        plain = [re.sub("[^A-Za-z0-9_.-]", "-", part) for part in parts]
        yield "Feedback-ID", ":".join([*plain, head.feedback_id])


def _class(letter: Letter) -> str:
    return "marketing" if letter.marketing else "service"


def _body(letter: Letter) -> tuple[tuple[tuple[str, str], ...], bytes]:
    """The content headers, and the body: the text alone, or with the HTML as what is preferred."""
    headers, text = _part(letter.content.text, "plain")
    if letter.content.html is None:
        return headers, text
    html_headers, html = _part(letter.content.html, "html")
    boundary = f"=_{letter.key}"  # neither encoding below can write it
    mark = f"--{boundary}".encode()
    parts = ((headers, text), (html_headers, html))
    # the line break before a boundary belongs to it, and is none of the part's
    whole = b"".join(mark + b"\r\n" + _lines(h) + b"\r\n" + part + b"\r\n" for h, part in parts)
    kind = f'multipart/alternative;\r\n boundary="{boundary}"'
    return (("Content-Type", kind),), whole + mark + b"--\r\n"


def _part(text: str, subtype: str) -> tuple[tuple[tuple[str, str], ...], bytes]:
    if _NOT_TEXT.search(text):
        raise Unfit(
            f"control_character_in_{subtype}",
            f"the {subtype} part has a character that no text may hold",
            Fault.MESSAGE,
        )
    flat = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n") + "\n"
    octets = flat.replace("\n", "\r\n").encode()
    if len(octets) > MOST_BYTES:
        raise Unfit("letter_too_large", f"the {subtype} part is too large", Fault.MESSAGE)
    encoding, encoded = _encoded(octets, mostly_ascii=len(octets) < len(flat) * 5 / 4)
    kind = ("Content-Type", f"text/{subtype}; charset=utf-8")
    return (kind, ("Content-Transfer-Encoding", encoding)), encoded


def _encoded(octets: bytes, *, mostly_ascii: bool) -> tuple[str, bytes]:
    """Either way every line is short and ASCII, so no server needs to change it under its signature."""
    if mostly_ascii:
        return "quoted-printable", binascii.b2a_qp(octets)
    line = binascii.b2a_base64(octets, newline=False)
    rows = (line[at : at + LINE] for at in range(0, len(line), LINE))
    return "base64", b"\r\n".join([*rows, b""])


def _lines(headers: tuple[tuple[str, str], ...]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode()


def _serialised(plan: _Plan) -> bytes:
    return _lines(plan.headers) + b"\r\n" + plan.body


def _signed(plan: _Plan, line: bytes) -> _Plan:
    name, _, value = line.decode().removesuffix("\r\n").partition(": ")
    return _Plan(
        headers=((name, value), *plan.headers),
        subject=plan.subject,
        sender=plan.sender,
        recipient=plan.recipient,
        body=plan.body,
    )


def _check(content: bytes, plan: _Plan) -> None:
    """By a parser that knows nothing of how it was written."""
    top, _, body = content.partition(b"\r\n\r\n")
    parsed = BytesHeaderParser().parsebytes(top + b"\r\n\r\n")
    read = [(name, _text(value)) for name, value in parsed.raw_items()]
    by_name = dict(read)
    told = (
        _whole_lines(content)
        and not parsed.defects
        and read == [(name, _unfolded(value)) for name, value in plan.headers]
        and _decoded(by_name["Subject"]) == plan.subject
        and _mailboxes(by_name["To"]) == [(plan.recipient.display_name, plan.recipient.addr_spec)]
        and _mailboxes(by_name["From"]) == [(plan.sender.display_name, plan.sender.addr_spec)]
        and body == plan.body
    )
    if not told:
        raise Unfit(
            "mail_not_as_planned",
            "read back, the e-mail does not say what was planned",
            Fault.MESSAGE,
        )


def _whole_lines(content: bytes) -> bool:
    """Each ends in CRLF and none is too long for a server; neither stands alone, and there is no NUL."""
    breaks = content.count(b"\r\n")
    return (
        breaks == content.count(b"\r") == content.count(b"\n")
        and b"\0" not in content
        and max(map(len, content.split(b"\r\n"))) <= LONGEST_LINE
    )


def _text(value: str) -> str:
    """As a reader has it: bytes beyond ASCII are UTF-8, and folds are undone."""
    return _unfolded(value.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def _unfolded(value: str) -> str:
    return value.replace("\r\n", "")


def _decoded(value: str) -> str:
    return str(make_header(decode_header(value)))


@lru_cache(maxsize=64)  # who writes is the same in most letters
def _mailboxes(value: str) -> list[tuple[str, str]]:
    return [(_decoded(name), address) for name, address in getaddresses([value])]

"""In whose name is an e-mail written, and what do its headers say of the list that it belongs to?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.headerregistry import Address

from lifecycle.outreach.channels import header
from lifecycle.outreach.channels.settings import OneLine, Settings, pairs_of
from lifecycle.policy.records import Fields, Key
from lifecycle.policy.report import found
from lifecycle.policy.shapes import JsonSchema, MapOf, NotThis, Word
from lifecycle.policy.source import Scalar
from lifecycle.policy.words import Name


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    address: Address  # with the name that mailboxes show
    reply_to: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """The settings that every e-mail of a channel is written by."""

    senders: Mapping[str, Sender]  # the first one writes where a template names none
    id_domain: str | None = None  # of Message-ID; None: the sender's
    list_id: str | None = None  # None: the sender's name and domain
    unsubscribe_by_mail: Address | None = None
    feedback_id: str | None = None  # by which a mailbox provider counts complaints

    def sender(self, name: str | None) -> tuple[str, Sender] | None:
        """None: there is none of that name."""
        called = next(iter(self.senders)) if name is None else name
        return (called, self.senders[called]) if called in self.senders else None


class MailAddress(Word[Address]):
    code = "wrong_address"

    def value(self, node: Scalar) -> Address:
        try:
            return header.mailbox(node.text)
        except header.Unfit as unfit:
            raise NotThis(f"{found(node.text)}: {unfit}; allowed: {self.says()}") from unfit

    def says(self) -> str:
        return "an e-mail address such as care@example.com"

    def schema(self) -> JsonSchema:
        return {"type": "string", "format": "idn-email"}


class Domain(Word[str]):
    code = "wrong_domain"

    def value(self, node: Scalar) -> str:
        try:
            return header.ascii_domain(node.text)
        except header.Unfit as unfit:
            raise NotThis(f"{found(node.text)}; allowed: {self.says()}") from unfit

    def says(self) -> str:
        return "a domain such as mail.example.com"

    def schema(self) -> JsonSchema:
        return {"type": "string", "format": "idn-hostname"}


class SenderName(OneLine):
    """A name that can stand before an address."""

    def value(self, node: Scalar) -> str:
        text = super().value(node)
        try:
            header.mailbox("a@example.com", text)
        except header.Unfit as unfit:
            raise NotThis(f"{found(text)}: {unfit}") from unfit
        return text


SENDER = Settings(
    "a sender",
    (
        Key(name="name", shape=SenderName("a name"), about="The name that mailboxes show."),
        Key(
            name="address",
            shape=MailAddress(),
            about="The address that letters come from.",
            required=True,
        ),
        Key(
            name="reply_to",
            shape=MailAddress(),
            about="The address to which answers go.",
            default="the address that letters come from",
        ),
    ),
)
KEYS = (
    Key(
        name="senders",
        shape=MapOf(Name("the name of a sender"), SENDER, least=1, most=50),
        about="Who writes, by the name that templates use. The first writes where none is named.",
        required=True,
    ),
    Key(
        name="message_id_domain",
        shape=Domain(),
        about="The domain of Message-ID, in which the letter's key is unique.",
        default="the sender's",
    ),
    Key(
        name="list_id",
        shape=Domain(),
        about="The List-Id of marketing, by which mailboxes sort it.",
        default="the sender's name before its domain",
    ),
    Key(
        name="unsubscribe_by_mail",
        shape=MailAddress(),
        about="An address that takes unsubscriptions too; the subject carries the letter's key.",
    ),
    Key(
        name="feedback_id",
        shape=Name("the id of the sender", pattern="[A-Za-z0-9_-]{5,15}", says="5 to 15 letters"),
        about="The last part of Feedback-ID, under which Gmail counts complaints.",
    ),
)


def letterhead(fields: Fields) -> Letterhead:
    """From the keys above."""
    return Letterhead(
        senders={name: _sender(one) for name, one in pairs_of(fields.value("senders", ())).items()},
        id_domain=fields.value("message_id_domain"),
        list_id=fields.value("list_id"),
        unsubscribe_by_mail=fields.value("unsubscribe_by_mail"),
        feedback_id=fields.value("feedback_id"),
    )


def _sender(fields: Fields) -> Sender:
    plain: Address = fields.value("address")
    address = Address(fields.value("name", ""), plain.username, plain.domain)
    return Sender(address=address, reply_to=fields.value("reply_to"))

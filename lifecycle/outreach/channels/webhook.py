"""A system of others hears of a letter, signed as Standard Webhooks 1.0 says.

The id of a hook is the key of the letter, the same on every try: whoever receives it drops what comes
a second time. Where the receiver promises that, and for how long, `same_key_for` says so.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import orjson

from lifecycle.errors import Unusable
from lifecycle.outreach.channels.http import Answer, Client, Request, judged
from lifecycle.outreach.channels.provider import Provider
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Outcome

PREFIX = "whsec_"
LEAST_SECRET, MOST_SECRET = 24, 64  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    url: str  # https://…
    secrets: tuple[bytes, ...] = field(repr=False)  # the newest first; each signs, for rotation
    same_key_for: timedelta | None = None  # for how long the receiver drops repeats of an id
    address: str | None = None  # an attribute that the receiver needs; None: the key is enough


class Webhook(Provider):
    def __init__(self, name: str, settings: WebhookSettings, client: Client) -> None:
        super().__init__(name=name, address=settings.address, client=client)
        self.same_key_for = settings.same_key_for
        self._settings = settings

    def _sent(self, letter: Letter) -> Outcome:
        body = orjson.dumps(_told(letter), default=_plain)
        at = self.client.now()
        headers = {
            "Content-Type": "application/json",
            "webhook-id": letter.key,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signatures(self._settings.secrets, letter.key, at, body),
        }
        reply = self.client.ask(Request(url=self._settings.url, headers=headers, body=body))
        if not isinstance(reply, Answer):
            return reply
        return judged(reply, now=at, same_key=self.same_key_for is not None)


def secret_of(text: str) -> bytes:
    """Raises Unusable, without a word of the secret."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(PREFIX) or not LEAST_SECRET <= len(secret) <= MOST_SECRET:
        raise Unusable(
            f"the secret of a web hook is {PREFIX} and then {LEAST_SECRET} to {MOST_SECRET} bytes in Base64"
        )
    return secret


def signatures(secrets: Sequence[bytes], id: str, at: datetime, body: bytes) -> str:
    """One for each secret: a receiver that knows one of them is content."""
    signed = f"{id}.{int(at.timestamp())}.".encode() + body
    digests = [hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def _told(letter: Letter) -> dict[str, object]:
    """What the receiver is told; its key is the same on every try."""
    content, links = letter.content, letter.links
    return {
        "type": "lifecycle.message",
        "data": {
            "key": letter.key,
            "rule": letter.rule,
            "channel": letter.channel,
            "marketing": letter.marketing,
            "customer": letter.to.customer,
            "address": letter.to.address or None,
            "name": letter.to.name,
            "language": content.language,
            "subject": content.subject,
            "text": content.text,
            "html": content.html,
            "links": None
            if links is None
            else {
                "unsubscribe": links.unsubscribe,
                "preferences": links.preferences,
                "survey": links.survey,
            },
            "due_at": letter.due_at,
            "facts": dict(letter.facts),
        },
    }


def _plain(value: object) -> object:
    """Decimals as text, so that none loses a digit; durations in seconds."""
    match value:
        case Decimal():
            return f"{value:f}"
        case timedelta():
            return value.total_seconds()
        case _:
            return str(value)

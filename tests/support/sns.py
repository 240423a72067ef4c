"""Amazon SNS as its documents describe it: it signs what it posts, and has its certificate on its host."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from lifecycle.outreach.channels.http import Answer, Reply, Request
from lifecycle.outreach.hooks import Posted

REGION = "eu-west-1"
TOPIC = f"arn:aws:sns:{REGION}:123456789012:ses-feedback"
HOST = f"sns.{REGION}.amazonaws.com"
CERTIFICATE = f"https://{HOST}/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
TOKEN = "2336412f37fb687f5d51e6e241d09c805a5a57b30d712f794cc5f6a988666d92"
NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)


@cache
def key(name: str = "amazon") -> rsa.RSAPrivateKey:
    """One for each name; making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(
    *names: str,
    subject: str = "sns.amazonaws.com",
    since: datetime = NOW - timedelta(days=30),
    until: datetime = NOW + timedelta(days=30),
    signer: Any = None,
) -> bytes:
    """In PEM, for these names beside its subject."""
    held = signer or key()
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    made = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(held.public_key())
        .serial_number(1)
        .not_valid_before(since)
        .not_valid_after(until)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        made = made.add_extension(alternatives, critical=False)
    signed = made.sign(held, hashes.SHA256() if isinstance(held, rsa.RSAPrivateKey) else None)
    return signed.public_bytes(serialization.Encoding.PEM)


class FakeAmazon:
    """What is at its addresses; `asked` holds the requests, in order."""

    def __init__(self, answers: Mapping[str, Reply | bytes] | None = None) -> None:
        self.answers = dict(answers or {CERTIFICATE: certificate("sns.amazonaws.com")})
        self.asked: list[str] = []

    def ask(self, request: Request) -> Reply:
        assert request.body is None  # only ever a GET
        self.asked.append(request.url)
        found = self.answers.get(request.url, Answer(status=404, headers={}, body=b""))
        if isinstance(found, bytes):
            return Answer(status=200, headers={}, body=found)
        return found


def notification(message: str | Mapping[str, Any], **changed: str) -> dict[str, str]:
    text = message if isinstance(message, str) else json.dumps(message)
    return _message("Notification", {"Message": text}, changed)


def confirmation(kind: str = "SubscriptionConfirmation", **changed: str) -> dict[str, str]:
    topic = changed.get("TopicArn", TOPIC)
    own = {
        "Message": f"You have chosen to subscribe to the topic {topic}.\nVisit the SubscribeURL.",
        "Token": TOKEN,
        "SubscribeURL": (
            f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={topic}&Token={TOKEN}"
        ),
    }
    return _message(kind, own, changed)


def signed(
    said: Mapping[str, str], *, version: str = "2", signer: rsa.RSAPrivateKey | None = None
) -> dict[str, str]:
    """Each name and its value, on lines of their own, in the order of the names."""
    names = ["Message", "MessageId", "Timestamp", "TopicArn", "Type"]
    names += ["Subject"] if said["Type"] == "Notification" else ["SubscribeURL", "Token"]
    text = "".join(f"{name}\n{said[name]}\n" for name in sorted(names) if name in said)
    by = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = (signer or key()).sign(text.encode(), padding.PKCS1v15(), by)
    return {
        **said,
        "SignatureVersion": version,
        "Signature": base64.b64encode(signature).decode(),
    }


def posted(said: object, *, now: datetime = NOW) -> Posted:
    """As SNS posts it: JSON that is called text."""
    headers = {"content-type": "text/plain; charset=UTF-8", "x-amz-sns-topic-arn": TOPIC}
    url = "https://care.example.com/v1/hooks/email"
    return Posted(url=url, headers=headers, body=json.dumps(said).encode(), now=now)


def _message(kind: str, own: Mapping[str, str], changed: Mapping[str, str]) -> dict[str, str]:
    return {
        "Type": kind,
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Timestamp": "2026-02-01T11:59:58.655Z",
        "SigningCertURL": CERTIFICATE,
        **own,
        **changed,
    }

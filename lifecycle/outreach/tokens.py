"""How does somebody who clicks a link prove what it may do? The link itself is the authority.

A token is `v1.kid.payload.tag`. Its tag is made with a key for one use: a link that unsubscribes opens
no survey. What it may do is inside, so one of this list does nothing to another. Links to unsubscribe
and to surveys never expire; whoever kept a mail for years may still leave.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from lifecycle.domain.instant import instant_from, instant_text
from lifecycle.outreach.letter import Links
from lifecycle.outreach.rewriting import is_target
from lifecycle.outreach.secret import Secret, keyed_hash

LONGEST = 2000  # characters of a token; those of a letter have about 150
TAG_BYTES = 18  # 144 bits; a multiple of 3, so that base64 leaves no bit unused
EVERYTHING = "marketing"  # the list that a letter without a purpose unsubscribes from

_VERSION = "v1"
_KEY_TAG = 20  # hex digits in the key of a letter: 80 bits that nobody can guess
LETTER_KEY = (
    rf"m[0-9]{{1,18}}-[0-9a-f]{{{_KEY_TAG}}}"  # what one looks like, as a regular expression
)
_SHAPED = re.compile(rf"(?<![A-Za-z0-9-])({LETTER_KEY})(?![A-Za-z0-9-])")
_MOST_SHAPED = 20


class Survey(StrEnum):
    """What a survey asks."""

    CSAT = "csat"  # how satisfied, 1 to 5
    NPS = "nps"  # how likely to recommend, 0 to 10
    CHURN = "churn"  # why she left: a reason, and words of her own


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What a letter was sent for: one customer, one list, one channel."""

    customer: int  # the number by which the log calls her: no address stands in a link
    letter: str  # the key of the letter
    purpose: str
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One survey for one customer, asked once by one letter."""

    customer: int
    letter: str
    survey: Survey


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A consent that somebody said she gives; she alone, who gets the link, can confirm it."""

    customer: int
    purpose: str
    channel: str
    source: str  # where it was asked, such as a form
    text_version: str  # of the words that she agreed to
    at: datetime
    address_hash: str  # of the address to which the link goes


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """The picture of a letter that is measured: whoever fetches it looks at the letter."""

    letter: str
    channel: str
    consent: str | None  # the purpose without which nothing is recorded; None: it is not asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A link of a letter that is measured. Where it leads stands inside, so it leads nowhere else."""

    letter: str
    channel: str
    consent: str | None
    number: int  # of the link in its letter, from 1
    target: str


Link = Membership | Question | Asked | Looked | Followed

_UNSUBSCRIBE, _SURVEY, _CONFIRM = "unsubscribe", "survey", "confirm"
_LOOK, _FOLLOW = "look", "follow"


def survey_of(rule: str) -> Survey:
    """Which survey a rule of that name asks for: its name says it."""
    if "churn" in rule:
        return Survey.CHURN
    return Survey.NPS if "nps" in rule else Survey.CSAT


def links_of(
    public_url: str,
    secret: Secret,
    customer: int,
    letter_key: str,
    purpose: str | None,
    channel: str,
    *,
    survey: Survey = Survey.CSAT,
) -> Links:
    """The links of one letter. The same letter has the same ones on every try."""
    list_ = purpose or EVERYTHING
    membership = Membership(customer=customer, letter=letter_key, purpose=list_, channel=channel)
    question = Question(customer=customer, letter=letter_key, survey=survey)
    leave = f"{public_url}/u/{membership_token(secret, membership)}"
    return Links(
        unsubscribe=leave,
        preferences=f"{leave}/preferences",
        survey=f"{public_url}/s/{question_token(secret, question)}",
    )


def membership_token(secret: Secret, link: Membership) -> str:
    return _sign(secret, _UNSUBSCRIBE, [link.customer, link.letter, link.purpose, link.channel])


def question_token(secret: Secret, link: Question) -> str:
    return _sign(secret, _SURVEY, [link.customer, link.letter, link.survey.value])


def asked_token(secret: Secret, link: Asked) -> str:
    at = instant_text(link.at)
    said = [link.customer, link.purpose, link.channel, link.source, link.text_version, at]
    return _sign(secret, _CONFIRM, [*said, link.address_hash])


def looked_token(secret: Secret, link: Looked) -> str:
    return _sign(secret, _LOOK, [link.letter, link.channel, link.consent])


def followed_token(secret: Secret, link: Followed) -> str | None:
    """None: its target is too long to be carried along."""
    said = [link.letter, link.channel, link.consent, link.number, link.target]
    token = _sign(secret, _FOLLOW, said)
    return token if len(token) <= LONGEST else None


def membership_in(secret: Secret | None, token: str) -> Membership | None:
    """None for whatever we did not sign to unsubscribe somebody."""
    said = _said(secret, _UNSUBSCRIBE, token)
    if said is None:
        return None
    customer, letter, purpose, channel = said
    return Membership(customer=customer, letter=letter, purpose=purpose, channel=channel)


def question_in(secret: Secret | None, token: str) -> Question | None:
    said = _said(secret, _SURVEY, token)
    if said is None:
        return None
    customer, letter, survey = said
    return Question(customer=customer, letter=letter, survey=Survey(survey))


def asked_in(secret: Secret | None, token: str) -> Asked | None:
    said = _said(secret, _CONFIRM, token)
    if said is None:
        return None
    customer, purpose, channel, source, text_version, at, hashed = said
    return Asked(
        customer=customer,
        purpose=purpose,
        channel=channel,
        source=source,
        text_version=text_version,
        at=instant_from(at),
        address_hash=hashed,
    )


def looked_in(secret: Secret | None, token: str) -> Looked | None:
    said = _said(secret, _LOOK, token)
    if said is None:
        return None
    letter, channel, consent = said
    return Looked(letter=letter, channel=channel, consent=consent)


def followed_in(secret: Secret | None, token: str) -> Followed | None:
    """None also for what leads to no place on the web, whoever signed it."""
    said = _said(secret, _FOLLOW, token)
    if said is None:
        return None
    letter, channel, consent, number, target = said
    if not is_target(target):
        return None
    return Followed(letter=letter, channel=channel, consent=consent, number=number, target=target)


def name_of(token: str) -> str:
    """Short, and the same for the same link: what is done by it is named by it."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


def _sign(secret: Secret, use: str, said: list[Any]) -> str:
    payload = _base64(orjson.dumps(said))
    signed = f"{_VERSION}.{secret.id}.{payload}"
    return f"{signed}.{_tag(secret, use, signed)}"


def _said(secret: Secret | None, use: str, token: str) -> list[Any] | None:
    """What was signed; the tag is compared as text, so that it has one spelling only."""
    signed, _, tag = token.rpartition(".")
    parts = signed.split(".")
    if secret is None or len(token) > LONGEST or len(parts) != 3 or not token.isascii():
        return None
    signer = secret.named(parts[1])
    expected = _tag(signer or secret, use, signed)
    if not hmac.compare_digest(expected, tag) or signer is None or parts[0] != _VERSION:
        return None
    try:
        said: list[Any] = orjson.loads(base64.urlsafe_b64decode(_padded(parts[2])))
    except (binascii.Error, orjson.JSONDecodeError):
        return None
    return said


def _tag(secret: Secret, use: str, signed: str) -> str:
    return _base64(hmac.digest(secret.key(f"link:{use}"), signed.encode(), "sha256")[:TAG_BYTES])


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)


# -- the key of a letter ------------------------------------------------------------------------


def letter_key(secret: Secret, message: int) -> str:
    """Of the message of that row: the same on every try, and nobody can make up another's.

    It goes out as Message-ID and envelope id, and comes back in reports, which anybody may forge:
    they are believed as far as the key is right. It is made with the oldest secret that is named, so
    that it stays the same while a newer one takes over.
    """
    *_, oldest = secret.all()
    return f"m{message}-{keyed_hash(oldest.key('letter'), str(message))[:_KEY_TAG]}"


def keys_in(text: str) -> list[str]:
    """What is shaped like the key of a letter in a header or an address; whether one is, `message_in` says."""
    return _SHAPED.findall(text[:1000])[:_MOST_SHAPED]


def message_in(secret: Secret | None, key: str) -> int | None:
    """The row of the message whose key this is; None for a key that we did not make."""
    if secret is None or not re.fullmatch(LETTER_KEY, key):
        return None
    message = int(key[1:].partition("-")[0])
    found = False
    for one in secret.all():
        tag = keyed_hash(one.key("letter"), str(message))[:_KEY_TAG]
        found |= hmac.compare_digest(f"m{message}-{tag}", key)
    return message if found else None

"""A customer to whom letters were sent, as whoever sends them would have left it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from lifecycle.bootstrap import Engine
from lifecycle.domain.fate import Fate
from lifecycle.outreach import tokens
from lifecycle.outreach.addresses import address_hash
from lifecycle.outreach.secret import Secret
from lifecycle.outreach.tokens import Membership, Question, Survey
from lifecycle.store import customers, messages, suppressions
from lifecycle.store.sql import Tx, both
from tests.store.made import day, message

ATTEMPT = both(
    "INSERT INTO send_attempt (message_id, number, letter, channel, address_hash, language, template_hash,"
    " content_hash, began_at, ended_at, outcome, provider_id)"
    " VALUES (?, 1, '', ?, ?, 'en', '', '', ?, ?, 'accepted', ?)"
)

LEFT = both("UPDATE send_attempt SET began_at = ?, ended_at = ? WHERE message_id = ?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One letter that left."""

    customer: int
    message: int
    key: str
    address_hash: str


def secret_of(engine: Engine) -> Secret:
    secret = engine.feedback.secret
    assert secret is not None
    return secret


def send(
    engine: Engine,
    number: int = 1,
    *,
    key: str = "c1",
    channel: str = "email",
    address: str = "ann@example.com",
    provider_id: str | None = None,
    fate: Fate = Fate.SENT,
) -> Sent:
    secret = secret_of(engine)
    with engine.db.read() as tx:
        customer = customers.find(tx, key)
    row = message(customer, f"event:shop|{number}", number=number, fate=fate)
    engine.db.run(lambda tx: messages.insert(tx, [row]))
    with engine.db.read() as tx:
        (stored,) = [m for m in messages.of(tx, [customer])[customer] if m.message.number == number]
    hashed = address_hash(secret, channel, address)
    engine.db.run(
        lambda tx: tx.run(
            ATTEMPT,
            stored.row_id,
            channel,
            hashed,
            tx.to_db(day(1)),
            tx.to_db(day(1)),
            provider_id,
        )
    )
    return Sent(
        customer=customer,
        message=stored.row_id,
        key=tokens.letter_key(secret, stored.row_id),
        address_hash=hashed,
    )


def left(engine: Engine, sent: Sent, ago: timedelta, *, answered: bool = True) -> None:
    """It left so long ago, by the real clock; without an answer nobody knows yet whether it arrived."""

    def unit(tx: Tx) -> None:
        at = tx.to_db(engine.db.clock(tx) - ago)
        tx.run(LEFT, at, at if answered else None, sent.message)

    engine.db.run(unit)


def leaving(engine: Engine, sent: Sent, *, purpose: str = "marketing") -> str:
    """The path of its link to unsubscribe."""
    link = Membership(customer=sent.customer, letter=sent.key, purpose=purpose, channel="email")
    return f"/u/{tokens.membership_token(secret_of(engine), link)}"


def survey(engine: Engine, sent: Sent, kind: Survey = Survey.CSAT) -> str:
    link = Question(customer=sent.customer, letter=sent.key, survey=kind)
    return f"/s/{tokens.question_token(secret_of(engine), link)}"


def scopes(engine: Engine, *hashes: str) -> dict[str, frozenset[str]]:
    with engine.db.read() as tx:
        return suppressions.suppressed(tx, hashes, engine.installation.now(tx))


def fate_of(engine: Engine, sent: Sent) -> Fate:
    with engine.db.read() as tx:
        rows = messages.of(tx, [sent.customer])[sent.customer]
    return next(row.fate for row in rows if row.row_id == sent.message)

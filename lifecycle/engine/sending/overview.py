"""What do people see of messages: which there are, why one went or did not, and what it said?"""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle.domain.fate import Fate
from lifecycle.engine.addressing import known_of
from lifecycle.engine.identities import find
from lifecycle.engine.installation import Installation
from lifecycle.engine.reading import snapshot_of
from lifecycle.engine.sending.known import refuse_unknown_rule
from lifecycle.errors import NotFound
from lifecycle.store import customers, mailroom, sending
from lifecycle.store.mailroom import Listed, Shown
from lifecycle.store.messages import MessageRow
from lifecycle.store.sending import Tried
from lifecycle.store.sql import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, each time it was handed over, and what the outbox shows of it."""

    customer: str
    row: MessageRow
    tried: tuple[Tried, ...]
    letter: Shown | None
    language: str  # in which she would be written to now


def newest(
    inst: Installation,
    limit: int,
    *,
    fate: Fate | None = None,
    rule: str | None = None,
    customer: str | None = None,
) -> list[Listed]:
    """The messages of which something was decided last.

    Raises NotFound for an unknown customer, Problem for a rule that no policy has.
    """
    with inst.db.read() as tx:
        if rule is not None:
            refuse_unknown_rule(inst, tx, rule, "--rule")
        who = None if customer is None else find(tx, customer)
        return mailroom.newest(tx, limit, fate=fate, rule=rule, customer_id=who)


def message(inst: Installation, number: int) -> Message:
    """By the number under which it is listed. Raises NotFound."""
    with inst.db.read() as tx:
        row = sending.by_id(tx, [number]).get(number)
        if row is None:
            raise NotFound(f"there is no message of the number {number}")
        customer = customers.key_of(tx, row.customer_id)
        tried = tuple(sending.attempts_of(tx, [number]).get(number, ()))
        return Message(
            customer=customer,
            row=row,
            tried=tried,
            letter=mailroom.shown(tx, tried[-1].letter) if tried else None,
            language=_language(inst, tx, row.customer_id),
        )


def _language(inst: Installation, tx: Tx, customer_id: int) -> str:
    now, policies = inst.now(tx), inst.timeline(tx)
    row = customers.rows(tx, [customer_id])[customer_id]
    known = known_of(snapshot_of(tx, policies, row), policies.at(now), now, customer=row.key)
    return str(known["customer"]["language"])

"""How an operator moves a customer by hand: an event of ours, with who and why."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from lifecycle.domain.event import MOVED, OUR_SOURCE, Event
from lifecycle.domain.policy import State
from lifecycle.engine.accept import accept_within
from lifecycle.engine.apply import apply_customers
from lifecycle.engine.identities import known_key
from lifecycle.engine.installation import Installation
from lifecycle.engine.work import Applied
from lifecycle.errors import UNCHANGED, Problem
from lifecycle.intake.draft import Draft
from lifecycle.intake.values import did_you_mean, nearest
from lifecycle.store import customers
from lifecycle.store.sql import Tx


def move(inst: Installation, key: str, to: str, *, by: str, why: str) -> Applied:
    """Move a customer to a state as of now; her timed checks get their full time again.

    Raises NotFound for an unknown customer and Problem for a state that the policy does not have
    or that she is in already. Another event of hers may still overtake it: then it is in the log.
    """
    key = known_key(key)
    name = f"move-{uuid4()}"  # outside of the unit, which may be run again: it is one move

    def unit(tx: Tx) -> int:
        customer_id = customers.find(tx, key)
        row = customers.rows(tx, [customer_id])[customer_id]
        now = inst.now(tx)
        _refuse_impossible(inst, tx, row.state, to)
        properties = {"to": to, "by": by, "why": why}
        event = Event(
            source=OUR_SOURCE,
            id=name,
            customer=key,
            type=MOVED,
            occurred_at=now,
            received_at=now,
            properties=properties,
        )
        draft = Draft(event=event, dated=True, backfill=False, too_late=False)
        accept_within(inst, tx, [draft])
        return customer_id

    return apply_customers(inst, [inst.db.run(unit)])


def _refuse_impossible(inst: Installation, tx: Tx, state: str, to: str) -> None:
    states = inst.timeline(tx).at(inst.now(tx)).policy.states
    names = [known.name for known in states]
    if to not in names:
        raise Problem(
            "unknown_state",
            f"the policy has no state {to!r}; {UNCHANGED}",
            pointer="/to",
            got=to,
            expected=", ".join(names),
            hint=_meant(to, states),
        )
    if to == state:
        raise Problem(
            "already_there", f"the customer is {to!r} already; {UNCHANGED}", pointer="/to", got=to
        )


def _meant(to: str, states: Sequence[State]) -> str | None:
    """People know a state by its label, in their language; what is asked for is its name."""
    names = tuple(state.name for state in states)
    if hint := did_you_mean(to, names):
        return hint
    labels = {label: state.name for state in states for label in state.labels.values()}
    near = nearest(to, tuple(labels))
    return f'did you mean "{labels[near]}", which is labelled "{near}"?' if near else None

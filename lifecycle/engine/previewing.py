"""What would a message say to a customer if it went now? The variables, as if a rule had just planned it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from lifecycle.domain.event import key_in
from lifecycle.domain.fate import Fate
from lifecycle.domain.policy import OutreachRule, Policy
from lifecycle.domain.step import PlannedMessage
from lifecycle.engine import addressing
from lifecycle.engine.identities import find
from lifecycle.engine.installation import Installation
from lifecycle.engine.reading import snapshot_of
from lifecycle.outreach.letter import Links
from lifecycle.outreach.templates.names import Missing, causing_types
from lifecycle.outreach.templates.words import OF_CUSTOMER
from lifecycle.store import customers, events, messages, steps
from lifecycle.store.messages import MessageRow
from lifecycle.store.sql import Tx

PAGE = 500

_NOWHERE = Links(  # a look at a message gives no one the right to unsubscribe somebody
    unsubscribe="https://preview.invalid/u",
    preferences="https://preview.invalid/p",
    survey="https://preview.invalid/s",
)


def context_for(
    inst: Installation,
    key: str,
    rule: OutreachRule,
    *,
    step: int,
    variant: str | None,
    company: Mapping[str, str],
) -> dict[str, Any]:
    """Of the rule's latest message for her, where there was one; else as if caused now.

    Raises NotFound where no identifier is written like that.
    """
    with inst.db.read() as tx:
        customer_id = find(tx, key)
        row = customers.rows(tx, [customer_id])[customer_id]
        now, policies = inst.now(tx), inst.timeline(tx)
        version = policies.at(now)
        planned = [
            each
            for each in messages.of(tx, [customer_id]).get(customer_id, [])
            if each.live and (each.message.rule, each.message.number) == (rule.name, step)
        ]
        message = (
            planned[-1] if planned else _as_if(tx, customer_id, version.policy, rule, step, now)
        )
        caused = key_in(message.message.cause)
        event = events.get(tx, *caused) if caused else None
        moves = [
            each.step
            for each in steps.live(tx, [customer_id]).get(customer_id, [])
            if each.step.cause == message.message.cause
        ]
        return addressing.context_of(
            snapshot_of(tx, policies, row),
            version,
            message,
            now,
            customer=row.key,
            event=event.event if event else None,
            step=moves[-1] if moves else None,
            variant=variant,
            links=_NOWHERE,
            company=company,
        )


def missing(inst: Installation, on_customers: Callable[[int], None] = lambda _: None) -> Missing:
    """For how many customers a message could not name each variable, as of now; looks at all of them."""
    count, known = 0, Counter[str]()
    with inst.db.read() as tx:
        now, policies = inst.now(tx), inst.timeline(tx)
        version, after = policies.at(now), 0
        while ids := customers.ids_after(tx, after, PAGE):
            after = ids[-1]
            for row in customers.rows(tx, ids).values():
                snapshot = snapshot_of(tx, policies, row)
                found = addressing.known_of(snapshot, version, now, customer=row.key)
                known.update(f"{root}.{name}" for root, held in found.items() for name in held)
                count += 1
            on_customers(len(ids))
    policy = version.policy
    names = [f"customer.{name}" for name in (*policy.attributes, *OF_CUSTOMER)]
    names += [f"facts.{fact.name}" for fact in policy.facts]
    return Missing(customers=count, by_variable={name: count - known[name] for name in names})


def _as_if(
    tx: Tx, customer_id: int, policy: Policy, rule: OutreachRule, step: int, now: datetime
) -> MessageRow:
    """A message that her latest event of the right type has caused; without one, this moment has."""
    types = causing_types(policy, rule)
    found = (
        [e.event for e in events.all_of(tx, customer_id) if e.event.type in types] if types else []
    )
    return MessageRow(
        row_id=0,
        customer_id=customer_id,
        message=PlannedMessage(
            rule=rule.name,
            cause=found[-1].cause if found else f"preview:{rule.name}",
            number=step,
            caused_at=found[-1].occurred_at if found else now,
            planned_at=now,
            expires_at=None,
            settle=timedelta(0),
            again_after=timedelta(0),
            message_class=rule.message_class,
            channels=rule.channels,
            version=0,
        ),
        live=True,
        fate=Fate.QUEUED,
        reason=None,
        fate_at=now,
        not_before=now,
        sent_at=None,
        recorded_at=now,
    )

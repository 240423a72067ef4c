"""How does a test run the real engine on a real database, and ask what became of a customer?

The clock stands still and is moved by hand, so that nothing depends on how fast the test runs.
Histories are told with the words of `tests.scenarios.driver`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from lifecycle.clock import ClockSpec, Origin
from lifecycle.domain.event import Event
from lifecycle.domain.fate import Fate
from lifecycle.domain.policy import Policy
from lifecycle.engine.accept import Result, accept
from lifecycle.engine.apply import apply_pending, fire_due
from lifecycle.engine.installation import Installation
from lifecycle.engine.policies import ensure_policy
from lifecycle.engine.work import Applied
from lifecycle.intake.draft import Draft
from lifecycle.policy import to_canonical
from lifecycle.policy.canonical import policy_hash
from lifecycle.store import clock as clock_row
from lifecycle.store import customers, events, messages, policies, steps
from lifecycle.store.database import Database
from tests.policies import SCENARIO_POLICY
from tests.scenarios.driver import ANNA, Told, number_of
from tests.support.current import open_current

DAY_0_CLOCK = "2026-01-01T00:00:00Z"


@contextmanager
def installation(
    url: str, policy_text: str = SCENARIO_POLICY, clock: str | None = DAY_0_CLOCK
) -> Iterator[Installation]:
    """An installation on a fresh database, under this policy; `clock` None is real time."""
    with tempfile.TemporaryDirectory() as directory, closing(open_current(url)) as db:
        file = Path(directory) / "policy.yaml"
        file.write_text(policy_text, encoding="utf-8")
        ensure_policy(db, file)
        spec = None if clock is None else ClockSpec.parse(clock)
        inst = Installation(db, spec)
        if spec is not None:
            set_clock(inst, spec.start)
        yield inst


@contextmanager
def opened(url: str) -> Iterator[Installation]:
    """The installation that another process, or another part of the test, has made there."""
    with closing(Database.open(url)) as db:
        with db.read() as tx:
            origin = clock_row.read(tx)
        yield Installation(db, None if origin is None else ClockSpec.parse(origin.spec))


# -- what happens ------------------------------------------------------------------------------


def set_clock(inst: Installation, now: datetime) -> None:
    """Move the clock, which stands still, to an instant; nothing fires by that alone."""
    with inst.db.write() as tx:
        found = clock_row.read(tx)
        spec = DAY_0_CLOCK if found is None else found.spec
        origin = Origin(spec=spec, real_origin=now, virtual_origin=now, seen=now)
        clock_row.write(tx, origin)


def draft(event: Event) -> Draft:
    """The event as intake hands it on; what is in it is not checked, as that is intake's work."""
    return Draft(event=event, dated=True, backfill=False, too_late=False)


def post(inst: Installation, *events: Event, run_id: int | None = None) -> list[Result]:
    """These arrive in one batch; nothing is applied yet."""
    return accept(inst, [draft(event) for event in events], run_id=run_id)


def work(inst: Installation) -> Applied:
    """Apply everything that waits and fire everything that is due, until nothing is left."""
    done = Applied()
    more = True
    while more:
        applied, fired = apply_pending(inst), fire_due(inst)
        more = applied.more or fired.more
        done += applied + fired
    return done


def reach(inst: Installation, now: datetime) -> Applied:
    """The clock moves, and what is due fires."""
    set_clock(inst, now)
    return work(inst)


def arrive(inst: Installation, *events: Event) -> Applied:
    """These arrive, and are applied."""
    post(inst, *events)
    return work(inst)


def of(customer: str, *events: Event) -> list[Event]:
    """The same things happen to somebody else, under ids of their own."""
    return [event._replace(customer=customer, id=f"{customer}-{event.id}") for event in events]


def publish(inst: Installation, policy: Policy, *, number: int, effective_at: datetime) -> None:
    """A further version of the policy is in force from an instant on; nobody is folded again."""
    with inst.db.write() as tx:
        row = policies.PolicyRow(
            number=number,
            hash=policy_hash(policy),
            effective_at=effective_at,
            content=to_canonical(policy).decode(),
            published_at=inst.now(tx),
            by="olga",
        )
        assert policies.add(tx, row)


# -- what came of it ---------------------------------------------------------------------------


class Message(NamedTuple):
    """A planned message, with the day for which it was planned."""

    rule: str
    day: float
    fate: Fate
    reason: str | None = None


def state(inst: Installation, customer: str = ANNA) -> str:
    with inst.db.read() as tx:
        customer_id = customers.find(tx, customer)
        return customers.rows(tx, [customer_id])[customer_id].state


def made(inst: Installation, customer: str = ANNA) -> list[Told]:
    """Her steps that stand, in order."""
    with inst.db.read() as tx:
        customer_id = customers.find(tx, customer)
        rows = steps.live(tx, [customer_id]).get(customer_id, [])
    return [Told(row.step.rule, number_of(row.step.at)) for row in rows]


def revoked(inst: Installation, customer: str = ANNA) -> list[steps.StepRow]:
    """Her steps that no longer follow, in the order of their instants."""
    with inst.db.read() as tx:
        rows = steps.all_of(tx, customers.find(tx, customer))
    return [row for row in rows if row.revoked_at is not None]


def message_rows(inst: Installation, customer: str = ANNA) -> list[messages.MessageRow]:
    with inst.db.read() as tx:
        customer_id = customers.find(tx, customer)
        return messages.of(tx, [customer_id]).get(customer_id, [])


def planned(inst: Installation, customer: str = ANNA) -> list[Message]:
    """Every message ever planned for her, whatever became of it, by planned instant."""
    return [
        Message(row.message.rule, number_of(row.message.planned_at), row.fate, row.reason)
        for row in message_rows(inst, customer)
    ]


def send(inst: Installation, at: datetime, customer: str = ANNA) -> None:
    """What is queued for her leaves at an instant, as the sender will record it."""
    with inst.db.write() as tx:
        customer_id = customers.find(tx, customer)
        queued = [
            row
            for row in messages.of(tx, [customer_id]).get(customer_id, ())
            if row.fate is Fate.QUEUED
        ]
        messages.update(tx, [_sent(row, at) for row in queued])


def _sent(row: messages.MessageRow, at: datetime) -> messages.MessageRow:
    return row._replace(fate=Fate.SENT, fate_at=at, sent_at=at)


def pending(inst: Installation) -> Sequence[str]:
    """The ids of the events that wait to be folded, in the order of events."""
    with inst.db.read() as tx:
        ids: list[int] = []
        after = 0
        while page := customers.ids_after(tx, after, 1000):
            after = page[-1]
            ids += page
        waiting = [one for found in events.pending_of(tx, ids).values() for one in found]
    return [one.event.id for one in sorted(waiting, key=lambda one: one.event.key)]

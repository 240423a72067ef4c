"""Does what is recorded follow from the events, customer by customer? Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from lifecycle.domain.fold import Folded, fold
from lifecycle.engine.installation import Installation
from lifecycle.store import backlog, customers, events, messages, steps
from lifecycle.store.customers import CustomerRow
from lifecycle.store.messages import MessageRow
from lifecycle.store.sql import Tx
from lifecycle.store.steps import StepRow

PAGE = 500
PENDING_TOO_LONG = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One promise that does not hold."""

    customer: str  # key; empty where it is about the whole installation
    code: str  # stable: state, steps, chain, messages, pending_too_long
    detail: str


def verify(
    inst: Installation, on_customers: Callable[[int], None] = lambda _: None
) -> list[Violation]:
    """Every broken promise; empty in a sound installation.

    Folds each customer from the beginning up to where she was folded, and compares state, live
    steps and message keys with what is recorded; that the steps form a chain without holes; that
    nothing has been pending for longer than a minute.
    """
    found: list[Violation] = []
    with inst.db.read() as tx:
        waited = backlog.oldest_pending(tx, inst.now(tx))
        if waited is not None and waited > PENDING_TOO_LONG:
            found.append(
                Violation(
                    customer="",
                    code="pending_too_long",
                    detail=f"an event has been pending for {waited}: are workers running?",
                )
            )
        after = 0
        while ids := customers.ids_after(tx, after, PAGE):
            after = ids[-1]
            found.extend(_page(inst, tx, ids))
            on_customers(len(ids))
    return found


def _page(inst: Installation, tx: Tx, ids: list[int]) -> Iterator[Violation]:
    rows = customers.rows(tx, ids)
    live = steps.live(tx, ids)
    planned = messages.of(tx, ids)
    timeline = inst.timeline(tx)
    histories = dict(events.histories(tx, ids))
    for customer_id in ids:
        row = rows[customer_id]
        if row.folded_until is None:
            continue
        history = [stored.event for stored in histories.get(customer_id, [])]
        folded = fold(timeline, None, history, row.folded_until)
        yield from _differences(
            row, folded, live.get(customer_id, []), planned.get(customer_id, [])
        )


def _differences(
    row: CustomerRow, folded: Folded, live: list[StepRow], planned: list[MessageRow]
) -> Iterator[Violation]:
    if row.state != folded.snapshot.state:
        yield Violation(
            customer=row.key,
            code="state",
            detail=f"recorded {row.state}, but her events lead to {folded.snapshot.state}",
        )
    if [stored.step for stored in live] != list(folded.steps):
        yield Violation(
            customer=row.key,
            code="steps",
            detail=f"{len(live)} live steps are not the {len(folded.steps)} that her events cause",
        )
    yield from _chain(row, live)
    keys = {stored.message.key for stored in planned if stored.live}
    expected = {message.key for message in folded.messages}
    for key in sorted(keys ^ expected):
        missing = "is missing" if key in expected else "has no cause"
        yield Violation(
            customer=row.key, code="messages", detail=f"message {' '.join(map(str, key))} {missing}"
        )


def _chain(row: CustomerRow, live: list[StepRow]) -> Iterator[Violation]:
    for place, stored in enumerate(live, start=1):
        if stored.seq != place:
            yield Violation(
                customer=row.key, code="chain", detail=f"step {place} is numbered {stored.seq}"
            )
        if place > 1 and stored.step.from_state != live[place - 2].step.to_state:
            yield Violation(
                customer=row.key,
                code="chain",
                detail=f"step {place} leaves {stored.step.from_state}, but the one before it"
                f" went to {live[place - 2].step.to_state}",
            )

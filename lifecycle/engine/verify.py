"""Does what is recorded follow from the events, customer by customer? Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from lifecycle.domain.fold import Folded, fold
from lifecycle.domain.instant import instant_text
from lifecycle.domain.snapshot import shape_of
from lifecycle.domain.timeline import Timeline
from lifecycle.engine import reading
from lifecycle.engine.installation import Installation
from lifecycle.store import customers, events, messages, steps
from lifecycle.store.customers import CustomerRow
from lifecycle.store.messages import MessageRow
from lifecycle.store.reading import Backlog, backlog
from lifecycle.store.sql import Tx
from lifecycle.store.steps import StepRow

PAGE = 500
PENDING_TOO_LONG = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One promise that does not hold."""

    customer: str  # key; empty where it is about the whole installation
    code: str  # stable: fold, unfolded, state, steps, chain, messages, snapshot, wake_at, pending_too_long, import_open …
    detail: str


def verify(
    inst: Installation, on_customers: Callable[[int], None] = lambda _: None
) -> list[Violation]:
    """Every broken promise; empty in a sound installation.

    Folds each customer from the beginning up to where she was folded, and compares state, live
    steps, message keys, the snapshot to the byte and when she is to be looked at again with what is
    recorded; that the steps form a chain without holes; that no event is neither folded nor
    waiting; that nothing has been pending for longer than a minute of real time, and no import was left half.
    """
    found: list[Violation] = []
    with inst.db.read() as tx:
        waited = reading.waited(inst, tx)
        if waited is not None and waited > PENDING_TOO_LONG:
            found.append(
                Violation(
                    customer="",
                    code="pending_too_long",
                    detail=f"an event has been pending for {waited}: are workers running?",
                )
            )
        found.extend(_imports(backlog(tx)))
        after = 0
        while ids := customers.ids_after(tx, after, PAGE):
            after = ids[-1]
            found.extend(_page(inst, tx, ids))
            on_customers(len(ids))
    return found


def _imports(waiting: Backlog) -> Iterator[Violation]:
    """An import that was interrupted: nothing is wrong, but not everything counts yet."""
    if waiting.held:
        yield Violation(
            customer="",
            code="import_open",
            detail=f"an import has not ended, and {waiting.held} events of it count for nothing yet:"
            " if it is not running, run the same command again",
        )
    if waiting.pending and waiting.oldest_received_at is None:
        yield Violation(
            customer="",
            code="import_unfolded",
            detail=f"{waiting.pending} events of an import wait to be folded:"
            " run the same command again, or `lifecycle up`",
        )


def _page(inst: Installation, tx: Tx, ids: list[int]) -> Iterator[Violation]:
    rows = customers.rows(tx, ids)
    live = steps.live(tx, ids)
    planned = messages.of(tx, ids)
    timeline = inst.timeline(tx)
    histories = dict(events.histories(tx, ids))
    for customer_id in ids:
        row = rows[customer_id]
        history = [stored.event for stored in histories.get(customer_id, [])]
        if row.folded_until is None:
            if history:
                yield Violation(
                    customer=row.key,
                    code="unfolded",
                    detail=f"{len(history)} of her events are neither folded nor waiting",
                )
            continue
        try:
            folded = fold(timeline, None, history, row.folded_until)
        except Exception as error:  # noqa: BLE001 - it is told, and the others are looked at too
            detail = f"her events cannot be folded: {error}"
            yield Violation(customer=row.key, code="fold", detail=detail)
            continue
        yield from _differences(
            row, folded, live.get(customer_id, []), planned.get(customer_id, [])
        )
        yield from _stale(timeline, row, folded)


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


def _stale(timeline: Timeline, row: CustomerRow, folded: Folded) -> Iterator[Violation]:
    """What is kept for the next fold; a snapshot without one, or of other facts, is made anew."""
    kept = row.snapshot is not None and shape_of(row.snapshot) == timeline.shape
    if kept and row.snapshot != folded.snapshot.dump():
        yield Violation(
            customer=row.key,
            code="snapshot",
            detail="her facts as remembered are not those that her events give",
        )
    if folded.wake_at is not None and (row.wake_at is None or row.wake_at > folded.wake_at):
        yield Violation(
            customer=row.key,
            code="wake_at",
            detail=f"she is to be looked at again at {instant_text(folded.wake_at)}, but it is"
            f" recorded {'never' if row.wake_at is None else instant_text(row.wake_at)}",
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

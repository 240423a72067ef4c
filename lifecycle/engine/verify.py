"""Does what is recorded follow from the events, customer by customer? Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from lifecycle.domain.fold import fold
from lifecycle.engine import reading
from lifecycle.engine.apply import is_over
from lifecycle.engine.installation import Installation
from lifecycle.engine.violations import Recorded, Violation, of_customer, of_unfolded
from lifecycle.store import attempts, customers, events, messages, recomputations, steps
from lifecycle.store.reading import Backlog, backlog
from lifecycle.store.sql import Tx

__all__ = ["PENDING_TOO_LONG", "Violation", "verify"]

PAGE = 500
PENDING_TOO_LONG = timedelta(seconds=60)
OPEN_TOO_LONG = timedelta(minutes=10)  # no work lasts as long: a batch is ended after two


def verify(
    inst: Installation, on_customers: Callable[[int], None] = lambda _: None
) -> list[Violation]:
    """Every broken promise; empty in a sound installation.

    Folds each customer from the beginning up to where she was folded, and compares state, live
    steps, planned messages, the snapshot to the byte and when she is to be looked at again with what
    is recorded; that the steps form a chain without holes, and the log tells of each; that every
    message has a fate that fits its cause; that no event is neither folded nor waiting; that nothing
    has been pending for longer than a minute of real time, nothing was begun and left by its process
    for longer than ten, and no import was left half.
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
        found.extend(_attempts(inst, tx))
        found.extend(_imports(backlog(tx)))
        found.extend(_recomputation(tx))
        after = 0
        while ids := customers.ids_after(tx, after, PAGE):
            after = ids[-1]
            found.extend(_page(inst, tx, ids))
            on_customers(len(ids))
        found.extend(_log(tx))
    return found


def _attempts(inst: Installation, tx: Tx) -> Iterator[Violation]:
    """Work that its process left behind, and that nobody has done since."""
    now = inst.db.clock(tx)
    left = [
        attempt
        for attempt in attempts.unfinished(tx)
        if now - attempt.started_at > OPEN_TOO_LONG and not is_over(inst, tx, attempt, now)
    ]
    if left:
        yield Violation(
            customer="",
            code="attempt_open",
            detail=f"work with {len({each for one in left for each in one.customers})} customers was"
            f" begun {now - min(one.started_at for one in left)} ago and has not ended: are workers and"
            " a scheduler running?",
        )


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


def _recomputation(tx: Tx) -> Iterator[Violation]:
    """Nothing is wrong, but the record of some is what followed before."""
    unfinished = recomputations.unfinished(tx)
    if unfinished is not None:
        yield Violation(
            customer="",
            code="recomputation_open",
            detail=f"{unfinished.done:,} of {unfinished.customers:,} customers know version"
            f" {unfinished.version} of the policy, and of the others nothing is said here:"
            " `lifecycle up`, or workers, fold them on to it",
        )


def _page(inst: Installation, tx: Tx, ids: list[int]) -> Iterator[Violation]:
    rows = customers.rows(tx, ids)
    live = steps.live(tx, ids)
    planned = messages.of(tx, ids)
    timeline = inst.timeline(tx)
    newest = 0 if recomputations.unfinished(tx) is None else timeline.newest
    histories = dict(events.histories(tx, ids))
    for customer_id in ids:
        recorded = Recorded(
            row=rows[customer_id],
            live=live.get(customer_id, []),
            messages=planned.get(customer_id, []),
        )
        history = [stored.event for stored in histories.get(customer_id, [])]
        until = recorded.row.folded_until
        if until is not None and (recorded.row.policy_version or 0) < newest:
            continue  # she is still to be folded on, which the recomputation stands for
        if until is None:
            yield from of_unfolded(recorded, len(history))
            continue
        try:
            folded = fold(timeline, None, history, until)
        except Exception as error:  # noqa: BLE001 - it is told, and the others are looked at too
            detail = f"her events cannot be folded: {error}"
            yield Violation(customer=recorded.row.key, code="fold", detail=detail)
            continue
        yield from of_customer(timeline, recorded, folded)


def _log(tx: Tx) -> Iterator[Violation]:
    """Who follows the log has heard of each step once, and of each revocation once."""
    for key, rule, made, revoked in steps.mislogged(tx):
        yield Violation(
            customer=key,
            code="log",
            detail=f"of a step by {rule} the log says {made} times that it was made, and"
            f" {revoked} times that it was revoked",
        )

"""What would become of events if they were stored now? Told by reading alone; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from lifecycle.engine.accept import Result, result_of
from lifecycle.intake.draft import Draft
from lifecycle.store import events
from lifecycle.store.database import Database
from lifecycle.store.events import Added, Known

BATCH = 2_000  # events that are looked up at once


def rehearse(
    db: Database | None, read: Callable[[], Iterable[Draft]]
) -> Iterator[tuple[Draft, Result]]:
    """What `accept` would answer to each draft; without a database nothing is known before.

    Conflicts between the drafts themselves come last: what differs is found by reading once more, so
    `read` is called twice where there are any.
    """
    # Of every new event its name and half a hash, not what it says: about 250 bytes, so that a file
    # of a million rows takes a quarter of a gigabyte, however long its rows are.
    hashes: dict[str, bytes] = {}
    unlike: list[Draft] = []
    rows = iter(read())
    while batch := list(islice(rows, BATCH)):
        stored = _stored(db, batch)
        for draft in batch:
            known = stored.get((draft.event.source, draft.event.id))
            if known is not None:
                yield draft, result_of(draft, known)
                continue
            said = draft.body_hash[:16]
            first = hashes.setdefault(_name(draft), said)
            if first is said:
                yield draft, result_of(draft, Added(row_id=0, customer_id=0))
            elif first == said:
                yield draft, result_of(draft, _as_known(draft))
            else:
                unlike.append(draft)
    if unlike:
        yield from _told_apart(unlike, read())


def _stored(db: Database | None, batch: Sequence[Draft]) -> Mapping[tuple[str, str], Known]:
    if db is None:
        return {}
    with db.read() as tx:
        return events.known(tx, {(draft.event.source, draft.event.id) for draft in batch})


def _told_apart(unlike: Sequence[Draft], again: Iterable[Draft]) -> Iterator[tuple[Draft, Result]]:
    """What each says otherwise than the first of its id, which is found by a second reading."""
    names = {_name(draft) for draft in unlike}
    first: dict[str, Draft] = {}
    for draft in again:
        if (name := _name(draft)) in names:
            first.setdefault(name, draft)
    for draft in unlike:
        yield draft, result_of(draft, _as_known(first[_name(draft)]))


def _name(draft: Draft) -> str:
    """No id has a blank in it, so no two events share one; a pair would take more memory."""
    return f"{draft.event.source} {draft.event.id}"


def _as_known(draft: Draft) -> Known:
    """As the database would have it, had it been stored."""
    return Known(
        row_id=0,
        customer_id=0,
        body_hash=draft.body_hash,
        dated=draft.dated,
        event=draft.event,
    )

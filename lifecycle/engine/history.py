"""What happened to one customer, page by page, the latest first? Her events with what became of
them, checks that came due, steps that stand or were revoked, and planned messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lifecycle.domain.step import Moved
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.cursor import opened, sealed
from lifecycle.engine.explain.forms import Form, outcome_form
from lifecycle.engine.explain.retold import Happening, Retold, retell
from lifecycle.engine.identities import find
from lifecycle.engine.installation import Installation
from lifecycle.store import customers, events, reading
from lifecycle.store import dead as dead_letters
from lifecycle.store.dead import DeadLetter
from lifecycle.store.events import StoredEvent
from lifecycle.store.messages import MessageRow
from lifecycle.store.sql import Tx
from lifecycle.store.steps import StepRow


class Stage(StrEnum):
    """How far an event has come."""

    APPLIED = "applied"
    AHEAD = "ahead"  # applied, but its time has not come
    PENDING = "pending"  # it is about to be applied
    HELD = "held"  # it waits for the end of its import
    DEAD = "dead"  # it left the fold


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEntry:
    """An event of hers, and what became of it."""

    stored: StoredEvent
    stage: Stage
    outcome: Form | None  # moved, refused or no_transition, with the reason; None: not applied
    dead: DeadLetter | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEntry:
    """A timed check or date that came due and made no step."""

    at: datetime
    cause: str
    outcome: Form  # refused, fired or unplanned, with the reason


Entry = EventEntry | CheckEntry | StepRow | MessageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelinePage:
    """Some of what happened to a customer, the latest first."""

    entries: tuple[Entry, ...]
    cursor: str | None  # where the page before it in time begins; None: there is none


def timeline(inst: Installation, key: str, limit: int, cursor: str | None) -> TimelinePage:
    """At most `limit` entries. Raises NotFound, and Problem for a cursor not given for this customer.

    What became of each event is told as of now: a late event may change it between two pages.
    """
    with inst.db.read() as tx:
        customer_id = find(tx, key)
        query = ["timeline", customer_id]
        before = None if cursor is None else tuple(opened(cursor, query, (str, int, str, str)))
        entries = list(_entries(inst, tx, customer_id))
    placed = sorted(((_place(entry), entry) for entry in entries), key=lambda each: each[0])
    left = [each for each in placed if before is None or each[0] < before]
    page = left[max(len(left) - limit, 0) :][::-1]
    return TimelinePage(
        entries=tuple(entry for _, entry in page),
        cursor=sealed(query, page[-1][0]) if len(left) > limit else None,
    )


def _entries(inst: Installation, tx: Tx, customer_id: int) -> Iterator[Entry]:
    whole = reading.timeline(tx, customer_id)
    row = customers.rows(tx, [customer_id])[customer_id]
    history = dict(events.histories(tx, [customer_id])).get(customer_id, [])
    policies = inst.timeline(tx)
    retold = retell(policies, history, row.folded_until or inst.now(tx), detailed=0)
    pending = events.pending_of(tx, [customer_id]).get(customer_id, [])
    dead = {letter.stored.row_id: letter for letter in dead_letters.of_customer(tx, customer_id)}
    stages = _stages(retold, pending, dead)
    outcomes = {
        happening.cause: form
        for happening in retold.happenings
        if (form := _outcome(policies, happening)) is not None
    }
    for stored in whole.events:
        stage = stages.get(stored.row_id)
        if stage is None:
            stage = Stage.APPLIED if stored.event.cause in outcomes else Stage.HELD
        yield EventEntry(
            stored=stored,
            stage=stage,
            outcome=outcomes.get(stored.event.cause) if stage is Stage.APPLIED else None,
            dead=dead.get(stored.row_id),
        )
    for happening in retold.happenings:
        if happening.event is None and not isinstance(happening.outcome, Moved):
            yield CheckEntry(
                at=happening.at, cause=happening.cause, outcome=outcomes[happening.cause]
            )
    yield from whole.steps
    yield from whole.messages


def _stages(
    retold: Retold, pending: list[StoredEvent], dead: Mapping[int, DeadLetter]
) -> dict[int, Stage]:
    """Of all events that are not simply applied or held."""
    return {
        **{stored.row_id: Stage.AHEAD for stored in retold.waiting},
        **{stored.row_id: Stage.PENDING for stored in pending},
        **dict.fromkeys(dead, Stage.DEAD),
    }


def _outcome(policies: Timeline, happening: Happening) -> Form | None:
    version = policies.at(happening.at)
    if happening.outcome is not None:
        return outcome_form(happening.outcome, version)
    return outcome_form(happening.unplanned[0], version) if happening.unplanned else None


# -- the order ----------------------------------------------------------------------------------

_Place = tuple[str, int, str, str]  # instant, kind, names: sorts as things happened


def _place(entry: Entry) -> _Place:
    """At one instant: the check, the event, the steps that they made, the messages planned."""
    match entry:
        case CheckEntry(at=at, cause=cause):
            return (_sortable(at), 0, cause, "")
        case EventEntry(stored=stored):
            event = stored.event
            return (_sortable(event.occurred_at), 1, event.source, event.id)
        case StepRow(step=step, row_id=row_id):
            return (_sortable(step.at), 2, step.cause, f"{row_id:020}")
        case MessageRow(message=message):
            name = f"{message.rule}/{message.number:06}"
            return (_sortable(message.planned_at), 3, message.cause, name)


def _sortable(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")

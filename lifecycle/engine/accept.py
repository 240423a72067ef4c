"""How an event gets in: stored once, durable when this returns, told apart from what was seen before.

Wire formats and their errors are `intake`'s; folding is `apply`'s, which needs nothing but the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lifecycle.domain.instant import instant_text
from lifecycle.engine.installation import Installation
from lifecycle.errors import Problem
from lifecycle.intake.draft import Draft
from lifecycle.killpoints import Point, killpoint
from lifecycle.store import events
from lifecycle.store.sql import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Stored; it will be applied without further input."""

    source: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """The same id with the same content was stored before; nothing was changed."""

    source: str
    id: str
    first_seen: datetime
    dead: str | None = None  # quarantined or discarded: what was stored then counts for nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """The id was used before for other content; nothing was changed."""

    source: str
    id: str
    first_seen: datetime
    differing: tuple[str, ...]  # names of the parts that differ, such as `properties.amount`


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLate:
    """Stored among the dead letters: later than the policy's limit of lateness allows."""

    source: str
    id: str


class ConflictProblem(Problem):
    """A conflict in the words in which refusals are told; `at` points to the event."""

    def __init__(self, conflict: Conflict, at: str) -> None:
        seen = instant_text(conflict.first_seen)
        super().__init__(
            "event_id_conflict",
            f"another event of the source {conflict.source} was stored under this id at {seen}",
            status=409,
            pointer=f"{at}/id",
            got=conflict.id,
            expected="an id that names one event for ever",
            hint=f"these differ: {', '.join(conflict.differing)}",
        )
        self.conflict = conflict


Result = Accepted | Duplicate | Conflict | TooLate


def accept(
    inst: Installation, drafts: Sequence[Draft], *, run_id: int | None = None
) -> list[Result]:
    """One result a draft, in their order; all of it in one transaction, durable on return.

    Run twice, the second time answers `Duplicate` throughout. Events of an import (`run_id`) are
    held until that run has ended.
    """
    return inst.db.run(lambda tx: accept_within(inst, tx, drafts, run_id=run_id))


def accept_within(
    inst: Installation, tx: Tx, drafts: Sequence[Draft], *, run_id: int | None = None
) -> list[Result]:
    """The same within a transaction of the caller's."""
    initial = inst.timeline(tx).versions[0].policy.initial
    news = [
        events.NewEvent(draft.event, draft.body_hash, draft.dated, draft.request_id)
        for draft in drafts
    ]
    too_late = {index: _lateness(draft) for index, draft in enumerate(drafts) if draft.too_late}
    added = events.add(tx, news, initial=initial, run_id=run_id, too_late=too_late)
    killpoint(Point.INTAKE_BEFORE_COMMIT)
    return [result_of(draft, outcome) for draft, outcome in zip(drafts, added, strict=True)]


def _lateness(draft: Draft) -> str:
    event = draft.event
    late = event.received_at - event.occurred_at
    return f"received {late} after it occurred, at {instant_text(event.received_at)}"


def result_of(draft: Draft, outcome: events.Added | events.Known) -> Result:
    """In words for whoever sent it, what the store found; nothing is changed by asking."""
    source, name = draft.event.source, draft.event.id
    if isinstance(outcome, events.Known):
        if outcome.body_hash == draft.body_hash:
            return Duplicate(
                source=source,
                id=name,
                first_seen=outcome.event.received_at,
                dead=outcome.dead,
            )
        return Conflict(
            source=source,
            id=name,
            first_seen=outcome.event.received_at,
            differing=_differing(draft, outcome),
        )
    if draft.too_late:
        return TooLate(source=source, id=name)
    return Accepted(source=source, id=name)


def _differing(draft: Draft, known: events.Known) -> tuple[str, ...]:
    """Which parts of an event differ from the one that was stored under its id."""
    new, old = draft.event, known.event
    parts = [
        ("customer_id", new.customer != old.customer),
        ("type", new.type != old.type),
        (
            "occurred_at",
            draft.dated != known.dated or (draft.dated and new.occurred_at != old.occurred_at),
        ),
    ]
    missing = object()
    for name in sorted({*new.properties, *old.properties}):
        differs = new.properties.get(name, missing) != old.properties.get(name, missing)
        parts.append((f"properties.{name}", differs))
    return tuple(name for name, differs in parts if differs)

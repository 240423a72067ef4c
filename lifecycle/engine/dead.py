"""What can a person do about an event that left the fold? See it, let it count after all, or never.

Taking it out is `apply`'s work when it fails alone, and `accept`'s when it came too late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lifecycle.engine.apply import apply_customers
from lifecycle.engine.installation import Installation
from lifecycle.engine.work import Applied
from lifecycle.errors import NotFound
from lifecycle.store import dead, events
from lifecycle.store.dead import Action, DeadLetter, Status
from lifecycle.store.events import StoredEvent
from lifecycle.store.sql import Tx

__all__ = [
    "Action",
    "AlreadyDone",
    "DeadLetter",
    "Discarded",
    "Replayed",
    "Shown",
    "Status",
    "discard",
    "list_dead",
    "name_of",
    "replay",
    "show",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An event that is dead or was, and what people did about it."""

    stored: StoredEvent
    letter: DeadLetter | None  # None: it was replayed, and is in the fold or on its way there
    actions: tuple[Action, ...]  # the oldest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """It waits to be folded again, and was if nobody else was at work on the customer."""

    letter: DeadLetter  # as it was until now
    applied: Applied  # `quarantined` is 1 where it failed again, and is dead again


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """It will never count, unless somebody replays it."""

    letter: DeadLetter  # as it was until now


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyDone:
    """The same was asked for before; nothing was changed."""

    action: Action  # by whom, when and why


def list_dead(
    inst: Installation, limit: int = 100, status: Status | None = None
) -> list[DeadLetter]:
    """The newest dead letters, of one status or of any."""
    with inst.db.read() as tx:
        return dead.letters(tx, limit, status)


def show(inst: Installation, source: str, id: str) -> Shown:
    """Raises NotFound for an event that is not known, and for one that never left the fold."""
    with inst.db.read() as tx:
        return _shown(tx, source, id)


def name_of(inst: Installation, number: int) -> tuple[str, str]:
    """Source and id of the event that the log calls by a number; raises NotFound where there is none."""
    with inst.db.read() as tx:
        stored = events.by_row_ids(tx, [number]).get(number)
    if stored is None:
        raise NotFound(f"there is no event of the number {number}")
    return stored.event.source, stored.event.id


def replay(
    inst: Installation, source: str, id: str, *, by: str, why: str | None
) -> Replayed | AlreadyDone:
    """Let a dead event be folded after all, in its own time: it is a late event then.

    One that fails again is quarantined again. Run twice, the second answers `AlreadyDone`; raises
    NotFound as `show` does.
    """
    done = _act(inst, source, id, dead.replay, by=by, why=why)
    if isinstance(done, Action):
        return AlreadyDone(action=done)
    return Replayed(letter=done, applied=apply_customers(inst, [done.stored.customer_id]))


def discard(
    inst: Installation, source: str, id: str, *, by: str, why: str | None
) -> Discarded | AlreadyDone:
    """Say that a dead event shall never count. It is kept, and may still be replayed.

    Run twice, the second answers `AlreadyDone`, and so it does for an event that was replayed
    meanwhile, with that replay; raises NotFound as `show` does.
    """
    done = _act(inst, source, id, dead.discard, by=by, why=why)
    return AlreadyDone(action=done) if isinstance(done, Action) else Discarded(letter=done)


_Act = Callable[..., bool]  # of the store: whether the event was to be acted on until now


def _act(
    inst: Installation, source: str, id: str, act: _Act, *, by: str, why: str | None
) -> DeadLetter | Action:
    """The letter as it was, acted on now, or what somebody has done with it before."""

    def unit(tx: Tx) -> DeadLetter | Action:
        found = _shown(tx, source, id)
        if found.letter and act(tx, found.stored, by=by, why=why, at=inst.now(tx)):
            return found.letter
        return dead.actions(tx, found.stored)[-1]

    return inst.db.run(unit)


def _shown(tx: Tx, source: str, id: str) -> Shown:
    stored = events.get(tx, source, id)
    if stored is None:
        raise NotFound(f"there is no event {id!r} of {source!r}")
    letter, actions = dead.find(tx, stored), dead.actions(tx, stored)
    if letter is None and not actions:
        raise NotFound(f"event {id!r} of {source!r} is no dead letter: it never left the fold")
    return Shown(stored=stored, letter=letter, actions=tuple(actions))

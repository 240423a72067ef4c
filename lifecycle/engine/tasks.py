"""What do employees do for customers: who is given a task, and who accepts and does it?

A rule asks for a task by its channel `task`; once stored it is the house's own matter, and no fold, claim
or message ever changes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from lifecycle.clock import ClockSpec
from lifecycle.errors import NotFound
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.staff import Staff, owner_for
from lifecycle.store import clock as clock_row
from lifecycle.store import tasks
from lifecycle.store.database import Database
from lifecycle.store.sql import Tx
from lifecycle.store.tasks import Status, Task, Which

__all__ = [
    "Accepted",
    "AlreadyDone",
    "Finished",
    "Listing",
    "Status",
    "Task",
    "Which",
    "accept",
    "assign",
    "finish",
    "list_tasks",
    "show",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    tasks: tuple[Task, ...]
    as_of: datetime  # the engine's clock, by which some are overdue


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    task: Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    task: Task


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyDone:
    """It was accepted, or done, before; nothing was changed."""

    task: Task


def assign(db: Database, staff: Staff, letter: Letter) -> str | None:
    """Store what a letter asks for, and tell whose it is; None, and nothing is stored, for nobody's.

    Run twice, there is one task, and it stays with whom it was given to, whatever the staff is by then.
    """

    def unit(tx: Tx) -> str | None:
        before = tasks.get(tx, letter.key)
        owner = owner_for(staff, letter) if before is None else before.owner
        if before is not None or owner is None:
            return owner
        return tasks.add(tx, _asked(letter, owner, _now(db, tx))).owner

    return db.run(unit)


def _asked(letter: Letter, owner: str, now: datetime) -> Task:
    content = letter.content
    return Task(
        key=letter.key,
        customer=letter.to.customer,
        rule=letter.rule,
        owner=owner,
        title=content.subject or content.text.strip().partition("\n")[0],
        text=content.text,
        created_at=now,
        due_at=letter.due_at,
    )


def list_tasks(
    db: Database, which: Which = Which.ALL, *, owner: str | None = None, limit: int = 100
) -> Listing:
    """What is not done first, of that what is due first; of everybody, or of one employee."""
    with db.read() as tx:
        now = _now(db, tx)
        found = tasks.listed(tx, which, now, owner=owner, limit=limit)
    return Listing(tasks=tuple(found), as_of=now)


def show(db: Database, key: str) -> Task:
    """Raises NotFound."""
    with db.read() as tx:
        return _found(tx, key)


def accept(db: Database, key: str) -> Accepted | AlreadyDone:
    """Say that it is being done. Run twice, the second answers `AlreadyDone`; raises NotFound."""

    def act(tx: Tx, now: datetime) -> bool:
        return tasks.accept(tx, key, now)

    task, changed = _act(db, key, act)
    return Accepted(task=task) if changed else AlreadyDone(task=task)


def finish(db: Database, key: str, *, note: str | None = None) -> Finished | AlreadyDone:
    """Say that it is done, accepted before or not.

    Run twice, the second answers `AlreadyDone` and the first note stands; raises NotFound.
    """

    def act(tx: Tx, now: datetime) -> bool:
        return tasks.finish(tx, key, now, note)

    task, changed = _act(db, key, act)
    return Finished(task=task) if changed else AlreadyDone(task=task)


def _act(db: Database, key: str, act: Callable[[Tx, datetime], bool]) -> tuple[Task, bool]:
    """The task as it is now, and whether that is by this act."""

    def unit(tx: Tx) -> tuple[Task, bool]:
        _found(tx, key)
        changed = act(tx, _now(db, tx))
        return _found(tx, key), changed

    return db.run(unit)


def _found(tx: Tx, key: str) -> Task:
    task = tasks.get(tx, key)
    if task is None:
        raise NotFound(f"there is no task {key!r}: see `lifecycle task list`")
    return task


def _now(db: Database, tx: Tx) -> datetime:
    """The engine's clock as the database tells it, for those who have no installation open."""
    origin, real = clock_row.read(tx), db.clock(tx)
    return real if origin is None else ClockSpec.parse(origin.spec).at(origin, real)

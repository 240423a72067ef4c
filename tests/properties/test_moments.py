"""What is asked of a past moment is what was said at it, and a what-if is the life she would have had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.domain.fate import Fate
from lifecycle.domain.fold import fold
from lifecycle.domain.instant import BEGINNING
from lifecycle.engine.explain.asked import Asked, Hypothesis
from lifecycle.engine.explain.chapters import Believed, Dropped, Happened, Overturned, Planned
from lifecycle.engine.explain.explanation import Explanation
from lifecycle.engine.explain.gather import explain
from lifecycle.engine.installation import Installation
from lifecycle.errors import NotFound, Problem
from lifecycle.store import customers, events
from lifecycle.store.database import Database
from lifecycle.store.messages import MessageRow
from lifecycle.store.schema import migrate
from lifecycle.store.steps import StepRow
from tests.properties.arrivals import NAMES, Told, told
from tests.properties.installed import emptied, send_queued
from tests.support import engine

LEFT = {Fate.SENT, Fate.OVERTAKEN}


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    directory: Path = tmp_path_factory.mktemp("moments")
    db = Database.open(f"sqlite:///{directory / 'engine.db'}")
    try:
        migrate(db)
        yield db
    finally:
        db.close()


@given(history=st.integers(1, 2).flatmap(told))
def test_what_is_asked_of_a_moment_is_what_was_said_then(db: Database, history: Told) -> None:
    """State, facts, live steps, planned messages, what was believed before, and what was to come."""
    inst = emptied(db, history.policies.versions)
    said = live_and_listen(inst, history)
    for (name, at), then in said.items():
        assert told_of(inst, name, at) == then, f"{name} at {at}"


@given(history=told())
def test_what_is_known_today_of_a_moment_is_the_fold_of_all_events_up_to_it(
    db: Database, history: Told
) -> None:
    inst = emptied(db, history.policies.versions)
    said = live_and_listen(inst, history)
    with inst.db.read() as tx:
        timeline = inst.timeline(tx)
    for name, at in said:
        known = sorted((e for e in all_of(inst, name) if e.occurred_at <= at), key=lambda e: e.key)
        if not known:
            continue
        found = explain(inst, name, Asked(at=at, late_events=True))
        folded = fold(timeline, None, known, at)
        assert found.standing.state == folded.snapshot.state
        assert [step.step for step in live_steps(found)] == list(folded.steps)
        assert found.behind is None


@given(history=told(2))
def test_a_what_if_is_the_life_that_she_would_have_had(db: Database, history: Told) -> None:
    """State, facts, steps and planned messages are those of an installation under that policy alone."""
    supposed = history.policies.versions[-1]
    alone = replace(supposed, number=1, effective_at=BEGINNING)
    policy = Hypothesis(name="b.yaml", number=1, hash=alone.hash, policy=alone.policy)
    inst = emptied(db, history.policies.versions)
    live_and_listen(inst, history)
    asked = {name: lived(inst, name, Asked(policy=policy)) for name in NAMES}
    inst = emptied(db, [alone])
    live_and_listen(inst, history)
    assert asked == {name: lived(inst, name, Asked()) for name in NAMES}


def lived(inst: Installation, name: str, asked: Asked) -> Any:
    try:
        found = explain(inst, name, asked)
    except NotFound:
        return None
    happened = [chapter for chapter in found.chapters if isinstance(chapter, Happened)]
    if asked.policy is not None:
        assert len(happened) == len(found.chapters)
        assert all(planned.row is None for chapter in happened for planned in chapter.messages)
        assert all(chapter.row is None for chapter in happened)
    return (
        found.standing,
        found.ahead,
        [
            (c.happening.at, c.happening.cause, c.happening.outcome, c.happening.planned)
            for c in happened
        ],
    )


def live_and_listen(inst: Installation, history: Told) -> dict[tuple[str, datetime], Any]:
    """By customer and reading of the clock: what `explain` said when everything due had been done."""
    said: dict[tuple[str, datetime], Any] = {}
    clocks = [arrival.clock for arrival in history.arrivals]
    for position, arrival in enumerate(history.arrivals):
        engine.set_clock(inst, arrival.clock)
        engine.post(inst, *(e._replace(received_at=arrival.clock) for e in arrival.events))
        engine.work(inst)
        if arrival.sent:
            send_queued(inst, arrival.clock)
        if arrival.clock not in clocks[position + 1 :]:
            for name in NAMES:
                if (then := told_now(inst, name)) is not None:
                    said[name, arrival.clock] = then
    engine.reach(inst, history.until)
    return said


def told_now(inst: Installation, name: str) -> Any:
    try:
        return summed(explain(inst, name))
    except NotFound:
        return None


def told_of(inst: Installation, name: str, at: datetime) -> Any:
    if all(event.occurred_at > at for event in all_of(inst, name)):
        with pytest.raises(Problem, match="before the first event"):
            explain(inst, name, Asked(at=at))
        return NOTHING
    return summed(explain(inst, name, Asked(at=at)))


NOTHING = "none of her events had occurred"


def summed(found: Explanation) -> Any:
    """Everything but the fates that are not kept: of those, whether the message had left."""
    if found.standing.since is None:
        return NOTHING
    assert found.behind is None
    return {
        "standing": found.standing,
        "ahead": found.ahead,
        "asleep": found.asleep,
        "waiting": [stored.event.id for stored in found.waiting],
        "pending": found.pending,
        "chapters": [_chapter(chapter) for chapter in found.chapters],
    }


def _chapter(chapter: Happened | Believed | Dropped) -> Any:
    match chapter:
        case Happened():
            return (
                chapter.happening,
                chapter.late,
                chapter.overturned,
                _step(chapter.row),
                [_overturned(one) for one in chapter.corrected],
                [_planned(one) for one in chapter.messages],
            )
        case Believed(overturned=overturned):
            return _overturned(overturned)
        case Dropped(row=row):
            return _message(row)


def _overturned(one: Overturned) -> Any:
    by = None if one.by is None else one.by.event.id
    return _step(one.row), by, [_message(row) for row in one.messages]


def _step(row: StepRow | None) -> Any:
    return None if row is None else (row.row_id, row.step, row.recorded_at, row.revoked_at)


def _planned(planned: Planned) -> Any:
    before = None if planned.before is None else planned.before.row_id
    return planned.message, None if planned.row is None else _message(planned.row), before


def _message(row: MessageRow) -> Any:
    return row.row_id, row.message.key, row.live, row.recorded_at, row.fate in LEFT, row.sent_at


def live_steps(found: Explanation) -> list[StepRow]:
    rows = [c.row for c in found.chapters if isinstance(c, Happened) and c.row is not None]
    return sorted(rows, key=lambda row: row.seq or 0)


def all_of(inst: Installation, name: str) -> list[Any]:
    with inst.db.read() as tx:
        try:
            customer_id = customers.find(tx, name)
        except NotFound:
            return []
        return [
            stored.event
            for stored in dict(events.histories(tx, [customer_id])).get(customer_id, [])
        ]

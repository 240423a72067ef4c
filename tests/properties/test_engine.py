"""However the same events arrive, the engine arrives at the same truth, and it is the oracle's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.domain.fate import Fate
from lifecycle.engine.digest import digest
from lifecycle.engine.installation import Installation
from lifecycle.engine.rebuild import rebuild
from lifecycle.engine.verify import verify
from lifecycle.store.database import Database
from tests.oracle.digested import digested
from tests.oracle.oracle import oracle
from tests.oracle.truth import Message
from tests.properties.arrivals import NAMES, Told, told
from tests.properties.installed import (
    all_messages,
    arrive_timely,
    emptied,
    live_through,
    truth_at,
)
from tests.support.current import Copies, open_current


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    directory: Path = tmp_path_factory.mktemp("properties")
    with closing(open_current(f"sqlite:///{directory / 'engine.db'}")) as db:
        yield db


@pytest.fixture(scope="module")
def postgresql(postgres_copies: Copies) -> Iterator[Database]:
    with postgres_copies() as url, closing(Database.open(url)) as db:
        yield db


def expected(history: Told, at: datetime) -> list[dict[str, Any]]:
    """The oracle's truth of everybody, in the shape of the digest's."""
    return [
        _expected(history, name, at)
        for name in sorted(NAMES)
        if any(event.occurred_at <= at for event in history.of(name))
    ]


def _expected(history: Told, customer: str, at: datetime) -> dict[str, Any]:
    made = history.policies
    truth = oracle(made.versions, history.of(customer), at, made.judge)
    return digested(customer, truth)


def holds_whatever_the_arrival(db: Database, history: Told) -> None:
    inst = emptied(db, history.policies.versions)
    live_through(inst, history)
    assert truth_at(inst, history.until) == expected(history, history.until)
    assert truth_at(inst, history.earlier) == expected(history, history.earlier)
    assert live_messages(inst) == expected_messages(history)
    assert verify(inst) == []


def expected_messages(history: Told) -> list[Message]:
    made = history.policies
    lives = [oracle(made.versions, history.of(name), history.until, made.judge) for name in NAMES]
    return sorted(message for life in lives for message in life.messages)


def live_messages(inst: Installation) -> list[Message]:
    """What is recorded of the messages whose causes stand, with their instants."""
    live = [row.message for row in all_messages(inst) if row.live]
    return sorted(
        Message(m.rule, m.cause, m.number, m.caused_at, m.planned_at, m.version) for m in live
    )


@given(history=st.integers(1, 2).flatmap(told))
def test_any_arrival_ends_in_the_truth(sqlite: Database, history: Told) -> None:
    """Order, repetition, lateness, batches, sweeps and sending between them leave no trace."""
    holds_whatever_the_arrival(sqlite, history)


@pytest.mark.postgres
@settings(max_examples=max(settings.default.max_examples // 4, 10))  # type: ignore[union-attr]
@given(history=st.integers(1, 2).flatmap(told))
def test_any_arrival_ends_in_the_truth_on_postgresql(postgresql: Database, history: Told) -> None:
    holds_whatever_the_arrival(postgresql, history)


@given(history=told())
def test_any_arrival_gives_one_digest_and_rebuilding_changes_nothing(
    sqlite: Database, history: Told
) -> None:
    if not history.events:
        return
    inst = emptied(sqlite, history.policies.versions)
    arrive_timely(inst, history)
    timely = digest(inst, history.until), digest(inst, history.earlier)
    inst = emptied(sqlite, history.policies.versions)
    live_through(inst, history)
    assert (digest(inst, history.until), digest(inst, history.earlier)) == timely
    again = rebuild(inst)
    assert (again.steps, again.messages) == (0, 0)
    assert (digest(inst, history.until), digest(inst, history.earlier)) == timely


@given(history=told())
def test_a_message_that_left_is_never_planned_anew(sqlite: Database, history: Told) -> None:
    """What was sent stays so, overtaken where its cause fell; nothing else of a fallen cause goes."""
    inst = emptied(sqlite, history.policies.versions)
    live_through(inst, history)
    for row in all_messages(inst):
        left = row.sent_at is not None
        assert left == (row.fate in {Fate.SENT, Fate.OVERTAKEN})
        assert (row.fate is Fate.SENT) <= row.live
        assert (row.fate is Fate.OVERTAKEN) <= (not row.live)
        assert (row.fate is Fate.QUEUED) <= row.live
        assert (row.fate is Fate.CANCELLED) <= (not row.live)

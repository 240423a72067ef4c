"""The simulation can see: production code that is broken on purpose turns it red within few seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import pytest

from lifecycle.bootstrap import Engine
from lifecycle.engine import alone
from lifecycle.engine import work as unit
from lifecycle.store import attempts, events
from lifecycle.store.sql import Tx, both
from tests.simulation import processes
from tests.simulation.ground import Ground
from tests.simulation.run import Sabotage, live
from tests.simulation.store import cut
from tests.simulation.verdict import Broken
from tests.simulation.world import World

WITHIN = 2000  # seeds, as many as every run of the tests lives through; most need a few

_FORGET = both(
    "DELETE FROM pending WHERE identity_id IN (SELECT id FROM identity WHERE customer_id IN [ids])"
)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    ground = Ground(tmp_path_factory.mktemp("sabotage"))
    yield ground
    ground.close()


@contextmanager
def pending_is_deleted_before_the_work_commits(world: World) -> Iterator[None]:
    write = unit.write  # type: ignore[attr-defined]

    def hasty(tx: Tx, changes: Any, *given: Any) -> Any:
        tx.run(_FORGET, tx.ids(change.row.id for change in changes))
        cut(tx)
        return write(tx, changes, *given)

    with mock.patch.object(unit, "write", hasty):
        yield


@contextmanager
def nobody_is_locked_between_reading_and_writing(world: World) -> Iterator[None]:
    """Found in one world of 200: attempts keep most workers apart, too, until one is taken for gone."""
    write = unit.write  # type: ignore[attr-defined]

    def unlocked(tx: Tx, *given: Any) -> Any:
        world.store.unlocked(tx)
        return write(tx, *given)

    with mock.patch.object(unit, "write", unlocked):
        yield


@contextmanager
def attempts_are_not_recorded(world: World) -> Iterator[None]:
    with mock.patch.object(attempts, "begin", return_value=0):
        yield


@contextmanager
def whatever_is_pending_is_cleared_not_what_was_read(world: World) -> Iterator[None]:
    clear = events.clear_pending

    def careless(tx: Tx, stored: Any) -> None:
        clear(tx, stored)
        tx.run(_FORGET, tx.ids({one.customer_id for one in stored}))

    with mock.patch.object(events, "clear_pending", careless):
        yield


@contextmanager
def it_rings_before_the_commit_and_nobody_sweeps(world: World) -> Iterator[None]:
    accept = Engine.accept

    def early(engine: Engine, drafts: Any) -> Any:
        engine._ring()
        with mock.patch.object(engine, "_ring"):
            return accept(engine, drafts)

    def without_sweep(make: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given, **named: [
            tick for tick in make(*given, **named) if tick.name not in {"sweep", "poll"}
        ]

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(Engine, "accept", early))
        for name in ("_looks", "ticks"):
            made = without_sweep(getattr(processes, name))
            stack.enter_context(mock.patch.object(processes, name, made))
        yield


@contextmanager
def one_crash_is_enough_to_put_an_event_aside(world: World) -> Iterator[None]:
    with mock.patch.object(alone, "LONE_TRIES", 0):
        yield


@pytest.mark.parametrize(
    "sabotage",
    [
        pending_is_deleted_before_the_work_commits,
        nobody_is_locked_between_reading_and_writing,
        attempts_are_not_recorded,
        whatever_is_pending_is_cleared_not_what_was_read,
        it_rings_before_the_commit_and_nobody_sweeps,
        one_crash_is_enough_to_put_an_event_aside,
    ],
    ids=lambda sabotage: sabotage.__name__,
)
def test_a_sabotage_turns_it_red(ground: Ground, sabotage: Sabotage) -> None:
    for seed in range(WITHIN):
        try:
            live(ground, seed, sabotage)
        except Broken:
            return
    pytest.fail(f"{WITHIN} worlds ended well, although {sabotage.__name__}")


def test_a_failure_says_which_seed_to_live_through_again(ground: Ground) -> None:
    """And what went wrong in its world, and how it ended there."""

    def broken(world: World) -> Any:
        return mock.patch.object(Engine, "accept", side_effect=RuntimeError("a defect"))

    with pytest.raises(Broken) as raised:
        live(ground, 17, broken)
    told = str(raised.value)
    assert told.startswith("seed 17: RuntimeError: a defect")
    assert "SIM_SEED=17 pytest tests/simulation" in told
    assert "faults: {" in told
    assert "posts ['e" in told

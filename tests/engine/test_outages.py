"""What fails from outside is nobody's fault: no event is blamed, and the work is done afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lifecycle.engine import alone, apply
from lifecycle.engine.alone import LONE_TRIES, POSTPONED
from lifecycle.engine.apply import apply_pending
from lifecycle.engine.dead import list_dead
from lifecycle.engine.installation import Installation
from lifecycle.engine.verify import verify
from lifecycle.errors import Unavailable
from lifecycle.store import attempts, runs
from lifecycle.store.sql import both
from tests.scenarios.driver import day, order
from tests.support.engine import (
    arrive,
    installation,
    made,
    of,
    pending,
    post,
    reach,
    set_clock,
    state,
)


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url) as found:
        yield found


@pytest.mark.parametrize("outage", [Unavailable("the disk is full"), KeyboardInterrupt()])
def test_outages_count_against_nobody(
    inst: Installation, monkeypatch: pytest.MonkeyPatch, outage: BaseException
) -> None:
    """However often the database fails in the middle of the work, its events stay in the fold."""
    post(inst, order(0), order(1))

    def fails(*_: Any, **__: Any) -> None:
        raise outage

    with monkeypatch.context() as broken:
        for module in (apply, alone):
            broken.setattr(module, "work", fails)
        for _ in range(2 * LONE_TRIES + 2):
            with pytest.raises(type(outage)):
                apply_pending(inst)
    with inst.db.read() as tx:
        assert attempts.unfinished(tx) == []
    reach(inst, day(2))
    assert state(inst) == "deal"
    assert list_dead(inst, 10) == []
    assert verify(inst) == []


# -- statements that take too long ---------------------------------------------------------------


@pytest.mark.postgres
def test_what_no_statement_can_do_in_time_leaves_the_fold(
    postgres_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Forgiven like an outage, its customer would be tried for ever, and be first in every batch."""
    caplog.set_level("CRITICAL", logger="lifecycle.engine")
    with installation(postgres_database_url) as inst:
        set_clock(inst, day(30))
        takes_too_long(inst, "NEW.cause = 'event:shop|order_paid-0'")
        done = arrive(inst, order(0), order(10), *of("bob", order(1)))
        assert done.quarantined == 1
        (letter,) = list_dead(inst)
        assert letter.stored.event.id == "order_paid-0"
        assert letter.detail.startswith("lifecycle.errors.TookTooLong: ")
        assert letter.attempts == LONE_TRIES
        assert made(inst) == [("first", 10)]
        assert state(inst, "bob") == "deal"
        assert pending(inst) == []
        assert verify(inst) == []


@pytest.mark.postgres
def test_a_check_that_no_statement_can_fire_in_time_is_postponed(
    postgres_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No event is to blame; she is looked at an hour later, and the others meanwhile."""
    caplog.set_level("CRITICAL", logger="lifecycle.engine")
    with installation(postgres_database_url) as inst:
        arrive(inst, order(0), *of("bob", order(0)))
        takes_too_long(inst, "NEW.customer_id = 1 AND NEW.rule = 'quiet'")
        reach(inst, day(61))
        assert state(inst) == "deal"
        assert state(inst, "bob") == "dormant"
        assert list_dead(inst) == []
        with inst.db.write() as tx:
            assert attempts.unfinished(tx) == []
            tx.run(both("DROP TRIGGER slow ON step"))
        reach(inst, day(61) + POSTPONED)
        assert state(inst) == "dormant"


def takes_too_long(inst: Installation, steps: str) -> None:
    """To write such steps takes longer than any statement may, as the server would say it."""
    raising = (
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE"
        " 'canceling statement due to statement timeout' USING ERRCODE = '57014'; END$$"
    )
    trigger = (
        "CREATE TRIGGER slow BEFORE INSERT ON step"
        f" FOR EACH ROW WHEN ({steps}) EXECUTE FUNCTION slow()"
    )
    with inst.db.write() as tx:
        tx.run(both(raising))
        tx.run(both(trigger))


def test_verify_tells_of_an_import_that_was_left_half(inst: Installation) -> None:
    """What an unfinished import stored counts for nothing yet, and that is not passed over."""
    with inst.db.write() as tx:
        run_id = runs.begin(tx, name="shop", digest="d", effects=False, now=day(1))
    post(inst, order(0), run_id=run_id)
    assert [found.code for found in verify(inst)] == ["import_open"]
    with inst.db.write() as tx:
        runs.end(tx, run_id, day(1))
    assert [found.code for found in verify(inst)] == ["import_unfolded"]
    reach(inst, day(2))
    assert verify(inst) == []

"""Events that come late or too early: what is revoked, what is told, and what becomes of messages.

That the truth is that of a timely arrival, whatever the order, is proven in `tests.properties`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from lifecycle.domain.event import Event
from lifecycle.domain.fate import Fate
from lifecycle.domain.fold import fold, is_late
from lifecycle.engine.apply import apply_pending, fire_due
from lifecycle.engine.digest import digest
from lifecycle.engine.fates import SUPERSEDED
from lifecycle.engine.installation import Installation
from lifecycle.engine.verify import verify
from lifecycle.errors import NotReady
from lifecycle.store import customers, dead, events, steps
from lifecycle.store.sql import both
from tests.policies import scenario_policy
from tests.scenarios.driver import closed, day, happened, order, page, refund
from tests.support.engine import (
    arrive,
    installation,
    made,
    message_rows,
    of,
    pending,
    planned,
    post,
    reach,
    revoked,
    send,
    set_clock,
    state,
)

THANKS = scenario_policy(
    facts=["spent: {sum: order_paid.amount, less: order_refunded.amount}"],
    outreach=[
        "{name: thanks, on: {event: order_paid}, when: spent >= 50.0, channels: [sms], expires: 9d}"
    ],
)


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url) as found:
        yield found


@pytest.fixture
def thankful(database_url: str) -> Iterator[Installation]:
    """Whose cause can go and come back: a message for each order while 50 or more was spent."""
    with installation(database_url, THANKS) as found:
        yield found


def name_of(inst: Installation, row_id: int | None) -> str:
    assert row_id is not None
    with inst.db.read() as tx:
        return events.by_row_ids(tx, [row_id])[row_id].event.id


def logged(inst: Installation) -> list[tuple[str, bool]]:
    """The lines of the log, by rule and whether they tell of a revocation, in the order written.

    Read beside `steps.log`, which holds back what transactions of other databases might precede.
    """
    lines = both(
        "SELECT s.rule, l.revoked FROM step_log AS l JOIN step AS s ON s.id = l.step_id ORDER BY l.id"
    )
    with inst.db.read() as tx:
        return [(row[0], bool(row[1])) for row in tx.rows(lines)]


def refunded(on: float, amount: str) -> Event:
    return refund(on)._replace(properties={"amount": amount})


# -- steps -------------------------------------------------------------------------------------


def test_an_overturned_step_is_kept_with_the_event_that_overturned_it(inst: Installation) -> None:
    arrive(inst, order(0))
    reach(inst, day(61))
    arrive(inst, order(40, "late"))
    assert made(inst) == [("first", 0)]
    (gone,) = revoked(inst)
    assert gone.step.rule == "quiet"
    assert gone.seq is None
    assert gone.revoked_at == day(61)
    assert name_of(inst, gone.revoked_by) == "late"
    assert verify(inst) == []


def test_of_several_late_events_the_last_before_the_step_has_overturned_it(
    inst: Installation,
) -> None:
    arrive(inst, order(0))
    reach(inst, day(61))
    arrive(inst, page(5), page(50), closed(60.5))
    (gone,) = revoked(inst)
    assert (gone.step.rule, name_of(inst, gone.revoked_by)) == ("quiet", "page_viewed-50")
    assert made(inst) == [("first", 0), ("left", 60.5)]


def test_what_came_late_with_it_and_changed_nothing_overturned_nothing(inst: Installation) -> None:
    """A new name is no sign of life, whenever it was told: it was the page that kept her awake."""
    arrive(inst, order(0))
    reach(inst, day(61))
    named = happened("profile_changed", 50, attributes={"name": "Anna"})
    arrive(inst, closed(60.5), named, page(5), refund(2))
    (gone,) = revoked(inst)
    assert (gone.step.rule, name_of(inst, gone.revoked_by)) == ("quiet", "page_viewed-5")


def test_each_step_is_overturned_by_the_late_event_that_did_it(inst: Installation) -> None:
    """She was dormant and then churned; of four that come late, the first two disprove the one."""
    arrive(inst, order(0), order(1))
    reach(inst, day(200))
    assert made(inst) == [("first", 0), ("quiet", 61), ("lost", 121)]
    late = [refund(10), order(40), refund(70), page(119), order(120), refund(120.5)]
    arrive(inst, *late)
    told = {row.step.rule: name_of(inst, row.revoked_by) for row in revoked(inst)}
    assert told == {"quiet": "order_paid-40", "lost": "order_paid-120"}


@pytest.mark.parametrize("count", range(1, 10))
def test_among_any_number_of_late_events_the_one_that_did_it_is_found(
    inst: Installation, count: int
) -> None:
    arrive(inst, order(0))
    reach(inst, day(61))
    refunds = [refund(n) for n in range(1, 10)]
    arrive(inst, *refunds[:count], page(count + 0.5), *refunds[count:])
    (gone,) = revoked(inst)
    assert name_of(inst, gone.revoked_by) == f"page_viewed-{count + 0.5:g}"


def test_of_late_events_that_only_together_overturn_a_step_the_first_is_named(
    inst: Installation,
) -> None:
    """Two orders make her loyal before she left, one would not; a refund beside them is not asked."""
    set_clock(inst, day(51))
    arrive(inst, order(0), closed(50))
    arrive(inst, refund(1), order(20), order(30), refund(40))
    assert made(inst) == [("first", 0), ("loyal", 30), ("left", 50)]
    (gone,) = revoked(inst)
    assert (gone.step.from_state, gone.step.to_state) == ("deal", "churned")
    assert name_of(inst, gone.revoked_by) == "order_paid-20"


def test_of_a_history_too_long_to_be_folded_again_the_nearest_late_event_is_named(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifecycle.engine.overturning.MOST", 2)
    arrive(inst, order(0))
    reach(inst, day(61))
    arrive(inst, page(5), refund(50), closed(60.5))
    (gone,) = revoked(inst)
    assert name_of(inst, gone.revoked_by) == "order_refunded-50"


def test_a_step_that_fell_with_a_dead_event_was_overturned_by_none_that_came_later(
    inst: Installation,
) -> None:
    """The order that made her step left the fold; the page of another day is not to blame."""
    arrive(inst, order(0), page(3))
    arrive(inst, page(2), page(4))
    with inst.db.write() as tx:
        stored = events.get(tx, "shop", "order_paid-0")
        assert stored is not None
        dead.quarantine(tx, stored, reason="fold_failed", detail="", attempts=5, at=day(4))
        customers.forget(tx, [stored.customer_id])
    arrive(inst, page(1))
    (gone,) = revoked(inst)
    assert (gone.step.rule, gone.revoked_by) == ("first", None)


def test_a_step_that_still_follows_is_the_same_row_at_another_place(inst: Installation) -> None:
    """Three steps are inserted before it; its message stays queued, and nobody is told of it again."""
    arrive(inst, order(0), page(50))
    reach(inst, day(111))
    before = message_rows(inst)
    with inst.db.read() as tx:
        quiet = steps.live(tx, [1])[1][1]
    arrive(inst, closed(20), order(30), order(40))
    assert made(inst) == [("first", 0), ("left", 20), ("back", 30), ("again", 40), ("quiet", 110)]
    with inst.db.read() as tx:
        rows = steps.live(tx, [1])[1]
    assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
    assert rows[-1].row_id == quiet.row_id
    assert rows[-1].recorded_at == day(111)
    assert revoked(inst) == []
    assert message_rows(inst) == before
    told = ("first", "quiet", "left", "back", "again")
    assert logged(inst) == [(rule, False) for rule in told]


def test_the_log_tells_of_a_revocation_after_what_it_revokes(inst: Installation) -> None:
    arrive(inst, order(0))
    reach(inst, day(61))
    arrive(inst, order(40))
    assert logged(inst) == [("first", False), ("quiet", False), ("quiet", True)]


def test_a_step_that_follows_again_is_a_new_row_beside_the_revoked_one(database_url: str) -> None:
    """A late refund takes the third order away, and a late order gives it back: for one cause."""
    with installation(database_url, scenario_policy(less=True)) as inst:
        set_clock(inst, day(20))
        arrive(inst, order(0), order(10), order(20))
        arrive(inst, refund(15))
        assert made(inst) == [("first", 0)]
        set_clock(inst, day(21))
        arrive(inst, order(16))
        assert made(inst) == [("first", 0), ("loyal", 20)]
        (gone,) = revoked(inst)
        with inst.db.read() as tx:
            new = steps.live(tx, [1])[1][-1]
        assert new.step == gone.step
        assert (gone.recorded_at, new.recorded_at) == (day(20), day(21))
        assert name_of(inst, gone.revoked_by) == "order_refunded-15"
        assert verify(inst) == []


# -- messages ----------------------------------------------------------------------------------


def test_once_again_after_has_passed_a_newly_caused_message_is_queued(inst: Installation) -> None:
    """Dormant again on day 92: not before day 91, which is 30 days after the sending."""
    arrive(inst, order(0))
    reach(inst, day(61))
    send(inst, day(61))
    arrive(inst, page(32))
    reach(inst, day(92))
    assert planned(inst)[1] == ("win-back", 92, Fate.QUEUED, None)


def test_a_cancelled_message_whose_cause_stands_again_is_queued_again(
    thankful: Installation,
) -> None:
    """Not a second one: the same, with a fate that another late event gave back to it."""
    inst = thankful
    set_clock(inst, day(10))
    arrive(inst, order(4, amount="60"))
    arrive(inst, refunded(2, "20"))
    assert planned(inst) == [("thanks", 4, Fate.CANCELLED, SUPERSEDED)]
    arrive(inst, order(3, amount="20"))
    (row,) = message_rows(inst)
    assert (row.live, row.fate, row.reason) == (True, Fate.QUEUED, None)
    assert row.message.cause == "event:shop|order_paid-4"
    assert verify(inst) == []


def test_an_overtaken_message_whose_cause_stands_again_is_sent_and_not_sent_twice(
    thankful: Installation,
) -> None:
    inst = thankful
    set_clock(inst, day(10))
    arrive(inst, order(4, amount="60"))
    send(inst, day(10))
    arrive(inst, refunded(2, "20"))
    assert planned(inst) == [("thanks", 4, Fate.OVERTAKEN, SUPERSEDED)]
    arrive(inst, order(3, amount="20"))
    (row,) = message_rows(inst)
    assert (row.live, row.fate, row.reason, row.sent_at) == (True, Fate.SENT, None, day(10))


@pytest.mark.parametrize("together", [True, False])
def test_a_sent_message_that_is_not_overtaken_after_all_suppresses_no_other(
    thankful: Installation, together: bool
) -> None:
    """Whether what gives it back its cause arrives with the cause of the next one, or before it."""
    inst = thankful
    set_clock(inst, day(10))
    arrive(inst, order(4, amount="60"))
    send(inst, day(10))
    arrive(inst, refunded(2, "20"))
    if together:
        arrive(inst, order(3, amount="20"), order(5, amount="60"))
    else:
        arrive(inst, order(3, amount="20"))
        arrive(inst, order(5, amount="60"))
    assert planned(inst) == [("thanks", 4, Fate.SENT, None), ("thanks", 5, Fate.QUEUED, None)]


def test_a_message_that_expired_while_its_cause_was_gone_is_not_queued_again(
    thankful: Installation,
) -> None:
    inst = thankful
    set_clock(inst, day(10))
    arrive(inst, order(4, amount="60"))
    arrive(inst, refunded(2, "20"))
    set_clock(inst, day(13))
    arrive(inst, order(3, amount="20"))
    assert planned(inst) == [("thanks", 4, Fate.EXPIRED, None)]


# -- the borders -------------------------------------------------------------------------------


def test_an_event_is_late_where_it_belongs_before_something_folded_and_not_beside_it(
    inst: Installation,
) -> None:
    """What was folded itself is late, so that it could never be folded twice; a check that fires at
    the very instant of an event fires before it, and is not disturbed by it."""
    arrive(inst, order(0, "B"))
    with inst.db.read() as tx:
        timeline = inst.timeline(tx)
    told = [order(0, "B")]
    after_event = fold(timeline, None, told, day(0)).snapshot
    after_check = fold(timeline, None, told, day(60)).snapshot
    assert is_late(after_event, order(0, "A"))
    assert is_late(after_event, order(0, "B"))
    assert not is_late(after_event, order(0, "C"))
    assert is_late(after_check, page(59.999))
    assert not is_late(after_check, page(60))


# -- what lies ahead ---------------------------------------------------------------------------


def test_an_event_of_the_near_future_is_folded_when_its_time_comes(inst: Installation) -> None:
    """Clocks differ by seconds: what is within the allowed skew is taken, and waits for nobody."""
    soon = order(0)._replace(occurred_at=day(0) + timedelta(minutes=3))
    post(inst, soon, *of("bob", order(0)))
    done = apply_pending(inst)
    assert done.customers == 2
    assert (state(inst), state(inst, "bob")) == ("potential", "deal")
    assert pending(inst) == []
    assert apply_pending(inst).more is False
    assert fire_due(inst).more is False
    with pytest.raises(NotReady, match="due up to 2026-01-01T00:03:00Z"):
        digest(inst)
    set_clock(inst, soon.occurred_at)
    assert fire_due(inst).woken == 1
    assert state(inst) == "deal"
    assert verify(inst) == []


def test_what_waits_is_not_forgotten_when_others_of_hers_arrive(inst: Installation) -> None:
    """Neither by an event that is due before it, nor by a late one, nor by a check that fires."""
    arrive(inst, order(0))
    set_clock(inst, day(30))
    arrive(inst, order(30.001, "soon"))
    arrive(inst, order(30, "now"))
    arrive(inst, page(10))
    assert made(inst) == [("first", 0)]
    reach(inst, day(31))
    assert made(inst) == [("first", 0), ("loyal", 30.001)]
    assert verify(inst) == []


def test_a_crowd_that_waits_for_the_future_does_not_keep_the_others_waiting(
    inst: Installation,
) -> None:
    """What lies ahead leaves the queue at once, so that the next batch begins after it."""
    ahead = [event for n in range(30) for event in of(f"early{n}", order(0.001))]
    post(inst, *ahead, *of("bob", order(0)))
    rounds = 0
    while apply_pending(inst, max_events=10).more:
        rounds += 1
    assert rounds == 4
    assert state(inst, "bob") == "deal"
    set_clock(inst, day(1))
    assert fire_due(inst).woken == 30


def test_a_clock_that_goes_back_undoes_nothing_and_fires_nothing_twice(inst: Installation) -> None:
    """What was folded stays folded up to where it was; events are judged by their own time."""
    arrive(inst, order(0))
    reach(inst, day(61))
    set_clock(inst, day(31))
    assert fire_due(inst).customers == 0
    arrive(inst, page(0.5))
    assert made(inst) == [("first", 0), ("quiet", 60.5)]
    assert [row.step.at for row in revoked(inst)] == [day(60)]
    reach(inst, day(61))
    assert made(inst) == [("first", 0), ("quiet", 60.5)]
    assert verify(inst) == []

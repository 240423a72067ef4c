"""An event that cannot be folded leaves the fold alone; its customer and all others go on."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lifecycle.domain.fate import Fate
from lifecycle.engine import apply
from lifecycle.engine import work as unit
from lifecycle.engine.alone import LONE_TRIES, POSTPONED, try_alone
from lifecycle.engine.apply import CRASHED_AFTER, SUSPECTED_FOR, apply_pending, fire_due, reclaim
from lifecycle.engine.dead import Replayed, discard, list_dead, replay, show
from lifecycle.engine.digest import Digest, digest
from lifecycle.engine.installation import Installation
from lifecycle.engine.rebuild import rebuild
from lifecycle.engine.verify import OPEN_TOO_LONG, verify
from lifecycle.engine.work import Applied
from lifecycle.errors import PoisonEvent
from lifecycle.store import attempts, customers, events, runs, steps
from lifecycle.store.attempts import A_FEW, Level
from lifecycle.store.events import StoredEvent
from lifecycle.store.sql import both
from tests.engine.histories import RICH_POLICY
from tests.scenarios.driver import ANNA, day, order, page
from tests.support.engine import (
    arrive,
    installation,
    made,
    message_rows,
    of,
    opened,
    pending,
    planned,
    post,
    reach,
    revoked,
    set_clock,
    state,
    work,
)

pytestmark = pytest.mark.usefixtures("_told_apart")

BROKEN = "not-a-number"
GOOD = "12.5"


@pytest.fixture
def _told_apart(caplog: pytest.LogCaptureFixture) -> None:
    """The engine logs each failure with its traceback; only a failing test need show it."""
    caplog.set_level("CRITICAL", logger="lifecycle.engine")


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url, RICH_POLICY, "2026-03-01T00:00:00Z") as found:
        yield found


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Callable[..., Digest]]:
    """The digest at day 40 of a run in which nothing but these events ever came."""
    with ExitStack() as stack:

        def run(*batches: Any) -> Digest:
            url = f"sqlite:///{tmp_path / 'quiet.db'}"
            other = stack.enter_context(installation(url, RICH_POLICY, "2026-03-01T00:00:00Z"))
            for batch in batches:
                arrive(other, *batch)
            return digest(other, day(40))

        yield run


def repair(inst: Installation, name: str, amount: str) -> None:
    """What a person, or a newer version of the program, does to a stored event."""
    change = both("UPDATE event SET properties = ? WHERE event_id = ?")
    with inst.db.write() as tx:
        assert tx.run(change, f'{{"amount":"{amount}"}}', name) == 1


def others(count: int = 5) -> list[Any]:
    """Customers beside Anna, two events each."""
    return [event for n in range(count) for event in of(f"c{n}", order(n), order(n + 20))]


def stored_event(inst: Installation, source: str, name: str) -> StoredEvent:
    with inst.db.read() as tx:
        stored = events.get(tx, source, name)
    assert stored is not None
    return stored


def crashed_alone(
    inst: Installation, source: str, name: str, *, event: bool = True, count: int
) -> None:
    """As if processes had died, one after the other, over one event, or over what time brought."""
    stored = stored_event(inst, source, name)
    event_id = stored.row_id if event else None
    with inst.db.write() as tx:
        for level, tried in [(Level.CUSTOMER, None), *[(Level.EVENT, event_id)] * count]:
            attempts.begin_alone(
                tx,
                token="another process",
                level=level,
                customer_id=stored.customer_id,
                event_id=tried,
                started_at=inst.db.clock(tx) - CRASHED_AFTER,
            )


def begun_by_another(
    inst: Installation, customers: list[int], ago: timedelta, token: str = "another process"
) -> None:
    with inst.db.write() as tx:
        attempts.begin(
            tx,
            token=token,
            level=Level.BATCH,
            customers=customers,
            started_at=inst.db.clock(tx) - ago,
        )


def forget_attempts(inst: Installation) -> None:
    with inst.db.write() as tx:
        attempts.end(tx, [found.id for found in attempts.unfinished(tx)])


def test_only_the_poisonous_event_leaves_the_fold(
    inst: Installation, quiet: Callable[..., Digest]
) -> None:
    """It is told with its reason after so many lone attempts, and nobody misses anything else."""
    hers = [order(0), order(20), page(30)]
    done = arrive(inst, *others(), *hers, order(10, "bad", BROKEN))
    assert done.quarantined == 1
    (letter,) = list_dead(inst)
    assert letter.stored.event.id == "bad"
    assert letter.reason == "fold_failed"
    assert "InvalidOperation" in letter.detail
    assert letter.attempts == LONE_TRIES
    assert pending(inst) == []
    assert verify(inst) == []
    assert digest(inst, day(40)) == quiet([*others(), *hers])


def test_what_is_folded_event_by_event_is_recorded_as_of_now(inst: Installation) -> None:
    """A lone event is folded up to its own time, but its steps become known, and the fates of its
    messages are decided, when that happens: nothing is queued that has long expired."""
    with inst.db.read() as tx:
        now = inst.now(tx)
    arrive(inst, order(0, amount="60"), order(10, "bad", BROKEN))
    with inst.db.read() as tx:
        (first,) = steps.live(tx, [1])[1]
    assert (first.step.at, first.recorded_at) == (day(0), now)
    thanks, care = message_rows(inst)
    assert (thanks.message.rule, thanks.recorded_at, thanks.not_before) == ("thanks", now, now)
    assert (care.message.rule, care.recorded_at) == ("care", now)


def test_a_poisonous_event_of_long_ago_harms_nobody(
    inst: Installation, quiet: Callable[..., Digest]
) -> None:
    """It arrives late, so that her whole history is folded with it, and then without."""
    arrive(inst, *others(), order(0), order(20))
    arrive(inst, order(10, "bad", BROKEN))
    assert [letter.stored.event.id for letter in list_dead(inst)] == ["bad"]
    assert verify(inst) == []
    assert revoked(inst) == []
    assert digest(inst, day(40)) == quiet([*others(), order(0), order(20)])


def test_several_poisonous_events_of_several_customers_all_leave(
    inst: Installation, quiet: Callable[..., Digest]
) -> None:
    bad = [order(n, f"bad{n}", BROKEN) for n in range(3)] + of("c0", order(7, "bad", BROKEN))
    arrive(inst, *bad, order(0), order(20), *others())
    assert {letter.stored.event.id for letter in list_dead(inst)} == {event.id for event in bad}
    assert verify(inst) == []
    assert digest(inst, day(40)) == quiet([order(0), order(20), *others()])


def test_what_an_import_brought_is_no_less_poisonous(
    inst: Installation, quiet: Callable[..., Digest]
) -> None:
    """Events of a run wait together, in one row; the poisonous one is told apart all the same."""
    with inst.db.write() as tx:
        run_id = runs.begin(tx, name="f", digest="f", effects=True, now=inst.now(tx))
    post(inst, order(0), order(10, "bad", BROKEN), order(20), *others(), run_id=run_id)
    with inst.db.write() as tx:
        runs.end(tx, run_id, inst.now(tx))
    work(inst)
    assert [letter.stored.event.id for letter in list_dead(inst)] == ["bad"]
    assert pending(inst) == []
    assert verify(inst) == []
    assert digest(inst, day(40)) == quiet([order(0), order(20), *others()])


def test_a_repaired_event_that_is_replayed_counts_as_if_it_had_never_failed(
    inst: Installation, quiet: Callable[..., Digest]
) -> None:
    """It is a late event then: the third order, of day 20, made her loyal after all."""
    arrive(inst, *others(), order(0), order(10, "bad", BROKEN), order(20))
    assert state(inst) == "deal"
    repair(inst, "bad", GOOD)
    replay(inst, "shop", "bad", by="olga", why="repaired")
    assert list_dead(inst) == []
    assert made(inst) == [("first", 0), ("loyal", 20)]
    assert verify(inst) == []
    good = quiet([*others(), order(0), order(10, "bad", GOOD), order(20)])
    assert digest(inst, day(40)) == good


def test_an_event_replayed_without_repair_is_quarantined_again(inst: Installation) -> None:
    """It gets as many lone attempts as the first time, and both replays are on record."""
    arrive(inst, order(0), order(10, "bad", BROKEN))
    for _ in range(2):
        done = replay(inst, "shop", "bad", by="olga", why=None)
        assert isinstance(done, Replayed)
        assert done.applied.quarantined == 1
    shown = show(inst, "shop", "bad")
    assert shown.letter is not None
    assert shown.letter.attempts == LONE_TRIES
    assert [action.action for action in shown.actions] == ["replay", "replay"]
    assert made(inst) == [("first", 0)]


def test_what_was_discarded_stays_out_for_good(
    inst: Installation, quiet: Callable[..., Digest]
) -> None:
    """Neither new events nor a rebuild bring it back."""
    arrive(inst, order(0), order(10, "bad", BROKEN))
    repair(inst, "bad", GOOD)
    discard(inst, "shop", "bad", by="olga", why="a test order")
    arrive(inst, order(20))
    rebuild(inst)
    assert verify(inst) == []
    assert digest(inst, day(40)) == quiet([order(0)], [order(20)])


def test_an_event_that_was_folded_before_can_become_poisonous(
    inst: Installation, quiet: Callable[..., Digest]
) -> None:
    """When her history is folded again, the old event is blamed, and not the new one."""
    arrive(inst, order(0), order(10, "bad", GOOD), *others())
    repair(inst, "bad", BROKEN)
    arrive(inst, order(5, "late"))
    assert [letter.stored.event.id for letter in list_dead(inst)] == ["bad"]
    assert verify(inst) == []
    assert digest(inst, day(40)) == quiet([order(0), order(5, "late"), *others()])


def test_a_late_event_is_not_put_aside_with_the_many_that_were_folded_before_it(
    inst: Installation, quiet: Callable[..., Digest]
) -> None:
    """Each try with it that another is blamed for is no try of its own, however many others there are."""
    bad = [order(n, f"bad{n}", GOOD) for n in range(10, 10 + LONE_TRIES + 1)]
    arrive(inst, order(0), *bad)
    for event in bad:
        repair(inst, event.id, BROKEN)
    arrive(inst, order(5, "late"))
    assert {letter.stored.event.id for letter in list_dead(inst)} == {event.id for event in bad}
    assert verify(inst) == []
    assert digest(inst, day(40)) == quiet([order(0), order(5, "late")])


def test_nobody_is_postponed_for_the_many_of_her_events_that_leave(inst: Installation) -> None:
    """Nothing of hers waits; what time brings was not to blame for any of these tries either."""
    bad = [order(n, f"bad{n}", GOOD) for n in range(10, 10 + LONE_TRIES + 1)]
    arrive(inst, order(0), *bad)
    for event in bad:
        repair(inst, event.id, BROKEN)
    assert rebuild(inst).quarantined == len(bad)
    assert verify(inst) == []
    reach(inst, day(61))
    assert made(inst) == [("first", 0), ("quiet", 60)]


def test_a_rebuild_puts_aside_what_cannot_be_folded_any_more(
    inst: Installation, quiet: Callable[..., Digest]
) -> None:
    """Nothing of hers waits then; the culprit among what was folded before is found all the same."""
    arrive(inst, order(0), order(10, "bad", GOOD), order(20), *others())
    repair(inst, "bad", BROKEN)
    assert rebuild(inst).quarantined == 1
    assert [letter.stored.event.id for letter in list_dead(inst)] == ["bad"]
    assert verify(inst) == []
    assert [row.step.rule for row in revoked(inst)] == ["loyal"]
    assert digest(inst, day(40)) == quiet([order(0), order(20), *others()])


def test_a_customer_all_of_whose_events_left_the_fold_is_as_if_nothing_had_happened(
    inst: Installation,
) -> None:
    """Her steps are revoked, and what was queued for her is cancelled; a good event begins anew."""
    arrive(inst, order(0, "only", "60"), *of("bob", order(0)))
    repair(inst, "only", BROKEN)
    rebuild(inst)
    assert [letter.stored.event.id for letter in list_dead(inst)] == ["only"]
    assert (state(inst), made(inst)) == ("potential", [])
    assert [row.step.rule for row in revoked(inst)] == ["first"]
    assert {message.fate for message in planned(inst)} == {Fate.CANCELLED}
    assert verify(inst) == []
    arrive(inst, order(5))
    assert made(inst) == [("first", 5)]


# -- where no event is to blame ----------------------------------------------------------------


def test_a_customer_whom_nothing_can_fold_is_postponed_and_stops_nobody(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Her check is due and the fold raises without any event: she is looked at an hour later."""
    arrive(inst, order(0), *of("bob", order(0)))
    fold = unit.fold  # type: ignore[attr-defined]
    with inst.db.read() as tx:
        anna = customers.rows(tx, [1])[1]
    assert anna.key == "anna"

    def broken(timeline: Any, snapshot: Any, *rest: Any) -> Any:
        if snapshot is not None and snapshot.last_key.id == "order_paid-0":
            raise RuntimeError("the fold is broken for Anna")
        return fold(timeline, snapshot, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(unit, "fold", broken)
        reach(inst, day(61))
    assert state(inst, "bob") == "dormant"
    assert state(inst) == "deal"
    assert fire_due(inst).more is False
    reach(inst, day(61) + POSTPONED)
    assert made(inst) == [("first", 0), ("quiet", 60)]
    with inst.db.read() as tx:
        assert attempts.unfinished(tx) == []


def test_an_event_is_not_blamed_for_what_time_brings_after_it(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone it is folded up to its own time; the check that fails comes due sixty days later."""
    set_clock(inst, day(61))
    fold = unit.fold  # type: ignore[attr-defined]

    def broken(timeline: Any, snapshot: Any, told: Any, until: Any, witness: Any) -> Any:
        if until >= day(60):
            raise RuntimeError("the check is broken")
        return fold(timeline, snapshot, told, until, witness)

    with monkeypatch.context() as patched:
        patched.setattr(unit, "fold", broken)
        arrive(inst, order(0))
    assert list_dead(inst) == []
    assert pending(inst) == []
    assert made(inst) == [("first", 0)]
    reach(inst, day(61) + POSTPONED)
    assert made(inst) == [("first", 0), ("quiet", 60)]


def test_a_check_that_kills_its_workers_is_postponed_like_one_that_raises(
    inst: Installation,
) -> None:
    """Nothing of hers waits, so no event can be blamed; yet her lone attempts are counted."""
    arrive(inst, order(0), *of("bob", order(0)))
    crashed_alone(inst, "shop", "order_paid-0", event=False, count=LONE_TRIES)
    reach(inst, day(61))
    assert state(inst, "bob") == "dormant"
    assert state(inst) == "deal"
    reach(inst, day(61) + POSTPONED)
    assert state(inst) == "dormant"


# -- what unfinished attempts say --------------------------------------------------------------


def test_a_batch_that_did_not_finish_is_tried_customer_by_customer(inst: Installation) -> None:
    """The crashed attempt is gone afterwards, and nobody is suspected any more."""
    post(inst, *others())
    begun_by_another(inst, [1, 2, 3], ago=CRASHED_AFTER)
    done = apply_pending(inst)
    assert done.customers == 5
    assert done.quarantined == 0
    assert verify(inst) == []
    with inst.db.read() as tx:
        assert attempts.unfinished(tx) == []


def _sizes(monkeypatch: pytest.MonkeyPatch, dies_of: int | None = None) -> list[int]:
    """With how many customers each transaction is begun; one with `dies_of` ends its process."""
    sizes: list[int] = []

    def counting(inst: Installation, tx: Any, customer_ids: Any, **how: Any) -> Applied:
        sizes.append(len(customer_ids))
        if dies_of in customer_ids:
            raise SystemExit
        return unit.work(inst, tx, customer_ids, **how)

    monkeypatch.setattr(apply, "work", counting)
    monkeypatch.setattr("lifecycle.engine.alone.work", counting)
    return sizes


def crowd(count: int) -> list[Any]:
    return [event for n in range(count) for event in of(f"c{n:03}", order(n % 30))]


def test_a_large_batch_that_did_not_finish_is_tried_again_a_few_at_once(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly all of them are innocent: one by one they would take thirty times as long."""
    post(inst, *crowd(2 * A_FEW + 5))
    begun_by_another(inst, list(range(1, 2 * A_FEW + 6)), ago=CRASHED_AFTER)
    sizes = _sizes(monkeypatch)
    assert apply_pending(inst).customers == 2 * A_FEW + 5
    assert sizes == [A_FEW, A_FEW, 5]
    with inst.db.read() as tx:
        assert attempts.unfinished(tx) == []


def test_a_few_that_did_not_finish_either_are_tried_each_alone(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until only the one is left whose work ends every process that does it."""
    post(inst, *crowd(2 * A_FEW))
    begun_by_another(inst, list(range(1, 2 * A_FEW + 1)), ago=CRASHED_AFTER)
    culprit = A_FEW + 7
    with monkeypatch.context() as dying:
        sizes = _sizes(dying, dies_of=culprit)
        for _ in range(10):  # processes, one after the other
            dying.setattr(attempts, "TOKEN", f"{len(sizes)}")
            with contextlib.suppress(SystemExit):
                apply_pending(inst)
            _grow_old(inst)
    assert sizes[:2] == [A_FEW, A_FEW]  # the second one ended its process
    assert set(sizes[2:]) == {1}
    assert sizes[2:].count(1) >= A_FEW
    assert [letter.stored.customer_id for letter in list_dead(inst)] == [culprit]
    monkeypatch.setattr(attempts, "TOKEN", "the last")
    apply_pending(inst)
    assert [letter.stored.customer_id for letter in list_dead(inst)] == [culprit]
    assert pending(inst) == []


def _grow_old(inst: Installation) -> None:
    """All that is begun and not ended was begun a while ago."""
    with inst.db.write() as tx:
        at = tx.to_db(inst.db.clock(tx) - CRASHED_AFTER)
        tx.run(both("UPDATE attempt SET started_at = ?"), at)


def test_a_few_whom_another_process_took_meanwhile_are_left_to_it(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where we were so slow with the first ones that we were taken for gone."""
    post(inst, *crowd(2 * A_FEW))
    begun_by_another(inst, list(range(1, 2 * A_FEW + 1)), ago=CRASHED_AFTER)
    sizes: list[int] = []

    def slow(inst: Installation, tx: Any, customer_ids: Any, **how: Any) -> Applied:
        sizes.append(len(customer_ids))
        tx.run(both("UPDATE attempt SET token = 'faster' WHERE count = 0"))
        return unit.work(inst, tx, customer_ids, **how)

    with monkeypatch.context() as slowed:
        slowed.setattr(apply, "work", slow)
        done = apply_pending(inst)
    assert sizes == [A_FEW]
    assert (done.customers, done.left) == (A_FEW, A_FEW)
    with inst.db.write() as tx:
        (taken,) = attempts.unfinished(tx)
        assert (taken.token, taken.count, len(taken.customers)) == ("faster", 0, A_FEW)
        late = dataclasses.replace(taken, started_at=taken.started_at - CRASHED_AFTER)
        now = inst.db.clock(tx)
        who = taken.customers[1:3]
        assert not attempts.take(tx, late, who, token="late", started_at=now)
        assert attempts.take(tx, taken, who, token="next", started_at=now)
        assert not attempts.begin_taken(tx, taken.id, token="faster", started_at=now)
        assert attempts.begin_taken(tx, taken.id, token="next", started_at=now)
        assert attempts.begin_taken(tx, taken.id, token="next", started_at=now)  # a lost COMMIT
        assert [(one.token, one.count, one.customers) for one in attempts.unfinished(tx)] == [
            ("next", 1, who),
            ("faster", 0, (taken.customers[0], *taken.customers[3:])),  # still suspected
        ]


def test_whom_a_person_asks_for_is_tried_alone_though_she_is_suspected_with_others(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(inst, *crowd(2 * A_FEW))
    begun_by_another(inst, list(range(1, 2 * A_FEW + 1)), ago=CRASHED_AFTER)
    sizes = _sizes(monkeypatch)
    assert apply.apply_customers(inst, [3, A_FEW + 3]).customers == 2
    assert sizes == [1, 1]


def test_what_was_begun_before_the_clock_was_set_back_is_not_waited_for(
    inst: Installation,
) -> None:
    """It seems to begin in an hour. Whoever began it may be dead: then nobody else would come for so long."""
    post(inst, *others())
    begun_by_another(inst, [1, 2, 3], ago=timedelta(hours=-1), token=attempts.TOKEN)
    done = apply_pending(inst)
    assert (done.customers, done.left) == (5, 0)
    assert verify(inst) == []
    with inst.db.read() as tx:
        assert attempts.unfinished(tx) == []


@pytest.mark.postgres
def test_a_suspect_whom_somebody_is_working_on_is_left_to_them_with_all_that_is_known_of_her(
    postgres_database_url: str,
) -> None:
    """However slow that work is: a try that cannot do anything is none, and ends nobody else's."""
    with (
        installation(postgres_database_url, RICH_POLICY) as inst,
        opened(postgres_database_url) as other,
    ):
        set_clock(inst, day(60))
        post(inst, order(0))
        crashed_alone(inst, "shop", "order_paid-0", count=LONE_TRIES - 1)
        with inst.db.read() as tx:
            known = attempts.unfinished(tx)
        with inst.db.write() as working:
            assert customers.lock(working, [1]) == [1]
            assert try_alone(other, 1).left == 1
            lone = partial(unit.work, other, customer_ids=[1], ending=known[0].id)
            assert other.db.run(lone) == Applied(left=1)  # it had her when that try began
        with inst.db.read() as tx:
            assert attempts.unfinished(tx) == known
        assert try_alone(other, 1).events == 1
        assert list_dead(inst) == []


@pytest.mark.postgres
def test_whom_another_process_has_only_just_begun_with_is_left_to_it(
    postgres_database_url: str,
) -> None:
    """Between its attempt and its work she is not locked; the others do not wait for that."""
    with installation(postgres_database_url, RICH_POLICY) as inst:
        set_clock(inst, day(60))
        post(inst, *others())
        begun_by_another(inst, [1, 2], ago=timedelta(0))
        done = work(inst)
        assert done.customers == 3
        with inst.db.read() as tx:
            assert [found.count for found in attempts.unfinished(tx)] == [1]


@pytest.mark.postgres
def test_a_worker_that_died_at_the_head_of_the_queue_holds_nobody_up_behind_it(
    postgres_database_url: str,
) -> None:
    """Its customers are left to it until it counts as dead; then they are tried alone, all of them."""
    with installation(postgres_database_url, RICH_POLICY) as inst:
        set_clock(inst, day(60))
        post(inst, *others(6))
        begun_by_another(inst, [1, 2, 3], ago=timedelta(0))
        assert [apply_pending(inst, 4).customers for _ in range(3)] == [2, 1, 0]
        idle = apply_pending(inst, 4)
        assert (idle.more, idle.left) == (False, 3)

        forget_attempts(inst)
        begun_by_another(inst, [1, 2, 3], ago=CRASHED_AFTER)
        assert work(inst).customers == 3
        assert pending(inst) == []
        assert verify(inst) == []


@pytest.mark.postgres
def test_a_worker_that_died_over_what_is_due_first_holds_nobody_up_behind_it(
    postgres_database_url: str,
) -> None:
    """Those who are longest due were its own; the next ones fire all the same."""
    with installation(postgres_database_url) as inst:
        set_clock(inst, day(10))
        arrive(inst, *(event for n in range(4) for event in of(f"c{n}", order(n))))
        set_clock(inst, day(70))
        begun_by_another(inst, [1, 2], ago=timedelta(0))
        assert [fire_due(inst, 2).customers for _ in range(2)] == [2, 0]
        assert [state(inst, f"c{n}") for n in range(4)] == ["deal", "deal", "dormant", "dormant"]

        forget_attempts(inst)
        assert fire_due(inst, 2).customers == 2
        assert verify(inst) == []


def test_what_a_crash_left_of_lone_attempts_is_cleared_by_the_next_work(
    inst: Installation, quiet: Callable[..., Digest]
) -> None:
    """A process that died right after it had quarantined an event leaves its full count behind.

    Neither is the customer suspected for ever, nor the repaired event condemned unheard.
    """
    arrive(inst, order(0), order(10, "bad", BROKEN))
    crashed_alone(inst, "shop", "bad", count=LONE_TRIES + 1)
    arrive(inst, order(20))
    with inst.db.read() as tx:
        assert attempts.unfinished(tx) == []
    repair(inst, "bad", GOOD)
    replay(inst, "shop", "bad", by="olga", why="repaired")
    assert digest(inst, day(40)) == quiet([order(0), order(10, "bad", GOOD), order(20)])


def test_one_poisonous_event_has_nobody_else_tried_alone(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others of its batch are written as one: they lose no more than the time of a fold."""
    alone: list[int] = []

    def counted(inst: Installation, customer_id: int, raised: Exception) -> Applied:
        alone.append(customer_id)
        return try_alone(inst, customer_id, raised)

    monkeypatch.setattr(apply, "try_alone", counted)
    post(inst, *others(), order(0), order(10, "bad", BROKEN), *of("c9", order(3)))
    with inst.db.read() as tx:
        hers = customers.find(tx, ANNA)
    work(inst)
    assert alone == [hers]
    assert pending(inst) == []
    assert verify(inst) == []


def _told_of_folds(monkeypatch: pytest.MonkeyPatch, fails: int) -> list[list[str]]:
    """The events of each fold; so many that have "bad" among them raise, and blame it."""
    told: list[list[str]] = []
    fold = unit.fold  # type: ignore[attr-defined]

    def failing(timeline: Any, snapshot: Any, given: Any, until: Any, witness: Any) -> Any:
        told.append([event.id for event in given])
        if "bad" in told[-1] and sum("bad" in each for each in told) <= fails:
            raise PoisonEvent("shop", "bad", ArithmeticError("cannot be folded"))
        return fold(timeline, snapshot, given, until, witness)

    monkeypatch.setattr(unit, "fold", failing)
    return told


def test_what_the_fold_blames_is_tried_by_itself_and_then_all_others_at_once(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of hers wait, a poisonous one costs no try of another."""
    told = _told_of_folds(monkeypatch, fails=100)
    sizes = _sizes(monkeypatch)
    arrive(inst, *(order(n) for n in range(8)), order(10, "bad"))
    hers = [f"order_paid-{n}" for n in range(8)]
    assert told == [*[[*hers, "bad"]] * (1 + LONE_TRIES), hers]
    assert sizes == [1, 1, 1]  # each reads once: the batch, all tries of the one, the rest
    (letter,) = list_dead(inst)
    assert (letter.stored.event.id, letter.attempts) == ("bad", LONE_TRIES)


@pytest.mark.parametrize("fails", range(1, LONE_TRIES + 1))
def test_what_the_fold_can_do_after_all_stays_in_it(
    inst: Installation,
    quiet: Callable[..., Digest],
    monkeypatch: pytest.MonkeyPatch,
    fails: int,
) -> None:
    """Once in the batch, and up to its last lone try."""
    with monkeypatch.context() as broken:
        _told_of_folds(broken, fails=fails)
        arrive(inst, order(0), order(20), order(10, "bad"))
    assert list_dead(inst) == []
    assert pending(inst) == []
    assert revoked(inst) == []  # nothing came late
    assert verify(inst) == []
    assert digest(inst, day(40)) == quiet([order(0), order(10, "bad"), order(20)])


def test_where_a_fold_takes_long_each_try_is_a_transaction_of_its_own(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others wait for her, and a transaction that does nothing for a minute is ended by PostgreSQL."""
    monkeypatch.setattr(unit, "TRYING_SECONDS", -1.0)
    told = _told_of_folds(monkeypatch, fails=100)
    sizes = _sizes(monkeypatch)
    arrive(inst, order(0), order(10, "bad"))
    assert told == [*[["order_paid-0", "bad"]] * (1 + LONE_TRIES), ["order_paid-0"]]
    assert sizes == [1] * (1 + LONE_TRIES + 1)
    (letter,) = list_dead(inst)
    assert (letter.stored.event.id, letter.attempts) == ("bad", LONE_TRIES)


def test_several_poisonous_events_of_one_customer_leave_one_after_the_other(
    inst: Installation, quiet: Callable[..., Digest]
) -> None:
    bad = [order(n, f"bad{n}", BROKEN) for n in (5, 10, 15)]
    arrive(inst, order(0), *bad, order(20))
    assert {letter.stored.event.id for letter in list_dead(inst)} == {event.id for event in bad}
    assert revoked(inst) == []
    with inst.db.read() as tx:
        assert attempts.unfinished(tx) == []
    assert digest(inst, day(40)) == quiet([order(0), order(20)])


def test_what_was_blamed_in_a_batch_and_waits_no_more_is_no_failure_of_hers(
    inst: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else has folded it meanwhile."""
    post(inst, order(0), order(10))
    stale = PoisonEvent("shop", "gone", ArithmeticError())
    with caplog.at_level("ERROR", logger="lifecycle.engine"):
        assert try_alone(inst, 1, stale).events == 2
    assert caplog.records == []
    assert made(inst) == [("first", 0)]


def test_a_lone_try_that_others_were_in_the_way_of_is_none(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They had her lock between the try's beginning and its work."""
    post(inst, order(0))
    crashed_alone(inst, "shop", "order_paid-0", count=LONE_TRIES - 1)
    with monkeypatch.context() as busy:
        busy.setattr("lifecycle.engine.alone.work", lambda *_, **__: Applied(left=1))
        assert try_alone(inst, 1).left > 0
    with inst.db.read() as tx:
        tried = [one.count for one in attempts.unfinished(tx) if one.level is Level.EVENT]
    assert max(tried) == LONE_TRIES - 1
    _grow_old(inst)
    work(inst)
    assert list_dead(inst) == []
    assert made(inst) == [("first", 0)]


def test_lives_that_an_event_took_count_together_with_the_tries_that_raise(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = _told_of_folds(monkeypatch, fails=100)
    post(inst, order(0), order(10, "bad"))
    crashed_alone(inst, "shop", "bad", count=3)
    work(inst)
    assert told.count(["bad"]) == LONE_TRIES - 3
    assert [letter.stored.event.id for letter in list_dead(inst)] == ["bad"]


def test_an_attempt_with_somebody_whom_others_have_done_with_is_dropped(
    inst: Installation,
) -> None:
    """Its process began it for nothing, as another was faster, and died before it could tell."""
    arrive(inst, order(0))
    with inst.db.read() as tx:
        hers = customers.find(tx, ANNA)
    with inst.db.write() as tx:
        attempts.begin_alone(
            tx,
            token="another process",
            level=Level.CUSTOMER,
            customer_id=hers,
            event_id=None,
            started_at=inst.db.clock(tx) - CRASHED_AFTER,
        )
    apply_pending(inst)
    with inst.db.read() as tx:
        assert attempts.unfinished(tx) == []


def test_what_crashes_left_behind_is_reclaimed_although_every_claim_finds_somebody(
    inst: Installation,
) -> None:
    """An attempt over which others have long done the work says nothing any more; one that still counts stays."""
    arrive(inst, order(0))
    begun_by_another(inst, [1], ago=CRASHED_AFTER)
    post(inst, *of("bert", order(1)))
    begun_by_another(inst, [2], ago=CRASHED_AFTER)
    assert [reclaim(inst), reclaim(inst)] == [1, 0]
    with inst.db.read() as tx:
        assert [found.customers for found in attempts.unfinished(tx)] == [(2,)]
    assert apply_pending(inst).customers == 1
    assert verify(inst) == []


def test_a_suspicion_of_which_nothing_came_for_an_hour_is_dropped(inst: Installation) -> None:
    """Of two customers of a batch that crashed; something of both still waits."""
    post(inst, order(0), *of("bert", order(1)))
    with inst.db.write() as tx:
        now = inst.db.clock(tx)
        for customer_id, age in ((1, SUSPECTED_FOR), (2, SUSPECTED_FOR / 2)):
            begun = attempts.begin(
                tx, token="b", level=Level.BATCH, customers=[customer_id], started_at=now
            )
            (batch,) = [each for each in attempts.unfinished(tx) if each.id == begun]
            attempts.dissolve(tx, dataclasses.replace(batch, started_at=now - age))
    assert reclaim(inst) == 1
    with inst.db.read() as tx:
        assert [found.customers for found in attempts.unfinished(tx)] == [(2,)]


@pytest.mark.postgres
def test_whom_somebody_has_just_begun_with_is_not_reclaimed(postgres_database_url: str) -> None:
    with installation(postgres_database_url, RICH_POLICY) as inst:
        set_clock(inst, day(60))
        arrive(inst, order(0))
        begun_by_another(inst, [1], ago=timedelta(0))
        assert reclaim(inst) == 0
        with inst.db.read() as tx:
            assert len(attempts.unfinished(tx)) == 1


def test_verify_finds_work_that_was_begun_long_ago_and_that_nobody_has_done(
    inst: Installation,
) -> None:
    """Not what may still be under way, nor what a process left behind over nothing."""

    def left_open() -> list[str]:
        return [found.detail for found in verify(inst) if found.code == "attempt_open"]

    post(inst, *others())
    begun_by_another(inst, [1, 2], ago=OPEN_TOO_LONG - timedelta(seconds=30))
    assert left_open() == []
    begun_by_another(inst, [2, 3], ago=OPEN_TOO_LONG + timedelta(seconds=1))
    (found,) = left_open()
    assert found.startswith("work with 2 customers was begun 0:10:")
    work(inst)
    begun_by_another(inst, [2, 3], ago=OPEN_TOO_LONG * 2)
    assert verify(inst) == []

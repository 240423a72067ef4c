"""Customers are folded on to a version page by page: by one at a time, from where the last one stopped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from lifecycle.engine.apply import PATIENCE_SECONDS
from lifecycle.engine.current import is_up_to_date
from lifecycle.engine.digest import digest
from lifecycle.engine.installation import Installation
from lifecycle.engine.publishing.history import history
from lifecycle.engine.recompute import LEASE, Recomputing, _worker
from lifecycle.engine.verify import verify
from lifecycle.errors import NotReady
from lifecycle.store import attempts, customers, recomputations
from tests.policies import SCENARIO_POLICY, scenario_policy
from tests.scenarios.driver import day, order
from tests.support.engine import arrive, installation, of, post, reach, set_clock, work
from tests.support.publishing import published, recompute

HASTY = SCENARIO_POLICY.replace("after: 60d", "after: 45d")
NAMES = [f"c{number:02}" for number in range(45)]


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    """Forty-five customers who bought on day 0; it is day 50."""
    with installation(database_url) as found:
        for name in NAMES:
            post(found, *of(name, order(0)))
        reach(found, day(50))
        found.pace._limit = found.pace._most = 20  # three pages
        yield found


def rows(inst: Installation) -> list[customers.CustomerRow]:
    with inst.db.read() as tx:
        return list(customers.rows(tx, customers.ids_after(tx, 0, 1000)).values())


def versions(inst: Installation) -> list[int]:
    return sorted(row.policy_version or 0 for row in rows(inst))


def test_everybody_is_folded_on_and_it_is_told_how_far_that_is(inst: Installation) -> None:
    published(inst, HASTY)
    before = history(inst)[-1].recomputation
    assert before is not None
    assert (before.customers, before.done, before.ended_at) == (45, 0, None)
    assert Recomputing(inst).work() == 45
    after = history(inst)[-1].recomputation
    assert after is not None
    assert (after.customers, after.done, after.overtaken) == (45, 45, False)
    assert after.ended_at is not None
    assert versions(inst) == [2] * 45
    assert {row.state for row in rows(inst)} == {"dormant"}
    assert Recomputing(inst).work() == 0


def test_nothing_else_is_to_be_summed_up_before_it_has_ended(inst: Installation) -> None:
    published(inst, HASTY)
    with pytest.raises(NotReady, match="0 of 45 customers know version 2 of the policy"):
        digest(inst)
    assert [found.code for found in verify(inst)] == ["recomputation_open"]
    recompute(inst)
    assert (verify(inst), digest(inst).customers) == ([], 45)


def test_who_is_stopped_leaves_the_rest_to_the_next(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(inst, HASTY)
    first = Recomputing(inst)
    ended = first._end_page

    def end_and_stop(*given: object) -> bool:
        first.stop()
        return ended(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(first, "_end_page", end_and_stop)
    assert first.work() == 20
    progress = history(inst)[-1].recomputation
    assert progress is not None
    assert (progress.done, progress.ended_at) == (20, None)
    assert Recomputing(inst).work() == 25
    assert versions(inst) == [2] * 45


def test_who_was_folded_on_meanwhile_is_not_folded_again(inst: Installation) -> None:
    published(inst, HASTY)
    arrive(inst, *of("c00", order(50)), *of("new", order(50)))
    assert versions(inst) == [1] * 44 + [2] * 2
    assert Recomputing(inst).work() == 44


def test_another_version_takes_the_recomputation_over(inst: Installation) -> None:
    published(inst, HASTY)
    published(inst, scenario_policy(care=True))
    assert Recomputing(inst).work() == 45
    _, overtaken, last = (entry.recomputation for entry in history(inst))
    assert overtaken is not None
    assert last is not None
    assert (overtaken.done, overtaken.overtaken, last.done) == (0, True, 45)


def test_one_at_a_time_is_at_it_until_its_lease_is_over(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an embedded database there is one process that works, so any other is gone."""
    published(inst, HASTY)
    with inst.db.write() as tx:
        now = inst.db.clock(tx)
        assert recomputations.claim(tx, 2, worker="other", now=now, lease_until=now + LEASE)
    if inst.db.dialect == "postgresql":
        assert Recomputing(inst).work() == 0
        with inst.db.write() as tx:
            past = inst.db.clock(tx)
            assert recomputations.claim(tx, 2, worker="other", now=past, lease_until=past)
    monkeypatch.setattr(attempts, "TOKEN", "4711-other")
    assert Recomputing(inst).work() == 45


def test_who_lost_the_lease_moves_nothing_on(inst: Installation) -> None:
    published(inst, HASTY)
    slow = Recomputing(inst)
    page = slow._claim()
    assert page is not None
    with inst.db.write() as tx:
        now = inst.db.clock(tx)
        recomputations.claim(tx, 2, worker="other", now=now + 2 * LEASE, lease_until=now + LEASE)
    slow._fold(page)
    progress = history(inst)[-1].recomputation
    assert progress is not None
    assert progress.done == 0


def test_a_page_that_outlasts_its_lease_is_done_twice_and_counted_once(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a lease may be short: where it is over too early, nothing but work is lost."""
    published(inst, HASTY)
    slow = Recomputing(inst)
    page = slow._claim()
    assert page is not None
    with inst.db.write() as tx:
        now = inst.db.clock(tx)
        assert recomputations.claim(tx, 2, worker=_worker(), now=now, lease_until=now)
    with monkeypatch.context() as another:
        another.setattr(attempts, "TOKEN", "4711-other")
        assert Recomputing(inst).work() == 45
    assert slow._fold(page) == 20
    progress = history(inst)[-1].recomputation
    assert progress is not None
    assert (progress.done, progress.customers) == (45, 45)
    assert verify(inst) == []


def test_who_waits_with_a_page_for_those_who_are_locked_keeps_it() -> None:
    assert timedelta(seconds=2 * PATIENCE_SECONDS) < LEASE


def test_whom_others_hold_is_folded_on_by_the_sweep(inst: Installation) -> None:
    """Who could not be folded with her page is due, so that nobody has to wait for her there."""
    published(inst, HASTY)
    recomputing = Recomputing(inst)
    page = recomputing._claim()
    assert page is not None
    inst.db.run(lambda tx: recomputing._end_page(tx, page))
    with inst.db.read() as tx:
        assert customers.due_count(tx, day(50)) == 20
    work(inst)
    assert versions(inst) == [1] * 25 + [2] * 20


def test_who_does_not_know_what_judges_now_is_folded_before_she_is_written_to(
    inst: Installation,
) -> None:
    published(inst, HASTY, wanted_at=day(52))
    with inst.db.read() as tx:
        timeline = inst.timeline(tx)
    (first, *_) = rows(inst)
    assert is_up_to_date(timeline, first, day(51))
    assert not is_up_to_date(timeline, first, day(52))
    set_clock(inst, day(52))
    recompute(inst)
    assert is_up_to_date(timeline, rows(inst)[0], day(52))


def test_facts_that_a_version_adds_are_there_for_everybody(inst: Installation) -> None:
    published(inst, scenario_policy(facts=["spent: {sum: order_paid.amount}"]))
    assert Recomputing(inst).work() == 45
    with inst.db.read() as tx:
        timeline = inst.timeline(tx)
    assert all(is_up_to_date(timeline, row, day(50)) for row in rows(inst))

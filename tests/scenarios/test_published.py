"""Histories in which a policy is published while customers are under way, on the real engine.

`order d0 … [d70]` under the policy of the examples; then another one, from d70 on or for all of the past.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from lifecycle.engine.rebuild import rebuild
from lifecycle.engine.verify import verify
from lifecycle.policy import loads
from lifecycle.store import customers, recomputations, steps
from tests.policies import SCENARIO_POLICY, scenario_policy
from tests.scenarios.driver import Told, day, order, page
from tests.scenarios.on_engine import EngineLife, Fate, Revoked
from tests.support import engine
from tests.support.engine import installation, message_rows, post, revoked, work
from tests.support.publishing import published, recompute

HASTY = SCENARIO_POLICY.replace("after: 60d", "after: 45d")
PATIENT = SCENARIO_POLICY.replace("after: 60d", "after: 90d")
CARING = scenario_policy(care=True)
THANKS = "{name: thanks, on: {event: order_paid}, channels: [email], class: service, expires: 9d}"
THANKFUL = scenario_policy(outreach=[THANKS])


@pytest.fixture
def life(database_url: str) -> Iterator[EngineLife]:
    with installation(database_url) as inst:
        yield EngineLife(inst)
        assert verify(inst) == []
        before = EngineLife(inst).digest()
        done = rebuild(inst)
        assert (done.steps, done.messages, EngineLife(inst).digest()) == (0, 0, before)


def made_by(life: EngineLife) -> list[tuple[str, float, int]]:
    with life.inst.db.read() as tx:
        who = customers.find(tx, "anna")
        rows = steps.live(tx, [who])[who]
    return [
        (told.name, told.day, row.step.version)
        for told, row in zip(life.steps(), rows, strict=True)
    ]


def behind_its_back(life: EngineLife, text: str, effective_at: datetime) -> None:
    """A version judges from an instant up to which a worker has folded without knowing it."""
    engine.publish(life.inst, loads(text).policy, number=2, effective_at=effective_at)
    with life.inst.db.write() as tx:
        recomputations.begin(tx, 2, effective_at)


# -- from now on --------------------------------------------------------------------------------


def test_what_was_decided_stays_and_what_comes_is_judged_by_the_new_version(
    life: EngineLife,
) -> None:
    """Dormant since d60 by the old one, which the new one would not have made her before d90."""
    life.post(order(0), at=0)
    life.reach(70)
    published(life.inst, PATIENT)
    recompute(life.inst)
    assert made_by(life) == [("first", 0, 1), ("quiet", 60, 1)]
    life.post(order(80), at=80)
    life.reach(169)
    assert life.next_check() == Told("quiet", 170)
    life.reach(170)
    assert made_by(life)[2:] == [("back", 80, 2), ("quiet", 170, 2)]


def test_a_check_that_the_new_version_would_have_fired_long_ago_fires_at_its_instant(
    life: EngineLife,
) -> None:
    """Due at d45, but no version judges before it took effect."""
    life.post(order(0), at=0)
    life.reach(50)
    published(life.inst, HASTY)
    recompute(life.inst)
    assert made_by(life) == [("first", 0, 1), ("quiet", 50, 2)]


def test_what_is_scheduled_acts_from_its_instant_and_not_before(life: EngineLife) -> None:
    life.post(order(0), at=0)
    life.reach(40)
    published(life.inst, HASTY, wanted_at=day(50))
    recompute(life.inst)
    life.reach(49)
    assert made_by(life) == [("first", 0, 1)]
    life.reach(55)
    assert made_by(life) == [("first", 0, 1), ("quiet", 50, 2)]


def test_a_late_event_of_before_is_judged_by_the_version_of_its_own_time(life: EngineLife) -> None:
    life.post(order(0), at=0)
    life.reach(50)
    published(life.inst, HASTY)
    recompute(life.inst)
    life.post(page(20), at=51)
    assert made_by(life) == [("first", 0, 1)]
    assert life.revoked() == [Revoked("quiet", 50, "page_viewed-20")]
    life.reach(65)
    assert made_by(life) == [("first", 0, 1), ("quiet", 65, 2)]


def test_a_new_fact_counts_over_the_whole_history(life: EngineLife) -> None:
    spent = "spent: {sum: order_paid.amount}"
    life.post(order(0), order(10), at=10)
    published(life.inst, scenario_policy(facts=[spent]))
    recompute(life.inst)
    assert life.fact("spent") == "20"


def test_a_worker_that_had_not_heard_of_it_is_put_right(life: EngineLife) -> None:
    """It has folded her up to d55 by the old version; the new one judges from d50 on.

    The clock of the test stands at d55 before the version of d50 is there, as that of a worker does
    whose transaction began before the publication was committed.
    """
    life.post(order(0), at=0)
    life.reach(55)
    behind_its_back(life, HASTY, day(50))
    recompute(life.inst)
    assert made_by(life) == [("first", 0, 1), ("quiet", 50, 2)]


def test_what_a_worker_decided_too_long_is_revoked_by_the_version(life: EngineLife) -> None:
    """The same; by the old one she went dormant at d60, by the new one of d59 not before d90."""
    life.post(order(0), at=0)
    life.reach(61)
    behind_its_back(life, PATIENT, day(59))
    recompute(life.inst)
    assert made_by(life) == [("first", 0, 1)]
    (gone,) = revoked(life.inst)
    assert (gone.step.rule, gone.revoked_by, gone.revoked_version) == ("quiet", None, 2)
    assert life.fates() == [Fate("win-back", 60, "cancelled", "superseded")]


# -- all of the past ----------------------------------------------------------------------------


def test_restated_history_is_what_it_would_have_been_under_the_new_policy(
    life: EngineLife,
) -> None:
    """What no longer follows names the version; what follows all the same is not touched."""
    life.post(order(0), at=0)
    life.reach(70)
    published(life.inst, HASTY, restates=True)
    recompute(life.inst)
    assert made_by(life) == [("first", 0, 2), ("quiet", 45, 2)]
    (gone,) = revoked(life.inst)
    assert (gone.step.rule, gone.step.version) == ("quiet", 1)
    assert (gone.revoked_by, gone.revoked_version) == (None, 2)


def test_restating_with_the_same_rules_keeps_every_row(life: EngineLife) -> None:
    """Only which version judged is noted anew."""
    life.post(order(0), at=0)
    life.reach(70)
    kept = life.fates()
    published(life.inst, CARING.replace("30d", "300d"), restates=True)
    recompute(life.inst)
    assert made_by(life) == [("first", 0, 2), ("quiet", 60, 2)]
    assert (revoked(life.inst), life.fates()) == ([], kept)


def test_what_was_sent_is_never_sent_again(life: EngineLife) -> None:
    """The same check of the same anchor, for an earlier day: the message of it has been sent."""
    life.post(order(0), at=0)
    life.reach(60)
    life.send()
    life.reach(70)
    published(life.inst, HASTY, restates=True)
    recompute(life.inst)
    assert life.fates() == [Fate("win-back", 45, "sent", None)]


def test_what_only_the_restatement_plans_for_the_past_is_withheld(life: EngineLife) -> None:
    life.post(order(0), order(60, "second"), at=60)
    life.reach(61)
    published(life.inst, THANKFUL, restates=True)
    recompute(life.inst)
    assert life.fates() == [
        Fate("thanks", 0, "expired", None),
        Fate("thanks", 60, "withheld", "restated"),
        Fate("win-back", 60, "queued", None),
    ]


def test_with_effects_it_is_sent_unless_it_has_expired(life: EngineLife) -> None:
    life.post(order(0), order(60, "second"), at=60)
    life.reach(61)
    published(life.inst, THANKFUL, restates=True, effects=True)
    recompute(life.inst)
    assert [fate for fate in life.fates() if fate.rule == "thanks"] == [
        Fate("thanks", 0, "expired", None),
        Fate("thanks", 60, "queued", None),
    ]


def test_what_happens_meanwhile_is_answered_as_ever(life: EngineLife) -> None:
    """An order that waited when history was restated, and one of after; neither is of the past."""
    life.post(order(0), at=0)
    life.post(page(20), at=20)
    post(life.inst, order(19, "waited"))
    published(life.inst, THANKFUL, restates=True)
    post(life.inst, order(20.5, "after"))
    work(life.inst)
    life.reach(21)
    recompute(life.inst)
    assert [fate for fate in life.fates() if fate.rule == "thanks"] == [
        Fate("thanks", 0, "expired", None),
        Fate("thanks", 19, "queued", None),
        Fate("thanks", 20.5, "queued", None),
    ]


def test_a_check_that_had_not_come_to_its_turn_yet_is_not_of_the_past(life: EngineLife) -> None:
    """Folded up to d20, restated on d35: on d30 nobody had looked, under whichever policy."""
    life.post(order(0), at=0)
    life.reach(20)
    engine.set_clock(life.inst, day(35))
    published(life.inst, CARING, restates=True)
    recompute(life.inst)
    assert life.fates() == [Fate("care", 30, "queued", None)]


def test_what_was_to_be_sent_is_still_sent(life: EngineLife) -> None:
    """The win-back of d60 waits for its ten minutes; the new policy plans it as well."""
    life.post(order(0), at=0)
    life.reach(60)
    published(life.inst, THANKFUL, restates=True)
    recompute(life.inst)
    assert life.fates()[1:] == [Fate("win-back", 60, "queued", None)]
    assert {row.message.version for row in message_rows(life.inst)} == {2}


def test_what_was_to_be_sent_is_cancelled_where_its_cause_falls(life: EngineLife) -> None:
    life.post(order(0), at=0)
    life.reach(60)
    published(life.inst, PATIENT, restates=True)
    recompute(life.inst)
    assert life.steps() == [Told("first", 0)]
    assert life.fates() == [Fate("win-back", 60, "cancelled", "superseded")]


def test_a_version_after_a_restatement_judges_from_its_instant(life: EngineLife) -> None:
    life.post(order(0), at=0)
    life.reach(50)
    published(life.inst, PATIENT, restates=True)
    recompute(life.inst)
    life.reach(70)
    published(life.inst, HASTY)
    recompute(life.inst)
    assert made_by(life) == [("first", 0, 2), ("quiet", 70, 3)]

"""How many customers are where, and were at an instant or at the end of a month."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from lifecycle.engine.accept import accept
from lifecycle.engine.installation import Installation
from lifecycle.engine.report import Month, states, states_by_month
from lifecycle.errors import Problem
from tests.policies import SCENARIO_POLICY
from tests.scenarios.driver import closed, day, order, page
from tests.support.engine import arrive, draft, installation, of, post, reach

LABELLED = SCENARIO_POLICY.replace("deal: {}", "deal: {label: {en: Deal, zh: 成交}}")


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url, LABELLED) as made:
        yield made


def counted(inst: Installation, at: datetime | None = None) -> dict[str, int]:
    """The states that somebody is in."""
    return {each.name: each.customers for each in states(inst, at).counts if each.customers}


def by_month(months: tuple[Month, ...]) -> dict[str, Mapping[str, int]]:
    return {
        each.month: {name: count for name, count in each.counts.items() if count} for each in months
    }


def test_every_state_is_listed_in_the_order_of_the_policy_with_its_share(
    inst: Installation,
) -> None:
    """Empty states too, so that two reports can be laid side by side."""
    arrive(inst, order(0), *of("bea", order(0)), *of("cleo", page(0)), *of("dora", closed(0)))
    found = states(inst)
    assert [(each.name, each.customers, each.share) for each in found.counts] == [
        ("potential", 1, 0.25),
        ("deal", 2, 0.5),
        ("loyal", 0, 0.0),
        ("dormant", 0, 0.0),
        ("churned", 1, 0.25),
        ("reactivated", 0, 0.0),
    ]
    assert found.customers == 4
    assert found.as_of == day(0)
    assert found.counts[1].labels == {"en": "Deal", "zh": "成交"}


def test_an_empty_installation_has_nobody_anywhere(inst: Installation) -> None:
    assert states(inst).customers == 0
    assert {each.share for each in states(inst).counts} == {0.0}
    assert states_by_month(inst) == ()


def test_the_past_has_those_who_had_come_by_then_each_where_her_live_steps_had_led(
    inst: Installation,
) -> None:
    """The instant itself is included: what happened at it has happened."""
    arrive(inst, order(0))
    reach(inst, day(70))
    arrive(inst, *of("bea", page(10), order(20)), *of("cleo", page(65)))
    assert counted(inst, day(0) - timedelta(microseconds=1)) == {}
    assert counted(inst, day(0)) == {"deal": 1}
    assert counted(inst, day(10)) == {"deal": 1, "potential": 1}
    assert counted(inst, day(20)) == {"deal": 2}
    assert counted(inst, day(60)) == {"deal": 1, "dormant": 1}
    assert counted(inst, day(70)) == {"deal": 1, "dormant": 1, "potential": 1} == counted(inst)


def test_what_a_late_event_disproved_was_never_so(inst: Installation) -> None:
    """Row 8: once the order of day 40 is known, nobody was dormant on day 60."""
    arrive(inst, order(0))
    reach(inst, day(61))
    assert counted(inst, day(60)) == {"dormant": 1}
    arrive(inst, order(40))
    assert counted(inst, day(60)) == {"deal": 1}


def test_an_event_that_never_entered_the_fold_brings_nobody(inst: Installation) -> None:
    """She is a customer of today, but a dead letter says nothing about when she came."""
    accept(inst, [draft(page(0))._replace(too_late=True)])
    assert counted(inst) == {"potential": 1}
    assert counted(inst, day(0)) == {}
    assert states_by_month(inst) == ()


def test_the_future_has_no_report(inst: Installation) -> None:
    with pytest.raises(Problem, match="has not come") as refused:
        states(inst, day(1))
    assert (refused.value.code, refused.value.status) == ("instant_in_future", 422)


def test_months_end_at_midnight_of_the_zone_and_begin_with_it(inst: Installation) -> None:
    """An order in the first second of a month is one of that month, whose midnight is local."""
    turn = datetime(2026, 1, 31, 16, tzinfo=UTC)  # 1 February in Shanghai
    reach(inst, day(50))
    before, at = turn - timedelta(microseconds=1), turn
    arrive(
        inst,
        *of("anna", page(5), order(0)._replace(occurred_at=before)),
        *of("bea", page(5), order(0)._replace(occurred_at=at)),
    )
    shanghai = states_by_month(inst, ZoneInfo("Asia/Shanghai"))
    assert by_month(shanghai) == {
        "2026-01": {"deal": 1, "potential": 1},
        "2026-02": {"deal": 2},
    }
    assert shanghai[0].ends_at == turn
    assert [each.complete for each in shanghai] == [True, False]
    assert by_month(states_by_month(inst)) == {"2026-01": {"deal": 2}}


def test_months_without_events_are_there_and_time_alone_counts(inst: Installation) -> None:
    """From the month of the first event to that of the last step, here one by a timed check."""
    arrive(inst, order(0))
    reach(inst, day(200))
    assert by_month(states_by_month(inst)) == {
        "2026-01": {"deal": 1},
        "2026-02": {"deal": 1},
        "2026-03": {"dormant": 1},
        "2026-04": {"dormant": 1},
        "2026-05": {"churned": 1},
    }
    until = states_by_month(inst, until=day(200))
    assert [each.month for each in until][-2:] == ["2026-06", "2026-07"]
    assert until[-1].counts["churned"] == 1
    assert list(until[-1].counts) == [each.name for each in states(inst).counts]


def test_each_month_is_what_the_past_says_about_its_last_microsecond(inst: Installation) -> None:
    """The two reports are counted by different statements, so each proves the other."""
    reach(inst, day(300))
    for number in range(12):
        start = number * 17.5
        arrive(
            inst,
            *of(f"c{number}", order(start), order(start + 9), order(start + 40), page(start + 41)),
        )
    arrive(inst, *of("c3", closed(120)), *of("c4", order(290)))
    months = states_by_month(inst)
    assert len(months) == 10
    for month in months[:-1]:
        assert month.counts == {
            each.name: each.customers
            for each in states(inst, month.ends_at - timedelta(microseconds=1)).counts
        }
    assert dict(months[-1].counts) == {each.name: each.customers for each in states(inst).counts}


def test_what_only_arrived_counts_as_new_until_it_is_applied(inst: Installation) -> None:
    post(inst, order(0))
    assert counted(inst, day(0)) == {"potential": 1}

"""A simulated world is plausible, the same for one seed, and fit for the shipped policy."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.domain.event import Event
from lifecycle.domain.policy import Policy
from lifecycle.intake import simulate
from lifecycle.intake.draft import Draft
from lifecycle.intake.native import read_batch
from lifecycle.policy.load import load
from lifecycle.resources import config_dir
from tests.intake.tables import policy as small_policy

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 600
END = START + timedelta(days=DAYS)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(config_dir() / "policy.yaml").policy


@pytest.fixture(scope="module")
def history(policy: Policy) -> list[Event]:
    return list(simulate.bulk(seed=7, customers=400, start=START, days=DAYS, policy=policy))


def world(seed: int = 7) -> simulate.World:
    return simulate.live(seed=seed, start=START, per_day=2)


def test_every_customer_asked_for_arrives_and_time_only_goes_forward(history: list[Event]) -> None:
    assert len({event.customer for event in history}) == 400
    assert all(before.occurred_at <= after.occurred_at for before, after in pairwise(history))
    assert history[0].occurred_at >= START
    assert history[-1].occurred_at <= END


def test_everything_is_labelled_as_simulated(history: list[Event]) -> None:
    assert {event.source for event in history} == {"simulation"}
    assert all(event.customer.startswith("sim-") for event in history)
    assert len({event.id for event in history}) == len(history)


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, 60 * 24), max_size=12))
def test_a_world_is_the_same_however_its_time_is_cut(cuts: list[int]) -> None:
    whole = world().advance(START + timedelta(days=60))
    cut = world()
    pieces = [START + timedelta(hours=hour) for hour in cuts]
    told = [event for until in pieces for event in cut.advance(until)]
    assert told + cut.advance(START + timedelta(days=60)) == whole
    assert len(whole) > 100


def test_stopping_in_the_middle_of_telling_loses_nothing() -> None:
    until = START + timedelta(days=60)
    stopped = world()
    first = next(stopped.events(until))
    assert [first, *stopped.advance(until)] == world().advance(until)


def test_another_seed_or_start_or_size_is_another_world_with_ids_of_its_own() -> None:
    """The same id is never told with other content."""
    until = START + timedelta(days=30)
    worlds = [
        world(),
        world(seed=8),
        simulate.live(seed=7, start=START + timedelta(days=1), per_day=2),
        simulate.live(seed=7, start=START, per_day=3),
        simulate.World(seed=7, start=START, per_day=2, at_most=10),
    ]
    ids = [{event.id for event in each.advance(until)} for each in worlds]
    assert all(ids)
    assert sum(map(len, ids)) == len(set().union(*ids))


def test_a_policy_leaves_out_what_it_does_not_declare_and_changes_no_id() -> None:
    """A refund that this policy knows keeps the id that it has under one that knows more."""
    known = small_policy()
    everything = {event.id: event for event in world().advance(END)}
    limited = simulate.live(seed=7, start=START, per_day=2, policy=known).advance(END)
    assert {"order_paid", "order_refunded"} <= {event.type for event in limited}
    assert {event.type for event in limited} <= set(known.events)
    for event in limited:
        assert everything[event.id].occurred_at == event.occurred_at
        assert everything[event.id].type == event.type
        assert event.properties.get("attributes", {}) == {}  # this policy names no attribute


def test_customers_keep_arriving() -> None:
    endless = world()
    endless.advance(START + timedelta(days=300))
    later = endless.advance(START + timedelta(days=310))
    newcomers = {event.customer for event in later if event.id.endswith("-1")}
    assert 10 <= len(newcomers) <= 30


def test_the_shipped_policy_takes_every_event_without_a_remark(
    history: list[Event], policy: Policy
) -> None:
    """And what is posted over HTTP is the same draft as what is stored directly."""
    now = END + timedelta(days=1)
    for at in range(0, len(history), 500):
        events = history[at : at + 500]
        body = {"events": [simulate.posted(event) for event in events], "backfill": True}
        items = read_batch(json.dumps(body).encode(), policy, now, "http").items
        assert items == [simulate.draft(event, now) for event in events]
        assert all(isinstance(item, Draft) and not item.warnings for item in items)


def test_histories_hold_every_kind_of_thing_that_the_shipped_policy_acts_on(
    history: list[Event], policy: Policy
) -> None:
    seen = Counter(event.type for event in history)
    acted_on = {
        "lead_captured",
        "enquiry_made",
        "cart_started",
        "order_paid",
        "order_refunded",
        "order_returned",
        "account_closed",
        "page_viewed",
        "profile_changed",
        "consent_given",
        "consent_withdrawn",
        "survey_answered",
        "complaint_made",
    }
    assert set(seen) == acted_on
    assert seen["order_paid"] > 10 * seen["order_refunded"] > 0
    named = [event.properties["attributes"] for event in history if event.type == "profile_changed"]
    assert {a["language"] for a in named if "language" in a} == {"zh", "en"}
    assert any("strategic" in a for a in named)
    assert any("birthday" in a for a in named)


def test_nothing_follows_a_closed_account(history: list[Event]) -> None:
    closed = set()
    for event in history:
        assert event.customer not in closed
        if event.type == "account_closed":
            closed.add(event.customer)
    assert closed


def test_a_refund_gives_back_at_most_what_its_order_cost(history: list[Event]) -> None:
    paid: dict[str, int] = {}
    for event in history:
        if event.type == "order_paid":
            paid[event.properties["order_id"]] = int(event.properties["amount"])
        elif event.type == "order_refunded":
            assert 0 < int(event.properties["amount"]) <= paid[event.properties["order_id"]]
        elif event.type == "order_returned":
            assert event.properties["order_id"] in paid


def test_people_have_rhythms_pauses_and_nights(history: list[Event]) -> None:
    """Buyers differ in their gaps, some are silent for long and come back, and most sleep."""
    orders: dict[str, list[datetime]] = defaultdict(list)
    zones: dict[str, str] = {}
    for event in history:
        if event.type == "order_paid":
            orders[event.customer].append(event.occurred_at)
        zones |= (
            {event.customer: event.properties["attributes"]["timezone"]}
            if "timezone" in event.properties.get("attributes", {})
            else {}
        )
    gaps = {
        customer: [(b - a).days for a, b in pairwise(times)]
        for customer, times in orders.items()
        if len(times) >= 6
    }
    means = sorted(sum(values) / len(values) for values in gaps.values())
    assert means[len(means) // 10] * 3 < means[-len(means) // 10]
    assert sum(1 for values in gaps.values() if max(values) > 70) >= 10
    assert sum(1 for times in orders.values() if len(times) == 1) > 10
    hours = Counter(
        time.astimezone(ZoneInfo(zones[customer])).hour
        for customer, times in orders.items()
        for time in times
    )
    night = sum(hours[hour] for hour in range(1, 6))
    assert night * 20 < sum(hours.values())
    assert hours[21] > hours[7]


def test_a_world_in_which_nobody_arrives_is_refused() -> None:
    with pytest.raises(ValueError, match="per_day is 0"):
        simulate.live(seed=1, start=START, per_day=0)
    with pytest.raises(ValueError, match="0 customers"):
        next(simulate.bulk(seed=1, customers=0, start=START, days=1))

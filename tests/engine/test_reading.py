"""What interfaces show of one customer, of the log, and of the work that waits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from lifecycle.domain.fate import Fate
from lifecycle.engine import reading
from lifecycle.engine.accept import accept
from lifecycle.engine.history import CheckEntry, Entry, EventEntry, Stage, timeline
from lifecycle.engine.installation import Installation
from lifecycle.engine.move import move
from lifecycle.engine.reading import (
    LogEntry,
    LogFilters,
    customer,
    earlier,
    health,
    latest,
    log_end,
    transitions,
)
from lifecycle.engine.verify import verify
from lifecycle.errors import NotFound, Problem
from lifecycle.policy import loads
from lifecycle.store import customers, runs, steps
from lifecycle.store.messages import MessageRow
from lifecycle.store.steps import StepRow
from tests.policies import scenario_policy
from tests.scenarios.driver import ANNA, day, number_of, order, page, refund
from tests.scenarios.policies import WITH_WINDOW
from tests.support.engine import (
    arrive,
    draft,
    installation,
    made,
    of,
    post,
    publish,
    reach,
    send,
    set_clock,
)

POLICY = scenario_policy(facts=["orders_30d: {count: order_paid, within: 30d}"]).replace(
    "deal: {}", "deal: {label: {zh: 成交, en: Deal}}"
)


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url, POLICY) as made:
        yield made


def everything(inst: Installation, limit: int = 500) -> list[Entry]:
    """Her whole timeline, page by page."""
    found: list[Entry] = []
    cursor = None
    while True:
        page_ = timeline(inst, ANNA, limit, cursor)
        found += page_.entries
        assert len(found) <= 100, "going back never ends"
        cursor = page_.cursor
        if cursor is None:
            return found


def events_of(inst: Installation) -> dict[str, EventEntry]:
    found = [entry for entry in everything(inst) if isinstance(entry, EventEntry)]
    return {entry.stored.event.id: entry for entry in found}


def altered(cursor: str) -> Iterator[str]:
    """The cursor with one character changed, everywhere in turn."""
    for place, was in enumerate(cursor):
        other = "0" if was != "0" else "1"
        yield cursor[:place] + other + cursor[place + 1 :]


# -- one customer ------------------------------------------------------------------------------


def test_a_customer_is_shown_as_of_now_with_what_comes_next(inst: Installation) -> None:
    """Facts are those of the clock's instant: a window has moved on since the last event."""
    arrive(inst, order(0))
    reach(inst, day(20))
    arrive(inst, order(20))
    reach(inst, day(45))
    found = customer(inst, ANNA)
    assert (found.key, found.identifiers) == (ANNA, (ANNA,))
    assert (found.state, found.label, found.entered_at) == ("deal", "Deal", day(0))
    assert found.facts["orders"] == 2
    assert found.facts["orders_30d"] == 1
    assert found.refused == {"loyal": 1}
    assert found.next == reading.Next(name="quiet", at=day(80))
    assert [(one.name, one.at, one.overdue) for one in found.ahead] == [("quiet", day(80), False)]
    assert found.as_of == day(45)


def test_a_customer_of_whom_nothing_was_applied_has_no_facts(inst: Installation) -> None:
    post(inst, order(0))
    found = customer(inst, ANNA)
    assert (found.state, found.first_event_at, found.facts) == ("potential", None, {})
    assert (found.next, found.ahead) == (None, ())
    assert (found.counts.events, found.counts.pending) == (1, 1)


def test_what_the_record_has_forgotten_is_folded_anew_for_the_reader(inst: Installation) -> None:
    """After a quarantine, until her next fold, her facts are computed instead of left out."""
    arrive(inst, order(0), page(3))
    before = customer(inst, ANNA)
    with inst.db.write() as tx:
        customers.forget(tx, [customers.find(tx, ANNA)])
    after = customer(inst, ANNA)
    assert after.facts == before.facts
    assert after.ahead == before.ahead


def test_everything_about_her_is_counted(inst: Installation) -> None:
    """Events by how far they have come, steps that stand and those that do not, messages by fate."""
    arrive(inst, order(0), order(10), order(20))
    reach(inst, day(30))
    arrive(inst, order(5))
    accept(inst, [draft(page(1))._replace(too_late=True)])
    with inst.db.write() as tx:
        run = runs.begin(tx, name="f", digest="d", effects=False, now=inst.now(tx))
    post(inst, page(8), page(9), run_id=run)
    post(inst, page(7))
    counts = customer(inst, ANNA).counts
    assert (counts.events, counts.pending, counts.held, counts.dead) == (8, 1, 2, 1)
    assert (counts.steps, counts.revoked) == (2, 1)
    with inst.db.write() as tx:
        runs.end(tx, run, inst.now(tx))
    counts = customer(inst, ANNA).counts
    assert (counts.pending, counts.held) == (3, 0)


def test_messages_are_counted_by_what_became_of_them(inst: Installation) -> None:
    """Two win-backs: one sent and overtaken by a late page, the next suppressed because of it."""
    arrive(inst, order(0))
    reach(inst, day(61))
    send(inst, day(61))
    arrive(inst, page(5))
    reach(inst, day(66))
    assert customer(inst, ANNA).counts.messages == {Fate.OVERTAKEN: 1, Fate.SUPPRESSED: 1}


def test_nobody_is_shown_under_an_unknown_name(inst: Installation) -> None:
    for read in (lambda: customer(inst, "x"), lambda: timeline(inst, "x", 10, None)):
        with pytest.raises(NotFound, match="'x'"):
            read()


# -- her timeline ------------------------------------------------------------------------------


def test_an_event_that_is_valid_but_fits_no_rule_says_so_and_what_would(inst: Installation) -> None:
    """A refund before any purchase: the state, and what leaves it."""
    arrive(inst, refund(0))
    (entry,) = events_of(inst).values()
    assert entry.stage is Stage.APPLIED
    assert entry.outcome == {
        "outcome": "no_transition",
        "state": "potential",
        "leaves_on": ["account_closed", "order_paid"],
    }


def test_each_event_says_how_far_it_has_come_and_what_it_did(inst: Installation) -> None:
    arrive(inst, order(0), order(0, "B"))
    accept(inst, [draft(page(0))._replace(too_late=True)])
    arrive(inst, order(9, "later"))
    with inst.db.write() as tx:
        run = runs.begin(tx, name="f", digest="d", effects=False, now=inst.now(tx))
    post(inst, order(0, "imported"), run_id=run)
    post(inst, order(0, "fresh"))
    found = events_of(inst)
    assert {name: entry.stage for name, entry in found.items()} == {
        "B": Stage.APPLIED,
        "order_paid-0": Stage.APPLIED,
        "page_viewed-0": Stage.DEAD,
        "later": Stage.AHEAD,
        "imported": Stage.HELD,
        "fresh": Stage.PENDING,
    }
    outcomes = {name: entry.outcome for name, entry in found.items() if entry.outcome}
    assert outcomes == {
        "B": {
            "outcome": "moved",
            "rule": "first",
            "from": "potential",
            "to": "deal",
            "guard": None,
            "read": {},
            "refusals": [],
        },
        "order_paid-0": {
            "outcome": "refused",
            "state": "deal",
            "refusals": [
                {"rule": "loyal", "guard": "orders >= 3", "read": {"orders": 2}, "error": None}
            ],
        },
    }
    assert found["page_viewed-0"].dead is not None
    assert found["page_viewed-0"].dead.reason == "too_late"


def test_a_check_that_came_to_nothing_is_an_entry_of_its_own(database_url: str) -> None:
    """Row 20: no step and no event tells of it, but it is why nothing happened."""
    with installation(database_url, WITH_WINDOW) as inst:
        arrive(inst, order(0), order(20))
        reach(inst, day(90))
        (check,) = [entry for entry in everything(inst) if isinstance(entry, CheckEntry)]
    assert (check.at, check.cause) == (day(80), "check:quiet@2026-01-21T00:00:00Z#1")
    assert check.outcome == {
        "outcome": "refused",
        "state": "deal",
        "refusals": [
            {
                "rule": "quiet",
                "guard": "orders_30d >= 2",
                "read": {"orders_30d": 0},
                "error": None,
            }
        ],
    }


def test_pages_of_any_size_join_to_the_whole_timeline_latest_first(inst: Installation) -> None:
    """Row 8: the revoked step and the cancelled message are in it, each at its own time."""
    arrive(inst, order(0))
    reach(inst, day(61))
    arrive(inst, order(40), page(40), page(60))
    whole = everything(inst)
    assert [_told(entry) for entry in whole] == [
        ("message win-back cancelled", 60),
        ("revoked quiet", 60),
        ("event page_viewed-60", 60),
        ("event page_viewed-40", 40),
        ("event order_paid-40", 40),
        ("step first", 0),
        ("event order_paid-0", 0),
    ]
    for size in (1, 2, 3, 100):
        assert everything(inst, size) == whole


def test_a_cursor_is_good_for_its_own_customer_and_only_unaltered(inst: Installation) -> None:
    arrive(inst, order(0), page(0), *of("bea", order(0)))
    cursor = timeline(inst, ANNA, 1, None).cursor
    assert cursor is not None
    for wrong in (*altered(cursor), cursor + "=", cursor[:-1], "", "é", "W10"):
        with pytest.raises(Problem) as refused:
            timeline(inst, ANNA, 1, wrong)
        assert (refused.value.code, refused.value.status) == ("cursor_invalid", 422)
    with pytest.raises(Problem, match="not one that was given for this query"):
        timeline(inst, "bea", 1, cursor)


def _told(entry: Entry) -> tuple[str, float]:
    match entry:
        case EventEntry(stored=stored):
            return f"event {stored.event.id}", number_of(stored.event.occurred_at)
        case CheckEntry(at=at, cause=cause):
            return f"check {cause}", number_of(at)
        case StepRow(step=step, revoked_at=revoked_at):
            return f"{'revoked' if revoked_at else 'step'} {step.rule}", number_of(step.at)
        case MessageRow(message=message, fate=fate):
            return f"message {message.rule} {fate.value}", number_of(message.planned_at)


# -- the log -----------------------------------------------------------------------------------


def told(entries: list[LogEntry]) -> list[str]:
    """`+first anna` for a step that was made, `-quiet anna` for one that was revoked."""
    return [
        f"{'-' if one.entry.revoked else '+'}{one.entry.row.step.rule} {one.entry.customer}"
        for one in entries
    ]


def backwards(inst: Installation, filters: LogFilters, limit: int) -> list[str]:
    lines, cursor = [], None
    while True:
        found, cursor = earlier(inst, cursor, limit, filters)
        lines += told(found)
        assert len(lines) <= 100, "going back never ends"
        if cursor is None:
            return lines


@pytest.mark.parametrize(
    "filters",
    [LogFilters(), LogFilters(customer=ANNA), LogFilters(rule="quiet"), LogFilters(state="loyal")],
    ids=["all", "customer", "rule", "state"],
)
def test_backwards_and_forwards_the_log_has_the_same_lines(
    inst: Installation, filters: LogFilters
) -> None:
    """In pages of any size, with the lines that tell of revocations."""
    arrive(inst, order(0), *of("bea", order(0), order(1), order(2)))
    reach(inst, day(61))
    arrive(inst, order(40))
    forwards = told(transitions(inst, None, 500, filters)[0])
    assert len(forwards) > 0
    for limit in (1, 2, 100):
        assert backwards(inst, filters, limit) == forwards[::-1]


def test_the_log_begins_with_what_became_known_last(inst: Installation) -> None:
    """Not with what happened last: the step of day 0 was only overturned on day 61."""
    arrive(inst, order(0))
    reach(inst, day(61))
    arrive(inst, order(40))
    found, _ = earlier(inst, None, 2, LogFilters())
    assert told(found) == ["-quiet anna", "+quiet anna"]
    assert found[0].overturned_by == "event:shop|order_paid-40"


def test_a_cursor_of_the_log_is_good_for_its_own_query_and_direction(inst: Installation) -> None:
    arrive(inst, order(0), *of("bea", order(0)))
    everybody = LogFilters()
    _, back = earlier(inst, None, 1, everybody)
    _, on = transitions(inst, None, 1, everybody)
    assert back is not None
    for wrong in (*altered(back), on):
        with pytest.raises(Problem) as refused:
            earlier(inst, wrong, 1, everybody)
        assert (refused.value.code, refused.value.pointer) == ("cursor_invalid", "cursor")
    for wrong in (*altered(on), back):
        with pytest.raises(Problem, match="not one that was given"):
            transitions(inst, wrong, 1, everybody)
    with pytest.raises(Problem, match="not one that was given"):
        earlier(inst, back, 1, LogFilters(rule="first"))


UNKNOWN = [
    (LogFilters(state="domant"), "unknown_state", "state", 'did you mean "dormant"?'),
    (LogFilters(rule="Quiet"), "unknown_rule", "rule", 'did you mean "quiet"?'),
    (
        LogFilters(rule="win-back"),
        "unknown_rule",
        "rule",
        "win-back plans messages, and moves nobody",
    ),
]


@pytest.mark.parametrize(("filters", "code", "pointer", "hint"), UNKNOWN)
def test_a_name_that_there_never_was_is_told_and_not_looked_for(
    inst: Installation, filters: LogFilters, code: str, pointer: str, hint: str | None
) -> None:
    """Nothing found would read as: nobody ever went there."""
    arrive(inst, order(0))
    looks: list[Callable[[], object]] = [
        lambda: transitions(inst, None, 10, filters),
        lambda: latest(inst, 10, filters),
        lambda: earlier(inst, None, 10, filters),
        lambda: log_end(inst, filters),
    ]
    for look in looks:
        with pytest.raises(Problem) as refused:
            look()
        problem = refused.value
        assert (problem.code, problem.pointer, problem.status) == (code, pointer, 422)
        assert problem.hint == hint
        assert "dormant" in (problem.expected or "") or "quiet" in (problem.expected or "")


@pytest.mark.parametrize(
    "filters",
    [
        LogFilters(state="loyal"),
        LogFilters(rule="moved"),  # the steps by an operator's move
        LogFilters(state="reactivated", rule="back", customer=ANNA),
    ],
)
def test_what_could_have_happened_and_did_not_is_an_empty_log(
    inst: Installation, filters: LogFilters
) -> None:
    arrive(inst, order(0))
    assert transitions(inst, None, 10, filters)[0] == []


def test_moves_by_hand_are_found_by_the_name_of_their_rule(inst: Installation) -> None:
    arrive(inst, order(0))
    move(inst, ANNA, "loyal", by="olga", why="a partner")
    assert told(latest(inst, 10, LogFilters(rule="moved"))[0]) == ["+moved anna"]


def test_names_of_every_version_of_the_policy_are_known(inst: Installation) -> None:
    """Whatever judges now: what an older version calls its states and rules stands in the log."""
    arrive(inst, order(0))
    renamed = POLICY.replace("loyal", "regular").replace("name: first", "name: begins")
    publish(inst, loads(renamed).policy, number=2, effective_at=day(30))
    for filters in (LogFilters(state="loyal"), LogFilters(state="regular")):
        assert told(latest(inst, 10, filters)[0]) == []
    assert told(latest(inst, 10, LogFilters(rule="first"))[0]) == ["+first anna"]
    assert told(latest(inst, 10, LogFilters(rule="begins"))[0]) == []


def test_a_name_that_only_recorded_steps_still_carry_is_known(inst: Installation) -> None:
    """Nothing leaves the log, so everything in it can be asked for."""
    arrive(inst, order(0))
    rows = made(inst)
    assert rows == [("first", 0)]
    with inst.db.write() as tx:
        customer_id = customers.find(tx, ANNA)
        (row,) = steps.live(tx, [customer_id])[customer_id]
        renamed = row.step._replace(rule="opening", from_state="lead", cause="event:old|1")
        steps.insert(tx, [row._replace(row_id=0, seq=2, step=renamed)])
    for filters in (LogFilters(rule="opening"), LogFilters(state="lead")):
        assert told(latest(inst, 10, filters)[0]) == ["+opening anna"]


# -- health ------------------------------------------------------------------------------------


def test_health_says_what_waits_what_is_due_and_by_which_versions(inst: Installation) -> None:
    arrive(inst, order(0), *of("bea", order(0)))
    accept(inst, [draft(page(0))._replace(too_late=True)])
    well = health(inst)
    assert (well.pending, well.oldest, well.due, well.dead) == (0, None, 0, 1)
    assert (well.policy_version, well.clock, well.overdue) == (1, day(0), False)
    assert re.fullmatch(r"[0-9a-z_]+", well.schema)
    set_clock(inst, day(60))
    post(inst, order(60)._replace(received_at=day(60)))
    set_clock(inst, day(60) + timedelta(seconds=61))
    waiting = health(inst)
    assert (waiting.pending, waiting.due) == (1, 2)
    assert waiting.oldest == timedelta(seconds=61)
    assert waiting.overdue


def test_how_long_an_event_has_waited_is_told_in_real_time(database_url: str) -> None:
    """On a clock with a day every second, an event of a quarter of a second ago is not overdue."""
    with installation(database_url, POLICY, clock="2026-01-01T00:00:00Z*86400") as inst:
        post(inst, order(0))
        set_clock(inst, day(0.25))
        assert health(inst).oldest == timedelta(seconds=0.25)
        assert not health(inst).overdue
        assert verify(inst) == []
        set_clock(inst, day(61))
        assert health(inst).overdue
        assert [violation.code for violation in verify(inst)] == ["pending_too_long"]

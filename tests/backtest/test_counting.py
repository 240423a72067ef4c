"""However a history is cut and read, and however many count it, the figures are the same."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from lifecycle.cli import effects
from lifecycle.cli.output import plain
from lifecycle.domain.event import Event
from lifecycle.domain.policy import PolicyVersion
from lifecycle.engine.backtest import histories
from lifecycle.engine.backtest.asking import (
    Candidate,
    Period,
    backtest,
    counting,
    effect,
    in_force,
    recorded,
)
from lifecycle.engine.backtest.course import Courses
from lifecycle.engine.backtest.histories import History, filed
from lifecycle.engine.backtest.report import Report
from lifecycle.engine.backtest.run import run
from lifecycle.engine.backtest.tally import Counting, Tally, count, most_within, week_of
from lifecycle.errors import NotReady, Problem, Unavailable
from lifecycle.intake.draft import Draft
from lifecycle.policy import loads
from tests.backtest.lives import WAYS, agreed, known, timeline
from tests.policies import scenario_policy
from tests.scenarios.driver import DAY_0, closed, day, happened, order, page
from tests.support.engine import arrive, draft, installation, of, post, reach

POLICY = scenario_policy(care=True).replace("settle: 10m", "holdout: 30%, settle: 10m")
SLOWER = POLICY.replace("after: 60d", "after: 90d")
PEOPLE = 40
ROOT = Path(__file__).resolve().parents[2]


def crowd() -> list[Event]:
    """Customers with orders at their own pace, from every few days to every few months."""
    found = []
    for number in range(PEOPLE):
        pace, last = 7 + 5 * number % 113, 300 - number
        told = [known(), agreed()] if number % 3 else [known()]
        told += [order(on) for on in range(number, last, pace)]
        if number % 7 == 0:
            told.append(closed(last + 20))
        found += of(f"c{number:02}", *told)
    return found


def drafts(events: Sequence[Event]) -> list[Draft]:
    return [draft(event) for event in events]


def candidate(text: str = POLICY) -> Candidate:
    loaded = loads(text)
    return Candidate.of(loaded.policy, loaded.hash, "policy.yaml")


def told(events: Sequence[Event], processes: int | None = None) -> Report:
    with filed(drafts(events)) as found:
        return backtest(candidate(), found, WAYS, Period(until=day(400)), processes=processes)


@pytest.fixture(scope="module")
def whole() -> Report:
    return told(crowd())


def test_the_rows_of_a_file_may_stand_in_any_order(whole: Report) -> None:
    events = crowd()
    random.Random(3).shuffle(events)
    assert told(events) == whole
    assert whole.customers == PEOPLE
    assert whole.letters.sent > PEOPLE
    assert {rule.rule for rule in whole.rules} == {"win-back", "care"}


def test_what_is_too_much_for_memory_gives_the_same_figures(
    whole: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are sorted into drawers on disk, which go when the backtest ends."""
    monkeypatch.setattr(histories, "IN_MEMORY", 50)
    with filed(drafts(crowd())) as found:
        assert not found.is_small
        drawers = [drawer for drawer in found.drawers if isinstance(drawer, Path)]
        assert len(drawers) == len(found.drawers) > 10
        assert found.customers == PEOPLE
        assert backtest(candidate(), found, WAYS, Period(until=day(400)), processes=1) == whole
        assert backtest(candidate(), found, WAYS, Period(until=day(400)), processes=2) == whole
    assert not any(drawer.exists() for drawer in drawers)


def test_what_an_installation_recorded_gives_the_figures_of_the_file(
    whole: Report, database_url: str
) -> None:
    """Whether it was folded already or not, and in one process or in two."""
    with installation(database_url, POLICY, f"{day(400):%Y-%m-%dT%H:%M:%SZ}") as inst:
        events = crowd()
        arrive(inst, *events[: len(events) // 2])
        reach(inst, day(401))
        post(inst, *events[len(events) // 2 :])  # which wait to be folded
        history = recorded(inst.db, database_url)
        for processes in (1, 2):
            period = Period(until=day(400))
            assert backtest(candidate(), history, WAYS, period, processes=processes) == whole


def test_rows_that_say_an_event_again_count_once(whole: Report) -> None:
    events = crowd()
    unlike = events[5]._replace(type="account_closed", properties={})
    with filed(drafts([*events, *events[:10], unlike])) as found:
        assert found.again == (10, 1)
        told = backtest(candidate(), found, WAYS, Period(until=day(400)))
        assert told == replace(whole, rows_left_out=1)  # as an import would refuse that one


@pytest.mark.parametrize("in_memory", [2, 1_000])
def test_an_id_that_two_customers_were_given_counts_for_the_first(
    monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    """As an import would refuse the second; however large the file is."""
    monkeypatch.setattr(histories, "IN_MEMORY", in_memory)
    first, *others = of("anna", order(0), order(5))
    stolen = first._replace(customer="berta")
    with filed(drafts([first, stolen, *others])) as found:
        assert (found.customers, found.again) == (1, (0, 1))
        assert found.is_small == (in_memory > 2)
        counted = backtest(candidate(), found, WAYS, Period())
    assert (counted.customers, counted.events) == (1, 2)


def test_a_process_that_is_killed_is_told_and_leaves_nobody_waiting() -> None:
    with filed(drafts(crowd())) as found, pytest.raises(Unavailable, match="--processes 1"):
        run(Dying(), found, processes=2)


@dataclass(frozen=True)
class Dying:
    """What takes too much memory is ended by the system."""

    def empty(self) -> Tally:
        return Tally()

    def begin(self) -> Callable[[Iterable[History]], Tally]:
        return _die


def _die(_: Iterable[History]) -> Tally:
    os.kill(os.getpid(), signal.SIGKILL)
    return Tally()


def test_processes_end_with_whoever_asked() -> None:
    """Killed, it can tell them nothing; they hold its output open as long as they live."""
    command = [sys.executable, "-m", "tests.backtest.endless"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as asking:
        assert asking.stdout is not None
        assert [asking.stdout.readline() for _ in range(2)] == [b"counting\n"] * 2
        asking.kill()
        rest, _ = asking.communicate(timeout=60)
    assert rest == b""


def test_parts_add_up_in_any_order() -> None:
    courses = Courses(timeline(POLICY), WAYS, day(400))
    told: dict[str, list[Event]] = {}
    for event in sorted(crowd(), key=lambda event: event.key):
        told.setdefault(event.customer, []).append(event)
    what = Counting(until=day(400))
    parts = []
    whole = Tally()
    for customer, history in told.items():
        part = Tally()
        count(part, courses.of(customer, history), what)
        count(whole, courses.of(customer, history), what)
        parts.append(part)
    random.Random(5).shuffle(parts)
    total = Tally()
    for part in parts:
        total.merge(part)
    assert total == whole


def test_an_effect_is_the_same_to_the_byte_however_it_is_counted() -> None:
    events = crowd()
    answers = []
    for processes in (1, 2):
        random.Random(processes).shuffle(events)
        with filed(drafts(events)) as found:
            answers.append(
                effect(
                    candidate(),
                    candidate(SLOWER),
                    found,
                    WAYS,
                    Period(until=day(400)),
                    processes=processes,
                )
            )
    assert plain(answers[0]) == plain(answers[1])
    assert {change.how.value for change in answers[0].steps} >= {"later", "never"}


def test_what_only_one_of_two_policies_can_fold_is_told_beside_it() -> None:
    """As where a property that was text becomes a sum: an installation would put such events aside."""
    broken = happened("order_paid", 50, "broken", amount="ten")
    sums = scenario_policy(care=True, facts=["spent: {sum: order_paid.amount}"])
    with filed(drafts([known(), agreed(), order(0), broken, order(90)])) as found:
        told = effect(candidate(), candidate(sums), found, WAYS, Period(until=day(100)))
    assert (told.unfolded_before, told.unfolded_after) == ({}, {"order_paid": 1})
    told_to = io.StringIO()
    Console(width=100, file=told_to).print(effects.shown(told))
    shown = " ".join(told_to.getvalue().split())
    assert "1 event of type order_paid cannot be folded by the policy after." in shown
    assert "by the policy before" not in shown


def test_a_policy_has_no_effect_against_itself() -> None:
    with filed(drafts(crowd())) as found:
        same = effect(candidate(), candidate(), found, WAYS, Period(until=day(400)))
    assert (same.moved, same.written, same.steps, same.letters, same.ends) == (0, 0, (), (), ())
    assert same.digest_before == same.digest_after
    assert same.same_steps > PEOPLE


def test_a_version_that_is_to_judge_only_later_has_no_part_in_it() -> None:
    first = candidate().versions[0]
    euro = loads(POLICY.replace("currency: CNY", "currency: EUR"))
    later = PolicyVersion(number=2, hash=euro.hash, effective_at=day(500), policy=euro.policy)
    with filed(drafts(crowd())) as found:
        told = backtest(in_force([first, later]), found, WAYS, Period(until=day(400)))
        alone = backtest(in_force([first]), found, WAYS, Period(until=day(400)))
    assert told == alone
    assert told.currency == "CNY"


# -- what is counted ---------------------------------------------------------------------------


def anna(*events: Event, until: float = 400, since: float | None = None) -> Report:
    period = Period(since=None if since is None else day(since), until=day(until))
    with filed(drafts(events)) as found:
        return backtest(candidate(), found, WAYS, period)


def test_states_are_those_at_the_end_of_each_week() -> None:
    """Day 0 is a Thursday; quiet on day 60, a Monday, lost on day 120."""
    found = anna(order(0), until=130)
    assert found.weeks[0] == DAY_0.date() - timedelta(days=3)
    weeks = {one.state: one.customers for one in found.states}
    quiet, lost = (week_of(day(on)) - week_of(day(0)) for on in (60, 120))
    assert weeks["deal"] == tuple(int(week < quiet) for week in range(len(found.weeks)))
    assert weeks["dormant"] == tuple(int(quiet <= week < lost) for week in range(len(found.weeks)))
    assert weeks["churned"][-1] == 1
    assert sum(weeks["potential"]) == 0


def test_stays_are_told_by_their_days_and_those_that_go_on() -> None:
    found = {one.state: one for one in anna(order(0), until=130).stays}
    assert (found["deal"].ended, found["deal"].median_days) == (1, 60)
    assert (found["dormant"].ended, found["dormant"].median_days) == (1, 60)
    assert (found["churned"].ended, found["churned"].going_on) == (0, 1)
    assert found["churned"].median_days is None


def test_who_comes_back_to_a_state_within_the_time_goes_to_and_fro() -> None:
    """Reactivated on day 100, quiet on 160, back on 170: within 30 days; then not within 30."""
    back = anna(order(0), order(100), order(170), order(300))
    assert [(one.state, one.went_to, one.times) for one in back.flip_flops] == [
        ("reactivated", "dormant", 1)
    ]
    assert back.flip_flopping == 1


def test_what_came_before_the_period_happens_and_is_not_counted() -> None:
    events = [known(), agreed(), order(0), order(100)]
    late = anna(*events, since=90, until=130)
    assert [(edge.rule, edge.steps) for edge in late.edges] == [("back", 1)]
    assert late.letters.planned == 1, "the care of day 130; that of day 30 was before"
    assert late.states[0].customers[0] == 0, "she is known from before"
    assert sum(state.customers[-1] for state in late.states) == 1


def test_the_most_within_a_window_does_not_count_its_end() -> None:
    at = [day(on) for on in (0, 3, 6.999, 7, 20)]
    assert most_within(at, timedelta(days=7)) == 3
    assert most_within([], timedelta(days=7)) == 0


def test_letters_are_counted_by_rule_channel_and_day() -> None:
    found = anna(known(), agreed(), order(0), page(20), until=100)
    care, win_back = ({one.rule: one for one in found.rules}[name] for name in ("care", "win-back"))
    assert care.sent_by_channel == {"email": 1}
    assert (win_back.planned, win_back.sent) in {(1, 1), (1, 0)}, "she may be held out"
    assert found.days[0].day == day(30).date()
    assert found.days[0].by_rule == {"care": {"email": 1}}
    assert found.letters.peak is not None
    assert found.letters.peak.sent == 1


# -- what cannot be tried ----------------------------------------------------------------------


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(Problem, match="after its end on 2026-01-02T00:00:00Z"):
        counting(Period(since=day(2), until=day(1)), day(9), timedelta(days=30))


def test_a_history_without_events_is_told() -> None:
    with filed([]) as nothing, pytest.raises(NotReady, match="no events"):
        backtest(candidate(), nothing, WAYS, Period())


def test_an_end_before_anything_has_happened_is_told() -> None:
    early = Period(until=day(-1))
    with filed(drafts([order(0)])) as found:
        with pytest.raises(NotReady, match="nothing had happened by 2025-12-31T00:00:00Z"):
            backtest(candidate(), found, WAYS, early)
        with pytest.raises(NotReady, match="nothing had happened"):
            effect(candidate(), candidate(SLOWER), found, WAYS, early)

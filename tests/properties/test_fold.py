"""The fold tells what the oracle tells, whatever the policy and the history."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lifecycle.domain.fold import fold
from lifecycle.domain.timeline import Timeline
from lifecycle.policy import from_canonical, to_canonical
from tests.oracle.oracle import by_cel, oracle
from tests.oracle.truth import Truth
from tests.properties.made import Case, cases
from tests.properties.told import as_told, told_by_fold


def truth(case: Case) -> Truth:
    return oracle(case.policies.versions, case.events, case.until, case.policies.judge)


@given(cases())
def test_the_fold_agrees_with_the_oracle(case: Case) -> None:
    """State, exact facts, steps, messages, outcomes and the next checks are those of the rules."""
    told, _ = told_by_fold(Timeline(case.policies.versions), case.events, case.until)
    assert told == as_told(truth(case))


@given(cases(versions=3))
def test_each_instant_is_judged_by_the_version_in_force(case: Case) -> None:
    """A later version never rewrites what was decided, and no check of it is due before it."""
    told, _ = told_by_fold(Timeline(case.policies.versions), case.events, case.until)
    expected = as_told(truth(case))
    # what stands armed is asked of the version in force, which knows nothing of the next
    assert replace(told, waiting=[]) == replace(expected, waiting=[])


@given(st.integers(1, 2).flatmap(cases))
def test_folding_in_pieces_is_folding_at_once(case: Case) -> None:
    """Wherever live processing stopped and stored its snapshot, nothing shows, not in one byte."""
    timeline = Timeline(case.policies.versions)
    at_once = told_by_fold(timeline, case.events, case.until)
    assert told_by_fold(timeline, case.events, case.until, case.stops) == at_once


@given(cases())
def test_a_fold_changes_nothing_of_the_snapshot_that_it_is_given(case: Case) -> None:
    """What is folded on from it, once or again, finds it as it was."""
    timeline = Timeline(case.policies.versions)
    ordered = sorted(case.events, key=lambda event: event.key)
    before = fold(timeline, None, ordered, min(case.stops, default=case.until))
    stored = before.snapshot.dump()
    after = fold(timeline, before.snapshot, before.waiting, case.until)
    assert before.snapshot.dump() == stored
    assert fold(timeline, before.snapshot, before.waiting, case.until) == after


@given(cases())
def test_guards_mean_in_cel_what_they_mean_in_python(case: Case) -> None:
    """The oracle gives one answer whether CEL or the plain function judges its guards."""
    by_python = truth(case)
    assert oracle(case.policies.versions, case.events, case.until, by_cel) == by_python


@given(cases())
def test_a_stored_policy_reads_back_equal(case: Case) -> None:
    policy = case.policies.versions[0].policy
    assert from_canonical(to_canonical(policy)) == policy

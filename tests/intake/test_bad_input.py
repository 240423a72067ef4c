"""Every bad input is refused with its own words, at its own place, and nothing of it gets in."""

from __future__ import annotations

import json

import pytest

from lifecycle.errors import Problem
from lifecycle.intake.native import Draft, read_batch
from tests.intake.bad_input import BAD, NOW, Bad, event, policy


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_bad_input_is_refused_with_its_code_at_its_place(bad: Bad) -> None:
    problem = _refusal(bad.body)
    assert (problem.status, problem.code, problem.pointer) == (bad.status, bad.code, bad.pointer)
    assert bad.says in f"{problem.detail} {problem.hint}"


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.status != 413], ids=str)
def test_what_is_repeated_of_bad_input_is_short_and_harmless(bad: Bad) -> None:
    """`got` is clipped and has no character in it that a terminal or a page would obey."""
    problem = _refusal(bad.body)
    assert len(problem.got or "") <= 80
    assert len(problem.detail) <= 200
    for text in (problem.got, problem.detail, problem.pointer, problem.hint):
        assert text is None or text.isprintable()


def test_one_bad_event_keeps_only_itself_out() -> None:
    """All or nothing is judged for each event; its neighbours get in, in their order."""
    bad = event(id="bad", properties={"amount": "12,50"})
    content = {"events": [event(id="first"), bad, event(id="last")]}
    first, refused, last = read_batch(json.dumps(content).encode(), policy(), NOW, "http").items
    assert isinstance(first, Draft)
    assert isinstance(last, Draft)
    assert (first.event.id, last.event.id) == ("first", "last")
    assert isinstance(refused, Problem)
    assert refused.pointer == "/events/1/properties/amount"


def _refusal(content: bytes) -> Problem:
    try:
        items = read_batch(content, policy(), NOW, "http").items
    except Problem as problem:
        return problem
    assert not any(isinstance(item, Draft) for item in items)
    (refused,) = items
    assert isinstance(refused, Problem)
    return refused

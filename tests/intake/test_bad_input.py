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


def told(*events: object) -> list[list[tuple[str, str]]]:
    """Code and pointer of everything that is wrong with each of these, the first reason first."""
    batch = read_batch(json.dumps({"events": events}).encode(), policy(), NOW, "http")
    return [
        [(one.code, one.pointer) for one in (item, *batch.also.get(index, ()))]
        for index, item in enumerate(batch.items)
        if isinstance(item, Problem)
    ]


def test_everything_that_is_wrong_with_an_event_is_told_at_once() -> None:
    """A sender should not have to post again to learn of the next mistake."""
    wrong = event(
        id=...,
        source="a b",
        customer_id="",
        occurred_at="2026-02-31T00:00:00Z",
        cusomer="c1",
        properties={"amount": "12,50", "currency": "EURO", "gift": "yes", "pieces": 1.5, "note": 1},
    )
    assert told(wrong) == [
        [
            ("unknown_field", "/events/0/cusomer"),
            ("event_id_required", "/events/0/id"),
            ("source_format", "/events/0/source"),
            ("customer_key_required", "/events/0/customer_id"),
            ("timestamp_invalid", "/events/0/occurred_at"),
            ("amount_format", "/events/0/properties/amount"),
            ("currency_unknown", "/events/0/properties/currency"),
            ("expected_boolean", "/events/0/properties/gift"),
            ("expected_integer", "/events/0/properties/pieces"),
        ]
    ]


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"type": "purchse", "occurred_at": "noon"}, ["unknown_event_type", "timestamp_invalid"]),
        ({"type": "signed_up", "properties": {"emial": "x"}}, ["unknown_field", "property_required"]),
        (
            {"type": "profile_changed", "properties": {"attributes": {"birthday": "x", "credit": "-1", "contry": 1}}},
            ["date_invalid", "amount_format", "unknown_field"],
        ),
        ({"properties": {"amount": "1.005", "currency": "CHF"}}, ["currency_unknown"]),
        ({"properties": {"amount": "1.5", "currency": "JPY"}}, ["too_many_decimals"]),
        ({"properties": {"amount": "1.555", "currency": "YPJ"}}, ["currency_unknown"]),  # of which?
        ({"properties": [1]}, ["expected_object"]),
        ({"userId": "c1", "customer_id": ..., "id": ""}, ["customer_key_required", "event_id_required"]),
        ({"userId": "c2", "id": "a b"}, ["customer_key_conflict", "event_id_format"]),
        ({"id": "\u0000", "occurred_at": "noon"}, ["forbidden_character"]),  # nothing more is read
        ({"id": "", "properties": {"weight": 0.5, "pieces": 3}}, ["event_id_required"]),
    ],
)  # fmt: skip
def test_what_follows_from_a_mistake_is_no_further_one(
    changes: dict[str, object], codes: list[str]
) -> None:
    (found,) = told(event(**changes))
    assert [code for code, _ in found] == codes


def test_what_else_is_wrong_is_told_within_bounds() -> None:
    """A body of nothing but mistakes must not cost much more than another, nor bury its reader."""
    many = event(id="", properties={f"x{n}": "" for n in range(100)}, type="signed_up")
    two = event(id="", customer_id="")
    assert [len(each) for each in told(*[many] * 30)] == [11] * 20 + [1] * 10
    assert [len(each) for each in told(*[two] * 120)] == [2] * 100 + [1] * 20


def _refusal(content: bytes) -> Problem:
    try:
        items = read_batch(content, policy(), NOW, "http").items
    except Problem as problem:
        return problem
    assert not any(isinstance(item, Draft) for item in items)
    (refused,) = items
    assert isinstance(refused, Problem)
    return refused

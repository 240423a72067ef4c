"""Messages of queues hold the events of HTTP in other envelopes: the same limits, the same errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lifecycle.errors import Problem
from lifecycle.intake.native import Batch, Draft
from lifecycle.intake.queued import read_entry, read_message
from tests.intake.bad_input import BAD, NOW, Bad, body, event, policy

AROUND = b'{"events": '
BAD_EVENTS = [
    bad for bad in BAD if bad.body.startswith(AROUND + b"[") and bad.pointer.startswith("/events/0")
]


def entry(*fields: tuple[str, bytes | str]) -> Batch:
    pairs = [
        (name.encode(), text if isinstance(text, bytes) else text.encode()) for name, text in fields
    ]
    return read_entry(pairs, policy(), NOW)


def message(content: bytes | Any, message_id: str | None = None) -> Batch:
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    return read_message(content, message_id, policy(), NOW)


def drafts(batch: Batch) -> list[Draft]:
    assert all(isinstance(item, Draft) for item in batch.items), batch.items
    return [item for item in batch.items if isinstance(item, Draft)]


def problem_of(batch: Batch) -> Problem:
    (problem,) = batch.items
    assert isinstance(problem, Problem)
    return problem


# -- what is taken -----------------------------------------------------------------------------


def test_an_entry_holds_one_event_or_an_array_of_them() -> None:
    one, two = event(id="1"), event(id="2")
    (alone,) = drafts(entry(("event", json.dumps(one))))
    first, second = drafts(entry(("events", json.dumps([one, two]))))
    assert (alone.event, alone.body_hash) == (first.event, first.body_hash)
    assert second.event.id == "2"


def test_a_message_holds_one_event_an_array_or_what_http_takes() -> None:
    one = event(id="1")
    bodies = [one, [one], {"events": [one]}]
    found = [drafts(message(content)) for content in bodies]
    assert [[draft.event.id for draft in batch] for batch in found] == [["1"]] * 3


def test_an_event_says_the_same_whichever_way_it_came() -> None:
    """So that one that is posted by HTTP and by a queue is a duplicate."""
    by_http = drafts(read_message(body(event()), None, policy(), NOW))
    by_entry = drafts(entry(("event", json.dumps(event()))))
    by_message = drafts(message(event()))
    assert len({batch[0].body_hash for batch in (by_http, by_entry, by_message)}) == 1


def test_a_source_that_is_left_out_is_the_way_in() -> None:
    nameless = event(source=...)
    (by_entry,) = drafts(entry(("event", json.dumps(nameless))))
    (by_message,) = drafts(message(nameless))
    assert (by_entry.event.source, by_message.event.source) == ("redis", "amqp")


def test_the_message_id_names_an_event_that_has_no_id() -> None:
    for nameless in (event(id=...), event(id=None)):
        (draft,) = drafts(message(nameless, "m-1"))
        assert draft.event.id == "m-1"
    (draft,) = drafts(message(event(id="e1"), "m-1"))
    assert draft.event.id == "e1"


def test_the_message_id_names_no_event_of_several() -> None:
    """Which of them would it name?"""
    first, second = message([event(id=...), event(id="2")], "m-1").items
    assert isinstance(first, Problem)
    assert (first.code, first.pointer) == ("event_id_required", "/0/id")
    assert isinstance(second, Draft)


def test_history_is_marked_beside_the_events() -> None:
    text = json.dumps(event())
    assert drafts(entry(("event", text), ("backfill", "true")))[0].backfill
    assert not drafts(entry(("backfill", "false"), ("event", text)))[0].backfill
    assert drafts(message({"events": [event()], "backfill": True}))[0].backfill


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("bad", BAD_EVENTS, ids=str)
def test_a_bad_event_in_an_entry_is_refused_as_over_http(bad: Bad) -> None:
    """The field is called as the member of the body is, so even the pointers are the same."""
    array = bad.body.removeprefix(AROUND).removesuffix(b"}")
    try:
        problem = problem_of(entry(("events", array)))
    except Problem as raised:
        problem = raised
    assert (problem.status, problem.code, problem.pointer) == (bad.status, bad.code, bad.pointer)
    assert bad.says in f"{problem.detail} {problem.hint}"


@pytest.mark.parametrize("bad", BAD_EVENTS, ids=str)
def test_a_bad_event_that_is_a_message_is_refused_as_over_http(bad: Bad) -> None:
    single = bad.body.removeprefix(AROUND + b"[").removesuffix(b"]}")
    try:
        problem = problem_of(message(single))
    except Problem as raised:
        problem = raised
    place = bad.pointer.removeprefix("/events/0")
    assert (problem.status, problem.code, problem.pointer) == (bad.status, bad.code, place)


def test_a_bad_event_of_an_array_keeps_only_itself_out() -> None:
    posted = [event(id="1"), event(id="2", type="purchse"), event(id="3")]
    first, refused, last = entry(("events", json.dumps(posted))).items
    assert isinstance(first, Draft)
    assert isinstance(last, Draft)
    assert isinstance(refused, Problem)
    assert refused.pointer == "/events/1/type"


ENTRIES: list[tuple[list[tuple[str, bytes | str]], str, str, str]] = [
    # fields, code, pointer, what the detail or the hint says
    ([], "events_required", "", "either"),
    ([("backfill", "true")], "events_required", "", "either"),
    ([("event", "{}"), ("events", "[]")], "events_required", "", "either"),
    ([("event", "{}"), ("event", "{}")], "duplicate_key", "/event", "twice"),
    ([("evnt", "{}")], "unknown_field", "/evnt", 'did you mean "event"?'),
    ([("event", "{}"), ("backfill", "yes")], "expected_boolean", "/backfill", "neither"),
    ([("event", "[{}]")], "event_not_object", "/event", "object"),
    ([("event", "")], "json_syntax", "/event", "line 1, column 1"),
    ([("event", "{'id': 1}")], "json_syntax", "/event", "double quotes"),
    ([("event", b"\xff")], "not_utf8", "/event", "byte 0"),
    ([("event", '{"id": "1", "id": "1"}')], "duplicate_key", "/event/id", '"id"'),
    ([("event", " " * 512_001)], "limit_exceeded", "/event", "500 KiB"),
    ([("events", "{}")], "events_required", "/events", "no events"),
    ([("events", "[]")], "events_required", "/events", "no events"),
    ([("events", "[" + "{}," * 2_500 + "{}]")], "limit_exceeded", "/events", "2500 events"),
]


@pytest.mark.parametrize(("fields", "code", "pointer", "says"), ENTRIES)
def test_an_entry_that_cannot_be_read_is_refused_as_a_whole(
    fields: list[tuple[str, bytes | str]], code: str, pointer: str, says: str
) -> None:
    with pytest.raises(Problem) as raised:
        entry(*fields)
    problem = raised.value
    assert (problem.code, problem.pointer) == (code, pointer)
    assert says in f"{problem.detail} {problem.hint}"


MESSAGES = [
    (b"", "event_not_object", "", "object"),
    (b" \n", "event_not_object", "", "object"),
    (b"17", "event_not_object", "", "object"),
    (b"[]", "events_required", "", "no events"),
    (b"{", "json_syntax", "1:2", "line 1, column 2"),
    (b'{"events": []}', "events_required", "/events", "no events"),
    (b'{"events": [{}], "more": 1}', "unknown_field", "/more", "more"),
    (b"[" + b"{}," * 2_500 + b"{}]", "limit_exceeded", "", "2500 events"),
]


@pytest.mark.parametrize(("content", "code", "pointer", "says"), MESSAGES)
def test_a_message_that_cannot_be_read_is_refused_as_a_whole(
    content: bytes, code: str, pointer: str, says: str
) -> None:
    with pytest.raises(Problem) as raised:
        message(content)
    problem = raised.value
    assert (problem.code, problem.pointer) == (code, pointer)
    assert says in f"{problem.detail} {problem.hint}"

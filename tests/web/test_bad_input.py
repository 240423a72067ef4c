"""Every bad input is refused over HTTP in the words of its row, and nothing is stored."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.store import reading
from tests.intake.bad_input import BAD, Bad, body, event, posted

JSON = {"Content-Type": "application/json"}

Empty = tuple[Engine, httpx.Client]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_bad_input_is_answered_with_a_problem_and_changes_nothing(empty: Empty, bad: Bad) -> None:
    engine, client = empty
    answer = client.post("/v1/events", content=bad.body, headers=JSON)
    problem = _problem(answer, bad.status, bad.code)
    assert problem.get("pointer", "") == bad.pointer
    assert bad.says in f"{problem['detail']} {problem.get('hint')}"
    _nothing_stored(engine)


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        ({}, posted(), 415, "content_type"),
        ({"Content-Type": "text/plain"}, posted(), 415, "content_type"),
        ({"Content-Type": "application/json; charset=gbk"}, posted(), 415, "content_type"),
        (JSON | {"Content-Encoding": "br"}, posted(), 415, "content_encoding"),
        (JSON | {"Content-Encoding": "gzip"}, posted(), 400, "content_encoding"),
        (JSON | {"Content-Encoding": "gzip"}, gzip.compress(posted())[:-4], 400, "content_encoding"),
        (JSON | {"Content-Encoding": "gzip"}, gzip.compress(posted()) + b"x", 400, "content_encoding"),
        (JSON | {"Content-Encoding": "gzip"}, gzip.compress(b"0" * 10**8), 413, "body_too_large"),
        (JSON, posted() + b"}", 400, "json_syntax"),
    ],
)  # fmt: skip
def test_a_body_of_another_kind_is_refused(
    empty: Empty, headers: dict[str, str], content: bytes, status: int, code: str
) -> None:
    """Rows 3, 4 and 30."""
    engine, client = empty
    _problem(client.post("/v1/events", content=content, headers=headers), status, code)
    _nothing_stored(engine)


def test_a_body_without_a_stated_length_is_cut_off_at_the_limit(empty: Empty) -> None:
    """Row 5: chunks that never end do not fill the memory."""
    engine, client = empty
    chunks = (b" " * 100_000 for _ in range(10_000))
    _problem(client.post("/v1/events", content=chunks, headers=JSON), 413, "limit_exceeded")
    assert next(chunks, None) is not None, "the rest was never asked for"
    _nothing_stored(engine)


def test_of_many_refusals_the_first_hundred_are_explained(empty: Empty) -> None:
    """All of them are told, so that the sender knows what became of each."""
    engine, client = empty
    content = body(*(event(id=str(number), type="purchse") for number in range(150)))
    problem = _problem(
        client.post("/v1/events", content=content, headers=JSON), 422, "unknown_event_type"
    )
    assert [line["pointer"] for line in problem["results"]] == [
        f"/events/{number}/type" for number in range(150)
    ]
    assert [("hint" in line) for line in problem["results"]] == [True] * 100 + [False] * 50
    _nothing_stored(engine)


def test_all_that_is_wrong_with_an_event_is_told_in_one_answer(empty: Empty) -> None:
    """The first thing in its line, what else there is under `also`."""
    engine, client = empty
    content = body(event(id=..., occurred_at="noon", properties={"gift": "yes"}), event(id=""))
    problem = _problem(
        client.post("/v1/events", content=content, headers=JSON), 422, "event_id_required"
    )
    first, second = problem["results"]
    assert (first["code"], first["pointer"]) == ("event_id_required", "/events/0/id")
    assert [(one["code"], one["pointer"]) for one in first["also"]] == [
        ("timestamp_invalid", "/events/0/occurred_at"),
        ("expected_boolean", "/events/0/properties/gift"),
    ]
    assert first["also"][1]["got"] == '"yes"'
    assert "also" not in second
    _nothing_stored(engine)


def test_a_batch_without_one_good_event_says_what_its_refusals_share(empty: Empty) -> None:
    engine, client = empty
    content = body(event(id=""), event(type="purchse"))
    problem = _problem(
        client.post("/v1/events", content=content, headers=JSON), 422, "events_refused"
    )
    assert problem["detail"].startswith("none of the 2 events was taken")
    assert [line["code"] for line in problem["results"]] == [
        "event_id_required",
        "unknown_event_type",
    ]
    _nothing_stored(engine)


def _problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = json.loads(answer.content)
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["title"] != code, "a code of the interface has a title"
    assert problem["detail"].endswith("; nothing was changed")
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


def _nothing_stored(engine: Engine) -> None:
    with engine.db.read() as tx:
        assert reading.count_events(tx) == 0

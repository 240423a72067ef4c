"""One id follows a request from the header to the event: the sender's if it is fit, else our own."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.web import request_ids
from tests.intake.bad_input import body, event, posted

OURS = r"[0-9a-f]{16}"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def id_of(*headers: tuple[str, str]) -> str:
    return request_ids.of([(name.encode(), value.encode()) for name, value in headers])


@pytest.mark.parametrize(
    "sent",
    ["5f3a9c1e", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "0f8fad5b-d9cb-469f-a165-70867728950e", "a" * 64],
)
def test_a_senders_own_id_is_kept_where_it_is_fit_for_a_log(sent: str) -> None:
    assert id_of(("x-request-id", sent), ("traceparent", f"00-{TRACE}-{SPAN}-01")) == sent


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "short",
        "a" * 65,
        "jane.doe@example.com",
        "jane doe",
        "-leading-dash",
        "línea-ñandú",
        "line\x85feed-0001",
        "import-12345",
    ],
)
def test_any_other_is_replaced_by_one_of_ours(sent: str) -> None:
    """A log must be safe to read; and what an import stored has ids that nobody else can claim."""
    assert re.fullmatch(OURS, id_of(("x-request-id", sent)))


def test_two_ids_are_none() -> None:
    assert re.fullmatch(OURS, id_of(("x-request-id", "a" * 20), ("x-request-id", "b" * 20)))


@pytest.mark.parametrize(
    "traceparent", [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", f"01-{TRACE}-{SPAN}-01-more"]
)
def test_a_trace_that_the_request_belongs_to_is_its_id(traceparent: str) -> None:
    """A version of the future may say more at the end."""
    assert id_of(("traceparent", traceparent)) == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        TRACE,
    ],
)
def test_a_trace_that_is_none_is_passed_over(traceparent: str) -> None:
    assert re.fullmatch(OURS, id_of(("traceparent", traceparent)))


def request_ids_of(client: httpx.Client, customer: str = "c1") -> dict[str, str | None]:
    """By event, as her timeline tells."""
    entries = client.get(f"/v1/customers/{customer}/timeline").json()["entries"]
    return {entry["id"]: entry["request_id"] for entry in entries if entry["kind"] == "event"}


def post(client: httpx.Client, content: bytes, **headers: str) -> httpx.Response:
    return client.post(
        "/v1/events", content=content, headers={"Content-Type": "application/json", **headers}
    )


def test_it_is_answered_and_kept_with_every_event_that_came_by_it(client: httpx.Client) -> None:
    answer = post(
        client, body(event(id="e1"), event(id="e2")), **{"X-Request-ID": "order-service-7"}
    )
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "order-service-7"
    ours = post(client, posted(id="e3")).json()["request_id"]
    assert re.fullmatch(OURS, ours)
    assert request_ids_of(client) == {"e1": "order-service-7", "e2": "order-service-7", "e3": ours}


def test_a_repeat_keeps_the_id_by_which_it_came_first(client: httpx.Client) -> None:
    post(client, posted(id="e1"), **{"X-Request-ID": "the-first-post"})
    again = post(client, posted(id="e1"), **{"X-Request-ID": "the-second-post"})
    assert again.json()["duplicate"] == 1
    assert request_ids_of(client) == {"e1": "the-first-post"}


def test_posts_that_share_a_commit_keep_an_id_each(engine: Engine, client: httpx.Client) -> None:
    """While somebody else writes, they queue up, and are stored together."""
    names = [f"request-{number}" for number in range(8)]
    with ThreadPoolExecutor(len(names)) as pool, engine.db.write():
        answers = [
            pool.submit(post, client, posted(id=name), **{"X-Request-ID": name}) for name in names
        ]
    assert {answer.result().headers["x-request-id"] for answer in answers} == {*names}
    assert request_ids_of(client) == {name: name for name in names}

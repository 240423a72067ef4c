"""What can be read: a customer, her timeline, the log; and what is refused in a question."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.domain.instant import instant_text
from tests.intake.bad_input import NOW, event
from tests.web.conftest import running, serving


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A history that no test of this module changes."""
    directory = tmp_path_factory.mktemp("told")
    url = f"sqlite:///{directory / 'test.db'}"
    with running(url, directory) as engine, serving(engine) as client:
        tell(engine, client)
        yield client


def tell(engine: Engine, client: httpx.Client) -> None:
    """Two customers: c1 bought, gave back and said where she lives; É/1 bought."""
    posts = [
        event(id="1", occurred_at=_at(1)),
        event(id="2", occurred_at=_at(2), type="order_refunded", properties={"amount": "12.50"}),
        event(id="3", occurred_at=_at(3), customer_id="\u00c9/1"),
        event(
            id="4",
            occurred_at=_at(4),
            type="profile_changed",
            properties={"attributes": {"country": "CN"}},
        ),
    ]
    then(engine, client, *posts)


def then(engine: Engine, client: httpx.Client, *posts: Any) -> None:
    assert client.post("/v1/events", json={"events": posts}).json()["accepted"] == len(posts)
    engine.apply_pending()


def _at(day: int) -> str:
    return instant_text(NOW - timedelta(10) + timedelta(day))


def get(client: httpx.Client, path: str, **parameters: Any) -> Any:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_customer_is_shown_as_she_is_now(told: httpx.Client) -> None:
    found = get(told, "/v1/customers/c1")
    assert (found["customer_id"], found["state"]) == ("c1", "potential")
    assert (found["entered_at"], found["first_event_at"]) == (_at(2), _at(1))
    assert found["attributes"] == {"country": "CN"}
    assert found["as_of"] == instant_text(NOW)
    assert found["next_check"] is None


@pytest.mark.parametrize("path", ["%C3%89%2F1", "E%CC%81%2F1", "E%CC%81/1"])
def test_an_identifier_is_found_in_every_unicode_form(told: httpx.Client, path: str) -> None:
    assert get(told, f"/v1/customers/{path}")["customer_id"] == "\u00c9/1"
    assert get(told, f"/v1/customers/{path}/timeline")["entries"]


def test_whoever_was_accepted_is_found_by_the_same_identifier(
    client: httpx.Client, engine: Engine
) -> None:
    """Also with spaces of other scripts, private characters, and what is newer than this program."""
    names = ["\u5f20\u3000\u4e09", "a\u00a0b", "\ue000x", "x\U0001ffff", "\uff23\uff11"]
    posts = [event(id=str(n), customer_id=name) for n, name in enumerate(names)]
    then(engine, client, *posts)
    for name in names:
        path = f"/v1/customers/{quote(name)}"
        assert get(client, path)["customer_id"] == name
        assert get(client, f"{path}/timeline")["entries"]
        assert get(client, "/v1/transitions", customer=name)["transitions"]


@pytest.mark.parametrize(
    "name", ["nobody", "17", "x" * 5000, "a%00b", "%FF", "%E2%80%AE", "' or 1=1"]
)
def test_a_customer_that_there_is_not_is_not_found(told: httpx.Client, name: str) -> None:
    """Row 33: absent, huge or impossible: the same answer."""
    for path in (f"/v1/customers/{name}", f"/v1/customers/{name}/timeline"):
        answer = told.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_timeline_is_read_page_by_page_the_latest_first(told: httpx.Client) -> None:
    whole = get(told, "/v1/customers/c1/timeline")
    kinds = [(entry["kind"], entry["at"]) for entry in whole["entries"]]
    assert kinds == [
        ("event", _at(4)),
        ("transition", _at(2)),
        ("event", _at(2)),
        ("transition", _at(1)),
        ("event", _at(1)),
    ]
    assert whole["cursor"] is None
    pages: list[Any] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = get(told, "/v1/customers/c1/timeline", limit=2, **cursor)
        pages += page["entries"]
        cursor = {"cursor": page["cursor"]}
    assert pages == whole["entries"]
    assert cursor == {"cursor": None}


def test_a_timeline_says_what_became_of_each_event(told: httpx.Client) -> None:
    """Row 24: a valid event that fits no rule is accepted, and told with what would have fitted."""
    entries = get(told, "/v1/customers/c1/timeline")["entries"]
    events = {entry["id"]: entry for entry in entries if entry["kind"] == "event"}
    assert {entry["stage"] for entry in events.values()} == {"applied"}
    assert events["1"]["outcome"]["outcome"] == "moved"
    assert events["4"]["outcome"]["outcome"] == "no_transition"
    assert events["4"]["outcome"]["state"] == "potential"
    assert events["4"]["outcome"]["leaves_on"] == ["purchase"]


def test_a_customer_is_counted(told: httpx.Client) -> None:
    found = get(told, "/v1/customers/c1")
    assert found["counts"] == {
        "events": 3,
        "pending": 0,
        "held": 0,
        "dead": 0,
        "steps": 2,
        "revoked": 0,
        "messages": {},
    }
    assert (found["label"], found["checks"]) == ("potential", [])


def test_the_log_is_read_back_from_its_latest_line(told: httpx.Client) -> None:
    first = get(told, "/v1/transitions", order="newest", limit=2)
    assert [line["customer_id"] for line in first["transitions"]] == ["\u00c9/1", "c1"]
    assert first["more"]
    second = get(told, "/v1/transitions", order="newest", limit=2, cursor=first["cursor"])
    assert [line["rule"] for line in second["transitions"]] == ["first"]
    assert (second["cursor"], second["more"]) == (None, False)
    forwards = told.get("/v1/transitions", params={"cursor": first["cursor"]})
    assert (forwards.status_code, forwards.json()["code"]) == (422, "cursor_invalid")


def test_the_log_is_followed_from_cursor_to_cursor(engine: Engine, client: httpx.Client) -> None:
    tell(engine, client)
    first = get(client, "/v1/transitions", limit=2)
    assert [line["rule"] for line in first["transitions"]] == ["first", "undo"]
    assert first["more"]
    second = get(client, "/v1/transitions", limit=2, cursor=first["cursor"])
    assert [line["customer_id"] for line in second["transitions"]] == ["É/1"]
    assert not second["more"]
    then(engine, client, event(id="5", customer_id="c5"))
    third = get(client, "/v1/transitions", limit=2, cursor=second["cursor"])
    (line,) = third["transitions"]
    assert (line["customer_id"], line["from"], line["to"]) == ("c5", "potential", "deal")
    assert (line["line"], line["cause"]) == ("made", "event:shop|5")


def test_the_log_tells_what_a_late_event_overturned(engine: Engine, client: httpx.Client) -> None:
    """An earlier purchase becomes the first one: its step replaces the one that had been made."""
    tell(engine, client)
    before = get(client, "/v1/transitions")["cursor"]
    then(engine, client, event(id="0", occurred_at=_at(0)))
    lines = get(client, "/v1/transitions", cursor=before)["transitions"]
    assert [(line["line"], line["cause"]) for line in lines] == [
        ("revoked", "event:shop|1"),
        ("made", "event:shop|0"),
    ]
    assert lines[0]["overturned_by"] == "event:shop|0"
    assert lines[0]["revoked_at"] == instant_text(NOW)


@pytest.mark.parametrize(
    ("parameters", "rules"),
    [
        ({"customer": "c1"}, ["first", "undo"]),
        ({"rule": "undo"}, ["undo"]),
        ({"state": "deal"}, ["first", "undo", "first"]),
        ({"state": "deal", "customer": "c1", "rule": "first"}, ["first"]),
        ({"rule": "undo", "customer": "É/1"}, []),
    ],
)
def test_the_log_is_filtered(
    told: httpx.Client, parameters: dict[str, str], rules: list[str]
) -> None:
    found = get(told, "/v1/transitions", **parameters)
    assert [line["rule"] for line in found["transitions"]] == rules


@pytest.mark.parametrize("limit", [-1, 0, 501, 1e9, "ten", ""])
@pytest.mark.parametrize("path", ["/v1/transitions", "/v1/customers/c1/timeline"])
def test_a_page_has_1_to_500_entries(told: httpx.Client, path: str, limit: object) -> None:
    """Row 31."""
    answer = told.get(path, params={"limit": str(limit)})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["pointer"]) == (
        422,
        "limit_range",
        "limit",
    )
    assert problem["expected"] == "limit 1..500"


@pytest.mark.parametrize("cursor", ["", "x", "0.1", "0.1.00000000", "é", "W10", "x" * 2000, "\0"])
@pytest.mark.parametrize(
    "path", ["/v1/transitions", "/v1/transitions/stream", "/v1/customers/c1/timeline"]
)
def test_a_cursor_that_was_never_given_is_refused(
    told: httpx.Client, path: str, cursor: str
) -> None:
    """Row 31."""
    answer = told.get(path, params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid")
    assert answer.json()["pointer"] == "cursor"


def test_a_cursor_of_another_question_is_refused(told: httpx.Client) -> None:
    """Row 31: it would skip or repeat without a word."""
    of_all = get(told, "/v1/transitions", limit=1)["cursor"]
    of_c1 = get(told, "/v1/customers/c1/timeline", limit=1)["cursor"]
    for path, parameters in (
        ("/v1/transitions", {"cursor": of_all, "rule": "first"}),
        ("/v1/transitions", {"cursor": of_c1}),
        ("/v1/customers/É%2F1/timeline", {"cursor": of_c1}),
    ):
        answer = told.get(path, params=parameters)
        assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid"), path


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/transitions", "sort"),
        ("/v1/transitions", "guard"),
        ("/v1/transitions", "customer_id; drop table step"),
        ("/v1/transitions/stream", "limit"),
        ("/v1/customers/c1", "fields"),
        ("/v1/customers/c1/timeline", "rule"),
        ("/healthz", "x"),
        ("/readyz", "x"),
    ],
)
def test_a_parameter_that_would_be_ignored_is_refused(
    told: httpx.Client, path: str, name: str
) -> None:
    """Row 32: with the list of those that there are."""
    answer = told.get(path, params={name: "1"})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "field_not_filterable")
    assert problem["pointer"] == name
    assert problem["expected"].startswith("any of ") or problem["expected"] == "none"


def test_the_filter_of_nobody_is_not_found(told: httpx.Client) -> None:
    answer = told.get("/v1/transitions", params={"customer": "nobody"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("parameter", "value", "got", "hint"),
    [
        ("state", "deel", '"deel"', 'did you mean "deal"?'),
        ("state", "' OR 1=1 --", '"\' OR 1=1 --"', None),
        ("rule", "fist", '"fist"', 'did you mean "first"?'),
        ("rule", "' OR 1=1 --", '"\' OR 1=1 --"', None),
    ],
)
def test_the_name_of_no_state_or_rule_is_refused_with_those_that_there_are(
    told: httpx.Client, parameter: str, value: str, got: str, hint: str | None
) -> None:
    """Row 32: text in a filter is compared, never run; and a slip does not look like an empty log."""
    answer = told.get("/v1/transitions", params={parameter: value})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, f"unknown_{parameter}")
    assert problem["pointer"] == parameter
    assert problem["got"] == got
    assert problem.get("hint") == hint
    assert {"state": "deal", "rule": "first"}[parameter] in problem["expected"]
    for path, more in (("/v1/transitions", {"order": "newest"}), ("/v1/transitions/stream", {})):
        answer = told.get(path, params={parameter: value, **more})
        assert (answer.status_code, answer.json()["code"]) == (422, f"unknown_{parameter}")


@pytest.mark.parametrize("value", ["\0", "\u202e", "x" * 201])
def test_a_filter_that_can_name_nothing_is_refused(told: httpx.Client, value: str) -> None:
    answer = told.get("/v1/transitions", params={"state": value})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")


def test_a_question_that_is_refused_does_not_say_that_nothing_was_changed(
    told: httpx.Client,
) -> None:
    """Nothing could have been."""
    for path in ("/v1/customers/nobody", "/nowhere", "/v1/transitions?limit=0"):
        answer = told.get(path)
        assert answer.is_client_error
        assert "nothing was changed" not in answer.json()["detail"]


def test_the_reference_shows_code_as_code(told: httpx.Client) -> None:
    """Descriptions mark it with backticks, as Markdown does."""
    page = told.get("/docs").text
    assert "`" not in page
    assert "<code>occurred_at</code>" in page

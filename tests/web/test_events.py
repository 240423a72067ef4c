"""What becomes of posted events: stored once, told apart, and each answered for."""

from __future__ import annotations

import gzip
import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.domain.instant import instant_text
from lifecycle.store import reading
from tests.intake.bad_input import NOW, POLICY, body, event, posted
from tests.web.conftest import running, serving

JSON = {"Content-Type": "application/json; charset=UTF-8"}


def post(client: httpx.Client, content: bytes, **headers: str) -> Any:
    answer = client.post("/v1/events", content=content, headers=JSON | headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def count(engine: Engine) -> int:
    with engine.db.read() as tx:
        return reading.count_events(tx)


def test_an_event_is_stored_before_it_is_answered_for(engine: Engine, client: httpx.Client) -> None:
    answer = post(client, posted())
    assert answer["results"] == [{"status": "accepted", "source": "shop", "id": "e1"}]
    assert (answer["accepted"], answer["refused"], count(engine)) == (1, 0, 1)


def test_a_repeat_is_told_and_changes_nothing(engine: Engine, client: httpx.Client) -> None:
    post(client, posted())
    again = post(client, posted(occurred_at="2026-01-01T01:00:00Z"))
    assert again["results"] == [
        {"status": "duplicate", "source": "shop", "id": "e1", "first_seen": instant_text(NOW)}
    ]
    assert (again["accepted"], again["duplicate"], count(engine)) == (0, 1, 1)


def test_an_id_used_for_something_else_is_a_conflict(engine: Engine, client: httpx.Client) -> None:
    """Row 11: when it was first seen, and what differs; nothing is changed."""
    post(client, posted())
    other = posted(customer_id="c2", properties={"amount": "13", "currency": "CNY"})
    answer = client.post("/v1/events", content=other, headers=JSON)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "event_id_conflict")
    assert problem["pointer"] == "/events/0/id"
    assert problem["detail"].endswith(f"at {instant_text(NOW)}; nothing was changed")
    (line,) = problem["results"]
    assert line["first_seen"] == instant_text(NOW)
    assert line["differing"] == ["customer_id", "properties.amount"]
    assert count(engine) == 1
    assert post(client, posted())["duplicate"] == 1, "the first one is as it was"


def test_each_event_of_a_batch_is_judged_by_itself(engine: Engine, client: httpx.Client) -> None:
    post(client, posted())
    answer = post(
        client,
        body(
            event(),
            event(properties={}),
            event(id="new", properties={"amuont": "1"}),
            event(id="bad", type="purchse"),
        ),
    )
    assert [line["status"] for line in answer["results"]] == [
        "duplicate",
        "conflict",
        "accepted",
        "refused",
    ]
    assert answer["results"][2]["warnings"][0]["pointer"] == "/events/2/properties/amuont"
    assert answer["results"][3]["pointer"] == "/events/3/type"
    assert count(engine) == 2


def test_only_where_all_are_conflicts_the_answer_is_409(
    engine: Engine, client: httpx.Client
) -> None:
    post(client, posted())
    conflict = event(properties={})
    all_conflicts = client.post("/v1/events", content=body(conflict, conflict), headers=JSON)
    with_another = client.post("/v1/events", content=body(conflict, {}), headers=JSON)
    assert (all_conflicts.status_code, with_another.status_code) == (409, 422)
    assert count(engine) == 1


def test_twice_in_one_body_is_a_repeat_too(engine: Engine, client: httpx.Client) -> None:
    answer = post(client, body(event(), event(), event(properties={})))
    assert [line["status"] for line in answer["results"]] == ["accepted", "duplicate", "conflict"]
    assert count(engine) == 1


def test_a_compressed_body_is_understood(engine: Engine, client: httpx.Client) -> None:
    content = gzip.compress(posted())
    assert post(client, content, **{"Content-Encoding": "gzip"})["accepted"] == 1
    assert count(engine) == 1


def test_what_comes_too_late_is_put_aside_and_told(tmp_path: Path) -> None:
    """Row 20: stored and visible, not applied; history that is marked as such is exempt."""
    long_ago = instant_text(NOW - timedelta(31))
    with (
        running(f"sqlite:///{tmp_path}/test.db", tmp_path, f"{POLICY}lateness: 30d\n") as engine,
        serving(engine) as client,
    ):
        late = post(client, body(event(id="late", occurred_at=long_ago)))
        again = post(client, body(event(id="late", occurred_at=long_ago)))
        history = post(client, body(event(id="old", occurred_at=long_ago), backfill=True))
        engine.apply_pending()
        state = client.get("/healthz").json()
    assert [late["results"][0][key] for key in ("status", "code")] == ["quarantined", "too_late"]
    assert again["results"][0]["status"] == "duplicate"
    (warning,) = again["results"][0]["warnings"]  # or a sender would take it for done
    assert (warning["code"], warning["pointer"]) == ("quarantined", "/events/0")
    assert warning["detail"].startswith(
        "what was stored then is quarantined: it counts for nothing"
    )
    assert history["results"][0]["status"] == "accepted"
    assert (state["status"], state["pending"], state["dead"]) == ("ok", 0, 1)


def test_an_event_that_moves_nobody_is_taken_and_shown(
    engine: Engine, client: httpx.Client
) -> None:
    """Row 24: a refund before any purchase; whether a rule expects it is judged when it is applied."""
    post(client, posted(type="order_refunded", properties={"amount": "5"}))
    engine.apply_pending()
    assert client.get("/v1/customers/c1").json()["state"] == "potential"
    (entry,) = client.get("/v1/customers/c1/timeline").json()["entries"]
    assert entry["outcome"] == {
        "outcome": "no_transition",
        "state": "potential",
        "leaves_on": ["purchase"],
    }


def test_many_posts_at_once_are_all_answered_for(engine: Engine, client: httpx.Client) -> None:
    """Whatever shares a commit with whatever, each is stored once and gets its own results."""
    answers: list[Any] = []

    def sender(name: str) -> None:
        with httpx.Client(base_url=client.base_url, timeout=60) as mine:
            for number in range(10):
                mine_or_shared = [event(id=f"{name}-{number}"), event(id=f"shared-{number}")]
                answers.append(post(mine, body(*mine_or_shared)))

    senders = [threading.Thread(target=sender, args=(name,)) for name in "abcd"]
    for each in senders:
        each.start()
    for each in senders:
        each.join()
    assert count(engine) == 4 * 10 + 10
    assert sum(answer["accepted"] for answer in answers) == 4 * 10 + 10
    assert sum(answer["duplicate"] for answer in answers) == 3 * 10


@pytest.mark.parametrize("content", [posted(), body(event(), event(id=""))])
def test_when_storing_fails_nothing_is_promised(
    engine: Engine, client: httpx.Client, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """A failure of our own tells nothing of the inside, and asks for the same post again."""
    monkeypatch.setattr(engine.installation, "timeline", None)
    monkeypatch.setattr(engine, "policy", engine.installation.policy)
    answer = client.post("/v1/events", content=content, headers=JSON)
    problem = json.loads(answer.content)
    assert (answer.status_code, problem["code"]) == (500, "internal_error")
    assert "nothing was changed" not in problem["detail"]
    assert "again" in problem["hint"]
    assert "NoneType" not in answer.text

"""What Prometheus collects: counts that are true, a backlog that is that of the database, no customer."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lifecycle.bootstrap import Engine
from lifecycle.engine.readiness import Broker
from lifecycle.engine.sending import pausing, surge
from lifecycle.errors import Unavailable
from lifecycle.metrics import Metrics
from lifecycle.store.sql import both
from tests.conftest import ROOT
from tests.intake.bad_input import NOW, POLICY, event
from tests.support.metrics import Series, labels_of, of, read
from tests.web.conftest import running, serving
from tests.web.test_ready import move

SECRET = "mei-4711"  # in every place where a customer or an event could have it
OURS = {
    *("way", "key", "limit", "outcome", "rule", "from", "to", "work", "le", "status", "route"),
    *("channel", "scope"),
}
OUTREACH = """outreach:
  - {name: offer, on: {event: purchase}, channels: [email]}
  - {name: receipt, on: {event: purchase}, channels: [email], class: service}
"""

_WAKE = both("UPDATE customer SET wake_at = ?")
_LOSE = both("UPDATE message SET fate = 'unknown' WHERE rule = 'receipt'")
_FAIL = both(
    "INSERT INTO schedule_run (job, fire_key, worker, tries, started_at, lease_until, failed)"
    " VALUES ('retention', '9999-01-01', 'one', 1, ?, ?, true)"
)


@pytest.fixture
def engine(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    with running(database_url, tmp_path, observer=Metrics()) as engine:
        yield engine


def collected(client: httpx.Client) -> Series:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert SECRET not in answer.text
    return read(answer.text)


def post(client: httpx.Client, *events: object) -> None:
    client.post("/v1/events", json={"events": list(events)})


def mei(number: int, **more: object) -> object:
    return event(id=f"{SECRET}-{number}", customer_id=SECRET, **more)


def received(series: Series, outcome: str) -> float | None:
    return of(series, "events_received_total", {"way": "http", "outcome": outcome})


def test_what_became_of_posted_events_is_counted(client: httpx.Client) -> None:
    """Several in one post as well as posts of which nothing is taken."""
    post(client, mei(1), mei(2), mei(1), mei(3, type=SECRET))
    post(client, mei(2, properties={"amount": "7", "currency": "CNY"}))
    post(client, mei(4, type="no such"))
    series = collected(client)
    counts = {
        outcome: received(series, outcome)
        for outcome in ("accepted", "duplicate", "conflict", "refused", "quarantined")
    }
    assert counts == {
        "accepted": 2,
        "duplicate": 1,
        "conflict": 1,
        "refused": 2,
        "quarantined": 0,
    }


def test_applied_events_and_transitions_by_edge_are_counted(
    engine: Engine, client: httpx.Client
) -> None:
    """Once they are committed; a round that finds nothing is no batch."""
    post(client, mei(1), mei(2), event(id="other", customer_id="other"))
    before = collected(client)
    edge = {"rule": "first", "from": "potential", "to": "deal"}
    assert of(before, "transitions_total", edge) is None
    assert of(before, "events_applied_total") == 0

    engine.apply_pending()
    series = collected(client)
    assert of(series, "events_applied_total") == 3
    assert of(series, "transitions_total", edge) == 2
    assert of(series, "batch_duration_seconds_count", {"work": "apply"}) == 1
    engine.fire_due()
    assert of(collected(client), "batch_duration_seconds_count", {"work": "due"}) is None


def test_the_backlog_is_read_when_it_is_asked_for(engine: Engine, client: httpx.Client) -> None:
    """It is that of the database, whichever process left it there."""
    post(client, mei(1), mei(2))
    move(engine, NOW + timedelta(seconds=75))
    waiting = collected(client)
    assert of(waiting, "pending_events") == 2
    assert of(waiting, "oldest_pending_seconds") == 75
    assert of(waiting, "due_customers") == 0

    engine.apply_pending()
    late = NOW + timedelta(seconds=45)
    engine.db.run(lambda tx: tx.run(_WAKE, tx.to_db(late)))
    applied = collected(client)
    assert of(applied, "pending_events") == 0
    assert of(applied, "oldest_pending_seconds") == 0
    assert of(applied, "due_customers") == 1
    assert of(applied, "due_lag_seconds") == 30
    assert of(applied, "held_events") == 0
    for status in ("quarantined", "discarded"):
        assert of(applied, "dead_events", {"status": status}) == 0


def test_dead_events_are_told_by_status(database_url: str, tmp_path: Path) -> None:
    with (
        running(database_url, tmp_path, f"{POLICY}lateness: 30d\n", Metrics()) as engine,
        serving(engine) as client,
    ):
        post(client, mei(1, occurred_at="2020-01-01T00:00:00Z"))
        series = collected(client)
    assert received(series, "quarantined") == 1
    assert of(series, "dead_events", {"status": "quarantined"}) == 1
    assert of(series, "dead_events", {"status": "discarded"}) == 0


def test_how_the_work_of_the_night_fares_is_told_for_each_job(
    engine: Engine, client: httpx.Client
) -> None:
    """Nothing, before a night has begun; its failures are those of the latest night."""
    job = {"work": "retention"}
    assert of(collected(client), "night_failed", job) is None
    engine.work_of_the_night()
    done = collected(client)
    assert of(done, "night_failed", job) == 0
    at = of(done, "night_last_success_timestamp_seconds", job)
    assert at is not None
    assert abs(at - time.time()) < 60

    move(engine, NOW + timedelta(days=1))
    engine.db.run(lambda tx: tx.run(_FAIL, *[tx.to_db(NOW)] * 2))
    failed = collected(client)
    assert of(failed, "night_failed", job) == 1
    assert of(failed, "night_last_success_timestamp_seconds", job) == at


def test_messages_that_wait_though_they_are_due_are_told_unless_they_are_paused(
    database_url: str, tmp_path: Path
) -> None:
    """Nobody sends here. What is paused is named, and whether a person did it."""
    with (
        running(database_url, tmp_path, f"{POLICY}{OUTREACH}", Metrics()) as engine,
        serving(engine) as client,
    ):
        post(client, mei(1))
        assert of(collected(client), "due_messages") == 0
        engine.apply_pending()
        move(engine, NOW + timedelta(seconds=75))
        waiting = collected(client)
        pausing.pause(engine.installation, "rule:offer", by="olga", why="")
        one = collected(client)
        engine.db.run(lambda tx: tx.run(_LOSE))
        lost = collected(client)
        pausing.pause(engine.installation, "all", by=surge.BY, why="")
        none = collected(client)
    assert (of(waiting, "due_messages"), of(waiting, "message_lag_seconds")) == (2, 75)
    assert of(waiting, "sending_paused", {"scope": "rule:offer"}) is None
    assert (of(one, "due_messages"), of(one, "message_lag_seconds")) == (1, 75)
    assert of(one, "sending_paused", {"scope": "rule:offer"}) == 1
    assert of(one, "sending_paused_by_itself", {"scope": "rule:offer"}) == 0
    assert (of(one, "unknown_messages"), of(lost, "unknown_messages")) == (0, 1)
    assert of(lost, "due_messages") == 0
    assert of(none, "sending_paused_by_itself", {"scope": "all"}) == 1


def test_answers_are_timed_by_route_and_never_by_path(client: httpx.Client) -> None:
    """Identifiers of customers stand in paths; and whoever asks for nonsense must not make labels."""
    for path in (f"/v1/customers/{SECRET}", f"/v1/customers/{SECRET}/timeline", f"/{SECRET}"):
        assert client.get(path).status_code == 404
    client.head("/healthz")
    client.request(SECRET, "/healthz")
    series = collected(client)
    counted = {
        (dict(labels)["route"], dict(labels)["status"]): value
        for (name, labels), value in series.items()
        if name == "lifecycle_request_duration_seconds_count"
    }
    assert counted[("/v1/customers/{customer_id:path}", "404")] == 1
    assert counted[("/v1/customers/{customer_id:path}/timeline", "404")] == 1
    assert counted[("no route", "404")] == 1
    assert counted[("/healthz", "200")] == 1


def test_no_label_holds_anything_of_a_customer(engine: Engine, client: httpx.Client) -> None:
    """Nor of an event: every label is a name of the policy or of this program."""
    post(client, mei(1, source=SECRET), mei(2, type=SECRET), mei(3, properties={SECRET: SECRET}))
    client.post(f"/v1/events?{SECRET}", content=SECRET)
    client.get("/v1/transitions", params={"customer": SECRET, "rule": SECRET})
    engine.apply_pending()
    labels = labels_of(collected(client))  # looks for it in the whole page
    assert {name for name, _ in labels} <= OURS


def test_a_database_that_is_away_leaves_the_counts(
    engine: Engine, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says so: a gauge that stood still would look as if all were well."""
    post(client, mei(1))
    assert of(collected(client), "database_up") == 1

    def away() -> NoReturn:
        raise Unavailable(f"no answer about {SECRET}")

    monkeypatch.setattr(engine.db, "read", away)
    series = collected(client)
    assert of(series, "database_up") == 0
    assert of(series, "pending_events") is None
    assert received(series, "accepted") == 1


@pytest.mark.parametrize(
    ("broker", "away"),
    [(Broker.AWAY, 1), (Broker.ANSWERS, 0), (Broker.UNUSED, None), (Broker.UNHEARD, None)],
)
def test_a_broker_that_is_away_is_a_gauge_where_there_is_one(
    engine: Engine,
    client: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    broker: Broker,
    away: float | None,
) -> None:
    monkeypatch.setattr(engine, "broker", lambda: broker)
    assert of(collected(client), "broker_away") == away


def test_two_installations_in_one_process_count_apart(
    client: httpx.Client, tmp_path: Path, engine: Engine
) -> None:
    (other := tmp_path / "other").mkdir()
    with running(f"sqlite:///{other}/x.db", other, observer=Metrics()) as second:
        post(client, mei(1))
        page = second.observer.page(second.installation, Broker.UNUSED)
    assert page is not None
    assert received(read(page.content.decode()), "accepted") is None


def test_who_keeps_nothing_says_so(tmp_path: Path) -> None:
    with running(f"sqlite:///{tmp_path}/x.db", tmp_path) as engine, serving(engine) as client:
        assert client.get("/metrics").status_code == 404


def test_every_series_is_documented_and_every_documented_one_is_there(
    engine: Engine, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dashboards and alerts are made from that table."""
    monkeypatch.setattr(engine, "broker", lambda: Broker.ANSWERS)
    post(client, mei(1))
    engine.apply_pending()
    engine.work_of_the_night()
    engine.observer.pushed_back("shop", "waiting")
    engine.observer.letter("email", "accepted", 0.1)
    engine.observer.sends(lambda: {"email": False})
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(lifecycle_\w+)` \| (.*?) \|", text, re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    page = client.get("/metrics").text
    served = {
        sample.name.removesuffix("_count"): set(sample.labels)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_sum")) and sample.name.startswith("lifecycle_")
    }
    assert served == documented
    help_of = dict(re.findall(r"^# HELP (lifecycle_\w+) (.*)$", page, re.MULTILINE))
    assert len(set(help_of.values())) == len(help_of)

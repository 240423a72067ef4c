"""Row 7: who balances the load learns which process to spare, and why; with the number, and no customer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import httpx
import psycopg
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.clock import Origin
from lifecycle.engine.readiness import Broker
from lifecycle.errors import Unavailable
from lifecycle.store import clock
from lifecycle.store.sql import Tx, both
from tests.intake.bad_input import NOW, event
from tests.web.conftest import running, serving

CHECKS = {"database", "schema", "oldest_pending", "due_lag", "broker"}
SECRET = "mei@customers.example"

_REVISION = both("UPDATE alembic_version SET version_num = ?")
_WAKE = both("UPDATE customer SET wake_at = ?")


@pytest.fixture
def engine(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    """On both databases: what it asks is each one's own."""
    with running(database_url, tmp_path) as engine:
        yield engine


def ask(client: httpx.Client) -> tuple[int, Any]:
    answer = client.get("/readyz")
    told = answer.json()
    assert set(told["checks"]) == CHECKS
    assert SECRET not in answer.text
    return answer.status_code, told


def post(client: httpx.Client) -> None:
    body = {"events": [event(customer_id=SECRET)]}
    assert client.post("/v1/events", json=body).json()["accepted"] == 1


def move(engine: Engine, now: datetime) -> None:
    """The clock, which stands still, to an instant; nothing happens by that alone."""

    def unit(tx: Tx) -> None:
        found = clock.read(tx)
        assert found is not None
        clock.write(tx, Origin(spec=found.spec, real_origin=now, virtual_origin=now, seen=now))

    engine.db.run(unit)


def test_all_is_well(client: httpx.Client) -> None:
    status, told = ask(client)
    assert (status, told["status"]) == (200, "ok")
    assert {check["status"] for check in told["checks"].values()} == {"ok"}


def test_an_event_that_waits_for_more_than_a_minute_fails_it(
    engine: Engine, client: httpx.Client
) -> None:
    """A minute is still well; what is over it is red, and applying it is the cure."""
    post(client)
    move(engine, NOW + timedelta(seconds=60))
    status, told = ask(client)
    assert (status, told["checks"]["oldest_pending"]["seconds"]) == (200, 60.0)

    move(engine, NOW + timedelta(seconds=60.5))
    status, told = ask(client)
    assert (status, told["code"], told["pointer"]) == (503, "unready", "/checks/oldest_pending")
    assert told["checks"]["oldest_pending"]["status"] == "failed"
    assert told["checks"]["oldest_pending"]["seconds"] == 60.5
    assert "60.5 s" in told["detail"]

    engine.apply_pending()
    assert ask(client)[0] == 200


def test_late_checks_are_told_and_requests_still_come(engine: Engine, client: httpx.Client) -> None:
    """Row 17: they fire late and are never lost, and whoever posts has nothing to do with it."""
    post(client)
    engine.apply_pending()
    engine.db.run(lambda tx: tx.run(_WAKE, tx.to_db(NOW - timedelta(seconds=90))))
    status, told = ask(client)
    assert (status, told["status"]) == (200, "degraded")
    assert told["checks"]["due_lag"]["status"] == "degraded"
    assert told["checks"]["due_lag"]["seconds"] == 90.0

    engine.db.run(lambda tx: tx.run(_WAKE, tx.to_db(NOW - timedelta(seconds=1))))
    assert ask(client)[1]["checks"]["due_lag"] == {
        "status": "ok",
        "detail": "a timed check is due since 1.0 s",
        "seconds": 1.0,
    }


def test_a_newer_schema_is_told_and_no_reason_to_go_elsewhere(
    engine: Engine, client: httpx.Client
) -> None:
    """Amid an upgrade all processes are still those of the old program; were they taken out of
    service together, there would be nobody left."""
    engine.db.run(lambda tx: tx.run(_REVISION, "9999"))
    status, told = ask(client)
    assert (status, told["status"]) == (200, "degraded")
    assert told["checks"]["schema"]["status"] == "degraded"
    assert told["checks"]["oldest_pending"]["status"] == "ok"


def test_an_older_schema_fails_it(engine: Engine, client: httpx.Client) -> None:
    """What stands in its tables is not asked then."""
    engine.db.run(lambda tx: tx.run(_REVISION, "0001"))
    status, told = ask(client)
    assert (status, told["pointer"]) == (503, "/checks/schema")
    assert told["checks"]["database"]["status"] == "ok"
    assert told["checks"]["oldest_pending"]["status"] == "unknown"


def test_a_broker_that_is_away_is_told_and_no_reason_to_go_elsewhere(
    engine: Engine, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers poll, so whoever posts loses nothing."""
    found = Broker.AWAY
    monkeypatch.setattr(engine, "broker", lambda: found)
    status, told = ask(client)
    assert (status, told["status"]) == (200, "degraded")
    assert told["checks"]["broker"]["status"] == "degraded"
    found = Broker.ANSWERS
    assert ask(client)[1]["status"] == "ok"


def test_a_database_that_does_not_answer_fails_it_without_an_address(
    engine: Engine, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> NoReturn:
        raise Unavailable(f"postgresql://ops:hunter2@db/{SECRET}: no answer")

    monkeypatch.setattr(engine.db, "read", away)
    status, told = ask(client)
    assert (status, told["pointer"]) == (503, "/checks/database")
    assert "hunter2" not in str(told)
    assert told["checks"]["due_lag"]["status"] == "unknown"


@pytest.mark.postgres
def test_a_server_that_shuts_its_door_is_found_out_and_found_again(
    postgres_database_url: str, postgres_url: str, tmp_path: Path
) -> None:
    """The real thing: connections are cut and no new one is let in, and then they are again."""
    name = postgres_database_url.rpartition("/")[2].partition("?")[0]
    with (
        running(postgres_database_url, tmp_path) as engine,
        serving(engine) as client,
        psycopg.connect(postgres_url, autocommit=True) as admin,
    ):
        assert ask(client)[0] == 200
        _let_in(admin, name, allowed=False)
        try:
            status, told = ask(client)
        finally:
            _let_in(admin, name, allowed=True)
        assert (status, told["checks"]["database"]["status"]) == (503, "failed")
        assert ask(client)[0] == 200


def _let_in(admin: psycopg.Connection, name: str, *, allowed: bool) -> None:
    admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {str(allowed).lower()}'.encode())
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
    )

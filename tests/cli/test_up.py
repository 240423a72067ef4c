"""`lifecycle up` as a process of its own: it answers, it stops, it is killed, and nothing is lost."""

from __future__ import annotations

import io
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from lifecycle import resources
from lifecycle.cli import commands
from lifecycle.cli.exits import Code
from lifecycle.cli.reference import ALONE, each_command
from lifecycle.settings import LogForm
from tests.cli.conftest import Lifecycle
from tests.support.process import PATIENCE, Running, Start, started
from tests.support.redis import WheelServer


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Starts `lifecycle …` in `home`; whatever still runs at the end of the test is killed."""
    with started() as start:
        yield start


def address_of(up: Running) -> str:
    return up.line(r"http://127\.0\.0\.1:\d+")[0]


def post(address: str, customer: str, number: int, **more: Any) -> dict[str, Any]:
    event = {
        "id": f"{customer}-{number}",
        "customer_id": customer,
        "type": "order_paid",
        "properties": {"amount": "10.00", "currency": "CNY"},
        **more,
    }
    answer = httpx.post(f"{address}/v1/events", json={"events": [event]}, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def follow_until(start: Start, url: str, customers: set[str]) -> list[dict[str, Any]]:
    """What `log --follow --json` tells until each of these customers has been told of."""
    log = start("log", "--follow", "--json", "--limit", "10000", "--database", url)
    told: list[dict[str, Any]] = []
    missing = set(customers)
    while missing:
        told.append(json.loads(log.line(r"^\{.*\}$")[0]))
        missing.discard(told[-1]["customer_id"])
    return told


def test_it_answers_applies_and_shows_within_one_process(start: Start, home: Path) -> None:
    up = start("up", "--port", "0")
    address = address_of(up)
    assert post(address, "anna", 1)["accepted"] == 1
    [step] = follow_until(start, f"sqlite:///{home}/lifecycle.db", {"anna"})
    assert (step["from"], step["to"], step["rule"]) == ("potential", "deal", "first-purchase")
    shown = httpx.get(f"{address}/v1/customers/anna", timeout=PATIENCE).json()
    assert shown["state"] == "deal"


@pytest.mark.parametrize("form", LogForm)
def test_its_log_is_quiet_at_a_terminal_and_tells_every_decision_to_programs(
    start: Start, home: Path, form: LogForm
) -> None:
    """As text, it tells of itself on standard output."""
    up = start("up", "--port", "0", "--log", form)
    post(address_of(up), "anna", 1)
    follow_until(start, f"sqlite:///{home}/lifecycle.db", {"anna"})
    code, _, log = up.end(signal.SIGTERM)
    told = [json.loads(line)["event"] for line in log.splitlines()]
    assert code == Code.OK
    assert ("transition" in told) is (form is LogForm.JSON)
    assert told == [] or form is LogForm.JSON


@pytest.mark.redis
def test_it_takes_in_what_systems_post_to_a_broker_that_is_named(
    start: Start, home: Path, own_redis: WheelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_BROKER_URL", own_redis.url)
    up = start("up", "--port", "0")
    address_of(up)
    order = {"id": "1", "customer_id": "anna", "type": "order_paid", "properties": {"amount": "10"}}
    with redis.Redis.from_url(own_redis.url) as client:
        client.xadd("lifecycle:events", {"event": json.dumps(order)})
    [step] = follow_until(start, f"sqlite:///{home}/lifecycle.db", {"anna"})
    assert step["rule"] == "first-purchase"
    assert up.end(signal.SIGTERM)[0] == Code.OK


@pytest.mark.redis
def test_a_broker_that_throws_things_away_is_refused(
    start: Start, home: Path, own_redis: WheelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_BROKER_URL", own_redis.url)
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    code, _, err = start("up", "--port", "0").ended()
    assert code == Code.CONFIGURATION
    assert "noeviction" in err


def test_killed_at_any_moment_and_started_again_it_loses_nothing(
    start: Start, lifecycle: Lifecycle, empty_database_url: str
) -> None:
    """Three times events are posted and the process is killed right after the last answer."""
    database_url = empty_database_url
    assert lifecycle("migrate", "--database", database_url).code == 0
    customers: set[str] = set()
    for round_ in range(3):
        up = start("up", "--port", "0", "--database", database_url)
        address = address_of(up)
        for number in range(20):
            customer = f"customer-{round_}-{number}"
            assert post(address, customer, 1)["accepted"] == 1
            customers.add(customer)
        up.end(signal.SIGKILL)
    up = start("up", "--port", "0", "--database", database_url)
    address = address_of(up)
    told = follow_until(start, database_url, customers)
    assert sorted(step["customer_id"] for step in told) == sorted(customers)  # each of them once
    assert {step["rule"] for step in told} == {"first-purchase"}
    assert post(address, "customer-0-0", 1)["duplicate"] == 1
    up.end(signal.SIGTERM)
    verified = lifecycle("verify", "--json", "--database", database_url).json
    assert verified == {"customers": 60, "violations": []}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_ends_well(start: Start, how: signal.Signals) -> None:
    up = start("up", "--port", "0")
    post(address_of(up), "anna", 1)
    code, out, err = up.end(how)
    assert code == Code.OK, err
    assert "Stopped. Everything that was accepted is kept." in out
    assert err == ""


REFUSED_BESIDE_IT = """
up --port 0
import orders.csv -m online-retail
simulate
rebuild
migrate
customer move anna --to loyal --why asked
dead replay shop 1
dead discard shop 1
"""
RUN_BESIDE_IT = """
import orders.csv -m online-retail --dry-run
log
explain anna
backtest
forecast
nights
verify
digest
customer show anna
customer consents anna
outreach list
outreach show 1
outreach pause all --why asked
outreach resume all
outreach send early-access --customer anna --name spring
outreach again win-back-first
outreach bounce
outreach unmatched
outreach suppressed anna@example.com
report states
policy diff --effect
policy publish policy.yaml --dry-run
policy publish policy.yaml
policy rollback 1 --by olga --why asked
policy approve 2 --by olga --why asked
policy discard 2 --by olga --why asked
policy history
policy show 1
policy suggest dormancy
template check
template preview win-back-first
template send-test win-back-first --to anna@example.com
task list
task show 1
task accept 1
task done 1
dead list
dead show shop 1
key create shop
key list
key revoke shop
"""
ANSWERED = (Code.OK, Code.REFUSED, Code.BAD_INPUT)  # no such draft; a channel that only shows
WITHOUT_A_DATABASE = ("bench", "policy check", "policy diagram", "policy schema")
FOR_POSTGRESQL = ("serve", "work", "schedule")


def every_name() -> Iterator[str]:
    for path, _ in each_command(commands(), "lifecycle"):
        yield path.removeprefix("lifecycle ")


def name_of(line: str) -> str:
    """The command that a line calls."""
    return max((name for name in every_name() if f"{line} ".startswith(f"{name} ")), key=len)


def test_what_may_run_beside_it_and_what_may_not(
    start: Start,
    lifecycle: Lifecycle,
    orders: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the reference says, which names those that are refused; of all commands there are."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    shutil.copy(resources.config_dir() / "policy.yaml", home)
    refused, beside = REFUSED_BESIDE_IT.strip().splitlines(), RUN_BESIDE_IT.strip().splitlines()
    tried = {name_of(line) for line in (*refused, *beside)}
    assert tried == set(every_name()).difference(WITHOUT_A_DATABASE, FOR_POSTGRESQL)
    assert tuple(map(name_of, refused)) == ALONE
    up = start("up", "--port", "0")
    post(address_of(up), "anna", 1)
    holder = f"another lifecycle process (id {up.process.pid}) runs on this file; stop it first"
    for line in refused:
        ran = lifecycle(*line.split())
        assert ran.code == Code.CONFIGURATION, line
        assert holder in ran.err
    ended = {line: lifecycle(*line.split()) for line in beside}
    assert {line: ran for line, ran in ended.items() if ran.code not in ANSWERED} == {}


def test_a_port_that_is_taken_is_told_in_one_line(start: Start, home: Path) -> None:
    up = start("up", "--port", "0")
    port = address_of(up).rpartition(":")[2]
    other = start("up", "--port", port, "--database", f"sqlite:///{home}/other.db")
    code, out, err = other.ended()
    assert code == Code.CONFIGURATION
    assert f"port {port} of 127.0.0.1 cannot be opened" in err
    assert err.count("\n") == 1
    assert out == ""
    assert list(home.glob("other.db*")) == []


def test_it_listens_to_nobody_else_while_there_are_no_keys(start: Start) -> None:
    up = start("up", "--host", "0.0.0.0", "--port", "0")
    code, _, err = up.ended()
    assert code == Code.CONFIGURATION
    assert "listens on this machine only" in err


def test_following_the_log_is_ended_by_ctrl_c_without_a_word(start: Start) -> None:
    up = start("up", "--port", "0")
    address = address_of(up)
    post(address, "anna", 1)
    log = start("log", "--follow")
    log.line("first-purchase")
    assert log.end(signal.SIGINT) == (Code.OK, "", "")


# -- the demo


def test_the_demo_shows_simulated_customers_and_goes_on_after_a_kill(
    start: Start, lifecycle: Lifecycle, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a database of its own, whatever is configured, and says that nothing in it is real."""
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", f"sqlite:///{home}/precious.db")
    url = f"sqlite:///{home}/var/demo.db"
    demo = start("up", "--demo", "--port", "0")
    address = address_of(demo)
    demo.line("SIMULATED: made up by a generator")
    demo.line(r"curl http://127\.0\.0\.1:\d+/v1/events")
    demo.line(r"sim-.* → .* ▸ ")  # an event moved somebody
    demo.line(r"sim-.* → .* ◷ \S+ +\d+ days since ")  # time did
    assert post(address, "you", 1)["accepted"] == 1
    demo.line(r"^2026-.* you .* potential → deal ")
    demo.end(signal.SIGKILL)
    before = lifecycle("report", "states", "--json", "--database", url).json

    again = start("up", "--demo", "--port", "0")
    address = address_of(again)
    assert post(address, "you", 1)["duplicate"] == 1
    again.line(r"sim-.* → ")
    code, _, err = again.end(signal.SIGINT)
    after = lifecycle("report", "states", "--json", "--database", url).json
    assert code == Code.OK
    # killed amid its work or between two pieces of it: the next says so, or has nothing to say
    assert [line for line in err.splitlines() if " attempt_crashed: " not in line] == []
    assert after["as_of"] > before["as_of"]
    assert sum(each["customers"] for each in after["counts"]) >= sum(
        each["customers"] for each in before["counts"]
    )
    verified = lifecycle("verify", "--json", "--database", url).json
    assert verified["violations"] == []
    assert not (home / "precious.db").exists()

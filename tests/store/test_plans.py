"""Every statement of the busy paths goes from keys to rows by an index, however little the database
knows of its tables.

The tables are filled and never analysed, as after the first minute of a new installation. Each
statement is explained with its real parameters before it runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from lifecycle.domain.fate import Fate
from lifecycle.store import (
    backlog,
    customers,
    dead,
    events,
    fetches,
    handed,
    idempotency,
    mailroom,
    messages,
    runs,
    sending,
    steps,
    suppressions,
)
from lifecycle.store.database import Database
from lifecycle.store.fetches import Fetch
from lifecycle.store.idempotency import Answer, Name
from lifecycle.store.mailroom import Shown
from lifecycle.store.sending import Attempt, Claimed, Judged
from lifecycle.store.sql import Tx, both
from tests.store.made import add, begun_run, day, end_run, fold_all, message, new, step

LARGE = (
    *("event", "customer", "identity", "step", "message", "imported", "idempotency"),
    *("send_attempt", "shown_letter", "suppression", "soft_bounce", "letter_fetch"),
)


@pytest.fixture
def full(db: Database) -> Database:
    """Some thousand events of a hundred customers, folded, with steps and messages."""
    for first in range(0, 3000, 1000):
        add(db, *(new(f"{n}", f"c{n % 100}", at=n) for n in range(first, first + 1000)))
    fold_all(db)
    run = begun_run(db)
    add(db, *(new(f"i{n}", f"c{n % 100}", at=n) for n in range(1000)), run_id=run)
    end_run(db, run)
    fold_all(db)
    with db.write() as tx:
        ids = customers.ids_after(tx, 0, 1000)
        steps.insert(tx, [step(c, n, f"{n}") for c in ids for n in range(1, 11)])
        messages.insert(
            tx,
            [
                message(c, f"{n}", fate=Fate.SENT if n % 3 else Fate.QUEUED, live=n % 5 > 0)
                for c in ids
                for n in range(1, 11)
            ],
        )
    return db


class _Explaining:
    """Stands where a transaction runs its statements, and asks for the plan of each first."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._run = tx._run
        self.plans: list[tuple[str, str]] = []

    def __call__(self, statement: str, parameters: Sequence[Any]) -> Any:
        explain = "EXPLAIN QUERY PLAN" if self._tx.dialect == "sqlite" else "EXPLAIN"
        if not statement.startswith(("SHOW", "PRAGMA")):
            found = self._tx.connection.execute(f"{explain} {statement}", parameters)
            self.plans.append((statement, "\n".join(str(row[-1]) for row in found.fetchall())))
        return self._run(statement, parameters)


def test_no_busy_statement_reads_a_whole_table(full: Database) -> None:
    """Intake, claims, folds, late events, sweeps: what it costs does not grow with the tables."""
    held = begun_run(full, digest="second")
    add(full, *(new(f"h{n}", f"c{n}") for n in range(50)), run_id=held)
    end_run(full, held)
    with full.write() as tx:
        explaining = _Explaining(tx)
        tx._run = explaining
        _intake(tx)
        _fold(tx)
        _send(tx)
        _sweep(tx)

    scans = {
        f"{line.strip()}   in   {statement[:200]}"
        for statement, plan in explaining.plans
        for line in plan.splitlines()
        if _reads_all(line, statement)
    }
    assert len(explaining.plans) > 60
    assert scans == set()


def _intake(tx: Tx) -> None:
    news = [new(f"{n}", f"c{n % 100}", at=n) for n in range(2950, 3050)]
    results = events.add(tx, [*news, new("x", "somebody new")], initial="potential")
    assert {type(each).__name__ for each in results} == {"Added", "Known"}

    names = [Name("", "POST /v1/events", str(number)) for number in range(2_000)]
    idempotency.keep(tx, dict.fromkeys(names, Answer("ab" * 32, 200, "{}")), day(1))
    assert idempotency.lock(tx, names[:2]) == set(names[:2])
    assert idempotency.find(tx, names[:2], day(0)).keys() == set(names[:2])


def _fold(tx: Tx) -> None:
    ids = customers.claim_pending(tx, 1000)
    assert len(ids) > 50
    customers.lock(tx, ids)
    found = customers.rows(tx, ids)
    waiting = events.pending_of(tx, ids)
    assert {stored.held_by for each in waiting.values() for stored in each} > {None}
    assert len(list(events.histories(tx, ids, waiting))) == len(ids)
    live = steps.live(tx, ids)
    known = messages.of(tx, ids)
    messages.fallen(tx, ids)
    messages.overtaken(tx, ids)
    runs.withheld_until(tx, ids)
    last = [each[-1] for each in live.values()]
    steps.revoke(tx, [(row.row_id, 1, None) for row in last], day(1))
    steps.renumber(tx, [(each[0].row_id, 99) for each in live.values()])
    steps.insert(tx, [step(row.customer_id, 10, "again") for row in last])
    messages.update(tx, [each[0]._replace(fate=Fate.CANCELLED) for each in known.values()])
    messages.insert(tx, [message(customer_id, "again") for customer_id in known])
    customers.save(tx, [row._replace(wake_at=day(5)) for row in found.values()], day(1))
    customers.save(tx, [row._replace(read=(row.state, row.wake_at)) for row in found.values()])
    events.clear_pending(tx, [stored for each in waiting.values() for stored in each])


def _sweep(tx: Tx) -> None:
    assert customers.claim_due(tx, day(9), 10, passing_over=range(1, 50))
    customers.due_count(tx, day(9))
    assert backlog.oldest_due(tx, day(9)) is not None
    backlog.oldest_pending(tx, day(9))
    customers.ids_after(tx, 5, 10)
    customers.after_key(tx, "c5", 10)
    assert messages.expire(tx, day(99))
    assert idempotency.forget(tx, day(99)) == 1_000
    [stored] = events.by_row_ids(tx, [7]).values()
    assert events.get(tx, stored.event.source, stored.event.id) == stored
    events.all_of(tx, stored.customer_id)
    dead.quarantine(tx, stored, reason="fold_failed", detail="boom", attempts=5, at=day(1))
    dead.replay(tx, stored, by="ops", why=None, at=day(1))
    for number in range(1000):
        fetch = Fetch(number, 1, "", "email", None, "", day(number % 10), day(1))
        fetches.add(tx, fetch)
    quiet = fetches.quiet(tx, day(8), 10)
    assert len(quiet) == 10
    assert fetches.of(tx, quiet).keys() == set(quiet)
    fetches.forget(tx, quiet, day(8))
    steps.log(tx, None, 5)
    steps.recent(tx, 5)


def _send(tx: Tx) -> None:
    """Claims, hand-overs, reclaims, feedback, and letting go on what was paused."""
    for number in range(50):
        mailroom.show(tx, Shown(key=f"{number}", channel="email", rule="r", content={}, at=day(0)))
    due = sending.due(tx, day(99), day(99), 200)
    assert len(due) > 50
    ids = list(dict.fromkeys(one.customer_id for one in due))
    found = sending.due_of(tx, ids, day(99), day(99))
    sending.spent(tx, ids, day(0))
    sending.happened(tx, ids, ["order_paid"], day(0))
    sending.recorded_since(tx, "win-back", day(0), 1000)
    rows = [row for rows in found.values() for row in rows]
    waits = Judged(rows[0].row_id, Fate.DEFERRED, "paused", day(1), day(500), None)
    sending.judge(tx, [waits])
    claims = [Claimed(row.row_id, "email", None) for row in rows[1:20]]
    assert sending.claim(tx, claims, token="t", now=day(1), lease_until=day(1))
    held = sending.held(tx, [row.row_id for row in rows[1:20]])
    attempts = [
        Attempt(
            message_id=row_id,
            number=1,
            channel="email",
            letter="l",
            address_hash="h",
            language="en",
            template_hash="t",
            content_hash="c",
        )
        for row_id in held
    ]
    sending.begin(tx, attempts, real=day(1), lease_until=day(2))
    assert sending.lapsed(tx, day(3), 100)
    sending.leased_by(tx, held, day(3))
    sending.by_id(tx, held)
    sending.attempts_of(tx, held)
    handed.of_message(tx, rows[1].row_id, "email")
    handed.by_provider_ids(tx, ["p"], "email")
    handed.hashes_of_customer(tx, rows[1].customer_id, "email")
    suppressions.suppressed(tx, ["h"], day(1))
    suppressions.note_soft_bounce(tx, "h", "m", day(1))
    assert sending.release_paused(tx, day(2), 100) == 1
    assert sending.release_paused(tx, day(2), 100) == 0
    assert mailroom.forget(tx, day(1), 10) == 10


def _reads_all(line: str, statement: str) -> bool:
    """Whether a line of a plan reads a large table from end to end."""
    found = re.search(r"Seq Scan on (\w+)|SCAN (\w+)$", line.strip())
    if found is None:
        return False
    name = found[1] or _table(found[2], statement)
    return name in LARGE


def _table(alias: str, statement: str) -> str:
    """SQLite's plans name the alias."""
    found = re.search(rf"(\w+) AS {alias}\b", statement)
    return found[1] if found else alias


def test_what_is_quiet_is_found_by_an_index_that_keeps_the_order(full: Database) -> None:
    """Read from end to end for each few letters, a backlog would cost its square."""
    with full.write() as tx:
        for number in range(3000):
            fetches.add(tx, Fetch(number, 1, "", "email", None, "", day(number % 10), day(1)))
        explaining = _Explaining(tx)
        tx._run = explaining
        fetches.quiet(tx, day(8), 100)

    (_, plan) = explaining.plans[-1]
    assert "letter_fetch_at" in plan
    assert not [line for line in plan.splitlines() if re.search("SORT|TEMP", line.upper())]


def test_the_check_itself_finds_a_scan(full: Database) -> None:
    """Were a plan spelled differently, the test above would prove nothing."""
    statement = both("SELECT count(*) FROM event AS e WHERE e.type = ?")
    with full.read() as tx:
        explaining = _Explaining(tx)
        tx._run = explaining
        with tx.whole_tables():
            assert tx.value(statement, "order_paid") > 0

    text, plan = next(each for each in explaining.plans if "order" in each[0] or "type" in each[0])
    assert any(_reads_all(line, text) for line in plan.splitlines())

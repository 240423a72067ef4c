"""A unit of work happens once and whole, or not at all, and errors say what to do."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lifecycle.errors import LifecycleError, Unavailable, Unusable
from lifecycle.store import customers, events, files, schema, urls
from lifecycle.store.database import RETRIES, Database
from lifecycle.store.sql import Tx, both, bulk
from lifecycle.store.sqlite import Sqlite
from lifecycle.store.turns import Turns
from tests.store.made import add, fold_all, history, new, pending
from tests.support.current import open_current

_COUNT = both("SELECT count(*) FROM event")
_ONE = both("SELECT 1")
_NONSENSE = both("SELECT nonsense FROM nowhere")


class Boom(Exception):
    pass


def count(db: Database) -> int:
    with db.read() as tx:
        found: int = tx.value(_COUNT)
        return found


# --- transactions ------------------------------------------------------------------------------


def test_a_block_that_fails_leaves_nothing_behind(db: Database) -> None:
    def unit(tx: Tx) -> None:
        events.add(tx, [new("1")], initial="potential")
        raise Boom

    with pytest.raises(Boom), db.write() as tx:
        unit(tx)

    assert count(db) == 0
    add(db, new("2"))
    assert pending(db, "ann") == ["2"]


def test_a_reader_sees_one_unchanging_view(db: Database) -> None:
    """And sees what was committed before, not what comes while it looks."""
    add(db, new("1"))

    with db.read() as tx:
        assert tx.value(_COUNT) == 1
        add(db, new("2"))
        assert tx.value(_COUNT) == 1
    assert count(db) == 2


def test_a_reader_cannot_write(db: Database) -> None:
    with (
        pytest.raises((Unusable, psycopg.errors.ReadOnlySqlTransaction)),
        db.read() as tx,
    ):
        events.add(tx, [new("1")], initial="potential")
    assert count(db) == 0


def test_a_mistake_of_ours_is_not_called_a_failure_of_the_service(db: Database) -> None:
    """A wrong statement is a bug: it comes through as it is, at once."""
    with pytest.raises((sqlite3.OperationalError, psycopg.errors.UndefinedTable)), db.read() as tx:
        tx.rows(_NONSENSE)


def test_a_unit_answers_what_it_returned(db: Database) -> None:
    assert db.run(lambda tx: tx.value(_ONE)) == 1


def test_the_clock_is_aware_and_moves_within_a_transaction(db: Database) -> None:
    """`now()` of PostgreSQL stands still from BEGIN on, and would lag behind a wait for a lock."""
    with db.write() as tx:
        first, second = db.clock(tx), db.clock(tx)
    assert first.tzinfo is UTC
    assert first < second
    assert abs(first - datetime.now(UTC)) < timedelta(hours=1)


def test_a_reopened_database_has_everything(database_url: str) -> None:
    first = Database.open(database_url)
    add(first, new("1", at=1))
    fold_all(first)
    first.close()

    again = Database.open(database_url)
    try:
        assert history(again) == ["1"]
        add(again, new("2", at=2))
        assert pending(again, "ann") == ["2"]
    finally:
        again.close()


# --- SQLite: turns, processes, files -----------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "life.db"


@pytest.fixture
def sqlite_db(path: Path) -> Iterator[Database]:
    with closing(open_current(f"sqlite:///{path}")) as opened:
        yield opened


class _Queue:
    """Says when somebody has begun to wait."""

    def __init__(self, turns: Turns) -> None:
        self.came = threading.Semaphore(0)
        waiting = turns._waiting
        outer = self

        class Told(type(waiting)):  # type: ignore[misc]
            def append(self, item: object) -> None:
                super().append(item)
                outer.came.release()

        turns._waiting = Told(waiting)


def test_writers_take_turns_in_the_order_in_which_they_came() -> None:
    """A busy thread cannot take the lock again before those who wait."""
    turns = Turns()
    queue = _Queue(turns)
    order: list[int] = []

    def wait(number: int) -> None:
        with turns:
            order.append(number)

    threads = []
    with turns:
        for number in range(5):
            threads.append(threading.Thread(target=wait, args=(number,)))
            threads[-1].start()
            assert queue.came.acquire(timeout=30)
    with turns:  # comes last, though it asks at once
        order.append(99)
    for thread in threads:
        thread.join()

    assert order == [0, 1, 2, 3, 4, 99]


def test_a_failed_turn_is_passed_on() -> None:
    turns = Turns()
    with pytest.raises(Boom), turns:
        raise Boom
    with turns:
        pass


class _Interrupted(sqlite3.Connection):
    """Ctrl-C, or a time limit, comes once, as soon as the transaction has begun."""

    come = False

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        done = super().execute(sql, *parameters)
        if sql.startswith("BEGIN") and not self.come:
            self.come = True
            raise KeyboardInterrupt
        return done


def test_an_interrupt_right_after_begin_leaves_no_transaction_open(
    sqlite_db: Database, path: Path
) -> None:
    """Otherwise every later one would fail, as the one writer's connection is used for ever."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, factory=_Interrupted
        )

    backend = sqlite_db._backend
    assert isinstance(backend, Sqlite)
    backend._writer.close()
    backend._writer = connect()
    backend._readers._idle.append(connect())
    with pytest.raises(KeyboardInterrupt), sqlite_db.write():
        pass
    with pytest.raises(KeyboardInterrupt), sqlite_db.read():
        pass

    add(sqlite_db, new("1"))
    assert count(sqlite_db) == 1


def test_threads_that_write_at_once_lose_nothing(sqlite_db: Database) -> None:
    def write(number: int) -> None:
        for n in range(10):
            add(sqlite_db, new(f"{number}-{n}", f"c{n}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert count(sqlite_db) == 40


_READ_THEN_WRITE = """
import sys
from lifecycle.store.database import Database
from tests.store.made import add, new
from lifecycle.store import customers
db = Database.open(sys.argv[1], wait=lambda _: print("met a locked database", file=sys.stderr))
for n in range(10):
    def unit(tx):
        from lifecycle.store import events
        customers.count_by_state(tx)
        events.add(tx, [new(f"{sys.argv[2]}-{n}", f"c{n}")], initial="potential")
    db.run(unit)
db.close()
"""


def test_processes_that_read_then_write_never_meet_a_locked_database(
    sqlite_db: Database, path: Path
) -> None:
    """A deferred transaction would fail at its first write, whatever the timeout says."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _READ_THEN_WRITE, f"sqlite:///{path}", str(number)],
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    said = [process.communicate()[1] for process in started]

    assert said == [""] * 8
    assert count(sqlite_db) == 80


_COMMIT_AND_DIE = """
import os, signal, sys
from lifecycle.store import schema
from lifecycle.store.database import Database
from tests.store.made import add, new
db = Database.open(sys.argv[1], exclusive=True)
schema.migrate(db)
add(db, new("1"))
with db.write() as tx:
    from lifecycle.store import events
    events.add(tx, [new("2")], initial="potential")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_committed_survives_a_kill_and_the_file_is_free_again(path: Path) -> None:
    """The rest is as if it had never begun, and the lock went with the process."""
    died = subprocess.run(
        [sys.executable, "-c", _COMMIT_AND_DIE, f"sqlite:///{path}"],
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert died.returncode == -signal.SIGKILL

    db = Database.open(f"sqlite:///{path}", exclusive=True)
    try:
        assert pending(db, "ann") == ["1"]
    finally:
        db.close()


def test_rows_travel_to_sqlite_together(sqlite_db: Database) -> None:
    """Each statement, and each row fetched, waits for Python's lock beside a busy thread."""
    statements: list[str] = []
    with sqlite_db.write() as tx:
        assert isinstance(tx.connection, sqlite3.Connection)
        tx.connection.set_trace_callback(statements.append)
        events.add(tx, [new(f"{n}", f"c{n % 50}") for n in range(1000)], initial="potential")
        writing = len(statements)
        ids = customers.claim_pending(tx, 1000)
        waiting = events.pending_of(tx, ids)
        events.clear_pending(tx, [stored for each in waiting.values() for stored in each])
        tx.connection.set_trace_callback(None)

    assert sum(map(len, waiting.values())) == 1000
    assert writing < 35
    assert len(statements) - writing < 10


_KEEP = bulk(
    "n integer, text text, at timestamptz, flag boolean, share double precision",
    "INSERT INTO kept (n, said, at, flag, share) SELECT * FROM [rows]",
)
_MAKE = both(
    "CREATE TABLE kept (n integer, said text, at {}, flag boolean, share double precision)"
)
_KEPT = both("SELECT said FROM kept ORDER BY n")
_NULLS = both("SELECT count(*) FROM kept WHERE said IS NULL AND share IS NULL")
_TEXTS = (
    *("", " ", "plain", "NULL", "null", "a,b", "{a}", "{}", '"', '""', "\\", '\\"', "\\n", "\\\\n"),
    *("two\nlines", "\ttab\r", "\x01\x1f\x7f", "\\u0041", "é", "中文", "😀", "'; --", "%s", "?"),
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
@example(texts=list(_TEXTS))
@example(texts=["\n"])  # alone, among others that need no care, and many at once
@example(texts=[*_TEXTS, "a", "b"] * 20)
def test_what_is_written_in_bulk_is_read_as_it_was(db: Database, texts: list[str]) -> None:
    """Any text: it travels in a form of each database that has special characters of its own."""
    kind = "timestamptz" if db.dialect == "postgresql" else "integer"
    with db.write() as tx:
        tx.connection.execute("DROP TABLE IF EXISTS kept")
        tx.connection.execute(_MAKE.sqlite.format(kind))
        at = tx.to_db(datetime(2026, 1, 1, tzinfo=UTC))
        rows = [(n, text, at, True, 0.1) for n, text in enumerate(texts)]
        assert tx.bulk(_KEEP, [*rows, (len(rows), None, at, False, None)]) == len(rows) + 1
        assert [row[0] for row in tx.rows(_KEPT)] == [*texts, None]
        assert tx.value(_NULLS) == 1


# --- URLs and what is wrong with them ----------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:s3cret@host:5432/name", "postgresql://me:***@host:5432/name"),
        ("postgresql://me:s3cret@[::1]/name", "postgresql://me:***@[::1]/name"),
        ("postgresql://me@host/name?password=s3cret", "postgresql://me@host/name?password=***"),
        (
            "postgresql://host/name?sslmode=require&password=s3cret&a=b",
            "postgresql://host/name?sslmode=require&password=***&a=b",
        ),
        ("mysql://me:s3cret@host/name", "mysql://me:***@host/name"),
        ("postgresql://me@host/name", "postgresql://me@host/name"),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    assert urls.masked(url) == shown


@contextmanager
def refused(kind: type[LifecycleError], *words: str) -> Iterator[None]:
    """The error is of that kind, has these words, is one line and tells no password."""
    with pytest.raises(kind) as raised:
        yield
    said = str(raised.value)
    assert "\n" not in said
    assert "s3cret" not in said
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://me:s3cret@host/name", ["'mysql' is not a database", "mysql://me:***@host"]),
        ("postgresql+psycopg2://me:s3cret@host/name", ["drivers are not named", ":***@"]),
        ("lifecycle.db", ["no scheme", "sqlite:///path"]),
        ("sqlite://host/life.db", ["a host before the path"]),
        ("sqlite://", ["a host before the path"]),
        ("sqlite:///", ["no file is named"]),
        ("sqlite:///:memory:", ["no file is named"]),
        (
            "postgresql://me:s3cret@host/name?nonsense=1",
            ["not a URL that PostgreSQL understands", "me:***@host"],
        ),
    ],
)
def test_a_url_that_names_no_database_of_ours(url: str, words: list[str]) -> None:
    """Row 43: what is wrong, the masked URL, what to do."""
    with refused(Unusable, *words):
        Database.open(url)


def test_a_port_that_is_none() -> None:
    with refused(Unusable, "invalid port number", "me:***@127.0.0.1"):
        Database.open("postgresql://me:s3cret@127.0.0.1:99999/name")


def test_a_postgresql_that_does_not_answer() -> None:
    """Row 43: it may well answer later, so this is another kind of error."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with refused(Unavailable, "does not answer", f"me:***@127.0.0.1:{port}"):
            Database.open(f"postgresql://me:s3cret@127.0.0.1:{port}/name")


@pytest.mark.postgres
def test_a_database_or_a_role_that_does_not_exist(postgres_url: str) -> None:
    """Row 43: waiting would not help."""
    scheme, _, rest = postgres_url.partition("://")
    credentials, _, place = rest.rpartition("@")
    absent = f"absent_{secrets.token_hex(4)}"
    host = place.partition("/")[0]
    with refused(Unusable, "refuses the connection", "does not exist", "database name"):
        Database.open(f"{scheme}://{credentials}@{host}/{absent}")
    with refused(Unusable, "refuses the connection", "check user"):
        Database.open(f"{scheme}://{absent}:s3cret@{host}/postgres")


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    """Row 43."""
    with refused(Unusable, "is a directory", f"sqlite:///{tmp_path}", "name a file in it"):
        Database.open(f"sqlite:///{tmp_path}")


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with refused(Unusable, "does not exist", "create it first"):
        Database.open(f"sqlite:///{tmp_path}/absent/life.db")


def test_a_file_that_is_something_else(path: Path) -> None:
    path.write_bytes(b"certainly not a database " * 100)

    with refused(Unusable, "cannot use this file", "not a database"):
        Database.open(f"sqlite:///{path}")


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_path_that_cannot_be_written(what: str) -> None:
    """Row 43: said at the start, not at the first event."""
    place = Path(tempfile.mkdtemp())
    path = place / "life.db"
    Database.open(f"sqlite:///{path}").close()
    for left in place.glob("life.db-*"):
        left.unlink()
    path.chmod(0o444 if what == "file" else 0o666)
    place.chmod(0o777 if what == "file" else 0o555)
    try:
        with _nobody(), refused(Unusable, "is not writable", "permissions"):
            Database.open(f"sqlite:///{path}")
    finally:
        place.chmod(0o700)
        shutil.rmtree(place)


@contextmanager
def _nobody() -> Iterator[None]:
    """Root may write everywhere, so for once it is somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


_MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/data {0} {1} rw 0 0
tmpfs /run tmpfs rw 0 0
"""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse.sshfs"])
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    """Row 43: SQLite corrupts its file there, sooner or later."""
    share = tmp_path / "my share"
    share.mkdir()
    mounts = _MOUNTS.format(str(share).replace(" ", r"\040"), kind)

    with refused(Unusable, f"network file system ({kind})", "use a local disk or PostgreSQL"):
        Database.open(f"sqlite:///{share}/life.db", mounts=lambda: mounts)
    Database.open(f"sqlite:///{tmp_path}/life.db", mounts=lambda: mounts).close()


def test_a_link_to_a_network_file_system_is_refused_too(tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    (tmp_path / "link").symlink_to(share)

    with refused(Unusable, "network file system (nfs4)"):
        Database.open(
            f"sqlite:///{tmp_path}/link/life.db", mounts=lambda: _MOUNTS.format(share, "nfs4")
        )


def test_a_local_disk_mounted_below_a_network_share_is_fine(tmp_path: Path) -> None:
    """The innermost mount decides, also when it stands first in the list."""
    (tmp_path / "local").mkdir()
    mounts = f"/dev/sdb {tmp_path}/local ext4 rw 0 0\nserver:/ {tmp_path} nfs rw 0 0\n"
    assert files.file_system(tmp_path / "local", mounts) == "ext4"
    assert files.file_system(tmp_path, mounts) == "nfs"
    assert files.file_system(tmp_path, "") is None


def test_a_sqlite_that_is_too_old(path: Path) -> None:
    with refused(Unusable, "SQLite 3.34.1", "3.35.0 or newer"):
        files.refuse_unusable(path, "sqlite:///x", mounts=lambda: "", version=(3, 34, 1))


def test_two_applications_on_one_file(path: Path) -> None:
    """Row 43: the second is told who has it; a reader beside it is welcome."""
    first = Database.open(f"sqlite:///{path}", exclusive=True)
    try:
        schema.migrate(first)
        with refused(Unusable, f"another lifecycle process (id {os.getpid()})", "stop it first"):
            Database.open(f"sqlite:///{path}", exclusive=True)
        reader = Database.open(f"sqlite:///{path}")
        assert count(reader) == 0
        reader.close()
    finally:
        first.close()
    Database.open(f"sqlite:///{path}", exclusive=True).close()


def test_a_full_disk_is_told_and_passes(sqlite_db: Database) -> None:
    """Nothing of the unit is stored, and after room was made nothing needs repair."""
    add(sqlite_db, new("1"))
    with sqlite_db.write() as tx:
        pages = tx.value(both("PRAGMA page_count"))
        tx.value(both(f"PRAGMA max_page_count = {pages}"))

    with refused(Unavailable, "database or disk is full", "make room"):
        add(sqlite_db, *(new(f"x{n}", text="x" * 1000) for n in range(200)))
    assert count(sqlite_db) == 1

    with sqlite_db.write() as tx:
        tx.value(both("PRAGMA max_page_count = 1000000"))
    add(sqlite_db, new("2"))
    assert count(sqlite_db) == 2


# --- trying again ------------------------------------------------------------------------------


class Waits:
    """How often, and how long, a unit would have waited before its next try."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.mark.parametrize("failures", [1, RETRIES])
def test_a_deadlock_is_tried_again(database_url: str, failures: int) -> None:
    """Up to five times, with waits that differ, so that both do not meet again."""
    waits = Waits()
    db = Database.open(database_url, wait=waits)
    left = [failures]

    def unit(tx: Tx) -> int:
        [result] = events.add(tx, [new("1")], initial="potential")
        if left[0]:
            left[0] -= 1
            raise _passing(tx)
        return result.row_id

    try:
        db.run(unit)
        assert len(waits.seconds) == failures
        assert all(0 <= seconds <= 2 for seconds in waits.seconds)
        assert count(db) == 1
    finally:
        db.close()


def test_what_never_passes_is_told_in_the_end(database_url: str) -> None:
    waits = Waits()
    db = Database.open(database_url, wait=waits)

    def unit(tx: Tx) -> None:
        raise _passing(tx)

    try:
        with refused(Unavailable, "try again later"):
            db.run(unit)
        assert len(waits.seconds) == RETRIES
    finally:
        db.close()


def test_an_error_of_ours_is_not_tried_again(database_url: str) -> None:
    waits = Waits()
    db = Database.open(database_url, wait=waits)
    tried = []

    def unit(tx: Tx) -> None:
        tried.append(tx)
        raise Boom

    try:
        with pytest.raises(Boom):
            db.run(unit)
        assert (len(tried), waits.seconds) == (1, [])
    finally:
        db.close()


def _passing(tx: Tx) -> Exception:
    """What the driver raises when others were in the way."""
    if tx.dialect == "postgresql":
        return psycopg.errors.DeadlockDetected("deadlock detected")
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


@pytest.mark.postgres
def test_a_server_that_goes_away_while_a_session_begins_is_told_as_one_that_does_not_answer(
    postgres_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had taken the connection already."""

    def ended(connection: psycopg.Connection, _: str) -> None:
        with psycopg.connect(postgres_database_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])

    monkeypatch.setattr("lifecycle.store.postgresql._refuse_old", ended)
    with pytest.raises(Unavailable, match="does not answer"):
        Database.open(postgres_database_url)


@pytest.mark.postgres
def test_what_postgresql_adds_about_a_statement_is_not_repeated(postgres_database_url: str) -> None:
    """A server may be set up to quote the values of a statement that failed: nobody else does."""
    quoted = "jane.doe@example.com"
    db = Database.open(postgres_database_url)

    def unit(tx: Tx) -> None:
        tx.value(both("SELECT set_config('log_parameter_max_length_on_error', '-1', true)"))
        # Long enough to come to the sleep on a slow machine: before that nothing is quoted.
        tx.value(both("SELECT set_config('statement_timeout', '500', true)"))
        tx.value(both("SELECT pg_sleep(60), CAST(? AS text)"), quoted)

    try:
        with pytest.raises(Unavailable, match="due to statement timeout") as refused:
            db.run(unit)
        assert quoted in str(refused.value.__cause__), "the server did quote it"
        assert quoted not in str(refused.value)
    finally:
        db.close()

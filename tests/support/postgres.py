"""Which PostgreSQL do the tests run on, and when does it end? A server that is named by its URL is
only used; one from the wheel runs for these tests alone. How one is started: `postgres_warden`.

Every process that uses the wheel's server holds a shared lock on a file. The *warden*, a process of
its own, waits for the exclusive lock, which the kernel hands over when the last user closes the
file or dies, by whatever signal. Then the warden stops the server and removes its directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import ExecStatus

from tests.support.postgres_warden import (
    NOT_INSTALLED,
    Server,
    control,
    site_of_the_wheel,
    unprivileged_account,
)

URL_VARIABLE = "LIFECYCLE_TEST_POSTGRES_URL"
"""Names a server on which the tests may create and drop databases called `lifecycle_test_…`."""


DROPPED_AT_ONCE = 4  # by each process of the tests


class PostgresUnavailable(Exception):
    """No PostgreSQL to test on: the message says which way was tried and what is missing."""


def must_be_there() -> None:
    """Asks for what `server` needs before anything is begun. Raises PostgresUnavailable."""
    if named := os.environ.get(URL_VARIABLE):
        _must_answer(named)
    elif site_of_the_wheel() is None:
        raise PostgresUnavailable(f"{NOT_INSTALLED} Or name a server of yours with {URL_VARIABLE}.")


@contextlib.contextmanager
def server(directory: Path, *, fsync: bool = False) -> Iterator[str]:
    """The URL of a running server's `postgres` database, as an administrator.

    `LIFECYCLE_TEST_POSTGRES_URL` decides; without it the wheel's server runs until the block ends.
    Processes that pass the same `directory` share one such server.
    """
    named = os.environ.get(URL_VARIABLE)
    if named:
        _must_answer(named)
        yield named
        return
    with wheel_server(directory, fsync=fsync) as url:
        yield url


@contextlib.contextmanager
def wheel_server(directory: Path, *, fsync: bool = False) -> Iterator[str]:
    """The wheel's server of `directory`, started by the first who asks and shared with the others.

    `fsync=False` is for tests that never pull the plug: what the server acknowledged is lost when
    the machine stops. A test of durability asks for its own directory and `fsync=True`.
    """
    with _locked(directory / "users", fcntl.LOCK_SH):
        with _locked(directory / "starting", fcntl.LOCK_EX):
            if not (directory / "url").exists():
                _start_warden(directory, fsync=fsync)
        yield (directory / "url").read_text()


def restart(directory: Path) -> None:
    """The wheel's server of `directory` falls over, as if its machine did, and starts again.

    Whoever is connected is cut off; what was acknowledged is there afterwards if `fsync` is on.
    """
    home, programs = map(Path, (directory / "home").read_text().split("\n"))
    fallen = Server(home=home, programs=programs, account=unprivileged_account(), fsync=True)
    control(fallen, "restart", "--mode=immediate")


def wait_until_stopped(directory: Path) -> None:
    """Return when the server of `directory`, which nobody uses any more, has left no trace."""
    with _locked(directory / "warden", fcntl.LOCK_EX):
        pass


Drop = Callable[[str], object]
"""Drops the database of that name, with whoever is still connected to it."""


@contextlib.contextmanager
def fresh_database(
    admin_url: str, template: str | None = None, drop: Drop | None = None
) -> Iterator[str]:
    """An empty database of its own, dropped at the end with whoever is still connected.

    With a `template`, the URL of another one to which nobody is connected, it is a copy of that.

    Its defaults are chosen to hurt: the zone is not UTC, and where the server knows how (the
    wheel's does not) text sorts as in a dictionary. Code that relies on a server's settings instead
    of stating what it needs is found out.
    """
    name = f"lifecycle_test_{secrets.token_hex(6)}"
    database = sql.Identifier(name)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        source = _nothing(admin) if template is None else _copy_of(template, admin)
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(database, source))
        admin.execute(
            sql.SQL("ALTER DATABASE {} SET timezone TO 'Asia/Kathmandu'").format(database)
        )
    try:
        yield _with_database(admin_url, name)
    finally:
        with contextlib.nullcontext(drop) if drop else dropping(admin_url) as drop_it:
            drop_it(name)


@contextlib.contextmanager
def dropping(admin_url: str) -> Iterator[Drop]:
    """Drops databases while the caller goes on; when the block ends, all of them are gone.

    The server answers only after a checkpoint, which takes longer than most tests. One checkpoint
    is enough for all who wait for it. No thread does this, as there are tests that fork.
    """
    under_way: deque[psycopg.Connection] = deque()

    def drop(name: str) -> None:
        if len(under_way) == DROPPED_AT_ONCE:
            _see_dropped(under_way.popleft())
        admin = psycopg.connect(admin_url, autocommit=True)
        under_way.append(admin)
        statement = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
        admin.pgconn.send_query(statement.as_bytes(admin))
        admin.pgconn.flush()

    try:
        yield drop
    finally:
        with contextlib.ExitStack() as rest:
            for admin in under_way:
                rest.callback(_see_dropped, admin)


def _see_dropped(admin: psycopg.Connection) -> None:
    with contextlib.closing(admin):
        answer = admin.pgconn.get_result()  # waits for it
        assert answer is not None
        if answer.status != ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(answer)


def _nothing(admin: psycopg.Connection) -> sql.Composable:
    as_in_a_dictionary = "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" if _knows_icu(admin) else ""
    return sql.SQL("template0 ENCODING 'UTF8' LOCALE 'C' {}").format(sql.SQL(as_in_a_dictionary))


def _copy_of(url: str, admin: psycopg.Connection) -> sql.Composable:
    """Files are copied eight times as fast as pages are logged, but after two checkpoints."""
    name = sql.Identifier(str(conninfo_to_dict(url)["dbname"]))
    if admin.info.server_version < 150000:
        return name  # it copies files
    writes_through = admin.execute("SELECT current_setting('fsync')::boolean").fetchone() == (True,)
    return sql.SQL("{} STRATEGY {}").format(
        name, sql.SQL("WAL_LOG" if writes_through else "FILE_COPY")
    )


def _knows_icu(admin: psycopg.Connection) -> bool:
    """ICU as a database's own collation came with PostgreSQL 15, and a build may leave ICU out."""
    if admin.info.server_version < 150000:
        return False
    found = admin.execute("SELECT 1 FROM pg_collation WHERE collname = 'en-US-x-icu'").fetchone()
    return found is not None


def _with_database(url: str, name: str) -> str:
    scheme, _, rest = url.partition("://")
    authority_and_path, question, query = rest.partition("?")
    authority, _, _ = authority_and_path.partition("/")
    return f"{scheme}://{authority}/{name}{question}{query}"


def _must_answer(url: str) -> None:
    try:
        psycopg.connect(url, connect_timeout=10).close()
    except psycopg.Error as error:
        raise PostgresUnavailable(
            f"{URL_VARIABLE} names a server that does not answer: {error}"
            f" Start it, name another one, or unset {URL_VARIABLE} to use the wheel's."
        ) from error


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, how)
        yield


def _start_warden(directory: Path, *, fsync: bool) -> None:
    """Start the warden and wait for its word that the server takes connections."""
    program = Path(__file__).with_name("postgres_warden.py")
    warden = subprocess.Popen(
        [sys.executable, str(program), str(directory), "on" if fsync else "off"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C ends the tests; only then, and thereby, the warden
        text=True,
    )
    assert warden.stdout is not None
    with warden.stdout as words:
        said = words.readline()
        if said.strip() != "ready":
            said += words.read()
            warden.wait()
            raise PostgresUnavailable(f"The wheel's PostgreSQL did not start. {said}")
    warden.returncode = 0  # it outlives us on purpose, so its still running is nothing to warn of

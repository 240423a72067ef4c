"""What every test may ask for: a fresh database of either kind, and the data shared with the project.

It also closes the network: Python's sockets reach this machine and nothing else.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.support import current, postgres, rabbitmq
from tests.support import redis as redis_server

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"

settings.register_profile(
    "lifecycle",
    deadline=None,  # a busy machine is not a defect of the engine
    suppress_health_check=[HealthCheck.too_slow],
    # explaining a failure takes minutes of two cores, shrinking it takes seconds
    phases=[phase for phase in Phase if phase is not Phase.explain],
    print_blob=True,
)
# For the night, or after a change of the fold: HYPOTHESIS_PROFILE=thorough pytest tests/properties
settings.register_profile("thorough", settings.get_profile("lifecycle"), max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "lifecycle"))


def pytest_configure() -> None:
    """Started in the background of a script, we ignore SIGINT, and so would every program we run."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The administrator's URL of a real PostgreSQL, one for the whole run, its workers included."""
    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent
    with postgres.server(directory / "postgres") as url:
        yield url


@pytest.fixture(scope="session")
def postgres_copies(postgres_url: str) -> Iterator[current.Copies]:
    """For who makes databases with today's schema without being a test."""
    with current.postgres_copies(postgres_url) as copies:
        yield copies


EITHER = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=EITHER)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh database with today's schema, on which nothing has happened yet.

    The test runs once on SQLite and once on PostgreSQL.
    """
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'test.db'}"
        current.make_current(url)
        yield url
        return
    copies: current.Copies = request.getfixturevalue("postgres_copies")
    with copies() as url:
        yield url


@pytest.fixture
def postgres_database_url(postgres_copies: current.Copies) -> Iterator[str]:
    """The same on PostgreSQL only; mark the test `postgres`."""
    with postgres_copies() as url:
        yield url


@pytest.fixture(params=EITHER)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any schema, of either kind: for what migrates it, or asks for it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
        return
    with postgres.fresh_database(request.getfixturevalue("postgres_url")) as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_url: str) -> Iterator[str]:
    """The same on PostgreSQL only; mark the test `postgres`."""
    with postgres.fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a real Redis, for use under `broker_prefix`; mark the test `redis`."""
    with redis_server.server() as url:
        yield url


@pytest.fixture
def own_redis() -> Iterator[redis_server.WheelServer]:
    """A Redis that nobody else uses, to be flushed and stopped; mark the test `redis`."""
    with redis_server.wheel_server() as server:
        yield server


@pytest.fixture(scope="session")
def amqp_url() -> str:
    """The URL of the RabbitMQ that was named; mark the test `rabbitmq`."""
    return rabbitmq.server()


_LEFT_OUT = pytest.StashKey[int]()
"""How many tests of RabbitMQ were not run for want of one."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a RabbitMQ its tests are taken out, and counted for the summary."""
    left_out = [] if rabbitmq.named() else [item for item in items if _needs_rabbitmq(item)]
    config.stash[_LEFT_OUT] = len(left_out)
    if left_out:
        items[:] = [item for item in items if not _needs_rabbitmq(item)]
        config.hook.pytest_deselected(items=left_out)


def _needs_rabbitmq(item: pytest.Item) -> bool:
    return item.get_closest_marker("rabbitmq") is not None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist tells the process that prints the summary."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = session.config.stash.get(_LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every worker collects the same tests, so one of them speaks for all."""
    output = getattr(node, "workeroutput", {})
    node.config.stash[_LEFT_OUT] = output.get("left_out", 0)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if left_out := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(f"{left_out} tests {rabbitmq.LEFT_OUT}", yellow=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real histories that lies beside the repository; it is not part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data is not here: it is looked for in ../shared/data")
    return SHARED_DATA


class NetworkClosed(Exception):
    """A test tried to reach, or to be reached from, another machine."""


def _only_this_machine(event: str, arguments: tuple[object, ...]) -> None:
    if event not in {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"}:
        return
    address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = address[0] if isinstance(address, tuple) else address
    if isinstance(address, tuple) or event == "socket.getaddrinfo":
        name = host.decode() if isinstance(host, bytes) else host
        if not _is_loopback(name):
            raise NetworkClosed(f"{event} with {host!r}: tests talk to this machine only")


def _is_loopback(host: object) -> bool:
    if host in {None, "localhost"}:
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


sys.addaudithook(_only_this_machine)

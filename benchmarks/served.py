"""A server in a process of its own, and a load on it from another: prepared bodies, four connections."""

from __future__ import annotations

import http.client
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks.measure import cpu_of

CONNECTIONS = 4
PATIENCE = 120.0  # seconds for a server to answer, or a queue to become empty
_STEP = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What posting took."""

    seconds: float  # from the first post until nothing was pending
    cpu_seconds: float  # of the processes that serve and work
    load_cpu_seconds: float  # of the process that posted
    latencies: list[float]  # seconds a request


@contextmanager
def begun(command: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process without a voice; it is ended by its id, also where it stands still."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def running(command: Sequence[str], environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """The process id and port of a server, once it answers; it is ended by its id."""
    port = _free_port()
    with begun([*command, "--port", str(port)], environment) as process:
        _await_answer(process, port)
        yield process.pid, port


def lifecycle_up() -> list[str]:
    return [sys.executable, "-m", "lifecycle", "up"]


def post_all(
    pids: Sequence[int], port: int, bodies: list[bytes], is_done: Callable[[], bool]
) -> Load:
    """Post every body and wait until `is_done`; raises where an answer is not 200."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    poster = spawn.Process(target=_post, args=(theirs, port, bodies))
    poster.start()
    ours.recv()  # it is connected, and waits
    before, started = cpu_of(*pids), time.perf_counter()
    ours.send("go")
    answer = ours.recv()
    failure, latencies, load_cpu = answer
    if failure is not None:
        raise RuntimeError(failure)
    await_done(is_done)
    seconds = time.perf_counter() - started
    used = cpu_of(*pids) - before
    poster.join()
    return Load(seconds=seconds, cpu_seconds=used, load_cpu_seconds=load_cpu, latencies=latencies)


def await_done(is_done: Callable[[], bool]) -> None:
    """Returns as soon as it is so, by a look every twenty milliseconds."""
    deadline = time.monotonic() + PATIENCE
    while not is_done():
        if time.monotonic() > deadline:
            raise TimeoutError("events are still pending")
        time.sleep(_STEP)


def _post(pipe: Connection, port: int, bodies: list[bytes]) -> None:
    share = [bodies[first::CONNECTIONS] for first in range(CONNECTIONS)]
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in share]
    for connection in connections:
        connection.connect()
    pipe.send("ready")
    pipe.recv()
    latencies: list[float] = []
    failures: list[str] = []

    def work(connection: http.client.HTTPConnection, mine: list[bytes]) -> None:
        for body in mine:
            asked = time.perf_counter()
            connection.request("POST", "/v1/events", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            latencies.append(time.perf_counter() - asked)
            if answer.status != http.HTTPStatus.OK:
                failures.append(f"{answer.status} {content[:300]!r}")
                return

    cpu = time.process_time()
    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(connections, share, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.send((failures[0] if failures else None, latencies, time.process_time() - cpu))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_answer(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the server does not answer")

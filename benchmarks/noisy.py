"""Does a key that posts without pause slow another one? The light key's p99 beside it, against its p99 alone.

The noisy key posts batches of a hundred over sixty-four connections and pays no heed to what it is
told, so that ten times its budget is offered. The light key posts an event at a time.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks import databases
from benchmarks.material import as_if_live, bodies, default_policy, simulated
from benchmarks.measure import Result, percentile
from benchmarks.served import lifecycle_up, running
from lifecycle.domain.scope import Scope
from lifecycle.engine import keys
from lifecycle.store.database import Database

NOISY_CONNECTIONS = 64
BUDGET = 500.0  # events a second, of the noisy key where it has one
PAUSE = 0.02  # seconds between two posts of the light key
RUN = "@noise"  # in the ids of prepared bodies, for that of each post
FLOOR = 2.0  # times: what the light key may be slowed by
_SPAWN = multiprocessing.get_context("spawn")


def run(scale: float) -> list[Result]:
    results: list[Result] = []
    for kind in databases.KINDS:
        results += _both(kind, max(int(1_000 * scale), 200))
    return results


@dataclass(frozen=True, slots=True, kw_only=True)
class _Noise:
    """What the noisy key got back."""

    seconds: float
    taken: int  # posts that were answered with 200
    refused: dict[int, int]  # by status

    @property
    def offered(self) -> float:
        """Events a second."""
        return 100 * (self.taken + sum(self.refused.values())) / self.seconds


def _both(kind: str, posts: int) -> Iterator[Result]:
    with databases.empty(kind) as url:
        light, budgeted, unlimited = _keys(url)
        with running(lifecycle_up(), {"LIFECYCLE_DATABASE_URL": url}) as (pid, port):
            _light(port, light, posts // 4, "warm")
            alone = _light(port, light, posts, "alone")
            for name, key in (("a noisy key", budgeted), ("one without a budget", unlimited)):
                before = _megabytes(pid)
                with _noise(port, key) as stop:
                    beside = _light(port, light, posts, name.replace(" ", "-"))
                    noise = stop()
                after = _megabytes(pid)
                yield _result(kind, name, alone, beside, noise, (before, after))


def _result(
    kind: str,
    name: str,
    alone: list[float],
    beside: list[float],
    noise: _Noise,
    memory: tuple[float, float],
) -> Result:
    p99s = [percentile(values, 0.99) * 1000 for values in (alone, beside)]
    return Result(
        name=f"p99 beside {name}, {kind}",
        what="× alone",
        rate=p99s[1] / p99s[0],
        count=len(beside),
        seconds=noise.seconds,
        floor=FLOOR if name == "a noisy key" else None,
        latency=True,
        notes=[
            (
                f"one event a post: p50 {percentile(alone, 0.5) * 1000:.1f} ms alone,"
                f" {percentile(beside, 0.5) * 1000:.1f} beside; p99 {p99s[0]:.1f} and {p99s[1]:.1f} ms;"
                f" the other one offered {noise.offered:,.0f} ev/s, of which"
                f" {100 * noise.taken / noise.seconds:,.0f} were taken (else {noise.refused});"
                f" memory {memory[0]:.0f} MB, then {memory[1]:.0f}"
            )
        ],
    )


def _keys(url: str) -> tuple[str, str, str]:
    db = Database.open(url)
    try:
        made = [
            keys.create(db, name, [Scope.EVENTS_WRITE], by="bench", events_per_second=rate).text
            for name, rate in (("light", None), ("noisy", BUDGET), ("unlimited", None))
        ]
    finally:
        db.close()
    return made[0], made[1], made[2]


def _headers(key: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}


def _light(port: int, key: str, posts: int, run: str) -> list[float]:
    """Seconds a post; raises where one is not answered with 200."""
    ours, theirs = _SPAWN.Pipe()
    poster = _SPAWN.Process(target=_post_lightly, args=(theirs, port, key, posts, run))
    poster.start()
    theirs.close()  # so that its end is heard of, however it comes
    found = ours.recv()
    poster.join()
    failure, latencies = found
    if failure is not None:
        raise RuntimeError(failure)
    return list(latencies)


def _post_lightly(pipe: Connection, port: int, key: str, posts: int, run: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    latencies = []
    for number in range(posts):
        body = (
            f'{{"events":[{{"id":"{run}-{number}","customer_id":"c{number % 50}","type":"order_paid",'
            '"properties":{"amount":"1.00"}}]}'
        )
        time.sleep(PAUSE)
        begun = time.perf_counter()
        connection.request("POST", "/v1/events", body, _headers(key))
        answer = connection.getresponse()
        said = answer.read()
        latencies.append(time.perf_counter() - begun)
        if answer.status != http.HTTPStatus.OK:
            pipe.send((f"the light key was answered {answer.status}: {said!r}", latencies))
            return
    pipe.send((None, latencies))


@contextmanager
def _noise(port: int, key: str) -> Iterator[Callable[[], _Noise]]:
    """Made while the block runs; it ends with the block, however that ends."""
    ours, theirs = _SPAWN.Pipe()
    poster = _SPAWN.Process(target=_post_without_pause, args=(theirs, port, key))
    poster.start()
    theirs.close()
    ours.recv()  # it is at full speed

    def stop() -> _Noise:
        ours.send("stop")
        noise: _Noise = ours.recv()
        return noise

    try:
        yield stop
    finally:
        ours.close()  # the end of the pipe is a word to stop, too
        poster.join()


def _post_without_pause(pipe: Connection, port: int, key: str) -> None:
    events = as_if_live(simulated(default_policy(), 50_000))
    prepared = bodies(events, RUN)
    stop, warm = threading.Event(), threading.Semaphore(0)
    counts: list[dict[int, int]] = [{} for _ in range(NOISY_CONNECTIONS)]

    def work(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for turn in itertools.count():
            if stop.is_set():
                return
            body = prepared[(number + turn * NOISY_CONNECTIONS) % len(prepared)]
            fresh = body.replace(RUN.encode(), f"{key[3:9]}-{number}-{turn}".encode())
            connection.request("POST", "/v1/events", fresh, _headers(key))
            answer = connection.getresponse()
            answer.read()
            counts[number][answer.status] = counts[number].get(answer.status, 0) + 1
            warm.release()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(NOISY_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for _ in range(2 * NOISY_CONNECTIONS):
        warm.acquire()
    for count in counts:
        count.clear()
    begun = time.perf_counter()
    pipe.send("ready")
    with contextlib.suppress(EOFError):  # nobody waits for the result any more
        pipe.recv()
    seconds = time.perf_counter() - begun
    stop.set()
    for thread in threads:
        thread.join()
    total: dict[int, int] = {}
    for count in counts:
        for status, number in count.items():
            total[status] = total.get(status, 0) + number
    with contextlib.suppress(BrokenPipeError):
        pipe.send(_Noise(seconds=seconds, taken=total.pop(200, 0), refused=total))


def _megabytes(pid: int) -> float:
    """Resident memory of a process; Linux only, else 0."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    lines = status.read_text(encoding="ascii").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(kilobytes) / 1024

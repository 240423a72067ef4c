"""What must be true in the end? Asked of the oracle and of a quiet run, neither of which saw a fault.

Both are asked by a process of their own, at the lowest priority, while the run goes on.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from lifecycle import policy as policy_file
from lifecycle.domain.event import Event
from lifecycle.domain.instant import instant_text
from lifecycle.domain.policy import Policy
from lifecycle.engine.digest import digest
from lifecycle.resources import config_dir
from tests.chaos.material import SETS, Material, in_set
from tests.oracle.digested import digested
from tests.oracle.oracle import oracle
from tests.support.engine import installation, post, work

SHIPPED_POLICY = config_dir() / "policy.yaml"
_NO_SET = "?"  # stands for the name of a set while the oracle is asked once for all of them
AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """What the events of a run lead to when nothing goes wrong."""

    digest: str
    seconds: float  # for everything, in one process, on SQLite


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Answers that are on their way."""

    quiet: Future[Quiet]
    oracle: Future[str]  # digest


@contextmanager
def expected(material: Material, until: datetime, sets: Sequence[str] = SETS) -> Iterator[Expected]:
    """Both are asked at once; they are waited for where they are read."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=_politely) as pool:
        try:
            yield Expected(
                quiet=pool.submit(quiet_run, material, until, sets),
                oracle=pool.submit(oracle_digest, material, until, sets),
            )
        finally:
            pool.shutdown(cancel_futures=True)


def _politely() -> None:
    os.nice(19)


def quiet_run(material: Material, until: datetime, sets: Sequence[str] = SETS) -> Quiet:
    """One process that has everything in order, and the clock already at the end."""
    events = sorted(material.of(sets), key=lambda event: event.key)
    text = SHIPPED_POLICY.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="lifecycle-quiet-") as folder:
        url = f"sqlite:///{Path(folder) / 'quiet.db'}"
        with installation(url, text, instant_text(until)) as inst:
            begun = time.perf_counter()
            for start in range(0, len(events), AT_ONCE):
                post(inst, *events[start : start + AT_ONCE])
            work(inst)
            seconds = time.perf_counter() - begun
            return Quiet(digest=digest(inst, until).hex, seconds=seconds)


def oracle_digest(material: Material, until: datetime, sets: Sequence[str] = SETS) -> str:
    """The digest of what the rules say, read by somebody else: each history is asked for once."""
    policy = policy_file.load(SHIPPED_POLICY).policy
    truths = {
        customer: _line(policy, [in_set(event, _NO_SET) for event in history], until)
        for customer, history in material.histories.items()
    }
    total = 0
    for name in sets:
        for line in truths.values():
            mine = line.replace(f"{_NO_SET}~".encode(), f"{name}~".encode())
            total += int.from_bytes(hashlib.sha256(mine).digest())
    return hashlib.sha256((total % 2**256).to_bytes(32)).hexdigest()


def _line(policy: Policy, history: Sequence[Event], until: datetime) -> bytes:
    """One customer, in the words of `lifecycle digest`."""
    told = digested(history[0].customer, oracle(policy, history, until))
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)

"""What do the processes of a run about sending do? One sends all that is due, one reports what came back.

A sender is the program's own `Engine` with its real sender, channel and texts; only waits are shorter,
and texts are filled in without a process of their own, as two more for each life would be most of it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from lifecycle.bootstrap import Engine, build
from lifecycle.engine import apply, feedback
from lifecycle.engine.sending import aftermath, claim, register
from lifecycle.engine.sending import sender as senders
from lifecycle.engine.sending.claim import Claims
from lifecycle.outreach.replies import News, Report
from lifecycle.outreach.secret import secret_of
from lifecycle.outreach.templates import child, renderer
from lifecycle.outreach.templates.catalogue import Template
from lifecycle.outreach.templates.press import Press
from lifecycle.settings import read_settings
from lifecycle.store.sql import both, texts
from tests.chaos.mail_world import REPORTED, TAKEN
from tests.support.engine import opened

SENDER, REPORTER = "sender", "reporter"
LEFT_SOMETHING = 71  # the exit code of a sender that was told to end, and left something as its own

LEASE = timedelta(seconds=2)
IN_FLIGHT_FOR = timedelta(seconds=4)  # the channel gives up on a letter after one
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=0.2), timedelta(seconds=1)
CRASHED_AFTER = timedelta(seconds=1)
RECLAIM_EVERY = 0.5  # seconds
IDLE = 0.05  # seconds without anything to do
AGAIN = 20  # reports that are made again by each new life

_MINE = both(
    "SELECT count(*) FROM message WHERE lease IN [texts] AND fate IN ('claimed', 'in_flight')"
)


def send() -> int:
    """Folds and sends until it is told to end; then, as promised, nothing of it is on its way."""
    _hurry()
    ending, tokens = threading.Event(), _remembering_tokens()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    with build(read_settings(), sends=True) as engine:
        try:
            _work(engine, ending)
        finally:
            engine.stop_sending()
        with engine.db.read() as tx:
            left: int = tx.value(_MINE, texts(tokens))
    return LEFT_SOMETHING if left else 0


def _work(engine: Engine, ending: threading.Event) -> None:
    reclaimed = 0.0
    while not ending.is_set():
        if time.monotonic() - reclaimed > RECLAIM_EVERY:
            engine.reclaim()
            reclaimed = time.monotonic()
        folded = engine.apply_batch().more
        if not (engine.deliver_batch() or folded):
            ending.wait(IDLE)


def _hurry() -> None:
    """As they are, no run would see the end of a lease; each stays longer than what it is to outlast."""
    claim.LEASE = LEASE
    register.IN_FLIGHT_FOR = IN_FLIGHT_FOR
    aftermath.FIRST_WAIT, aftermath.LONGEST_WAIT = FIRST_WAIT, LONGEST_WAIT
    apply.CRASHED_AFTER = CRASHED_AFTER
    renderer._Child = _Here  # type: ignore[assignment, misc]


def _remembering_tokens() -> set[str]:
    """Under which this process claims."""
    tokens: set[str] = set()
    claiming = claim.claim

    def remembered(*given: Any) -> Claims:
        claims = claiming(*given)
        tokens.update(taken.token for taken in claims.taken)
        return claims

    senders.claim = remembered  # type: ignore[attr-defined, assignment]
    return tokens


class _Here:
    """Fills texts in as the process for it does, in this one."""

    def __init__(self) -> None:
        self.alive = True
        self._press = Press()

    def ask(self, template: Template, request: dict[str, Any]) -> Any:
        sources = renderer._sources(template)
        return child._answer(self._press, {**request, "sources": sources})["filled"]

    def end(self) -> None:
        self.alive = False


# -- what comes back


def news_of(key: str) -> News | None:
    """Of one letter in eight there is news afterwards; of which, its key decides."""
    return _NEWS.get(hashlib.sha256(key.encode()).digest()[0] % 40)


_NEWS = dict(enumerate((News.HARD, News.SOFT, News.COMPLAINED, News.DELIVERED, News.POLICY)))


def in_the_news(log: Path) -> Iterator[str]:
    """The letters of which there is news, in the order in which the server took them, each once."""
    with log.open("rb") as file:
        whole = file.read().decode()
    lines = whole[: whole.rfind("\n") + 1].splitlines()
    for key in dict.fromkeys(line.partition("\t")[0] for line in lines):
        if news_of(key) is not None:
            yield key


def reported(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def report() -> int:
    """Hands on what there is news of, and begins with what those before had handed on last."""
    settings = read_settings()
    secret = secret_of(settings, make=False)
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    log, file = Path(os.environ[TAKEN]), Path(os.environ[REPORTED])
    before = reported(file)
    again, done = before[-AGAIN:], set(before)
    with opened(settings.database_url) as inst, file.open("a") as written:
        for key in again:
            feedback.take(inst, secret, _report(key))
        while not ending.is_set():
            for key in in_the_news(log):
                if key in done or ending.is_set():
                    continue
                feedback.take(inst, secret, _report(key))
                done.add(key)
                written.write(f"{key}\n")
                written.flush()
            ending.wait(IDLE)
    return 0


def _report(key: str) -> Report:
    news = news_of(key)
    assert news is not None
    return Report(news=news, code="5.1.1", letters=(key,), channel="email")


ROLES: dict[str, Callable[[], int]] = {SENDER: send, REPORTER: report}

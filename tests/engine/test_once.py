"""The same request under the same key gets the same answer, whoever asks when, and nothing happens twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from lifecycle.domain.event import Event
from lifecycle.engine.accept import Accepted, Result
from lifecycle.engine.installation import Installation
from lifecycle.engine.once import (
    KEPT_FOR,
    Answer,
    Keyed,
    Name,
    Outcome,
    Post,
    accept_posts,
    answered,
)
from lifecycle.errors import Problem
from lifecycle.killpoints import Point
from lifecycle.store import idempotency
from tests.conftest import ROOT
from tests.scenarios.driver import order
from tests.support.engine import draft, installation, opened, pending
from tests.support.engine import post as store


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url) as found:
        yield found


def name(key: str = "k", principal: str = "") -> Name:
    return Name(principal, "POST /v1/events", key)


def told(results: Sequence[Result]) -> Answer | None:
    """In one word an event, as the web says more; nothing is kept of conflicts alone."""
    words = [type(result).__name__ for result in results]
    return None if set(words) == {"Conflict"} else Answer("sha", 200, " ".join(words))


def keyed(*events: Event, key: str = "k", principal: str = "", sha: str = "sha") -> Post:
    def answer(results: Sequence[Result]) -> Answer | None:
        found = told(results)
        return None if found is None else found._replace(request_sha256=sha)

    by = Keyed(name=name(key, principal), request_sha256=sha, answer=answer)
    return Post(drafts=[draft(event) for event in events], keyed=by)


def plain(*events: Event) -> Post:
    return Post(drafts=[draft(event) for event in events])


def kinds(outcome: Outcome) -> list[str] | str:
    """What became of each event; or the answer of before; or the code of the problem."""
    if isinstance(outcome, Problem):
        return outcome.code
    return (
        outcome.body if isinstance(outcome, Answer) else [type(each).__name__ for each in outcome]
    )


def asked(inst: Installation, *posts: Post) -> list[list[str] | str]:
    return [kinds(outcome) for outcome in accept_posts(inst, posts)]


def test_a_repeat_gets_the_answer_of_the_first(inst: Installation) -> None:
    """`Accepted`, not `Duplicate`: to whoever asks again the first answer may have been lost."""
    assert asked(inst, keyed(order(0, "A"), order(1, "B"))) == [["Accepted", "Accepted"]]
    assert asked(inst, keyed(order(0, "A"), order(1, "B"))) == ["Accepted Accepted"]
    assert answered(inst, name(), "sha") == Answer("sha", 200, "Accepted Accepted")
    assert asked(inst, plain(order(0, "A"))) == [["Duplicate"]], "without the key it is one"
    assert pending(inst) == ["A", "B"]


def test_another_body_under_the_key_is_refused_and_changes_nothing(inst: Installation) -> None:
    asked(inst, keyed(order(0, "A")))
    assert asked(inst, keyed(order(1, "B"), sha="other")) == ["idempotency_mismatch"]
    with pytest.raises(Problem) as raised:
        answered(inst, name(), "other")
    assert (raised.value.status, raised.value.code) == (422, "idempotency_mismatch")
    assert answered(inst, name(), "sha") is not None
    assert pending(inst) == ["A"]


def test_each_post_of_a_commit_is_judged_by_its_own_key(inst: Installation) -> None:
    """Those that were answered before, and those that are refused, keep no other out."""
    asked(inst, keyed(order(0, "A"), key="old"))
    outcomes = asked(
        inst,
        plain(order(1, "B")),
        keyed(order(0, "A"), key="old"),
        keyed(order(2, "C"), order(0, "A"), key="new"),
        keyed(order(3, "D"), key="old", sha="other"),
        plain(order(1, "B"), order(4, "E")),
    )
    assert outcomes == [
        ["Accepted"],
        "Accepted",
        ["Accepted", "Duplicate"],
        "idempotency_mismatch",
        ["Duplicate", "Accepted"],
    ]
    assert pending(inst) == ["A", "B", "C", "E"]
    assert asked(inst, keyed(order(2, "C"), order(0, "A"), key="new")) == ["Accepted Duplicate"]


def test_a_commit_of_repeats_alone_stores_nothing(inst: Installation) -> None:
    asked(inst, keyed(order(0, "A")))
    assert asked(inst, keyed(order(0, "A")), keyed(order(0, "A"))) == ["Accepted"] * 2


def test_twins_in_one_commit_are_told_to_come_again(inst: Installation) -> None:
    """Whatever they hold: the answer to the first is not known before it is durable."""
    first, second = accept_posts(inst, [keyed(order(0, "A")), keyed(order(0, "A"))])
    assert kinds(first) == ["Accepted"]
    assert isinstance(second, Problem)
    assert (second.status, second.code, second.retry_after) == (409, "in_progress", 1)
    assert asked(inst, keyed(order(0, "A"))) == ["Accepted"]


def test_each_sender_has_keys_of_its_own(inst: Installation) -> None:
    assert asked(inst, keyed(order(0, "A"), principal="a")) == [["Accepted"]]
    assert asked(inst, keyed(order(0, "A"), principal="b")) == [["Duplicate"]]
    assert answered(inst, name(), "sha") is None


def test_what_was_refused_may_be_mended_under_its_key(inst: Installation) -> None:
    store(inst, order(0, "A"))
    forged = order(0, "A", amount="99")
    assert asked(inst, keyed(forged, sha="forged")) == [["Conflict"]]
    assert asked(inst, keyed(order(1, "B"), sha="mended")) == [["Accepted"]]


def test_an_answer_is_kept_for_a_day_of_real_time(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's clock, which stands still here, has no say. Then the key may be used anew."""
    with inst.db.read() as tx:
        begun = inst.db.clock(tx)
    assert timedelta(hours=24) <= KEPT_FOR
    asked(inst, keyed(order(0, "A")))
    monkeypatch.setattr(inst.db, "clock", lambda _: begun + timedelta(hours=24))
    assert answered(inst, name(), "sha") is not None
    later = begun + KEPT_FOR + timedelta(minutes=5)
    monkeypatch.setattr(inst.db, "clock", lambda _: later)
    assert answered(inst, name(), "other") is None
    assert asked(inst, keyed(order(0, "A"), order(1, "B"), sha="other")) == [
        ["Duplicate", "Accepted"]
    ]
    assert answered(inst, name(), "other") is not None


# -- two at once


@contextmanager
def in_hand(url: str, taken: Name) -> Iterator[None]:
    """Another process is in the middle of the transaction of a request with that name."""
    with opened(url) as inst, inst.db.write() as tx:
        assert idempotency.lock(tx, [taken]) == {taken}
        yield


@pytest.mark.postgres
def test_a_twin_on_another_process_is_told_to_come_again_and_nobody_waits(
    postgres_database_url: str,
) -> None:
    with installation(postgres_database_url) as inst:
        with in_hand(postgres_database_url, name()):
            both = asked(inst, keyed(order(0, "A")), keyed(order(1, "B"), key="other"))
            assert both == ["in_progress", ["Accepted"]]
            assert pending(inst) == ["B"]
        assert asked(inst, keyed(order(0, "A"))) == [["Accepted"]]


def test_of_twins_at_once_one_is_stored_and_all_get_its_answer(inst: Installation) -> None:
    """Eight senders that repeat themselves until they are answered."""
    _twins(inst, inst)


@pytest.mark.postgres
def test_of_twins_on_two_processes_one_is_stored_too(postgres_database_url: str) -> None:
    with installation(postgres_database_url) as one, opened(postgres_database_url) as two:
        _twins(one, two)


def _twins(one: Installation, two: Installation) -> None:
    answers: list[list[str] | str] = []
    barrier = threading.Barrier(8)

    def send(inst: Installation) -> None:
        barrier.wait()
        for number in range(10):
            twin = keyed(order(number, f"e{number}"), key=str(number))
            while (found := asked(inst, twin)[0]) == "in_progress":
                pass
            answers.append(found)

    threads = [threading.Thread(target=send, args=(inst,)) for inst in (one, two) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(pending(one)) == sorted(f"e{number}" for number in range(10))
    assert answers.count(["Accepted"]) == 10
    assert answers.count("Accepted") == 70


# -- ends in the middle

DYING = """
import os, signal, sys
from lifecycle import killpoints
from tests.engine.test_once import keyed
from tests.scenarios.driver import order
from tests.support.engine import opened
from lifecycle.engine.once import accept_posts

def die(point):
    if point == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

with opened(sys.argv[1]) as inst:
    killpoints.arm(die)
    accept_posts(inst, [keyed(order(0, "A"))])
    die("after the commit")
"""


@pytest.mark.parametrize(
    ("point", "then"),
    [(Point.INTAKE_BEFORE_COMMIT.value, ["Accepted"]), ("after the commit", "Accepted")],
)
def test_a_process_that_is_killed_leaves_no_key_in_use(
    inst: Installation, database_url: str, point: str, then: Any
) -> None:
    """Before the commit nothing has happened; after it, everything has, and the answer is there."""
    if database_url.startswith("sqlite"):
        inst.db.close()
    died = subprocess.run([sys.executable, "-c", DYING, database_url, point], cwd=ROOT, check=False)
    assert died.returncode == -signal.SIGKILL
    with opened(database_url) as again:
        # On PostgreSQL the server has to notice that nobody is there any more.
        while (found := asked(again, keyed(order(0, "A")))) == ["in_progress"]:
            os.sched_yield()
        assert found == [then]
        assert pending(again) == ["A"]


def test_a_commit_whose_answer_is_lost_answers_as_if_it_had_not_been(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit runs again, and finds what it has kept: `Accepted`, where else it were a duplicate."""
    lost: list[Exception] = [psycopg.OperationalError("server closed the connection")]
    if inst.db.dialect == "sqlite":
        lost = [sqlite3.OperationalError("database is locked")]
        lost[0].sqlite_errorcode = 5  # type: ignore[attr-defined]
    write = inst.db._backend.write

    @contextmanager
    def cut(*, long: bool) -> Iterator[Any]:
        with write(long=long) as tx:
            yield tx
        if lost:
            raise lost.pop()

    monkeypatch.setattr(inst.db._backend, "write", cut)
    assert asked(inst, keyed(order(0, "A")), plain(order(1, "B"))) == ["Accepted", ["Duplicate"]]
    assert lost == []


def test_what_cannot_be_answered_is_not_stored(inst: Installation) -> None:
    """A defect in telling the answer undoes the events: there is never one without the other."""

    def fails(results: Sequence[Result]) -> Answer | None:
        assert [type(result) for result in results] == [Accepted]
        raise RuntimeError("on purpose")

    broken = Keyed(name=name(), request_sha256="sha", answer=fails)
    with pytest.raises(RuntimeError, match="on purpose"):
        accept_posts(inst, [Post(drafts=[draft(order(0, "A"))], keyed=broken)])
    assert pending(inst) == []
    assert asked(inst, keyed(order(0, "A"))) == [["Accepted"]]

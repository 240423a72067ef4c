"""What a hook says of customers becomes events where it changed; what it does wrong changes nothing."""

from __future__ import annotations

import os
import re
import signal
import textwrap
from collections.abc import Callable, Iterator
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from lifecycle.bootstrap import _nightly
from lifecycle.domain.event import OUR_SOURCE, SCORED, Event
from lifecycle.engine import scoring
from lifecycle.engine.installation import Installation
from lifecycle.engine.night import Nights, recent
from lifecycle.engine.reading import customer
from lifecycle.engine.scoring import Scoring
from lifecycle.engine.verify import verify
from lifecycle.settings import NightTime, Settings
from lifecycle.store import customers, events
from lifecycle.store.schedule import Run
from lifecycle.store.sql import both
from tests.scenarios.driver import ANNA, day, happened, order
from tests.support.engine import (
    arrive,
    installation,
    of,
    opened,
    pending,
    set_clock,
    state,
    work,
)
from tests.workers.queues import until

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "scoring.md"
POLICY = """\
version: 1
timezone: UTC
currency: CNY
attributes: {tier: text, rank: int, share: number, worth: money, strategic: bool, birthday: date}
states: {potential: {initial: true}, deal: {}, loyal: {final: true}}
events:
  order_paid: {properties: {amount: money, currency: currency}, interaction: true}
facts:
  orders: {count: order_paid}
  revenue: {sum: order_paid.amount}
  last_order_at: {last: order_paid}
  usual_gap: {gap: order_paid, quantile: 0.5}
transitions:
  - {name: first, on: order_paid, from: potential, to: deal}
  - {name: loyal, on: order_paid, from: deal, to: loyal, when: tier == "gold"}
"""
AT_THREE = NightTime(at=time(3))
TWO = [order(1), *of("bert", order(2))]


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    """Anna has ordered on the first day and Bert on the second; it is noon of the tenth."""
    with installation(database_url, POLICY) as made:
        set_clock(made, day(9.5))
        arrive(made, *TWO)
        yield made


Score = Callable[..., Run]


@pytest.fixture
def score(inst: Installation, tmp_path: Path) -> Score:
    """Has a function `scores(customers, at)` of this body called in a further night."""

    def run(body: str, *, limit: timedelta = timedelta(seconds=60)) -> Run:
        source = f"def scores(customers, at):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
        (tmp_path / "hooks.py").write_text(source, encoding="utf-8")
        with inst.db.read() as tx:
            set_clock(inst, inst.now(tx) + timedelta(days=1))
        job = Scoring(inst, "hooks:scores", tmp_path, limit)
        Nights(inst, AT_THREE, [job]).work()
        return recent(inst, 1)[0]

    return run


def scored(inst: Installation, key: str = ANNA) -> list[Event]:
    with inst.db.read() as tx:
        hers = customers.find(tx, key)
        history = dict(events.histories(tx, [hers])).get(hers, [])
        waiting = events.pending_of(tx, [hers]).get(hers, [])
    found = {stored.event.id: stored.event for stored in [*history, *waiting]}
    return [event for event in found.values() if event.type == SCORED]


def attributes(inst: Installation, key: str = ANNA) -> dict[str, Any]:
    work(inst)
    return dict(customer(inst, key).attributes)


# -- what it says ------------------------------------------------------------------------------


def test_a_score_reaches_the_guards_of_later_events(inst: Installation, score: Score) -> None:
    run = score('yield "anna", {"tier": "gold"}')
    assert (run.failed, run.outcome) == (False, "scored: 1, with a new score: 1")
    assert attributes(inst) == {"tier": "gold"}
    assert attributes(inst, "bert") == {}
    later = [order(10.6)]
    set_clock(inst, day(10.7))
    arrive(inst, *later, *of("bert", *later))
    assert (state(inst), state(inst, "bert")) == ("loyal", "deal")
    assert verify(inst) == []


def test_nothing_is_written_beside_the_function(
    inst: Installation, score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Python would keep there is taken for the module still when that is edited within a second."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    before = set(tmp_path.rglob("*"))
    score('yield "anna", {"tier": "gold"}')
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "hooks.py"}


def test_an_event_is_stored_only_where_a_score_has_changed(
    inst: Installation, score: Score
) -> None:
    score('yield "anna", {"tier": "gold", "rank": 1}')
    assert attributes(inst) == {"tier": "gold", "rank": 1}
    again = score('yield "anna", {"tier": "gold", "rank": 1}')
    assert again.outcome == "scored: 1, with a new score: 0"
    score('yield "anna", {"tier": "gold", "rank": 2}')
    score('yield "anna", {"tier": None}')
    assert attributes(inst) == {"rank": 2}
    told = [(event.id, event.properties["attributes"]) for event in scored(inst)]
    assert told == [
        ("scoring:2026-01-11:anna", {"tier": "gold", "rank": 1}),
        ("scoring:2026-01-13:anna", {"rank": 2}),
        ("scoring:2026-01-14:anna", {"tier": None}),
    ]
    assert {event.source for event in scored(inst)} == {OUR_SOURCE}


def test_scores_of_every_type_are_stored_as_attributes_are(
    inst: Installation, score: Score
) -> None:
    score(
        """
        from decimal import Decimal
        yield "anna", {"tier": "金", "rank": 3, "share": 0.25, "worth": Decimal("12.50"), "strategic": True}
        """
    )
    assert attributes(inst) == {
        "tier": "金",
        "rank": 3,
        "share": "0.25",
        "worth": "12.5",
        "strategic": True,
    }


def test_the_last_write_wins_whoever_wrote_it(inst: Installation, score: Score) -> None:
    score('yield "anna", {"tier": "gold"}')
    work(inst)
    set_clock(inst, day(10.8))
    arrive(inst, happened("profile_changed", 10.7, attributes={"tier": "none"}))
    assert attributes(inst) == {"tier": "none"}
    score('yield "anna", {"tier": "gold"}')
    assert attributes(inst) == {"tier": "gold"}
    assert verify(inst) == []


def test_a_hook_sees_everybody_in_order_and_can_change_nothing(
    inst: Installation, score: Score
) -> None:
    """Facts are as guards see them, of the instant of the night."""
    arrive(inst, order(5), happened("tag_added", 6, tag="vip"))
    run = score(
        """
        from datetime import UTC, datetime, timedelta
        anna, bert = customers
        assert (anna.key, bert.key) == ("anna", "bert")
        assert at == datetime(2026, 1, 11, 12, tzinfo=UTC)
        assert anna.state == "deal" and anna.tags == ("vip",) and dict(anna.attributes) == {}
        assert dict(anna.facts) == {
            "orders": 2, "revenue": 20.0, "usual_gap": timedelta(days=4),
            "last_order_at": datetime(2026, 1, 6, tzinfo=UTC),
        }
        assert bert.facts["usual_gap"] is None
        for change in (
            lambda: anna.facts.update(orders=9),
            lambda: setattr(anna, "state", "loyal"),
            lambda: anna.attributes.__setitem__("tier", "gold"),
        ):
            try:
                change()
            except (AttributeError, TypeError):
                continue
            raise AssertionError("it was changed")
        return []
        """
    )
    assert (run.failed, run.outcome) == (False, "scored: 0, with a new score: 0")


def test_the_example_of_the_document_scores_as_it_says(inst: Installation, tmp_path: Path) -> None:
    """It is written to a file and named as the document says."""
    document = DOCUMENT.read_text("utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    (tmp_path / "scoring.py").write_text(example, "utf-8")
    bought = {"c1": 1, "c2": 3, "c3": 9}
    for key, orders in bought.items():
        arrive(inst, *of(key, *(order(n / 2, f"{key}-{n}", "50") for n in range(orders + 1))))
    settings = Settings(database_url="", config_dir=tmp_path, scoring="scoring:tiers")
    assert Nights(inst, AT_THREE, list(_nightly(inst, settings))).work() == 2
    told = {key: attributes(inst, key)["tier"] for key in ("anna", "bert", *bought)}
    assert told == {
        "anna": "bronze",
        "bert": "bronze",
        "c1": "bronze",
        "c2": "silver",
        "c3": "gold",
    }
    assert verify(inst) == []


def test_many_are_scored_in_several_transactions_which_are_one_to_whoever_asks_again(
    inst: Installation, score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "AT_ONCE", 2)
    monkeypatch.setattr(scoring, "PAGE", 3)
    arrive(inst, *(event for n in range(8) for event in of(f"c{n}", order(3))))
    run = score('yield from ((each.key, {"tier": each.key}) for each in customers)')
    assert run.outcome == "scored: 10, with a new score: 10"
    assert {attributes(inst, f"c{n}")["tier"] for n in range(8)} == {f"c{n}" for n in range(8)}


def test_a_second_try_of_a_night_stores_no_second_event(
    inst: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one ended after it had stored something: that stays, although the second says otherwise."""
    monkeypatch.setattr(scoring, "AT_ONCE", 1)
    hook = tmp_path / "hooks.py"
    hook.write_text(
        'def scores(c, at):\n    yield "anna", {"tier": "gold"}\n    yield "bert", {"rank": 1}\n'
    )
    interrupted = Interrupted(inst, "hooks:scores", tmp_path)
    Nights(inst, AT_THREE, [interrupted]).work()
    assert (len(scored(inst)), len(scored(inst, "bert"))) == (1, 0)
    with inst.db.write() as tx:
        tx.run(both("UPDATE schedule_run SET lease_until = ?"), tx.to_db(day(0)))
    set_clock(inst, day(9.6))
    hook.write_text(
        'def scores(c, at):\n    yield "anna", {"tier": "iron"}\n    yield "bert", {"rank": 1}\n'
    )
    Nights(inst, AT_THREE, [Scoring(inst, "hooks:scores", tmp_path)]).work()
    assert recent(inst, 1)[0].outcome == ("scored: 2, with a new score: 1, by an earlier try: 1")
    assert (attributes(inst), attributes(inst, "bert")) == ({"tier": "gold"}, {"rank": 1})
    assert verify(inst) == []


class Interrupted(Scoring):
    """It fails once the first score is stored."""

    def _store(self, *given: Any) -> int:
        if len(scored(self._inst)):
            raise MemoryError
        return super()._store(*given)


# -- what it does wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            'yield "bert", {"tier": "gold"}\nraise ValueError("no model")',
            "hooks:scores raised ValueError: no model (hooks.py:3 scores); no score was changed",
        ),
        ("raise SystemExit(3)", "hooks:scores raised SystemExit: 3 (hooks.py:2 scores);"),
        ("return 3", "hooks:scores answered 3 (int); allowed: pairs"),
        (
            'return {"anna": {"tier": "gold"}}',
            "hooks:scores answered {'anna': {'tier': 'gold'}} (dict)",
        ),
        ("yield 3", "hooks:scores answered 3 (int); allowed: pairs such as"),
        (
            'yield "anna", "gold"',
            "hooks:scores answered ('anna', 'gold') (tuple); allowed: pairs such as",
        ),
        (
            'yield "anna", {"share": float("nan")}',
            "gave 'anna' share = nan (float); allowed: text,",
        ),
        ('yield "anna", {"tier": ["gold"]}', "gave 'anna' tier = ['gold'] (list); allowed: text,"),
        ('yield "anna", {3: "gold"}', "gave 'anna' a score called 3 (int); allowed: names"),
        ('yield "carl", {"tier": "gold"}', "gave scores to a customer who is not there: 'carl'"),
        (
            'yield "bert", {"tier": "a"}\nyield "anna", {}\nyield "bert", {"tier": "b"}',
            "gave scores to a customer twice: 'bert'",
        ),
        (
            'yield "bert", {"tier": "gold"}\nyield "anna", {"teir": "gold"}',
            "gave 'anna' scores that are refused at /attributes/teir: there is no attribute \"teir\" here",
        ),
        ('yield "anna", {"rank": "high"}', "refused at /attributes/rank:"),
        (
            'yield "anna", {"birthday": "2000-01-01"}',
            (
                "gave 'anna' the attribute 'birthday', which is a date; allowed as scores: attributes of the"
                " types bool, int, money, number, text; no score was changed"
            ),
        ),
        (
            'import os\nprint("out of luck", flush=True)\nos._exit(7)',
            "ended with exit code 7 before it had answered; no score was changed. It said: out of luck",
        ),
        ("import os\nos.kill(os.getpid(), 9)", "ended with signal 9 before it had answered"),
    ],
)
def test_what_a_hook_does_wrong_is_told_and_nothing_is_changed(
    inst: Installation, score: Score, body: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = score(body)
    assert run.outcome is not None
    assert said in run.outcome
    assert "no score was changed" in run.outcome
    assert (run.failed, run.finished_at) == (True, None), "it is tried again"
    assert pending(inst) == []
    assert (scored(inst), scored(inst, "bert")) == ([], [])
    assert "scoring of the night of 2026-01-11 failed, try 1 of 5" in caplog.text
    assert "anna" not in " ".join(caplog.messages)


def test_a_hook_that_hangs_is_ended(inst: Installation, score: Score, tmp_path: Path) -> None:
    """Its process is gone, so that it eats no processor for the rest of the night."""
    run = score(
        f"""
        import os, pathlib
        pathlib.Path({str(tmp_path / "process")!r}).write_text(str(os.getpid()))
        while True:
            pass
        """,
        limit=timedelta(seconds=2),
    )
    assert run.outcome == (
        "hooks:scores had not answered after 0:00:02, and was ended; no score was changed"
    )
    process = (tmp_path / "process").read_text()
    assert not Path("/proc", process).exists()


@pytest.mark.parametrize(
    "end",
    [
        "while True: pass",
        'raise ValueError("no model")',
        "os.kill(os.getpid(), 9)",
        'yield "anna", {"tier": "gold"}',
    ],
    ids=["hangs", "raises", "killed", "answers"],
)
def test_what_a_hook_has_started_ends_with_it(
    inst: Installation, score: Score, tmp_path: Path, end: str
) -> None:
    """As with a pool of processes: none goes on for the rest of the night, however the hook ended."""
    started = tmp_path / "started"
    score(f"{starting(started)}\n{end}", limit=timedelta(seconds=2))
    until(lambda: is_gone(int(started.read_text())), "what it has started is gone")


@pytest.mark.postgres
def test_a_hook_whose_engine_is_killed_ends_with_what_it_has_started(
    postgres_database_url: str, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    body = textwrap.indent(f"{starting(started)}\ntime.sleep(600)", "    ")
    (tmp_path / "hooks.py").write_text(f"import time\ndef scores(customers, at):\n{body}\n")
    with installation(postgres_database_url, POLICY) as made:
        set_clock(made, day(9.5))
        arrive(made, *TWO)
    engine = os.fork()
    if not engine:
        try:
            with opened(postgres_database_url) as inst:
                Nights(inst, AT_THREE, [Scoring(inst, "hooks:scores", tmp_path)]).work()
        finally:
            os._exit(70)
    until(started.exists, "the hook has begun")
    os.kill(engine, signal.SIGKILL)
    os.waitpid(engine, 0)
    until(lambda: is_gone(int(started.read_text())), "what it has started is gone")


def starting(told: Path) -> str:
    """Code of a hook that starts a process, whose number a file says."""
    return textwrap.dedent(
        f"""\
        import os, pathlib, subprocess
        number = subprocess.Popen(["sleep", "600"]).pid
        half = pathlib.Path({str(told)!r} + ".half")
        half.write_text(str(number))
        half.rename({str(told)!r})"""
    )


def is_gone(process: int) -> bool:
    """Nobody need have asked how an orphan ended."""
    try:
        return bool(psutil.Process(process).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_what_a_hook_prints_is_no_answer(inst: Installation, score: Score) -> None:
    run = score('print(\'["bert", {"tier": "gold"}]\')\nyield "anna", {"tier": "gold"}')
    assert (run.failed, attributes(inst, "bert")) == (False, {})


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("nowhere:scores", "there is no module 'nowhere', neither in "),
        ("json:scores", "the module 'json' has no function 'scores'"),
        ("broken:scores", "broken:scores raised ModuleNotFoundError: No module named 'numpi'"),
    ],
)
def test_a_hook_that_cannot_be_loaded_is_told(
    inst: Installation, tmp_path: Path, hook: str, said: str
) -> None:
    """A module that another one lacks is not taken for the one that was named."""
    (tmp_path / "broken.py").write_text("import numpi\n")
    Nights(inst, AT_THREE, [Scoring(inst, hook, tmp_path)]).work()
    assert said in str(recent(inst, 1)[0].outcome)


def test_nobody_else_waits_for_a_hook_and_a_stop_ends_it(
    inst: Installation, tmp_path: Path
) -> None:
    """The job is given back: nothing failed."""
    (tmp_path / "hooks.py").write_text(
        "import pathlib, time\n"
        f"def scores(customers, at):\n    pathlib.Path({str(tmp_path / 'begun')!r}).touch()\n"
        "    time.sleep(600)\n"
    )
    nights = Nights(inst, AT_THREE, [Stopping(inst, "hooks:scores", tmp_path)])
    Stopping.stop = nights.stop
    assert nights.work() == 0
    run = recent(inst, 1)[0]
    assert (run.outcome, run.finished_at) == ("stopped with its process", None)


class Stopping(Scoring):
    """Its process is told to end when the customers have been read."""

    stop: Callable[[], None]

    def _pages(self, *given: Any) -> Iterator[list[tuple[Any, ...]]]:
        yield from super()._pages(*given)
        arrive(self._inst, *of("carl", order(4)))
        Stopping.stop()

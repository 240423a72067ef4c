"""A file of history is held until its last row, folded once, and sends nothing of the past."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lifecycle.domain.event import Event
from lifecycle.domain.fate import Fate
from lifecycle.engine import imports, rehearsal
from lifecycle.engine.accept import Conflict
from lifecycle.engine.digest import Digest, digest
from lifecycle.engine.fates import IMPORTED, SUPERSEDED
from lifecycle.engine.imports import ImportReport, Row, run_import
from lifecycle.engine.installation import Installation
from lifecycle.engine.verify import verify
from lifecycle.errors import NotReady
from lifecycle.intake.draft import Draft
from lifecycle.intake.row_reader import Skipped
from lifecycle.intake.rows import RowProblem
from lifecycle.store import runs
from lifecycle.store.sql import both
from tests.policies import scenario_policy
from tests.scenarios.driver import closed, day, order, page
from tests.support.engine import (
    arrive,
    draft,
    installation,
    made,
    message_rows,
    of,
    opened,
    pending,
    planned,
    post,
    reach,
    set_clock,
    state,
)

POLICY = scenario_policy(
    outreach=["{name: thanks, on: {event: order_paid}, channels: [sms], expires: 30d}"]
)
ODD = RowProblem(line=3, column="amount", code="amount_format", message="no amount")
BLANK = Skipped(line=4, reason="no customer")


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    """On day 200, long after what the files tell of."""
    with installation(database_url, POLICY) as found:
        set_clock(found, day(200))
        yield found


@pytest.fixture
def quiet(tmp_path: Path) -> Callable[..., Digest]:
    """The digest at day 200 where everything arrived at once, by a post."""

    def run(*events: Event) -> Digest:
        with installation(f"sqlite:///{tmp_path / 'quiet.db'}", POLICY) as other:
            set_clock(other, day(200))
            arrive(other, *events)
            return digest(other, day(200))

    return run


def rows(*given: Event | RowProblem | Skipped) -> list[Row]:
    return [draft(row) if isinstance(row, Event) else row for row in given]


def bring(
    inst: Installation, *given: Event | RowProblem | Skipped, effects: bool = False
) -> ImportReport:
    return run_import(inst, "a.csv", "a digest", lambda: rows(*given), effects=effects)


def stored(inst: Installation) -> int:
    with inst.db.read() as tx:
        count: int = tx.value(both("SELECT count(*) FROM event"))
        return count


# -- held, then folded once --------------------------------------------------------------------


def test_an_import_is_held_until_its_last_row_and_each_customer_folded_once(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile nobody is moved by half a history, and no digest is given."""
    monkeypatch.setattr(imports, "BATCH", 2)
    file = [order(0), *of("bob", order(0)), order(10), order(20), *of("bob", order(5))]

    def read() -> Iterator[Row]:
        for event in file:
            yield draft(event)
            post(inst, *of("carl", event))  # a sign of life between any two rows
            arrive(inst)
            if stored(inst) > 6:  # two of the file, at least, are in by now
                assert state(inst) == "potential"
                with pytest.raises(NotReady, match="pending: apply them first"):
                    digest(inst, day(200))

    report = run_import(inst, "a.csv", "digest", read, accept_valid=True)
    assert report.accepted == 5
    assert report.applied.customers == 2
    assert report.applied.events == 5
    assert state(inst) == "churned"
    assert made(inst)[:2] == [("first", 0), ("loyal", 20)]
    assert pending(inst) == []
    assert verify(inst) == []


def test_an_import_ends_in_the_truth_of_a_post(
    inst: Installation, quiet: Callable[..., Digest]
) -> None:
    events = [order(20), order(0), page(100), order(10), *of("bob", order(3), closed(4))]
    bring(inst, *events)
    assert digest(inst, day(200)) == quiet(*events)


def test_live_events_of_the_same_customers_may_come_before_meanwhile_and_after(
    inst: Installation, monkeypatch: pytest.MonkeyPatch, quiet: Callable[..., Digest]
) -> None:
    """The live ones are applied at once; the history that comes later is late, and is refolded."""
    monkeypatch.setattr(imports, "BATCH", 1)
    before, meanwhile, after = order(150, "before"), order(170, "meanwhile"), page(190)
    file = [order(0), order(10), order(100)]

    def read() -> Iterator[Row]:
        for event in file:
            yield draft(event)
            arrive(inst, meanwhile)
            assert made(inst)[:1] == [("first", 150)]

    arrive(inst, before)
    run_import(inst, "a.csv", "digest", read, accept_valid=True)
    arrive(inst, after)
    assert made(inst)[0] == ("first", 0)
    assert verify(inst) == []
    assert digest(inst, day(200)) == quiet(before, meanwhile, after, *file)


# -- what the past would have sent -------------------------------------------------------------


def test_what_the_past_would_have_sent_is_withheld(inst: Installation) -> None:
    """Every message planned before the import ended, also by checks that fired in it."""
    report = bring(inst, order(0), order(199))
    assert (report.applied.messages, report.applied.fates) == (3, {Fate.WITHHELD: 3})
    assert planned(inst) == [
        ("thanks", 0, Fate.WITHHELD, IMPORTED),
        ("win-back", 60, Fate.WITHHELD, IMPORTED),
        ("thanks", 199, Fate.WITHHELD, IMPORTED),
    ]
    reach(inst, day(260))
    arrive(inst, order(260))
    assert planned(inst)[3:] == [
        ("win-back", 259, Fate.QUEUED, None),
        ("thanks", 260, Fate.QUEUED, None),
    ]


def test_with_effects_what_has_not_expired_is_sent(inst: Installation) -> None:
    report = bring(inst, order(0), order(199), effects=True)
    assert (report.applied.messages, report.applied.fates) == (
        3,
        {Fate.EXPIRED: 2, Fate.QUEUED: 1},
    )
    assert planned(inst) == [
        ("thanks", 0, Fate.EXPIRED, None),
        ("win-back", 60, Fate.EXPIRED, None),
        ("thanks", 199, Fate.QUEUED, None),
    ]


def test_a_live_message_that_an_import_overturns_is_cancelled(inst: Installation) -> None:
    """She was seen a day later than we knew; a day later the message is caused anew, and live."""
    set_clock(inst, day(100))
    arrive(inst, order(40))
    assert planned(inst)[1] == ("win-back", 100, Fate.QUEUED, None)
    bring(inst, page(41))
    assert planned(inst) == [
        ("thanks", 40, Fate.EXPIRED, None),
        ("win-back", 100, Fate.CANCELLED, SUPERSEDED),
    ]
    reach(inst, day(101))
    assert planned(inst)[2] == ("win-back", 101, Fate.QUEUED, None)


def test_a_live_message_stays_queued_beside_what_older_history_would_have_sent(
    inst: Installation,
) -> None:
    """The import adds a first dormancy, long past; the cause of the live message still stands."""
    set_clock(inst, day(100))
    arrive(inst, order(40))
    report = bring(inst, order(-30))
    assert report.applied.fates == {Fate.WITHHELD: 2}, "what was planned before is not told again"
    assert planned(inst) == [
        ("thanks", -30, Fate.WITHHELD, IMPORTED),
        ("win-back", 30, Fate.WITHHELD, IMPORTED),
        ("thanks", 40, Fate.EXPIRED, None),
        ("win-back", 100, Fate.QUEUED, None),
    ]


def test_a_late_live_event_of_the_time_before_an_import_sends_nothing_either(
    inst: Installation,
) -> None:
    """Her history was imported up to day 200: what was planned before then is withheld for good."""
    bring(inst, order(0))
    set_clock(inst, day(201))
    arrive(inst, order(195))
    assert ("thanks", 195, Fate.WITHHELD, IMPORTED) in planned(inst)


def test_a_withheld_message_stays_withheld_whatever_becomes_of_its_cause(
    inst: Installation,
) -> None:
    bring(inst, order(0), page(101))
    assert [one.rule for one in planned(inst)] == ["thanks", "win-back"]
    arrive(inst, page(50))
    gone = [row for row in message_rows(inst) if not row.live]
    assert [(row.message.rule, row.fate) for row in gone] == [("win-back", Fate.WITHHELD)]


# -- what is wrong with the file ---------------------------------------------------------------


def test_one_refused_row_means_that_nothing_is_stored(inst: Installation) -> None:
    """All of the file's faults are told, each once."""
    told: list[RowProblem] = []
    report = run_import(
        inst, "a.csv", "d", lambda: rows(order(0), ODD, BLANK, ODD), on_problem=told.append
    )
    assert (report.stored, report.rows, report.problems, report.accepted) == (False, 4, 2, 0)
    assert report.skipped == {"no customer": 1}
    assert told == [ODD, ODD]
    assert stored(inst) == 0


def test_the_valid_rows_may_be_taken_all_the_same(inst: Installation) -> None:
    told: list[RowProblem] = []
    report = run_import(
        inst,
        "a.csv",
        "d",
        lambda: rows(order(0), ODD, BLANK, order(1)),
        accept_valid=True,
        on_problem=told.append,
    )
    assert (report.stored, report.rows, report.problems, report.accepted) == (True, 4, 1, 2)
    assert told == [ODD]
    assert stored(inst) == 2


@pytest.mark.parametrize("accept_valid", [False, True])
def test_a_dry_run_stores_nothing(inst: Installation, accept_valid: bool) -> None:
    report = run_import(
        inst, "a.csv", "d", lambda: rows(order(0), BLANK), dry_run=True, accept_valid=accept_valid
    )
    assert (report.stored, report.rows, report.problems) == (False, 2, 0)
    assert report.skipped == {"no customer": 1}
    assert stored(inst) == 0


def test_a_dry_run_answers_as_the_real_run_whatever_the_batches(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every place of two or three repeats among others, in one batch or in several."""
    monkeypatch.setattr(rehearsal, "BATCH", 2)
    monkeypatch.setattr(imports, "BATCH", 3)
    arrive(inst, order(0, "A"))
    file = rows(
        order(1, "B"),
        order(0, "A"),
        order(2, "B"),
        order(1, "B"),
        order(3, "A"),
        order(4, "C", amount="7"),
        *of("bob", order(4, "C")),
        BLANK,
        order(4, "C"),
        order(4, "C", amount="7"),
    )
    numbered = [
        row._replace(line=line) if isinstance(row, Draft) else row
        for line, row in enumerate(file, start=2)
    ]
    dry = run_import(inst, "a.csv", "d", lambda: numbered, dry_run=True)
    assert stored(inst) == 1
    real = run_import(inst, "a.csv", "d", lambda: numbered)
    assert replace(dry, dry_run=False, stored=True, applied=real.applied) == real
    assert (real.accepted, real.duplicates) == (3, 3)
    assert [(found.line, found.differing) for found in real.conflicts] == [
        (4, ("occurred_at",)),
        (6, ("occurred_at",)),
        (10, ("properties.amount",)),
    ]


def test_ids_that_were_used_for_something_else_are_told_and_change_nothing(
    inst: Installation,
) -> None:
    arrive(inst, order(0, "A"), order(1, "B"))
    report = bring(inst, order(0, "A"), order(1, "B", amount="99"), order(2, "C"))
    assert (report.accepted, report.duplicates) == (1, 1)
    (conflict,) = report.conflicts
    assert isinstance(conflict, Conflict)
    assert (conflict.id, conflict.differing) == ("B", ("properties.amount",))


def test_a_file_too_large_to_be_kept_is_read_twice_and_told_of_once(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between checking and storing only so many rows are kept in memory."""
    monkeypatch.setattr(imports, "KEPT", 2)
    readings: list[int] = []

    def read() -> Iterable[Row]:
        readings.append(1)
        return rows(order(0), BLANK, order(1), order(2))

    report = run_import(inst, "a.csv", "d", read)
    assert len(readings) == 2
    assert (report.rows, report.accepted, report.skipped) == (4, 3, {"no customer": 1})


# -- again, and interrupted --------------------------------------------------------------------


def test_the_same_file_again_adds_nothing_and_withholds_nothing_new(inst: Installation) -> None:
    bring(inst, order(0))
    before = digest(inst, day(200))
    set_clock(inst, day(201))
    arrive(inst, *of("bob", order(201)))
    report = bring(inst, order(0))
    assert (report.accepted, report.duplicates, report.applied.events) == (0, 1, 0)
    assert digest(inst, day(200)) == before
    assert planned(inst, "bob") == [("thanks", 201, Fate.QUEUED, None)]


class PulledPlug(Exception):
    pass


def test_an_interrupted_import_goes_on_where_it_was(
    inst: Installation, monkeypatch: pytest.MonkeyPatch, quiet: Callable[..., Digest]
) -> None:
    """What was stored is held, so that no half of a history is ever seen; then all is folded once."""
    monkeypatch.setattr(imports, "BATCH", 2)
    file = [order(n) for n in range(0, 50, 5)]

    def read() -> Iterator[Row]:
        for number, event in enumerate(file):
            if number == 5 and not stored(inst) > 4:
                raise PulledPlug
            yield draft(event)

    with pytest.raises(PulledPlug):
        run_import(inst, "a.csv", "d", read, accept_valid=True)
    arrive(inst)
    assert stored(inst) == 4
    assert state(inst) == "potential"
    with pytest.raises(NotReady, match="4 of them are held by an import that has not ended"):
        digest(inst, day(200))
    file_again = rows(*file)
    report = run_import(inst, "a.csv", "d", lambda: file_again)
    assert (report.accepted, report.duplicates) == (6, 4)
    assert report.applied.events == 10
    assert all(fate is Fate.WITHHELD for _, _, fate, _ in planned(inst))
    with inst.db.read() as tx:
        assert tx.rows(both("SELECT count(*), count(ended_at) FROM import_run")) == [(1, 1)]
    assert verify(inst) == []
    assert digest(inst, day(200)) == quiet(*file)


def test_what_an_abandoned_import_stored_comes_in_with_the_next_one_that_brings_it(
    inst: Installation, monkeypatch: pytest.MonkeyPatch, quiet: Callable[..., Digest]
) -> None:
    """The mapping was corrected after an interruption, so that it is another import of the file."""
    monkeypatch.setattr(imports, "BATCH", 1)

    def cut_off() -> Iterator[Row]:
        yield draft(order(0))
        raise PulledPlug

    with pytest.raises(PulledPlug):
        run_import(inst, "a.csv", "of the first mapping", cut_off, accept_valid=True)
    run_import(inst, "a.csv", "of the second mapping", lambda: rows(order(0), order(10)))
    assert pending(inst) == []
    assert digest(inst, day(200)) == quiet(order(0), order(10))
    assert {fate for _, _, fate, _ in planned(inst)} == {Fate.WITHHELD}


@pytest.mark.parametrize("digest", ["the same", "another"])
@pytest.mark.parametrize("effects", [False, True])
def test_whether_an_interrupted_import_has_effects_is_what_was_said_last(
    inst: Installation, monkeypatch: pytest.MonkeyPatch, digest: str, effects: bool
) -> None:
    """Also for what was stored before: nobody gets a message that the second command withholds."""
    monkeypatch.setattr(imports, "BATCH", 1)

    def cut_off() -> Iterator[Row]:
        yield draft(order(199))
        raise PulledPlug

    with pytest.raises(PulledPlug):
        run_import(inst, "a.csv", "the same", cut_off, effects=not effects, accept_valid=True)
    run_import(inst, "a.csv", digest, lambda: rows(order(199), page(199.5)), effects=effects)
    assert [fate for _, _, fate, _ in planned(inst)] == [Fate.QUEUED if effects else Fate.WITHHELD]


# -- beside another that is under way ----------------------------------------------------------


def during(first: Callable[[], object]) -> Iterator[Row]:
    """The rows of a file; after its first row was stored, something else happens."""
    yield draft(order(0))
    first()
    yield draft(order(5))
    yield draft(order(8))


@pytest.fixture
def slow(
    postgres_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Installation, Installation]]:
    """Two processes, of which each stores row by row."""
    monkeypatch.setattr(imports, "BATCH", 1)
    with (
        installation(postgres_database_url, POLICY) as one,
        opened(postgres_database_url) as two,
    ):
        set_clock(one, day(200))
        yield one, two


@pytest.mark.postgres
def test_an_import_does_not_end_another_that_is_under_way(
    slow: tuple[Installation, Installation], quiet: Callable[..., Digest]
) -> None:
    """They have a row in common; each ends by itself, with what it stored."""
    one, two = slow

    def meanwhile() -> None:
        report = run_import(two, "b.csv", "another", lambda: rows(order(0), order(20)))
        assert (report.accepted, report.duplicates) == (1, 1)
        assert pending(two) == []
        assert [found.code for found in verify(two)] == ["import_open"]

    report = run_import(one, "a.csv", "one", lambda: during(meanwhile), accept_valid=True)
    assert report.accepted == 3
    assert verify(one) == []
    assert digest(one, day(200)) == quiet(order(0), order(5), order(8), order(20))


@pytest.mark.postgres
def test_the_same_file_is_imported_by_one_process_at_a_time(
    slow: tuple[Installation, Installation],
) -> None:
    """The second would end the run of the first, which could store nothing more."""
    one, two = slow

    def meanwhile() -> None:
        with pytest.raises(NotReady, match="another process is importing the same just now"):
            run_import(two, "a.csv", "one", lambda: rows(order(0), order(20)))
        assert stored(two) == 1

    report = run_import(one, "a.csv", "one", lambda: during(meanwhile), accept_valid=True)
    assert report.accepted == 3
    assert verify(one) == []


@pytest.mark.postgres
def test_an_import_outlives_a_restart_of_the_server_as_its_own(
    slow: tuple[Installation, Installation],
) -> None:
    """The server forgets who holds what; with its next rows the import takes it again."""
    one, two = slow

    def rest() -> Iterator[Row]:
        yield draft(order(0))
        forget_holders(two)
        yield draft(order(5))
        run_import(two, "b.csv", "another", lambda: rows(order(0)))
        yield draft(order(8))

    assert run_import(one, "a.csv", "one", rest, accept_valid=True).accepted == 3
    assert verify(one) == []


@pytest.mark.postgres
def test_an_import_gives_way_to_one_that_took_over_while_the_server_was_away(
    slow: tuple[Installation, Installation],
) -> None:
    one, two = slow

    def stolen() -> Iterator[Row]:
        yield draft(order(0))
        forget_holders(two)
        with two.db.hold(runs.name_of("one")) as keep:
            assert keep is not None
            yield draft(order(5))
            raise AssertionError("it went on")

    with pytest.raises(NotReady, match="another process is importing the same"):
        run_import(one, "a.csv", "one", stolen, accept_valid=True)
    report = run_import(two, "a.csv", "one", lambda: rows(order(0), order(5), order(8)))
    assert (report.accepted, report.duplicates) == (1, 2)


def forget_holders(inst: Installation) -> None:
    """What a restart does to every connection that holds a name."""
    ended = both(
        "SELECT count(pg_terminate_backend(l.pid, 30000)) FROM pg_locks AS l"
        " JOIN pg_database AS d ON d.oid = l.database"
        " WHERE l.locktype = 'advisory' AND d.datname = current_database()"
    )
    with inst.db.read() as tx:
        assert tx.value(ended) == 1

"""How a file of history gets in: stored as a run that is held until its last row, then folded once.

What the past would have sent is withheld. Reading and mapping the file is `intake`'s.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from lifecycle.engine.accept import Accepted, Conflict, Duplicate, Result, TooLate, accept
from lifecycle.engine.apply import AGAIN_SECONDS, apply_pending
from lifecycle.engine.installation import Installation
from lifecycle.engine.rehearsal import rehearse
from lifecycle.engine.work import Applied
from lifecycle.errors import NotReady
from lifecycle.intake.draft import Draft
from lifecycle.intake.row_reader import Skipped
from lifecycle.intake.rows import RowProblem
from lifecycle.store import backlog, events, runs
from lifecycle.store.database import Database
from lifecycle.store.sql import Tx

BATCH = 2_000  # events stored, and folded, in one transaction
KEPT = 100_000  # drafts kept in memory between checking and storing; beyond, the file is read twice

Row = Draft | RowProblem | Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class RowConflict(Conflict):
    """A row whose id was used before for other content, in this file or in the database."""

    line: int | None  # none where the rows do not stand in a file


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of every row; of a dry run, what would become of those that can be read."""

    rows: int
    accepted: int
    duplicates: int  # stored by an earlier row, import or post with the same content
    too_late: int
    skipped: dict[str, int]  # by the mapping's reason
    conflicts: tuple[RowConflict, ...]  # ids that were used before for other content: not stored
    problems: int  # rows that the mapping refused
    dry_run: bool
    stored: bool  # false: a dry run, or rows were refused and nothing was stored
    applied: Applied


OnApplied = Callable[[Applied, int], None]  # what was done, and of how many customers


class _Rows:
    """The rows as often as they are read; the first time, what is wrong with them is told."""

    def __init__(
        self, read: Callable[[], Iterable[Row]], on_problem: Callable[[RowProblem], None]
    ) -> None:
        self._read = read
        self._on_problem = on_problem
        self._told = False
        self.rows = self.problems = 0
        self.skipped: Counter[str] = Counter()

    def drafts(self) -> Iterator[Draft]:
        self.rows = self.problems = 0
        self.skipped.clear()
        for row in self._read():
            self.rows += 1
            if isinstance(row, Draft):
                yield row
            elif isinstance(row, Skipped):
                self.skipped[row.reason] += 1
            else:
                self.problems += 1
                if not self._told:
                    self._on_problem(row)
        self._told = True

    def checked(self) -> Iterable[Draft]:
        """Every draft, after the last row has been looked at; `problems` is known by then."""
        rows = self.drafts()
        kept = list(islice(rows, KEPT))
        more = False
        for _ in rows:
            more = True
        return self.drafts() if more else kept


class _Outcomes:
    """What became of the drafts: how many of each kind, and which of them conflict."""

    def __init__(self) -> None:
        self._tally: Counter[type[Result]] = Counter()
        self._conflicts: list[RowConflict] = []

    def add(self, drafts: Sequence[Draft], results: Sequence[Result]) -> None:
        tally = Counter(map(type, results))
        self._tally += tally
        if Conflict not in tally:
            return
        for draft, result in zip(drafts, results, strict=True):
            if isinstance(result, Conflict):
                conflict = RowConflict(
                    source=result.source,
                    id=result.id,
                    first_seen=result.first_seen,
                    differing=result.differing,
                    line=draft.line,
                )
                self._conflicts.append(conflict)

    def report(
        self, rows: _Rows, *, stored: bool, dry_run: bool = False, applied: Applied | None = None
    ) -> ImportReport:
        return ImportReport(
            rows=rows.rows,
            accepted=self._tally[Accepted],
            duplicates=self._tally[Duplicate],
            too_late=self._tally[TooLate],
            skipped=dict(rows.skipped),
            conflicts=tuple(sorted(self._conflicts, key=lambda found: found.line or 0)),
            problems=rows.problems,
            dry_run=dry_run,
            stored=stored,
            applied=applied or Applied(),
        )


def rehearse_import(
    db: Database | None,
    read: Callable[[], Iterable[Row]],
    *,
    on_problem: Callable[[RowProblem], None] = lambda _: None,
) -> ImportReport:
    """What `run_import` would tell with `accept_valid`, found out without changing anything.

    Without a database, nothing is known before. `read` may be called twice, as there.
    """
    rows = _Rows(read, on_problem)
    outcomes = _Outcomes()
    answers = rehearse(db, rows.drafts)
    while batch := list(islice(answers, BATCH)):
        outcomes.add([draft for draft, _ in batch], [result for _, result in batch])
    return outcomes.report(rows, stored=False, dry_run=True)


def run_import(
    inst: Installation | Callable[[], Installation],
    name: str,
    digest: str,
    read: Callable[[], Iterable[Row]],
    *,
    effects: bool = False,
    accept_valid: bool = False,
    dry_run: bool = False,
    on_problem: Callable[[RowProblem], None] = lambda _: None,
    on_applied: OnApplied = lambda _, __: None,
) -> ImportReport:
    """Import what `read` yields; it may be called twice, so it reads the file anew each time.

    An installation that is only to be opened when there is something to be stored may be given as how
    to open it.

    One refused row means that nothing is stored, unless `accept_valid`. Interrupted and run again
    with the same `digest` (of file and mapping), it goes on where it was; run twice, the second
    time adds nothing. `effects` lets messages be sent that are planned for the past but have not
    expired; without, every message planned before the end of the import is withheld. Of an import
    that was interrupted, what is said the last time counts.
    """
    if dry_run:
        db = inst.db if isinstance(inst, Installation) else None
        return rehearse_import(db, read, on_problem=on_problem)
    rows = _Rows(read, on_problem)
    outcomes = _Outcomes()
    source: Iterable[Draft] = rows.drafts() if accept_valid else rows.checked()
    if rows.problems and not accept_valid:  # all have been looked at, and none is stored yet
        return outcomes.report(rows, stored=False)
    if not isinstance(inst, Installation):
        inst = inst()
    _store(inst, name, digest, source, outcomes, effects=effects)
    return outcomes.report(rows, stored=True, applied=_fold(inst, on_applied))


def _fold(inst: Installation, on_applied: OnApplied) -> Applied:
    """Everything that waits, whoever brought it."""
    with inst.db.read() as tx:
        waiting = backlog.customers_waiting(tx)
    applied = Applied()
    while (done := apply_pending(inst, BATCH)).more or done.left:
        applied += done
        on_applied(applied, waiting)
        if not done.more:  # others have just begun with all of them, or were interrupted
            time.sleep(AGAIN_SECONDS)
    return applied


def _store(
    inst: Installation,
    name: str,
    digest: str,
    source: Iterable[Draft],
    outcomes: _Outcomes,
    *,
    effects: bool,
) -> None:
    with inst.db.hold(runs.name_of(digest)) as keep:
        if keep is None:
            raise NotReady(_UNDER_WAY)
        run_id = inst.db.run(
            lambda tx: runs.begin(tx, name=name, digest=digest, effects=effects, now=inst.now(tx))
        )
        others: set[int] = set()
        rows = iter(source)
        while batch := list(islice(rows, BATCH)):
            results = accept(inst, batch, run_id=run_id)
            outcomes.add(batch, results)
            others |= _others(inst, run_id, results)
            if not keep():
                raise NotReady(_UNDER_WAY)
        inst.db.run(lambda tx: _end(inst, tx, run_id, others, effects=effects))


_UNDER_WAY = (
    "another process is importing the same just now: wait until it has ended;"
    " nothing more was stored by this one"
)


def _end(inst: Installation, tx: Tx, run_id: int, others: Iterable[int], *, effects: bool) -> None:
    """The import has ended, and with it those that were abandoned with some of its events."""
    now = inst.now(tx)
    runs.end(tx, run_id, now, effects=effects)
    for other in sorted(others):
        if not runs.is_under_way(tx, other):
            runs.end(tx, other, now, effects=effects)


def _others(inst: Installation, run_id: int, results: list[Result]) -> set[int]:
    """Imports that have not ended and hold some of these events: abandoned, or under way.

    What an abandoned one stored was accepted, and would be held for ever when the file, or its
    mapping, was changed before it was imported again.
    """
    known = [(one.source, one.id) for one in results if isinstance(one, (Duplicate, Conflict))]
    if not known:
        return set()
    with inst.db.read() as tx:
        return events.holders(tx, known) if runs.open_besides(tx, run_id) else set()

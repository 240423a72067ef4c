"""How a file of history gets in: stored as a run that is held until its last row, then folded once.

What the past would have sent is withheld. Reading and mapping the file is `intake`'s.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from lifecycle.engine.accept import Accepted, Conflict, Duplicate, Result, TooLate, accept
from lifecycle.engine.apply import AGAIN_SECONDS, apply_pending
from lifecycle.engine.installation import Installation
from lifecycle.engine.work import Applied
from lifecycle.intake.draft import Draft
from lifecycle.intake.row_reader import Skipped
from lifecycle.intake.rows import RowProblem
from lifecycle.store import events, runs
from lifecycle.store.sql import Tx

BATCH = 2_000  # events stored, and folded, in one transaction
KEPT = 100_000  # drafts kept in memory between checking and storing; beyond, the file is read twice

Row = Draft | RowProblem | Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of every row."""

    rows: int
    accepted: int
    duplicates: int  # stored by an earlier import or post with the same content
    too_late: int
    skipped: dict[str, int]  # by the mapping's reason
    conflicts: tuple[Conflict, ...]  # ids that were used before for other content: not stored
    problems: int  # rows that the mapping refused
    stored: bool  # false: a dry run, or rows were refused and nothing was stored
    applied: Applied


@dataclass(slots=True)
class _Count:
    rows: int = 0
    problems: int = 0


def run_import(
    inst: Installation,
    name: str,
    digest: str,
    read: Callable[[], Iterable[Row]],
    *,
    effects: bool = False,
    accept_valid: bool = False,
    dry_run: bool = False,
    on_problem: Callable[[RowProblem], None] = lambda _: None,
    on_applied: Callable[[Applied], None] = lambda _: None,
) -> ImportReport:
    """Import what `read` yields; it may be called twice, so it reads the file anew each time.

    One refused row means that nothing is stored, unless `accept_valid`. Interrupted and run again
    with the same `digest` (of file and mapping), it goes on where it was; run twice, the second
    time adds nothing. `effects` lets messages be sent that are planned for the past but have not
    expired; without, every message planned before the end of the import is withheld. Of an import
    that was interrupted, what is said the last time counts.
    """
    count = _Count()
    skipped: Counter[str] = Counter()

    def drafts() -> Iterator[Draft]:
        count.rows = count.problems = 0
        skipped.clear()
        for row in read():
            count.rows += 1
            if isinstance(row, Draft):
                yield row
            elif isinstance(row, Skipped):
                skipped[row.reason] += 1
            else:
                count.problems += 1
                on_problem(row)

    source: Iterable[Draft]
    if accept_valid and not dry_run:
        source = drafts()
    else:
        source = _checked(drafts)
        if count.problems or dry_run:
            return _report(count, skipped, [], stored=False, applied=Applied())
        on_problem = lambda _: None  # noqa: E731 - a second reading has told everything already
    outcomes = _store(inst, name, digest, source, effects=effects)
    applied = Applied()
    while (done := apply_pending(inst, BATCH)).more or done.left:
        applied += done
        on_applied(applied)
        if not done.more:  # others have just begun with all of them, or were interrupted
            time.sleep(AGAIN_SECONDS)
    return _report(count, skipped, outcomes, stored=True, applied=applied)


def _checked(drafts: Callable[[], Iterator[Draft]]) -> Iterable[Draft]:
    """Every draft, after the last row has been looked at."""
    rows = drafts()
    kept = list(islice(rows, KEPT))
    more = False
    for _ in rows:
        more = True
    return drafts() if more else kept


def _store(
    inst: Installation, name: str, digest: str, source: Iterable[Draft], *, effects: bool
) -> list[Counter[str] | Conflict]:
    run_id = inst.db.run(
        lambda tx: runs.begin(tx, name=name, digest=digest, effects=effects, now=inst.now(tx))
    )
    tally: Counter[str] = Counter()
    outcomes: list[Counter[str] | Conflict] = [tally]
    ended = {run_id}
    rows = iter(source)
    while batch := list(islice(rows, BATCH)):
        results = accept(inst, batch, run_id=run_id)
        for result in results:
            tally[type(result).__name__] += 1
            if isinstance(result, Conflict):
                outcomes.append(result)
        ended |= _taken_over(inst, run_id, results)

    def end(tx: Tx) -> None:
        now = inst.now(tx)
        for ending in sorted(ended):
            runs.end(tx, ending, now, effects=effects)

    inst.db.run(end)
    return outcomes


def _taken_over(inst: Installation, run_id: int, results: list[Result]) -> set[int]:
    """Imports that were abandoned with some of these events: they end with this one.

    What they stored was accepted, and would be held for ever when the file, or its mapping, was
    changed before it was imported again.
    """
    known = [(one.source, one.id) for one in results if isinstance(one, (Duplicate, Conflict))]
    if not known:
        return set()
    with inst.db.read() as tx:
        return events.holders(tx, known) if runs.open_besides(tx, run_id) else set()


def _report(
    count: _Count,
    skipped: Counter[str],
    outcomes: list[Counter[str] | Conflict],
    *,
    stored: bool,
    applied: Applied,
) -> ImportReport:
    tally = next((found for found in outcomes if isinstance(found, Counter)), Counter())
    return ImportReport(
        rows=count.rows,
        accepted=tally[Accepted.__name__],
        duplicates=tally[Duplicate.__name__],
        too_late=tally[TooLate.__name__],
        skipped=dict(skipped),
        conflicts=tuple(found for found in outcomes if isinstance(found, Conflict)),
        problems=count.problems,
        stored=stored,
        applied=applied,
    )

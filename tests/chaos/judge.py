"""Is everything as if nothing had ever happened? Asked of the database when all is quiet again."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from lifecycle.domain.event import Event
from lifecycle.engine.dead import list_dead
from lifecycle.engine.digest import digest
from lifecycle.engine.installation import Installation
from lifecycle.engine.verify import verify
from lifecycle.errors import Unavailable
from lifecycle.store import attempts
from lifecycle.store.database import Database
from lifecycle.store.sql import Tx, both
from tests.chaos.posters import Answers
from tests.support.engine import pending, reach

SHOWN = 3  # of whatever is wrong

_IDS = both("SELECT event_id FROM event WHERE source <> 'lifecycle' ORDER BY id", columns=1)
_PENDING = both("SELECT count(*) FROM pending")
_DOUBLE_STEPS = both(
    "SELECT count(*) FROM (SELECT customer_id FROM step WHERE revoked_at IS NULL"
    " GROUP BY customer_id, cause HAVING count(*) > 1) AS doubled"
)
_DOUBLE_MESSAGES = both(
    "SELECT count(*) FROM (SELECT customer_id FROM message"
    " GROUP BY customer_id, rule, cause, number HAVING count(*) > 1) AS doubled"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One promise, and whether it was kept."""

    promise: str
    kept: bool
    found: str  # in figures, or what is wrong


def pending_count(db: Database) -> int:
    """How many events wait to be folded."""
    with db.read() as tx, tx.whole_tables():
        count: int = tx.value(_PENDING)
        return count


def nothing_waits(url: str) -> bool:
    """Whether all is folded; false where there is no answer."""
    try:
        with contextlib.closing(Database.open(url)) as db:
            return pending_count(db) == 0
    except Unavailable:
        return False


def attempts_open(db: Database) -> int:
    with db.read() as tx:
        return len(attempts.unfinished(tx))


def judged(
    inst: Installation,
    *,
    posted: Sequence[Event],
    poison: Sequence[Event],
    answers: Answers,
    until: datetime,
    expected: dict[str, str],
) -> list[Verdict]:
    """The clock is moved to `until`, where it is not yet there, and then every promise is looked at.

    `expected` are digests by who worked them out.
    """
    # what messages became is told by events of ours, as long as some leave
    left = [id for id in pending(inst) if not id.startswith(("sent:", "failed:", "unknown:"))]
    unfinished = attempts_open(inst.db)
    with inst.db.read() as tx:
        now = inst.now(tx)
    reach(inst, max(now, until))
    return [
        *_log(inst, posted, answers),
        verdict("nothing waits", left, "events pending"),
        Verdict(promise="no attempt is open", kept=unfinished == 0, found=f"{unfinished} open"),
        *_once(inst),
        _violations(inst),
        *_digests(inst, until, expected),
        _dead(inst, poison),
        _answers(answers),
    ]


def _log(inst: Installation, posted: Sequence[Event], answers: Answers) -> Iterator[Verdict]:
    with inst.db.read() as tx, tx.whole_tables():
        stored = Counter(row[0] for row in tx.rows(_IDS))
    missing = sorted(answers.answered - stored.keys())
    yield verdict("no event that was answered for is missing", missing, "missing", len(stored))
    unanswered = sorted({event.id for event in posted} - answers.answered)
    yield verdict("every event was answered for", unanswered, "unanswered", len(answers.answered))
    doubled = sorted(name for name, count in stored.items() if count > 1)
    twice = sorted(name for name, count in answers.accepted.items() if count > 1)
    yield verdict("no event is there twice", doubled, "twice in the log")
    yield verdict("no event was taken for new twice", twice, "accepted twice")
    foreign = sorted(stored.keys() - {event.id for event in posted})
    yield verdict("nothing is there that nobody posted", foreign, "unknown")


def _once(inst: Installation) -> Iterator[Verdict]:
    with inst.db.read() as tx, tx.whole_tables():
        found = _counts(tx)
    for what, count in found.items():
        yield Verdict(promise=f"no {what} is there twice", kept=count == 0, found=f"{count} twice")


def _counts(tx: Tx) -> dict[str, int]:
    return {"transition": tx.value(_DOUBLE_STEPS), "message key": tx.value(_DOUBLE_MESSAGES)}


def _violations(inst: Installation) -> Verdict:
    found = [f"{one.customer} {one.code}: {one.detail}" for one in verify(inst)]
    return verdict("`lifecycle verify` finds nothing", found, "violations")


def _digests(inst: Installation, until: datetime, expected: dict[str, str]) -> Iterator[Verdict]:
    found = digest(inst, until)
    for who, wanted in expected.items():
        same = found.hex == wanted
        told = f"{found.hex[:16]}, {found.customers} customers"
        differs = f"{found.hex[:16]}, expected {wanted[:16]}"
        yield Verdict(
            promise=f"the digest is that of {who}", kept=same, found=told if same else differs
        )


def _dead(inst: Installation, poison: Sequence[Event]) -> Verdict:
    letters = {letter.stored.event.id: letter for letter in list_dead(inst)}
    wrong = sorted(letters.keys() ^ {event.id for event in poison})
    wrong += [name for name, letter in letters.items() if letter.reason != "fold_failed"]
    return verdict("the dead letters are the poison, with the reason", wrong, "wrong", len(letters))


def _answers(answers: Answers) -> Verdict:
    found = [f"{said.status} {said.text[:200]}" for said in answers.wrong]
    return verdict("no answer but 200, or `try again later`", found, "others")


def verdict(promise: str, wrong: Iterable[str], what: str, of: int | None = None) -> Verdict:
    found = list(wrong)
    told = f"{len(found):,} {what}" + ("" if of is None else f", of {of:,}")
    if found:
        told += f": {'; '.join(map(str, found[:SHOWN]))}"
    return Verdict(promise=promise, kept=not found, found=told)

"""How does an explanation come about? What is recorded is read, folded once more, and joined with that."""

from __future__ import annotations

from collections.abc import Sequence

from lifecycle.engine import difference
from lifecycle.engine.explain.ahead import ahead, asleep
from lifecycle.engine.explain.asked import NOW, Asked, Moment, Supposed
from lifecycle.engine.explain.chapters import chapters, standing
from lifecycle.engine.explain.evidence import Evidence, Record, read
from lifecycle.engine.explain.explanation import Behind, Explanation
from lifecycle.engine.explain.moment import messages_then, moment
from lifecycle.engine.explain.retold import Retold, retell
from lifecycle.engine.explain.supposition import suppose
from lifecycle.engine.installation import Installation
from lifecycle.store.messages import MessageRow
from lifecycle.store.steps import StepRow

DETAILED = 500  # newest events of a customer of whom it is told what they changed


def explain(
    inst: Installation, key: str, asked: Asked = NOW, *, detailed: int = DETAILED
) -> Explanation:
    """Everything about the customer whom `key` names, as of the engine's clock or as asked.

    It tells of what has been applied: what only just arrived is listed as pending. Changes nothing.
    Raises NotFound where nobody is known by that name, Problem for a moment that she does not have.
    """
    with inst.db.read() as tx:
        record = read(inst, tx, key, asked.at)
    evidence, past, supposed = record.now, None, None
    if asked.at is not None:
        evidence, past = moment(record, asked)
    if asked.policy is not None:
        evidence, supposed = suppose(evidence, asked.policy)
    return _told(record, evidence, past, supposed, detailed)


def _told(
    record: Record,
    evidence: Evidence,
    past: Moment | None,
    supposed: Supposed | None,
    detailed: int,
) -> Explanation:
    timeline, at = evidence.timeline, evidence.at
    retold = retell(timeline, evidence.history, evidence.until, detailed)
    messages, unknown = _messages(evidence, past, retold)
    return Explanation(
        customer=record.row.key,
        number=record.row.id,
        identifiers=record.identifiers,
        now=at,
        folded_until=record.row.folded_until if evidence is record.now else evidence.until,
        standing=standing(timeline, retold.snapshot, at),
        chapters=chapters(retold.happenings, evidence.steps, messages, evidence.overturning),
        ahead=ahead(timeline, retold.snapshot, at),
        asleep=asleep(timeline, retold.snapshot, at),
        pending=tuple(evidence.pending),
        waiting=retold.waiting,
        held=evidence.held,
        dead=tuple(evidence.dead),
        behind=None if supposed else _behind(retold, evidence.steps),
        timeline=timeline,
        unknown=unknown,
        moment=past,
        supposed=supposed,
    )


def _messages(
    evidence: Evidence, past: Moment | None, retold: Retold
) -> tuple[Sequence[MessageRow], frozenset[int]]:
    """With the rows of those of which nobody knows any more what had become of them by then."""
    if past is None or past.late_events:
        return evidence.messages, frozenset()
    planned = [message for happening in retold.happenings for message in happening.planned]
    return messages_then(evidence.messages, planned, past.at)


def _behind(retold: Retold, recorded: Sequence[StepRow]) -> Behind | None:
    live = [row for row in recorded if row.seq is not None]
    differs = difference.of_steps(live, retold.steps)
    if not differs.insert and not differs.revoke:
        return None
    return Behind(missing=len(differs.insert), gone=len(differs.revoke))

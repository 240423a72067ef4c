"""What must change in the records of a customer whose history was folded again; decides, never acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lifecycle.domain.fate import Fate
from lifecycle.domain.step import PlannedMessage, Step
from lifecycle.store.messages import MessageRow
from lifecycle.store.steps import StepRow


@dataclass(frozen=True, slots=True, kw_only=True)
class StepChanges:
    insert: tuple[tuple[int, Step], ...]  # with their place in the chain, from 1
    revoke: tuple[StepRow, ...]  # what no longer follows
    renumber: tuple[tuple[StepRow, int], ...]  # what still follows, at another place
    rejudge: tuple[tuple[StepRow, int], ...]  # what still follows, by another version of the policy


def of_steps(live: Sequence[StepRow], steps: Sequence[Step]) -> StepChanges:
    """A step still follows when the same step, with everything it carries, is in the new chain.

    By which version it is judged may change, where a later one judges from an instant before it.
    """
    numbered = dict(enumerate(steps, start=1))
    by_cause = {step.cause: (seq, step) for seq, step in numbered.items()}
    kept: dict[int, StepRow] = {}
    revoke = []
    for row in live:
        seq, step = by_cause.get(row.step.cause, (0, None))
        if step is not None and step._replace(version=row.step.version) == row.step:
            kept[seq] = row
        else:
            revoke.append(row)
    return StepChanges(
        insert=tuple((seq, step) for seq, step in numbered.items() if seq not in kept),
        revoke=tuple(revoke),
        renumber=tuple((row, seq) for seq, row in kept.items() if row.seq != seq),
        rejudge=tuple(
            (row, version)
            for seq, row in kept.items()
            if (version := numbered[seq].version) != row.step.version
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageChanges:
    insert: tuple[PlannedMessage, ...]  # planned for the first time
    orphaned: tuple[MessageRow, ...]  # live until now, but their cause is gone
    moved: tuple[tuple[MessageRow, PlannedMessage], ...]  # planned as before, for another instant
    revived: tuple[tuple[MessageRow, PlannedMessage], ...]  # planned again after all, and not sent
    vindicated: tuple[tuple[MessageRow, PlannedMessage], ...]  # planned again after all, and sent


def of_messages(known: Sequence[MessageRow], planned: Sequence[PlannedMessage]) -> MessageChanges:
    rows = {row.message.key: row for row in known}
    keys = {message.key for message in planned}
    both = [(row, message) for message in planned if (row := rows.get(message.key))]
    again = [(row, message) for row, message in both if not row.live]
    return MessageChanges(
        insert=tuple(message for message in planned if message.key not in rows),
        orphaned=tuple(row for row in known if row.live and row.message.key not in keys),
        moved=tuple((row, message) for row, message in both if row.live and row.message != message),
        revived=tuple(pair for pair in again if pair[0].fate is not Fate.OVERTAKEN),
        vindicated=tuple(pair for pair in again if pair[0].fate is Fate.OVERTAKEN),
    )

"""How what a fold concluded becomes rows: new steps and messages, what is revoked, the new snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lifecycle.domain.fate import Fate
from lifecycle.domain.fold import Folded
from lifecycle.domain.step import PlannedMessage, Refused, Unplanned
from lifecycle.domain.timeline import Timeline
from lifecycle.engine import difference, fates
from lifecycle.engine.overturning import Late, overturned_by
from lifecycle.killpoints import Point, killpoint
from lifecycle.outreach.assignment import share
from lifecycle.store import customers, messages, runs, steps
from lifecycle.store.customers import CustomerRow
from lifecycle.store.messages import MessageRow
from lifecycle.store.sql import Tx
from lifecycle.store.steps import StepRow

Edge = tuple[str, str, str]
"""A transition as the policy names it: rule, state before, state after; how a `Step` begins."""


NoStep = Refused | Unplanned
"""How a timed check or a date that came due did nothing: a guard said no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restated:
    """What tells apart what follows from a restatement of history from what happened meanwhile."""

    until: datetime  # what the restatement newly plans for an instant before is withheld
    folded_until: datetime  # what is caused later was judged by nobody before
    causes: frozenset[str]  # nor was what these events cause, which are folded for the first time

    def withholds(self, message: PlannedMessage) -> bool:
        return message.caused_at <= self.folded_until and message.cause not in self.causes


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One customer, folded: what she was, and what the fold concluded."""

    row: CustomerRow  # as she was read, locked
    folded: Folded
    until: datetime  # the horizon of the fold
    stay: int  # how many live steps stand before the folded ones
    again: bool  # folded from the beginning, so that her records must be compared
    late: Late | None = None  # what came late; None: nothing did
    restated: Restated | None = None  # where a policy judges her whole history for the first time
    refused: tuple[NoStep, ...] = ()  # of what came due in this fold; noted where it is to be told


Pair = tuple[MessageRow, MessageRow]
"""A message as it was, and as it is now."""

Spread = Callable[[int, PlannedMessage], timedelta]
"""How much later than planned a message to a customer goes."""

Overturned = tuple[StepRow, int | None]
"""A step that no longer follows, with the row of the event that did it, where one did."""

Revoked = tuple[int, int | None, int | None]
"""The row of such a step, that of the event, and else the policy version that gives it no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    made: Sequence[StepRow] = ()
    overturned: Sequence[Overturned] = ()
    planned: Sequence[MessageRow] = ()  # for the first time
    changed: Sequence[Pair] = ()  # messages that had been planned before

    @property
    def edges(self) -> Counter[Edge]:
        """Of the steps that were made."""
        return Counter([row.step[:3] for row in self.made])

    @property
    def fates(self) -> Counter[Fate]:
        """Of the messages, when first planned."""
        return Counter([row.fate for row in self.planned])


def write(tx: Tx, changes: Sequence[Change], timeline: Timeline, now: datetime) -> Written:
    """Everything that these folds changed, in set-based statements; the customers must be locked."""
    again = [change.row.id for change in changes if change.again]
    live = steps.live(tx, again) if again else {}
    known = messages.of(tx, again) if again else {}
    on = [change.row.id for change in changes if not change.again and change.folded.messages]
    fallen = messages.fallen(tx, on) if on else {}
    new_steps: list[StepRow] = []
    overturned: list[Overturned] = []
    revoked: list[Revoked] = []
    rejudged: list[tuple[int, int]] = []
    places: list[tuple[int, int]] = []
    planned: list[tuple[int, PlannedMessage]] = []
    compared: list[tuple[int, difference.MessageChanges]] = []
    for change in changes:
        customer_id = change.row.id
        if change.again:
            moved = difference.of_steps(live.get(customer_id, ()), change.folded.steps)
            numbered = list(moved.insert)
            culprits = overturned_by(tx, customer_id, change.late, moved.revoke)
            overturned += [(row, by) for row, (_, by) in zip(moved.revoke, culprits, strict=True)]
            revoked += [
                (row.row_id, by, None if by else _unknown_version(timeline, change.row, row))
                for row, (_, by) in zip(moved.revoke, culprits, strict=True)
            ]
            rejudged += [(row.row_id, number) for row, number in moved.rejudge]
            places += [(row.row_id, seq) for row, seq in moved.renumber]
            before = known.get(customer_id, ())
        else:
            numbered = list(enumerate(change.folded.steps, start=change.stay + 1))
            before = fallen.get(customer_id, ())  # a check may fire anew for the same anchor
        if change.again or before:
            differs = difference.of_messages(before, change.folded.messages)
            planned += [(customer_id, message) for message in differs.insert]
            compared.append((customer_id, differs))
        else:
            planned += [(customer_id, message) for message in change.folded.messages]
        new_steps += [
            StepRow(0, customer_id, seq, step, now)  # by position, as most events make one
            for seq, step in numbered
        ]
    if overturned:
        steps.revoke(tx, revoked, now)
    if places:
        steps.renumber(tx, places)
    if rejudged:
        steps.rejudge(tx, rejudged)
    steps.insert(tx, new_steps)
    killpoint(Point.WORKER_STEPS)
    settled = _settle(tx, compared, now)
    spread = _spreading(timeline, changes)
    restated = {change.row.id: change.restated for change in changes if change.restated}
    new, again_planned = _plan(tx, planned, compared, spread, restated, now)
    killpoint(Point.WORKER_MESSAGES)
    customers.save(tx, [_row(change, timeline.newest) for change in changes], now)
    return Written(
        made=new_steps,
        overturned=overturned,
        planned=new,
        changed=[*settled, *again_planned],
    )


def _unknown_version(timeline: Timeline, before: CustomerRow, gone: StepRow) -> int | None:
    """The version that judges at the step's instant, where whoever made the step did not know it."""
    judging = timeline.at(gone.step.at).number
    return judging if judging > (before.policy_version or 0) else None


def _row(change: Change, version: int) -> CustomerRow:
    snapshot = change.folded.snapshot
    return change.row._replace(
        state=snapshot.state,
        entered_at=snapshot.entered_at,
        snapshot=snapshot.dump(),
        folded_until=change.until,
        wake_at=change.folded.wake_at,
        policy_version=version,
    )


# -- messages --------------------------------------------------------------------------------


def _settle(
    tx: Tx, compared: Sequence[tuple[int, difference.MessageChanges]], now: datetime
) -> list[Pair]:
    """What lost its cause, and what was sent and has it again; new fates depend on both."""
    settled: list[Pair] = []
    for _, differs in compared:
        for row in differs.orphaned:
            fate, reason = fates.orphaned(row)
            settled.append((row, _changed(row, live=False, fate=fate, reason=reason, now=now)))
        for row, message in differs.vindicated:
            sent = _changed(row, live=True, fate=Fate.SENT, reason=None, now=now)
            settled.append((row, sent._replace(message=message)))
    messages.update(tx, [after for _, after in settled])
    return settled


def _plan(
    tx: Tx,
    planned: Sequence[tuple[int, PlannedMessage]],
    compared: Sequence[tuple[int, difference.MessageChanges]],
    spread: Spread,
    restated: Mapping[int, Restated],
    now: datetime,
) -> tuple[list[MessageRow], list[Pair]]:
    """Store what is planned: what is so for the first time, and what was planned before."""
    known = [
        (customer_id, row, message)
        for customer_id, differs in compared
        for row, message in (*differs.moved, *differs.revived)
    ]
    if not planned and not known:
        return [], []
    who = {*(c for c, _ in planned), *(c for c, _, _ in known)}
    decide = _decider(tx, who, spread, restated, now)
    new = []
    for customer_id, message in planned:
        decided = decide(customer_id, message)
        new.append(
            MessageRow(
                row_id=0,
                customer_id=customer_id,
                message=message,
                live=True,
                fate=decided.fate,
                reason=decided.reason,
                fate_at=now,
                not_before=decided.not_before,
                sent_at=None,
                recorded_at=now,
            )
        )
    messages.insert(tx, new)
    again: list[Pair] = []
    for customer_id, row, message in known:
        decided = decide(customer_id, message, row)
        if row.live:
            fate, reason = fates.moved(row, decided)
        else:
            fate, reason = fates.revived(row, message, decided)
        changed = _changed(row, live=True, fate=fate, reason=reason, now=now)
        again.append((row, changed._replace(message=message, not_before=decided.not_before)))
    messages.update(tx, [after for _, after in again])
    return new, again


def _decider(
    tx: Tx,
    customer_ids: set[int],
    spread: Spread,
    restated: Mapping[int, Restated],
    now: datetime,
) -> Callable[..., fates.Decided]:
    """First fates for messages of these customers, with what imports, restatements and sendings say."""
    overtaken = messages.overtaken(tx, customer_ids)
    withheld = runs.withheld_until(tx, customer_ids)

    def decide(
        customer_id: int, message: PlannedMessage, row: MessageRow | None = None
    ) -> fates.Decided:
        anew = None if _waits(row) else restated.get(customer_id)
        return fates.first_fate(
            message,
            now,
            withheld_until=withheld.get(customer_id),
            overtaken_at=overtaken.get((customer_id, message.rule)),
            spread=spread(customer_id, message),
            restated_until=anew.until if anew is not None and anew.withholds(message) else None,
        )

    return decide


def _waits(row: MessageRow | None) -> bool:
    """Whether it was to be sent all the same, so that no restatement makes it anew."""
    return row is not None and row.live and row.fate in {Fate.QUEUED, Fate.DEFERRED}


def _spreading(timeline: Timeline, changes: Sequence[Change]) -> Spread:
    """How much later than planned each message goes, where its rule spreads those that are due at once."""
    rules = {
        (version.number, rule.name): rule.spread
        for version in timeline.versions
        for rule in version.policy.outreach
        if rule.spread
    }
    keys = {change.row.id: change.row.key for change in changes} if rules else {}

    def spread(customer_id: int, message: PlannedMessage) -> timedelta:
        over = rules.get((message.version, message.rule))
        if over is None:
            return timedelta(0)
        return over * share(keys[customer_id], f"spread/{message.rule}/{message.cause}")

    return spread


def _changed(
    row: MessageRow, *, live: bool, fate: Fate, reason: str | None, now: datetime
) -> MessageRow:
    fate_at = row.fate_at if fate is row.fate else now
    return row._replace(live=live, fate=fate, reason=reason, fate_at=fate_at)

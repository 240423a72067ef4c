"""How do the records of one customer differ from what her events give? Decides, and reads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from lifecycle.domain.fate import Fate
from lifecycle.domain.fold import Folded
from lifecycle.domain.instant import instant_text, later
from lifecycle.domain.step import PlannedMessage
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.current import is_usable
from lifecycle.engine.fates import SUPERSEDED, UNSENT
from lifecycle.store.customers import CustomerRow
from lifecycle.store.messages import MessageRow
from lifecycle.store.steps import StepRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One promise that does not hold."""

    customer: str  # key; empty where it is about the whole installation
    code: str  # stable: fold, unfolded, state, steps, chain, messages, fates, log, snapshot, wake_at, pending_too_long, attempt_open, import_open …
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the database says of a customer."""

    row: CustomerRow
    live: Sequence[StepRow]
    messages: Sequence[MessageRow]  # also those whose cause was revoked

    def violation(self, code: str, detail: str) -> Violation:
        return Violation(customer=self.row.key, code=code, detail=detail)


def of_unfolded(recorded: Recorded, events: int) -> Iterator[Violation]:
    """Of a customer of whom nothing was folded yet, although so many of her events do not wait."""
    if events:
        yield recorded.violation(
            "unfolded", f"{events} of her events are neither folded nor waiting"
        )
    if recorded.live or recorded.messages:
        yield recorded.violation(
            "unfolded",
            f"{len(recorded.live)} steps and {len(recorded.messages)} messages are recorded, but none"
            " of her events was folded",
        )


def of_customer(timeline: Timeline, recorded: Recorded, folded: Folded) -> Iterator[Violation]:
    """Of a customer whose history was folded up to where it had been."""
    yield from _state(recorded, folded)
    yield from _steps(recorded, folded)
    yield from _chain(recorded)
    yield from _messages(recorded, folded)
    for message in recorded.messages:
        yield from _fate(recorded, message)
    yield from _kept(timeline, recorded, folded)


def _state(recorded: Recorded, folded: Folded) -> Iterator[Violation]:
    row, snapshot = recorded.row, folded.snapshot
    if row.state != snapshot.state:
        yield recorded.violation(
            "state", f"recorded {row.state}, but her events lead to {snapshot.state}"
        )
    if row.entered_at != snapshot.entered_at:
        yield recorded.violation(
            "state",
            f"recorded in her state since {_told(row.entered_at)},"
            f" but her events say {_told(snapshot.entered_at)}",
        )


def _steps(recorded: Recorded, folded: Folded) -> Iterator[Violation]:
    if [stored.step for stored in recorded.live] != list(folded.steps):
        yield recorded.violation(
            "steps",
            f"{len(recorded.live)} live steps are not the {len(folded.steps)} that her events cause",
        )


def _chain(recorded: Recorded) -> Iterator[Violation]:
    live = recorded.live
    for place, stored in enumerate(live, start=1):
        if stored.seq != place:
            yield recorded.violation("chain", f"step {place} is numbered {stored.seq}")
        if place > 1 and stored.step.from_state != live[place - 2].step.to_state:
            yield recorded.violation(
                "chain",
                f"step {place} leaves {stored.step.from_state}, but the one before it"
                f" went to {live[place - 2].step.to_state}",
            )


def _messages(recorded: Recorded, folded: Folded) -> Iterator[Violation]:
    stored = {row.message.key: row.message for row in recorded.messages if row.live}
    planned = {message.key: message for message in folded.messages}
    for key in sorted({*stored, *planned}):
        name = f"message {' '.join(map(str, key))}"
        if key not in stored:
            yield recorded.violation("messages", f"{name} is missing")
        elif key not in planned:
            yield recorded.violation("messages", f"{name} has no cause")
        elif stored[key] != planned[key]:
            parts = ", ".join(_differing(stored[key], planned[key]))
            yield recorded.violation("messages", f"{name} is not as it is planned: {parts}")


def _differing(stored: PlannedMessage, planned: PlannedMessage) -> Iterator[str]:
    for name in PlannedMessage._fields:
        if getattr(stored, name) != getattr(planned, name):
            yield name


_STANDING = frozenset({Fate.OVERTAKEN})  # no fate of a message whose cause stands
_FALLEN = frozenset({*UNSENT, Fate.SENT})  # nor of one whose cause was revoked
_LEFT = frozenset({Fate.SENT, Fate.OVERTAKEN})


def _fate(recorded: Recorded, row: MessageRow) -> Iterator[Violation]:
    """Whether what became of a message fits its cause, and what is known of its sending."""
    name = f"message {' '.join(map(str, row.message.key))}"
    superseded = row.fate is Fate.CANCELLED and row.reason == SUPERSEDED
    if row.live and (row.fate in _STANDING or superseded):
        yield recorded.violation("fates", f"{name} is {row.fate}, but its cause stands")
    if not row.live and row.fate in _FALLEN:
        yield recorded.violation("fates", f"{name} is {row.fate}, but its cause was revoked")
    if (row.fate in _LEFT) != (row.sent_at is not None):
        sent = "no sending of it" if row.sent_at is None else f"it was sent at {_told(row.sent_at)}"
        yield recorded.violation("fates", f"{name} is {row.fate}, but {sent} is recorded")
    if row.fate is Fate.QUEUED and row.not_before < later(
        row.message.planned_at, row.message.settle
    ):
        yield recorded.violation(
            "fates", f"{name} is to be sent from {_told(row.not_before)}, before it has settled"
        )


def _kept(timeline: Timeline, recorded: Recorded, folded: Folded) -> Iterator[Violation]:
    """What is kept for the next fold; a snapshot without one, or of other facts, is made anew."""
    row = recorded.row
    if is_usable(timeline, row) and row.snapshot != folded.snapshot.dump():
        yield recorded.violation(
            "snapshot", "her facts as remembered are not those that her events give"
        )
    if folded.wake_at is not None and (row.wake_at is None or row.wake_at > folded.wake_at):
        yield recorded.violation(
            "wake_at",
            f"she is to be looked at again at {instant_text(folded.wake_at)}, but it is"
            f" recorded {_told(row.wake_at)}",
        )


def _told(instant: datetime | None) -> str:
    return "never" if instant is None else instant_text(instant)

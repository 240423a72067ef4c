"""What did one unit of work decide? A line of the log for each decision, told once it is committed.

By names of the policy and numbers of the database: the text of a cause, and whatever else somebody
posted, stays out. Where nobody hears the lines nothing is found out for them.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from lifecycle.domain.event import key_in
from lifecycle.domain.fold import Witness
from lifecycle.domain.step import Outcome, Refused, Unplanned
from lifecycle.engine.record import Change, NoStep, Pair, Written
from lifecycle.logs.lines import Field, Line, Teller
from lifecycle.store import events
from lifecycle.store.events import StoredEvent
from lifecycle.store.messages import Expired, MessageRow
from lifecycle.store.sql import Tx
from lifecycle.store.steps import StepRow

tell = Teller("lifecycle.decisions")

Origin = Mapping[str, Field]
"""The event that a decision goes back to, and its request; empty where time brought it about."""

_TIME: Origin = {}


def are_heard() -> bool:
    """Whether anybody wants the lines."""
    return tell.hears(logging.INFO)


def tell_of_work(
    tx: Tx, written: Written, changes: Iterable[Change], folded: Iterable[StoredEvent]
) -> None:
    """Everything that one unit of work decided, once it is committed."""
    ours = {one.event.cause: _origin(one.row_id, one.request_id) for one in folded}
    origins = ours | _of_earlier(tx, _causes(written) - ours.keys())
    by_row = {origin["event_number"]: origin for origin in ours.values()}
    lines = [
        *(_moved(row, origins) for row in written.made),
        *(_revoked(row, by_row.get(by, _TIME)) for row, by in written.overturned),
        *(_planned(row, origins) for row in written.planned),
        *_changed(written.changed, origins),
        *(_refused(change.row.id, one) for change in changes for one in change.refused),
    ]
    _tell_after(tx, lines)


def tell_of_expired(tx: Tx, expired: Sequence[Expired]) -> None:
    """Messages that waited until their time had passed."""
    origins = _of_earlier(tx, {one.cause for one in expired})
    _tell_after(tx, [_expired(one, origins) for one in expired])


def tell_of_fates(tx: Tx, changed: Sequence[Pair]) -> None:
    """Messages that a sender judged, took or settled."""
    if changed and are_heard():
        origins = _of_earlier(tx, {after.message.cause for _, after in changed})
        _tell_after(tx, list(_changed(changed, origins)))


def tell_of_surge(rule: str, count: int) -> None:
    """A rule was paused by itself, and a person is asked."""
    tell.warning(
        "rule_paused",
        "{rule} is paused: it queued {count} messages of late, far more than usual; look at them, then"
        " `lifecycle outreach resume rule:{rule}`",
        rule=rule,
        count=count,
    )


def tell_of_reception(channel: str, why: str) -> None:
    """Marketing by a channel was paused by itself, and a person is asked."""
    tell.warning(
        "marketing_paused",
        "marketing by {channel} is paused: {why}; look into it, then `lifecycle outreach resume"
        " marketing:{channel}`",
        channel=channel,
        why=why,
    )


def tell_of_broken_text(row: MessageRow, code: str, why: str) -> None:
    """A template could not be filled in for one customer."""
    tell.error(
        "text_failed",
        "message {number} of {rule} to customer {customer_number} has no text: {code}: {why}",
        number=row.message.number,
        rule=row.message.rule,
        customer_number=row.customer_id,
        code=code,
        why=why,
    )


def refusals_of_time(since: datetime | None, found: list[NoStep]) -> Witness:
    """Notes what came due after `since`, until when she was folded before, and was refused by a guard.

    What an event was refused is not among it: there may be one for every event, and `explain` has it.
    """

    def note(outcome: Outcome) -> None:
        if (
            isinstance(outcome, Refused | Unplanned)
            and key_in(outcome.cause) is None
            and (since is None or outcome.at > since)
        ):
            found.append(outcome)

    return note


def _tell_after(tx: Tx, lines: Sequence[Line]) -> None:
    if lines:
        tx.after_commit(partial(tell.all, logging.INFO, lines))


# -- the events behind it ----------------------------------------------------------------------


def _origin(row_id: int, request_id: str | None) -> Origin:
    known: dict[str, Field] = {"event_number": row_id}
    return known if request_id is None else {**known, "request_id": request_id}


def _causes(written: Written) -> set[str]:
    return {
        *(row.step.cause for row in written.made),
        *(row.message.cause for row in written.planned),
        *(after.message.cause for _, after in written.changed),
    }


def _of_earlier(tx: Tx, causes: Collection[str]) -> dict[str, Origin]:
    """Of events that were folded before, as when a late one brings her to be folded again."""
    keys = {key: cause for cause in causes if (key := key_in(cause)) is not None}
    found = events.origins(tx, keys)
    return {keys[key]: _origin(row_id, request_id) for key, (row_id, request_id) in found.items()}


def _kind(cause: str) -> str:
    """`event`, `check` or `calendar`; the rest of a cause names somebody's event or day."""
    return cause.partition(":")[0]


# -- lines -------------------------------------------------------------------------------------


def _moved(row: StepRow, origins: Mapping[str, Origin]) -> Line:
    return Line(
        "transition",
        "customer {customer_number} goes from {from} to {to} by {rule}",
        {**_of_step(row), **origins.get(row.step.cause, _TIME)},
    )


def _revoked(row: StepRow, by: Origin) -> Line:
    return Line(
        "transition_revoked",
        "customer {customer_number} did not go from {from} to {to} by {rule} after all",
        {**_of_step(row), **by},
    )


def _of_step(row: StepRow) -> dict[str, Field]:
    step = row.step
    return {
        "customer_number": row.customer_id,
        "rule": step.rule,
        "from": step.from_state,
        "to": step.to_state,
        "policy_version": step.version,
        "cause": _kind(step.cause),
    }


def _planned(row: MessageRow, origins: Mapping[str, Origin]) -> Line:
    return Line(
        "message_planned",
        "message {number} of {rule} to customer {customer_number} is {fate}",
        {**_of_message(row), **origins.get(row.message.cause, _TIME)},
    )


def _changed(changed: Iterable[Pair], origins: Mapping[str, Origin]) -> Iterator[Line]:
    """One whose words or instant alone changed goes on as it was."""
    for before, after in changed:
        if before.fate is not after.fate:
            yield Line(
                "message_changed",
                "message {number} of {rule} to customer {customer_number} was {before} and is {fate}",
                {
                    **_of_message(after),
                    "before": before.fate.value,
                    **origins.get(after.message.cause, _TIME),
                },
            )


def _of_message(row: MessageRow) -> dict[str, Field]:
    message = row.message
    return {
        "customer_number": row.customer_id,
        "rule": message.rule,
        "number": message.number,
        "fate": row.fate.value,
        "reason": row.reason,
        "policy_version": message.version,
        "cause": _kind(message.cause),
    }


def _expired(one: Expired, origins: Mapping[str, Origin]) -> Line:
    return Line(
        "message_expired",
        "message {number} of {rule} to customer {customer_number} was not sent in time",
        {
            "customer_number": one.customer_id,
            "rule": one.rule,
            "number": one.number,
            "policy_version": one.version,
            "cause": _kind(one.cause),
            **origins.get(one.cause, _TIME),
        },
    )


def _refused(customer_id: int, one: NoStep) -> Line:
    if isinstance(one, Refused):
        return Line(
            "check_refused",
            "{check} came due for customer {customer_number}, and its guard said no",
            {"customer_number": customer_id, "check": one.trigger, "cause": _kind(one.cause)},
        )
    return Line(
        "outreach_refused",
        "{rule} came due for customer {customer_number}, and its guard said no",
        {"customer_number": customer_id, "rule": one.trigger, "cause": _kind(one.cause)},
    )

"""How is it told what became of a message, and why?"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

from lifecycle.domain.event import (
    BOUNCED,
    CLICKED,
    COMPLAINED,
    DELIVERED,
    FAILED,
    OPENED,
    PREFETCHED,
    SENT,
    UNKNOWN,
    Event,
)
from lifecycle.domain.fate import Fate
from lifecycle.domain.step import PlannedMessage
from lifecycle.domain.timeline import Version
from lifecycle.engine.explain.chapters import Planned
from lifecycle.engine.explain.words import listed, moment, span
from lifecycle.engine.fates import RESTATED
from lifecycle.outreach import fetching
from lifecycle.outreach.fetching import Why
from lifecycle.outreach.reasons import told
from lifecycle.outreach.replies import News
from lifecycle.outreach.verdict import Reason
from lifecycle.store.messages import MessageRow
from lifecycle.store.suppressions import SOFT_FOR, SOFT_MOST, SOFT_WITHIN


def message_name(message: PlannedMessage, version: Version) -> str:
    """`nurture (email or sms, 2 of 3)`."""
    rules = version.policy.outreach
    steps = next(len(rule.delays) for rule in rules if rule.name == message.rule)
    of = f", {message.number} of {steps}" if steps > 1 else ""
    return f"{message.rule} ({listed(message.channels, 'or')}{of})"


def would_be(message: PlannedMessage, version: Version) -> str:
    """Of a message of a what-if, which has no fate."""
    return f"{message_name(message, version)} would be planned for {moment(message.planned_at)}."


def became(planned: Planned, version: Version, unknown: Container[int] = ()) -> str:
    """Of a message whose cause stands; `unknown` are rows whose fate came after the moment told of."""
    name = message_name(planned.message, version)
    when = moment(planned.message.planned_at)
    row = planned.row
    if row is not None and row.row_id in unknown:
        return f"{name} was planned for {when} and had not left by then."
    if row is None:
        return f"{name} follows for {when}; that is not recorded yet."
    return f"{name} was planned for {when} {_fate(row, planned.before)}."


def _fate(row: MessageRow, before: MessageRow | None) -> str:
    if row.fate in _WAITING:
        return _WAITING[row.fate](row)
    sent = moment(row.sent_at or row.fate_at)
    match row.fate:
        case Fate.SUPPRESSED if before is not None and before.sent_at is not None:
            return (
                f"but is suppressed ({row.reason}): one was sent on {moment(before.sent_at)} for"
                " what has since been overturned, and it is not sent again within"
                f" {span(row.message.again_after)}"
            )
        case Fate.SUPPRESSED:
            return f"but is suppressed{_because(row)}"
        case Fate.HELD_OUT:
            return (
                "but is held out: she is in the group that does not get it, to measure its effect"
            )
        case Fate.FAILED:
            return (
                f"but could not be sent ({row.reason}); that was given up on {moment(row.fate_at)}"
            )
        case Fate.UNKNOWN:
            return (
                f"and may have been sent on {moment(row.fate_at)}: the answer to it was lost"
                f" ({row.reason}), so it is not sent again"
            )
        case Fate.OVERTAKEN:
            return f"and sent on {sent}, but overtaken ({row.reason})"
        case _:
            by = f" by {row.channel}" if row.channel else ""
            return f"and sent{by} on {sent}"


def _because(row: MessageRow) -> str:
    """In words where a rule of sending said no, else the name of the reason."""
    if row.reason in set(Reason):
        return f": {told(Reason(row.reason))}"
    return f" ({row.reason})"


def _queued(row: MessageRow) -> str:
    expires = row.message.expires_at
    until = f" until {moment(expires)}" if expires else ""
    return f"and is queued, to be sent from {moment(row.not_before)}{until}"


def _deferred(row: MessageRow) -> str:
    expires = row.message.expires_at
    until = f", until {moment(expires)} at the latest" if expires else ""
    return f"and is deferred to {moment(row.not_before)}{until}{_because(row)}"


def _expired(row: MessageRow) -> str:
    expires = row.message.expires_at
    if expires is not None and expires <= row.recorded_at:
        return f"but had expired on {moment(expires)}, before it could be queued"
    return f"but was not sent and expired on {moment(row.fate_at)}"


_WAITING: dict[Fate, Callable[[MessageRow], str]] = {
    Fate.QUEUED: _queued,
    Fate.DEFERRED: _deferred,
    Fate.CLAIMED: lambda _: "and is about to be sent",
    Fate.IN_FLIGHT: lambda _: "and is being sent",
    Fate.WITHHELD: lambda row: (
        "and is withheld: its time was over when a policy was published that judges the past anew"
        if row.reason == RESTATED
        else "and is withheld: its time was over when the import ended that told of this"
    ),
    Fate.EXPIRED: _expired,
    Fate.CANCELLED: lambda row: f"but was cancelled on {moment(row.fate_at)}{_because(row)}",
}
"""Of those that have not left."""


def news(event: Event) -> str | None:
    """What an event of ours about a letter is called; None for other events."""
    said = event.properties
    if event.type == OPENED:
        return f"She opened {_letter(said)}"
    if event.type == CLICKED:
        return f"She followed link {said['link']} of {_letter(said)}, to {said['url']}"
    if event.type == PREFETCHED:
        what = "opened" if said["what"] == "open" else "followed a link of"
        return f"A machine {what} {_letter(said)}: {_why(said['why'])}"
    if event.type == BOUNCED:
        return _BOUNCES[News(said["kind"])].format(letter=_letter(said), code=said["code"])
    if (form := _NEWS.get(event.type)) is None:
        return None
    code = f" ({said['code']})" if said.get("code") else ""
    return form.format(letter=_letter(said), code=code)


def consequence(event: Event) -> str | None:
    """What a report did beside her history, which the fold does not know of."""
    if event.type == BOUNCED:
        return _CONSEQUENCES[News(event.properties["kind"])]
    reported = {DELIVERED: News.DELIVERED, COMPLAINED: News.COMPLAINED}.get(event.type)
    return None if reported is None else _CONSEQUENCES[reported]


_NEWS = {
    SENT: "{letter} was sent",
    FAILED: "{letter} could not be sent{code}",
    UNKNOWN: "{letter} may have been sent: the answer was lost{code}, so it is not sent again",
    DELIVERED: "{letter} arrived",
    COMPLAINED: "She called {letter} spam{code}",
}
_BOUNCES = {
    News.HARD: "{letter} came back for good ({code}, a hard bounce)",
    News.SOFT: "{letter} did not arrive this time ({code}, a soft bounce)",
    News.POLICY: "{letter} was refused for how we send ({code}), which is no fault of her address",
}
_CONSEQUENCES = {
    News.DELIVERED: "It counts as sent, also where nobody knew whether it had left.",
    News.HARD: "The address to which it went is written to no more, until a person lifts that.",
    News.SOFT: (
        f"It was counted: soft bounces of {SOFT_MOST} letters within {span(SOFT_WITHIN)} silence"
        f" the address for {span(SOFT_FOR)}."
    ),
    News.POLICY: "A person should look into it before more is sent.",
    News.COMPLAINED: (
        "No marketing goes to that address any more, until a person lifts that; service messages do."
    ),
}


def _why(word: str) -> str:
    """In words, where it is one that this version knows."""
    return fetching.told(Why(word)) if word in set(Why) else word


def _letter(said: Mapping[str, Any]) -> str:
    """`nurture (email, letter 2 of the series)`; no channel where none had been chosen."""
    series = f"letter {said['step']} of the series" if said["step"] > 1 else ""
    around = ", ".join(filter(None, (said["channel"], series)))
    return f"{said['rule']} ({around})" if around else said["rule"]


def orphaned(row: MessageRow, version: Version, unknown: Container[int] = ()) -> str:
    """Of a message whose cause no longer stands."""
    name = message_name(row.message, version)
    if row.row_id in unknown:
        return f"{name}, planned for it, had not left by then."
    match row.fate:
        case Fate.CANCELLED:
            on = moment(row.fate_at)
            return f"{name}, queued for it, was cancelled on {on} ({row.reason})."
        case Fate.OVERTAKEN:
            on = moment(row.sent_at or row.fate_at)
            return f"{name} had been sent for it on {on}: it is overtaken, and not sent twice."
        case Fate.EXPIRED:
            return f"{name}, planned for it, had expired."
        case Fate.WITHHELD:
            return f"{name}, planned for it, had been withheld."
        case _:
            reason = f" ({row.reason})" if row.reason else ""
            return f"{name}, planned for it, is {row.fate.value}{reason}."

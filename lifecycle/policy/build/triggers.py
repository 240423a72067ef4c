"""What sets a rule off: events, time, other rules, dates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time, timedelta
from typing import Any

from lifecycle.domain.policy import (
    After,
    FactKind,
    OnCalendar,
    OnEvent,
    OnRequest,
    OnState,
    OnTransition,
    OwnRhythm,
    ValueType,
)
from lifecycle.policy.build.names import Names
from lifecycle.policy.format import REQUEST
from lifecycle.policy.records import Fields
from lifecycle.policy.report import found
from lifecycle.policy.shapes import At

_LEAP_YEAR = 2024
_DEFAULT_AT = time(9, 0)
_LUNAR = "lunar "
_LUNAR_MONTHS, _LUNAR_DAYS = 12, 30  # leap months do not count; the 30th: a month's last day


def of_transition(item: At[Fields], names: Names) -> OnEvent | After | None:
    """Events, or time: exactly one of them."""
    fields = item.value
    timed = [key for key in ("after", "since") if key in fields.written]
    if "on" in fields.written and timed:
        names.report.error(
            fields.place(timed[0], item.place),
            "two_kinds",
            f'found "on" and "{timed[0]}" together; a transition is triggered either by '
            "events (on) or by time (after, since)",
        )
        return None
    if "on" in fields:
        return _on_event(fields.value("on"), names)
    if not timed and "on" not in fields.written:
        names.report.error(
            item.place,
            "missing_key",
            'a transition needs "on" (an event type), or "after" and "since" (a timed check)',
        )
    if len(timed) == 1:
        other = "since" if timed[0] == "after" else "after"
        names.report.error(
            fields.place(timed[0], item.place),
            "missing_key",
            f'found "{timed[0]}" without "{other}"; a timed check needs both, such as '
            "after: 60d, since: last_seen_at",
        )
    return _after(fields, names)


Trigger = OnTransition | OnEvent | OnState | After | OnCalendar | OnRequest


def of_outreach(held: At[Any], transitions: Sequence[str], names: Names) -> Trigger | None:
    if held.value == REQUEST:
        return OnRequest()
    kind, fields = held.value
    if kind == "after":
        return _after(fields, names)
    if kind not in fields:
        return None
    if kind == "calendar":
        return _calendar(fields, names)
    if kind == "event":
        return _on_event(fields.value("event"), names)
    if kind == "state":
        return _on_state(fields, names)
    caused_by = [
        names.known("unknown transition", "unknown_transition", name, transitions)
        for name in fields.value("transition")
    ]
    return OnTransition(names=tuple(name for name in caused_by if name is not None))


def _on_state(fields: Fields, names: Names) -> OnState | None:
    found = [names.state(name) for name in fields.value("state")]
    states = tuple(dict.fromkeys(state for state in found if state is not None))
    if fields.broken("stayed"):
        return None  # entering was not what was meant
    return OnState(names=states, stayed=fields.value("stayed"))


def _on_event(written: Sequence[At[str]], names: Names) -> OnEvent:
    types = [names.event(name) for name in written]
    return OnEvent(types=tuple(dict.fromkeys(kind for kind in types if kind is not None)))


def _after(fields: Fields, names: Names) -> After | None:
    if "after" not in fields or "since" not in fields:
        return None
    wait = _wait(fields["after"], names)
    since = names.fact(fields["since"], (FactKind.FIRST, FactKind.LAST), "to count from")
    return After(wait=wait, since=since) if wait is not None and since is not None else None


def _wait(held: At[Any], names: Names) -> timedelta | OwnRhythm | None:
    if isinstance(held.value, timedelta):
        return held.value
    fields: Fields = held.value
    if not all(key in fields for key in ("fact", "at_least", "at_most", "otherwise")):
        return None
    if fields.value("at_least") > fields.value("at_most"):
        names.report.error(
            fields["at_most"].place,
            "wrong_bounds",
            "found an at_most that is shorter than at_least; allowed: at_least ≤ at_most",
        )
    fact = names.fact(fields["fact"], (FactKind.GAP,), "as a waiting time")
    if fact is None:
        return None
    return OwnRhythm(
        fact=fact,
        at_least=fields.value("at_least"),
        at_most=fields.value("at_most"),
        otherwise=fields.value("otherwise"),
    )


def _calendar(fields: Fields, names: Names) -> OnCalendar | None:
    day: At[str] = fields["calendar"]
    at: time = fields.value("at", _DEFAULT_AT)
    if day.value[0].isdigit():
        month_day = _month_day(day, names)
        return OnCalendar(attribute=None, month_day=month_day, at=at) if month_day else None
    if day.value.startswith(_LUNAR):
        lunar = _lunar(day, names)
        return OnCalendar(attribute=None, month_day=None, lunar=lunar, at=at) if lunar else None
    dates = [name for name, kind in names.attributes.items() if kind is ValueType.DATE]
    if day.value in names.attributes and day.value not in dates:
        names.report.error(
            day.place,
            "wrong_type",
            f'found "{day.value}", which is {names.attributes[day.value]}; allowed: an attribute '
            f"of the type date ({', '.join(dates) or 'none is declared'})",
        )
        return None
    attribute = names.known("unknown date attribute", "unknown_attribute", day, dates)
    return OnCalendar(attribute=attribute, month_day=None, at=at) if attribute else None


def _month_day(day: At[str], names: Names) -> tuple[int, int] | None:
    month, number = int(day.value[:2]), int(day.value[3:])
    try:
        date(_LEAP_YEAR, month, number)
    except ValueError:
        names.report.error(
            day.place,
            "wrong_date",
            f"{found(day.value)}; allowed: a month and day that exist, such as "
            '"12-25" for December 25',
        )
        return None
    return month, number


def _lunar(day: At[str], names: Names) -> tuple[int, int] | None:
    month, number = map(int, day.value.removeprefix(_LUNAR).split("-"))
    if 1 <= month <= _LUNAR_MONTHS and 1 <= number <= _LUNAR_DAYS:
        return month, number
    names.report.error(
        day.place,
        "wrong_date",
        f"{found(day.value)}; allowed: a month from 01 to 12 and a day from 01 to 30 of the "
        'Chinese calendar, such as "lunar 08-15"',
    )
    return None

"""What holds for the messages of all rules: caps, quiet hours, working days, the limit of a surge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from lifecycle.domain.policy import (
    Cap,
    MessageClass,
    Period,
    QuietHours,
    Sending,
    Surge,
    WorkingDays,
)
from lifecycle.policy.build.names import Names
from lifecycle.policy.format import WEEKDAYS
from lifecycle.policy.records import Fields
from lifecycle.policy.shapes import At

_NEVER = Period.DAY  # the window of a cap of none, which holds for ever
_USUAL_DAYS = ("mon", "tue", "wed", "thu", "fri")


def sending(fields: Fields, names: Names) -> Sending:
    held: Fields = fields.value("sending", Fields({}, frozenset()))
    everybody: Fields = fields.value("holdout", Fields({}, frozenset()))
    written: Sequence[At[Fields]] = held.value("caps", ())
    for number, item in enumerate(written):
        names.note(("sending", "caps", number), item)
    caps = [cap(item, names) for item in written]
    return Sending(
        caps=tuple(one for one in caps if one is not None),
        quiet=_quiet(held["quiet"], names) if "quiet" in held else None,
        working_days=_working_days(held["working_days"], names) if "working_days" in held else None,
        holdout=everybody.value("all", Decimal(0)),
        surge=_surge(held.value("surge")),
    )


def cap(item: At[Fields], names: Names) -> Cap | None:
    """A cap of one rule or of all; None where it could not be read, which has been told."""
    fields = item.value
    most: int | None = fields.value("most")
    if most is None:
        return None
    _block(item, most, names)
    window = _window(item, names, needed=most > 0)
    if window is None:
        return None
    message_class = fields.value("class")
    return Cap(
        most=most,
        window=window,
        channel=fields.value("channel"),
        message_class=None if message_class is None else MessageClass(message_class),
    )


def _block(item: At[Fields], most: int, names: Names) -> None:
    """None at all is said twice, for a 0 could also be meant as "no limit"."""
    fields = item.value
    if most == 0 and not fields.flag("block") and not fields.broken("block"):
        names.report.error(
            fields.place("most", item.place),
            "block_not_said",
            "found most: 0, which stops these messages altogether; allowed: 0 together with "
            "block: true, to say so; for no limit leave the cap out, and on a rule for which "
            "no cap is to hold say cap: null",
        )
    if most > 0 and fields.flag("block"):
        names.report.error(
            fields.place("block", item.place),
            "two_kinds",
            f"found block: true together with most: {most}; allowed: block with most: 0 only",
        )


def _window(item: At[Fields], names: Names, *, needed: bool) -> timedelta | Period | None:
    fields = item.value
    both = [key for key in ("within", "per") if key in fields.written]
    if len(both) == 2:
        names.report.error(
            fields.place("per", item.place),
            "two_kinds",
            'found "within" and "per" together; a cap counts either within any time of a length '
            "(within: 7d) or in a stretch of the calendar (per: week)",
        )
        return None
    if not both and needed:
        names.report.error(
            item.place,
            "missing_key",
            'a cap needs "within" (any time of this length) or "per" (day, week, month)',
        )
        return None
    if "per" in fields:
        return Period(fields.value("per"))
    within: timedelta | None = fields.value("within")
    return within if both else _NEVER


def _quiet(item: At[Fields], names: Names) -> QuietHours | None:
    fields = item.value
    if "since" not in fields or "until" not in fields:
        return None
    since, until = fields.value("since"), fields.value("until")
    if since == until:
        names.report.error(
            fields.place("until", item.place),
            "empty_or_full_day",
            f"found {since:%H:%M} to {until:%H:%M}, an empty or a full-day window, say which: "
            "leave quiet out if no hour is silent; if all are, say that no marketing goes out: "
            "caps: [{most: 0, block: true, class: marketing}]",
        )
        return None
    return QuietHours(since=since, until=until)


def _working_days(item: At[Fields], names: Names) -> WorkingDays:
    fields = item.value
    days = [day.value for day in fields["days"].value] if "days" in fields else _USUAL_DAYS
    order = list(WEEKDAYS)
    closed, opened = _dates(fields, "closed"), _dates(fields, "open")
    for day in fields.value("open", ()):
        if day.value in closed:
            names.report.error(
                day.place,
                "two_kinds",
                f"found {day.value} both in open and in closed; allowed: in one of them",
            )
    return WorkingDays(
        weekdays=frozenset(order.index(day) for day in days),
        holidays=fields.value("holidays"),
        closed=closed,
        open=opened,
    )


def _dates(fields: Fields, key: str) -> frozenset[date]:
    return frozenset(day.value for day in fields.value(key, ()))


def _surge(fields: Fields | None) -> Surge:
    usual = Surge()
    if fields is None:
        return usual
    return Surge(
        within=fields.value("within", usual.within),
        least=fields.value("least", usual.least),
        times=fields.value("times", usual.times),
    )

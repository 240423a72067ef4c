"""What is remembered of a customer between two folds; derived from the events, never a truth of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from lifecycle.domain.event import EventKey
from lifecycle.domain.instant import instant_from

if TYPE_CHECKING:
    from lifecycle.domain.timeline import Timeline


@dataclass(slots=True, kw_only=True)
class Mark:
    """What a timed check has spent; a fold that spends more works on a copy.

    Of a check whose anchor only goes forward, the newest is remembered; none before it comes back.
    """

    stay: int  # the stay in a state during which `spent` was collected
    spent: list[datetime]  # anchors at which it was evaluated during that stay
    counts: dict[datetime, int]  # anchor → evaluations so far

    def copy(self) -> Mark:
        return Mark(stay=self.stay, spent=self.spent.copy(), counts=self.counts.copy())


_NONE: Mapping[str, Any] = {}  # nobody changes what a snapshot holds


class Snapshot(NamedTuple):
    """A customer after a prefix of her history, folded up to an instant.

    A named tuple, as one is made for nearly every event: a frozen dataclass costs several times more.
    """

    shape: str  # of the timeline's facts; cells of another shape cannot be read
    state: str
    entered_at: datetime | None = None  # None until the first event
    stay: int = 0  # how many steps she has made
    began_at: datetime | None = None  # instant of her first event
    last_key: EventKey | None = None  # of the newest event folded
    checked_at: datetime | None = None  # instant of the last check or slot evaluated
    moved_at: datetime | None = None  # of the last effective move by an operator
    calendar_since: datetime | None = None  # slots after it count: zone, dates are as since then
    waits: int = 0  # how many of her events lie after the horizon
    cells: tuple[Any, ...] = ()  # one an accumulator of the timeline
    attributes: Mapping[str, Any] = _NONE  # canonical JSON values
    tags: tuple[str, ...] = ()  # sorted
    consents: Mapping[str, bool] = _NONE  # "purpose/channel" → given
    marks: Mapping[str, Mark] = _NONE  # by timed check
    slots: Mapping[str, date] = _NONE  # by calendar rule: last local date spent
    refused: Mapping[str, int] = _NONE  # by rule: how often its guard said no

    def dump(self) -> bytes:
        """As bytes for `load`; equal snapshots give equal bytes."""
        return orjson.dumps(
            (
                self.shape,
                self.state,
                self.entered_at,
                self.stay,
                self.began_at,
                None if self.last_key is None else tuple(self.last_key),
                self.checked_at,
                self.moved_at,
                self.calendar_since,
                self.waits,
                self.cells,
                self.attributes,
                self.tags,
                self.consents,
                {
                    name: (mark.stay, mark.spent, list(mark.counts.items()))
                    for name, mark in self.marks.items()
                },
                self.slots,
                self.refused,
            ),
            default=_decimal,
            option=orjson.OPT_SORT_KEYS,
        )


def _decimal(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{value!r} has no place in a snapshot")


def shape_of(dumped: bytes) -> str:
    """The shape of a dumped snapshot, without reading the rest."""
    return dumped[2 : dumped.index(b'"', 2)].decode()


def load(dumped: bytes, timeline: Timeline) -> Snapshot:
    """The snapshot that `dump` wrote under a timeline of the same shape."""
    (
        shape,
        state,
        entered_at,
        stay,
        began_at,
        key,
        checked_at,
        moved_at,
        calendar_since,
        waits,
        cells,
        attributes,
        tags,
        consents,
        marks,
        slots,
        refused,
    ) = orjson.loads(dumped)
    return Snapshot(
        shape=shape,
        state=state,
        entered_at=_maybe(entered_at),
        stay=stay,
        began_at=_maybe(began_at),
        last_key=None if key is None else EventKey(instant_from(key[0]), key[1], key[2]),
        checked_at=_maybe(checked_at),
        moved_at=_maybe(moved_at),
        calendar_since=_maybe(calendar_since),
        waits=waits,
        cells=timeline.cells_from(cells),
        attributes=attributes,
        tags=tuple(tags),
        consents=consents,
        marks={
            name: Mark(
                stay=at_stay,
                spent=[instant_from(anchor) for anchor in spent],
                counts={instant_from(anchor): count for anchor, count in counts},
            )
            for name, (at_stay, spent, counts) in marks.items()
        },
        slots={name: date.fromisoformat(day) for name, day in slots.items()},
        refused=refused,
    )


def _maybe(text: str | None) -> datetime | None:
    return None if text is None else instant_from(text)

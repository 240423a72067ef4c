"""How each kind of fact is kept and read: one accumulator a definition, one cell of it a customer.

A cell is what a customer carries; accumulators are shared, hold no customer's data, and change a
cell only in the order of events. `read` gives the value that guards see, `exact` the canonical one.
"""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import islice, takewhile
from typing import Any

import orjson

from lifecycle.domain.event import Event
from lifecycle.domain.instant import decimal_text, instant_from, instant_text, seconds_text
from lifecycle.domain.money import minor_units
from lifecycle.domain.policy import INTERACTION, Fact, FactKind, Policy, ValueType

Cell = Any  # its shape is its accumulator's business
Take = Callable[[Event], Any]  # the value of an event's property, None where it has none
Update = Callable[[list[Cell], Event], None]

# Wide enough that sums never round, whatever their order: a number has at most 30 digits, anywhere
# around the point, and 59 such places stand in a sum of them, and one more for ten times as many.
_EXACT = Context(prec=80)
_MICROSECOND = timedelta(microseconds=1)


class Accumulator(ABC):
    """Keeps one fact. `definition` is equal for two facts exactly when they mean the same."""

    definition: str
    within: timedelta | None = None

    def empty(self) -> Cell:
        return None

    @abstractmethod
    def updater(self, index: int, role: str) -> Update:
        """A function that takes one event into cell `index`; `role` is `add`, or `less` to take away.

        A closure with everything bound, because it runs for every event.
        """

    @abstractmethod
    def read(self, cell: Cell, at: datetime) -> Any:
        """The value for guards: int, float, str, bool, aware datetime, timedelta or None."""

    def exact(self, cell: Cell, at: datetime) -> Any:
        """The value as canonical JSON: decimals, instants and durations are text."""
        return canonical(self.read(cell, at))

    def copy(self, cell: Cell) -> Cell:
        return cell

    def load(self, dumped: Any) -> Cell:
        """A cell from what orjson made of it (instants are text, decimals are text)."""
        return dumped


def canonical(value: Any) -> Any:
    """A guard's value as JSON that compares and prints the same everywhere."""
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, timedelta):
        return seconds_text(value)
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, float):
        return decimal_text(Decimal(repr(value)))
    return value


def readable(value: Any, kind: ValueType) -> Any:
    """A stored JSON value as guards see it; dates are midnight UTC, decimals are doubles."""
    if value is None:
        return None
    if kind in (ValueType.MONEY, ValueType.NUMBER):
        return float(value)
    if kind is ValueType.TIMESTAMP:
        return instant_from(value)
    if kind is ValueType.DATE:
        return datetime.combine(date.fromisoformat(value), time(), UTC)
    return value


class Count(Accumulator):
    def empty(self) -> int:
        return 0

    def updater(self, index: int, role: str) -> Update:
        change = 1 if role == "add" else -1

        def update(cells: list[Cell], event: Event) -> None:
            cells[index] += change

        return update

    def read(self, cell: Cell, at: datetime) -> int:
        return int(cell)


class Sum(Accumulator):
    def __init__(self, take: Mapping[str, Take]) -> None:
        self._take = take

    def empty(self) -> Decimal:
        return Decimal(0)

    def updater(self, index: int, role: str) -> Update:
        take = self._take[role]
        change = _EXACT.add if role == "add" else _EXACT.subtract

        def update(cells: list[Cell], event: Event) -> None:
            value = take(event)
            if value is not None:
                cells[index] = change(cells[index], value)

        return update

    def read(self, cell: Cell, at: datetime) -> float:
        return float(cell)

    def exact(self, cell: Cell, at: datetime) -> str:
        return decimal_text(cell)

    def load(self, dumped: Any) -> Decimal:
        return Decimal(dumped)


class First(Accumulator):
    def updater(self, index: int, role: str) -> Update:
        def update(cells: list[Cell], event: Event) -> None:
            if cells[index] is None:
                cells[index] = event.occurred_at

        return update

    def read(self, cell: Cell, at: datetime) -> datetime | None:
        return cell  # type: ignore[no-any-return]

    def load(self, dumped: Any) -> datetime | None:
        return None if dumped is None else instant_from(dumped)


class Last(First):
    def updater(self, index: int, role: str) -> Update:
        def update(cells: list[Cell], event: Event) -> None:
            cells[index] = event.occurred_at

        return update


class Latest(Accumulator):
    def __init__(self, take: Take, kind: ValueType) -> None:
        self._take = take
        self._kind = kind

    def updater(self, index: int, role: str) -> Update:
        take = self._take

        def update(cells: list[Cell], event: Event) -> None:
            value = take(event)
            if value is not None:
                cells[index] = canonical(value)

        return update

    def read(self, cell: Cell, at: datetime) -> Any:
        return readable(cell, self._kind)

    def exact(self, cell: Cell, at: datetime) -> Any:
        return cell


class Gap(Accumulator):
    """Nearest-rank quantile of the times between consecutive events at distinct instants."""

    def __init__(self, quantile: Decimal) -> None:
        self._quantile = quantile

    def empty(self) -> list[Any]:
        return [None, []]  # the last instant, the gaps in microseconds in ascending order

    def updater(self, index: int, role: str) -> Update:
        def update(cells: list[Cell], event: Event) -> None:
            cell = cells[index]
            last, at = cell[0], event.occurred_at
            if last is not None and at > last:
                insort(cell[1], (at - last) // _MICROSECOND)
            cell[0] = at

        return update

    def read(self, cell: Cell, at: datetime) -> timedelta | None:
        gaps = cell[1]
        if not gaps:
            return None
        rank = math.ceil(self._quantile * len(gaps))
        return timedelta(microseconds=gaps[rank - 1])

    def copy(self, cell: Cell) -> Cell:
        return [cell[0], cell[1].copy()]

    def load(self, dumped: Any) -> Cell:
        last, gaps = dumped
        return [None if last is None else instant_from(last), gaps]


class Extreme(Accumulator):
    """`min` and `max` over the whole history."""

    def __init__(self, take: Take, choose: Callable[[Any, Any], Any], kind: ValueType) -> None:
        self._take = take
        self._choose = choose
        self._number: Callable[[Any], Any] = int if kind is ValueType.INT else Decimal
        self._kind = kind

    def updater(self, index: int, role: str) -> Update:
        take, choose = self._take, self._choose

        def update(cells: list[Cell], event: Event) -> None:
            value = take(event)
            if value is not None:
                cell = cells[index]
                cells[index] = value if cell is None else choose(cell, value)

        return update

    def read(self, cell: Cell, at: datetime) -> Any:
        return readable(cell, self._kind)

    def exact(self, cell: Cell, at: datetime) -> Any:
        return canonical(cell)

    def load(self, dumped: Any) -> Any:
        return None if dumped is None else self._number(dumped)


class Distinct(Accumulator):
    """How many different values; a value's newest instant is kept, in their order, for windows.

    What has left the window is let go when the next value comes: the fold never looks back.
    """

    def __init__(self, take: Take) -> None:
        self._take = take

    def empty(self) -> dict[str, datetime]:
        return {}

    def updater(self, index: int, role: str) -> Update:
        take, within = self._take, self.within

        def update(cells: list[Cell], event: Event) -> None:
            value = take(event)
            if value is None:
                return
            cell, at = cells[index], event.occurred_at
            name = orjson.dumps(canonical(value)).decode()
            if within is not None:
                cell.pop(name, None)  # to stand behind the others
                gone = takewhile(lambda instant: instant <= at - within, cell.values())
                for old in list(islice(cell, sum(1 for _ in gone))):
                    del cell[old]
            cell[name] = at

        return update

    def read(self, cell: Cell, at: datetime) -> int:
        if self.within is None:
            return len(cell)
        since = at - self.within
        return sum(1 for instant in cell.values() if instant > since)

    def copy(self, cell: Cell) -> Cell:
        return cell.copy()

    def load(self, dumped: Any) -> Cell:
        cell = {value: instant_from(instant) for value, instant in dumped.items()}
        return dict(sorted(cell.items(), key=_newest)) if self.within is not None else cell


class WindowedTotal(Accumulator):
    """`count` and `sum` over (t − within, t]: the entries in order, and what they add up to.

    What has left the window is let go when the next event comes: the fold never looks back.
    """

    def __init__(self, empty: int | Decimal, take: Mapping[str, Take], within: timedelta) -> None:
        self._empty = empty
        self._take = take
        self.within: timedelta = within
        exact = isinstance(empty, Decimal)
        self._plus: Callable[[Any, Any], Any] = _EXACT.add if exact else operator.add
        self._minus: Callable[[Any, Any], Any] = _EXACT.subtract if exact else operator.sub

    def empty(self) -> list[Any]:
        return [[], self._empty]

    def updater(self, index: int, role: str) -> Update:
        within, take, plus = self.within, self._take[role], self._plus
        change, nothing = (plus if role == "add" else self._minus), self._empty

        def update(cells: list[Cell], event: Event) -> None:
            value = take(event)
            if value is None:
                return
            cell, at = cells[index], event.occurred_at
            entries, signed = cell[0], change(nothing, value)
            entries.append((at, signed))
            cell[1] = plus(cell[1], signed)
            if entries[0][0] <= at - within:
                cell[1] = self._within(cell, at)
                del entries[: bisect_right(entries, at - within, key=_instant_of)]

        return update

    def _within(self, cell: Cell, at: datetime) -> Any:
        entries, total = cell
        minus, since = self._minus, at - self.within
        for instant, value in entries:
            if instant > since:
                break
            total = minus(total, value)
        return total

    def read(self, cell: Cell, at: datetime) -> int | float:
        total = self._within(cell, at)
        return float(total) if isinstance(self._empty, Decimal) else int(total)

    def exact(self, cell: Cell, at: datetime) -> Any:
        total = self._within(cell, at)
        return decimal_text(total) if isinstance(self._empty, Decimal) else int(total)

    def copy(self, cell: Cell) -> Cell:
        return [cell[0].copy(), cell[1]]

    def load(self, dumped: Any) -> Cell:
        kind = type(self._empty)
        return [[(instant_from(at), kind(value)) for at, value in dumped[0]], kind(dumped[1])]


class WindowedExtreme(Accumulator):
    """`min` and `max` over (t − within, t]: the entries in order."""

    def __init__(
        self,
        take: Take,
        choose: Callable[..., Any],
        kind: ValueType,
        within: timedelta,
    ) -> None:
        self._take = take
        self._choose = choose
        self._number: Callable[[Any], Any] = int if kind is ValueType.INT else Decimal
        self._kind = kind
        self.within: timedelta = within

    def empty(self) -> list[Any]:
        return []

    def updater(self, index: int, role: str) -> Update:
        within, take = self.within, self._take

        def update(cells: list[Cell], event: Event) -> None:
            value = take(event)
            if value is None:
                return
            cell, at = cells[index], event.occurred_at
            cell.append((at, value))
            del cell[: bisect_right(cell, at - within, key=_instant_of)]

        return update

    def _within(self, cell: Cell, at: datetime) -> Any:
        start = bisect_right(cell, at - self.within, key=_instant_of)
        return self._choose((value for _, value in cell[start:]), default=None)

    def read(self, cell: Cell, at: datetime) -> Any:
        return readable(self._within(cell, at), self._kind)

    def exact(self, cell: Cell, at: datetime) -> Any:
        return canonical(self._within(cell, at))

    def copy(self, cell: Cell) -> Cell:
        return cell.copy()

    def load(self, dumped: Any) -> Cell:
        return [(instant_from(at), self._number(value)) for at, value in dumped]


def _newest(entry: tuple[str, datetime]) -> datetime:
    return entry[1]


def _one(event: Event) -> int:
    return 1


def _instant_of(entry: tuple[datetime, Any]) -> datetime:
    return entry[0]


# By event type, property and what it is taken as; shared by the facts of a policy.
Takers = dict[tuple[str, str, ValueType | None], Take]


def accumulator(fact: Fact, policy: Policy, takers: Takers) -> Accumulator:
    """The keeper of one fact of one policy."""
    kept = _keeper(fact, policy, takers)
    if fact.kind is FactKind.DISTINCT:
        kept.within = fact.within
    kept.definition = definition(fact, policy)
    return kept


def _keeper(fact: Fact, policy: Policy, takers: Takers) -> Accumulator:
    take = _takes(fact, policy, takers)
    value_type = fact.property_type or ValueType.TEXT
    if fact.within is not None and fact.kind in _WINDOWED:
        return _WINDOWED[fact.kind](take, value_type, fact.within)
    match fact.kind:
        case FactKind.SUM:
            return Sum(take)
        case FactKind.LATEST:
            return Latest(take["add"], value_type)
        case FactKind.MIN | FactKind.MAX:
            choose = min if fact.kind is FactKind.MIN else max
            return Extreme(take["add"], choose, value_type)
        case FactKind.DISTINCT:
            return Distinct(take["add"])
        case FactKind.GAP:
            return Gap(fact.quantile or Decimal("0.5"))
        case _:
            return _PLAIN[fact.kind]()


_PLAIN: dict[FactKind, Callable[[], Accumulator]] = {
    FactKind.COUNT: Count,
    FactKind.FIRST: First,
    FactKind.LAST: Last,
}
_WINDOWED: dict[FactKind, Callable[[dict[str, Take], ValueType, timedelta], Accumulator]] = {
    FactKind.COUNT: lambda take, kind, within: WindowedTotal(
        0, {"add": _one, "less": _one}, within
    ),
    FactKind.SUM: lambda take, kind, within: WindowedTotal(Decimal(0), take, within),
    FactKind.MIN: lambda take, kind, within: WindowedExtreme(take["add"], min, kind, within),
    FactKind.MAX: lambda take, kind, within: WindowedExtreme(take["add"], max, kind, within),
}


def _takes(fact: Fact, policy: Policy, takers: Takers) -> dict[str, Take]:
    kind = fact.property_type
    if kind is ValueType.INT and fact.kind is FactKind.SUM:
        kind = ValueType.NUMBER  # sums are decimals, whatever they add up
    wanted = {"add": (fact.event, fact.property), "less": (fact.less_event, fact.less_property)}
    takes: dict[str, Take] = {}
    for role, (event_type, name) in wanted.items():
        if event_type is not None and name is not None:
            if (event_type, name, kind) not in takers:
                takers[event_type, name, kind] = taker(policy, event_type, name, kind)
            takes[role] = takers[event_type, name, kind]
    return takes


def taker(policy: Policy, event_type: str, name: str, kind: ValueType | None) -> Take:
    """A function that takes a property out of an event; money comes in the policy's currency."""
    if kind is ValueType.MONEY:
        return _money_taker(policy, event_type, name)
    if kind is ValueType.NUMBER:
        return lambda event: _decimal(event.properties.get(name))
    return lambda event: event.properties.get(name)


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _money_taker(policy: Policy, event_type: str, name: str) -> Take:
    declared = policy.events[event_type].properties if event_type in policy.events else {}
    currency_property = next(
        (key for key, prop in declared.items() if prop.type is ValueType.CURRENCY), None
    )
    base = policy.currency
    exchanges: dict[str, Exchange] = {}
    # Several facts take the same property of the same event, one after the other.
    latest: tuple[Event | None, Decimal | None] = (None, None)

    def take(event: Event) -> Decimal | None:
        nonlocal latest
        taken_from, value = latest
        if taken_from is not event:
            value = convert(event)
            latest = (event, value)
        return value

    def convert(event: Event) -> Decimal | None:
        text = event.properties.get(name)
        if text is None:
            return None
        amount = Decimal(text)
        currency = event.properties.get(currency_property) if currency_property else None
        if currency is None or currency == base:
            return amount
        if currency not in exchanges:
            exchanges[currency] = Exchange(policy, currency)
        return exchanges[currency].convert(amount, event.occurred_at)

    return take


class Exchange:
    """From a currency into the policy's, at dated rates, to whole minor units."""

    def __init__(self, policy: Policy, currency: str) -> None:
        rates = sorted((r.since, r.rate) for r in policy.rates if r.currency == currency)
        if not rates:
            # intake refuses such an event, so only a policy that was changed later can meet it
            raise ValueError(f"no rate for {currency} in the policy's currency {policy.currency}")
        self._since = [since for since, _ in rates]
        self._rates = [rate for _, rate in rates]
        self._quantum = Decimal(1).scaleb(-(minor_units(policy.currency) or 0))

    def convert(self, amount: Decimal, at: datetime) -> Decimal:
        """At the rate in force at `at`.

        Intake refuses money older than the first rate. Only a policy that was changed later can meet
        some, and then the first one serves.
        """
        rate = self._rates[max(bisect_right(self._since, at) - 1, 0)]
        exact = _EXACT.multiply(amount, rate)
        return exact.quantize(self._quantum, ROUND_HALF_EVEN, _EXACT)


def fed_by(fact: Fact, policy: Policy, known: Iterable[str] = ()) -> list[tuple[str, str]]:
    """(event type, role) pairs that move a fact of this policy.

    Of the types that it does not declare, those `known` are named, and INTERACTION stands for the rest.
    """
    pairs = [(fact.event, "add")]
    if fact.less_event is not None:
        pairs.append((fact.less_event, "less"))
    return [
        (kind, role)
        for name, role in pairs
        for kind in (interactions(policy, known) if name == INTERACTION else (name,))
    ]


def interactions(policy: Policy, known: Iterable[str] = ()) -> tuple[str, ...]:
    """Every type that counts as interaction: those declared so, and whatever is not declared."""
    declared = {kind.name for kind in policy.events.values() if kind.interaction}
    return (*sorted(declared.union(known) - _others(policy)), INTERACTION)


def _others(policy: Policy) -> set[str]:
    """The types that do not count as interaction."""
    return {kind.name for kind in policy.events.values() if not kind.interaction}


def definition(fact: Fact, policy: Policy) -> str:
    """Equal for two facts exactly when they mean the same, in whichever policies they stand."""
    money = ""
    if fact.property_type is ValueType.MONEY:
        rates = sorted(
            (r.currency, instant_text(r.since), decimal_text(r.rate)) for r in policy.rates
        )
        money = f"{policy.currency} {rates}"
    parts = (
        fact.kind.value,
        (fact.event, fact.less_event),
        sorted(_others(policy)) if INTERACTION in {fact.event, fact.less_event} else (),
        fact.property,
        fact.property_type and fact.property_type.value,
        fact.less_property,
        fact.within and seconds_text(fact.within),
        fact.quantile and decimal_text(fact.quantile),
        money,
    )
    return repr(parts)

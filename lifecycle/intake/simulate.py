"""What would customers plausibly do? Made-up histories for trials and demos, the same for one seed.

Nothing here is real: every event has the source `simulation` and every customer's name begins with
`sim-`. Each customer draws from a stream of chance of her own, so that a world gives the same
events however its time is cut into pieces, and after every restart.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

from lifecycle.domain.builtin import (
    CONSENT_GIVEN,
    CONSENT_WITHDRAWN,
    PAGE_VIEWED,
    PROFILE_CHANGED,
    SURVEY_ANSWERED,
)
from lifecycle.domain.event import Event
from lifecycle.domain.instant import instant_text
from lifecycle.domain.policy import Policy
from lifecycle.intake.draft import Draft

SOURCE = "simulation"

# The types of the default policy; those that a policy does not declare are left out of its world.
LEAD_CAPTURED = "lead_captured"
ENQUIRY_MADE = "enquiry_made"
CART_STARTED = "cart_started"
ORDER_PAID = "order_paid"
ORDER_REFUNDED = "order_refunded"
ORDER_RETURNED = "order_returned"
COMPLAINT_MADE = "complaint_made"
ACCOUNT_CLOSED = "account_closed"


class World:
    """A world of simulated customers, of whom new ones keep arriving at a steady pace.

    `advance(until)` gives what happened since the last call, up to and with that instant, in order
    of time. The events of two calls are those of one call over both: a world that is made again
    with the same arguments and advanced to the same instant has told the same events.
    """

    def __init__(
        self,
        *,
        seed: int,
        start: datetime,
        per_day: float,
        at_most: int | None = None,
        policy: Policy | None = None,
    ) -> None:
        if per_day <= 0:
            raise ValueError(f"per_day is {per_day}: some customers must arrive")
        self.start = start.astimezone(UTC).replace(microsecond=0)
        self.tag = _tag(seed, self.start, per_day, at_most)
        self._pace = timedelta(days=1) / per_day
        self._at_most = at_most
        self._currency = policy.currency if policy else "CNY"
        self._types = frozenset(policy.events) if policy else None
        self._attributes = frozenset(policy.attributes) if policy else None
        self._arrivals = _Chance(self.tag, "arrivals")
        self._arrived = 0
        # What will happen, earliest first; number and turn make the order total.
        self._ahead: list[tuple[datetime, int, int, _Act | None, _Customer | None, Any]] = []
        self._await_arrival()

    def advance(self, until: datetime) -> list[Event]:
        return list(self.events(until))

    def events(self, until: datetime) -> Iterator[Event]:
        """As `advance`, one by one and without keeping them; stopping early loses nothing."""
        ahead = self._ahead
        while ahead and ahead[0][0] <= until:
            at, _, _, act, customer, detail = heapq.heappop(ahead)
            if act is None or customer is None:
                self._arrive(at)
            elif not customer.closed:
                told = act(customer, at, detail)
                self._plan(customer)
                if told is not None:
                    event = self._event(customer, at, *told)
                    if event is not None:
                        yield event

    def _await_arrival(self) -> None:
        """Plan the next customer's arrival, at a random instant of her own stretch of time."""
        number = self._arrived + 1
        if self._at_most is None or number <= self._at_most:
            offset = self._pace * (self._arrived + self._arrivals.unit())
            at = self.start + timedelta(seconds=int(offset.total_seconds()))
            heapq.heappush(self._ahead, (at, number, 0, None, None, None))

    def _arrive(self, at: datetime) -> None:
        self._arrived += 1
        customer = _Customer.drawn(f"{self.tag}-{self._arrived:06d}", self._arrived, at)
        self._plan(customer)
        self._await_arrival()

    def _plan(self, customer: _Customer) -> None:
        for at, act, detail in customer.planned:
            customer.turn += 1
            heapq.heappush(self._ahead, (at, customer.number, customer.turn, act, customer, detail))
        customer.planned.clear()

    def _event(
        self, customer: _Customer, at: datetime, kind: str, properties: Mapping[str, Any]
    ) -> Event | None:
        customer.told += 1  # before anything is left out: another policy gives the same ids
        if self._types is not None and kind not in self._types:
            return None
        values = dict(properties)
        if "amount" in values:
            values["currency"] = self._currency
        if kind == PROFILE_CHANGED and self._attributes is not None:
            values["attributes"] = {
                name: value
                for name, value in values["attributes"].items()
                if name in self._attributes
            }
        return Event(
            source=SOURCE,
            id=f"{customer.name}-{customer.told}",
            customer=f"sim-{customer.name}",
            type=kind,
            occurred_at=at,
            received_at=at,
            properties=values,
        )


def bulk(
    *, seed: int, customers: int, start: datetime, days: int, policy: Policy | None = None
) -> Iterator[Event]:
    """Histories of exactly that many customers, who arrive within the first four fifths of the days."""
    if customers < 1 or days < 1:
        raise ValueError(f"{customers} customers in {days} days: both must be at least 1")
    world = World(
        seed=seed,
        start=start,
        per_day=customers / (days * 0.8),
        at_most=customers,
        policy=policy,
    )
    return world.events(start + timedelta(days=days))


def live(*, seed: int, start: datetime, per_day: float, policy: Policy | None = None) -> World:
    """A world without end: ask it again and again with the clock's instant."""
    return World(seed=seed, start=start, per_day=per_day, policy=policy)


def draft(event: Event, now: datetime) -> Draft:
    """The event as it is stored, received at `now`; as history, it is exempt from any lateness."""
    received = event._replace(received_at=now)
    return Draft(event=received, dated=True, backfill=True, too_late=False)


def posted(event: Event) -> dict[str, Any]:
    """The event as one of the items of `POST /v1/events`; the same draft comes of it."""
    return {
        "id": event.id,
        "source": event.source,
        "customer_id": event.customer,
        "type": event.type,
        "occurred_at": instant_text(event.occurred_at),
        "properties": event.properties,
    }


def _tag(seed: int, *world: object) -> str:
    """A short name for this world: other arguments make other ids, never the same id anew."""
    digest = hashlib.blake2b(repr(world).encode(), digest_size=3).hexdigest()
    return f"{seed}-{digest}"


# ------------------------------------------------------------------ chance


class _Chance:
    """SplitMix64: a stream of chance that is one integer big, where `random.Random` takes 2.5 KB."""

    __slots__ = ("_state",)

    def __init__(self, *parts: object) -> None:
        digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
        self._state = int.from_bytes(digest, "big")

    def unit(self) -> float:
        """In [0, 1)."""
        self._state = state = (self._state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        return ((state ^ (state >> 31)) >> 11) / (1 << 53)

    def happens(self, probability: float) -> bool:
        return self.unit() < probability

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.unit()

    def whole(self, low: int, high: int) -> int:
        """Both ends included."""
        return low + int((high - low + 1) * self.unit())

    def choice(self, options: Sequence[str]) -> str:
        return options[self.whole(0, len(options) - 1)]

    def index(self, cumulated: tuple[float, ...]) -> int:
        """Of one of these weights, which are summed up and end in 1."""
        point = self.unit()
        return next((i for i, upto in enumerate(cumulated) if point < upto), len(cumulated) - 1)

    def lognormal(self, median: float, sigma: float) -> float:
        normal = math.sqrt(-2 * math.log(1 - self.unit())) * math.cos(math.tau * self.unit())
        return median * math.exp(sigma * normal)

    def erlang(self, mean: float, shape: int) -> float:
        """A gamma with a whole shape: the larger, the more regular."""
        product = math.prod(1 - self.unit() for _ in range(shape))
        return -math.log(product) * mean / shape


def _cumulated(*weights: float) -> tuple[float, ...]:
    total = sum(weights)
    return tuple(upto / total for upto in accumulate(weights))


# ------------------------------------------------------------------ who


@dataclass(frozen=True, slots=True)
class _Place:
    country: str
    zone: ZoneInfo
    zh: float  # share of people who want to be written to in Chinese


_PLACES = (
    _Place("CN", ZoneInfo("Asia/Shanghai"), 0.98),
    _Place("HK", ZoneInfo("Asia/Hong_Kong"), 0.8),
    _Place("SG", ZoneInfo("Asia/Singapore"), 0.4),
    _Place("GB", ZoneInfo("Europe/London"), 0.03),
    _Place("US", ZoneInfo("America/New_York"), 0.05),
    _Place("DE", ZoneInfo("Europe/Berlin"), 0.01),
)
_PLACE_SHARES = _cumulated(50, 8, 8, 14, 14, 6)
_OWNERS = ("li.na", "wang.wei", "a.smith")
_TIERS = ("bronze", "silver", "gold")
_TOPICS = ("price", "delivery", "bulk order", "quality", "stock")
_CAMPAIGNS = ("spring-fair", "newsletter", "autumn-fair", "search")
_MEDIA = ("web", "exhibition", "referral", "advertisement")
_PRODUCTS = ("lantern", "tea set", "blanket", "notebook", "desk lamp", "umbrella")

# From midnight on: asleep, a morning peak, lunch, an evening peak.
_HOURS = _cumulated(
    1, 0, 0, 0, 0, 0, 1, 3, 6, 9, 11, 10, 7, 8, 10, 10, 9, 7, 6, 8, 10, 9, 6, 3
)  # fmt: skip
# How likely what falls on this weekday, Monday first, waits for the next day.
_WAITS = (0.0, 0.0, 0.0, 0.05, 0.1, 0.3, 0.45)

_Told = tuple[str, Mapping[str, Any]]  # event type and properties


@dataclass(slots=True, kw_only=True)
class _Customer:
    """One person: what she is like, and what she has done so far."""

    name: str
    number: int
    chance: _Chance
    place: _Place
    tastes_zh: bool
    rhythm: float  # days between her purchases, on average
    shape: int  # how regular she is
    spends: float  # her usual order, in whole units of the currency
    fading: float  # chance, after each purchase, that it was the last
    pausing: float  # chance, after each purchase, of a long quiet time
    planned: list[tuple[datetime, _Act, Any]] = field(default_factory=list)
    turn: int = 0
    told: int = 0
    orders: int = 0
    strategic: bool = False
    consented: bool = False
    closed: bool = False

    @classmethod
    def drawn(cls, name: str, number: int, at: datetime) -> _Customer:
        chance = _Chance(name)
        place = _PLACES[chance.index(_PLACE_SHARES)]
        customer = cls(
            name=name,
            number=number,
            chance=chance,
            place=place,
            tastes_zh=chance.happens(place.zh),
            rhythm=min(max(chance.lognormal(26, 0.7), 4), 240),
            shape=chance.whole(1, 6),
            spends=max(chance.lognormal(180, 0.9), 8),
            fading=chance.between(0.03, 0.14),
            pausing=chance.between(0.03, 0.12),
            strategic=chance.happens(0.03),
        )
        customer.later(at, 0, _first_contact)
        return customer

    def later(self, at: datetime, days: float, act: _Act, detail: Any = None) -> None:
        """Plan an act that many days after `at`, at an hour when people where she lives do such things."""
        day = (at + timedelta(days=days)).astimezone(self.place.zone)
        if self.chance.happens(_WAITS[day.weekday()]):
            day += timedelta(days=1)
        local = day.replace(
            hour=self.chance.index(_HOURS),
            minute=self.chance.whole(0, 59),
            second=self.chance.whole(0, 59),
            microsecond=0,
            fold=0,
        )
        then = local.astimezone(UTC)
        if then <= at:
            then = at + timedelta(seconds=self.chance.whole(20, 1500))
        self.planned.append((then, act, detail))

    def soon(self, at: datetime, minutes: float, act: _Act, detail: Any = None) -> None:
        self.planned.append((at + timedelta(seconds=int(minutes * 60) + 1), act, detail))


_Act = Callable[[_Customer, datetime, Any], _Told | None]


# ------------------------------------------------------------------ what they do


def _first_contact(who: _Customer, at: datetime, _: Any) -> _Told:
    """A lead from somewhere, or a visitor who has not left her name yet."""
    draw = who.chance
    who.soon(at, draw.between(0.1, 3), _tells_profile)
    if draw.happens(0.75):
        who.soon(at, draw.between(3, 9), _gives_consent)
    for _turn in range(draw.whole(0, 3)):
        who.later(at, draw.between(0, 12), _views)
    if draw.happens(0.65):
        who.later(at, draw.between(0.2, 14), _enquires)
    elif draw.happens(0.35):
        who.later(at, draw.between(0.5, 30), _buys)
    if draw.happens(0.7):
        return LEAD_CAPTURED, {"campaign": draw.choice(_CAMPAIGNS), "medium": draw.choice(_MEDIA)}
    return PAGE_VIEWED, {}


def _tells_profile(who: _Customer, _at: datetime, _: Any) -> _Told:
    draw = who.chance
    born = date(1955, 1, 1) + timedelta(days=draw.whole(0, 18_000))
    attributes: dict[str, Any] = {
        "country": who.place.country,
        "timezone": who.place.zone.key,
        "language": "zh" if who.tastes_zh else "en",
    }
    if draw.happens(0.7):
        attributes["birthday"] = born.isoformat()
    if who.strategic:
        attributes["strategic"] = True
        attributes["owner"] = draw.choice(_OWNERS)
    return PROFILE_CHANGED, {"attributes": attributes}


def _gives_consent(who: _Customer, at: datetime, _: Any) -> _Told:
    if who.chance.happens(0.12):
        who.later(at, who.chance.between(20, 500), _withdraws_consent)
    return CONSENT_GIVEN, {"purpose": "marketing", "channel": "email", "evidence": "form"}


def _withdraws_consent(_who: _Customer, _at: datetime, _: Any) -> _Told:
    return CONSENT_WITHDRAWN, {"purpose": "marketing", "channel": "email"}


def _views(_who: _Customer, _at: datetime, _: Any) -> _Told:
    return PAGE_VIEWED, {}


def _fills_cart(who: _Customer, at: datetime, _: Any) -> _Told:
    if who.chance.happens(0.5):
        who.later(at, who.chance.between(0, 6), _buys)
    return CART_STARTED, {"product": who.chance.choice(_PRODUCTS)}


def _complains(who: _Customer, _at: datetime, order: str) -> _Told:
    return COMPLAINT_MADE, {"topic": who.chance.choice(_TOPICS), "order_id": order}


def _enquires(who: _Customer, at: datetime, _: Any) -> _Told:
    draw = who.chance
    if draw.happens(0.4):
        who.later(at, draw.between(0.1, 3), _views)
    if draw.happens(0.5):
        who.later(at, draw.between(0.2, 21), _buys)
    elif draw.happens(0.4):
        who.later(at, draw.between(0.2, 9), _fills_cart)
    elif draw.happens(0.25):
        who.later(at, draw.between(60, 200), _enquires)
    return ENQUIRY_MADE, {"topic": draw.choice(_TOPICS), "product": draw.choice(_PRODUCTS)}


def _buys(who: _Customer, at: datetime, _: Any) -> _Told:
    """A purchase, and what follows from it: a refund, an answer, the next one, silence, leaving."""
    draw = who.chance
    who.orders += 1
    order = f"{who.name}-o{who.orders}"
    amount = max(int(draw.lognormal(who.spends, 0.5)), 1)
    if draw.happens(0.05):
        share = 1.0 if draw.happens(0.6) else draw.between(0.1, 0.8)
        back = (order, max(int(amount * share), 1), share == 1.0)
        who.later(at, draw.between(1, 20), _gets_money_back, back)
    elif draw.happens(0.02):
        who.later(at, draw.between(1, 10), _complains, order)
    if draw.happens(0.12):
        who.later(at, draw.between(1, 8), _answers)
    if who.orders in {3, 8} and draw.happens(0.9):
        who.later(at, 0.5, _is_valued)
    _plans_next(who, at)
    return ORDER_PAID, {
        "order_id": order,
        "amount": str(amount),
        "product": draw.choice(_PRODUCTS),
    }


def _plans_next(who: _Customer, at: datetime) -> None:
    draw = who.chance
    if draw.happens(who.fading):
        if draw.happens(0.15):
            who.later(at, draw.between(5, 120), _leaves)
        elif draw.happens(0.5):
            who.later(at, draw.between(2, 40), _views)
        return
    gap = draw.erlang(who.rhythm, who.shape)
    if draw.happens(who.pausing):
        gap += draw.between(70, 320)
    if (at + timedelta(days=gap)).month in {11, 12}:
        gap *= 0.75  # the season of gifts
    gap = max(gap, 0.3)
    for _turn in range(draw.whole(0, 3)):
        who.later(at, gap - min(draw.between(0, 6), gap), _views)
    who.later(at, gap, _buys)


def _gets_money_back(who: _Customer, at: datetime, back: tuple[str, int, bool]) -> _Told:
    order, amount, whole = back
    if whole:
        who.soon(at, 1, _sent_goods_back, order)
    reason = "returned" if whole else "damaged"
    return ORDER_REFUNDED, {"order_id": order, "amount": str(amount), "reason": reason}


def _sent_goods_back(_who: _Customer, _at: datetime, order: str) -> _Told:
    return ORDER_RETURNED, {"order_id": order, "reason": "changed her mind"}


def _is_valued(who: _Customer, _at: datetime, _: Any) -> _Told:
    tier = _TIERS[min(int(who.spends // 150), 2)]
    return PROFILE_CHANGED, {"attributes": {"tier": tier}}


def _answers(who: _Customer, _at: datetime, _: Any) -> _Told:
    return SURVEY_ANSWERED, {"survey": "after-purchase", "score": str(who.chance.whole(1, 5))}


def _leaves(who: _Customer, _at: datetime, _: Any) -> _Told:
    who.closed = True
    return ACCOUNT_CLOSED, {"reason": "no longer needed"}

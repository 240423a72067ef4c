"""What happened to the customers of Online Retail II, worked out in plain loops from the file alone.

Nothing of the engine is used here, and nothing clever is done: this is what the engine is held
against. `RULES`, `FACTS` and `INTERACTIONS` say of which policy `history` is a transcription.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import mean, median
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")
FILE = "online_retail_ii/invoices.csv.gz"

# The transition rules of config/policy.yaml, in its order: name, trigger, from, to, when.
RULES = [
    (
        "shows-interest",
        "enquiry_made, quote_requested, cart_started",
        "potential",
        "intent",
        None,
    ),
    ("first-purchase", "order_paid", "potential, intent", "deal", None),
    ("becomes-loyal", "order_paid", "deal, reactivated", "loyal", "orders_365d >= 3"),
    ("buys-again", "order_paid", "reactivated", "deal", None),
    ("comes-back", "order_paid", "dormant, churned", "reactivated", None),
    (
        "wakes-up",
        "enquiry_made, quote_requested, cart_started",
        "dormant, churned",
        "reactivated",
        None,
    ),
    ("cools-off", "90 days since last_seen_at", "intent", "potential", None),
    ("goes-quiet", "60 days since last_seen_at", "deal, loyal, reactivated", "dormant", None),
    ("lost", "180 days since last_order_at", "dormant", "churned", None),
    (
        "undo-purchase",
        "order_refunded, order_returned",
        "deal, loyal, reactivated",
        "potential",
        "orders <= 0 || revenue <= 0.0",
    ),
    ("no-longer-loyal", "order_returned", "loyal", "deal", "orders_365d < 3"),
    (
        "leaves",
        "account_closed",
        "potential, intent, deal, loyal, dormant, reactivated",
        "churned",
        None,
    ),
]
# The facts that those rules read: kind, event, property, what takes away from it, window in days.
FACTS = {
    "orders": ("count", "order_paid", None, "order_returned", None),
    "orders_365d": ("count", "order_paid", None, "order_returned", 365),
    "revenue": ("sum", "order_paid", "amount", "order_refunded.amount", None),
    "last_order_at": ("last", "order_paid", None, None, None),
    "last_seen_at": ("last", "interaction", None, None, None),
}
INTERACTIONS = {"order_paid": True, "order_refunded": False}


@dataclass(frozen=True)
class Invoice:
    number: str
    customer: str
    local: datetime  # as it is written, in London
    instant: datetime  # UTC
    amount: Decimal  # negative: a cancellation
    cancelled: bool


def invoices(path: Path) -> list[Invoice]:
    """Every row, in the order of the file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        found = []
        for row in csv.DictReader(file):
            local = datetime.fromisoformat(row["InvoiceDate"])
            found.append(
                Invoice(
                    number=row["Invoice"],
                    customer=row["CustomerID"],
                    local=local,
                    instant=local.replace(tzinfo=LONDON).astimezone(UTC),
                    amount=Decimal(row["amount"]),
                    cancelled=row["cancelled"] == "True",
                )
            )
        return found


@dataclass(frozen=True)
class Figures:
    """The check figures of the data's README."""

    purchases: int
    cancellations: int
    of_amount_zero: int
    customers: int
    buyers: int
    never_buying: int
    beginning_with_a_cancellation: int
    one_purchase_day: int
    more_purchase_days: int
    customer_days: int
    gap_days: tuple[float, ...]  # median, mean, p75, p90, p95, p99
    returns_by_day: tuple[int, int]  # after more than 90, 180 days, by local purchase day
    returns_by_clock: tuple[int, int]  # by what the clock on the wall in London showed
    returns_by_instant: tuple[int, int]  # by true instants: one more, over a change to winter time
    silent_at_the_end: tuple[int, int]


def figures(rows: list[Invoice]) -> Figures:
    everybody = {row.customer for row in rows}
    purchases = [row for row in rows if not row.cancelled and row.amount > 0]
    days: dict[str, set[date]] = defaultdict(set)
    clocks: dict[str, list[datetime]] = defaultdict(list)
    instants: dict[str, list[datetime]] = defaultdict(list)
    for row in purchases:
        days[row.customer].add(row.local.date())
        clocks[row.customer].append(row.local)
        instants[row.customer].append(row.instant)
    day_gaps = []
    for each in days.values():
        ordered = sorted(each)
        for i in range(1, len(ordered)):
            gap = ordered[i] - ordered[i - 1]
            day_gaps.append(gap.days)
    first: dict[str, Invoice] = {}
    for row in rows:
        if row.customer not in first or row.instant < first[row.customer].instant:
            first[row.customer] = row
    end = max(row.local for row in rows).date()
    silences = [(end - max(each)).days for each in days.values()]
    day_gaps.sort()
    return Figures(
        purchases=len(purchases),
        cancellations=sum(1 for row in rows if row.cancelled),
        of_amount_zero=sum(1 for row in rows if row.amount == 0),
        customers=len(everybody),
        buyers=len(days),
        never_buying=len(everybody - days.keys()),
        beginning_with_a_cancellation=sum(1 for row in first.values() if row.cancelled),
        one_purchase_day=sum(1 for each in days.values() if len(each) == 1),
        more_purchase_days=sum(1 for each in days.values() if len(each) > 1),
        customer_days=sum(len(each) for each in days.values()),
        gap_days=(
            median(day_gaps),
            round(mean(day_gaps), 1),
            *(day_gaps[round(share * (len(day_gaps) - 1))] for share in (0.75, 0.9, 0.95, 0.99)),
        ),
        returns_by_day=(sum(g > 90 for g in day_gaps), sum(g > 180 for g in day_gaps)),
        returns_by_clock=(returns(clocks, 90), returns(clocks, 180)),
        returns_by_instant=(returns(instants, 90), returns(instants, 180)),
        silent_at_the_end=(sum(s > 90 for s in silences), sum(s > 180 for s in silences)),
    )


def returns(purchases: dict[str, list[datetime]], days: int) -> int:
    """How many purchases came more than so many days after the one before."""
    count = 0
    for times in purchases.values():
        ordered = sorted(times)
        for i in range(1, len(ordered)):
            if ordered[i] - ordered[i - 1] > timedelta(days=days):
                count += 1
    return count


@dataclass(frozen=True)
class Moved:
    at: datetime
    rule: str
    state: str  # in which she is from now on
    cause: Invoice | datetime  # or the purchase from which a timed rule counted


def history(rows: list[Invoice], end: datetime, quiet_days: int = 60) -> list[Moved]:
    """Every step of one customer up to and with `end`, by the rules above.

    `quiet_days` is what `goes-quiet` waits for; the policy that ships says 60.

    Only purchases and refunds happen here, so nobody is ever in `intent`, and nothing is returned.
    All money is in pounds, at one rate throughout these years, so that its sign is that in yuan.
    """
    state = "potential"
    moves: list[Moved] = []
    entered = datetime.min.replace(tzinfo=UTC)
    bought: list[datetime] = []
    revenue = Decimal(0)

    def move(at: datetime, rule: str, to: str, cause: Invoice | datetime) -> None:
        nonlocal state, entered
        moves.append(Moved(at, rule, to, cause))
        state, entered = to, at

    def time_passes(until: datetime) -> None:
        """Each timed rule has no guard, so it fires once, and leaves its state by it."""
        while bought:
            if state in {"deal", "loyal", "reactivated"}:
                rule, to, wait = "goes-quiet", "dormant", timedelta(days=quiet_days)
            elif state == "dormant":
                rule, to, wait = "lost", "churned", timedelta(days=180)
            else:
                return
            due = max(bought[-1] + wait, entered)
            if due > until:
                return
            move(due, rule, to, bought[-1])

    for row in sorted(rows, key=lambda row: (row.instant, row.number)):
        if row.amount == 0 or row.instant > end:
            continue
        time_passes(row.instant)
        revenue += row.amount
        if row.cancelled:
            if state in {"deal", "loyal", "reactivated"} and (not bought or revenue <= 0):
                move(row.instant, "undo-purchase", "potential", row)
            continue
        bought.append(row.instant)
        in_a_year = 0
        for instant in bought:
            if instant > row.instant - timedelta(days=365):
                in_a_year += 1
        if state == "potential":
            move(row.instant, "first-purchase", "deal", row)
        elif state in {"deal", "reactivated"} and in_a_year >= 3:
            move(row.instant, "becomes-loyal", "loyal", row)
        elif state == "reactivated":
            move(row.instant, "buys-again", "deal", row)
        elif state in {"dormant", "churned"}:
            move(row.instant, "comes-back", "reactivated", row)
    time_passes(end)
    return moves


def by_customer(rows: list[Invoice]) -> dict[str, list[Invoice]]:
    found: dict[str, list[Invoice]] = defaultdict(list)
    for row in rows:
        found[row.customer].append(row)
    return found


def month_ends(rows: list[Invoice]) -> list[datetime]:
    """The first instant of every month after the first row, and at last that of the last row."""
    start, end = min(row.instant for row in rows), max(row.instant for row in rows)
    found: list[datetime] = []
    year, month = start.year, start.month
    while True:
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        instant = datetime(year, month, 1, tzinfo=UTC)
        if instant >= end:
            return [*found, end]
        found.append(instant)


def states_by_month(rows: list[Invoice]) -> dict[datetime, dict[str, int]]:
    """How many customers were in each state; those of whom nothing was known yet are in none."""
    instants = month_ends(rows)
    found: dict[datetime, Counter[str]] = {instant: Counter() for instant in instants}
    for own in by_customer(rows).values():
        known = [row.instant for row in own if row.amount != 0]
        moves = history(own, instants[-1])
        for instant in instants:
            if known and min(known) <= instant:
                state = "potential"
                for moved in moves:
                    if moved.at <= instant:
                        state = moved.state
                found[instant][state] += 1
    return {instant: dict(counts) for instant, counts in found.items()}

"""How many letters would a customer have got, who none, and what would all of it have cost?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal

from markupsafe import Markup

from lifecycle.engine.backtest.report import Report, quantile
from lifecycle.web.pages import told
from lifecycle.web.pages.charts.bars import Segment, bar
from lifecycle.web.pages.charts.columns import Columns, columns
from lifecycle.web.pages.charts.scale import Tick, pieces, round_ticks
from lifecycle.web.pages.customers import NARROW, WIDE
from lifecycle.web.pages.views import Drawing, Row, Section, Table

_SHOWN = 30  # rules; all stand in the table
_COUNTS = 60  # columns at most in the picture of how many letters a customer gets


def sections(report: Report) -> Iterator[Section]:
    yield _a_customer(report)
    yield _cost(report)


def _a_customer(report: Report) -> Section:
    title, letters = "Letters that a customer gets", report.letters
    counts = {count: who for count, who in letters.a_customer.items() if who}
    if not counts:
        return Section(key="a-customer", title=title, found="There was no customer.")
    most = max(counts)
    groups = pieces(most + 1, _COUNTS)
    values = [sum(counts.get(count, 0) for count in group) for group in groups]
    size = len(groups[0])
    ticks = [Tick(at / size + 0.5 / size, told.number(at)) for at in round_ticks(most, 10)]

    def drawn(key: str, wide: float) -> Markup:
        chart = Columns(
            key=key,
            title=title,
            about=f"A column for each number of letters from 0 to {most:,}, tasks for employees not"
            f" among them; {told.many(letters.unreached, 'customer')} get none.",
            values=values,
            colour="fate-sent",
            ticks=ticks if wide == WIDE else ticks[:: max(1, len(ticks) // 6)],
            marked={0: "nobody"} if size == 1 else {},
            note=(0, f"{letters.unreached:,} get none")
            if size == 1 and letters.unreached
            else None,
            said=(lambda place: _group_said(groups[place], values[place]))
            if wide == WIDE
            else None,
        )
        return columns(chart, wide, 220)

    return Section(
        key="a-customer",
        title=title,
        found=_letters_found(report, counts),
        drawing=Drawing(
            wide=drawn("a-customer-wide", WIDE), narrow=drawn("a-customer-narrow", NARROW)
        ),
        tables=(
            Table(
                about="Customers by how many letters they get",
                head=("letters", "customers", "share"),
                rows=[
                    (
                        _group(group),
                        told.number(values[place]),
                        told.share(values[place], report.customers),
                    )
                    for place, group in enumerate(groups)
                ],
            ),
        ),
    )


def _letters_found(report: Report, counts: Mapping[int, int]) -> str:
    letters = report.letters
    nobody = told.many(letters.unreached, "customer")
    unplanned = told.many(letters.unplanned, "customer")
    if not any(counts):
        return f"No customer gets a letter; for {unplanned} no rule planned anything."
    one = quantile(Counter(counts), Decimal("0.5")) or 0
    nine = quantile(Counter(counts), Decimal("0.9")) or 0
    said = (
        f"Half of the customers get {told.many(one, 'letter')} or fewer, nine of ten"
        f" {told.number(nine)} or fewer. {nobody} ({told.share(letters.unreached, report.customers)})"
        f" get none; for {unplanned} no rule planned anything."
    )
    if letters.most_in_a_week:
        said += (
            f" The most within any 7 days is {told.many(letters.most_in_a_week, 'letter')}, for"
            f" {told.many(letters.most_in_a_week_customers, 'customer')}; a cap held something back"
            f" from {told.many(letters.capped, 'customer')}."
        )
    return said


def _group(group: range) -> str:
    return told.number(group[0]) if len(group) == 1 else f"{group[0]:,}–{group[-1]:,}"


def _group_said(group: range, value: int) -> str:
    return f"{_group(group)} {'letter' if _group(group) == '1' else 'letters'}: {told.many(value, 'customer')}"


def _cost(report: Report) -> Section:
    title, cost = "Cost", report.letters.cost
    if cost is None:
        return Section(
            key="cost",
            title=title,
            found="Not known: no channel that was used says what a letter costs (cost: in"
            " channels.yaml).",
        )
    costly = sorted(
        ((rule, rule.cost) for rule in report.rules if rule.cost is not None),
        key=lambda each: (-each[1], each[0].rule),
    )
    most = max((amount for _, amount in costly), default=cost)
    shown = [(rule, amount) for rule, amount in costly if amount][:_SHOWN]
    return Section(
        key="cost",
        title=title,
        found=f"{told.money(cost, report.currency)} for what would have left, as far as channels say"
        " what a letter costs.",
        rows=[
            Row(
                name=rule.rule,
                bar=bar(
                    [Segment(float(amount), "fate-sent", told.money(amount, report.currency))],
                    float(most),
                    key=f"cost-{number}",
                    title=f"{rule.rule}: {told.money(amount, report.currency)}",
                ),
                value=told.money(amount, report.currency),
            )
            for number, (rule, amount) in enumerate(shown, 1)
        ],
        tables=(
            Table(
                about="Cost by rule",
                head=("rule", "sent", "cost"),
                rows=[
                    (rule.rule, told.number(rule.sent), told.money(amount, report.currency))
                    for rule, amount in costly
                ],
            ),
        ),
    )

"""What would each rule have sent, and how much of it on which day?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from markupsafe import Markup

from lifecycle.engine.backtest.course import Became
from lifecycle.engine.backtest.report import DayLetters, Report, RuleLetters
from lifecycle.web.pages import told
from lifecycle.web.pages.charts.bars import Segment, bar
from lifecycle.web.pages.charts.columns import Columns, columns
from lifecycle.web.pages.charts.scale import Tick, calendar_ticks
from lifecycle.web.pages.customers import NARROW, WIDE
from lifecycle.web.pages.looks import FATES, reason_told
from lifecycle.web.pages.views import Drawing, Key, Row, Section, Table

_SHOWN = 30  # rules; others are folded away
_BUSY_DAYS = 10


def sections(report: Report) -> Iterator[Section]:
    yield _by_rule(report)
    yield _by_day(report)


def _by_rule(report: Report) -> Section:
    title = "Messages by rule"
    planning = sorted(
        (rule for rule in report.rules if rule.planned), key=lambda rule: (-rule.planned, rule.rule)
    )
    idle = [rule.rule for rule in report.rules if not rule.planned]
    note = f"{told.many(len(idle), 'rule')} planned nothing: {', '.join(idle)}." if idle else ""
    if not planning:
        return Section(key="rules", title=title, found="No rule planned a message.", note=note)
    most = planning[0].planned
    rows = [_rule(rule, most, number) for number, rule in enumerate(planning, 1)]
    left = told.share(report.letters.sent, report.letters.planned)
    return Section(
        key="rules",
        title=title,
        found=f"{told.many(report.letters.planned, 'message')} planned by"
        f" {told.many(len(planning), 'rule')}; {told.number(report.letters.sent)} of them ({left})"
        " would have left.",
        keys=_keys(report.rules),
        rows=rows[:_SHOWN],
        more_rows=rows[_SHOWN:],
        more_said=f"{told.many(len(rows) - _SHOWN, 'more rule')}, with fewer messages",
        note=note,
        tables=(_rules_table(report),),
    )


def _keys(rules: Sequence[RuleLetters]) -> list[Key]:
    totals: Counter[str] = Counter()
    for rule in rules:
        totals.update(rule.became)
    return [
        Key(colour=_colour(fate), name=name, value=told.number(totals[fate]), about=about)
        for fate, (name, about) in FATES.items()
        if totals[fate]
    ]


def _colour(fate: Became) -> str:
    return f"fate-{fate.value.replace('_', '-')}"


def _rule(rule: RuleLetters, most: int, number: int) -> Row:
    segments = [
        Segment(rule.became.get(fate, 0), _colour(fate), f"{name}: {rule.became.get(fate, 0):,}")
        for fate, (name, _) in FATES.items()
    ]
    parts = ", ".join(segment.said for segment in segments if segment.value)
    return Row(
        name=rule.rule,
        bar=bar(
            segments,
            most,
            key=f"rule-{number}",
            title=f"{rule.rule}: {told.many(rule.planned, 'message')}; {parts}",
        ),
        value=told.number(rule.planned),
        note=f"{told.share(rule.sent, rule.planned)} sent",
    )


def _rules_table(report: Report) -> Table:
    channels = sorted({channel for rule in report.rules for channel in rule.sent_by_channel})
    rows = [
        (
            rule.rule,
            told.number(rule.planned),
            *(told.number(rule.became.get(fate, 0)) for fate in FATES),
            *(told.number(rule.sent_by_channel.get(channel, 0)) for channel in channels),
            _counted(rule.why),
            _counted(rule.put_off),
        )
        for rule in report.rules
    ]
    return Table(
        about="What would have become of each rule's messages",
        head=(
            "rule",
            "planned",
            *(name for name, _ in FATES.values()),
            *(f"by {channel}" for channel in channels),
            "why not",
            "had to wait",
        ),
        rows=rows,
        words=(len(FATES) + len(channels) + 2, len(FATES) + len(channels) + 3),
    )


def _counted(reasons: Mapping[str, int]) -> str:
    ordered = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
    return "; ".join(f"{reason_told(reason)} {count:,}" for reason, count in ordered)


def _by_day(report: Report) -> Section:
    title, peak = "Messages by day", report.letters.peak
    if peak is None:
        return Section(key="days", title=title, found="Nothing would have left on any day.")
    first, last = report.days[0].day, report.days[-1].day
    long = (last - first).days + 1
    sent = {each.day: each.sent for each in report.days}
    values = [sent.get(first + timedelta(days=place), 0) for place in range(long)]
    peak_at = (peak.day - first).days
    usual = round(report.letters.sent / long)
    main = _main(peak)
    found = (
        f"The busiest day is {told.day(peak.day)} with {told.many(peak.sent, 'message')}; the mean of"
        f" all {told.many(long, 'day')} is {told.number(usual)}. {main}"
    )

    def drawn(key: str, wide: float, ticks: int) -> Markup:
        chart = Columns(
            key=key,
            title=title,
            about=f"A column for each day from {told.day(first)} to {told.day(last)};"
            f" {told.number(peak.sent)} at most, on {told.day(peak.day)}.",
            values=values,
            colour="fate-sent",
            ticks=_day_ticks(first, last, ticks),
            marked={peak_at: "peak"},
            note=(peak_at, f"{told.number(peak.sent)} on {told.day(peak.day)}"),
            said=(lambda place: _day_said(first, place, values[place])) if wide == WIDE else None,
        )
        return columns(chart, wide, 240)

    return Section(
        key="days",
        title=title,
        found=found,
        drawing=Drawing(wide=drawn("days-wide", WIDE, 12), narrow=drawn("days-narrow", NARROW, 4)),
        tables=(_busy_days(report.days), _months(report.days)),
    )


def _day_said(first: date, place: int, value: int) -> str:
    return f"{told.day(first + timedelta(days=place))}: {told.number(value)}"


def _day_ticks(first: date, last: date, most: int) -> list[Tick]:
    if first == last:
        return [Tick(0.5, told.day(first))]
    return [Tick((day - first).days, said) for day, said in calendar_ticks(first, last, most)]


def _by_rule_of(day: DayLetters) -> list[tuple[str, int]]:
    counts = {rule: sum(channels.values()) for rule, channels in day.by_rule.items()}
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def _main(peak: DayLetters) -> str:
    rules = _by_rule_of(peak)
    if not rules:
        return ""
    rule, count = rules[0]
    return f"On it, {rule} sends {told.number(count)} ({told.share(count, peak.sent)})."


def _busy_days(days: Sequence[DayLetters]) -> Table:
    busiest = sorted(days, key=lambda one: (-one.sent, one.day))[:_BUSY_DAYS]
    return Table(
        about="The busiest days" if len(days) > _BUSY_DAYS else "Each day",
        head=("day", "messages", "by rule"),
        rows=[
            (
                told.day(each.day),
                told.number(each.sent),
                "; ".join(f"{rule} {count:,}" for rule, count in _by_rule_of(each)),
            )
            for each in busiest
        ],
        words=(2,),
    )


def _months(days: Sequence[DayLetters]) -> Table:
    months: dict[tuple[int, int], list[DayLetters]] = {}
    for each in days:
        months.setdefault((each.day.year, each.day.month), []).append(each)
    return Table(
        about="Messages by month",
        head=("month", "messages", "on its busiest day", "which"),
        rows=[
            (
                f"{told.MONTHS[month - 1]} {year}",
                told.number(sum(each.sent for each in held)),
                told.number(max(each.sent for each in held)),
                told.day(max(held, key=lambda one: (one.sent, -one.day.toordinal())).day),
            )
            for (year, month), held in sorted(months.items())
        ],
        words=(3,),
    )

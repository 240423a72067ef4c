"""Why did messages not leave, or have to wait; and how often did a guard say no?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from lifecycle.engine.backtest.report import Report
from lifecycle.web.pages import told
from lifecycle.web.pages.charts.bars import Segment, bar
from lifecycle.web.pages.looks import reason_told
from lifecycle.web.pages.views import Row, Section, Table

_SHOWN = 30  # rules; all stand in the table


def sections(report: Report) -> Iterator[Section]:
    yield _reasons(
        report,
        key="why-not",
        title="Why messages did not leave",
        counted=[rule.why for rule in report.rules],
        none="Everything that was planned left, or is still to come.",
        said="never left",
        colour="quietly",
    )
    yield _reasons(
        report,
        key="put-off",
        title="Why messages had to wait",
        counted=[rule.put_off for rule in report.rules],
        none="No message had to wait.",
        said="had to wait; counted by the first reason, whether they left later or not",
        colour="fate-waiting",
    )
    yield _refused(report)


def _reasons(
    report: Report,
    *,
    key: str,
    title: str,
    counted: Sequence[Mapping[str, int]],
    none: str,
    said: str,
    colour: str,
) -> Section:
    totals: Counter[str] = Counter()
    for one in counted:
        totals.update(one)
    ordered = sorted(
        ((reason, count) for reason, count in totals.items() if count),
        key=lambda each: (-each[1], each[0]),
    )
    if not ordered:
        return Section(
            key=key,
            title=title,
            found=none if report.letters.planned else "No message was planned.",
        )
    most, planned = ordered[0][1], report.letters.planned
    everything = totals.total()
    return Section(
        key=key,
        title=title,
        found=f"{told.number(everything)} of {told.many(planned, 'planned message')}"
        f" ({told.share(everything, planned)}) {said}.",
        rows=[
            Row(
                name=reason_told(reason),
                bar=bar(
                    [
                        Segment(
                            count, "fate-held-out" if reason == "holdout" else colour, f"{count:,}"
                        )
                    ],
                    most,
                    key=f"{key}-{number}",
                    title=f"{reason_told(reason)}: {told.many(count, 'message')}",
                ),
                value=told.number(count),
                note=told.share(count, everything),
            )
            for number, (reason, count) in enumerate(ordered, 1)
        ],
        tables=(
            Table(
                about=f"{title}, by rule",
                head=("rule", *(reason_told(reason) for reason, _ in ordered)),
                rows=[
                    (rule.rule, *(told.number(one.get(reason, 0)) for reason, _ in ordered))
                    for rule, one in zip(report.rules, counted, strict=True)
                    if any(one.values())
                ],
            ),
        ),
    )


def _refused(report: Report) -> Section:
    title = "Guards that said no"
    ordered = sorted(report.refused.items(), key=lambda each: (-each[1], each[0]))
    if not ordered:
        return Section(key="refused", title=title, found="No guard refused anything.")
    most, shown = ordered[0][1], ordered[:_SHOWN]
    return Section(
        key="refused",
        title=title,
        found=f"{told.many(sum(report.refused.values()), 'time')} a rule was asked and its guard did"
        " not hold, counted from the beginning of the history.",
        rows=[
            Row(
                name=rule,
                bar=bar(
                    [Segment(count, "quietly", told.many(count, "time"))],
                    max(1, most),
                    key=f"refused-{number}",
                    title=f"{rule}: {told.many(count, 'time')}",
                ),
                value=told.number(count),
            )
            for number, (rule, count) in enumerate(shown, 1)
        ],
        tables=(
            Table(
                about="How often each rule's guard said no",
                head=("rule", "times"),
                rows=[(rule, told.number(count)) for rule, count in ordered],
            ),
        ),
    )

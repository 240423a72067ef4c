"""How long would customers have stayed, and who would have gone to and fro?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lifecycle.engine.backtest.report import Report, Stays
from lifecycle.web.pages import told
from lifecycle.web.pages.charts.bars import Segment, bar
from lifecycle.web.pages.looks import Look
from lifecycle.web.pages.views import Row, Section, Table

Looks = Mapping[str, Look]
_SHOWN = 12  # flip-flops; rarer ones stand in the table


def sections(report: Report, looks: Looks) -> Iterator[Section]:
    yield _stays(report, looks)
    yield _flip_flops(report, looks)


def _stays(report: Report, looks: Looks) -> Section:
    lived = [stay for stay in report.stays if stay.ended or stay.going_on]
    most = max(1, *(stay.most_days or 0 for stay in lived)) if lived else 1
    return Section(
        key="stays",
        title="Time in a state",
        found="Of the stays that ended: the strong part of a bar is the median, the whole of it how long"
        " nine of ten were at most."
        if any(stay.ended for stay in lived)
        else "No stay ended.",
        rows=[_stay(stay, looks[stay.state], most, number) for number, stay in enumerate(lived, 1)],
        tables=(
            Table(
                about="How long customers were in each state, in whole days",
                head=("state", "ended", "median days", "nine of ten, days", "going on at the end"),
                rows=[
                    (
                        stay.state,
                        told.number(stay.ended),
                        "–" if stay.median_days is None else told.number(stay.median_days),
                        "–" if stay.most_days is None else told.number(stay.most_days),
                        told.number(stay.going_on),
                    )
                    for stay in report.stays
                ],
            ),
        )
        if report.stays
        else (),
    )


def _stay(stay: Stays, look: Look, most: int, number: int) -> Row:
    median, longest = stay.median_days or 0, stay.most_days or 0
    if stay.median_days is None:
        value, note = "–", f"none ended, {told.number(stay.going_on)} go on"
    else:
        value = told.days(median)
        note = f"nine of ten: up to {told.number(longest)}"
    return Row(
        name=stay.state,
        aside=look.label,
        colour=look.colour,
        bar=bar(
            [
                Segment(median, look.colour, f"median: {told.days(median)}"),
                Segment(
                    longest - median, f"{look.colour} pale", f"nine of ten: {told.days(longest)}"
                ),
            ],
            most,
            key=f"stay-{number}",
            title=f"{stay.state}: {value}, {note}",
        ),
        value=value,
        note=note,
    )


def _flip_flops(report: Report, looks: Looks) -> Section:
    title, within = "To and fro", told.span(report.flip_flop)
    if not report.flip_flops:
        return Section(
            key="flip-flops",
            title=title,
            found=f"No customer was back in a state within {within} of leaving it.",
        )
    most = max(flip.times for flip in report.flip_flops)
    who = told.many(report.flip_flopping, "customer")
    part = told.share(report.flip_flopping, report.customers)
    return Section(
        key="flip-flops",
        title=title,
        found=f"{who} ({part}) left a state and were back in it within {within}.",
        rows=[
            Row(
                name=f"{flip.state} → {flip.went_to} → back",
                colour=looks[flip.state].colour,
                bar=bar(
                    [Segment(flip.times, looks[flip.state].colour, told.many(flip.times, "time"))],
                    most,
                    key=f"flip-{number}",
                    title=f"{flip.state}, {flip.went_to} and back: {told.many(flip.times, 'time')}",
                ),
                value=told.many(flip.times, "time"),
            )
            for number, flip in enumerate(report.flip_flops[:_SHOWN], 1)
        ],
        note=""
        if len(report.flip_flops) <= _SHOWN
        else f"The {len(report.flip_flops) - _SHOWN:,} rarer ones stand in the table.",
        tables=(
            Table(
                about=f"States that customers left and were back in within {within}",
                head=("state", "went to", "times"),
                rows=[
                    (flip.state, flip.went_to, told.number(flip.times))
                    for flip in report.flip_flops
                ],
                words=(1,),
            ),
        ),
    )

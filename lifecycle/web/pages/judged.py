"""What was judged by what, over which time, on which assumptions; and the figures to begin with."""

from __future__ import annotations

from lifecycle.engine.backtest.report import Judged, Report
from lifecycle.web.pages import told
from lifecycle.web.pages.views import KeyFigure


def period(report: Report) -> str:
    begin = "the first event" if report.since is None else told.instant(report.since)
    return f"{begin} to {told.instant(report.until)}"


def summary(report: Report) -> str:
    """The line under the title."""
    policies = [_policy(judged) for judged in report.policies]
    by = policies[0] if len(policies) == 1 else f"{len(policies)} versions of the policy"
    return (
        f"{told.many(report.customers, 'customer')} and {told.many(report.events, 'event')}, from"
        f" {period(report)}, judged by {by}."
    )


def assumptions(report: Report) -> list[str]:
    """What a reader has to know before she believes a figure."""
    said = []
    if report.everybody:
        said.append(
            "Every customer was taken to have an address on each channel, and to consent where she never"
            " said. In truth fewer messages will leave."
        )
    if report.sample is not None:
        said.append(
            f"Only a sample of {told.part(report.sample)} of the customers was looked at. All figures are of"
            " the sample; none is scaled up."
        )
    if rows := report.rows_left_out:
        said.append(
            f"{told.many(rows, 'row')} of the file of history {'was' if rows == 1 else 'were'} refused and"
            " left out. No figure counts what they say."
        )
    if report.unfolded:
        lost = sum(report.unfolded.values())
        types = ", ".join(f"{kind} {count:,}" for kind, count in report.unfolded.items())
        said.append(
            f"{told.many(lost, 'event')} could not be folded and {'was' if lost == 1 else 'were'} left"
            f" out: {types}."
        )
    return said


def key_figures(report: Report) -> list[KeyFigure]:
    letters = report.letters
    steps = sum(edge.steps for edge in report.edges)
    to_customers = letters.sent - letters.tasks
    figures = [
        KeyFigure(
            what=_noun(report.customers, "customer"),
            value=told.number(report.customers),
            note=f"in {told.many(len(report.weeks), 'week')}",
        ),
        KeyFigure(
            what=_noun(steps, "step"),
            value=told.number(steps),
            note=f"{_each(steps, report.customers)} a customer",
        ),
        KeyFigure(
            what=_noun(to_customers, "letter"),
            value=told.number(to_customers),
            note=f"{_each(to_customers, report.customers)} a customer"
            + (f"; and {told.many(letters.tasks, 'task')}" if letters.tasks else ""),
        ),
        KeyFigure(
            what="on the peak day",
            value=told.number(letters.on_peak_day),
            note=told.day(letters.peak.day) if letters.peak else "nothing left",
        ),
        KeyFigure(
            what="without a letter",
            value=told.number(letters.unreached),
            note=f"{told.share(letters.unreached, report.customers)} of customers",
        ),
        KeyFigure(
            what="to and fro",
            value=told.number(report.flip_flopping),
            note=f"{told.share(report.flip_flopping, report.customers)}, within"
            f" {told.span(report.flip_flop)}",
        ),
    ]
    if letters.cost is not None:
        amount, _, currency = told.money(letters.cost, report.currency).partition(" ")
        figures.append(KeyFigure(what="cost", value=amount, note=f"{currency}, as far as known"))
    return figures


def facts(report: Report) -> list[tuple[str, list[tuple[str, str]]]]:
    """Name, what is said of it, and what of that is a code; for the list at the end."""
    return [
        ("policy", [_fully(judged) for judged in report.policies]),
        ("period", [(period(report), "")]),
        ("customers", [(_customers(report), "")]),
        ("events", [(told.number(report.events), "")]),
        (
            "addresses and consent",
            [
                (
                    "taken as given: each has an address, and consents where she never said"
                    if report.everybody
                    else "as recorded",
                    "",
                )
            ],
        ),
        ("weeks and days", [("in UTC; weeks begin on Monday", "")]),
        (
            "digest of the derived truth",
            [("" if report.digest else "not asked for", report.digest or "")],
        ),
    ]


def _policy(judged: Judged) -> str:
    return f"{judged.called} ({judged.hash[:12]})"


def _fully(judged: Judged) -> tuple[str, str]:
    since = "" if judged.effective_at.year == 1 else f", from {told.instant(judged.effective_at)}"
    return f"{judged.source}, version {judged.number}{since}", judged.hash


def _customers(report: Report) -> str:
    if report.sample is None:
        return f"{told.number(report.customers)}, all that there are"
    return f"{told.number(report.customers)}, a sample of {told.part(report.sample)}"


def _noun(count: int, one: str) -> str:
    return one if count == 1 else f"{one}s"


def _each(count: int, customers: int) -> str:
    return f"{count / customers:,.1f}" if customers else "–"

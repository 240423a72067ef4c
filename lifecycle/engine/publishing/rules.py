"""How much may a policy change by itself, and who decides beyond that? `publishing.yaml` says it.

The file is read whole, and every problem is told with its line. A folder without it asks for what the
shipped file says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from lifecycle.engine.publishing.measured import Measured
from lifecycle.errors import PublishingRefused
from lifecycle.policy.records import Fields, Key, Record
from lifecycle.policy.report import START, Report
from lifecycle.policy.shapes import ListOf
from lifecycle.policy.source import decoded, tree
from lifecycle.policy.words import Exactly, Line, Percent, Whole, YesNo

PUBLISHING_FILE = "publishing.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Beyond either of them a person has to approve; None: no such bound."""

    more_than: Decimal | None = None  # by which share more than now; of moved: share of all
    above: int | None = None  # the figure itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    messages: Threshold = Threshold(more_than=Decimal("0.05"))
    capped_customers: Threshold = Threshold(more_than=Decimal("0.05"))
    moved_customers: Threshold = Threshold(more_than=Decimal("0.1"))
    peak_day: Threshold = Threshold(more_than=Decimal("0.2"))
    most_in_a_week: Threshold = Threshold(above=7)
    approvers: tuple[str, ...] | None = None  # None: whoever may run the command
    four_eyes: bool = False  # whether who put it forward may not approve it


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceeded:
    """A threshold beyond which a policy goes."""

    threshold: str  # as the file calls it
    before: int | None  # None: there is nothing to compare with
    after: int
    allowed: str  # in words

    def __str__(self) -> str:
        what = _WHAT[self.threshold]
        if self.before is None:
            return f"{self.threshold}: {what.format(f'{self.after:,}')}; allowed: {self.allowed}"
        change = _change(self.before, self.after)
        told = f"{self.before:,} → {self.after:,}{change}"
        return f"{self.threshold}: {what.format(told)}; allowed: {self.allowed}"


_WHAT = {
    "messages": "{} messages would be sent",
    "capped_customers": "{} customers would meet a cap",
    "moved_customers": "{} customers would take other steps",
    "peak_day": "{} messages on the busiest day",
    "most_in_a_week": "{} messages to one customer within 7 days",
    "unfolded_events": "{} events could not be folded, and would be put aside as dead letters",
    "stranded_customers": "{} customers are in states that it does not have, and no rule of it moves them",
}


def exceeded(rules: Rules, measured: Measured) -> tuple[Exceeded, ...]:
    """Every threshold beyond which the measured policy goes, in the order of the file.

    Last what no file can allow: events that are folded today, and could not be any more; customers
    who would be left in a state that is gone.
    """
    return tuple(_exceeded(rules, measured))


def _exceeded(rules: Rules, m: Measured) -> Iterator[Exceeded]:
    compared = (
        ("messages", rules.messages, m.messages_before, m.messages_after),
        ("capped_customers", rules.capped_customers, m.capped_before, m.capped_after),
        ("moved_customers", rules.moved_customers, None, m.moved),
        ("peak_day", rules.peak_day, m.peak_day_before, m.peak_day_after),
        (
            "most_in_a_week",
            rules.most_in_a_week,
            m.most_in_a_week_before,
            m.most_in_a_week_after,
        ),
    )
    for name, threshold, before, after in compared:
        share, above = threshold.more_than, threshold.above
        if share is not None and before is None and after > share * m.customers:
            of = f"at most {_percent(share)} of {m.customers:,}"
            yield Exceeded(threshold=name, before=None, after=after, allowed=of)
        elif share is not None and before is not None and after > before * (1 + share):
            more = f"at most {_percent(share)} more"
            yield Exceeded(threshold=name, before=before, after=after, allowed=more)
        elif above is not None and after > above:
            yield Exceeded(threshold=name, before=before, after=after, allowed=f"at most {above:,}")
    was, now = m.unfolded_before, m.unfolded_after
    if now > was:
        yield Exceeded(threshold="unfolded_events", before=was, after=now, allowed="no more")
    if m.stranded:
        allowed = "none: keep the state until they have left it, or restate history"
        yield Exceeded(
            threshold="stranded_customers", before=None, after=m.stranded, allowed=allowed
        )


def _change(before: int, after: int) -> str:
    if before == 0:
        return ""
    share = Decimal(after - before) / before * 100
    return f" ({share:+.1f} %)"


def _percent(share: Decimal) -> str:
    return f"{(share * 100).normalize():f} %"


# -- the file ----------------------------------------------------------------------------------

_MORE = Key(
    name="more_than",
    shape=Percent(),
    about="A person has to approve what is more than now by more than this share, such as 5%.",
)
_OF_ALL = Key(
    name="more_than",
    shape=Percent(),
    about="A person has to approve what concerns more than this share of all customers, such as 10%.",
)
_ABOVE = Key(
    name="above",
    shape=Whole("a figure", least=0, most=999_999_999),
    about="A person has to approve where the figure itself is above this.",
)


def _threshold(name: str, about: str, more: Key = _MORE) -> Key:
    return Key(name=name, shape=Record(f"the threshold {name}", (more, _ABOVE)), about=about)


_THRESHOLDS = Record(
    "the thresholds",
    (
        _threshold("messages", "Messages that would be sent."),
        _threshold("capped_customers", "Customers who would meet a cap."),
        _threshold("moved_customers", "Customers who take other steps.", _OF_ALL),
        _threshold("peak_day", "Messages on the busiest day."),
        _threshold("most_in_a_week", "Most messages to one customer in any 7 days."),
    ),
)
FILE = Record(
    "the file",
    (
        Key(name="version", shape=Exactly("1"), about="Of the format of this file.", required=True),
        Key(
            name="thresholds",
            shape=_THRESHOLDS,
            about="What a policy may change by itself; a threshold that is left out stops nothing.",
        ),
        Key(
            name="approvers",
            shape=ListOf(Line("a name, as --by says it", most=100)),
            about="Who may approve; left out: whoever may run the command.",
        ),
        Key(
            name="four_eyes",
            shape=YesNo(),
            about="Whether who put a policy forward may not approve it.",
            default="false",
        ),
    ),
)


def read_rules(config_dir: Path) -> Rules:
    """Raises PublishingRefused with every finding."""
    path = config_dir / PUBLISHING_FILE
    report = Report(str(path))
    fields = _fields(path, report)
    if report.refused:
        raise PublishingRefused(report.findings())
    return Rules() if fields is None else _rules(fields)


def _fields(path: Path, report: Report) -> Fields | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        report.error(START, "unreadable_file", f"{error.strerror or error}: no rules were read")
        return None
    text = decoded(content, report)
    node = tree(text, report) if text is not None else None
    if text is not None and node is None and not report.refused:
        report.error(START, "empty_file", "found nothing; allowed: version: 1, and thresholds")
    held = FILE.read(node, report) if node is not None else None
    if held is None:
        return None
    for name, threshold in held.value.value("thresholds", {}).items():
        if not threshold.value.written:
            report.error(
                threshold.place,
                "missing_key",
                f'the threshold {name} needs "more_than" or "above", or is left out',
            )
    return held.value


def _rules(fields: Fields) -> Rules:
    thresholds: dict[str, Any] = {
        name: Threshold(more_than=held.value.value("more_than"), above=held.value.value("above"))
        for name, held in fields.value("thresholds", {}).items()
    }
    none = {key.name: Threshold() for key in _THRESHOLDS.keys}
    approvers = fields.value("approvers")
    return Rules(
        **(none | thresholds),
        approvers=None if approvers is None else tuple(name.value for name in approvers),
        four_eyes=fields.flag("four_eyes"),
    )

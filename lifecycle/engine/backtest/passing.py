"""How do customers pass through the states, and when do they get letters? Counted for a forecast."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from lifecycle.engine.backtest.course import Became, Course, Courses, Ways
from lifecycle.engine.backtest.histories import History
from lifecycle.engine.backtest.run import Policies
from lifecycle.insight.passages import Ages, Passages, Span, note

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """The passages of customers under a policy, in days back from the end."""

    policies: Policies
    ways: Ways
    until: datetime
    ages: Ages
    span: Span

    def empty(self) -> Passages:
        return Passages()

    def begin(self) -> Callable[[Iterable[History]], Passages]:
        courses = Courses(self.policies.timeline(), self.ways, self.until)

        def counted(histories: Iterable[History]) -> Passages:
            counts = Passages()
            for customer, history in histories:
                self._count(counts, courses.of(customer, history))
            return counts

        return counted

    def _count(self, counts: Passages, course: Course) -> None:
        """Customers without any event that could be folded are nowhere."""
        snapshot, steps = course.snapshot, course.steps
        if snapshot.began_at is None:
            counts.customers += 1
            return
        first = steps[0].from_state if steps else snapshot.state
        entered = [(days_back(snapshot.began_at, self.until), first)]
        entered += [(days_back(step.at, self.until), step.to_state) for step in steps]
        letters = [
            (days_back(letter.at, self.until), letter.message.rule)
            for letter in course.letters
            if letter.became is Became.SENT
        ]
        note(counts, entered, letters, self.ages, self.span)


def days_back(at: datetime, until: datetime) -> int:
    """0 in the 24 hours up to the end; negative after it: −1 in the 24 hours that follow."""
    return (until - at) // DAY

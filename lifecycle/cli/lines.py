"""How does one line of the log look? The same in `log`, `log --follow` and the live demo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text

from lifecycle.cli import output
from lifecycle.domain.instant import instant_from
from lifecycle.domain.policy import After, OwnRhythm
from lifecycle.engine.explain.words import span
from lifecycle.intake.strict_json import tame

if TYPE_CHECKING:
    from rich.console import Console

    from lifecycle.domain.policy import Policy, PolicyVersion
    from lifecycle.domain.step import Step
    from lifecycle.engine.reading import LogEntry

# The stages of the default policy; other states get the colours left, in the order of the policy.
_STAGES = {
    "potential": "bright_blue",
    "intent": "cyan",
    "deal": "green",
    "loyal": "bold bright_green",
    "dormant": "yellow",
    "churned": "red",
    "reactivated": "bright_magenta",
}
_OTHERS = ("bright_cyan", "magenta", "bright_yellow", "blue", "bright_red", "white")
CUSTOMER_WIDTH = 22

Said = Callable[[datetime], str]


class Palette:
    """A colour for each state, and how wide the columns are: for any line, until they are fitted."""

    def __init__(
        self, policy: Policy, published: Callable[[], Iterable[PolicyVersion]] = tuple
    ) -> None:
        """What a step waited for is told as the version says that judged it.

        `published` looks up all versions, and is asked again whenever a step names an unknown one.
        """
        names = [state.name for state in policy.states]
        others = [name for name in names if name not in _STAGES]
        self._colours = _STAGES | {
            name: _OTHERS[place % len(_OTHERS)] for place, name in enumerate(others)
        }
        self.customer_width = CUSTOMER_WIDTH
        self.from_width = self.to_width = max(map(len, names), default=0)
        self.rule_width = max((len(rule.name) for rule in policy.transitions), default=0)
        self._checks = _checks(policy)
        self._published = published
        self._judged: Mapping[int, Mapping[str, After]] = {}

    def fit(self, found: Sequence[LogEntry]) -> None:
        """No column is wider than these lines need, so that the cause has room on a terminal."""
        steps = [each.entry.row.step for each in found]
        self.customer_width = max((len(tame(each.entry.customer)) for each in found), default=0)
        self.from_width = max((len(step.from_state) for step in steps), default=0)
        self.to_width = max((len(step.to_state) for step in steps), default=0)
        self.rule_width = max((len(step.rule) for step in steps), default=0)

    def of(self, state: str) -> str:
        return self._colours.get(state, "white")

    def state(self, name: str) -> Text:
        return Text(name, self.of(name))

    def waited(self, step: Step) -> str:
        """What a timed check had waited for."""
        if step.version not in self._judged:
            self._judged = {each.number: _checks(each.policy) for each in self._published()}
        check = self._judged.get(step.version, self._checks).get(step.rule)
        return "time passed" if check is None else _waited(check, step)

    def legend(self, names: Iterable[str]) -> Text:
        return Text("  ").join(Text.assemble(("● ", self.of(name)), name) for name in names)


def _checks(policy: Policy) -> Mapping[str, After]:
    return {
        rule.name: rule.trigger for rule in policy.transitions if isinstance(rule.trigger, After)
    }


def print_line(
    console: Console, found: LogEntry, palette: Palette, said: Said = output.moment
) -> None:
    """One line stays one line: a narrow terminal cuts it, a pipe gets all of it.

    `said` tells instants, where less than all of them is enough.
    """
    if console.is_terminal:
        text = line(found, palette, said, clipped=True)
        console.print(text, no_wrap=True, overflow="ellipsis", crop=True)
    else:
        console.print(line(found, palette, said), soft_wrap=True)


def line(
    found: LogEntry, palette: Palette, said: Said = output.moment, *, clipped: bool = False
) -> Text:
    """`2026-01-09 10:00:00  anna  intent → deal  ▸ first-purchase  order_paid shop/17`."""
    customer, width = tame(found.entry.customer), palette.customer_width
    if clipped:
        width = min(width, CUSTOMER_WIDTH)
        customer = customer if len(customer) <= width else f"{customer[: width - 1]}…"
    step, revoked = found.entry.row.step, found.entry.revoked
    at = found.entry.row.revoked_at if revoked else step.at
    struck = "strike dim" if revoked else ""
    return Text.assemble(
        (said(at or step.at), "dim"),
        "  ",
        customer.ljust(width),
        "  ",
        (step.from_state.rjust(palette.from_width), struck or palette.of(step.from_state)),
        (" ✗ " if revoked else " → ", "bold red" if revoked else "dim"),
        (step.to_state.ljust(palette.to_width), struck or palette.of(step.to_state)),
        "  ",
        _sign(found),
        (step.rule.ljust(palette.rule_width), "strike dim" if revoked else "bold"),
        "  ",
        _revocation(found) if revoked else _cause(found, palette),
    )


def _sign(found: LogEntry) -> tuple[str, str]:
    """What kind of cause it was, before the rule, where a narrow terminal still shows it."""
    step = found.entry.row.step
    if found.entry.revoked:
        return "✗ ", "bold red"
    if step.by:
        return "✎ ", "bold"
    return ("◷ ", "yellow") if step.cause.startswith("check:") else ("▸ ", "cyan")


def _waited(check: After, step: Step) -> str:
    """Whether she had a rhythm is read off the time that passed: the log looks at no history."""
    wait = check.wait
    if isinstance(wait, OwnRhythm):
        anchor = instant_from(step.cause.rpartition("@")[2].partition("#")[0])
        if step.at - anchor != wait.otherwise:
            return f"longer than usual since {check.since}"
        sure = wait.at_least < wait.otherwise < wait.at_most
        return f"{span(wait.otherwise)} since {check.since}" + (" (no rhythm yet)" if sure else "")
    return f"{span(wait)} since {check.since}"


def _cause(found: LogEntry, palette: Palette) -> Text:
    step = found.entry.row.step
    kind, _, rest = step.cause.partition(":")
    later = (" (overturned since)", "yellow") if found.entry.row.revoked_at else ""
    if step.by:
        return Text.assemble(("by hand ", "bold"), tame(f"{step.by}: {step.why}"), later)
    if kind == "check":
        return Text.assemble(palette.waited(step), later)
    source, _, name = rest.partition("|")
    return Text.assemble(step.trigger, (tame(f" {source}/{name}"), "dim"), later)


def _revocation(found: LogEntry) -> Text:
    made = output.moment(found.entry.row.step.at)
    by = (found.overturned_by or "").removeprefix("event:").replace("|", "/", 1)
    by = by.replace("policy:", "policy version ", 1) if by.startswith("policy:") else by
    return Text.assemble(
        (f"overturned: of {made}", "red"), (tame(f" by {by}") if by else "", "dim")
    )

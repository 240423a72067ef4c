"""Whatever stands in a file, the loader answers: a policy, or findings that name a place in it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from lifecycle.errors import Finding, PolicyRefused
from lifecycle.policy import from_canonical, loads, to_canonical
from lifecycle.policy.diagram import mermaid, svg
from tests.policies import scenario_policy
from tests.policy.said import MINIMAL

WHOLE = scenario_policy(
    less=True,
    care=True,
    quiet_when="orders_30d >= 2",
    facts=["rhythm: {gap: order_paid, quantile: 0.75}", "spent: {sum: order_paid.amount}"],
    outreach=[
        '{name: frost, on: {calendar: "12-25", at: 08:30}, channels: [sms], steps: [0d, 1w]}',
        "{name: asleep, on: {state: dormant, stayed: 2d}, channels: [email], priority: 0}",
        "{name: deaf, on: {state: [dormant, churned]}, channels: [sms], cap: null, spread: 1h}",
        "{name: meant, on: {event: page_viewed}, channels: [sms], while: deal, unless: orders > 3}",
        '{name: moon, on: {calendar: "lunar 08-15"}, channels: [sms], cap: {most: 1, per: day}}',
        "{name: tried, on: {state: deal}, channels: [sms], holdout: 5%, variants: {a: 1, b: 2}}",
        "{name: aims, on: {state: deal}, channels: [sms], goal: {event: order_paid, within: 3d}}",
        "{name: asked, on: request, channels: [task], class: service, purpose: survey}",
    ],
)
WHOLE += """\
sending:
  caps: [{most: 3, within: 7d, class: marketing}, {most: 0, block: true, channel: sms}]
  quiet: {since: "21:00", until: "09:00"}
  working_days: {days: [mon, sat], closed: 2026-02-16}
holdout: {all: 1.5%}
"""
WORDS = re.findall(r"\w+|\s+|[^\w\s]", WHOLE)
ODD = ["", "{}", "[]", "null", "~", "any", "interaction", "&a x", "*a", "!!map", "- ", "? ", "|", ">",
       "<<", "0", "-1", "1e9", "9" * 30, "'", '"', "\t", "\n", "#", ": ", "é", "客户", "at", "tags",
       "order_paid.amount", "{sum: order_paid.amount}", "orders >", "1/orders > 1", "orders.x.y",
       "tags.map(t, t)", "duration('9d')", "60d", "0d", "UTC+8"]  # fmt: skip


@st.composite
def edited(draw: st.DrawFn) -> str:
    """A policy with a few words replaced, doubled, swapped or taken out."""
    words = list(WORDS)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(words) - 1))
        other = draw(st.sampled_from(ODD) | st.sampled_from(WORDS))
        match draw(st.sampled_from(["replace", "insert", "remove", "swap"])):
            case "replace":
                words[place] = other
            case "insert":
                words.insert(place, other)
            case "remove":
                del words[place]
            case _:
                words[place], words[-place] = words[-place], words[place]
    return "".join(words)


def answered(text: str) -> tuple[Finding, ...]:
    try:
        loaded = loads(text)
    except PolicyRefused as refused:
        return refused.findings
    assert all(finding.warning for finding in loaded.findings)
    assert from_canonical(to_canonical(loaded.policy)) == loaded.policy
    assert svg(loaded.policy).endswith("</svg>\n")
    assert mermaid(loaded.policy).endswith("\n")
    return loaded.findings


@given(edited())
def test_an_edited_policy_is_accepted_or_refused_and_never_breaks_the_loader(text: str) -> None:
    lines = text.split("\n")
    for finding in answered(text):
        assert 1 <= finding.line <= len(lines) + 1
        assert finding.column >= 1
        assert finding.message
        assert "\n" not in finding.message


@given(st.text(max_size=300) | st.text(alphabet="{}[]:,-&*!|>'\"%@`#? \n\tab1", max_size=60))
def test_any_text_is_answered(text: str) -> None:
    answered(text)
    answered(MINIMAL + text)

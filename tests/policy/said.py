"""Small policies, and what the loader says about them.

`MINIMAL` is the smallest policy without any finding. A test changes it and marks with `¦` the place
that the finding must name, so that line and column are read off the text and never counted by hand.
"""

from __future__ import annotations

from lifecycle.errors import Finding, PolicyRefused
from lifecycle.policy import loads

MARK = "¦"

MINIMAL = """\
version: 1
timezone: Asia/Shanghai
currency: CNY
attributes:
  birthday: date
  tier: text
  strategic: bool
states:
  potential: {initial: true}
  deal: {}
events:
  order_paid: {properties: {amount: money, currency: currency, note: text}, interaction: true}
  order_refunded: {properties: {amount: money, points: int}}
  account_closed: {}
facts:
  orders: {count: order_paid}
  revenue: {sum: order_paid.amount}
  last_order_at: {last: order_paid}
  usual_gap: {gap: order_paid}
transitions:
  - {name: buys, on: order_paid, from: potential, to: deal}
  - {name: forgets, after: 60d, since: last_order_at, from: deal, to: potential}
outreach:
  - {name: thanks, on: {transition: buys}, channels: [email]}
"""


def changed(old: str, new: str, text: str = MINIMAL) -> str:
    """The policy with one place of it changed; it must be there exactly once."""
    assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
    return text.replace(old, new)


def added(section: str, entry: str, text: str = MINIMAL) -> str:
    """The policy with one more entry at the end of a section."""
    head, _, rest = text.partition(f"\n{section}:\n")
    assert rest, section
    lines = rest.splitlines(keepends=True)
    end = next((n for n, line in enumerate(lines) if not line.startswith(" ")), len(lines))
    return f"{head}\n{section}:\n{''.join(lines[:end])}  {entry}\n{''.join(lines[end:])}"


def said(text: str) -> tuple[Finding, ...]:
    """Every finding, warnings of an accepted policy included; marks are taken out first."""
    try:
        return loads(text.replace(MARK, "")).findings
    except PolicyRefused as refused:
        return refused.findings


def marked(text: str) -> tuple[int, int]:
    """Line and column of the mark, both from 1."""
    before, _, after = text.partition(MARK)
    assert after, "nothing is marked"
    assert MARK not in after, "two places are marked"
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def only(text: str) -> Finding:
    """The one finding, which stands at the mark."""
    findings = said(text)
    assert len(findings) == 1, "\n".join(map(str, findings))
    finding = findings[0]
    assert (finding.line, finding.column) == marked(text), str(finding)
    return finding

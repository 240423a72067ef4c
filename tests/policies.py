"""The policy of the worked examples, as a file, with the variants that some of them need."""

from __future__ import annotations

from collections.abc import Sequence

SCENARIO_POLICY = """\
version: 1
timezone: UTC
currency: CNY
attributes: {name: text, birthday: date, timezone: zone}
states:
  potential: {initial: true}
  deal: {}
  loyal: {}
  dormant: {}
  churned: {}
  reactivated: {}
events:
  order_paid: {properties: {amount: money, currency: currency}, interaction: true}
  order_refunded: {properties: {amount: money, currency: currency}}
  account_closed: {}
facts:
  orders: {count: order_paid}
  last_order_at: {last: order_paid}
  last_seen_at: {last: interaction}
transitions:
  - {name: first, on: order_paid, from: potential, to: deal}
  - {name: loyal, on: order_paid, from: deal, to: loyal, when: orders >= 3}
  - {name: back, on: order_paid, from: [dormant, churned], to: reactivated}
  - {name: again, on: order_paid, from: reactivated, to: deal}
  - {name: quiet, after: 60d, since: last_seen_at, from: [deal, loyal, reactivated], to: dormant}
  - {name: lost, after: 120d, since: last_order_at, from: dormant, to: churned}
  - {name: left, on: account_closed, from: any, to: churned}
outreach:
  - {name: win-back, on: {transition: quiet}, channels: [email], settle: 10m, expires: 7d}
"""

UNDO = "{name: undo, on: order_refunded, from: deal, to: potential, when: orders <= 0}"
CARE = "{name: care, on: {after: 30d, since: last_order_at}, channels: [email], class: service}"


def scenario_policy(
    *,
    less: bool = False,
    care: bool = False,
    quiet_when: str | None = None,
    facts: Sequence[str] = (),
    transitions: Sequence[str] = (),
    outreach: Sequence[str] = (),
) -> str:
    """The policy of the examples, changed.

    `less`: refunds take orders away and undo the first (17, 18); `care`: a check without `to` (19);
    `quiet_when`: a guard on `quiet`, which may read `orders_30d` (20). The lists hold further
    entries as YAML, such as `"spent: {sum: order_paid.amount}"`.
    """
    text = SCENARIO_POLICY
    facts, transitions, outreach = [*facts], [*transitions], [*outreach]
    if less:
        text = _changed(text, "{count: order_paid}", "{count: order_paid, less: order_refunded}")
        transitions.insert(0, UNDO)
    if care:
        outreach.insert(0, CARE)
    if quiet_when is not None:
        facts.insert(0, "orders_30d: {count: order_paid, within: 30d}")
        text = _changed(text, "to: dormant}", f"to: dormant, when: {quiet_when}}}")
    text = _changed(text, "transitions:\n", "".join(f"  {f}\n" for f in facts) + "transitions:\n")
    text = _changed(text, "outreach:\n", "".join(f"  - {t}\n" for t in transitions) + "outreach:\n")
    return text + "".join(f"  - {rule}\n" for rule in outreach)


def _changed(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)

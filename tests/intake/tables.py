"""A shop's policy, a mapping and a table for it, each to be bent by the test that needs it bent."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from lifecycle.domain.policy import Policy
from lifecycle.intake import mapping_file
from lifecycle.intake.draft import Draft
from lifecycle.intake.table import Outcome, RowProblem, Skipped, drafts
from lifecycle.policy.load import loads

NOW = datetime(2026, 6, 1, tzinfo=UTC)

POLICY = """\
version: 1
timezone: UTC
currency: CNY
rates: {GBP: {2000-01-01: 9.0}}
states: {potential: {initial: true}, deal: {}}
events:
  order_paid:
    properties:
      amount: {type: money, required: true}
      currency: currency
      order_id: text
      units: int
      gift: bool
      weight: number
      shipped: date
  order_refunded: {properties: {amount: money, currency: currency}}
  plan_changed: {properties: {plan: {type: text, required: true}}, strict: true}
facts: {orders: {count: order_paid}}
transitions:
  - {name: first, on: order_paid, from: potential, to: deal}
  - {name: undo, on: order_refunded, from: deal, to: potential}
"""

MAPPING = """\
version: 1
source: shop
customer: who
id: number
occurred_at: {column: time, timezone: Europe/London}
rows:
  - type: order_paid
    properties: {amount: amount}
"""

TABLE = """\
number,who,time,amount
1,anna,2026-01-02T09:30:00,12.50
2,bert,2026-01-02T09:31:00,3
"""


@cache
def policy() -> Policy:
    return loads(POLICY).policy


def mapping_in(folder: Path, text: str = MAPPING) -> Path:
    path = folder / "shop.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def outcomes(
    folder: Path, table: str | bytes = TABLE, mapping: str = MAPPING, now: datetime = NOW
) -> list[Outcome]:
    """What becomes of every row of a table."""
    path = folder / "table.csv"
    path.write_bytes(table.encode() if isinstance(table, str) else table)
    said = mapping_file.load(mapping_in(folder, mapping), policy())
    return list(drafts(path, said, policy(), now))


def taken(found: list[Outcome]) -> list[Draft]:
    """All of them, which must be drafts."""
    others = [item for item in found if not isinstance(item, Draft)]
    assert not others, others
    return [item for item in found if isinstance(item, Draft)]


def refused(found: list[Outcome]) -> list[RowProblem]:
    return [item for item in found if isinstance(item, RowProblem)]


def skipped(found: list[Outcome]) -> list[Skipped]:
    return [item for item in found if isinstance(item, Skipped)]

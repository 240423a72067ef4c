"""What a message may say of a customer is what the policy declares, as of the claim, and nothing more."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lifecycle.domain.policy import Policy
from lifecycle.engine.addressing import first_name_of
from lifecycle.engine.installation import Installation
from lifecycle.engine.previewing import context_for
from lifecycle.errors import NotFound
from lifecycle.outreach.templates.codec import encoded
from lifecycle.outreach.templates.names import Supplied, Variables, supplied
from lifecycle.outreach.templates.sample import sample_of
from lifecycle.policy.load import loads
from tests.scenarios.driver import ANNA, day, happened
from tests.support.engine import arrive, installation, reach

POLICY = """
version: 1
timezone: Asia/Shanghai
currency: CNY
attributes:
  name: text
  language: text
  birthday: date
  credit: money
  vip: bool
states:
  new: {initial: true, label: {en: New, zh: 新客户}}
  deal: {final: true, label: {en: Deal, zh: 成交}}
events:
  order_paid:
    properties: {amount: {type: money, required: true}, product: text, due: timestamp}
facts:
  orders: {count: order_paid}
  revenue: {sum: order_paid.amount}
  largest: {max: order_paid.amount}
  last_order_at: {last: order_paid}
  last_product: {latest: order_paid.product}
  rhythm: {gap: order_paid, quantile: 0.5}
  orders_10d: {count: order_paid, within: 10d}
transitions:
  - {name: buys, from: new, on: order_paid, to: deal}
outreach:
  - {name: thanks, on: {transition: buys}, channels: [sms], class: marketing}
  - {name: receipt, on: {event: order_paid}, channels: [sms], class: service}
  - {name: later, on: {after: 30d, since: last_order_at}, channels: [sms], class: service}
  - {name: birthday, on: {calendar: birthday, at: "09:00"}, channels: [sms], class: marketing}
"""


def _context(inst: Installation, rule: str) -> dict[str, Any]:
    policy = loads(POLICY).policy
    found = next(each for each in policy.outreach if each.name == rule)
    return context_for(inst, ANNA, found, step=1, variant=None, company={"name": "Ours"})


@pytest.fixture
def policy() -> Policy:
    return loads(POLICY).policy


def _url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'x.db'}"


def test_the_variables_are_those_of_the_policy_as_of_the_claim(tmp_path: Path) -> None:
    """Money exactly, dates as dates; what has no value is left out, and nothing undeclared comes in."""
    profile = {
        "name": "Anna Smith",
        "language": "zh-CN",
        "birthday": "1990-05-01",
        "credit": "0.10",
        "vip": True,
    }
    with installation(_url(tmp_path), POLICY) as inst:
        arrive(
            inst,
            happened("profile_changed", 0.5, attributes=profile),
            happened("tag_added", 0.6, tag="fair"),
            happened("order_paid", 1, amount="10.10", product="tea", secret="not declared"),
            happened("order_paid", 4, amount="0.20"),
        )
        reach(inst, day(12))
        context = _context(inst, "thanks")

    assert context["customer"] == {
        "key": ANNA, "name": "Anna Smith", "first_name": "Anna", "language": "zh-CN",
        "birthday": date(1990, 5, 1), "credit": Decimal("0.10"), "vip": True,
        "state": "deal", "state_label": "成交", "tags": ["fair"],
    }  # fmt: skip
    assert context["facts"] == {
        "orders": 2, "revenue": Decimal("10.3"), "largest": Decimal("10.1"),
        "last_order_at": day(4), "last_product": "tea", "rhythm": timedelta(days=3), "orders_10d": 1,
    }  # fmt: skip
    assert context["cause"] == {
        "kind": "transition", "name": "buys", "at": day(1), "from": "new", "to": "deal",
        "event": {"amount": Decimal("10.10"), "product": "tea"},
    }  # fmt: skip
    assert context["message"] == {"rule": "thanks", "step": 1}
    assert context["now"] == day(12)
    encoded(context)  # plain, or it would raise


def test_whoever_is_known_by_name_only_has_no_facts_that_are_empty(tmp_path: Path) -> None:
    with installation(_url(tmp_path), POLICY) as inst:
        arrive(inst, happened("profile_changed", 0.5, attributes={"name": "王小明"}))
        context = _context(inst, "receipt")
    assert context["facts"] == {"orders": 0, "revenue": Decimal(0), "orders_10d": 0}
    assert context["customer"]["language"] == "en"
    assert "first_name" not in context["customer"]
    assert "event" not in context["cause"]


def test_the_latest_event_of_its_kind_stands_for_a_cause_that_has_not_come(tmp_path: Path) -> None:
    with installation(_url(tmp_path), POLICY) as inst:
        arrive(inst, happened("order_paid", 1, amount="1"), happened("order_paid", 2, amount="2"))
        assert _context(inst, "receipt")["cause"]["event"] == {"amount": Decimal(2)}
        assert _context(inst, "birthday")["cause"] == {
            "kind": "calendar", "name": "birthday", "at": day(0),
        }  # fmt: skip


def test_nobody_is_previewed_who_is_not_there(tmp_path: Path, policy: Policy) -> None:
    with installation(_url(tmp_path), POLICY) as inst, pytest.raises(NotFound):
        context_for(
            inst, "nobody", policy.outreach[0], step=1, variant=None, company={"name": "Ours"}
        )


def _below(values: dict[str, Any], variables: Variables, path: str = "") -> None:
    for name, value in values.items():
        assert name in variables, f"{path}{name} is not among what templates may name"
        held: Supplied = variables[name]
        if isinstance(value, dict) and not held.is_open:
            _below(value, held.fields, f"{path}{name}.")


def _sure(values: dict[str, Any], variables: Variables, path: str = "") -> None:
    for name, held in variables.items():
        if held.sure and path + name != "links":
            assert name in values, f"{path}{name} is said to have a value always"
            if isinstance(values[name], dict):
                _sure(values[name], held.fields, f"{path}{name}.")


@pytest.mark.parametrize("number", range(4))
def test_what_is_given_is_what_the_check_of_templates_knows(
    tmp_path: Path, policy: Policy, number: int
) -> None:
    """A variable passes `template check` exactly if there is one when the message is sent."""
    rule = policy.outreach[number]
    variables = supplied(policy, rule)
    with installation(_url(tmp_path), POLICY) as inst:
        arrive(inst, happened("order_paid", 1, amount="1", product="tea"))
        reach(inst, day(2))
        context = context_for(inst, ANNA, rule, step=1, variant=None, company={"name": "Ours"})
    _below(context, variables)
    _below(sample_of(policy, rule, "en"), variables)
    _sure(sample_of(policy, rule, "zh"), variables)
    context["company"] = {"name": "Acme"}
    _sure(context, variables)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("Anna Smith", "Anna"),
        ("Anna", None),
        ("王小明", None),
        ("王 小明", None),
        ("", None),
        ("김 민수", None),
    ],
)
def test_only_names_of_several_words_have_a_first_one(name: str, first: str | None) -> None:
    assert first_name_of(name) == first

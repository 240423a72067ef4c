"""The engine on two years of a wholesaler's invoices, held against plain loops over the same file."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

from lifecycle.domain.policy import After, OnEvent, Policy
from lifecycle.domain.step import Step
from lifecycle.policy.load import load
from tests.realdata import naive
from tests.realdata.conftest import AFTERWARDS
from tests.realdata.installed import SHIPPED_MAPPINGS, SHIPPED_POLICY, Installed, installed


@pytest.fixture(scope="module")
def shipped() -> Policy:
    return load(SHIPPED_POLICY).policy


def test_the_file_is_the_one_that_its_readme_describes(invoices: list[naive.Invoice]) -> None:
    assert naive.figures(invoices) == naive.Figures(
        purchases=36_969,
        cancellations=7_901,
        of_amount_zero=6,
        customers=5_942,
        buyers=5_878,
        never_buying=64,
        beginning_with_a_cancellation=275,
        one_purchase_day=1_689,
        more_purchase_days=4_189,
        customer_days=33_107,
        gap_days=(31, 59.0, 70, 147, 221, 377),
        returns_by_day=(5_254, 1_970),
        returns_by_clock=(5_297, 1_975),
        returns_by_instant=(5_298, 1_975),
        silent_at_the_end=(2_989, 2_398),
    )


def test_the_naive_computation_transcribes_the_shipped_rules(shipped: Policy) -> None:
    """When this fails, the policy was changed: transcribe it again, then state it again."""
    written = []
    for rule in shipped.transitions:
        trigger = rule.trigger
        if isinstance(trigger, OnEvent):
            words = ", ".join(trigger.types)
        else:
            assert isinstance(trigger, After)
            assert isinstance(trigger.wait, timedelta)
            words = f"{trigger.wait.days} days since {trigger.since}"
            assert trigger.wait == timedelta(days=trigger.wait.days)
        written.append((rule.name, words, ", ".join(rule.sources), rule.to, rule.guard))
    assert written == naive.RULES
    for name, said in naive.FACTS.items():
        fact = next(fact for fact in shipped.facts if fact.name == name)
        less = ".".join(filter(None, (fact.less_event, fact.less_property))) or None
        within = fact.within.days if fact.within else None
        assert (fact.kind, fact.event, fact.property, less, within) == said
    assert {
        name: shipped.events[name].interaction for name in naive.INTERACTIONS
    } == naive.INTERACTIONS
    assert shipped.initial == "potential"


def test_the_shipped_rate_of_the_pound_does_not_change_while_the_invoices_last(
    shipped: Policy, invoices: list[naive.Invoice]
) -> None:
    """The naive computation reads the sign of revenue in pounds, the engine in yuan."""
    first, last = min(row.instant for row in invoices), max(row.instant for row in invoices)
    rates = [rate for rate in shipped.rates if rate.currency == "GBP"]
    assert any(rate.since <= first for rate in rates)
    assert not any(first < rate.since <= last for rate in rates)


@pytest.fixture(scope="module")
def steps(imported: Installed) -> dict[str, list[Step]]:
    return imported.steps()


def test_every_step_of_every_customer_is_the_naive_one(
    steps: dict[str, list[Step]], invoices: list[naive.Invoice]
) -> None:
    """Each at its own instant: timed checks too, though the import came years after them."""
    expected = {
        customer: [(moved.at, moved.rule, moved.state) for moved in naive.history(own, AFTERWARDS)]
        for customer, own in naive.by_customer(invoices).items()
        if any(row.amount != 0 for row in own)
    }
    found = {
        customer: [(step.at, step.rule, step.to_state) for step in own]
        for customer, own in steps.items()
    }
    assert found == expected
    assert sum(map(len, found.values())) > 25_000


def test_state_counts_at_every_month_end_are_the_naive_ones(
    imported: Installed, steps: dict[str, list[Step]], invoices: list[naive.Invoice]
) -> None:
    began = {customer: own[0].occurred_at for customer, own in imported.events().items()}
    expected = naive.states_by_month(invoices)
    for instant, counts in expected.items():
        found = Counter(
            next((step.to_state for step in reversed(own) if step.at <= instant), "potential")
            for customer, own in steps.items()
            if began[customer] <= instant
        )
        assert found == counts, instant
    assert len(expected) == 25
    assert set(expected[max(expected)]) >= {"deal", "loyal", "dormant", "churned", "reactivated"}


def test_the_engine_holds_every_purchase_and_the_returns_that_the_readme_counts(
    imported: Installed,
) -> None:
    """5,297 is by what the clock in London showed; by true instants one more return is too late."""
    bought = {
        customer: [event.occurred_at for event in own if event.type == "order_paid"]
        for customer, own in imported.events().items()
    }
    bought = {customer: instants for customer, instants in bought.items() if instants}
    on_the_wall = {
        customer: [instant.astimezone(naive.LONDON).replace(tzinfo=None) for instant in instants]
        for customer, instants in bought.items()
    }
    days = {
        customer: sorted({datetime.combine(shown.date(), time()) for shown in own})
        for customer, own in on_the_wall.items()
    }
    assert sum(map(len, bought.values())) == 36_969
    assert len(bought) == 5_878
    assert [naive.returns(days, wait) for wait in (90, 180)] == [5_254, 1_970]
    assert [naive.returns(on_the_wall, wait) for wait in (90, 180)] == [5_297, 1_975]
    assert [naive.returns(bought, wait) for wait in (90, 180)] == [5_298, 1_975]


AWAY = """\
version: 1
timezone: UTC
currency: GBP
states: {new: {initial: true}, here: {}, away: {}, gone: {}}
events:
  order_paid: {properties: {order_id: text, amount: money, currency: currency}}
  order_refunded: {properties: {order_id: text, amount: money, currency: currency}}
facts: {last_order_at: {last: order_paid}}
transitions:
  - {name: comes, on: order_paid, from: new, to: here}
  - {name: stays-away, after: 90d, since: last_order_at, from: here, to: away}
  - {name: is-gone, after: 180d, since: last_order_at, from: away, to: gone}
  - {name: returns-after-90, on: order_paid, from: away, to: here}
  - {name: returns-after-180, on: order_paid, from: gone, to: here}
"""


def test_timed_checks_find_the_returns_by_themselves(invoices_file: Path, tmp_path: Path) -> None:
    """With the times on the wall taken as they are, it is the README's number of returns."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(AWAY)
    mapping = tmp_path / "online-retail.yaml"
    shipped = (SHIPPED_MAPPINGS / "online-retail.yaml").read_text()
    mapping.write_text(shipped.replace("timezone: Europe/London", "timezone: UTC"))
    with installed(f"sqlite:///{tmp_path / 'engine.db'}", AFTERWARDS, policy) as engine:
        engine.import_file(invoices_file, mapping)
        rules = Counter(step.rule for own in engine.steps().values() for step in own)
    assert rules["returns-after-180"] == 1_975
    assert rules["returns-after-90"] + rules["returns-after-180"] == 5_297
    assert rules["comes"] == 5_878

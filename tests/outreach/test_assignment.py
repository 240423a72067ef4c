"""Groups follow from the customer's key alone: evenly, for ever, and apart from each other."""

from __future__ import annotations

import hashlib
from collections import Counter
from decimal import Decimal

import pytest

from lifecycle.domain.policy import Sending
from lifecycle.outreach.assignment import held_out, share, variant
from tests.outreach.cases import SERVICE, rule

CUSTOMERS = [f"customer-{n}" for n in range(100_000)]
# of chi-square, exceeded by chance once in a hundred thousand times, by degrees of freedom
BOUND = {1: 19.5, 2: 23.0, 3: 25.9, 99: 169.0}


def chi_square(found: list[int], expected: list[float]) -> float:
    return sum((n - e) ** 2 / e for n, e in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("customer", "what", "told"),
    [
        ("anna", "holdout", 0.5750934897477473),
        ("anna", "holdout/win-back", 0.6049707418780532),
        ("anna", "variant/win-back", 0.6646831901766528),
        ("安娜", "variant/win-back", 0.5535944220323807),
        ("", "holdout", 0.7044674455418092),
    ],
)
def test_the_share_of_a_customer_is_the_same_for_ever(
    customer: str, what: str, told: float
) -> None:
    """Were one of these changed, running experiments would be spoiled without anybody seeing it."""
    assert share(customer, what) == told


def test_others_can_compute_the_share_again_from_what_is_documented() -> None:
    digits = hashlib.sha256(b"variant/win-back:anna").hexdigest()[:13]
    assert share("anna", "variant/win-back") == int(digits, 16) / 16**13


@pytest.mark.parametrize("what", ["holdout", "holdout/win-back", "variant/win-back"])
def test_shares_are_spread_evenly(what: str) -> None:
    found = Counter(int(100 * share(customer, what)) for customer in CUSTOMERS)
    assert set(found) == set(range(100))
    assert chi_square([found[n] for n in range(100)], [1000.0] * 100) < BOUND[99]


def test_variants_are_given_by_weight() -> None:
    one = rule(variants={"plain": 70, "coupon": 20, "call": 10})
    found = Counter(variant(one, customer) for customer in CUSTOMERS)
    assert (
        chi_square([found["plain"], found["coupon"], found["call"]], [70_000, 20_000, 10_000])
        < BOUND[2]
    )


def test_the_holdout_is_as_large_as_the_rule_says() -> None:
    one, nobody, everybody = (
        rule(holdout=Decimal("0.05")),
        rule(holdout=Decimal(0)),
        rule(holdout=Decimal(1)),
    )
    out = sum(held_out(one, customer, Sending()) for customer in CUSTOMERS)
    assert chi_square([out, 100_000 - out], [5_000, 95_000]) < BOUND[1]
    assert not any(held_out(nobody, customer, Sending()) for customer in CUSTOMERS)
    assert all(held_out(everybody, customer, Sending()) for customer in CUSTOMERS)


def test_rules_hold_out_and_vary_independently_of_each_other() -> None:
    """Who is in a group of one rule is no likelier in that of another, nor in a variant."""
    half = Decimal("0.5")
    first, second = rule("first", holdout=half), rule("second", holdout=half)
    varied = rule("first", variants={"a": 1, "b": 1})
    none = Sending()
    pairs = Counter((held_out(first, one, none), held_out(second, one, none)) for one in CUSTOMERS)
    other = rule("second", variants={"a": 1, "b": 1})
    varied_twice = Counter((variant(varied, one), variant(other, one)) for one in CUSTOMERS)
    mixed = Counter((held_out(first, one, none), variant(varied, one)) for one in CUSTOMERS)
    for found in (pairs, varied_twice, mixed):
        assert len(found) == 4
        assert chi_square(list(found.values()), [25_000.0] * 4) < BOUND[3]


def test_a_larger_holdout_keeps_whom_a_smaller_one_held_out() -> None:
    few, more = rule(holdout=Decimal("0.05")), rule(holdout=Decimal("0.2"))
    assert all(
        held_out(more, one, Sending()) for one in CUSTOMERS[:5000] if held_out(few, one, Sending())
    )


def test_the_group_that_gets_no_marketing_is_the_same_for_every_rule() -> None:
    policy = Sending(holdout=Decimal("0.1"))
    groups = [
        {one for one in CUSTOMERS[:10_000] if held_out(rule(name), one, policy)}
        for name in ("first", "second")
    ]
    assert groups[0] == groups[1]
    assert 800 < len(groups[0]) < 1200


def test_neither_service_nor_a_task_alone_is_ever_held_out() -> None:
    policy = Sending(holdout=Decimal(1))
    everybody = Decimal(1)
    assert not held_out(rule(message_class=SERVICE, holdout=everybody), "anna", policy)
    assert not held_out(rule(channels=("task",), holdout=everybody), "anna", policy)
    assert held_out(rule(channels=("task", "email")), "anna", policy)


def test_variants_do_not_depend_on_the_order_of_the_file() -> None:
    one, other = rule(variants={"a": 3, "b": 7}), rule(variants={"b": 7, "a": 3})
    assert all(variant(one, key) == variant(other, key) for key in CUSTOMERS[:5000])


def test_a_variant_of_no_weight_is_given_to_nobody() -> None:
    one = rule(variants={"a": 0, "b": 1, "c": 0})
    assert {variant(one, key) for key in CUSTOMERS[:5000]} == {"b"}
    assert variant(rule(), "anna") is None

"""What two policies say otherwise, in the words of the file."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.domain.policy import OnEvent, Policy, TransitionRule
from lifecycle.policy import from_canonical, load, loads, to_canonical
from lifecycle.policy.diff import Change, Kind, changes
from lifecycle.resources import config_dir
from tests.policy.said import MINIMAL, added, changed
from tests.policy.test_canonical import RICH

SHIPPED = load(config_dir() / "policy.yaml").policy
BUYS = "  - {name: buys, on: order_paid, from: potential, to: deal}\n"
FORGETS = "  - {name: forgets, after: 60d, since: last_order_at, from: deal, to: potential}\n"
BIG = "  - {name: buys-big, on: order_paid, from: potential, to: deal, when: revenue > 9.0}\n"
TIMED = "; a timed check that has fired is remembered by its name"
THANKS = "  - {name: thanks, on: {transition: buys}, channels: [email]}\n"
LATER = "  - {name: later, on: {transition: buys}, channels: [email], delay: 1d}\n"


def told(before: str, after: str) -> list[str]:
    return [change.words for change in changes(loads(before).policy, loads(after).policy)]


def only(before: str, after: str) -> Change:
    (change,) = changes(loads(before).policy, loads(after).policy)
    return change


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("after: 60d", "after: 45d", "forgets: after 60d → 45d"),
        ("after: 60d", "after: 36h", "forgets: after 60d → 36h"),
        (
            "after: 60d",
            "after: {fact: usual_gap, at_least: 30d, at_most: 180d, otherwise: 60d}",
            "forgets: after 60d → {fact: usual_gap, at_least: 30d, at_most: 180d, otherwise: 60d}",
        ),
        (
            "after: 60d, since: last_order_at",
            "on: [account_closed, order_refunded]",
            "forgets: after: 60d, since: last_order_at → on: [account_closed, order_refunded]",
        ),
        ("name: buys,", "name: buys, when: orders >= 3,", 'buys: when none → "orders >= 3"'),
        (
            "name: buys,",
            "name: buys, when: '\"vip\" in tags',",
            "buys: when none → '\"vip\" in tags'",
        ),
        ("on: order_paid", "on: [order_paid, account_closed]", "buys: on also account_closed"),
        ("Asia/Shanghai", "Europe/London", "timezone: Asia/Shanghai → Europe/London"),
        ("currency: CNY\n", "currency: CNY\nlateness: 30d\n", "lateness: none → 30d"),
        ("currency: CNY\n", "currency: CNY\nunknown_events: keep\n", "unknown_events: refuse → keep"),
        (
            "currency: CNY\n",
            "currency: CNY\nrates: {USD: {2025-01-01: 7.10}}\n",
            "USD: added: 2025-01-01: 7.1",
        ),
        ("tier: text", "tier: int", "tier: text → int"),
        ("  tier: text\n", "", "tier: removed: text"),
        ("deal: {}", "deal: {label: {zh: 成交}}", 'deal: label zh added: "成交"'),
        (
            "account_closed: {}",
            "account_closed: {interaction: true}",
            "account_closed: interaction false → true",
        ),
        ("points: int}", "points: int, why: text}", "order_refunded: properties why added: text"),
        (
            "points: int}",
            "points: {type: int, required: true}}",
            "order_refunded: properties points required false → true",
        ),
        (
            "{count: order_paid}",
            "{count: order_paid, within: 365d}",
            "orders: within none → 365d",
        ),
        ("{count: order_paid}", "{count: page_viewed}", "orders: count order_paid → page_viewed"),
        (
            "{count: order_paid}",
            "{distinct: order_paid.note}",
            "orders: {count: order_paid} → {distinct: order_paid.note}",
        ),
        ("{gap: order_paid}", "{gap: order_paid, quantile: 0.90}", "usual_gap: quantile 0.5 → 0.9"),
        ("[email]", "[email], holdout: 10%", "thanks: holdout 5% → 10%"),
        ("[email]", "[email], holdout: 2.50%", "thanks: holdout 5% → 2.5%"),
        ("[email]", "[email, sms]", "thanks: channels [email] → [email, sms]"),
        ("[email]", "[email], delay: 90min", "thanks: delay 0s → 90min"),
        ("[email]", "[email], steps: [0d, 1w]", "thanks: delay: 0s → steps: [0s, 7d]"),
        ("[email]", "[email], while: deal", "thanks: while none → deal"),
        ("[email]", "[email], priority: 70", "thanks: priority 50 → 70"),
        (
            "[email]",
            "[email], cap: null",
            "thanks: cap none → null (no cap holds for it, not even those of all)",
        ),
        (
            "[email]",
            "[email], cap: {most: 0, block: true}",
            "thanks: cap none → {most: 0, block: true}",
        ),
        ("{transition: buys}", "{transition: forgets}", "thanks: on transition buys → forgets"),
        ("{transition: buys}", "request", "thanks: on {transition: buys} → request"),
        (
            "{transition: buys}",
            '{calendar: "lunar 08-15"}',
            "thanks: on {transition: buys} → {calendar: lunar 08-15}",
        ),
        (
            "version: 1",
            'version: 1\nsending: {quiet: {since: "21:00", until: "09:00"}}',
            "quiet: none → {since: 21:00, until: 09:00}",
        ),
        (
            "version: 1",
            "version: 1\nsending: {surge: {least: 50}}",
            "surge: least 1000 → 50",
        ),
        ("version: 1", "version: 1\nholdout: {all: 2.5%}", "holdout: all 0% → 2.5%"),
    ],
)  # fmt: skip
def test_a_change_is_told_as_the_file_would_write_it(old: str, new: str, words: str) -> None:
    assert told(MINIMAL, changed(old, new)) == [words]


def test_a_change_of_class_tells_what_is_otherwise_by_it() -> None:
    """The holdout and the purpose that nobody wrote are others for service."""
    assert told(MINIMAL, changed("[email]", "[email], class: service")) == [
        "thanks: class marketing → service",
        "thanks: purpose marketing → none",
        "thanks: holdout 5% → 0%",
    ]


def test_a_new_state_is_told_of_every_rule_that_leaves_any() -> None:
    closing = "- {name: closes, on: account_closed, from: any, to: %s}"
    lost = added("states", "lost: {final: true}", added("transitions", closing % "lost"))
    more = added("states", "vip: {}", lost)
    more = added(
        "transitions",
        "- {name: up, on: page_viewed, from: deal, to: vip}",
        added("transitions", "- {name: down, on: page_viewed, from: vip, to: deal}", more),
    )
    assert "closes: from also vip" in told(lost, more)
    assert told(MINIMAL, lost) == [
        "lost: added: final: true",
        "closes: added: on: account_closed, from: any, to: lost",
    ]


def test_a_new_transition_says_between_which_others_it_is_asked() -> None:
    """It takes customers from those after it, and gets none of those before it."""
    change = only(MINIMAL, MINIMAL.replace(BUYS, BIG + BUYS))
    assert change.words == (
        'buys-big: added: on: order_paid, from: potential, to: deal, when: "revenue > 9.0"; '
        "asked before buys"
    )
    assert (change.section, change.name, change.key) == ("transitions", "buys-big", None)
    assert (change.kind, change.before) == (Kind.ADDED, None)
    assert change.after == '{on: order_paid, from: potential, to: deal, when: "revenue > 9.0"}'


def test_the_order_of_two_rules_that_compete_is_told_and_that_of_others_only_shown() -> None:
    two = MINIMAL.replace(BUYS, BIG + BUYS.replace("to: deal}", "to: deal, when: orders > 1}"))
    swapped = MINIMAL.replace(BUYS, BUYS.replace("to: deal}", "to: deal, when: orders > 1}") + BIG)
    change = only(two, swapped)
    assert change.words == "buys: now asked before buys-big (on order_paid, from potential)"
    assert (change.kind, change.key, change.before, change.after) == (
        Kind.REORDERED, "order", "2", "1",
    )  # fmt: skip
    assert not change.cosmetic
    change = only(MINIMAL, MINIMAL.replace(BUYS + FORGETS, FORGETS + BUYS))
    assert change.cosmetic
    assert change.kind is Kind.REORDERED
    change = only(MINIMAL.replace(THANKS, THANKS + LATER), MINIMAL.replace(THANKS, LATER + THANKS))
    assert (change.section, change.cosmetic) == ("outreach", True)


def test_a_channel_that_comes_first_is_another_order() -> None:
    change = only(changed("[email]", "[email, sms]"), changed("[email]", "[sms, email]"))
    assert change.words == "thanks: channels [email, sms] → [sms, email]"
    assert (change.kind, change.cosmetic) == (Kind.REORDERED, False)


def test_a_rule_or_fact_is_renamed_only_if_it_is_the_same_in_all_it_does() -> None:
    text = changed("name: forgets", "name: goes-quiet").replace("orders:", "orders_ever:")
    assert told(MINIMAL, text) == [
        "orders_ever: renamed from orders: the same fact under another name",
        f"goes-quiet: renamed from forgets: the same rule under another name{TIMED}",
    ]
    text = text.replace("after: 60d", "after: 45d")
    assert told(MINIMAL, text)[1:] == [
        "forgets: removed: after: 60d, since: last_order_at, from: deal, to: potential",
        "goes-quiet: added: after: 45d, since: last_order_at, from: deal, to: potential",
    ]


def test_what_may_have_been_either_of_two_is_not_called_renamed() -> None:
    twice = added("facts", "bought: {count: order_paid}")
    once = changed("orders: {count: order_paid}", "paid: {count: order_paid}")
    assert [(c.name, c.kind) for c in changes(loads(twice).policy, loads(once).policy)] == [
        ("orders", Kind.REMOVED),
        ("bought", Kind.REMOVED),
        ("paid", Kind.ADDED),
    ]


def test_a_message_under_another_name_is_another_message() -> None:
    """Its template is found by its name."""
    kinds = [c.kind for c in changes(
        loads(MINIMAL).policy, loads(changed("name: thanks", "name: thank-you")).policy
    )]  # fmt: skip
    assert kinds == [Kind.REMOVED, Kind.ADDED]


def test_caps_are_compared_by_the_messages_that_they_hold_back() -> None:
    caps = "version: 1\nsending: {caps: [%s]}"
    sms, all_week = "{most: 1, per: day, channel: sms}", "{most: 3, within: 7d}"
    before = changed("version: 1", caps % f"{sms}, {all_week}")
    assert told(before, changed("version: 1", caps % f"{all_week}, {sms}")) == []
    after = changed(
        "version: 1", caps % "{most: 2, within: 7d}, {most: 5, per: month, channel: email}"
    )
    assert told(before, after) == [
        "caps: removed: most: 1, per: day, channel: sms",
        "caps: {most: 3, within: 7d} → {most: 2, within: 7d}",
        "caps: added: most: 5, per: month, channel: email",
    ]


def test_rates_are_told_by_the_dates_of_the_file_whatever_the_zone() -> None:
    text = changed("currency: CNY\n", "currency: CNY\nrates: {USD: {2025-01-01: 7.1}}\n")
    moved = text.replace("Asia/Shanghai", "America/Sao_Paulo")
    assert told(text, moved) == ["timezone: Asia/Shanghai → America/Sao_Paulo"]
    assert told(text, text.replace("7.1}", "7.1, 2025-06-01: 7.2}")) == [
        "USD: 2025-06-01 added: 7.2"
    ]


def test_labels_and_the_order_of_states_are_told_as_decided_by_nothing() -> None:
    text = changed(
        "  potential: {initial: true}\n  deal: {}\n",
        "  deal: {label: {en: D}}\n  potential: {initial: true}\n",
    )
    said = changes(loads(MINIMAL).policy, loads(text).policy)
    assert loads(text).hash == loads(MINIMAL).hash
    assert [(c.name, c.key, c.cosmetic) for c in said] == [
        ("deal", "label.en", True),
        ("deal", "order", True),
    ]  # fmt: skip


@pytest.mark.parametrize("policy", [loads(RICH).policy, SHIPPED])
def test_a_policy_that_was_kept_and_read_back_differs_from_its_file_in_nothing(
    policy: Policy,
) -> None:
    kept = from_canonical(to_canonical(policy))
    assert changes(kept, policy) == changes(policy, kept) == ()
    other = loads(MINIMAL).policy
    assert changes(kept, other) == changes(policy, other)
    assert changes(other, kept) == changes(other, policy)


def can_take_from(one: TransitionRule, other: TransitionRule) -> bool:
    if not set(one.sources) & set(other.sources):
        return False
    if isinstance(one.trigger, OnEvent) and isinstance(other.trigger, OnEvent):
        return bool(set(one.trigger.types) & set(other.trigger.types))
    return not isinstance(one.trigger, OnEvent) and not isinstance(other.trigger, OnEvent)


@given(order=st.permutations(SHIPPED.transitions))
def test_every_two_rules_that_compete_and_changed_places_are_told(
    order: list[TransitionRule],
) -> None:
    """And where none did, no change is told as one that decides anything."""
    said = changes(SHIPPED, replace(SHIPPED, transitions=tuple(order)))
    place = {rule.name: number for number, rule in enumerate(order)}
    swapped = {
        frozenset((earlier.name, later.name))
        for earlier, later in combinations(SHIPPED.transitions, 2)
        if place[earlier.name] > place[later.name] and can_take_from(earlier, later)
    }
    found = {
        frozenset((change.name, rule.name))
        for change in said
        for rule in order
        if not change.cosmetic and f" {rule.name} (" in change.told
    }
    assert found == swapped
    assert bool(said) is (tuple(order) != SHIPPED.transitions)

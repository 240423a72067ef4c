"""Which changes of a file change the policy, and which only how it looks?"""

from __future__ import annotations

from pathlib import Path

import pytest

from lifecycle.policy import from_canonical, load, loads, policy_hash, to_canonical
from lifecycle.resources import config_dir
from tests.policies import SCENARIO_POLICY, scenario_policy
from tests.policy.said import MINIMAL, changed

SHIPPED = config_dir() / "policy.yaml"

OWN_RHYTHM = (
    "{name: own, after: {fact: rhythm, at_least: 1d, at_most: 9d, otherwise: 3d}, "
    "since: last_order_at, from: potential, to: dormant, label: {en: Own, zh: 自己}}"
)
RICH = "rates: {USD: {2025-01-01: 7.1}, EUR: {2025-01-01: 7.70}}\nlateness: 30d\n"
RICH += scenario_policy(
    less=True,
    care=True,
    facts=["rhythm: {gap: order_paid, quantile: 0.75}", "top: {max: order_paid.amount}"],
    transitions=[OWN_RHYTHM],
    outreach=[
        "{name: cake, on: {calendar: birthday, at: 08:30}, channels: [sms, email]}",
        '{name: frost, on: {calendar: "12-25"}, channels: [sms], steps: [0d, 1w]}',
    ],
)


@pytest.mark.parametrize("text", [MINIMAL, RICH, SHIPPED.read_text(encoding="utf-8")])
def test_a_policy_kept_as_canonical_json_comes_back_equal(text: str) -> None:
    """Published versions are kept this way, labels included."""
    policy = loads(text).policy
    content = to_canonical(policy)
    assert from_canonical(content) == policy
    assert to_canonical(from_canonical(content)) == content
    assert policy_hash(from_canonical(content)) == loads(text).hash


def test_the_hash_is_that_of_the_policy_and_not_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.yaml"
    path.write_text("# another comment\n" + MINIMAL, encoding="utf-8")
    assert load(path).hash == loads(MINIMAL).hash == policy_hash(loads(MINIMAL).policy)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1", "# why\nversion:   1   # because"),
        ("after: 60d", 'after: "1440h"'),
        ("on: order_paid, from: potential", "on: [order_paid], from: [potential]"),
        ("{count: order_paid}", "\n    count: order_paid\n"),
        ("deal: {}", "deal: {label: {en: Deal, zh: 成交}}"),
        ("deal: {}", "deal:"),
        ("name: buys,", "name: buys, label: {en: Buys},"),
        ("account_closed: {}", "account_closed: {label: {en: Bye}}"),
        (
            "  potential: {initial: true}\n  deal: {}\n",
            "  deal: {}\n  potential: {initial: true}\n",
        ),
        ("  birthday: date\n  tier: text\n", "  tier: text\n  birthday: date\n"),
        ("channels: [email]}", "class: marketing, delay: 0s, again_after: 30d, channels: [email]}"),
        ("{gap: order_paid}", "{gap: order_paid, quantile: 0.50}"),
        (
            "  orders: {count: order_paid}\n  revenue: {sum: order_paid.amount}\n",
            "  revenue: {sum: order_paid.amount}\n  orders: {count: order_paid}\n",
        ),
    ],
)
def test_the_hash_does_not_hear_comments_form_labels_and_meaningless_order(
    old: str, new: str
) -> None:
    assert loads(changed(old, new)).hash == loads(MINIMAL).hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("after: 60d", "after: 61d"),
        ("timezone: Asia/Shanghai", "timezone: Asia/Singapore"),
        ("currency: CNY\n", "currency: EUR\n"),
        ("tier: text", "tier: int"),
        ("amount: money, currency", "amount: {type: money, required: true}, currency"),
        (", note: text}, interaction: true}", ", note: text}}"),
        ("account_closed: {}", "account_closed: {strict: true}"),
        ("{count: order_paid}", "{count: order_paid, within: 90d}"),
        ("{count: order_paid}", "{count: page_viewed}"),
        ("{gap: order_paid}", "{gap: order_paid, quantile: 0.9}"),
        ("name: buys,", "name: buys, when: orders >= 1,"),
        ("since: last_order_at, from: deal", "since: last_order_at, from: deal, when: orders > 3"),
        ("channels: [email]", "channels: [email, sms]"),
        ("channels: [email]", "channels: [email], class: service"),
        ("channels: [email]", "channels: [email], steps: [0d, 1d]"),
        ("channels: [email]", "channels: [email], settle: 1min"),
        ("channels: [email]", "channels: [email], expires: 1d"),
        ("channels: [email]", "channels: [email], again_after: 1d"),
        ("{transition: buys}", "{transition: forgets}"),
        ("version: 1", "version: 1\nskew: 1min"),
        ("version: 1", "version: 1\nlateness: 1d"),
        ("version: 1", "version: 1\nunknown_events: keep"),
        ("version: 1", "version: 1\nrates: {USD: {2025-01-01: 7.1}}"),
    ],
)
def test_the_hash_hears_everything_that_a_policy_does(old: str, new: str) -> None:
    assert loads(changed(old, new)).hash != loads(MINIMAL).hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("from: [dormant, churned]", "from: [churned, dormant]"),
        ("from: any", "from: [reactivated, dormant, loyal, deal, potential]"),
    ],
)
def test_the_states_that_a_rule_leaves_have_no_order(old: str, new: str) -> None:
    assert loads(changed(old, new, SCENARIO_POLICY)).hash == loads(SCENARIO_POLICY).hash


def test_the_order_of_transitions_is_part_of_the_policy() -> None:
    """The first that fits wins."""
    lines = SCENARIO_POLICY.splitlines(keepends=True)
    first = next(n for n, line in enumerate(lines) if "name: first" in line)
    lines[first], lines[first + 1] = lines[first + 1], lines[first]
    assert loads("".join(lines)).hash != loads(SCENARIO_POLICY).hash


def test_a_policy_stored_in_another_form_is_refused() -> None:
    content = to_canonical(loads(MINIMAL).policy).replace(b'"format":1', b'"format":2')
    with pytest.raises(ValueError, match="format 2; allowed: 1"):
        from_canonical(content)

"""Which changes of a file change the policy, and which only how it looks?"""

from __future__ import annotations

from decimal import Decimal
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
STUCK = (
    "{name: stuck, on: {state: [deal, loyal], stayed: 14d}, channels: [email, sms], "
    "while: [loyal, deal], unless: orders > 3, cancel_on: [order_paid, account_closed], "
    "variants: {plain: 1, coupon: 3}, goal: {event: order_paid, within: 14d}, "
    "cap: {most: 2, per: month}}"
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
        '{name: spring, on: {calendar: "lunar 01-01"}, channels: [sms], spread: 2h, holdout: 0%}',
        "{name: asleep, on: {state: dormant}, channels: [email], priority: 0, cap: null}",
        STUCK,
        "{name: asked, on: request, channels: [email], class: service, purpose: survey}",
        "{name: never, on: request, channels: [email], cap: {most: 0, block: true}}",
    ],
)
RICH += """\
sending:
  caps: [{most: 3, within: 7d, class: marketing}, {most: 1, per: day, channel: sms}]
  quiet: {since: "21:00", until: "09:00"}
  working_days: {days: [mon, sat], holidays: CN, closed: 2026-02-16, open: [2026-02-14]}
  surge: {within: 5min, least: 10, times: 3}
holdout: {all: 1.5%}
"""


@pytest.mark.parametrize("text", [MINIMAL, RICH, SHIPPED.read_text(encoding="utf-8")])
def test_a_policy_kept_as_canonical_json_comes_back_equal(text: str) -> None:
    """Published versions are kept this way, labels included."""
    policy = loads(text).policy
    content = to_canonical(policy)
    assert from_canonical(content) == policy
    assert to_canonical(from_canonical(content)) == content
    assert policy_hash(from_canonical(content)) == loads(text).hash


def test_a_policy_that_says_nothing_of_sending_keeps_the_hash_that_it_had() -> None:
    """Versions published before the format knew of it are found again, and mean the same."""
    text = (Path(__file__).parent / "first-default.yaml").read_text(encoding="utf-8")
    policy = loads(text).policy
    assert loads(text).hash == "6fd72661247c50741ac7c133e62164fb8a37755091c70d56b8125ad247cb893c"
    stored = to_canonical(policy)
    for key in (b"spread", b"purpose", b"holdout", b"variants", b"sending", b"lunar"):
        assert key not in stored
    by_name = {rule.name: rule for rule in from_canonical(stored).outreach}
    marketing, service = by_name["win-back-first"], by_name["thanks"]
    assert (marketing.purpose, marketing.holdout) == ("marketing", Decimal("0.05"))
    assert (service.purpose, service.holdout) == (None, Decimal(0))


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
            "channels: [email]",
            "channels: [email], holdout: 5.0%, purpose: marketing, priority: 50, spread: 0s",
        ),
        ("version: 1", "version: 1\nsending: {surge: {least: 1000}}\nholdout: {all: 0%}"),
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
        ("{transition: buys}", "{state: deal}"),
        ("{transition: buys}", "request"),
        ("channels: [email]", "channels: [email], spread: 1h"),
        ("channels: [email]", "channels: [email], purpose: news"),
        ("channels: [email]", "channels: [email], while: deal"),
        ("channels: [email]", "channels: [email], unless: orders > 3"),
        ("channels: [email]", "channels: [email], cancel_on: order_paid"),
        ("channels: [email]", "channels: [email], priority: 51"),
        ("channels: [email]", "channels: [email], cap: null"),
        ("channels: [email]", "channels: [email], cap: {most: 1, per: week}"),
        ("channels: [email]", "channels: [email], holdout: 0%"),
        ("channels: [email]", "channels: [email], variants: {a: 1, b: 1}"),
        ("channels: [email]", "channels: [email], goal: {event: order_paid, within: 1d}"),
        ("version: 1", "version: 1\nholdout: {all: 1%}"),
        ("version: 1", "version: 1\nsending: {caps: [{most: 1, per: day}]}"),
        ("version: 1", 'version: 1\nsending: {quiet: {since: "21:00", until: "09:00"}}'),
        ("version: 1", "version: 1\nsending: {working_days: {days: mon}}"),
        ("version: 1", "version: 1\nsending: {surge: {times: 5}}"),
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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{state: deal, stayed: 14d}", "{state: deal, stayed: 15d}"),
        ("{state: deal}", "{state: deal, stayed: 15d}"),
        ('{calendar: "01-01"}', '{calendar: "lunar 01-01"}'),
        ('{calendar: "lunar 01-01"}', '{calendar: "lunar 01-02"}'),
    ],
)
def test_triggers_that_look_alike_are_not_the_same(one: str, other: str) -> None:
    first, second = (loads(changed("{transition: buys}", text)) for text in (one, other))
    assert first.hash != second.hash


def test_neither_the_states_of_a_rule_nor_variants_nor_caps_have_an_order() -> None:
    one = changed(
        "channels: [email]",
        "while: [deal, potential], cancel_on: [order_paid, page_viewed], variants: {a: 1, b: 2}, "
        "channels: [email]",
        "sending: {caps: [{most: 3, per: week}, {most: 1, per: day}]}\n" + MINIMAL,
    )
    other = changed(
        "channels: [email]",
        "while: [potential, deal], cancel_on: [page_viewed, order_paid], variants: {b: 2, a: 1}, "
        "channels: [email]",
        "sending: {caps: [{most: 1, per: day}, {most: 3, per: week}]}\n" + MINIMAL,
    )
    assert loads(one).hash == loads(other).hash


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

"""A policy can be lived with: no dead ends, no rule that never fires, no loop without time passing."""

from __future__ import annotations

import pytest

from lifecycle.policy import loads
from tests.policies import SCENARIO_POLICY, scenario_policy
from tests.policy.said import MARK, MINIMAL, added, changed, only, said

FAR = changed("deal: {}", "deal: {}\n  far: {final: true}")


def ladder(length: int) -> str:
    """A policy in which so many timed checks follow one another."""
    states = "".join(f"  s{n}: {{}}\n" for n in range(length))
    rules = "".join(
        f"  - {{name: r{n}, after: {n + 1}d, since: last_order_at, from: s{n}, to: s{n + 1}}}\n"
        for n in range(length)
    )
    text = changed("  deal: {}\n", f"  deal: {{}}\n{states}  s{length}: {{final: true}}\n")
    text = changed("from: deal, to: potential", "from: deal, to: s0", text)
    return changed("outreach:\n", f"{rules}outreach:\n", text)


STATES = [
    ("no_initial_state", changed("  potential: {initial: true}", "  ¦potential: {}"), "exactly one, in which customers begin"),
    ("two_initial_states", changed("deal: {}", "deal: {initial: ¦true}"), 'found initial: true at "deal" too; "potential" has it in line 9'),
    ("leaves_final_state", changed("deal: {}", "deal: {final: true}").replace("from: deal", "from: ¦deal"), '"forgets" leaves "deal", which line 10 says is final'),
    ("leaves_final_state", added("transitions", "- {name: x, on: account_closed, from: ¦any, to: potential}", changed("to: potential}", "to: far}", FAR)), "name the states instead of any"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text", "words"), STATES)
def test_customers_begin_in_one_state_and_stay_where_it_is_final(
    code: str, text: str, words: str
) -> None:
    finding = only(text)
    assert finding.code == code
    assert words in finding.message


def test_a_state_may_be_final_on_purpose() -> None:
    text = added("transitions", "- {name: x, on: account_closed, from: deal, to: far}", FAR)
    assert said(text) == ()


def test_what_is_reached_only_from_unreachable_states_is_unreachable() -> None:
    text = changed("deal: {}", "deal: {}\n  isle: {}\n  rock: {}")
    text = added("transitions", "- {name: x, on: order_paid, from: isle, to: rock}", text)
    text = added("transitions", "- {name: y, on: order_paid, from: rock, to: isle}", text)
    assert [finding.code for finding in said(text)] == ["unreachable_state"] * 2


def test_a_rule_that_could_not_be_read_makes_nothing_else_look_wrong() -> None:
    """Without its target the rule may have been the way to `far`, so nothing is said of `far`."""
    text = changed("deal: {}", "deal: {}\n  far: {}")
    text = added("transitions", "- ¦{name: x, on: account_closed, from: deal}", text)
    assert only(text).code == "missing_key"


RULES = [
    ("shadowed_rule", "- {name: ¦x, on: order_paid, from: potential, to: far}", '"x" can never fire from potential on order_paid: "buys" in line 22 stands before it and has no guard'),
    ("shadowed_rule", "- {name: ¦x, on: [order_paid, page_viewed], from: [potential, deal], to: far}", "from potential on order_paid"),
    ("shadowed_rule", "- {name: ¦x, on: order_paid, from: potential, to: far, when: orders >= 3}", "has no guard"),
    ("shadowed_rule", "- {name: ¦x, after: 60d, since: last_order_at, from: deal, to: far}", "by time since last_order_at"),
    ("shadowed_rule", "- {name: ¦x, after: 90d, since: last_order_at, from: deal, to: far}", '"forgets" in line 23 stands before it and has no guard'),
    ("shadowed_rule", "- {name: ¦x, after: {fact: usual_gap, at_least: 60d, at_most: 90d, otherwise: 70d}, since: last_order_at, from: deal, to: far}", "has no guard"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "rule", "words"), RULES)
def test_a_rule_that_can_never_fire_is_refused(code: str, rule: str, words: str) -> None:
    finding = only(added("transitions", rule, FAR))
    assert finding.code == code
    assert words in finding.message


def test_two_rules_with_the_same_guard_are_ambiguous() -> None:
    text = changed("to: deal}", "to: deal, when: orders >= 3}", FAR)
    rule = "- {name: ¦x, on: order_paid, from: potential, to: far, when: 'orders  >=  3'}"
    finding = only(added("transitions", rule, text))
    assert finding.code == "ambiguous_rules"
    assert "has the same guard (orders  >=  3)" in finding.message


@pytest.mark.parametrize(
    "rule",
    [
        "- {name: x, on: account_closed, from: potential, to: far}",
        "- {name: x, on: order_paid, from: deal, to: far}",
        "- {name: x, after: 30d, since: last_order_at, from: deal, to: far}",
        "- {name: x, after: 90d, since: first_order_at, from: deal, to: far}",
        "- {name: x, after: {fact: usual_gap, at_least: 9d, at_most: 90d, otherwise: 70d}, since: last_order_at, from: deal, to: far}",
    ],
)  # fmt: skip
def test_a_rule_that_can_fire_is_not_refused(rule: str) -> None:
    """Another trigger, another state, a shorter wait, another anchor: each leaves it its turn."""
    text = added("facts", "first_order_at: {first: order_paid}", FAR)
    assert said(added("transitions", rule, text)) == ()


def test_a_guarded_rule_may_stand_before_one_without_a_guard() -> None:
    text = changed("- {name: buys,", "- {name: big, on: order_paid, from: potential, to: far, when: revenue > 99.0}\n  - {name: buys,", FAR)  # fmt: skip
    assert said(text) == ()


def test_a_guard_that_implies_an_earlier_one_is_warned_of() -> None:
    """It is only a warning, for it was found by trying values and not by proof."""
    text = changed("to: deal}", "to: deal, when: orders >= 3}", FAR)
    rule = "- {name: x, on: order_paid, from: potential, to: far, when: ¦orders >= 5}"
    finding = only(added("transitions", rule, text))
    assert (finding.code, finding.warning) == ("probably_shadowed", True)
    assert '"orders >= 3" of "buys" (line 22) holds too and comes first' in finding.message
    other = changed("¦orders >= 5", "orders >= 2", added("transitions", rule, text))
    assert said(other) == ()


TIMED = [
    ("- {name: x, after: ¦1d, since: last_order_at, from: potential, to: deal}", "potential → deal → potential"),
    ("- {name: x, after: ¦1d, since: last_order_at, from: potential, to: deal, when: orders > 5}", '"x" closes a loop of timed checks'),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "words"), TIMED)
def test_a_loop_of_timed_checks_is_refused_whatever_its_guards(rule: str, words: str) -> None:
    """Only an event moves what they count from, so it could turn without time passing."""
    finding = only(added("transitions", rule).replace("from: deal, to: potential", "from: deal, to: potential"))  # fmt: skip
    assert finding.code == "loop_without_time"


def test_every_loop_names_its_states_and_rules() -> None:
    rule = "{name: wake, after: 300d, since: last_seen_at, from: churned, to: deal}"
    findings = said(scenario_policy(transitions=[rule]))
    assert [finding.code for finding in findings] == ["loop_without_time"]
    assert 'deal → dormant → churned → deal (rules "quiet", "lost", "wake")' in findings[0].message


def test_a_loop_with_an_event_in_it_is_allowed() -> None:
    assert said(SCENARIO_POLICY) == ()


def test_ten_timed_checks_may_follow_each_other_and_no_more() -> None:
    """More steps without time passing would break the promise of the fold."""
    assert said(ladder(9)) == ()
    findings = said(ladder(10))
    assert [finding.code for finding in findings] == ["too_many_steps"]
    assert "found 11 timed checks that can follow each other" in findings[0].message
    assert "allowed: 10" in findings[0].message


def guard(text: str) -> str:
    return changed("to: deal}", f"to: deal, when: ¦'{text}'}}")


REFUSED = [
    ("function_named", "os.getcwd", "guards are CEL over facts and attributes"),
    ("unknown_variable", "ordrs >= 3", 'found "ordrs"; allowed: birthday, tier, strategic, orders, revenue, last_order_at, usual_gap, at, tags; did you mean "orders"?'),
    ("unknown_variable", "amount >= 3.0", '"amount" is a property of order_paid: declare a fact of it, such as latest_amount: {latest: order_paid.amount}'),
    ("unknown_variable", "order_paid.amount >= 3.0", "declare one, such as latest_amount: {latest: order_paid.amount}"),
    ("unknown_variable", "order_paid >= 3", "declare one, such as {count: order_paid}"),
    ("unknown_function", "sizeof(tags) > 1", 'unknown function: found "sizeof"'),
    ("guard_syntax", "orders >=", "which is not CEL: the end is not expected"),
    ("guard_syntax", "orders = 3", 'write == to compare, not "="'),
    ("guard_syntax", "orders > 3 and orders < 9", 'at character 12 of it; write && for "and"'),
    ("guard_syntax", "orders > 3 or orders < 1", 'write || for "or"'),
    ("guard_syntax", 'tier <> "a"', 'write != for "not equal"'),
    ("guard_syntax", "revenue > 100,50", "which is not CEL: ',' is not expected at character 14 of it; write a decimal point, such as 100.50"),
    ("guard_syntax", "tier == “gold”", 'which is not CEL: “ has no meaning at character 9 of it; write straight quotes, such as "gold"'),
    ("guard_syntax", 'tier == "gold', "a quote is opened and never closed"),
    ("guard_syntax", "orders ≥ 3", "write >= for ≥"),
    ("guard_syntax", "(orders > 3", "which is not CEL: ')' is missing at character 12 of it"),
    ("unknown_variable", "tier == gold", 'texts stand in quotes: write tier == "gold"'),
    ("guard_raises", "tier > 3", 'tier is text: write "3" in quotes'),
    ("guard_raises", "at - last_order_at > 30", 'write duration("720h") for 30 days'),
    ("guard_raises", 'usual_gap > duration("soon")', 'a duration is written in h, m and s, such as "720h" (usual_gap is duration)'),
    ("guard_constant", "1 > 0", "it is the same for everybody"),
    ("guard_constant", "[1, 2].exists(x, x > 1)", "it is the same for everybody"),
    ("guard_raises", 'orders >= "3"', "has no answer where orders = 0: values of these kinds do not go together (orders is int); both sides need the same type"),
    ("guard_raises", "orders + 1.0 > 2.0", "values of these kinds do not go together (orders is int); both sides need the same type: write double(orders) + 1.0"),
    ("guard_raises", "revenue / orders > 50.0", "both sides need the same type: write revenue / double(orders)"),
    ("guard_raises", "orders > 0 && revenue / orders > 50.0", "both sides need the same type: write revenue / double(orders)"),
    ("guard_raises", "revenue / 2 > 50.0", "both sides need the same type: write revenue / 2.0"),
    ("guard_raises", "revenue * orders > 50.0", "there is no double * int: values of these kinds do not go together"),
    ("guard_raises", "10 / orders > 3", "has no answer where orders = 0: "),
    ("guard_raises", "orders > 2 && int(tier) > 1", 'tier = "gold"'),
    ("guard_raises", "revenue / double(orders) > 9.0", "where what is divided by is 0 there is no answer"),
    ("guard_raises", "orders", "not true or false (orders is int); a guard compares"),
    ("guard_raises", "revenue", "not true or false (revenue is double)"),
    ("guard_raises", 'tags[0] == "vip"', "has no answer where tags = []"),
    ("guard_raises", 'at - last_order_at > duration("60d")', 'durations in guards know h, m and s: write duration("1440h")'),
    ("guard_raises", 'at - last_order_at > duration("2w")', 'write duration("336h")'),
    ("guard_raises", "usual_gap > 30", '(usual_gap is duration); a length of time is compared with one: write duration("720h") for 30 days'),
    ("guard_raises", "birthday == null || birthday > 3", "birthday is timestamp); an instant is compared with one, such as timestamp("),
    ("guard_too_deep", "tags.exists(a, tags.exists(b, tags.exists(c, c == a)))", "found 3 of all, exists, map and filter inside each other; allowed: 2"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text", "words"), REFUSED)
def test_a_guard_without_an_answer_is_refused(code: str, text: str, words: str) -> None:
    finding = only(guard(text))
    assert (finding.code, finding.warning) == (code, False), str(finding)
    assert words in finding.message


WARNED = [
    ('last_order_at > timestamp("2020-01-01T00:00:00Z")', "last_order_at"),
    ("strategic", "strategic"),
    ("!strategic", "strategic"),
    ("tier.size() > 2", "tier"),
    ('at - birthday > duration("8760h")', "birthday"),
    ('orders > 3 && usual_gap > duration("24h")', "usual_gap"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name"), WARNED)
def test_a_guard_without_an_answer_only_where_something_is_empty_is_warned_of(
    text: str, name: str
) -> None:
    finding = only(guard(text))
    assert (finding.code, finding.warning) == ("guard_raises_when_empty", True)
    assert f"has no answer where {name} is empty" in finding.message
    assert f'beginning with "{name} != null &&"' in finding.message
    assert loads(guard(text).replace(MARK, "")).findings == (finding,)


@pytest.mark.parametrize(
    "text",
    [
        "orders >= 3",
        "orders >= 2.5",
        "revenue >= 100",
        "orders != 0 && revenue / double(orders) > 10.0",
        "strategic == true",
        'tier in ["gold", "silver"]',
        'tier == "gold" && orders > 2',
        'tags.exists(t, t == "vip")',
        "tags.all(a, tags.exists(b, a == b))",
        '"vip" in tags || orders > 3',
        'last_order_at != null && at - last_order_at < duration("720h")',
        "birthday != null && birthday.getFullYear() < 2000",
        'tier != null && tier.matches("^g")',
        'usual_gap == null || usual_gap > duration("24h")',
        "orders > 3 ? revenue > 5.0 : revenue > 9.0",
        'has({"a": orders}.a)',
        "orders == 3 // a comment",
    ],
)  # fmt: skip
def test_a_guard_with_an_answer_for_everybody_has_no_finding(text: str) -> None:
    assert said(guard(text).replace(MARK, "")) == ()


def test_guards_of_outreach_are_checked_too() -> None:
    finding = only(changed("channels: [email]", "channels: [email], when: ¦ordrs > 3"))
    assert finding.code == "unknown_variable"


def test_what_a_guard_reads_has_the_type_of_its_fact() -> None:
    """A smallest of whole numbers is whole, of money a decimal, a latest has its property's type."""
    text = MINIMAL
    for entry in (
        "points: {min: order_refunded.points}",
        "top: {max: order_paid.amount}",
        "word: {latest: order_paid.note}",
        "kinds: {distinct: order_paid.note}",
        "since: {first: order_paid}",
    ):
        text = added("facts", entry, text)
    for right in (
        "points != null && points % 2 == 0",
        "top != null && top + 0.5 > 1.0",
        'word != null && word.startsWith("a")',
        "kinds % 2 == 0",
        "since != null && since.getFullYear() > 2000",
    ):  # fmt: skip
        assert said(changed("to: deal}", f"to: deal, when: '{right}'}}", text)) == ()
    for wrong in (
        "points != null && points + 0.5 > 1.0",
        "top != null && top % 2 == 0",
        "word != null && word > 3",
        'kinds > "3"',
        "since != null && since > 3",
    ):  # fmt: skip
        findings = said(changed("to: deal}", f"to: deal, when: '{wrong}'}}", text))
        assert [finding.code for finding in findings] == ["guard_raises"], wrong

"""Each thing that the format does not allow: what is said about it, and at which place."""

from __future__ import annotations

import pytest

from tests.policy.said import MINIMAL, added, changed, only, said

BUYS = "- {name: buys, on: order_paid, from: potential, to: deal}"
THANKS = "- {name: thanks, on: {transition: buys}, channels: [email]}"


def transition(text: str) -> str:
    return changed(BUYS, text)


def outreach(text: str) -> str:
    return changed(THANKS, text)


CASES = [
    # Keys
    (
        "unknown_key",
        changed("facts:", "¦fact:\n  x: {count: order_paid}\nfacts:"),
        'unknown setting "fact" of the policy; did you mean "facts"?',
    ),
    (
        "unknown_key",
        outreach("- {name: thanks, on: {transition: buys}, channels: [email], ¦dealy: 1h}"),
        'unknown setting "dealy" of an outreach rule; did you mean "delay"?',
    ),
    (
        "unknown_key",
        outreach("- {name: thanks, on: {transition: buys}, channels: [email], ¦audience: 5%}"),
        'unknown setting "audience" of an outreach rule (allowed: name, label, on, when, while, unless, channels',
    ),
    (
        "missing_key",
        changed("timezone: Asia/Shanghai\n", "", "¦" + MINIMAL),
        'the policy needs "timezone"',
    ),
    (
        "missing_key",
        outreach("- ¦{name: thanks, on: {transition: buys}}"),
        'an outreach rule needs "channels"',
    ),
    (
        "missing_key",
        transition("- ¦{on: order_paid, from: potential, to: deal}\n" + " " * 2 + BUYS.replace("order_paid", "page_viewed")),
        'a transition needs "name"',
    ),
    (
        "missing_key",
        transition(BUYS + "\n  - ¦{name: x, from: potential, to: deal}"),
        'a transition needs "on" (an event type), or "after" and "since"',
    ),
    (
        "missing_key",
        changed("after: 60d, since: last_order_at,", "after: ¦60d,"),
        'found "after" without "since"; a timed check needs both',
    ),
    (
        "missing_key",
        changed("after: 60d, since: last_order_at,", "since: ¦last_order_at,"),
        'found "since" without "after"; a timed check needs both',
    ),
    (
        "two_kinds",
        changed("after: 60d,", "on: page_viewed, after: ¦60d,"),
        'found "on" and "after" together',
    ),
    (
        "two_kinds",
        outreach("- {name: thanks, on: {transition: buys}, channels: [email], delay: 1h, steps: ¦[1d]}"),
        'found "delay" and "steps" together',
    ),
    (
        "two_kinds",
        added("facts", "f: {count: order_paid, ¦last: order_paid}"),
        'found "count" and "last" together; a fact has only one of: count, sum',
    ),
    (
        "unknown_key",
        added("facts", "f: {¦cuont: order_paid}"),
        'latest, min, max, distinct, gap; did you mean "count"?',
    ),
    ("unknown_key", added("facts", "f: ¦{}"), "found an empty map; a fact needs one of"),
    (
        "unknown_key",
        changed("on: {transition: buys}", "on: {¦transitoin: buys}"),
        'a trigger needs one of: transition, event, state, after, calendar; did you mean "transition"?',
    ),
    (
        "unknown_key",
        added("facts", "f: {last: order_paid, ¦within: 30d}"),
        'unknown setting "within" of a last instant (allowed: last)',
    ),
    # Kinds of values
    ("wrong_value", changed("version: 1", "version: ¦2"), 'found "2"; allowed: 1'),
    ("wrong_value", changed("version: 1", "version: ¦3.10"), 'found "3.10"; allowed: 1'),
    ("wrong_value", changed("version: 1", "version: ¦[1]"), "found a list; allowed: 1"),
    ("wrong_name", changed("to: deal}", "to:¦ }", MINIMAL), "found nothing; allowed: the name of a state"),
    ("wrong_value", changed("order_paid, from: potential", "order_paid, from: ¦[]"), "found an empty list; allowed: one, or a list of at least one"),
    ("wrong_value", changed("[email]", "¦email"), 'found "email"; allowed: a list of at least one'),
    ("wrong_value", added("facts", "f: ¦order_paid"), 'found "order_paid"; allowed: a fact, a map with one of the keys'),
    ("wrong_value", added("outreach", "- ¦thanks"), 'found "thanks"; allowed: an outreach rule, a map with the keys name'),
    ("wrong_word", changed("tier: text", "tier: ¦string"), 'found "string"; allowed: text, int, number, money, currency, bool, date, timestamp, zone; did you mean "text"?'),
    ("wrong_word", changed("amount: money, currency", "amount: {type: ¦mony}, currency"), 'found "mony"; allowed: text, int'),
    ("wrong_word", changed("{initial: true}", "{initial: ¦yes}"), 'found "yes"; allowed: true, false (without quotes); did you mean true?'),
    ("wrong_word", changed("{initial: true}", '{initial: ¦"true"}'), 'found "true" in quotes; allowed: true, false'),
    ("wrong_word", changed("version: 1", "version: 1\nunknown_events: ¦drop"), 'found "drop"; allowed: refuse, keep'),
    ("wrong_word", changed("[email]", "[email], class: ¦promotion"), 'found "promotion"; allowed: marketing, service'),
    ("wrong_time", changed("{transition: buys}", "{calendar: birthday, at: ¦24:00}"), 'found "24:00"; allowed: a time of day from 00:00 to 23:59'),
    ("wrong_time", changed("{transition: buys}", "{calendar: birthday, at: ¦9:00}"), 'found "9:00"; allowed: a time of day'),
    ("wrong_date", changed("{transition: buys}", "{calendar: ¦12-32}"), 'found "12-32"; allowed: a month and day that exist'),
    ("wrong_date", changed("{transition: buys}", "{calendar: ¦2025-12-25}"), 'found "2025-12-25"; allowed: the name of a date attribute, a month and day such as "12-25", or one of the Chinese'),
    ("wrong_date", changed("version: 1", "version: 1\nrates: {USD: {¦2025-02-30: 7}}"), 'found "2025-02-30"; allowed: a date that exists'),
    ("wrong_number", changed("version: 1", "version: 1\nrates: {USD: {2025-02-01: ¦0}}"), 'found "0"; allowed: the rate: a plain decimal number above 0'),
    ("wrong_number", changed("version: 1", "version: 1\nrates: {USD: {2025-02-01: ¦7e0}}"), 'found "7e0"; allowed: the rate: a plain decimal'),
    ("wrong_number", changed("{gap: order_paid}", "{gap: order_paid, quantile: ¦90}"), 'found "90"; allowed: the quantile: a plain decimal number above 0 and at most 1'),
    ("unknown_currency", changed("currency: CNY", "currency: ¦RMB"), 'found "RMB"; allowed: an ISO 4217 code such as CNY, USD or EUR; did you mean "CNY"?'),
    ("unknown_currency", changed("version: 1", "version: 1\nrates: {¦usd: {2025-02-01: 7}}"), 'found "usd"; allowed: an ISO 4217 code such as CNY, USD or EUR; did you mean "USD"?'),
    ("rate_of_own_currency", changed("version: 1", "version: 1\nrates: {¦CNY: {2025-02-01: 1}}"), "the policy's own currency"),
    ("wrong_value", changed("version: 1", "version: 1\nrates: {USD: ¦{}}"), "found an empty map; allowed: a date that exists, such as 2025-01-31: …"),
    ("wrong_path", added("facts", "f: {sum: ¦order_paid}"), 'found "order_paid"; allowed: an event type and one of its properties'),
    ("wrong_path", added("facts", "f: {sum: ¦order_paid.amount.cents}"), "allowed: an event type and one of its properties"),
    ("wrong_path", added("facts", "f: {latest: ¦lifecycle.clicked.url}"), 'found "lifecycle.clicked.url"; allowed: a property of an event type of yours; of the system\'s own events facts do not look at properties, only whether and when they happened: count, first, last, gap'),
    ("wrong_path", added("facts", "f: {distinct: ¦lifecycle.clicked}"), "facts do not look at properties, only whether and when they happened"),
    ("too_long", changed("deal: {}", f"deal: {{label: {{en: ¦{'x' * 101}}}}}"), "found 101 characters; allowed: the label of at most 100"),
    ("too_long", transition(BUYS.replace("}", f", when: ¦{'orders > 1 && ' * 72}true}}")), "characters; allowed: a condition in CEL such as orders >= 3 of at most 1,000"),
    ("steps_order", changed("[email]", "[email], steps: [3d, ¦3d]"), "found a step that is not later than the one before it"),
    ("wrong_bounds", changed("after: 60d", "after: {fact: usual_gap, at_least: 9d, at_most: ¦8d, otherwise: 8d}"), "at_least ≤ at_most"),
    # Names
    ("wrong_name", added("facts", "¦my-fact: {count: order_paid}"), 'found "my-fact"; allowed as the name of a fact or attribute: letters, digits and _'),
    ("wrong_name", transition(BUYS.replace("buys", "¦First Purchase").replace("- {", "- {")).replace("transition: buys", "event: order_paid"), 'found "First Purchase"; allowed as the name of a rule: lower-case letters, digits, - and _'),
    ("wrong_name", changed("account_closed: {}", "¦Order Completed: {}"), 'found "Order Completed"; allowed as the name of an event type'),
    ("wrong_name", changed("[email]", "[¦E-Mail]"), 'found "E-Mail"; allowed as the name of a channel'),
    ("reserved_name", added("facts", "¦at: {last: order_paid}"), 'guards know "at" as the instant that is judged'),
    ("reserved_name", changed("tier: text", "¦tags: text"), "guards know \"tags\" as the list of the customer's tags"),
    ("reserved_name", added("facts", "¦size: {count: order_paid}"), "this is a function of the language of guards (CEL)"),
    ("reserved_name", added("facts", "¦in: {count: order_paid}"), "this word belongs to the language of guards (CEL)"),
    ("reserved_name", changed("account_closed: {}", "¦page_viewed: {}"), "it is built in and never declared"),
    ("reserved_name", changed("account_closed: {}", "¦interaction: {}"), "any event that counts as interaction"),
    ("reserved_name", changed("account_closed: {}", "¦lifecycle.moved: {}"), "lifecycle.* are events of the system itself"),
    ("reserved_name", changed("last_order_at: {last: order_paid}", "last_order_at: {last: order_paid}\n  moves: {count: ¦lifecycle.moved}"), "allowed of the system's own: lifecycle.sent, lifecycle.failed,"),
    ("reserved_name", changed("last_order_at: {last: order_paid}", "last_order_at: {last: order_paid}\n  seen: {count: ¦lifecycle.prefetched}"), 'did you mean "lifecycle.opened"?'),
    ("reserved_name", transition(BUYS + "\n  - {name: x, on: ¦lifecycle.clicked, from: potential, to: deal}"), "lifecycle.* are events of the system itself"),
    ("reserved_name", transition(BUYS + "\n  - {name: x, on: ¦lifecycle.moved, from: potential, to: deal}"), "lifecycle.* are events of the system itself"),
    ("reserved_name", changed("name: forgets", "name: ¦moved"), "steps made by an operator's move carry this name"),
    ("reserved_name", added("states", "¦any: {final: true}"), '"from: any" means every state but the target'),
    ("duplicate_name", changed("name: forgets", "name: ¦buys"), 'found "buys" a second time; the first is in line 21'),
    ("duplicate_name", changed("name: thanks", "name: ¦forgets"), "each rule (transitions and outreach together) needs a name of its own"),
    ("duplicate_name", added("facts", "¦tier: {count: order_paid}"), 'found "tier" as a fact; there is an attribute of that name in line 6'),
    ("duplicate_entry", changed("on: order_paid, from", "on: [order_paid, ¦order_paid], from"), 'found "order_paid" a second time; allowed: once in this list'),
    ("duplicate_key", added("states", "¦deal: {}"), 'found "deal" a second time; the first is in line 10'),
    # References
    ("undeclared_state", changed("from: potential, to: deal", "from: potential, to: ¦daal"), 'undeclared state: found "daal"; allowed: potential, deal; did you mean "deal"?'),
    ("undeclared_state", changed("from: potential, to: deal", "from: ¦potental, to: deal"), 'found "potental"; allowed: potential, deal; did you mean "potential"?'),
    ("undeclared_state", changed("from: deal, to: potential", "from: deal, to: ¦any"), 'found "any" as the target; allowed: one state of potential, deal'),
    ("any_with_others", changed("from: deal, to: potential", "from: [deal, ¦any], to: potential"), 'found "any" among other states'),
    ("leads_to_itself", changed("from: potential, to: deal", "from: [potential, ¦deal], to: deal"), 'found "deal" both in from and as the target'),
    ("unknown_event", changed("on: order_paid, from", "on: ¦order_payed, from"), 'unknown event type: found "order_payed"; allowed: order_paid, order_refunded, account_closed, profile_changed'),
    ("unknown_event", changed("on: order_paid, from", "on: ¦interaction, from"), 'found "interaction", which only facts may use; allowed here: the event types themselves'),
    ("unknown_event", changed("{count: order_paid}", "{count: order_paid, less: ¦order_refund}"), 'did you mean "order_refunded"?'),
    ("unknown_event", changed("{transition: buys}", "{event: ¦orderpaid}"), 'did you mean "order_paid"?'),
    ("unknown_property", changed("order_paid.amount", "¦order_paid.amont"), 'unknown property of "order_paid": found "amont"; allowed: amount, currency, note; did you mean "amount"?'),
    ("wrong_type", changed("order_paid.amount", "¦order_paid.note"), 'found "order_paid.note", which is text; allowed for sum: a property of the type money, number or int'),
    ("wrong_type", changed("sum: order_paid.amount", "sum: order_paid.amount, less: ¦order_refunded.points"), "which is int; allowed: a property of the type money, like that which is added up"),
    ("two_currencies", changed("amount: money, currency: currency, note", "amount: money, currency: currency, ¦other: currency, note"), "found two properties of the type currency"),
    ("unknown_fact", changed("since: last_order_at", "since: ¦last_order"), 'unknown fact: found "last_order"; allowed to count from: a fact of the kind first or last (last_order_at); did you mean "last_order_at"?'),
    ("wrong_fact", changed("since: last_order_at", "since: ¦orders"), 'found "orders", which is a count; allowed to count from'),
    ("unknown_fact", changed("since: last_order_at", "since: ¦birthday"), 'found "birthday", which is an attribute'),
    ("wrong_fact", changed("after: 60d", "after: {fact: ¦orders, at_least: 1d, at_most: 2d, otherwise: 1d}"), "which is a count; allowed as a waiting time: a fact of the kind gap (usual_gap)"),
    ("unknown_transition", changed("{transition: buys}", "{transition: ¦buy}"), 'unknown transition: found "buy"; allowed: buys, forgets; did you mean "buys"?'),
    ("unknown_attribute", changed("{transition: buys}", "{calendar: ¦birthdate}"), 'unknown date attribute: found "birthdate"; allowed: birthday; did you mean "birthday"?'),
    ("wrong_type", changed("{transition: buys}", "{calendar: ¦tier}"), 'found "tier", which is text; allowed: an attribute of the type date (birthday)'),
    # Triggers of outreach
    ("wrong_value", changed("{transition: buys}", "¦buys"), 'found "buys"; allowed: a trigger, a map with one of the keys transition, event, state, after, calendar; or the word request'),
    ("wrong_value", changed("{transition: buys}", "¦requested"), 'did you mean "request"?'),
    ("wrong_value", changed("{transition: buys}", "¦stat"), 'did you mean "{state: …}"?'),
    ("wrong_value", changed("{transition: buys}", "¦[request]"), "found a list; allowed: a trigger"),
    ("undeclared_state", changed("{transition: buys}", "{state: ¦dael}"), 'undeclared state: found "dael"; allowed: potential, deal; did you mean "deal"?'),
    ("undeclared_state", changed("{transition: buys}", "{state: [deal, ¦any]}"), 'found "any" as the target'),
    ("duplicate_entry", changed("{transition: buys}", "{state: [deal, ¦deal]}"), 'found "deal" a second time'),
    ("wrong_duration", changed("{transition: buys}", "{state: deal, stayed: ¦14}"), 'found "14"; a duration needs a whole number with a unit'),
    ("wrong_duration", changed("{transition: buys}", "{state: deal, stayed: ¦0d}"), 'found "0d"; allowed: more than nothing'),
    ("wrong_date", changed("{transition: buys}", "{calendar: ¦lunar 13-01}"), 'found "lunar 13-01"; allowed: a month from 01 to 12 and a day from 01 to 30'),
    ("wrong_date", changed("{transition: buys}", "{calendar: ¦lunar 01-31}"), 'found "lunar 01-31"; allowed: a month from 01 to 12 and a day from 01 to 30'),
    ("wrong_date", changed("{transition: buys}", "{calendar: ¦lunar 1-1}"), 'such as "lunar 08-15"'),
    ("wrong_date", changed("{transition: buys}", "{calendar: ¦chinese 01-01}"), 'such as "lunar 08-15"'),
    # What a rule of outreach may say
    ("undeclared_state", changed("[email]", "[email], while: ¦[daal]").replace("¦[daal]", "[¦daal]"), 'found "daal"; allowed: potential, deal; did you mean "deal"?'),
    ("guard_syntax", changed("[email]", "[email], unless: ¦orders >"), "which is not CEL"),
    ("unknown_variable", changed("[email]", "[email], unless: ¦order > 3"), 'unknown fact or attribute: found "order"'),
    ("unknown_event", changed("[email]", "[email], cancel_on: ¦order_payed"), 'did you mean "order_paid"?'),
    ("wrong_name", changed("[email]", "[email], purpose: ¦News letter"), 'found "News letter"; allowed as a purpose'),
    ("wrong_number", changed("[email]", "[email], priority: ¦101"), 'found "101"; allowed: the priority: a whole number from 0 to 100'),
    ("wrong_number", changed("[email]", "[email], priority: ¦high"), 'found "high"; allowed: the priority'),
    ("wrong_share", changed("[email]", "[email], holdout: ¦5"), 'found "5"; allowed: a share from 0% to less than 100%, such as 5%; did you mean "5%"?'),
    ("wrong_share", changed("[email]", "[email], holdout: ¦0.05"), 'found "0.05"; allowed: a share'),
    ("wrong_share", changed("[email]", "[email], holdout: ¦100%"), 'found "100%"; allowed: a share from 0% to less than 100%'),
    ("holdout_refused", changed("[email]", "[email], class: service, holdout: ¦5%"), "found a holdout of 5% on a rule that is service"),
    ("holdout_refused", changed("[email]", "[task], holdout: ¦2.5%"), "found a holdout of 2.5% on a rule that is only a task"),
    ("wrong_value", changed("[email]", "[email], variants: ¦{plain: 50}"), "found 1 entry; allowed: at least 2 entries, each the name of a variant"),
    ("wrong_number", changed("[email]", "[email], variants: {plain: ¦0, coupon: 50}"), "allowed: the weight: a whole number from 1 to 1,000"),
    ("wrong_name", changed("[email]", "[email], variants: {¦Plain: 1, coupon: 1}"), 'found "Plain"; allowed as the name of a variant'),
    ("unknown_event", changed("[email]", "[email], goal: {event: ¦order, within: 3d}"), 'did you mean "order_paid"?'),
    ("missing_key", changed("[email]", "[email], goal: ¦{event: order_paid}"), 'a goal needs "within"'),
    ("spread_too_long", changed("[email]", "[email], expires: 2h, spread: ¦2h"), "the last of the messages would expire before their turn comes"),
    # Caps: left out, null and 0 mean three different things
    ("block_not_said", changed("[email]", "[email], cap: {most: ¦0, within: 30d}"), "found most: 0, which stops these messages altogether; allowed: 0 together with block: true"),
    ("two_kinds", changed("[email]", "[email], cap: {most: 1, within: 30d, block: ¦true}"), "allowed: block with most: 0 only"),
    ("two_kinds", changed("[email]", "[email], cap: {most: 1, within: 30d, per: ¦day}"), 'found "within" and "per" together'),
    ("missing_key", changed("[email]", "[email], cap: ¦{most: 1}"), 'a cap needs "within" (any time of this length) or "per" (day, week, month)'),
    ("missing_key", changed("[email]", "[email], cap: ¦{per: day}"), 'a rule\'s own cap needs "most"'),
    ("wrong_word", changed("[email]", "[email], cap: {most: 1, per: ¦year}"), 'found "year"; allowed: day, week, month'),
    ("unknown_key", changed("[email]", "[email], cap: {most: 1, per: day, ¦channel: sms}"), 'unknown setting "channel" of a rule\'s own cap'),
    ("wrong_value", outreach("- name: thanks\n    on: {transition: buys}\n    channels: [email]\n    ¦cap:"), "found nothing; allowed: a value, null (no cap holds for this rule"),
    ("missing_key", changed("version: 1", "version: 1\nsending: {caps: [¦{most: 1, channel: sms}]}"), 'a cap needs "within"'),
    ("block_not_said", changed("version: 1", "version: 1\nsending: {caps: [{most: ¦0, class: marketing}]}"), "block: true"),
    ("wrong_word", changed("version: 1", "version: 1\nsending: {caps: [{most: 1, per: day, class: ¦adverts}]}"), "allowed: marketing, service"),
    # Sending
    ("empty_or_full_day", changed("version: 1", 'version: 1\nsending: {quiet: {since: "22:00", until: ¦"22:00"}}'), "found 22:00 to 22:00, an empty or a full-day window, say which"),
    ("missing_key", changed("version: 1", 'version: 1\nsending: {quiet: ¦{since: "22:00"}}'), 'the quiet hours needs "until"'),
    ("wrong_time", changed("version: 1", 'version: 1\nsending: {quiet: {since: ¦"24:00", until: "08:00"}}'), "allowed: a time of day from 00:00 to 23:59"),
    ("wrong_word", changed("version: 1", "version: 1\nsending: {working_days: {days: [mon, ¦tues]}}"), 'did you mean "tue"?'),
    ("unknown_country", changed("version: 1", "version: 1\nsending: {working_days: {holidays: ¦China}}"), 'found "China"; allowed: the two letters of a country'),
    ("unknown_country", changed("version: 1", "version: 1\nsending: {working_days: {holidays: ¦cn}}"), 'did you mean "CN"?'),
    ("two_kinds", changed("version: 1", "version: 1\nsending: {working_days: {closed: 2026-02-16, open: ¦2026-02-16}}"), "found 2026-02-16 both in open and in closed"),
    ("wrong_date", changed("version: 1", "version: 1\nsending: {working_days: {closed: ¦2026-02-30}}"), "allowed: a date that exists"),
    ("wrong_number", changed("version: 1", "version: 1\nsending: {surge: {times: ¦1}}"), "allowed: how many times as many: a whole number from 2 to 1,000"),
    ("unknown_key", changed("version: 1", "version: 1\nsending: {¦cap: []}"), 'did you mean "caps"?'),
    ("wrong_share", changed("version: 1", "version: 1\nholdout: {all: ¦5}"), 'did you mean "5%"?'),
    # Sizes
    ("too_many", changed("states:\n", "states: ¦{" + ", ".join(f"s{n}: {{}}" for n in range(101)) + "}\nstatez:\n").replace("statez:\n  potential: {initial: true}\n  deal: {}\n", ""), "found 101 entries; allowed: at most 100"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text", "words"), CASES)
def test_what_the_format_does_not_allow_is_refused_at_its_place(
    code: str, text: str, words: str
) -> None:
    """One slip gives one finding: it names the place, what was found and what is allowed."""
    finding = only(text)
    assert (finding.code, finding.warning) == (code, False), str(finding)
    assert words in finding.message


def test_every_problem_is_told_at_once_in_the_order_of_the_file() -> None:
    text = MINIMAL
    for old, new in (
        ("Asia/Shanghai", "Asia/Peking"),
        ("tier: text", "tier: txt"),
        ("{initial: true}", "{intial: true}"),
        ("{count: order_paid}", "{count: order_payed}"),
        ("to: deal", "to: daal"),
        ("60d", "60"),
        ("channels", "chanels"),
    ):
        text = changed(old, new, text)
    findings = said(text)
    assert [finding.code for finding in findings] == [
        "unknown_zone",
        "wrong_word",
        "no_initial_state",
        "unknown_key",
        "unknown_event",
        "undeclared_state",
        "wrong_duration",
        "missing_key",
        "unknown_key",
    ]
    assert [f.line for f in findings] == sorted(f.line for f in findings)


@pytest.mark.parametrize(
    ("section", "rule", "slip"),
    [
        ("transitions", "- {name: x, on: order_paid, from: deal, to: qqq, when: orders >> 3}", "undeclared_state"),
        ("transitions", "- {name: x, on: order_paid, from: qqq, to: deal, when: orders >> 3}", "undeclared_state"),
        ("transitions", "- {name: x, on: order_paid, from: deal, when: orders >> 3}", "missing_key"),
        ("outreach", "- {name: x, on: {transition: qqq}, channels: [sms], when: orders >> 3}", "unknown_transition"),
    ],
)  # fmt: skip
def test_the_guard_of_a_rule_that_goes_nowhere_is_judged_all_the_same(
    section: str, rule: str, slip: str
) -> None:
    """A second run would tell of it only once the first slip is mended."""
    findings = said(added(section, rule))
    assert sorted(finding.code for finding in findings) == sorted([slip, "guard_syntax"])
    [guard] = [finding for finding in findings if finding.code == "guard_syntax"]
    line = added(section, rule).splitlines()[guard.line - 1]
    assert line[guard.column - 1 :].startswith("orders >> 3")


def test_a_paste_of_thousands_of_slips_does_not_bury_the_reader() -> None:
    text = MINIMAL + "".join(f"slip{number}: 1\n" for number in range(900))
    findings = said(text)
    assert len(findings) == 201
    assert findings[-1].code == "more_findings"
    assert findings[-1].message == "and 700 more that are not listed"


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        ("unusual_channel", changed("[email]", "[email, ¦mail]"), 'found "mail", which is none of the usual channels'),
        ("unusual_channel", changed("[email]", "[¦emial]"), 'did you mean "email"?'),
        ("unusual_channel", changed("version: 1", "version: 1\nsending: {caps: [{most: 1, per: day, channel: ¦smss}]}"), 'did you mean "sms"?'),
        ("never_entered", changed("from: deal, to: potential", "from: potential, to: deal").replace("deal: {}", "deal: {final: true}").replace("{transition: buys}", "¦{state: potential}"), "beginning in it is not entering it"),
        ("guard_raises_when_empty", changed("[email]", "[email], unless: ¦'at - last_order_at < duration(\"24h\")'"), "has no answer where last_order_at is empty"),
    ],
)  # fmt: skip
def test_what_is_probably_a_slip_is_warned_of(code: str, text: str, words: str) -> None:
    finding = only(text)
    assert (finding.code, finding.warning) == (code, True), str(finding)
    assert words in finding.message

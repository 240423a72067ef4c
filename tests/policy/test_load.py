"""What a policy file says is what the records hold."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from lifecycle.domain.builtin import BUILTIN
from lifecycle.domain.policy import (
    After,
    Fact,
    FactKind,
    MessageClass,
    OnCalendar,
    OnEvent,
    OnTransition,
    OwnRhythm,
    Rate,
    UnknownEvents,
    ValueType,
)
from lifecycle.policy import load, loads
from tests.policies import SCENARIO_POLICY
from tests.policy.said import MINIMAL, added, changed, said


def test_the_minimal_policy_has_no_findings() -> None:
    """Every other test changes it, so it must be without any fault itself."""
    assert said(MINIMAL) == ()


def test_the_policy_of_the_examples_reads_as_they_tell_it() -> None:
    policy = loads(SCENARIO_POLICY).policy
    rules = {rule.name: rule for rule in policy.transitions}
    assert list(rules) == ["first", "loyal", "back", "again", "quiet", "lost", "left"]
    assert policy.initial == "potential"
    assert rules["loyal"].guard == "orders >= 3"
    assert rules["back"].trigger == OnEvent(types=("order_paid",))
    assert rules["back"].sources == ("dormant", "churned")
    assert rules["quiet"].trigger == After(wait=timedelta(days=60), since="last_seen_at")
    assert rules["left"].to == "churned"
    message = policy.outreach[0]
    assert message.trigger == OnTransition(names=("quiet",))
    assert (message.settle, message.expires) == (timedelta(minutes=10), timedelta(days=7))


def test_from_any_is_every_state_but_the_target() -> None:
    policy = loads(SCENARIO_POLICY).policy
    assert policy.transitions[-1].sources == (
        "potential",
        "deal",
        "loyal",
        "dormant",
        "reactivated",
    )


def test_built_in_event_types_are_there_without_being_declared() -> None:
    policy = loads(MINIMAL).policy
    assert {name: policy.events[name] for name in BUILTIN} == dict(BUILTIN)


def test_what_is_left_out_has_the_documented_default() -> None:
    policy = loads(MINIMAL).policy
    message = policy.outreach[0]
    assert policy.unknown_events is UnknownEvents.REFUSE
    assert (policy.skew, policy.lateness, policy.rates) == (timedelta(minutes=5), None, ())
    assert message.message_class is MessageClass.MARKETING
    assert message.delays == (timedelta(0),)
    assert (message.settle, message.expires) == (timedelta(0), None)
    assert message.again_after == timedelta(days=30)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("10s", timedelta(seconds=10)),
        ("10min", timedelta(minutes=10)),
        ("10m", timedelta(minutes=10)),
        ("36h", timedelta(hours=36)),
        ("60d", timedelta(days=60)),
        ("2w", timedelta(days=14)),
        ('"60d"', timedelta(days=60)),
        ("36525d", timedelta(days=36_525)),
    ],
)
def test_a_duration_is_a_whole_number_with_a_unit(written: str, meant: timedelta) -> None:
    policy = loads(changed("after: 60d", f"after: {written}")).policy
    trigger = policy.transitions[1].trigger
    assert isinstance(trigger, After)
    assert trigger.wait == meant


def test_nothing_to_wait_for_may_be_zero() -> None:
    """A delay and a settling time of nothing mean at once; every other duration means something."""
    policy = loads(changed("channels: [email]", "channels: [email], delay: 0s, settle: 0d")).policy
    assert policy.outreach[0].delays == (timedelta(0),)


def test_a_series_has_one_delay_for_each_message() -> None:
    policy = loads(
        changed("channels: [email]", "channels: [email, sms], steps: [0d, 3d, 1w]")
    ).policy
    message = policy.outreach[0]
    assert message.delays == (timedelta(0), timedelta(days=3), timedelta(days=7))
    assert message.channels == ("email", "sms")


def test_a_waiting_time_may_be_the_customers_own() -> None:
    rhythm = "{fact: usual_gap, at_least: 30d, at_most: 180d, otherwise: 60d}"
    trigger = loads(changed("after: 60d", f"after: {rhythm}")).policy.transitions[1].trigger
    assert isinstance(trigger, After)
    assert trigger.wait == OwnRhythm(
        fact="usual_gap",
        at_least=timedelta(days=30),
        at_most=timedelta(days=180),
        otherwise=timedelta(days=60),
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            "{calendar: birthday}",
            OnCalendar(attribute="birthday", month_day=None, at=time(9, 0)),
        ),
        (
            "{calendar: birthday, at: 08:30}",
            OnCalendar(attribute="birthday", month_day=None, at=time(8, 30)),
        ),
        (
            '{calendar: "12-25", at: "23:59"}',
            OnCalendar(attribute=None, month_day=(12, 25), at=time(23, 59)),
        ),
        ("{calendar: 02-29}", OnCalendar(attribute=None, month_day=(2, 29), at=time(9, 0))),
        ("{event: [order_paid, page_viewed]}", OnEvent(types=("order_paid", "page_viewed"))),
        ("{transition: [buys, forgets]}", OnTransition(names=("buys", "forgets"))),
        (
            "{after: 30d, since: last_order_at}",
            After(wait=timedelta(days=30), since="last_order_at"),
        ),
    ],
)
def test_a_message_is_caused_by_a_transition_an_event_time_or_a_date(
    written: str, meant: object
) -> None:
    policy = loads(changed("{transition: buys}", written)).policy
    assert policy.outreach[0].trigger == meant


MONEY = {"property": "amount", "property_type": ValueType.MONEY}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{count: interaction}", Fact(name="f", kind=FactKind.COUNT, event="interaction")),
        (
            "{count: order_paid, within: 365d, less: order_refunded}",
            Fact(
                name="f",
                kind=FactKind.COUNT,
                event="order_paid",
                less_event="order_refunded",
                within=timedelta(days=365),
            ),
        ),
        (
            "{sum: order_paid.amount, less: order_refunded.amount}",
            Fact(
                name="f",
                kind=FactKind.SUM,
                event="order_paid",
                property="amount",
                property_type=ValueType.MONEY,
                less_event="order_refunded",
                less_property="amount",
            ),
        ),
        ("{first: page_viewed}", Fact(name="f", kind=FactKind.FIRST, event="page_viewed")),
        (
            "{latest: order_paid.note}",
            Fact(
                name="f",
                kind=FactKind.LATEST,
                event="order_paid",
                property="note",
                property_type=ValueType.TEXT,
            ),
        ),
        (
            "{min: order_refunded.points}",
            Fact(
                name="f",
                kind=FactKind.MIN,
                event="order_refunded",
                property="points",
                property_type=ValueType.INT,
            ),
        ),
        (
            "{max: order_paid.amount, within: 30d}",
            Fact(
                name="f",
                kind=FactKind.MAX,
                event="order_paid",
                property="amount",
                property_type=ValueType.MONEY,
                within=timedelta(days=30),
            ),
        ),
        (
            "{distinct: survey_answered.survey}",
            Fact(
                name="f",
                kind=FactKind.DISTINCT,
                event="survey_answered",
                property="survey",
                property_type=ValueType.TEXT,
            ),
        ),
        (
            "{gap: interaction}",
            Fact(name="f", kind=FactKind.GAP, event="interaction", quantile=Decimal("0.5")),
        ),
        (
            "{gap: order_paid, quantile: 0.90}",
            Fact(name="f", kind=FactKind.GAP, event="order_paid", quantile=Decimal("0.9")),
        ),
    ],
)
def test_every_kind_of_fact_reads_as_written(written: str, meant: Fact) -> None:
    facts = {fact.name: fact for fact in loads(added("facts", f"f: {written}")).policy.facts}
    assert facts["f"] == meant


def test_a_rate_holds_from_midnight_in_the_policys_zone() -> None:
    """In the year 2025 Shanghai is eight hours ahead of UTC."""
    text = added("states", "loyal: {final: true}").replace(
        "attributes:", "rates: {USD: {2025-01-02: 7.30, 2024-01-01: 7.1}}\nattributes:"
    )
    text = added("transitions", "- {name: more, on: order_paid, from: deal, to: loyal}", text)
    assert loads(text).policy.rates == (
        Rate(currency="USD", since=datetime(2023, 12, 31, 16, tzinfo=UTC), rate=Decimal("7.1")),
        Rate(currency="USD", since=datetime(2025, 1, 1, 16, tzinfo=UTC), rate=Decimal("7.3")),
    )


def test_text_that_other_loaders_bend_stays_what_was_written() -> None:
    """`no` is no boolean, 3.10 keeps its zero, 08:30 is no number of minutes, 1e3 no number."""
    labels = "{en: no, zh: 3.10, nb: 08:30, fr: 1e3, de: ~5, it: 2025-01-01}"
    state = loads(changed("deal: {}", f"deal: {{label: {labels}}}")).policy.states[1]
    assert state.labels == {
        "en": "no", "zh": "3.10", "nb": "08:30", "fr": "1e3", "de": "~5", "it": "2025-01-01",
    }  # fmt: skip


def test_on_is_a_key_like_any_other() -> None:
    """In YAML 1.1 it would be the boolean true."""
    assert loads(MINIMAL).policy.transitions[0].trigger == OnEvent(types=("order_paid",))


def test_an_empty_section_is_the_same_as_none() -> None:
    without = MINIMAL.partition("outreach:\n")[0]
    assert loads(without + "outreach:\n").policy == loads(without).policy


def test_a_file_is_read_with_or_without_a_byte_order_mark_and_whatever_its_line_ends(
    tmp_path: Path,
) -> None:
    for number, content in enumerate(
        [
            MINIMAL.encode(),
            b"\xef\xbb\xbf" + MINIMAL.encode(),
            MINIMAL.replace("\n", "\r\n").encode(),
        ]
    ):
        path = tmp_path / f"{number}.yaml"
        path.write_bytes(content)
        assert load(path).policy == loads(MINIMAL).policy

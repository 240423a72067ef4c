"""What the native format means: how an event that is taken in is stored, and what is said about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from lifecycle.domain.event import Event
from lifecycle.domain.instant import instant_text
from lifecycle.domain.policy import Policy, UnknownEvents
from lifecycle.errors import Problem
from lifecycle.intake.draft import Draft
from lifecycle.intake.native import read_batch
from tests.intake.bad_input import NOW, body, event, holding, policy, posted


def read(content: bytes, under: Policy | None = None) -> Draft:
    """The only event of a body, which must be sound."""
    (item,) = read_batch(content, under or policy(), NOW, "http").items
    assert isinstance(item, Draft), item
    return item


def stored(**properties: Any) -> Any:
    return read(posted(properties=properties)).event.properties


def test_an_event_is_stored_as_it_was_posted() -> None:
    draft = read(posted())
    assert draft.event.key == (datetime(2026, 1, 1, 1, 0, tzinfo=UTC), "shop", "e1")
    assert (draft.event.customer, draft.event.type) == ("c1", "purchase")
    assert draft.event.properties == {"amount": "12.5", "currency": "CNY"}
    assert draft.event.received_at == NOW
    assert (draft.dated, draft.backfill, draft.too_late, draft.warnings) == (True, False, False, ())


def test_without_a_time_of_its_own_an_event_happens_when_it_is_received() -> None:
    """The time of receipt is no content: a repeat that comes later is a repeat all the same."""
    first = read(posted(occurred_at=...))
    again = read_batch(posted(occurred_at=...), policy(), NOW + timedelta(1), "http").items[0]
    assert first.event.occurred_at == NOW
    assert not first.dated
    assert isinstance(again, Draft)
    assert again.body_hash == first.body_hash


def test_without_a_source_the_default_one_is_taken() -> None:
    assert read(posted(source=...)).event.source == "http"


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-01-01T09:00:00+08:00", "2026-01-01T01:00:00Z"),
        ("2026-01-01t01:00z", "2026-01-01T01:00:00Z"),
        ("2026-01-01 01:00:00.123456789Z", "2026-01-01T01:00:00.123456Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999000Z"),
        ("2017-01-01T07:59:60.5+08:00", "2016-12-31T23:59:59.999000Z"),
        (1767229200, "2026-01-01T01:00:00Z"),
        (1767229200.25, "2026-01-01T01:00:00.250000Z"),
        (-86400, "1969-12-31T00:00:00Z"),
        ("2026-02-01T12:05:00Z", "2026-02-01T12:05:00Z"),
    ],
)
def test_an_instant_is_text_with_an_offset_or_seconds_since_1970(
    written: object, instant: str
) -> None:
    """A leap second counts as the end of the second before it; at most the skew may lie ahead."""
    assert instant_text(read(posted(occurred_at=written)).event.occurred_at) == instant


@pytest.mark.parametrize(
    ("zone", "written", "hint"),
    [
        ("Asia/Shanghai", "2026-01-01T09:00:00", '"2026-01-01T09:00:00+08:00" for the time in Asia/Shanghai, "2026-01-01T09:00:00Z" for UTC'),
        ("Europe/Berlin", "2026-01-01T09:00:00", '"2026-01-01T09:00:00+01:00" for the time in Europe/Berlin, "2026-01-01T09:00:00Z" for UTC'),
        ("Europe/Berlin", "2025-07-01 09:00", '"2025-07-01 09:00+02:00" for the time in Europe/Berlin, "2025-07-01 09:00Z" for UTC'),
        ("UTC", "2026-01-01T09:00:00", '"2026-01-01T09:00:00Z" for UTC'),
    ],
)  # fmt: skip
def test_the_hint_for_a_time_without_an_offset_knows_the_clocks_of_the_policy(
    zone: str, written: str, hint: str
) -> None:
    """Of that day: in summer they are put forward."""
    under = replace(policy(), timezone=zone)
    for changes in ({"occurred_at": written}, {"properties": {"shipped_at": written}}):
        (problem,) = read_batch(posted(**changes), under, NOW, "http").items
        assert isinstance(problem, Problem)
        assert (problem.code, problem.hint) == ("timestamp_needs_offset", hint)


@pytest.mark.parametrize(
    ("posted_value", "stored_value"),
    [
        ("12.50", "12.5"),
        ("12.05", "12.05"),
        (12, "12"),
        (12.5, "12.5"),
        (1000.0, "1000"),
        ("100", "100"),
        ("0", "0"),
        ("0.00", "0"),
    ],
)
def test_money_is_kept_as_exact_text(posted_value: object, stored_value: str) -> None:
    assert stored(amount=posted_value) == {"amount": stored_value}


@pytest.mark.parametrize(
    ("occurred_at", "properties"),
    [
        (
            "2020-01-01T00:00:00+08:00",
            {"amount": "1", "currency": "USD"},
        ),  # the first rated instant
        ("2019-12-31T23:59:59+08:00", {"amount": "1", "currency": "CNY"}),
        ("2019-12-31T23:59:59+08:00", {"amount": "1"}),
        ("2019-12-31T23:59:59+08:00", {"currency": "USD"}),  # there is no money to be exchanged
    ],
)
def test_only_foreign_money_needs_a_rate_of_its_own_time(
    occurred_at: str, properties: dict[str, str]
) -> None:
    draft = read(posted(occurred_at=occurred_at, properties=properties))
    assert draft.event.properties == properties


def test_no_digit_of_a_number_is_lost() -> None:
    """A float would make 0.1000000000000000055 of it."""
    exact = "123456789.123456789123456789"
    assert read(holding(exact)).event.properties == {"weight": exact}
    assert stored(weight="1e3") == {"weight": "1000"}


@pytest.mark.parametrize("name", ["amount", "weight", "not_declared"])
def test_the_same_value_in_another_spelling_is_the_same_content(name: str) -> None:
    """A sender that is rewritten in another language writes 120 where it wrote "120.00"."""

    def read_as(*spellings: str) -> set[tuple[object, bytes]]:
        as_posted = posted(properties={name: "@"})
        drafts = [read(as_posted.replace(b'"@"', text.encode())) for text in spellings]
        return {(draft.event.properties[name], draft.body_hash) for draft in drafts}

    assert len(read_as("120", "120.0", "120.00")) == 1
    if name != "not_declared":  # text that nobody declared is text
        assert len(read_as('"120.00"', '"120.0"', '"120"', "120", "120.00")) == 1


def test_a_number_has_one_zero_and_no_exponent() -> None:
    assert {stored(weight=zero)["weight"] for zero in ("0", "-0", "-0.00", "0e5", -0.0)} == {"0"}
    assert {stored(weight=text)["weight"] for text in ("1.5e3", "1500.0", "15e2")} == {"1500"}


@pytest.mark.parametrize(
    ("posted_values", "stored_values"),
    [
        ({"currency": "jpy", "amount": "100"}, {"currency": "JPY", "amount": "100"}),
        ({"shipped_at": "2026-01-01T09:00+08:00"}, {"shipped_at": "2026-01-01T01:00:00Z"}),
        ({"gift": True, "pieces": 3}, {"gift": True, "pieces": 3}),
        ({"order_id": None, "amount": None, "gift": None}, {}),
    ],
)
def test_a_declared_property_has_one_stored_form(
    posted_values: dict[str, Any], stored_values: dict[str, Any]
) -> None:
    """Null counts as left out."""
    assert stored(**posted_values) == stored_values


def test_a_property_that_is_not_declared_is_kept_and_told() -> None:
    """Nothing is lost if the policy declares it later; a slip of the pen shows at once."""
    draft = read(
        holding('"1", "amuont": 12.5, "big": 0.12345678901234567891, "list": [1, {"a": 2.5}]')
    )
    assert draft.event.properties == {
        "weight": "1",
        "amuont": 12.5,
        "big": "0.12345678901234567891",
        "list": [1, {"a": 2.5}],
    }
    assert [(told.code, told.pointer) for told in draft.warnings] == [
        ("undeclared_property", "/properties/amuont"),
        ("undeclared_property", "/properties/big"),
        ("undeclared_property", "/properties/list"),
    ]
    assert 'did you mean "amount"?' in draft.warnings[0].detail


def test_a_profile_change_sets_attributes_and_null_takes_one_away() -> None:
    changes = {"country": None, "birthday": "1990-02-28", "timezone": "Asia/Shanghai", "credit": 5}
    draft = read(posted(type="profile_changed", properties={"attributes": changes}))
    assert draft.event.properties == {"attributes": changes | {"credit": "5"}}


def test_an_unknown_event_is_kept_where_the_policy_says_so() -> None:
    draft = read(posted(type="Order Completed"), policy(unknown=UnknownEvents.KEEP))
    assert draft.event.type == "Order Completed"
    assert draft.warnings[0].code == "unknown_event_type"


@pytest.mark.parametrize("kind", ["lifecycle.moved", "lifecycle"])
def test_our_own_types_are_refused_even_where_unknown_ones_are_kept(kind: str) -> None:
    (item,) = read_batch(posted(type=kind), policy(unknown=UnknownEvents.KEEP), NOW, "http").items
    assert not isinstance(item, Draft)
    assert item.code == "reserved_type"


def test_a_customer_written_in_another_unicode_form_is_the_same_customer() -> None:
    """Row 15: É in one character or in two is one name; case and full width are told, not merged."""
    ids = ["\u00c9ric", "E\u0301ric", "\u00e9ric", "C1", "c1", "\uff231"]
    content = body(*(event(id=str(n), customer_id=name) for n, name in enumerate(ids)))
    drafts = [d for d in read_batch(content, policy(), NOW, "http").items if isinstance(d, Draft)]
    assert [draft.event.customer for draft in drafts] == [
        "\u00c9ric", "\u00c9ric", "\u00e9ric", "C1", "c1", "\uff231",
    ]  # fmt: skip
    assert [[told.code for told in draft.warnings] for draft in drafts] == [
        [], ["normalised"], ["same_as"], [], ["same_as"], ["same_as"],
    ]  # fmt: skip
    assert 'same_as "C1"' in drafts[4].warnings[0].detail


@pytest.mark.parametrize(
    ("backfill", "days", "too_late"), [(False, 31, True), (False, 30, False), (True, 31, False)]
)
def test_lateness_is_judged_once_and_backfill_is_exempt(
    backfill: bool, days: int, too_late: bool
) -> None:
    """Row 20: too late is no refusal; whoever stores it puts it aside, visible."""
    at = instant_text(NOW - timedelta(days))
    content = body(event(occurred_at=at), backfill=backfill)
    draft = read(content, policy(lateness=timedelta(30)))
    assert (draft.too_late, draft.backfill) == (too_late, backfill)


def test_an_event_that_no_rule_expects_is_taken() -> None:
    """Row 24: a refund before any purchase is a fact; that it moves nobody is the fold's to say."""
    assert read(posted(type="order_refunded", properties={"amount": "5"})).event.type


def test_equal_content_has_equal_hashes_however_it_is_spelled() -> None:
    """Order of keys, offset, case of a currency, white space and the id are no content."""
    spelled = event(
        id="other",
        occurred_at="2026-01-01T01:00:00Z",
        properties={"currency": "cny", "amount": "12.50"},
    )
    assert read(body(spelled)).body_hash == read(posted()).body_hash


@pytest.mark.parametrize(
    "change",
    [
        {"customer_id": "c2"},
        {"type": "order_refunded"},
        {"occurred_at": "2026-01-01T09:00:01+08:00"},
        {"occurred_at": ...},
        {"properties": {"amount": "12.51", "currency": "CNY"}},
        {"properties": {"amount": "12.50"}},
    ],
    ids=str,
)
def test_other_content_has_another_hash(change: dict[str, Any]) -> None:
    assert read(posted(**change)).body_hash != read(posted()).body_hash


def test_the_hash_of_content_is_the_same_in_every_release() -> None:
    """Stored hashes are compared with new ones for years: this value may never change."""
    at = datetime(2026, 1, 1, 1, 0, 0, 5, tzinfo=UTC)
    said = (
        '{"customer_id":"客户","occurred_at":"2026-01-01T01:00:00.000005Z",'
        '"properties":{"a":[1,null,true],"amount":"12.50"},"type":"purchase"}'
    )
    properties = {"amount": "12.50", "a": [1, None, True]}
    event = Event("shop", "1", "客户", "purchase", at, at, properties)
    draft = Draft(event=event, dated=True, backfill=False, too_late=False)
    assert draft.body_hash == sha256(said.encode()).digest()
    said = said.replace('"occurred_at":"2026-01-01T01:00:00.000005Z",', "")
    assert draft._replace(dated=False).body_hash == sha256(said.encode()).digest()

"""What must never get in, row by row of the catalogue of bad inputs, with the answer to each.

The same table is told to the reader of batches, to the HTTP interface and to the whole engine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from lifecycle.domain.policy import Policy, UnknownEvents
from lifecycle.policy import loads

NOW = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)

POLICY = """\
version: 1
timezone: Asia/Shanghai
currency: CNY
rates:
  JPY: {2020-01-01: 0.05}
  USD: {2020-01-01: 7}
attributes: {country: text, birthday: date, timezone: zone, strategic: bool, credit: money}
states:
  potential: {initial: true}
  deal: {}
events:
  purchase:
    properties:
      amount: money
      currency: currency
      order_id: text
      gift: bool
      weight: number
      pieces: int
      shipped_at: timestamp
    interaction: true
  order_refunded: {properties: {amount: money}}
  signed_up: {strict: true, properties: {email: {type: text, required: true}}}
transitions:
  - {name: first, on: purchase, from: potential, to: deal}
  - {name: undo, on: order_refunded, from: deal, to: potential}
"""


@cache
def policy(
    *, unknown: UnknownEvents = UnknownEvents.REFUSE, lateness: timedelta | None = None
) -> Policy:
    return replace(loads(POLICY).policy, unknown_events=unknown, lateness=lateness)


def event(**changes: Any) -> dict[str, Any]:
    """A sound purchase, with some of its fields changed; `...` leaves one out."""
    sound = {
        "id": "e1",
        "source": "shop",
        "customer_id": "c1",
        "type": "purchase",
        "occurred_at": "2026-01-01T09:00:00+08:00",
        "properties": {"amount": "12.50", "currency": "CNY"},
    }
    return {key: value for key, value in (sound | changes).items() if value is not ...}


def body(*events: Any, **more: Any) -> bytes:
    return json.dumps({"events": list(events), **more}).encode()


def posted(**changes: Any) -> bytes:
    return body(event(**changes))


def holding(text: str) -> bytes:
    """A purchase with one property, its value spelled as JSON text by the caller."""
    return posted(properties={"weight": "@"}).replace(b'"@"', text.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    row: str  # of the catalogue
    body: bytes
    status: int
    code: str
    pointer: str
    says: str = ""  # a part of the detail or the hint

    def __str__(self) -> str:
        return f"{self.row}-{self.code}"


_ID, _KEY, _TYPE = "/events/0/id", "/events/0/customer_id", "/events/0/type"
_AT, _PROPERTIES = "/events/0/occurred_at", "/events/0/properties"
_AMOUNT = f"{_PROPERTIES}/amount"


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def _twice(key: str) -> bytes:
    return posted().replace(b'"type":', f'"{key}": "purchase", "type":'.encode())


def _paid(amount: Any, **more: Any) -> bytes:
    return posted(properties={"amount": amount, **more})


def _profile(**attributes: Any) -> bytes:
    return posted(type="profile_changed", properties={"attributes": attributes})


_ROWS: list[tuple[str, bytes, int, str, str, str]] = [
    # row, body, status, code, pointer, what the detail or the hint says
    ("1", b'{"events": [}', 400, "json_syntax", "1:13", "line 1, column 13"),
    ("1", b'{"events":\n [{"id": \'1\'}]}', 400, "json_syntax", "2:10", "double quotes"),
    ("1", b"\xef\xbb\xbf" + posted(), 400, "json_syntax", "1:1", "byte order mark"),
    ("2", b"", 400, "body_not_object", "", "not a JSON object"),
    ("2", b" \n ", 400, "body_not_object", "", "not a JSON object"),
    ("2", b"null", 400, "body_not_object", "", "not a JSON object"),
    ("2", b"17", 400, "body_not_object", "", "not a JSON object"),
    ("2", b"[" + json.dumps(event()).encode() + b"]", 400, "body_not_object", "", '"events"'),
    ("2", json.dumps(event()).encode(), 422, "events_required", "/events", "array"),
    ("2", json.dumps({"event": [event()]}).encode(), 422, "events_required", "/events", 'under "event"; name it "events"'),
    ("2", json.dumps({"events": event()}).encode(), 422, "events_required", "/events", '"events": [{…}]'),
    ("2", body(), 422, "events_required", "/events", "no events"),
    ("2", body("e1"), 422, "event_not_object", "/events/0", "object"),
    ("3", posted().replace(b"c1", b"c\xff"), 400, "not_utf8", "byte 60", "at byte 60"),
    ("5", posted() + b" " * 512_000, 413, "limit_exceeded", "", "500 KiB"),
    ("5", body(*[{}] * 2_501), 413, "limit_exceeded", "/events", "2500 events"),
    ("5", _paid("1", note="x" * 33_000), 422, "limit_exceeded", "/events/0", "32 KiB"),
    ("5", _paid("1", deep=_nested(29)), 422, "limit_exceeded", f"{_PROPERTIES}/deep" + "/0" * 28, "deeper than 32"),
    ("5", b'{"events":' + b"[" * 100_000, 422, "limit_exceeded", "1:42", "deeper than 32"),
    ("5", posted(properties={str(n): 1 for n in range(201)}), 422, "limit_exceeded", _PROPERTIES, "200 keys"),
    ("6", holding("NaN"), 422, "number_not_finite", f"{_PROPERTIES}/weight", "finite"),
    ("6", holding("-Infinity"), 422, "number_not_finite", f"{_PROPERTIES}/weight", "finite"),
    ("6", holding("1e400"), 422, "number_not_finite", f"{_PROPERTIES}/weight", "finite"),
    ("6", holding('1, "x": {"y": [1, 1e400]}'), 422, "number_not_finite", f"{_PROPERTIES}/x/y/1", "finite"),
    ("6", holding('1, "amount": 1e400'), 422, "number_not_finite", _AMOUNT, "finite"),
    ("6", posted(occurred_at="@").replace(b'"@"', b"1e400"), 422, "number_not_finite", _AT, "finite"),
    ("7", holding("9" * 5_000), 422, "number_too_large", f"{_PROPERTIES}/weight", "digits"),
    ("7", holding('1, "pieces": ' + "9" * 19), 422, "number_too_large", f"{_PROPERTIES}/pieces", "digits"),
    ("7", holding('1, "amount": ' + "9" * 5_000), 422, "number_too_large", _AMOUNT, "digits"),
    ("7", holding('1, "other": ' + "9" * 5_000), 422, "number_too_large", f"{_PROPERTIES}/other", "digits"),
    ("8", _twice("type"), 400, "duplicate_key", "/events/0/type", '"type"'),
    ("8", b'{"events": [], "events": []}', 400, "duplicate_key", "/events", '"events"'),
    ("9", posted(id="a\0b"), 422, "forbidden_character", _ID, "U+0000"),
    ("9", posted(properties={"order_id": "a\0b"}), 422, "forbidden_character", f"{_PROPERTIES}/order_id", "U+0000"),
    ("9", posted(properties={"a\0b": 1}), 422, "forbidden_character", f"{_PROPERTIES}/a\\u0000b", "U+0000"),
    ("9", posted(customer_id="a\ud800"), 422, "forbidden_character", _KEY, "U+D800"),
    ("9", posted(properties={"order_id": "\udfff"}), 422, "forbidden_character", f"{_PROPERTIES}/order_id", "U+DFFF"),
    ("9", posted(id="a\u202eb"), 422, "forbidden_character", _ID, "U+202E"),
    ("9", posted(customer_id="c\u007f"), 422, "forbidden_character", _KEY, "U+007F"),
    ("9", posted(source="sh\u200bop"), 422, "forbidden_character", "/events/0/source", "U+200B"),
    ("10", posted(id=...), 422, "event_id_required", _ID, "missing"),
    ("10", posted(id=""), 422, "event_id_required", _ID, "empty"),
    ("10", posted(id="a b"), 422, "event_id_format", _ID, "space"),
    ("10", posted(id="\u3000"), 422, "event_id_format", _ID, "space"),
    ("10", posted(id="x" * 201), 422, "event_id_format", _ID, "201 characters"),
    ("10", posted(id=17), 422, "event_id_format", _ID, "double quotes"),
    ("12", posted(type="purchse"), 422, "unknown_event_type", _TYPE, 'did you mean "purchase"?'),
    ("12", posted(type="customer_merged"), 422, "unknown_event_type", _TYPE, "customer_merged"),
    ("12", posted(type=...), 422, "event_type_required", _TYPE, "missing"),
    ("13", posted(type="to_churned"), 422, "unknown_event_type", _TYPE, "to_churned"),
    ("13", posted(type="__init__"), 422, "unknown_event_type", _TYPE, "__init__"),
    ("13", posted(type="trigger"), 422, "unknown_event_type", _TYPE, "trigger"),
    ("13", posted(type="lifecycle.moved"), 422, "reserved_type", _TYPE, "lifecycle."),
    ("13", posted(source="lifecycle"), 422, "reserved_type", "/events/0/source", "lifecycle"),
    ("14", posted(customer_id=...), 422, "customer_key_required", _KEY, "missing"),
    ("14", posted(customer_id=..., user_id="c1"), 422, "customer_key_required", _KEY, '"user_id"'),
    ("14", posted(customer_id=" c1"), 422, "customer_key_format", _KEY, "space"),
    ("14", posted(userId="c2"), 409, "customer_key_conflict", "/events/0/userId", "two different"),
    ("14", posted(userId="c1"), 422, "unknown_field", "/events/0/userId", "userId"),
    ("16", posted(occurred_at="2026-01-01T09:00:00"), 422, "timestamp_needs_offset", _AT, "09:00:00Z"),
    ("16", posted(properties={"shipped_at": "2026-01-01 09:00"}), 422, "timestamp_needs_offset", f"{_PROPERTIES}/shipped_at", "+08:00"),
    ("17", posted(occurred_at="2026-02-31T09:00:00Z"), 422, "timestamp_invalid", _AT, "day"),
    ("17", posted(occurred_at="2026-01-01T24:61:00Z"), 422, "timestamp_invalid", _AT, "no such"),
    ("17", posted(occurred_at="0001-01-01T00:00:00+08:00"), 422, "timestamp_invalid", _AT, "0001"),
    ("17", posted(occurred_at="9999-12-31T23:59:59-08:00"), 422, "timestamp_invalid", _AT, "9999"),
    ("17", posted(occurred_at="2026-01-01T12:00:60Z"), 422, "timestamp_invalid", _AT, "leap second"),
    ("17", posted(occurred_at="2026-01-01"), 422, "timestamp_invalid", _AT, "no such"),
    ("18", posted(occurred_at=1767225600000), 422, "timestamp_implausible", _AT, "milliseconds?"),
    ("18", posted(occurred_at=1767225600000000), 422, "timestamp_implausible", _AT, "microseconds?"),
    ("19", posted(occurred_at="2026-02-01T14:00:00Z"), 422, "timestamp_in_future", _AT, "skew 2 h"),
    ("19", posted(occurred_at="2026-02-01T12:05:01Z"), 422, "timestamp_in_future", _AT, "5 min"),
    ("21", _paid("12,50"), 422, "amount_format", _AMOUNT, "comma"),
    ("21", _paid("-12.50"), 422, "amount_format", _AMOUNT, "negative"),
    ("21", _paid(-12.5), 422, "amount_format", _AMOUNT, "negative"),
    ("21", _paid("1e3"), 422, "amount_format", _AMOUNT, '"1000"'),
    ("21", _paid("１２"), 422, "amount_format", _AMOUNT, "plain decimal"),
    ("21", _paid(True), 422, "amount_format", _AMOUNT, "neither"),
    ("21", _paid("1", currency="EURO"), 422, "currency_unknown", f"{_PROPERTIES}/currency", '"EUR"'),
    ("21", _paid("1", currency="CHF"), 422, "currency_unknown", f"{_PROPERTIES}/currency", "no rate"),
    ("21", posted(occurred_at="2019-12-31T23:59:59+08:00", properties={"amount": "1", "currency": "usd"}), 422, "currency_unknown", f"{_PROPERTIES}/currency", "no rate from USD to its own currency, CNY, for 2019-12-31T15:59:59Z"),
    ("21", _paid("1.000", currency="JPY"), 422, "too_many_decimals", _AMOUNT, "JPY has no decimals"),
    ("21", _paid("12.505"), 422, "too_many_decimals", _AMOUNT, "CNY has 2 decimals"),
    ("22", posted(properties={"gift": "yes"}), 422, "expected_boolean", f"{_PROPERTIES}/gift", "neither"),
    ("22", posted(properties={"gift": 1}), 422, "expected_boolean", f"{_PROPERTIES}/gift", "neither"),
    ("22", body(event(), backfill=1), 422, "expected_boolean", "/backfill", "neither"),
    ("23", posted(type="signed_up", properties={"emial": "a@example.org"}), 422, "unknown_field", f"{_PROPERTIES}/emial", 'did you mean "email"?'),
    ("23", posted(type="signed_up", properties={}), 422, "property_required", f"{_PROPERTIES}/email", "missing"),
    ("23", posted(type="tag_added", properties={"tag": " "}), 422, "property_required", f"{_PROPERTIES}/tag", "empty"),
    ("23", posted(order_id="7"), 422, "unknown_field", "/events/0/order_id", '"order_id" is a property of purchase: put it under "properties"'),
    ("23", posted(type="profile_changed", attributes={}), 422, "unknown_field", "/events/0/attributes", '{"properties": {"attributes": {'),
    ("23", posted(type="profile_changed", country="DE"), 422, "unknown_field", "/events/0/country", '{"properties": {"attributes": {"country": …}}}'),
    ("23", posted(type="profile_changed", properties={"country": "DE"}), 422, "unknown_field", f"{_PROPERTIES}/country", '{"attributes": {"country": …}}'),
    ("23", posted(propertys={}), 422, "unknown_field", "/events/0/propertys", '"properties"'),
    ("23", body(event(), backfil=True), 422, "unknown_field", "/backfil", '"backfill"'),
    ("23", posted(properties=[]), 422, "expected_object", _PROPERTIES, "object"),
    ("23", posted(properties={"order_id": 17}), 422, "expected_text", f"{_PROPERTIES}/order_id", "text"),
    ("23", posted(properties={"pieces": 1.5}), 422, "expected_integer", f"{_PROPERTIES}/pieces", "whole"),
    ("23", posted(properties={"weight": "heavy"}), 422, "number_format", f"{_PROPERTIES}/weight", "number"),
    ("23", _profile(contry="CN"), 422, "unknown_field", f"{_PROPERTIES}/attributes/contry", 'did you mean "country"?'),
    ("23", _profile(birthday="1990-02-30"), 422, "date_invalid", f"{_PROPERTIES}/attributes/birthday", "day"),
    ("23", _profile(timezone="Asia/Peking"), 422, "zone_unknown", f"{_PROPERTIES}/attributes/timezone", "Asia/Shanghai"),
    ("23", _profile(credit="-1"), 422, "amount_format", f"{_PROPERTIES}/attributes/credit", "negative"),
    ("23", posted(type="profile_changed", properties={}), 422, "property_required", f"{_PROPERTIES}/attributes", "missing"),
    ("23", posted(type="profile_changed", properties={}), 422, "property_required", f"{_PROPERTIES}/attributes", "attributes stand in"),
]  # fmt: skip

BAD = [
    Bad(row=row, body=content, status=status, code=code, pointer=pointer, says=says)
    for row, content, status, code, pointer, says in _ROWS
]

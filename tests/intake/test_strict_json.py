"""For all bytes: strict JSON is read as the standard library reads it, and the rest is a Problem."""

from __future__ import annotations

import json
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.errors import Problem
from lifecycle.intake.native import Batch, read_batch
from lifecycle.intake.strict_json import Number, parse, tame
from tests.intake.bad_input import NOW, event, policy

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_SCALARS = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats() | _TEXT
_JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner), max_leaves=20
)
_DEEP = st.integers(1, 400).map(lambda depth: json.loads("[" * depth + "]" * depth))
_SOUND = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | _TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner),
    max_leaves=20,
)
_POINTED = ("id", "source", "customer_id", "type", "occurred_at", "properties")


@given(value=_SOUND, ascii_only=st.booleans(), indent=st.none() | st.integers(0, 2))
def test_what_is_sound_is_read_as_it_was_written(
    value: object, ascii_only: bool, indent: int | None
) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()) == value


@given(
    number=st.decimals(
        allow_nan=False, allow_infinity=False, places=9, min_value=-(10**15), max_value=10**15
    )
)
def test_every_digit_of_a_decimal_is_kept(number: object) -> None:
    found = parse(f"[{number:f}]".encode())
    assert found == [f"{number:f}"]
    assert isinstance(found, list)
    assert isinstance(found[0], Number)


@given(content=st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(content: bytes) -> None:
    assert _outcome(b'{"events":[' + content) in {"read", 400, 413, 422}


@given(field=st.sampled_from(_POINTED), value=_JSON | _DEEP)
def test_no_value_makes_the_reader_fail(field: str, value: object) -> None:
    """NaN, infinities and any depth included; the pointer names the field that is wrong."""
    content = json.dumps({"events": [event(**{field: value})]}).encode()
    _check(read_batch(content, policy(), NOW, "http"), f"/events/0/{field}")


@given(
    kind=st.sampled_from(sorted(policy().events)),
    properties=st.dictionaries(
        st.sampled_from(["amount", "currency", "gift", "tag", "attributes", "score", "x"]), _JSON
    ),
)
def test_no_properties_make_the_reader_fail(kind: str, properties: dict[str, Any]) -> None:
    content = json.dumps({"events": [event(type=kind, properties=properties)]}).encode()
    _check(read_batch(content, policy(), NOW, "http"), "/events/0/properties")


@pytest.mark.parametrize(
    "odd",
    [
        '"properties": {"x": 1e-99999999999999999999}',
        '"properties": {"x": 0e99999999999999999999}',
        '"occurred_at": 0e99999999999999999999',
        f'"properties": {{"x": {"[" * 400}{"]" * 400}, "y": "{"z" * 40_000}"}}',
    ],
)
def test_a_value_beyond_all_bounds_is_refused_and_its_neighbour_is_taken(odd: str) -> None:
    sound = json.dumps(event())
    other = '{"id": "other", "customer_id": "c", "type": "page_viewed", ' + odd + "}"
    batch = read_batch(f'{{"events": [{sound}, {other}]}}'.encode(), policy(), NOW, "http")
    first, second = batch.items
    assert not isinstance(first, Problem)
    assert isinstance(second, Problem)
    assert second.code in {"number_too_large", "limit_exceeded"}


@given(text=st.text() | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_what_is_tamed_holds_nothing_invisible_and_says_the_same(text: str) -> None:
    """Spaces of any width and characters that are newer than this program are left as they are."""
    assert tame("\u3000\u00a0\ue000\U0001ffff") == "\u3000\u00a0\ue000\U0001ffff"
    told = tame(text)
    assert [char for char in told if category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}] == []
    if not {'"', "\\"} & {*text}:
        assert json.loads(f'"{told}"') == json.loads(json.dumps(text))


def _outcome(content: bytes) -> object:
    try:
        read_batch(content, policy(), NOW, "http")
    except Problem as problem:
        return problem.status
    return "read"


def _check(batch: Batch, pointer: str) -> None:
    (item,) = batch.items
    if isinstance(item, Problem):
        assert item.pointer.startswith(pointer)
        assert item.status == 422
        assert item.detail
    else:
        json.dumps(item.event.properties, allow_nan=False)

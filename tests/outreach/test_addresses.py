"""Spellings of one address are one address, and its hash says nothing of it."""

from __future__ import annotations

import pytest

from lifecycle.outreach.addresses import address_hash, address_hashes, normalised
from lifecycle.outreach.secret import Secret

SECRET = Secret(b"x" * 32)


@pytest.mark.parametrize(
    ("spelling", "address"),
    [
        ("Ann@Example.COM", "ann@example.com"),
        ("  ann@example.com.\n", "ann@example.com"),
        ("ann@b\u00fccher.example", "ann@xn--bcher-kva.example"),
        ("ann@BU\u0308CHER.example", "ann@xn--bcher-kva.example"),
        ("jose\u0301@example.com", "jos\u00e9@example.com"),
        ("a@b@example.com", "a@b@example.com"),
        (f"ann@{'a' * 70}.example", f"ann@{'a' * 70}.example"),
        ("+86 138-0000 0000", "+8613800000000"),
        ("0086 (138) 00000000", "+8613800000000"),
        ("\uff0b\uff18\uff161380000\uff10000", "+8613800000000"),
        ("13800000000", "13800000000"),
        ("ann.wang", "ann.wang"),
        ("", ""),
    ],
)
def test_one_spelling_stands_for_all(spelling: str, address: str) -> None:
    assert normalised(spelling) == address
    assert normalised(address) == address


def test_a_hash_is_keyed_and_of_one_channel() -> None:
    hashed = address_hash(SECRET, "email", "Ann@example.com")
    assert hashed == address_hash(SECRET, "email", "ann@EXAMPLE.com")
    assert hashed != address_hash(SECRET, "sms", "ann@example.com")
    assert hashed != address_hash(Secret(b"y" * 32), "email", "ann@example.com")
    assert len(hashed) == 64


def test_an_address_is_recognised_by_the_secret_before_too() -> None:
    before = address_hash(SECRET, "email", "ann@example.com")
    now = address_hashes(Secret(b"n" * 32, previous=SECRET), "email", "ann@example.com")
    assert before in now
    assert len(set(now)) == 2

"""A link does what it was made for, and nothing else, whoever has changed it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.outreach import tokens
from lifecycle.outreach.secret import Secret
from lifecycle.outreach.tokens import Asked, Followed, Looked, Membership, Question, Survey

SECRET = Secret(b"x" * 32)
OTHER = Secret(b"y" * 32)
MEMBER = Membership(customer=7, letter="m1-abc", purpose="news", channel="email")
QUESTION = Question(customer=7, letter="m1-abc", survey=Survey.CHURN)
ASKED = Asked(
    customer=7,
    purpose="news",
    channel="email",
    source="form",
    text_version="2026-01",
    at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    address_hash="ab" * 32,
)
LOOKED = Looked(letter="m1-abc", channel="email", consent="measurement")
FOLLOWED = Followed(
    letter="m1-abc", channel="email", consent=None, number=2, target="https://shop.example/?a=1&b=2"
)
MADE = {
    "unsubscribe": tokens.membership_token(SECRET, MEMBER),
    "survey": tokens.question_token(SECRET, QUESTION),
    "confirm": tokens.asked_token(SECRET, ASKED),
    "look": tokens.looked_token(SECRET, LOOKED),
    "follow": tokens.followed_token(SECRET, FOLLOWED) or "",
}
READERS = {
    "unsubscribe": tokens.membership_in,
    "survey": tokens.question_in,
    "confirm": tokens.asked_in,
    "look": tokens.looked_in,
    "follow": tokens.followed_in,
}


def test_it_says_what_was_signed() -> None:
    assert tokens.membership_in(SECRET, MADE["unsubscribe"]) == MEMBER
    assert tokens.question_in(SECRET, MADE["survey"]) == QUESTION
    assert tokens.asked_in(SECRET, MADE["confirm"]) == ASKED
    assert tokens.looked_in(SECRET, MADE["look"]) == LOOKED
    assert tokens.followed_in(SECRET, MADE["follow"]) == FOLLOWED


@pytest.mark.parametrize(
    "target", ["javascript:alert(1)", "//evil.example", "https://a.example/\r\nX: y", "data:,x", ""]
)
def test_a_link_leads_to_the_web_only_whoever_signed_it(target: str) -> None:
    signed = tokens.followed_token(SECRET, replace(FOLLOWED, target=target))
    assert signed is not None
    assert tokens.followed_in(SECRET, signed) is None


def test_a_target_that_is_too_long_is_not_carried_along() -> None:
    lengths = range(1200, 1600)
    targets = ["https://shop.example/" + "x" * length for length in lengths]
    made = [tokens.followed_token(SECRET, replace(FOLLOWED, target=target)) for target in targets]
    assert made[0] is not None
    assert made[-1] is None
    for target, token in zip(targets, made, strict=True):
        if token is not None:
            found = tokens.followed_in(SECRET, token)
            assert found is not None
            assert found.target == target


@pytest.mark.parametrize("kind", MADE)
def test_every_bit_of_it_counts(kind: str) -> None:
    token = MADE[kind].encode()
    for position in range(len(token)):
        for bit in range(8):
            changed = bytearray(token)
            changed[position] ^= 1 << bit
            assert READERS[kind](SECRET, changed.decode("latin-1")) is None, (position, bit)


@pytest.mark.parametrize("kind", MADE)
def test_nothing_can_be_left_out_or_added(kind: str) -> None:
    token = MADE[kind]
    read = READERS[kind]
    assert all(read(SECRET, token[:length]) is None for length in range(len(token)))
    for more in ("=", ".", "A", " ", "\n", "\0"):
        assert read(SECRET, token + more) is None
        assert read(SECRET, more + token) is None


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("used", READERS)
def test_a_link_for_one_use_is_good_for_no_other(made: str, used: str) -> None:
    assert (READERS[used](SECRET, MADE[made]) is None) is (made != used)


@pytest.mark.parametrize("kind", MADE)
def test_another_installation_signs_in_vain(kind: str) -> None:
    assert READERS[kind](OTHER, MADE[kind]) is None
    assert READERS[kind](None, MADE[kind]) is None


@pytest.mark.parametrize("kind", MADE)
def test_a_link_outlives_the_secret_it_was_made_with_while_that_is_named(kind: str) -> None:
    assert READERS[kind](Secret(b"n" * 32, previous=SECRET), MADE[kind]) is not None
    assert READERS[kind](Secret(b"n" * 32), MADE[kind]) is None


def test_the_id_of_another_key_does_not_help() -> None:
    """Both keys are known, and the tag is one key's while the id names the other."""
    both = Secret(b"n" * 32, previous=SECRET)
    _, _, payload, tag = MADE["unsubscribe"].split(".")
    assert tokens.membership_in(both, f"v1.{both.id}.{payload}.{tag}") is None


@given(text=st.text(max_size=200))
def test_whatever_is_typed_is_read_without_an_error(text: str) -> None:
    assert all(read(SECRET, text) is None for read in READERS.values())
    assert tokens.message_in(SECRET, text) is None


def test_no_address_stands_in_a_link() -> None:
    links = tokens.links_of("https://x.example", SECRET, 7, "m1-abc", None, "email")
    assert links.unsubscribe.startswith("https://x.example/u/v1.")
    assert links.preferences == f"{links.unsubscribe}/preferences"
    assert links.survey.startswith("https://x.example/s/v1.")
    member = tokens.membership_in(SECRET, links.unsubscribe.rpartition("/")[2])
    assert member is not None
    assert member.purpose == "marketing"  # of a letter that names none


@pytest.mark.parametrize(
    ("rule", "survey"),
    [("survey", "csat"), ("nps-half-year", "nps"), ("churn-questionnaire", "churn")],
)
def test_the_name_of_a_rule_says_which_survey_it_asks_for(rule: str, survey: str) -> None:
    assert tokens.survey_of(rule) == survey


def test_the_key_of_a_letter_cannot_be_made_up() -> None:
    key = tokens.letter_key(SECRET, 42)
    assert tokens.message_in(SECRET, key) == 42
    assert tokens.message_in(OTHER, key) is None
    assert tokens.message_in(None, key) is None
    assert tokens.message_in(SECRET, key.replace("m42", "m43")) is None
    assert tokens.message_in(SECRET, key.replace("m42", "m042")) is None
    assert tokens.message_in(SECRET, key.upper()) is None
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_the_key_of_a_letter_stays_the_same_while_the_secret_is_replaced() -> None:
    """A letter that is tried again must be known to its provider by the key that it had."""
    replaced = Secret(b"n" * 32, previous=SECRET)
    assert tokens.letter_key(replaced, 42) == tokens.letter_key(SECRET, 42)
    assert tokens.message_in(replaced, tokens.letter_key(Secret(b"n" * 32), 42)) == 42

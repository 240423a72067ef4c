"""Turns bytes into JSON values, and says exactly what is wrong with bytes that are not strict JSON.

Which fields an event has is `native`'s question. Two speeds: one pass of the standard library's C
scanner for what is sound, and a second, explaining pass only for what is not.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any

from lifecycle.errors import Problem

KIB = 1024
SHOWN = 80  # characters of a wrong value that an answer repeats
INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control, format (bidi), surrogate, breaks


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of everything one body may hold; the sizes of events and batches are `native`'s."""

    body_bytes: int = 500 * KIB  # after decompression
    nesting: int = 32  # objects and arrays inside each other
    keys: int = 200  # of one object
    string: int = 64 * KIB  # characters of one string


LIMITS = Limits()


class Number(str):
    """A number that is not a small integer, as the text that was posted, so that no digit is lost.

    It may also be `NaN`, `Infinity` or out of any range: `unsound` tells.
    """

    __slots__ = ()


def parse(body: bytes, limits: Limits = LIMITS) -> object:
    """Refuses, with one Problem, everything that is not strict JSON within the limits."""
    value = scan(body, limits)
    if problem := unsound(value, "", limits):
        raise problem
    return value


def scan(body: bytes, limits: Limits = LIMITS) -> object:
    """The values of a body that is well-formed as a whole, without looking at each of them.

    Not UTF-8, a syntax error or a key that is there twice leaves no way to tell what was meant, so
    each refuses the body. What is wrong with single values is left to `unsound`: a batch refuses
    only the item that holds them.
    """
    if len(body) > limits.body_bytes:
        raise too_long(len(body), limits)
    text = _text(body)
    try:
        return _FAST.decode(text)
    except JSONDecodeError as error:
        raise _syntax(text, error) from None
    except (_TwiceError, RecursionError):
        # The depth first: what lies deeper than allowed is not walked through.
        if too_deep := _too_deep_at(text, limits.nesting):
            raise _nested(too_deep, limits) from None
        raise _twice(text) from None


def unsound(
    value: object, pointer: str, limits: Limits = LIMITS, *, depth: int = 1
) -> Problem | None:
    """The first thing within a value that no field could hold, or None.

    `depth` is the level at which the value stands in its body, from 1.
    """
    # A stack of our own: the depth of the value must not decide about Python's.
    todo: list[tuple[object, str, int]] = [(value, pointer, depth)]
    while todo:
        here, at, level = todo.pop()
        if problem := _unsound_here(here, at, level, limits):
            return problem
        members = [(member, f"{at}/{name}", level + 1) for name, member in _members(here)]
        todo += reversed(members)
    return None


def may_be_unsound(body: bytes) -> bool:
    """False for nearly every body: then no string in it can hold U+0000 or a lone surrogate.

    Raw ones are no JSON or no UTF-8, so only an escape can bring them in.
    """
    return _SUSPECT.search(body) is not None


def escaped(key: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901); one that no sane body has is clipped."""
    key = key if len(key) <= SHOWN else key[: SHOWN - 1] + "…"
    return visible(key.replace("~", "~0").replace("/", "~1"))


def shown(value: object) -> str:
    """A wrong value as JSON, clipped, with nothing in it that could disturb a terminal or a page."""
    if isinstance(value, Number):
        text = str(value)
    elif isinstance(value, str):
        text = json.dumps(value[: SHOWN + 1], ensure_ascii=False)
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    text = visible(text)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def visible(text: str) -> str:
    """Whatever a reader might take for nothing, or for a plain space, as JSON escapes it."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == " " else json.dumps(char)[1:-1] for char in text
    )


def tame(text: str) -> str:
    """What could command a terminal or look like another line, as JSON escapes it; no other space.

    Control and formatting characters, breaks of lines and halves of a pair.
    """
    if text.isprintable():
        return text
    return "".join(
        json.dumps(char)[1:-1] if unicodedata.category(char) in INVISIBLE else char for char in text
    )


def forbidden(char: str, pointer: str) -> Problem:
    name = unicodedata.name(char, "")
    return Problem(
        "forbidden_character",
        f"{_code_point(char)} is not allowed here" + (f" ({name})" if name else ""),
        pointer=pointer,
        got=_code_point(char),
        expected="text without control, direction or unpaired surrogate characters",
    )


def too_long(size: int | None, limits: Limits = LIMITS) -> Problem:
    """The body itself is too long; one that only inflates to too much is `inflated_too_far`."""
    return Problem(
        "limit_exceeded",
        f"the body is longer than {limits.body_bytes // KIB} KiB",
        status=413,
        got=None if size is None else f"{size} bytes",
        expected=f"at most {limits.body_bytes} bytes a request",
        hint="split it into smaller batches",
    )


def not_finite(value: object, pointer: str = "") -> Problem:
    return Problem(
        "number_not_finite",
        "the number is not finite",
        pointer=pointer,
        got=shown(value),
        expected="a finite number",
    )


def too_large(value: object, pointer: str = "") -> Problem:
    text = str(value)
    size = f"{text[:20]}… ({len(text)} characters)" if len(text) > SHOWN else text
    return Problem(
        "number_too_large",
        "the number has too many digits",
        pointer=pointer,
        got=size,
        expected="an integer of at most 18 digits, or at most 30 digits with decimals",
        hint="post an identifier that looks like a number as text",
    )


class _TwiceError(Exception):
    """A key is there twice; the explaining pass finds out where."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _TwiceError
    return members


_LONGEST_INT = 18  # digits: every such number fits 64 bits


def _integer(text: str) -> int | Number:
    return Number(text) if len(text) - text.startswith("-") > _LONGEST_INT else int(text)


_FAST = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=Number,
    parse_int=_integer,
    parse_constant=Number,
)
_PAIRS = json.JSONDecoder(object_pairs_hook=tuple, parse_float=str, parse_int=str)
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
# Possessive, and with an optional end: linear in the text whatever it holds.
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_UNPAIRED = re.compile("[\ud800-\udfff]")


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Problem(
            "not_utf8",
            f"the body is not UTF-8 at byte {error.start}",
            status=400,
            pointer=f"byte {error.start}",
            got=f"0x{body[error.start]:02X}",
            expected="UTF-8",
        ) from None


def _syntax(text: str, error: JSONDecodeError) -> Problem:
    detail = error.msg[0].lower() + error.msg[1:].removesuffix(" at")
    hint = None
    if text.startswith("\ufeff"):
        hint = "the body starts with a byte order mark; leave it out"
    elif text[error.pos : error.pos + 1] == "'":
        hint = "JSON strings stand in double quotes"
    elif error.msg == "Extra data":
        detail = "there is more after the end of the JSON value"
    return Problem(
        "json_syntax",
        f"not JSON at line {error.lineno}, column {error.colno}: {detail}",
        status=400,
        pointer=f"{error.lineno}:{error.colno}",
        got=shown(text[error.pos : error.pos + 20]) if error.pos < len(text) else "the end",
        expected="one JSON object",
        hint=hint,
    )


def _twice(text: str) -> Problem:
    pointer, key = next(_repeated(_PAIRS.decode(text), ""))
    return Problem(
        "duplicate_key",
        f'the key "{visible(key[:SHOWN])}" is there twice in one object',
        status=400,
        pointer=pointer,
        got=shown(key),
        expected="every key once",
    )


def _repeated(value: object, pointer: str) -> Iterator[tuple[str, str]]:
    """Where keys come again, in the order of the text; objects are tuples of pairs here."""
    match value:
        case tuple():
            seen = set()
            for key, member in value:
                at = f"{pointer}/{escaped(key)}"
                if key in seen:
                    yield at, key
                seen.add(key)
                yield from _repeated(member, at)
        case list():
            for index, member in enumerate(value):
                yield from _repeated(member, f"{pointer}/{index}")
        case _:
            return


def _too_deep_at(text: str, nesting: int) -> str:
    """Line and column of the first bracket that goes too deep; empty when none does."""
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        if token.group() in "[{":
            depth += 1
        elif token.group() in "]}":
            depth -= 1
        if depth > nesting:
            line = text.count("\n", 0, token.start()) + 1
            return f"{line}:{token.start() - text.rfind(chr(10), 0, token.start())}"
    return ""


def _nested(pointer: str, limits: Limits) -> Problem:
    return Problem(
        "limit_exceeded",
        f"objects and arrays are nested deeper than {limits.nesting}",
        pointer=pointer,
        expected=f"at most {limits.nesting} levels",
    )


def _too_many_keys(count: int, pointer: str, limits: Limits) -> Problem:
    return Problem(
        "limit_exceeded",
        f"an object has more than {limits.keys} keys",
        pointer=pointer,
        got=f"{count} keys",
        expected=f"at most {limits.keys} keys",
    )


def _members(value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [(escaped(key), member) for key, member in value.items()]
    return [(str(i), member) for i, member in enumerate(value)] if isinstance(value, list) else []


def _unsound_here(here: object, at: str, depth: int, limits: Limits) -> Problem | None:
    """What is wrong with a value itself, whatever its members are."""
    if isinstance(here, Number):
        return _unsound_number(here, at)
    if isinstance(here, str):
        return _unsound_text(here, at, limits)
    if isinstance(here, dict | list) and depth > limits.nesting:
        return _nested(at, limits)
    if isinstance(here, dict):
        if len(here) > limits.keys:
            return _too_many_keys(len(here), at, limits)
        for key in here:
            if problem := _unsound_text(key, f"{at}/{escaped(key)}", limits):
                return problem
    return None


_LONGEST_EXPONENT = 3  # digits


def _unsound_number(number: Number, pointer: str) -> Problem | None:
    if not math.isfinite(float(number)):
        digits = number.lstrip("-")
        return too_large(number, pointer) if digits.isdigit() else not_finite(number, pointer)
    if sum(map(str.isdigit, number.lower().partition("e")[0])) > (
        30 if {".", "e", "E"} & set(number) else _LONGEST_INT
    ):
        return too_large(number, pointer)
    # Not zero, and not small enough to be taken for it, but beyond what a decimal can hold.
    if len(number.lower().partition("e")[2].lstrip("+-0")) > _LONGEST_EXPONENT:
        return too_large(number, pointer)
    return None


def _unsound_text(text: str, pointer: str, limits: Limits) -> Problem | None:
    if len(text) > limits.string:
        return Problem(
            "limit_exceeded",
            f"a string is longer than {limits.string // KIB} KiB",
            pointer=pointer,
            got=f"{len(text)} characters",
            expected=f"at most {limits.string} characters",
        )
    if "\0" in text:
        return forbidden("\0", pointer)
    if not text.isascii() and (half := _UNPAIRED.search(text)):
        return forbidden(half.group(), pointer)
    return None


def _code_point(char: str) -> str:
    return f"U+{ord(char):04X}"

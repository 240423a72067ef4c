"""What does a posted value mean? Each kind of value is checked and put into its one stored form.

Pure, and without pointers: who calls knows where the value stood. What is refused is refused with
the words of `Problem`; nothing is guessed, because a wrong guess about money or time is silent.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lifecycle.domain.instant import instant_text
from lifecycle.domain.money import CURRENCIES, minor_units
from lifecycle.domain.policy import ValueType
from lifecycle.errors import Problem
from lifecycle.intake.strict_json import (
    INVISIBLE,
    Number,
    forbidden,
    not_finite,
    shown,
    too_large,
)
from lifecycle.policy import zones

_EXAMPLE = "2026-01-01T09:00:00+08:00"


class Unlisted(Problem):
    """A word that is not one of those allowed; what was meant is looked for when somebody asks.

    The search costs far more than the refusal, and a batch of 2,500 wrong words must not buy it
    2,500 times: only what is shown to somebody is looked up.
    """

    def __init__(
        self, code: str, detail: str, *, got: str, expected: str, meant: Callable[[], str | None]
    ) -> None:
        self._meant = meant
        super().__init__(code, detail, got=got, expected=expected)

    @property
    def hint(self) -> str | None:
        return self._hint or self._meant()

    @hint.setter
    def hint(self, hint: str | None) -> None:
        self._hint = hint


def unlisted(code: str, detail: str, word: str, allowed: Iterable[str]) -> Unlisted:
    """The list is told whole, so it should be one that a reader can take in."""
    words = tuple(sorted(allowed))
    return Unlisted(
        code,
        detail,
        got=shown(word),
        expected="one of " + ", ".join(words) if words else "none",
        meant=lambda: did_you_mean(word, words),
    )


def did_you_mean(word: str, allowed: tuple[str, ...]) -> str | None:
    near = nearest(word[:64], allowed)
    return f'did you mean "{near}"?' if near else None


@lru_cache(maxsize=256)
def nearest(word: str, allowed: tuple[str, ...]) -> str | None:
    """The one of these that was probably meant."""
    by_fold = {name.casefold(): name for name in allowed}
    if same := by_fold.get(word.casefold()):
        return same
    found = difflib.get_close_matches(word, allowed, 1)
    return found[0] if found else None


# -- identifiers -------------------------------------------------------------------------------


def identifier(value: object, *, code: str, what: str, longest: int, spaces: bool) -> str:
    """A name that other things are known by: the same characters in NFC, without invisible ones.

    `code` is the stem of the error codes: `…_required` and `…_format`.
    """
    if value is None or value == "":
        raise Problem(f"{code}_required", f"{what} is missing or empty", expected=_EXPECTED_ID)
    if not isinstance(value, str) or isinstance(value, Number):
        raise _bad_identifier(code, what, value, "is not text", hint="write it in double quotes")
    if value.isascii() and value.isprintable() and " " not in value and len(value) <= longest:
        return value
    text = value if value.isascii() else unicodedata.normalize("NFC", value)
    if not text.isprintable():
        _refuse_invisible(text)
    if len(text) > longest:
        raise _bad_identifier(code, what, text, f"has {len(text)} characters", longest=longest)
    if not spaces and any(map(str.isspace, text)):
        raise _bad_identifier(code, what, text, "has a space in it")
    if text[0].isspace() or text[-1].isspace():
        raise _bad_identifier(code, what, text, "begins or ends with a space")
    return text


def alike(text: str) -> str:
    """Equal for identifiers that people take for one: `C1`, `c1` and the full-width `Ｃ１`."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


_EXPECTED_ID = "text of 1 to 200 characters"


def _refuse_invisible(text: str) -> None:
    for char in text:
        if unicodedata.category(char) in INVISIBLE:
            raise forbidden(char, "")


def _bad_identifier(
    code: str, what: str, value: object, why: str, *, longest: int = 200, hint: str | None = None
) -> Problem:
    return Problem(
        f"{code}_format",
        f"{what} {why}",
        got=shown(value),
        expected=f"text of 1 to {longest} characters",
        hint=hint,
    )


# -- time --------------------------------------------------------------------------------------

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?"
    r"(?:[Zz]|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])"
)
_LEAP = re.compile(r"(.{16}):60(?:\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIRST_YEAR, _LAST_YEAR = 1900, 2200  # of an instant; beyond lies a placeholder or a mistake
_FIRST_BIRTH = 1800  # a date may be a birthday
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(value: object, home: str = "UTC") -> datetime:
    """An instant in UTC: RFC 3339 text with an offset, or seconds since 1970 as a number.

    A leap second (`23:59:60` UTC) is taken as `.999` of the second before it; digits below a
    microsecond are cut off. A time without an offset is refused; the hint offers that of `home`.
    """
    if isinstance(value, Number) or type(value) is int:
        return _from_epoch(value)
    if not isinstance(value, str):
        raise _bad_instant(value, "it is not text")
    if _INSTANT.fullmatch(value) is None:
        value = _without_leap(value, home)
    try:
        local = datetime.fromisoformat(value.upper())
    except ValueError as error:
        raise _bad_instant(value, str(error)) from None
    if not _FIRST_YEAR <= local.year <= _LAST_YEAR:
        raise _bad_instant(value, f"the year {local.year:04} is implausible")
    return local.astimezone(UTC)


def day(value: object) -> date:
    """A date without a time, such as a birthday."""
    if not isinstance(value, str) or _DATE.fullmatch(value) is None:
        raise _bad_date(value, "it is not written as YYYY-MM-DD")
    try:
        found = date.fromisoformat(value)
    except ValueError as error:
        raise _bad_date(value, str(error)) from None
    if not _FIRST_BIRTH <= found.year <= _LAST_YEAR:
        raise _bad_date(value, f"the year {found.year:04} is implausible")
    return found


def _without_leap(value: str, home: str) -> str:
    """The text to read instead; refuses what is no instant, saying which part is missing."""
    if leap := _LEAP.fullmatch(value):
        before = f"{leap[1]}:59.999{leap[2]}"
        if _INSTANT.fullmatch(before):
            try:
                at = datetime.fromisoformat(before.upper()).astimezone(UTC)
            except (ValueError, OverflowError) as error:
                raise _bad_instant(value, str(error)) from None
            if (at.hour, at.minute) == (23, 59):
                return before
            raise _bad_instant(value, "a leap second can only be 23:59:60 UTC")
    if _INSTANT.fullmatch(f"{value}Z"):
        raise Problem(
            "timestamp_needs_offset",
            "the time has no offset from UTC, so nobody can tell when it was",
            got=shown(value),
            expected=f"an offset, as in {_EXAMPLE}",
            hint=_offsets(value, home),
        )
    if value.isascii() and value.isdigit():
        raise _bad_instant(value, "seconds since 1970 are posted as a number, not as text")
    raise _bad_instant(value, "there is no such date or time, or it is written in another way")


def _offsets(local: str, home: str) -> str:
    """How to write a time that was meant by the clocks of `home`, or of UTC."""
    utc = f'"{local}Z" for UTC'
    try:
        there = datetime.fromisoformat(local.upper()).replace(tzinfo=ZoneInfo(home))
    except (ValueError, ZoneInfoNotFoundError):
        return utc
    offset = there.strftime("%z")
    if offset == "+0000":
        return utc
    return f'"{local}{offset[:3]}:{offset[3:5]}" for the time in {home}, {utc}'


def _from_epoch(value: int | Number) -> datetime:
    try:
        seconds = Decimal(_literal(value) or 0)
    except InvalidOperation:  # an exponent beyond all bounds
        raise too_large(value) from None
    if abs(seconds) >= 10**18:
        raise too_large(value)
    year = 1970 + int(seconds / Decimal(31556952))
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        unit = next((name for scale, name in _FINER if _plausible(seconds / scale)), None)
        raise Problem(
            "timestamp_implausible",
            f"read as seconds since 1970 this is the year {year}" + (f" – {unit}?" if unit else ""),
            got=shown(value),
            expected=f"seconds since 1970, or text such as {_EXAMPLE}",
            hint=f"these look like {unit}; post seconds" if unit else None,
        )
    return _EPOCH + timedelta(microseconds=int(seconds * 1_000_000))


_FINER = ((10**3, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds"))


def _plausible(seconds: Decimal) -> bool:
    return 0 < seconds < Decimal(4_102_444_800)  # 1970 to 2100


def _bad_instant(value: object, why: str) -> Problem:
    return Problem(
        "timestamp_invalid",
        f"this is no instant: {why}",
        got=shown(value),
        expected=f"RFC 3339 with an offset, as in {_EXAMPLE}",
    )


def _bad_date(value: object, why: str) -> Problem:
    return Problem(
        "date_invalid",
        f"this is no date: {why}",
        got=shown(value),
        expected="a date such as 1990-02-28",
    )


# -- money and numbers -------------------------------------------------------------------------

_PLAIN = re.compile(r"(?:0|[1-9][0-9]*)(?:\.([0-9]+))?")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_LONGEST_AMOUNT = 15  # digits before the point
_LONGEST_NUMBER = 30  # digits in all


def money(value: object, currency: str) -> str:
    """An amount as canonical decimal text: `"120.00"`, `"120"` and 120 are one; `currency` is known."""
    text = _literal(value)
    if text is None:
        raise _bad_amount(value, "it is neither text nor a number")
    found = _PLAIN.fullmatch(text)
    if found is None:
        raise _bad_amount(value, *_why_no_amount(text))
    if isinstance(value, Number) and "." in text:
        # A float says 1000.0 where it means 1000; in text, 1.000 may mean a thousand to its author.
        text = text.rstrip("0").rstrip(".")
        found = _PLAIN.fullmatch(text)
    decimals = (found and found[1]) or ""
    allowed = minor_units(currency)
    if allowed is not None and len(decimals) > allowed:
        raise Problem(
            "too_many_decimals",
            f"{currency} has {allowed or 'no'} decimals, this amount has {len(decimals)}",
            got=shown(value),
            expected=f"at most {allowed} decimals" if allowed else "a whole number",
        )
    if len(text) - len(decimals) - bool(decimals) > _LONGEST_AMOUNT:
        raise too_large(value)
    return _canonical(text) if text[-1] == "0" else text


def number(value: object) -> str:
    """A finite decimal as canonical text: no exponent, no trailing zeros, no negative zero."""
    text = _literal(value)
    if text is None or _NUMBER.fullmatch(text) is None:
        raise Problem(
            "number_format",
            "this is not a number",
            got=shown(value),
            expected="a number such as 12.5, or the same as text",
        )
    if len(text) <= _LONGEST_NUMBER and "e" not in text.lower():
        return _canonical(text) if text[-1] == "0" else text
    if math.isinf(float(text)):
        raise not_finite(value) if "e" in text.lower() else too_large(value)
    plain = format(Decimal(text), "f")
    if sum(map(str.isdigit, plain)) > _LONGEST_NUMBER:
        raise too_large(value)
    return _canonical(plain)


def _canonical(plain: str) -> str:
    """As `instant.decimal_text`, for a decimal that is plain text already, in a fifth of the time."""
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain == "-0" else plain


def integer(value: object) -> int:
    """A whole number of at most 18 digits."""
    if type(value) is int:
        return value
    if isinstance(value, Number):
        if value.lstrip("-").isdigit():
            raise too_large(value)
        if not math.isfinite(float(value)):
            raise not_finite(value)
    raise Problem(
        "expected_integer", "this is not a whole number", got=shown(value), expected="such as 3"
    )


def currency(value: object) -> str:
    """An ISO 4217 code, in capitals."""
    code = value.upper() if isinstance(value, str) and value.isascii() else ""
    if minor_units(code) is None:
        raise Unlisted(
            "currency_unknown",
            "this is not a currency of ISO 4217",
            got=shown(value),
            expected="a code such as CNY, EUR or USD",
            meant=lambda: _USUAL_NAMES.get(code) or did_you_mean(code, CURRENCIES),
        )
    return code


_USUAL_NAMES = {
    "RMB": 'did you mean "CNY"?',
    "CNH": 'did you mean "CNY"?',
    "YUAN": 'did you mean "CNY"?',
    "EUROS": 'did you mean "EUR"?',
    "EURO": 'did you mean "EUR"?',
    "YEN": 'did you mean "JPY"?',
    "POUND": 'did you mean "GBP"?',
    "DOLLAR": 'did you mean "USD"?',
}


def _literal(value: object) -> str | None:
    """The posted text of a number, whether it stood in quotes or not; refuses what is not finite."""
    if isinstance(value, Number):
        if not math.isfinite(float(value)):
            raise (too_large if value.lstrip("-").isdigit() else not_finite)(value)
        return str(value)
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else None


def _why_no_amount(text: str) -> tuple[str, str | None]:
    if text.startswith("-") and _PLAIN.fullmatch(text[1:]):
        return "it is negative", "money given back is an event of its own, with a positive amount"
    if _NUMBER.fullmatch(text):
        plain = f'write "{Decimal(text):f}"' if len(text) < 10 else None
        return "it is written with an exponent", plain
    if "," in text:
        return "it has a comma in it", "write a decimal point, and nothing between thousands"
    if text != text.strip():
        return "it has a space around it", None
    return "it is not a plain decimal number", "the currency has a property of its own"


def _bad_amount(value: object, why: str, hint: str | None = None) -> Problem:
    return Problem(
        "amount_format",
        f"this is no amount of money: {why}",
        got=shown(value),
        expected='a plain decimal that is not negative, such as "12.50"',
        hint=hint,
    )


# -- the rest ----------------------------------------------------------------------------------


def boolean(value: object) -> bool:
    if value is True or value is False:
        return value
    raise Problem(
        "expected_boolean",
        "this is neither true nor false",
        got=shown(value),
        expected="true or false, without quotes",
    )


def text(value: object) -> str:
    """Any text, as it was posted; a number is not turned into one."""
    if isinstance(value, str) and not isinstance(value, Number):
        return value
    raise Problem(
        "expected_text",
        "this is not text",
        got=shown(value),
        expected="text in double quotes",
    )


def zone(value: object) -> str:
    """The IANA name of a time zone: a place, so that the history of its clocks is known."""
    if isinstance(value, str) and value in _zone_names():
        return value
    raise Unlisted(
        "zone_unknown",
        "this is not the name of a time zone",
        got=shown(value),
        expected="an IANA name such as Asia/Shanghai, or UTC",
        meant=lambda: _zone_meant(value),
    )


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(zones.zone_names())


def _zone_meant(value: object) -> str | None:
    try:
        zones.zone(value[:64] if isinstance(value, str) else "")
    except ValueError as error:
        return str(error).rpartition("; ")[2]
    return None


# How each type is read; money needs to know its currency as well and is not among them.
READERS: dict[ValueType, Callable[[object], Any]] = {
    ValueType.TEXT: text,
    ValueType.INT: integer,
    ValueType.NUMBER: number,
    ValueType.CURRENCY: currency,
    ValueType.BOOL: boolean,
    ValueType.DATE: lambda value: day(value).isoformat(),
    ValueType.TIMESTAMP: lambda value: instant_text(timestamp(value)),
    ValueType.ZONE: zone,
}


def readers(home: str) -> Mapping[ValueType, Callable[[object], Any]]:
    """The same, for a policy whose times are those of a zone."""
    return {**READERS, ValueType.TIMESTAMP: lambda value: instant_text(timestamp(value, home))}

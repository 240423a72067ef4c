"""Shapes of a single scalar: names, numbers, durations, times, and one of a few words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Generic

from lifecycle.domain.event import OUR_PREFIX
from lifecycle.policy.report import did_you_mean, found, nearest
from lifecycle.policy.shapes import JsonSchema, NotThis, S, Word
from lifecycle.policy.source import Scalar


class Line(Word[str]):
    """Any text of one to `most` characters."""

    def __init__(self, what: str, *, most: int = 200, example: str | None = None) -> None:
        self._what, self._most, self._example = what, most, example

    def value(self, node: Scalar) -> str:
        if not node.text.strip():
            raise NotThis(f'found ""; allowed: {self.says()}')
        if len(node.text) > self._most:
            raise NotThis(
                f"found {len(node.text):,} characters; allowed: {self._what} of at most "
                f"{self._most:,}",
                "too_long",
            )
        return node.text

    def says(self) -> str:
        return self._what

    def schema(self) -> JsonSchema:
        schema: JsonSchema = {"type": "string", "minLength": 1, "maxLength": self._most}
        return schema | ({"examples": [self._example]} if self._example else {})


class Name(Word[str]):
    """A name that the author invents or refers to; `taken` are words with a meaning of their own."""

    code = "wrong_name"

    def __init__(
        self,
        what: str,
        *,
        pattern: str = r"[A-Za-z][A-Za-z0-9_]{0,63}",
        says: str = "letters, digits and _, beginning with a letter, at most 64",
        taken: Mapping[str, str] | None = None,
    ) -> None:
        self.what = what
        self._pattern, self._says, self._taken = re.compile(pattern), says, taken or {}

    def value(self, node: Scalar) -> str:
        why = self._taken.get(node.text) or (
            "lifecycle.* are events of the system itself"
            if node.text.startswith("lifecycle.")
            else None
        )
        if why is not None:
            raise NotThis(f"{found(node.text)} as {self.what}, but {why}", "reserved_name")
        if not self._pattern.fullmatch(node.text):
            raise NotThis(f"{found(node.text)}; allowed as {self.what}: {self._says}")
        return node.text

    def says(self) -> str:
        return f"{self.what} ({self._says})"

    def schema(self) -> JsonSchema:
        schema: JsonSchema = {"type": "string", "pattern": f"^{self._pattern.pattern}$"}
        if self._taken:
            schema["not"] = {"enum": sorted(self._taken)}
        return schema


class EventOfFact(Name):
    """An event type that a fact looks at: also one of those that we record of letters."""

    def __init__(self, what: str, ours: Sequence[str]) -> None:
        super().__init__(what)
        self._ours = tuple(ours)

    def value(self, node: Scalar) -> str:
        if node.text in self._ours:
            return node.text
        if node.text.startswith(OUR_PREFIX):
            hint = did_you_mean(node.text, self._ours)
            raise NotThis(
                f"{found(node.text)}; allowed of the system's own: {', '.join(self._ours)}{hint}",
                "reserved_name",
            )
        return super().value(node)

    def schema(self) -> JsonSchema:
        return {"anyOf": [super().schema(), {"enum": list(self._ours)}]}


class OneWord(Word[str]):
    """One of a few words; `synonyms` are what people write instead."""

    code = "wrong_word"

    def __init__(
        self, options: Mapping[str, str], *, synonyms: Mapping[str, str] | None = None
    ) -> None:
        self.options = options
        self._synonyms = synonyms or {}

    def value(self, node: Scalar) -> str:
        if node.text in self.options:
            return node.text
        meant = self._synonyms.get(node.text.lower()) or nearest(node.text, self.options)
        hint = f'; did you mean "{meant}"?' if meant else ""
        raise NotThis(f"{found(node.text)}; allowed: {self.says()}{hint}", meant=meant)

    def says(self) -> str:
        return ", ".join(self.options)

    def schema(self) -> JsonSchema:
        return {
            "oneOf": [{"const": word, "description": say} for word, say in self.options.items()]
        }


class YesNo(Word[bool]):
    code = "wrong_word"

    def value(self, node: Scalar) -> bool:
        if node.plain and node.text in {"true", "True", "TRUE"}:
            return True
        if node.plain and node.text in {"false", "False", "FALSE"}:
            return False
        meant = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false"}
        guess = meant.get(node.text.lower()) or nearest(node.text, ["true", "false"])
        hint = f"; did you mean {guess}?" if guess else ""
        quoted = "" if node.plain else " in quotes"
        raise NotThis(
            f"{found(node.text)}{quoted}; allowed: true, false (without quotes){hint}",
            meant=guess == "true" if guess else None,
        )

    def says(self) -> str:
        return "true, false"

    def schema(self) -> JsonSchema:
        return {"type": "boolean"}


class Exactly(Word[str]):
    """One constant, such as the version of the format."""

    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, node: Scalar) -> str:
        if node.text != self._text:
            raise NotThis(f"{found(node.text)}; allowed: {self._text}")
        return node.text

    def says(self) -> str:
        return self._text

    def schema(self) -> JsonSchema:
        return {"const": int(self._text)}


_UNITS = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_DURATION = re.compile(r"(?P<amount>[0-9]{1,9})(?P<unit>[a-z]+)")
_LONGEST = timedelta(days=36_525)
UNITS_NEEDED = (
    "a duration needs a whole number with a unit of s, min (or m), h, d, w, such as 10min or 60d; "
    "months only as a calendar rule"
)


def duration(text: str, *, zero: bool = False) -> timedelta:
    """`60d`; zero only where it is allowed. Raises NotThis."""
    match = _DURATION.fullmatch(text)
    unit = _UNITS.get(match["unit"]) if match else None
    if match is None or unit is None:
        raise NotThis(f"{found(text)}; {UNITS_NEEDED}")
    amount = int(match["amount"])
    if amount == 0 and not zero:
        raise NotThis(f"{found(text)}; allowed: more than nothing; {UNITS_NEEDED}")
    if amount > _LONGEST // unit:
        raise NotThis(f"{found(text)}; allowed: at most 100 years (36525d)")
    return amount * unit


def span(duration: timedelta) -> str:
    """The other way round, in the largest unit that needs no fraction: `60d`, `10min`, `0s`."""
    unit = next((u for u in ("d", "h", "min") if duration and not duration % _UNITS[u]), "s")
    return f"{duration // _UNITS[unit]}{unit}"


class Duration(Word[timedelta]):
    """`60d`; zero only where nothing to wait for makes sense."""

    code = "wrong_duration"

    def __init__(self, *, zero: bool = False) -> None:
        self._zero = zero

    def value(self, node: Scalar) -> timedelta:
        return duration(node.text, zero=self._zero)

    def says(self) -> str:
        return UNITS_NEEDED

    def schema(self) -> JsonSchema:
        amount = "[0-9]{1,9}" if self._zero else "0*[1-9][0-9]{0,8}"
        return {"type": "string", "pattern": f"^{amount}(s|min|m|h|d|w)$", "examples": ["60d"]}


class Number(Word[Decimal]):
    """A plain decimal above zero and, if said so, at most `most`; never taken through a double."""

    code = "wrong_number"
    _plain = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")

    def __init__(self, what: str, *, most: Decimal | None = None) -> None:
        self._what, self._most = what, most

    def value(self, node: Scalar) -> Decimal:
        if not self._plain.fullmatch(node.text):
            raise NotThis(f"{found(node.text)}; allowed: {self.says()}")
        number = Decimal(node.text)
        if number <= 0 or (self._most is not None and number > self._most):
            raise NotThis(f"{found(node.text)}; allowed: {self.says()}")
        return number

    def says(self) -> str:
        until = f" and at most {self._most}" if self._most is not None else ""
        return f"{self._what}: a plain decimal number above 0{until}"

    def schema(self) -> JsonSchema:
        schema: JsonSchema = {"type": ["number", "string"], "exclusiveMinimum": 0}
        if self._most is not None:
            schema["maximum"] = float(self._most)
        return schema | {"pattern": f"^{self._plain.pattern}$"}


class Whole(Word[int]):
    """A whole number between two bounds, both allowed."""

    code = "wrong_number"
    _plain = re.compile(r"[0-9]{1,9}")

    def __init__(self, what: str, *, least: int, most: int) -> None:
        self._what, self._least, self._most = what, least, most

    def value(self, node: Scalar) -> int:
        if not self._plain.fullmatch(node.text):
            raise NotThis(f"{found(node.text)}; allowed: {self.says()}")
        number = int(node.text)
        if not self._least <= number <= self._most:
            raise NotThis(f"{found(node.text)}; allowed: {self.says()}")
        return number

    def says(self) -> str:
        return f"{self._what}: a whole number from {self._least} to {self._most:,}"

    def schema(self) -> JsonSchema:
        return {"type": "integer", "minimum": self._least, "maximum": self._most}


class Percent(Word[Decimal]):
    """A share of all, written `5%`, from nothing to less than everybody; the value is 0.05."""

    code = "wrong_share"
    _plain = re.compile(r"([0-9]{1,2}(\.[0-9]{1,4})?)%")

    def value(self, node: Scalar) -> Decimal:
        match = self._plain.fullmatch(node.text)
        if match is None:
            number = re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,4})?", node.text)
            hint = f'; did you mean "{node.text}%"?' if number else ""
            raise NotThis(f"{found(node.text)}; allowed: {self.says()}{hint}")
        return Decimal(match[1]) / 100

    def says(self) -> str:
        return "a share from 0% to less than 100%, such as 5%"

    def schema(self) -> JsonSchema:
        return {"type": "string", "pattern": f"^{self._plain.pattern}$", "examples": ["5%"]}


class Clock(Word[time]):
    """A local time of day, `HH:MM`."""

    code = "wrong_time"
    _plain = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")

    def value(self, node: Scalar) -> time:
        match = self._plain.fullmatch(node.text)
        if match is None:
            raise NotThis(f"{found(node.text)}; allowed: {self.says()}")
        return time(int(match[1]), int(match[2]))

    def says(self) -> str:
        return "a time of day from 00:00 to 23:59, such as 09:00"

    def schema(self) -> JsonSchema:
        return {"type": "string", "pattern": f"^{self._plain.pattern}$", "examples": ["09:00"]}


class Day(Word[date]):
    """A date, `YYYY-MM-DD`."""

    code = "wrong_date"
    _plain = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

    def value(self, node: Scalar) -> date:
        try:
            if self._plain.fullmatch(node.text):
                return date.fromisoformat(node.text)
        except ValueError:
            pass  # such as 2025-02-30: told below like any other text that is no date
        raise NotThis(f"{found(node.text)}; allowed: {self.says()}")

    def says(self) -> str:
        return "a date that exists, such as 2025-01-31"

    def schema(self) -> JsonSchema:
        return {"type": "string", "pattern": f"^{self._plain.pattern}$"}


class Checked(Word[S], Generic[S]):
    """A word judged by a function, which gives the value or raises ValueError with the sentence."""

    def __init__(
        self, judge: Callable[[str], S], *, says: str, code: str, schema: JsonSchema
    ) -> None:
        self._judge, self._says, self._schema = judge, says, schema
        self.code = code

    def value(self, node: Scalar) -> S:
        try:
            return self._judge(node.text)
        except ValueError as error:
            raise NotThis(str(error)) from error

    def says(self) -> str:
        return self._says

    def schema(self) -> JsonSchema:
        return dict(self._schema)

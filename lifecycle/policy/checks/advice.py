"""What would mend a guard that is not CEL, or that has no answer? Hints, and nothing but hints."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lifecycle.policy.checks.samples import Type, Variable

_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_WORDS_OF_OTHERS = (
    (re.compile("[“”„‟‘’‚‛«»「」『』＂＇]"), 'write straight quotes, such as "gold"'),
    (re.compile("≥|≤|≠"), "write >= for ≥, <= for ≤ and != for ≠"),
    (re.compile("[！-～、。]"), "write it in half width, such as > ( ) and ,"),
    (re.compile(r"[\"']"), "a quote is opened and never closed"),
    (re.compile(r"(?<![\w.])\d+,\d+"), "write a decimal point, such as 100.50"),
    (re.compile(r"(?<![<>=!])=(?!=)"), 'write == to compare, not "="'),
    (re.compile(r"<>"), 'write != for "not equal"'),
    (re.compile(r"\b(and|AND)\b|(?<!&)&(?!&)"), 'write && for "and"'),
    (re.compile(r"\b(or|OR)\b|(?<!\|)\|(?!\|)"), 'write || for "or"'),
    (re.compile(r"\b(not|NOT)\b"), 'write ! for "not"'),
    (re.compile(r"\b(is|None|nil|NULL|Null)\b"), "write == null for what is empty"),
    (re.compile(r"\b(True|False|TRUE|FALSE)\b"), "write true and false in lower case"),
)
_DAYS = re.compile(r"duration\(\s*[\"'](\d+)([dw])[\"']\s*\)")
_ARITHMETIC = re.compile(r"([\w.]+)\s*([-+*/%])\s*([\w.]+)")
_COMPARED = re.compile(r"(?:[<>]=?|[!=]=)\s*(\d+)(\.\d+)?(?![\w.])")
_DIVISOR = re.compile(r"[/%]\s*(?:double\(\s*)?([A-Za-z_]\w*|0(?![\w.]))")
_TIMES = {Type.DURATION, Type.TIMESTAMP}


def unquoted(text: str) -> str:
    """With every quoted text emptied, so that what is looked for is not found in one."""
    return _QUOTED.sub("", text)


def on_syntax(text: str) -> str:
    """`; write && for "and"`, or nothing."""
    bare = unquoted(text)
    return next((f"; {say}" for pattern, say in _WORDS_OF_OTHERS if pattern.search(bare)), "")


def on_unknown(name: str, text: str, known: Mapping[str, Variable]) -> str:
    """A word that is compared with a text was meant as one."""
    compared = re.search(rf"(\w+)\s*([!=]=)\s*{name}\b", unquoted(text))
    variable = known.get(compared[1]) if compared else None
    if compared is None or variable is None or variable.type is not Type.STRING:
        return ""
    return f'; texts stand in quotes: write {compared[1]} {compared[2]} "{name}"'


def on_failure(
    text: str, error: str, values: Mapping[str, object], read: Mapping[str, Variable]
) -> str:
    """`; …`, or nothing, for a guard that has no answer over `values`."""
    days = _DAYS.search(text)
    if days:
        hours = int(days[1]) * (24 if days[2] == "d" else 168)
        return f'; durations in guards know h, m and s: write duration("{hours}h")'
    if "double % double" in error:
        return "; double has no %: write int(…) around both sides"
    if "kinds" in error and (doubled := _both_double(text, read)):
        return f"; both sides need the same type: {doubled}"
    if "by zero" in error or ("kinds" in error and _divides_by_zero(text, values)):
        return "; where what is divided by is 0 there is no answer: ask first whether it is"
    if "not true or false" in error:
        return "; a guard compares, such as orders >= 3"
    if "kinds" in error:
        return _of_kinds(text, error, {name: variable.type for name, variable in read.items()})
    return ""


def _both_double(text: str, read: Mapping[str, Variable]) -> str | None:
    """What to write for the first operation that mixes a double and an int."""
    for left, sign, right in _ARITHMETIC.findall(unquoted(text)):
        if {_kind(left, read), _kind(right, read)} == {Type.INT, Type.DOUBLE}:
            return f"write {_as_double(left, read)} {sign} {_as_double(right, read)}"
    return None


def _kind(side: str, read: Mapping[str, Variable]) -> Type | None:
    if side in read:
        return read[side].type
    return {True: Type.INT, False: Type.DOUBLE}[side.isdigit()] if side[0].isdigit() else None


def _as_double(side: str, read: Mapping[str, Variable]) -> str:
    if _kind(side, read) is not Type.INT:
        return side
    return f"{side}.0" if side.isdigit() else f"double({side})"


def _divides_by_zero(text: str, values: Mapping[str, object]) -> bool:
    named = _DIVISOR.findall(unquoted(text))
    return any(values.get(name, 0 if name == "0" else None) == 0 for name in named)


def _of_kinds(text: str, error: str, types: Mapping[str, Type]) -> str:
    """What is compared or combined with something of another kind."""
    kinds = set(types.values())
    number = _COMPARED.search(unquoted(text))
    between = Type.DURATION in kinds or (Type.TIMESTAMP in kinds and " - " in text)
    if number and between:
        days = int(number[1])
        return (
            "; a length of time is compared with one:"
            f' write duration("{days * 24}h") for {days} {"day" if days == 1 else "days"}'
        )
    if between:
        return '; a length of time is compared with one, such as duration("720h")'
    if kinds & _TIMES:
        return '; an instant is compared with one, such as timestamp("2026-01-01T00:00:00Z")'
    texts = [name for name, kind in types.items() if kind is Type.STRING]
    if number and texts:
        return f'; {texts[0]} is text: write "{number[1]}{number[2] or ""}" in quotes'
    yes = [name for name, kind in types.items() if kind is Type.BOOL]
    if number and yes:
        return f"; {yes[0]} is true or false: write {yes[0]} or !{yes[0]} alone"
    return "" if "takes no" in error else "; both sides need the same type"

"""How are values written? Money, dates, numbers and names as the language of a template writes them.

These run where templates are filled in. None of them looks at an attribute of a value, calls what it is
given, or makes a text longer than one rendering may be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from functools import cache, lru_cache
from itertools import islice
from typing import Any
from urllib.parse import quote

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, format_time
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent
from jinja2 import Undefined
from lunar_python import Solar
from markupsafe import Markup, escape

from lifecycle.outreach.templates.words import EXCEEDED, MOST_NUMBER, MOST_OUTPUT

Number = int | float | Decimal

STYLES = frozenset({"short", "medium", "long", "full"})
MOST_LISTED = 1_000  # items of a list that a filter goes through


class WrongValue(Exception):
    """A value that a filter or a sign cannot take; the message says which, without the value."""


class Exceeded(Exception):
    """A rendering became too large."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{EXCEEDED} ({what})")


@dataclass(frozen=True, slots=True)
class Place:
    """For whom a rendering writes: language, time zone, currency."""

    language: str
    zone: tzinfo
    currency: str

    @property
    def locale(self) -> Locale:
        return locale_of(self.language)

    @property
    def chinese(self) -> bool:
        return self.language.lower().split("-")[0] == "zh"


@cache
def locale_of(language: str) -> Locale:
    """English where the language is not known."""
    for tag in (language, language.split("-", maxsplit=1)[0]):
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale.parse("en")


# -- what every filter asks of its value ----------------------------------------------------------


def described(value: object) -> str:
    kinds = {str: "a text", bool: "yes or no", dict: "a map", list: "a list", type(None): "nothing"}
    return next((told for kind, told in kinds.items() if isinstance(value, kind)), "another kind")


def text_of(value: Any) -> str:
    """As it is printed; raises WrongValue for what has no one way of being written."""
    if isinstance(value, str):
        return value
    if isinstance(value, Undefined):
        return str(value)  # which raises
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if not math.isfinite(value) or not -(2**64) < value < 2**64:
            raise WrongValue("a number too large to be printed")
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    if isinstance(value, datetime | date):
        raise WrongValue("an instant is printed by a filter: date, time, datetime, weekday")
    raise WrongValue(f"{described(value)} cannot be printed")


def number_of(value: Any) -> Number:
    if isinstance(value, Undefined):
        str(value)  # raises
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise WrongValue(f"{described(value)} where a number is needed")
    if not math.isfinite(value) or not -MOST_NUMBER <= value <= MOST_NUMBER:
        raise WrongValue(f"a number beyond {MOST_NUMBER:,}")
    return value


def list_of(value: object) -> list[Any]:
    if isinstance(value, Undefined):
        str(value)  # raises
    if not isinstance(value, list | tuple):
        raise WrongValue(f"{described(value)} where a list is needed")
    items: list[Any] = list(value)
    if len(items) > MOST_LISTED:
        raise Exceeded(f"a list of {len(items):,}")
    return items


def bounded(text: str) -> str:
    if len(text) > MOST_OUTPUT:
        raise Exceeded(f"a text of {len(text):,} characters")
    return text


def joined(parts: Iterable[object], between: str = "") -> str:
    """Escapes what is not, as soon as one of them is markup."""
    texts = [text_of(part) for part in parts]
    if sum(map(len, texts)) + len(between) * len(texts) > MOST_OUTPUT:
        raise Exceeded("a text that is put together")
    if any(isinstance(text, Markup) for text in texts):
        return Markup(escape(between).join(map(escape, texts)))  # noqa: S704 - every piece is escaped
    return between.join(texts)


# -- filters that ask nothing of the customer -----------------------------------------------------


def _default(value: object, otherwise: object = "") -> object:
    return otherwise if isinstance(value, Undefined) or value is None or value == "" else value


def _join(value: object, between: object = "") -> str:
    return joined(list_of(value), text_of(between))


def _item(value: object, index: int) -> object:
    items = value if isinstance(value, str) else list_of(value)
    if not items:
        raise WrongValue("an empty list has no first and no last item")
    return items[index]


def _length(value: object) -> int:
    return len(value) if isinstance(value, str) else len(list_of(value))


def _truncate(value: object, length: object, end: object = "…") -> str:
    text, most = text_of(value), int(number_of(length))
    if len(text) <= max(most, 0):
        return text
    return bounded(text[: max(most - len(text_of(end)), 0)].rstrip() + text_of(end))


def _replace(value: object, old: object, new: object) -> str:
    text, before, after = text_of(value), text_of(old), text_of(new)
    if not before:
        raise WrongValue("nothing is no text that could be replaced")
    if len(text) + text.count(before) * len(after) > MOST_OUTPUT:
        raise Exceeded("a text that grows by replace")
    return str(text).replace(before, after)


def _round(value: object, digits: object = 0) -> Number:
    places = int(number_of(digits))
    if not 0 <= places <= 12:
        raise WrongValue("round takes 0 to 12 digits")
    number = Decimal(str(number_of(value)))
    rounded = number.quantize(Decimal(1).scaleb(-places))
    return rounded if places else int(rounded)


def _sort(value: object) -> list[Any]:
    try:
        return sorted(list_of(value))
    except TypeError as error:
        raise WrongValue("a list of different kinds cannot be sorted") from error


def _unique(value: object) -> list[Any]:
    found: list[Any] = []
    for item in list_of(value):
        if item not in found:
            found.append(item)
    return found


def _on_text(change: Callable[[str], str]) -> Callable[[object], str]:
    return lambda value: bounded(change(str(text_of(value))))


PLAIN: Mapping[str, Callable[..., Any]] = {
    "capitalize": _on_text(str.capitalize),
    "d": _default,
    "default": _default,
    "e": lambda value: escape(text_of(value)),
    "escape": lambda value: escape(text_of(value)),
    "first": lambda value: _item(value, 0),
    "join": _join,
    "last": lambda value: _item(value, -1),
    "length": _length,
    "lower": _on_text(str.lower),
    "replace": _replace,
    "round": _round,
    "sort": _sort,
    "title": _on_text(str.title),
    "trim": _on_text(str.strip),
    "truncate": _truncate,
    "unique": _unique,
    "upper": _on_text(str.upper),
    "urlencode": _on_text(lambda text: quote(text, safe="")),
}


# -- filters that write for somebody --------------------------------------------------------------


def _money(place: Place, value: object, currency: object = None) -> str:
    code = place.currency if currency is None else text_of(currency)
    return str(format_currency(number_of(value), code, locale=place.locale))


def _number(place: Place, value: object, digits: object = None) -> str:
    if digits is None:
        return str(format_decimal(number_of(value), locale=place.locale))
    fixed = _round(value, digits)
    form = "#,##0" + ("." + "0" * int(number_of(digits)) if digits else "")
    return str(format_decimal(fixed, form, locale=place.locale))


def _percent(place: Place, value: object, digits: object = 0) -> str:
    places = int(number_of(digits))
    form = "#,##0" + ("." + "0" * min(max(places, 0), 6) if places else "") + "%"
    return str(format_percent(number_of(value), form, locale=place.locale))


def _day(place: Place, value: object) -> date:
    if isinstance(value, Undefined):
        str(value)  # raises
    if isinstance(value, datetime):
        return value.astimezone(place.zone).date()
    if isinstance(value, date):
        return value
    raise WrongValue(f"{described(value)} where a date is needed")


def _instant(place: Place, value: object) -> datetime:
    if isinstance(value, Undefined):
        str(value)  # raises
    if isinstance(value, datetime):
        return value.astimezone(place.zone)
    raise WrongValue(f"{described(value)} where an instant is needed")


def _style(style: object) -> Any:
    if style not in STYLES:
        raise WrongValue(f"a date is written {', '.join(sorted(STYLES))}")
    return style


def _date(place: Place, value: object, style: object = "medium") -> str:
    return str(format_date(_day(place, value), _style(style), locale=place.locale))


def _time(place: Place, value: object, style: object = "short") -> str:
    return str(format_time(_instant(place, value), _style(style), locale=place.locale))


def _datetime(place: Place, value: object, style: object = "medium") -> str:
    instant = _instant(place, value)
    return f"{_date(place, instant, style)} {_time(place, instant)}"


def _weekday(place: Place, value: object, style: object = "long") -> str:
    form = "EEE" if _style(style) == "short" else "EEEE"
    instant = datetime.combine(_day(place, value), datetime.min.time())
    return str(format_datetime(instant, form, locale=place.locale))


def _lunar_date(place: Place, value: object, style: object = "medium") -> str:
    """八月十五, and with the year where it is asked for: 丙午年八月十五."""
    day = _day(place, value)
    lunar = _lunar(day)
    if place.chinese:
        year = f"{lunar.getYearInGanZhi()}年" if _style(style) in {"long", "full"} else ""
        return f"{year}{lunar.getMonthInChinese()}月{lunar.getDayInChinese()}"
    month, leap = abs(lunar.getMonth()), "leap " if lunar.getMonth() < 0 else ""
    return f"{_ordinal(lunar.getDay())} day of the {leap}{_ordinal(month)} lunar month"


@lru_cache(maxsize=1_000)
def _lunar(day: date) -> Any:
    return Solar.fromYmd(day.year, day.month, day.day).getLunar()


def _ordinal(number: int) -> str:
    teen = number // 10 % 10 == 1
    ending = "th" if teen else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _plural(place: Place, value: object, *forms: object, **by_category: object) -> str:
    """3 orders: the number as the language writes it, and the form that goes with it."""
    count = number_of(value)
    texts = [text_of(form) for form in forms]
    named = {category: text_of(form) for category, form in by_category.items()}
    if texts:
        named.setdefault("one", texts[0])
        named.setdefault("other", texts[-1])
    category = place.locale.plural_form(count if count >= 0 else -count)
    form = named.get(category, named.get("other"))
    if form is None:
        raise WrongValue(f"plural has no form for {category}")
    return bounded(f"{_number(place, count)}{'' if place.chinese else ' '}{form}")


_GREETINGS = {  # style → with a name, without one
    "en": {"plain": ("{}", "customer"), "dear": ("Dear {}", "Dear customer"), "hi": ("Hi {}", "Hi there")},
    "zh": {"plain": ("{}", "客户"), "dear": ("亲爱的{}", "亲爱的朋友"), "hi": ("{}，您好", "您好")},
}  # fmt: skip


def _name(place: Place, value: object, style: object = "plain") -> str:
    """How to address her: `dear`, `hi`, or just the name; without a name, something that offends nobody."""
    if not isinstance(value, Mapping):
        raise WrongValue("name is for a customer or an owner: customer | name")
    language = place.language.lower().split("-", maxsplit=1)[0]
    forms = _GREETINGS.get(language)
    called = value.get("name") if place.chinese else value.get("first_name") or value.get("name")
    named = text_of(called).strip() if called else ""
    if forms is None and (style != "plain" or not named):
        raise WrongValue(f"name greets in {', '.join(_GREETINGS)} only; write the greeting itself")
    if forms is None:
        return named
    if style not in forms:
        raise WrongValue(f"name is written {', '.join(forms)}")
    with_name, without = forms[str(style)]
    return with_name.replace("{}", named) if named else without


def _list_and(place: Place, value: object) -> str:
    texts = [str(text_of(item)) for item in islice(list_of(value), MOST_LISTED)]
    bounded("".join(texts))
    return bounded(str(format_list(texts, locale=place.locale)))


FOR_SOMEBODY: Mapping[str, Callable[..., Any]] = {
    "date": _date,
    "datetime": _datetime,
    "list_and": _list_and,
    "lunar_date": _lunar_date,
    "money": _money,
    "name": _name,
    "number": _number,
    "percent": _percent,
    "plural": _plural,
    "time": _time,
    "weekday": _weekday,
}

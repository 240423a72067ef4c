"""The keys of a mapping file: what each may hold and what it means, in one place."""

from __future__ import annotations

import codecs
import re
from datetime import UTC, datetime
from decimal import Decimal

from lifecycle.domain.event import OUR_SOURCE
from lifecycle.policy.format import EVENT_REFERENCE, PROPERTY, TYPE, ZONE
from lifecycle.policy.records import Choice, Key, Record
from lifecycle.policy.report import did_you_mean, found
from lifecycle.policy.shapes import Either, ListOf, MapOf
from lifecycle.policy.words import Checked, Clock, Exactly, Line, Name, OneWord, YesNo

ISO = "iso"


def _one_character(text: str) -> str:
    if text == "tab":
        return "\t"
    if len(text) != 1 or text in "\"\r\n'":
        raise ValueError(f"{found(text)}; allowed: one character such as ; or , or the word tab")
    return text


def _encoding(text: str) -> str:
    try:
        codec = codecs.lookup(text)
        b"a".decode(codec.name, "replace")  # refuses codecs that are no encodings of text
    except LookupError:
        common = ("utf-8", "gb18030", "gbk", "utf-16", "windows-1252", "iso-8859-1", "big5")
        raise ValueError(
            f"{found(text)}; allowed: an encoding such as {', '.join(common)}"
            + did_you_mean(text, common)
        ) from None
    return codec.name


def _number(text: str) -> Decimal:
    if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", text):
        raise ValueError(f"{found(text)}; allowed: a plain decimal number such as 0 or -12.5")
    return Decimal(text)


def _span(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9][0-9]{0,4})-([1-9][0-9]{0,4})", text)
    first, last = (int(match[1]), int(match[2])) if match else (1, 0)
    if last < first:
        raise ValueError(f"{found(text)}; allowed: first and last position, from 1, such as 1-6")
    return first, last - first + 1


_MOMENT = datetime(2011, 12, 9, 12, 49, 58, tzinfo=UTC)  # any moment with distinct parts will do


def _time_format(text: str) -> str | None:
    """Refuses a format that cannot be read, or that loses the day."""
    if text == ISO:
        return None
    try:
        read = datetime.strptime(_MOMENT.strftime(text), text)  # noqa: DTZ007
        whole = read.date() == _MOMENT.date()
    except (ValueError, re.error):
        whole = False
    if not whole:
        raise ValueError(
            f"{found(text)}; allowed: {ISO}, or a format with year, month and day "
            'such as "%d/%m/%Y %H:%M" or "%Y%m%d"'
        )
    return text


_COLUMN = Line("the name of a column")
_TEXT = Line("a text")
_NUMBER = Checked(
    _number,
    says="a plain decimal number",
    code="wrong_number",
    schema={"type": ["number", "string"]},
)
_SOURCE = Name(
    "the source of the events",
    pattern=r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}",
    says="letters, digits and . _ : -, at most 64",
    taken={OUR_SOURCE: "events of this source are recorded by the system itself"},
)

_TEST = Record(
    "a test",
    [
        Key(name="is", shape=ListOf(_TEXT, alone=True), about="The field is one of these texts."),
        Key(name="not", shape=ListOf(_TEXT, alone=True), about="It is none of these texts."),
        Key(name="equals", shape=_NUMBER, about="The field is a number equal to this one."),
        Key(name="less_than", shape=_NUMBER, about="It is a number below this one."),
        Key(name="more_than", shape=_NUMBER, about="It is a number above this one."),
        Key(name="empty", shape=YesNo(), about="The field is empty; false: it is not."),
    ],
)
_WHEN = Key(
    name="when",
    shape=MapOf(_COLUMN, Either(ListOf(_TEXT, alone=True), _TEST)),
    about="By column, what its field must be; all of them must hold. Left out: every row.",
)
_TYPE_KEY = Key(
    name="type",
    shape=TYPE,
    about="What the value is. Left out: what the policy declares, else text.",
)
_VALUE = Either(
    _COLUMN,
    Choice(
        "a property",
        {
            "column": Record(
                "a property from a column",
                [
                    Key(name="column", shape=_COLUMN, about="Where the value stands."),
                    _TYPE_KEY,
                    Key(
                        name="negate",
                        shape=YesNo(),
                        about="Change the sign of the number.",
                        default="false",
                    ),
                    Key(
                        name="if_empty",
                        shape=OneWord(
                            {
                                "omit": "the event has no such property",
                                "refuse": "the row is refused",
                            }
                        ),
                        about="What an empty field means: `omit` (the event has no such property) or "
                        "`refuse` the row.",
                        default="omit",
                    ),
                ],
            ),
            "constant": Record(
                "a constant property",
                [
                    Key(name="constant", shape=_TEXT, about="The same value for every row."),
                    _TYPE_KEY,
                ],
            ),
        },
    ),
)
_RULE = Choice(
    "a rule for rows",
    {
        "type": Record(
            "a rule for events",
            [
                Key(name="type", shape=EVENT_REFERENCE, about="The type of the event."),
                _WHEN,
                Key(
                    name="properties",
                    shape=MapOf(PROPERTY, _VALUE),
                    about="By property: a column, or a constant.",
                ),
            ],
        ),
        "skip": Record(
            "a rule for rows that are no events",
            [
                Key(name="skip", shape=Line("a reason"), about="Why; rows are counted by it."),
                _WHEN,
            ],
        ),
    },
)
_TABLE = Record(
    "the table",
    [
        Key(
            name="layout",
            shape=OneWord(
                {
                    "delimited": "fields parted by one character, quoted where needed (CSV)",
                    "whitespace": "fields parted by any run of blanks",
                    "fixed": "fields at fixed positions of the line",
                },
                synonyms={"csv": "delimited", "tsv": "delimited", "spaces": "whitespace"},
            ),
            about="How a line is cut into fields: `delimited` by one character and quoted where needed "
            "(CSV), `whitespace` (any run of blanks), or `fixed` positions.",
            default="delimited",
        ),
        Key(
            name="delimiter",
            shape=Checked(
                _one_character,
                says="one character, or the word tab",
                code="wrong_delimiter",
                schema={"type": "string"},
            ),
            about="The character between fields of a delimited table, or the word `tab`.",
            default=",",
        ),
        Key(
            name="decimal",
            shape=OneWord(
                {".": "12.50", ",": "12,50, as in Germany or France"},
                synonyms={"point": ".", "dot": ".", "comma": ",", ";": ","},
            ),
            about='The sign before the decimals of amounts and numbers: `"."` or `","`.',
            default=".",
        ),
        Key(
            name="encoding",
            shape=Checked(
                _encoding,
                says="an encoding such as utf-8 or gb18030",
                code="unknown_encoding",
                schema={"type": "string"},
            ),
            about="How bytes are text. A byte order mark in the file wins.",
            default="utf-8",
        ),
        Key(
            name="header",
            shape=YesNo(),
            about="The first line names the columns.",
            default="true, false in a fixed layout",
        ),
        Key(
            name="columns",
            shape=Either(
                ListOf(_COLUMN),
                MapOf(
                    _COLUMN,
                    Checked(
                        _span,
                        says="first and last position, from 1, such as 1-6",
                        code="wrong_span",
                        schema={"type": "string"},
                    ),
                ),
            ),
            about="Without a header: the names of all columns, in order; in a fixed layout "
            "each with its first and last position.",
        ),
    ],
)
_IDENTITY = Record(
    "the id",
    [
        Key(
            name="columns",
            shape=ListOf(_COLUMN, alone=True),
            about="The columns that name a row; several are joined by /.",
            required=True,
        ),
        Key(
            name="repeats",
            shape=OneWord(
                {
                    "same": "a row with the same id is the same event, written down again",
                    "number": "each is an event of its own; the second one's id ends in /2",
                }
            ),
            about="What rows with the same id are: the `same` event, or events of their own that "
            "we `number`.",
            default="same",
        ),
    ],
)
_WHEN_IT_HAPPENED = Record(
    "occurred_at",
    [
        Key(name="column", shape=_COLUMN, about="Where the instant stands.", required=True),
        Key(
            name="format",
            shape=Checked(
                _time_format,
                says=f"{ISO}, or a format such as %d/%m/%Y %H:%M",
                code="wrong_format",
                schema={"type": "string"},
            ),
            about="How it is written: `iso` (ISO 8601), or with the letters of strptime, such as "
            "`%d/%m/%Y %H:%M`.",
            default=ISO,
        ),
        Key(
            name="at",
            shape=Clock(),
            about="The local time of rows that have only a date.",
            default="00:00",
        ),
        Key(
            name="timezone",
            shape=ZONE,
            about="The zone of times that are written without an offset.",
        ),
        Key(
            name="ambiguous",
            shape=OneWord(
                {"first": "the earlier one", "second": "the later one", "refuse": "an error"}
            ),
            about="What a time means that came twice, when clocks were put back: the `first` of the "
            "two, the `second`, or `refuse` the row.",
            default="first",
        ),
        Key(
            name="skipped",
            shape=OneWord(
                {"shift": "moved on by what the clocks were put forward", "refuse": "an error"}
            ),
            about="What a time means that never came, when clocks were put forward: `shift` it by as "
            "much, or `refuse` the row.",
            default="shift",
        ),
    ],
)
MAPPING = Record(
    "a mapping",
    [
        Key(
            name="version",
            shape=Exactly("1"),
            about="The version of this format.",
            required=True,
        ),
        Key(
            name="source",
            shape=_SOURCE,
            about="Names where the events come from; with its id it names an event for ever.",
            required=True,
        ),
        Key(name="table", shape=_TABLE, about="How the file is laid out. Left out: CSV in UTF-8."),
        Key(
            name="customer",
            shape=_COLUMN,
            about="The column that says whose event it is.",
            required=True,
        ),
        Key(
            name="id",
            shape=Either(ListOf(_COLUMN, alone=True), _IDENTITY),
            about="The column or columns that name a row for ever.",
            required=True,
        ),
        Key(
            name="occurred_at",
            shape=Either(_COLUMN, _WHEN_IT_HAPPENED),
            about="The column that says when it happened.",
            required=True,
        ),
        Key(
            name="rows",
            shape=ListOf(_RULE),
            about="What the rows are; the first rule whose `when` holds decides.",
            required=True,
        ),
    ],
)

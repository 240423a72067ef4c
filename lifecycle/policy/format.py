"""The keys of a policy file: what each may hold and what it means, in one place.

The loader, the JSON Schema for editors and the reference in docs/policy.md all come from here.
"""

from __future__ import annotations

import re
from decimal import Decimal

from lifecycle.domain.event import COUNTED, OUR_PREFIX
from lifecycle.domain.money import CURRENCIES, minor_units
from lifecycle.policy.records import Choice, Key, Record
from lifecycle.policy.report import did_you_mean, found, nearest
from lifecycle.policy.shapes import Either, ListOf, MapOf
from lifecycle.policy.words import (
    Checked,
    Clock,
    Day,
    Duration,
    EventOfFact,
    Exactly,
    Line,
    Name,
    Number,
    OneWord,
    Percent,
    Whole,
    YesNo,
)
from lifecycle.policy.zones import zone

FORMAT_VERSION = "1"
ANY = "any"
MOST_GUARD = 1000

_CEL_RESERVED = (  # noqa: SIM905  (forty quoted words in a column help nobody)
    "true false null in as break const continue else for function if import let loop package "
    "namespace return var void while"
).split()
_CEL_MEANING = (  # noqa: SIM905
    "has all exists exists_one map filter size duration timestamp int uint double string bool "
    "bytes type dyn matches contains startsWith endsWith min max"
).split()
VARIABLES_TAKEN = {
    **dict.fromkeys(_CEL_RESERVED, "this word belongs to the language of guards (CEL)"),
    **dict.fromkeys(_CEL_MEANING, "this is a function of the language of guards (CEL)"),
    "at": 'guards know "at" as the instant that is judged',
    "tags": 'guards know "tags" as the list of the customer\'s tags',
}

TYPES = {
    "text": "any text",
    "int": "a whole number",
    "number": "a decimal number, exact",
    "money": "an exact decimal amount, in the currency that the event names, else the policy's",
    "currency": "an ISO 4217 code: says in which currency the money of the event is",
    "bool": "true or false",
    "date": "a day without time, such as a birthday",
    "timestamp": "an instant with its offset from UTC",
    "zone": "an IANA time zone name such as Asia/Shanghai",
}
_TYPE_SYNONYMS = {
    "string": "text", "str": "text", "varchar": "text", "integer": "int", "float": "number",
    "decimal": "number", "double": "number", "boolean": "bool", "datetime": "timestamp",
    "time": "timestamp", "instant": "timestamp", "timezone": "zone", "amount": "money",
}  # fmt: skip

_RULE_NAME = Name(
    "the name of a rule",
    pattern=r"[a-z0-9][a-z0-9_-]{0,63}",
    says="lower-case letters, digits, - and _, at most 64",
    taken={"moved": "steps made by an operator's move carry this name"},
)
_RULE_REFERENCE = Name(
    "the name of a rule",
    pattern=r"[a-z0-9][a-z0-9_-]{0,63}",
    says="lower-case letters, digits, - and _, at most 64",
)
STATE = Name("the name of a state", taken={ANY: '"from: any" means every state but the target'})
STATE_REFERENCE = Name("the name of a state")
EVENT = Name(
    "the name of an event type",
    taken={"interaction": "in a fact this means any event that counts as interaction"},
)
EVENT_REFERENCE = Name("the name of an event type")
FACT_EVENT = EventOfFact("the name of an event type", COUNTED)
PROPERTY = Name("the name of a property")
VARIABLE = Name("the name of a fact or attribute", taken=VARIABLES_TAKEN)
FACT_REFERENCE = Name("the name of a fact")
TYPE = OneWord(TYPES, synonyms=_TYPE_SYNONYMS)
CHANNEL = Name(
    "the name of a channel",
    pattern=r"[a-z][a-z0-9_]{0,31}",
    says="lower-case letters, digits and _, beginning with a letter, at most 32",
)
CHANNEL_KINDS = ("email", "sms", "wecom", "dingtalk", "feishu", "webhook", "task")
PURPOSE = Name(
    "a purpose",
    pattern=r"[a-z][a-z0-9_]{0,31}",
    says="lower-case letters, digits and _, beginning with a letter, at most 32",
)
VARIANT = Name(
    "the name of a variant",
    pattern=r"[a-z][a-z0-9_-]{0,31}",
    says="lower-case letters, digits, - and _, beginning with a letter, at most 32",
)
WEEKDAYS = {
    "mon": "Monday", "tue": "Tuesday", "wed": "Wednesday", "thu": "Thursday", "fri": "Friday",
    "sat": "Saturday", "sun": "Sunday",
}  # fmt: skip
_LANGUAGE = Name(
    "a language",
    pattern=r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*",
    says="a language code such as en, zh or pt-BR",
)


_MEANT = {"RMB": "CNY", "YUAN": "CNY", "YEN": "JPY", "UKP": "GBP", "EURO": "EUR", "DOLLAR": "USD"}


def _currency(text: str) -> str:
    if minor_units(text) is None:
        meant = _MEANT.get(text.upper()) or (text.upper() if minor_units(text.upper()) else None)
        raise ValueError(
            f"{found(text)}; allowed: an ISO 4217 code such as CNY, USD or EUR"
            + (f'; did you mean "{meant}"?' if meant else did_you_mean(text, CURRENCIES))
        )
    return text


def _path(text: str) -> tuple[str, str]:
    """`order_paid.amount` as its two names."""
    if text.startswith(OUR_PREFIX):
        raise ValueError(
            f"{found(text)}; allowed: a property of an event type of yours; of the system's own events"
            " facts do not look at properties, only whether and when they happened: count, first,"
            " last, gap"
        )
    if not re.fullmatch(r"[A-Za-z]\w{0,63}\.[A-Za-z]\w{0,63}", text, re.ASCII):
        raise ValueError(
            f"{found(text)}; allowed: an event type and one of its properties, "
            "such as order_paid.amount"
        )
    event, _, name = text.partition(".")
    return event, name


def _month_day(text: str) -> str:
    """Left as text: an attribute's name, `12-25` or `lunar 08-15`; `build` tells them apart."""
    if not re.fullmatch(r"[A-Za-z]\w{0,63}|(lunar )?[0-9]{2}-[0-9]{2}", text, re.ASCII):
        raise ValueError(f"{found(text)}; allowed: {_CALENDAR_SAYS}")
    return text


def _request(text: str) -> str:
    """The one trigger that is a word; whoever writes another is told of all."""
    if text != REQUEST:
        kind = nearest(text, TRIGGER_KINDS.kinds)
        hint = f'; did you mean "{{{kind}: …}}"?' if kind else did_you_mean(text, [REQUEST])
        raise ValueError(f"{found(text)}; allowed: {_TRIGGER_SAYS}{hint}")
    return text


def _country(text: str) -> str:
    """Whose public holidays are known; the library is loaded only where a policy names one."""
    from holidays import list_supported_countries

    countries = list_supported_countries(include_aliases=False)
    if text not in countries:
        meant = text.upper() if text.upper() in countries else None
        raise ValueError(
            f"{found(text)}; allowed: the two letters of a country (ISO 3166) such as CN"
            + (f'; did you mean "{meant}"?' if meant else "")
        )
    return text


REQUEST = "request"
_TRIGGER_SAYS = (
    "a trigger, a map with one of the keys transition, event, state, after, calendar; "
    "or the word request"
)
_CALENDAR_SAYS = (
    'the name of a date attribute, a month and day such as "12-25", or one of the Chinese '
    'calendar such as "lunar 08-15"'
)

ZONE = Checked(
    zone,
    says="an IANA time zone name such as Asia/Shanghai, or UTC",
    code="unknown_zone",
    schema={"type": "string", "examples": ["Asia/Shanghai", "Europe/London", "UTC"]},
)
CURRENCY = Checked(
    _currency,
    says="an ISO 4217 code such as CNY",
    code="unknown_currency",
    schema={"title": "currency", "type": "string", "enum": list(CURRENCIES)},
)
PATH = Checked(
    _path,
    says="an event type and one of its properties, such as order_paid.amount",
    code="wrong_path",
    schema={
        "type": "string",
        "pattern": r"^[A-Za-z][A-Za-z0-9_]{0,63}\.[A-Za-z][A-Za-z0-9_]{0,63}$",
        "examples": ["order_paid.amount"],
    },
)
CALENDAR = Checked(
    _month_day,
    says=_CALENDAR_SAYS,
    code="wrong_date",
    schema={
        "type": "string",
        "pattern": "^([A-Za-z][A-Za-z0-9_]{0,63}|(lunar )?[0-9]{2}-[0-9]{2})$",
        "examples": ["birthday", "12-25", "lunar 08-15"],
    },
)
COUNTRY = Checked(
    _country,
    says="the two letters of a country (ISO 3166) such as CN",
    code="unknown_country",
    schema={"type": "string", "pattern": "^[A-Z]{2}$", "examples": ["CN", "US", "GB"]},
)
GUARD = Line("a condition in CEL such as orders >= 3", most=MOST_GUARD, example="orders >= 3")

LABEL = Key(
    name="label",
    shape=MapOf(_LANGUAGE, Line("the label", most=100)),
    about="What people read instead of the name, one for each language. Changes nothing else.",
)
WHEN = Key(
    name="when",
    shape=GUARD,
    about=(
        "The guard: a condition in CEL over facts, attributes, `tags` and `at`. "
        "The rule fires only if it is true."
    ),
)

STATE_RECORD = Record(
    "a state",
    [
        LABEL,
        Key(
            name="initial",
            shape=YesNo(),
            about="Customers begin here. Exactly one state says so.",
            default="false",
        ),
        Key(
            name="final",
            shape=YesNo(),
            about="Nothing leads out of this state, on purpose.",
            default="false",
        ),
    ],
)

PROPERTY_RECORD = Record(
    "a property",
    [
        Key(name="type", shape=TYPE, about="The type of the value.", required=True),
        Key(
            name="required",
            shape=YesNo(),
            about="Events without this property are refused.",
            default="false",
        ),
    ],
)

EVENT_RECORD = Record(
    "an event type",
    [
        LABEL,
        Key(
            name="properties",
            shape=MapOf(PROPERTY, Either(TYPE, PROPERTY_RECORD)),
            about="What such an event carries: a type for each property.",
        ),
        Key(
            name="interaction",
            shape=YesNo(),
            about="The customer did something herself: facts about `interaction` count this event.",
            default="false",
        ),
        Key(
            name="strict",
            shape=YesNo(),
            about=(
                "Events with a property that is not declared are refused. "
                "Otherwise it is kept and the sender is warned."
            ),
            default="false",
        ),
    ],
)

_WITHIN = Key(
    name="within",
    shape=Duration(),
    about="Only events of this long before the instant that is judged. Left out: all.",
)
_EVENT_OR_INTERACTION = "An event type, or `interaction` for every event that counts as one"

FACT = Choice(
    "a fact",
    {
        "count": Record(
            "a count",
            [
                Key(
                    name="count",
                    shape=FACT_EVENT,
                    about=f"How many events there were. {_EVENT_OR_INTERACTION}.",
                    required=True,
                ),
                _WITHIN,
                Key(
                    name="less",
                    shape=FACT_EVENT,
                    about=(
                        "An event type that takes one off the count. "
                        "For whole reversals only; a partial refund belongs to a sum."
                    ),
                ),
            ],
        ),
        "sum": Record(
            "a sum",
            [
                Key(
                    name="sum",
                    shape=PATH,
                    about="A money, number or int property, added up.",
                    required=True,
                ),
                _WITHIN,
                Key(
                    name="less",
                    shape=PATH,
                    about="A property of the same type that is subtracted, such as a refund.",
                ),
            ],
        ),
        "first": Record(
            "a first instant",
            [
                Key(
                    name="first",
                    shape=FACT_EVENT,
                    about=f"When the earliest one happened. {_EVENT_OR_INTERACTION}.",
                    required=True,
                )
            ],
        ),
        "last": Record(
            "a last instant",
            [
                Key(
                    name="last",
                    shape=FACT_EVENT,
                    about=f"When the newest one happened. {_EVENT_OR_INTERACTION}.",
                    required=True,
                )
            ],
        ),
        "latest": Record(
            "a latest value",
            [
                Key(
                    name="latest",
                    shape=PATH,
                    about="The newest value of a property.",
                    required=True,
                )
            ],
        ),
        "min": Record(
            "a smallest value",
            [
                Key(
                    name="min",
                    shape=PATH,
                    about="The smallest value of a money, number or int property.",
                    required=True,
                ),
                _WITHIN,
            ],
        ),
        "max": Record(
            "a largest value",
            [
                Key(
                    name="max",
                    shape=PATH,
                    about="The largest value of a money, number or int property.",
                    required=True,
                ),
                _WITHIN,
            ],
        ),
        "distinct": Record(
            "a number of different values",
            [
                Key(
                    name="distinct",
                    shape=PATH,
                    about="How many different values of a property there were.",
                    required=True,
                ),
                _WITHIN,
            ],
        ),
        "gap": Record(
            "a usual gap",
            [
                Key(
                    name="gap",
                    shape=FACT_EVENT,
                    about=(
                        "The time between one event and the next, as a quantile of all such "
                        f"times. {_EVENT_OR_INTERACTION}. Empty until there are two events."
                    ),
                    required=True,
                ),
                Key(
                    name="quantile",
                    shape=Number("the quantile", most=Decimal(1)),
                    about="0.5 is the median; with 0.9 nine of ten gaps were shorter.",
                    default="0.5",
                ),
            ],
        ),
    },
)

RHYTHM = Record(
    "a waiting time of the customer's own",
    [
        Key(
            name="fact",
            shape=FACT_REFERENCE,
            about="A fact of the kind `gap`.",
            required=True,
        ),
        Key(
            name="at_least",
            shape=Duration(),
            about="Never shorter than this.",
            required=True,
        ),
        Key(name="at_most", shape=Duration(), about="Never longer than this.", required=True),
        Key(
            name="otherwise",
            shape=Duration(),
            about="Used while the fact is still empty.",
            required=True,
        ),
    ],
)
WAIT = Either(Duration(), RHYTHM)

_AFTER = Key(
    name="after",
    shape=WAIT,
    about="Fires when this long has passed since `since`. Goes together with `since`.",
)
_SINCE = Key(
    name="since",
    shape=FACT_REFERENCE,
    about="The fact (of the kind `first` or `last`) from which `after` is counted.",
)

TRANSITION = Record(
    "a transition",
    [
        Key(
            name="name",
            shape=_RULE_NAME,
            about=(
                "The rule's name, shown in the log. "
                "Unique among all rules; a timed check that has fired is remembered by it."
            ),
            required=True,
        ),
        LABEL,
        Key(
            name="on",
            shape=ListOf(EVENT_REFERENCE, alone=True),
            about="The event type or types that trigger the rule. Either this, or `after`.",
        ),
        _AFTER,
        _SINCE,
        Key(
            name="from",
            shape=ListOf(STATE_REFERENCE, alone=True),
            about="The state or states that the rule leaves. `any`: every state but the target.",
            required=True,
        ),
        Key(
            name="to",
            shape=STATE_REFERENCE,
            about="The state that the customer moves to.",
            required=True,
        ),
        WHEN,
    ],
    more={
        "oneOf": [
            {"required": ["on"], "not": {"anyOf": [{"required": ["after"]}]}},
            {"required": ["after", "since"], "not": {"required": ["on"]}},
        ]
    },
)

TRIGGER_KINDS = Choice(
    "a trigger",
    {
        "transition": Record(
            "a trigger by a transition",
            [
                Key(
                    name="transition",
                    shape=ListOf(_RULE_REFERENCE, alone=True),
                    about="The transition or transitions that cause the message.",
                    required=True,
                )
            ],
        ),
        "event": Record(
            "a trigger by an event",
            [
                Key(
                    name="event",
                    shape=ListOf(EVENT_REFERENCE, alone=True),
                    about="The event type or types that cause the message.",
                    required=True,
                )
            ],
        ),
        "state": Record(
            "a trigger by a state",
            [
                Key(
                    name="state",
                    shape=ListOf(STATE_REFERENCE, alone=True),
                    about=(
                        "Entering this state, or one of these, causes the message, "
                        "whatever brought her there."
                    ),
                    required=True,
                ),
                Key(
                    name="stayed",
                    shape=Duration(),
                    about=(
                        "Not entering causes it, but having stayed there this long: "
                        "once for each stay that lasts so long."
                    ),
                ),
            ],
        ),
        "after": Record(
            "a trigger by time",
            [
                Key(
                    name="after",
                    shape=WAIT,
                    about="Causes the message when this long has passed since `since`.",
                    required=True,
                ),
                Key(name="since", shape=FACT_REFERENCE, about=_SINCE.about, required=True),
            ],
        ),
        "calendar": Record(
            "a trigger by date",
            [
                Key(
                    name="calendar",
                    shape=CALENDAR,
                    about=(
                        "A date attribute such as birthday, a month and day such as 12-25, or one "
                        "of the Chinese calendar such as lunar 08-15. "
                        "What falls on February 29 falls on February 28 in other years; "
                        "day 30 of a lunar month is its last day, and leap months do not count."
                    ),
                    required=True,
                ),
                Key(
                    name="at",
                    shape=Clock(),
                    about="The time of day, in the customer's own time zone.",
                    default="09:00",
                ),
            ],
        ),
    },
)

TRIGGER = Either(
    Checked(
        _request,
        says=_TRIGGER_SAYS,
        code="wrong_value",
        schema={
            "const": REQUEST,
            "description": "a person asks for it, for the customers whom she names",
        },
    ),
    TRIGGER_KINDS,
)

_MOST = Key(
    name="most",
    shape=Whole("how many messages", least=0, most=1000),
    about="At most so many messages. 0 stops them altogether and needs `block: true`.",
    required=True,
)
_CAP_WITHIN = Key(
    name="within",
    shape=Duration(),
    about="Within any time of this length. Either this, or `per`.",
)
_CAP_PER = Key(
    name="per",
    shape=OneWord(
        {
            "day": "a day of the customer's own calendar",
            "week": "a week of it, from Monday",
            "month": "a month of it",
        }
    ),
    about="Within a day, week or month of the customer's own calendar. Either this, or `within`.",
)
_BLOCK = Key(
    name="block",
    shape=YesNo(),
    about="Said with `most: 0`: no such message is to go at all.",
    default="false",
)
_WINDOWS = {
    "oneOf": [
        {"required": ["within"], "not": {"required": ["per"]}},
        {"required": ["per"], "not": {"required": ["within"]}},
        {
            "required": ["block"],
            "not": {"anyOf": [{"required": ["within"]}, {"required": ["per"]}]},
        },
    ]
}
OWN_CAP = Record("a rule's own cap", [_MOST, _CAP_WITHIN, _CAP_PER, _BLOCK], more=_WINDOWS)

GOAL = Record(
    "a goal",
    [
        Key(
            name="event",
            shape=EVENT_REFERENCE,
            about="The event type that the messages are to bring about.",
            required=True,
        ),
        Key(
            name="within",
            shape=Duration(),
            about="Counts only within this long after the cause.",
            required=True,
        ),
    ],
)

MESSAGE_CLASS = OneWord(
    {
        "marketing": "advertises; needs consent",
        "service": "the customer needs it, such as a receipt",
    }
)

OUTREACH = Record(
    "an outreach rule",
    [
        Key(
            name="name",
            shape=_RULE_NAME,
            about="The rule's name, under which its messages are known. Unique among all rules.",
            required=True,
        ),
        LABEL,
        Key(
            name="on",
            shape=TRIGGER,
            about=(
                "What causes the message: a transition, an event, a state, time passing, a date, "
                "or `request`: a person asks for it, for the customers whom she names."
            ),
            required=True,
        ),
        WHEN,
        Key(
            name="while",
            shape=ListOf(STATE_REFERENCE, alone=True),
            about="Sent only while the customer is in this state, or in one of these.",
        ),
        Key(
            name="unless",
            shape=GUARD,
            about=(
                "A condition in CEL that is judged when the message is to be sent: "
                "if it is true, the message is not sent."
            ),
        ),
        Key(
            name="channels",
            shape=ListOf(CHANNEL),
            about="The channels in order of preference.",
            required=True,
        ),
        Key(
            name="class",
            shape=MESSAGE_CLASS,
            about="Whether the message advertises or serves.",
            default="marketing",
        ),
        Key(
            name="purpose",
            shape=PURPOSE,
            about=(
                "What the customer must have consented to. "
                "Left out: `marketing` for marketing, and for service no consent is needed."
            ),
        ),
        Key(
            name="delay",
            shape=Duration(zero=True),
            about="How long after its cause the message is planned.",
            default="0s",
        ),
        Key(
            name="steps",
            shape=ListOf(Duration(zero=True)),
            about=(
                "A series: one message for each delay, each measured from the cause. "
                "Instead of `delay`."
            ),
        ),
        Key(
            name="spread",
            shape=Duration(zero=True),
            about=(
                "Messages that fall due for everyone at one instant are spread over this long; "
                "each customer has a place of her own in it."
            ),
            default="0s",
        ),
        Key(
            name="settle",
            shape=Duration(zero=True),
            about="Waits this long, so that a correction arriving meanwhile can cancel it.",
            default="0s",
        ),
        Key(
            name="expires",
            shape=Duration(),
            about="Not sent any more when this long has passed since the planned instant.",
        ),
        Key(
            name="again_after",
            shape=Duration(),
            about=(
                "After a message was sent whose cause then turned out not to have happened, "
                "the same rule sends nothing for this long."
            ),
            default="30d",
        ),
        Key(
            name="cancel_on",
            shape=ListOf(EVENT_REFERENCE, alone=True),
            about="An event of this type after the cause cancels what has not been sent yet.",
        ),
        Key(
            name="priority",
            shape=Whole("the priority", least=0, most=100),
            about="Where a cap leaves room for one message, that of the highest priority goes.",
            default="50",
        ),
        Key(
            name="cap",
            shape=OWN_CAP,
            about=(
                "How many messages of this rule a customer gets at most, besides the caps of all "
                "messages in `sending`. Left out: only those of all hold. "
                "`null`: no cap holds for it, not even those."
            ),
            null="no cap holds for this rule, not even those of `sending`",
        ),
        Key(
            name="holdout",
            shape=Percent(),
            about=(
                "The share of customers who do not get it, so that its effect can be measured. "
                "Left out: 5% for marketing; service messages and tasks are never held out."
            ),
        ),
        Key(
            name="variants",
            shape=MapOf(VARIANT, Whole("the weight", least=1, most=1000), least=2, most=20),
            about="Texts that are tried against each other, with their weights.",
        ),
        Key(
            name="goal",
            shape=GOAL,
            about=(
                "What the messages are for. When it is reached, the rest of a series is not sent."
            ),
        ),
    ],
    more={"not": {"required": ["delay", "steps"]}},
)

CAP = Record(
    "a cap",
    [
        _MOST,
        _CAP_WITHIN,
        _CAP_PER,
        Key(
            name="channel",
            shape=CHANNEL,
            about="Only messages of this channel count and are held back. Left out: of all.",
        ),
        Key(
            name="class",
            shape=MESSAGE_CLASS,
            about="Only messages of this class count and are held back. Left out: of marketing.",
        ),
        _BLOCK,
    ],
    more=_WINDOWS,
)

QUIET = Record(
    "the quiet hours",
    [
        Key(
            name="since",
            shape=Clock(),
            about="The first silent minute of the day, by the customer's own clock.",
            required=True,
        ),
        Key(
            name="until",
            shape=Clock(),
            about="The first minute that is not silent any more; it may be that of the next day.",
            required=True,
        ),
    ],
)

WORKING_DAYS = Record(
    "the working days",
    [
        Key(
            name="days",
            shape=ListOf(OneWord(WEEKDAYS), alone=True, most=7),
            about="The days of the week on which marketing speaks.",
            default="[mon, tue, wed, thu, fri]",
        ),
        Key(
            name="holidays",
            shape=COUNTRY,
            about="A country whose public holidays are no working days, such as CN.",
        ),
        Key(
            name="closed",
            shape=ListOf(Day(), alone=True),
            about="Further dates that are no working days.",
        ),
        Key(
            name="open",
            shape=ListOf(Day(), alone=True),
            about="Dates that are working days, whatever the rest says.",
        ),
    ],
)

SURGE = Record(
    "the limit of a surge",
    [
        Key(
            name="within",
            shape=Duration(),
            about="The time over which a rule's messages are counted.",
            default="10min",
        ),
        Key(
            name="least",
            shape=Whole("how many messages", least=1, most=999_999_999),
            about="Fewer messages than this are never too many.",
            default="1000",
        ),
        Key(
            name="times",
            shape=Whole("how many times as many", least=2, most=1000),
            about="A rule is paused when it queues this many times as many as usual.",
            default="10",
        ),
    ],
)

SENDING = Record(
    "what holds for all messages",
    [
        Key(
            name="caps",
            shape=ListOf(CAP, most=50),
            about="How many messages a customer gets at most. Every one of them holds.",
        ),
        Key(
            name="quiet",
            shape=QUIET,
            about="When marketing stays silent; what falls due then waits for the end of it.",
        ),
        Key(
            name="working_days",
            shape=WORKING_DAYS,
            about="On which days marketing speaks. Left out: on all.",
        ),
        Key(
            name="surge",
            shape=SURGE,
            about=(
                "When a rule suddenly queues far more messages than usual, it is paused "
                "until a person has looked."
            ),
        ),
    ],
)

HOLDOUT = Record(
    "the group without marketing",
    [
        Key(
            name="all",
            shape=Percent(),
            about="The share of customers who get no marketing at all.",
            default="0%",
        ),
    ],
)

POLICY = Record(
    "the policy",
    [
        Key(
            name="version",
            shape=Exactly(FORMAT_VERSION),
            about="The version of this file format.",
            required=True,
        ),
        Key(
            name="timezone",
            shape=ZONE,
            about="For dates and times of day where the customer has no `timezone` of her own.",
            required=True,
        ),
        Key(
            name="currency",
            shape=CURRENCY,
            about="Money facts are in this currency. Money in others needs a rate.",
            required=True,
        ),
        Key(
            name="rates",
            shape=MapOf(CURRENCY, MapOf(Day(), Number("the rate"), least=1)),
            about=(
                "What one unit of another currency is worth in the policy's, from each date on. "
                "A day begins in the policy's time zone."
            ),
        ),
        Key(
            name="unknown_events",
            shape=OneWord(
                {
                    "refuse": "events of a type that is not declared are refused",
                    "keep": "they are kept as plain interactions, counted and shown",
                }
            ),
            about="What happens to events whose type is not declared.",
            default="refuse",
        ),
        Key(
            name="lateness",
            shape=Duration(),
            about="Events that arrive later than this after they happened are refused.",
        ),
        Key(
            name="skew",
            shape=Duration(),
            about="How far in the future an event may lie when it arrives: clocks differ.",
            default="5min",
        ),
        Key(
            name="attributes",
            shape=MapOf(VARIABLE, TYPE),
            about="What is known about a customer besides her events, each with its type.",
        ),
        Key(
            name="states",
            shape=MapOf(STATE, STATE_RECORD, blank=True, most=100),
            about="The stages of a customer's life.",
            required=True,
        ),
        Key(
            name="events",
            shape=MapOf(EVENT, EVENT_RECORD, blank=True),
            about="The event types that other systems post.",
        ),
        Key(
            name="facts",
            shape=MapOf(VARIABLE, FACT),
            about="Numbers and instants computed from each customer's events.",
        ),
        Key(
            name="transitions",
            shape=ListOf(TRANSITION),
            about="The rules that move customers. The first that fits, in this order, wins.",
            required=True,
        ),
        Key(
            name="outreach",
            shape=ListOf(OUTREACH),
            about="The rules that plan messages.",
        ),
        Key(
            name="sending",
            shape=SENDING,
            about="What holds for the messages of all rules: caps, quiet hours, working days.",
        ),
        Key(
            name="holdout",
            shape=HOLDOUT,
            about="A group of customers who get no marketing at all, to see what all of it does.",
        ),
    ],
)

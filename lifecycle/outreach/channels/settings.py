"""What is each channel, who is the company, and how fast may a letter follow another? `channels.yaml` says it.

The file is read whole, and every problem is told with its line. No secret stands in it: a password or
key is named, as `{env: SMTP_PASSWORD}` or `{file: path}`, and looked up; what is told never holds one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from lifecycle.errors import ChannelsRefused
from lifecycle.outreach.channels import Channel
from lifecycle.outreach.letter import Letter
from lifecycle.policy.format import CHANNEL
from lifecycle.policy.records import Fields, Key, Record
from lifecycle.policy.report import START, Place, Report, did_you_mean, found
from lifecycle.policy.shapes import At, JsonSchema, MapOf, NotThis, Shape, Word
from lifecycle.policy.source import MapNode, Node, Scalar, decoded, described, tree
from lifecycle.policy.words import Duration, Line, Name, Number, OneWord

CHANNELS_FILE = "channels.yaml"
DEFAULT_TIMEOUT = timedelta(seconds=20)
LONGEST_TIMEOUT = timedelta(seconds=90)  # a letter in flight is claimed for little longer
ADDRESSES = {"email": "email", "sms": "phone"}  # channel → the attribute that holds an address


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """Who writes to the customers; templates show it, and marketing needs its postal address."""

    name: str | None = None
    address: str | None = None  # postal, in one line
    website: str | None = None
    phone: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A password or key; printed, it shows where it came from and nothing of what it is."""

    text: str = field(repr=False)
    source: str  # such as "the environment variable SMTP_PASSWORD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How fast letters may follow one another, and what is done when their provider fails."""

    rate: float | None = None  # letters a second; None: as fast as it goes
    burst: int = 1  # how many may go at once after a rest
    faults: int = 5  # of the provider, in a row, after which it is left alone
    pause: timedelta = timedelta(seconds=30)  # for so long at first, then twice as long each time
    longest_pause: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """One channel as the file describes it; `fields` are the keys of its kind, secrets looked up."""

    name: str
    kind: str
    address: str | None  # the customer's attribute; None: needs no address
    timeout: timedelta = DEFAULT_TIMEOUT  # for one letter, from the first byte to the last answer
    limits: Limits = Limits()
    cost: Decimal | None = None  # of one letter, in the policy's currency; None: it is not said
    fields: Fields = field(default_factory=lambda: Fields({}, frozenset()), repr=False)
    place: Place = START
    folder: Path = Path()  # from which relative paths start


def utc_now() -> datetime:
    return datetime.now(UTC)


Assign = Callable[[Letter], str | None]
"""Stores the task that a letter asks for, once, and says whose it is; None: nobody's."""


def _nobody(_settings: ChannelSettings) -> Assign:
    return lambda _letter: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What channels need and their own settings do not say."""

    company: Company
    public_url: str | None  # where customers reach us
    signs: bool  # whether there is a secret, with which links in letters are signed
    keep: Callable[[Letter], None]  # shows a letter of the outbox to who looks
    now: Callable[[], datetime] = utc_now  # the date on letters
    assigning: Callable[[ChannelSettings], Assign] = _nobody  # among whom a channel names


def _nothing_more(_settings: ChannelSettings, _report: Report) -> None:
    """The keys say all that can be wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a channel can be: its own keys in the file, and how it is opened."""

    name: str
    about: str
    keys: tuple[Key, ...] = ()
    open: Callable[[ChannelSettings, Around], Channel]
    check: Callable[[ChannelSettings, Report], None] = _nothing_more  # what no single key shows
    address: Callable[[str], str | None] = ADDRESSES.get  # by the channel's name, if not said


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The whole file."""

    company: Company
    channels: tuple[ChannelSettings, ...] | None  # None: it says nothing of channels


def read_channels(
    config_dir: Path, environment: Mapping[str, str], kinds: Mapping[str, Kind]
) -> Described:
    """Raises ChannelsRefused with every finding; a folder without the file says nothing."""
    path = config_dir / CHANNELS_FILE
    report = _Discreet(str(path))
    fields = _fields(path, kinds, report)
    secrets = _Secrets(config_dir, environment, report)
    channels = _channels(fields, kinds, secrets)
    if report.refused:
        raise ChannelsRefused(report.findings())
    return Described(company=_company(fields.value("company")), channels=channels)


class Settings(Record):
    """A map with fixed keys; a key that is unknown is shown without a value that sticks to it."""

    def unknown(self, name: str) -> str:
        shown = re.split("[:：=]", name, maxsplit=1)[0]
        return (
            f'unknown setting "{shown}" of {self.what}{did_you_mean(shown, self._by_name)}'
            f" (allowed: {', '.join(self._by_name)})"
        )


class OneLine(Line):
    """Text that fits into a header or a footer."""

    def value(self, node: Scalar) -> str:
        text = super().value(node)
        if not text.isprintable():
            raise NotThis("found a line break or another control character; allowed: one line")
        return text.strip()


class WebAddress(Word[str]):
    code = "wrong_address"

    def value(self, node: Scalar) -> str:
        if not re.fullmatch(r"https?://[!-~]{1,2000}", node.text):
            raise NotThis(f"{found(node.text)}; allowed: {self.says()}")
        return node.text

    def says(self) -> str:
        return "an address on the web such as https://www.example.com"

    def schema(self) -> JsonSchema:
        return {"type": "string", "format": "uri"}


class Whole(Word[int]):
    """A whole number within bounds."""

    code = "wrong_number"

    def __init__(self, what: str, least: int, most: int) -> None:
        self._what, self._least, self._most = what, least, most

    def value(self, node: Scalar) -> int:
        if not re.fullmatch("[0-9]{1,9}", node.text) or not self._least <= int(node.text) <= (
            self._most
        ):
            raise NotThis(f"{found(node.text)}; allowed: {self.says()}")
        return int(node.text)

    def says(self) -> str:
        return f"{self._what}, {self._least} to {self._most}"

    def schema(self) -> JsonSchema:
        return {"type": "integer", "minimum": self._least, "maximum": self._most}


class Pace(Word[float]):
    """`10/s`, as letters a second."""

    code = "wrong_rate"
    _seconds: ClassVar = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
    _plain = re.compile(r"([0-9]{1,6})/(s|min|h|d)")

    def value(self, node: Scalar) -> float:
        match = self._plain.fullmatch(node.text)
        if match is None or int(match[1]) == 0:
            raise NotThis(f"{found(node.text)}; allowed: {self.says()}")
        return int(match[1]) / self._seconds[match[2]]

    def says(self) -> str:
        return "a number of letters in a time of s, min, h or d, such as 10/s or 500/h"

    def schema(self) -> JsonSchema:
        return {"type": "string", "pattern": f"^{self._plain.pattern}$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretName:
    """Where a secret is to be looked up."""

    env: str | None = None
    file: str | None = None


class SecretWord(Shape[SecretName]):
    """A secret by the name of its place; whatever else stands here is never repeated."""

    SAYS = "{env: NAME} for an environment variable, or {file: path} for a file that holds it"

    def read(self, node: Node, report: Report) -> At[SecretName] | None:
        if not isinstance(node, MapNode):
            report.error(
                node.place,
                "secret_in_file",
                f"no secret may stand in this file; allowed: {self.SAYS}",
            )
            return None
        key, value = (node.entries[0][0].text, node.entries[0][1]) if node.entries else ("", node)
        if (
            len(node.entries) != 1
            or key not in {"env", "file"}
            or not isinstance(value, Scalar)
            or value.empty
        ):
            report.error(node.place, "wrong_secret", f"allowed: {self.SAYS}")
            return None
        if key == "env" and not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", value.text):
            report.error(value.place, "wrong_secret", "this names no environment variable")
            return None
        return At(SecretName(**{key: value.text}), node.place)

    def schema(self) -> JsonSchema:
        one = {"type": "object", "additionalProperties": False}
        return {
            "oneOf": [
                one | {"properties": {key: {"type": "string"}}, "required": [key]}
                for key in ("env", "file")
            ]
        }


SECRET = SecretWord()
ATTRIBUTE = Name("the name of an attribute")

COMPANY = Settings(
    "the company",
    (
        Key(name="name", shape=OneLine("a name"), about="Its name, as letters show it."),
        Key(
            name="address",
            shape=OneLine("a postal address in one line", most=300),
            about="Its postal address, in one line. Marketing by e-mail is not sent without it.",
        ),
        Key(name="website", shape=WebAddress(), about="Its address on the web."),
        Key(
            name="phone",
            shape=OneLine("a telephone number", most=40),
            about="The number at which customers reach it.",
        ),
        Key(
            name="email",
            shape=OneLine("an e-mail address"),
            about="The address to which customers may write.",
        ),
    ),
)
BREAKER = Settings(
    "a breaker",
    (
        Key(
            name="faults",
            shape=Whole("a number of faults", 1, 1000),
            about="So many faults of the provider in a row, and it is left alone for a while.",
            default="5",
        ),
        Key(
            name="pause",
            shape=Duration(),
            about="For how long at first. Each trial that fails doubles it.",
            default="30s",
        ),
        Key(
            name="longest",
            shape=Duration(),
            about="For how long at most.",
            default="15min",
        ),
    ),
)
COMMON = (
    Key(
        name="address",
        shape=ATTRIBUTE,
        about="The customer's attribute that holds her address on this channel.",
        default="email for e-mail, phone for sms",
    ),
    Key(
        name="timeout",
        shape=Duration(),
        about="How long one letter may take, from the connection to the last answer; at most 90s.",
        default="20s",
    ),
    Key(
        name="rate",
        shape=Pace(),
        about="How many letters may leave in a time, such as 10/s; each process counts for itself.",
    ),
    Key(
        name="burst",
        shape=Whole("a number of letters", 1, 100_000),
        about="How many may leave at once after a rest. Needs a rate.",
        default="1",
    ),
    Key(name="breaker", shape=BREAKER, about="When a provider that fails is left alone."),
    Key(
        name="cost",
        shape=Number("what one letter costs, in the policy's currency"),
        about="What one letter costs, in the policy's currency; reports count with it.",
    ),
)


class _OfItsKind(Shape[tuple[str, Fields]]):
    """A channel; the key `kind` says which further keys it has."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        word = OneWord({kind.name: kind.about for kind in kinds.values()})
        kind_key = Key(name="kind", shape=word, about="What it is.", required=True)
        self._word = word
        self._bare = Settings("a channel", (kind_key,))
        self._records = {
            name: Settings(f"a channel of kind {name}", (kind_key, *COMMON, *kind.keys))
            for name, kind in kinds.items()
        }

    def read(self, node: Node, report: Report) -> At[tuple[str, Fields]] | None:
        kind = self._kind(node, report)
        if kind is None:
            return None
        held = self._records[kind].read(node, report)
        return At((kind, held.value), held.place) if held else None

    def _kind(self, node: Node, report: Report) -> str | None:
        if not isinstance(node, MapNode):
            report.error(
                node.place, "wrong_value", f"{described(node)}; allowed: a map with a kind"
            )
            return None
        value = next((value for key, value in node.entries if key.text == "kind"), None)
        if value is None:
            report.error(node.place, "missing_key", f"a channel needs a kind: {self._word.says()}")
            return None
        read = self._word.read(value, report)
        return None if read is None else read.value

    def schema(self) -> JsonSchema:
        return {"oneOf": [record.schema() for record in self._records.values()]}


def channels_record(kinds: Mapping[str, Kind]) -> Settings:
    """The file as a whole."""
    return Settings(
        "the file of channels",
        (
            Key(name="company", shape=COMPANY, about="Who writes to the customers."),
            Key(
                name="channels",
                shape=MapOf(CHANNEL, _OfItsKind(kinds), most=50),
                about="Every channel by the name that rules use.",
            ),
        ),
    )


class _Discreet(Report):
    """Tells of tags and anchors without them: a password that begins with ! or & looks like one."""

    def error(self, place: Place, code: str, message: str) -> None:
        if code in {"tag_refused", "anchor_refused"}:
            message = "values beginning with !, & or * are not allowed here without quotes"
        super().error(place, code, message)


def _fields(path: Path, kinds: Mapping[str, Kind], report: Report) -> Fields:
    nothing = Fields({}, frozenset())
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return nothing
    except OSError as error:
        report.error(START, "unreadable_file", f"{error.strerror or error}")
        return nothing
    text = decoded(content, report)
    node = tree(text, report) if text is not None else None
    held = channels_record(kinds).read(node, report) if node is not None else None
    return held.value if held is not None else nothing


def _company(held: Fields | None) -> Company:
    return Company(**{name: at.value for name, at in (held or {}).items()})


def _channels(
    fields: Fields, kinds: Mapping[str, Kind], secrets: _Secrets
) -> tuple[ChannelSettings, ...] | None:
    entries = fields.value("channels")
    if not entries:
        return None
    described = [
        _channel(name.value, kinds[kind_name], secrets.looked_up(own), held.place, secrets)
        for name, held in entries
        for kind_name, own in [held.value]
    ]
    return tuple(described)


def _channel(
    name: str, kind: Kind, fields: Fields, place: Place, secrets: _Secrets
) -> ChannelSettings:
    report = secrets.report
    timeout = fields.value("timeout", DEFAULT_TIMEOUT)
    if timeout > LONGEST_TIMEOUT:
        report.error(fields["timeout"].place, "wrong_duration", "allowed: at most 90s")
    if "burst" in fields and "rate" not in fields.written:
        report.error(fields["burst"].place, "missing_key", "a burst needs a rate, such as 10/s")
    settings = ChannelSettings(
        name=name,
        kind=kind.name,
        address=fields.value("address") or kind.address(name),
        timeout=timeout,
        limits=_limits(fields, report),
        cost=fields.value("cost"),
        fields=fields,
        place=place,
        folder=secrets.folder,
    )
    kind.check(settings, report)
    return settings


def _limits(fields: Fields, report: Report) -> Limits:
    breaker: Fields = fields.value("breaker", Fields({}, frozenset()))
    limits = Limits(
        rate=fields.value("rate"),
        burst=fields.value("burst", Limits().burst),
        faults=breaker.value("faults", Limits().faults),
        pause=breaker.value("pause", Limits().pause),
        longest_pause=breaker.value("longest", Limits().longest_pause),
    )
    if limits.longest_pause < limits.pause:
        place = breaker.place("longest", breaker.place("pause", START))
        report.error(place, "wrong_duration", "the longest pause is shorter than the first one")
    return limits


@dataclass(frozen=True, slots=True)
class _Secrets:
    """Looks up what the file names; what is missing or can be read by everybody is reported."""

    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    report: Report

    def looked_up(self, fields: Fields) -> Fields:
        """The same with `Secret` for every `SecretName`, at any depth; one that is missing is left out."""
        pairs = {name: self._deep(at) for name, at in fields.items()}
        return Fields({n: at for n, at in pairs.items() if at.value is not None}, fields.written)

    def _deep(self, held: Any) -> Any:
        if isinstance(held, At):
            value = held.value
            named = isinstance(value, SecretName)
            return At(self._secret(value, held.place) if named else self._deep(value), held.place)
        if isinstance(held, Fields):
            return self.looked_up(held)
        return tuple(map(self._deep, held)) if isinstance(held, tuple) else held

    def _secret(self, name: SecretName, place: Place) -> Secret | None:
        if name.env is not None:
            text, source = self.environment.get(name.env), f"the environment variable {name.env}"
            if not text:
                self.report.error(place, "secret_missing", f"{source} is not set")
        else:
            path = self.folder / (name.file or "")
            text, source = self._content(path, place), f"the file {path}"
        return Secret(text=text, source=source) if text else None

    def _content(self, path: Path, place: Place) -> str | None:
        try:
            mode, content = path.stat().st_mode, path.read_bytes().decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            self.report.error(place, "secret_missing", f"{path} cannot be read: {why}")
            return None
        if mode & 0o007:
            self.report.error(
                place,
                "secret_open",
                f"everybody on this machine may read {path}; do: chmod o= {path}",
            )
        elif not content:
            self.report.error(place, "secret_missing", f"{path} is empty")
        return content


def pairs_of(held: Sequence[tuple[At[str], At[Any]]]) -> dict[str, Any]:
    """A map of the file as a dict, in its order."""
    return {name.value: value.value for name, value in held}

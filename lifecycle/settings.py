"""Which database, which policy folder, which broker, port and clock? Flags first, then the environment,
then `settings.yaml` in the config folder, then the defaults below; nothing else is ever asked.

The working directory has a say in one thing only, on purpose: without any database named, a command
line's database is the file `lifecycle.db` where one stands. Whoever wants another says so.
"""

from __future__ import annotations

import difflib
import ipaddress
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import SplitResult, parse_qs, quote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lifecycle import resources
from lifecycle.clock import ClockSpec
from lifecycle.errors import Unusable
from lifecycle.loopback import LOOPBACK

if TYPE_CHECKING:
    from ruamel.yaml.nodes import ScalarNode

DEFAULT_DATABASE_URL = "sqlite:///lifecycle.db"
DEFAULT_PORT = 8000
DEFAULT_PREFIX = "lifecycle"
DEFAULT_MAX_PENDING = 10_000_000  # events: a day of a hundred a second, some gigabytes
DEFAULT_KEEP_DAYS = 90
BROKERS = ("redis", "rediss", "amqp", "amqps")
CA_OPTION = (
    "ssl_ca_certs"  # of a broker's URL: the file of the authority that signs its certificate
)
CERT_OPTION, KEY_OPTION = "ssl_certfile", "ssl_keyfile"  # one of our own, where it asks for it
CERTIFICATE_OPTIONS = (CA_OPTION, CERT_OPTION, KEY_OPTION)
BROKER_OPTIONS = {
    "redis": (
        "client_name",
        "db",
        "health_check_interval",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_timeout",
    ),
    "amqp": (
        "channel_max",
        "client_properties",
        "connection_attempts",
        "frame_max",
        "heartbeat",
        "locale",
        "retry_delay",
        "socket_timeout",
        "stack_timeout",
        "tcp_options",
    ),
}
"""Of a broker's URL, by the first of its schemes. Its client knows more of them, such as one by which
no certificate is verified, or another host."""
HIGHEST_PORT = 65535
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

SETTINGS_FILE = "settings.yaml"
SETTINGS_FILE_LIMIT = 64 * 1024  # bytes: a settings file is a page, not a log that got its name

PREFIX = "LIFECYCLE_"
VARIABLES = {
    "database_url": "LIFECYCLE_DATABASE_URL",
    "config_dir": "LIFECYCLE_CONFIG_DIR",
    "templates_dir": "LIFECYCLE_TEMPLATES_DIR",
    "broker_url": "LIFECYCLE_BROKER_URL",
    "broker_prefix": "LIFECYCLE_BROKER_PREFIX",
    "require_broker": "LIFECYCLE_REQUIRE_BROKER",
    "port": "LIFECYCLE_PORT",
    "metrics_port": "LIFECYCLE_METRICS_PORT",
    "metrics_host": "LIFECYCLE_METRICS_HOST",
    "max_pending": "LIFECYCLE_MAX_PENDING",
    "night": "LIFECYCLE_NIGHT",
    "scoring": "LIFECYCLE_SCORING",
    "keep_days": "LIFECYCLE_KEEP_DAYS",
    "public_url": "LIFECYCLE_PUBLIC_URL",
    "secret": "LIFECYCLE_SECRET",
    "secret_previous": "LIFECYCLE_SECRET_PREVIOUS",
    "secret_file": "LIFECYCLE_SECRET_FILE",
    "clock": "LIFECYCLE_CLOCK",
    "log": "LIFECYCLE_LOG",
    "log_level": "LIFECYCLE_LOG_LEVEL",
}
FLAGS = {
    "database_url": "--database",
    "config_dir": "--config-dir",
    "templates_dir": "--templates-dir",
    "broker_url": "--broker",
    "broker_prefix": "--broker-prefix",
    "require_broker": "--require-broker",
    "port": "--port",
    "metrics_port": "--metrics-port",
    "metrics_host": "--metrics-host",
    "max_pending": "--max-pending",
    "night": "--night",
    "scoring": "--scoring",
    "keep_days": "--keep-days",
    "public_url": "--public-url",
    "secret_file": "--secret-file",
    "clock": "--clock",
    "log": "--log",
    "log_level": "--log-level",
}
DEBUG_VARIABLE = "LIFECYCLE_DEBUG"  # any value: a bug shows its traceback (see `lifecycle.cli`)

# neither the folder that holds the file is among them, nor what nobody but us may know
_IN_FILE = tuple(
    name for name in VARIABLES if name not in {"config_dir", "secret", "secret_previous"}
)
LEAST_SECRET = 32  # bytes
_SQLITE_FILE = "sqlite:///"


class LogForm(StrEnum):
    """How a line of the log is written."""

    TEXT = "text"  # for people
    JSON = "json"  # an object a line, for programs


class LogLevel(StrEnum):
    """From which level on lines are logged."""

    WARNING = "warning"  # what somebody should look at
    INFO = "info"  # and what begins and ends, and a line for every request
    DEBUG = "debug"  # and what only those want to know who change the program

    @property
    def number(self) -> int:
        """As Python's logging counts."""
        return logging.getLevelNamesMapping()[self.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class NightTime:
    """When the work of the night begins."""

    at: time = time(3, 30)  # local
    zone: str | None = None  # IANA name; None: the policy's


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an installation runs with; made by `read_settings`, and by tests directly."""

    database_url: str  # sqlite:///path, or postgresql://…
    config_dir: Path  # policy.yaml, settings.yaml, channels.yaml, mappings/
    templates_dir: Path = field(default_factory=resources.templates_dir)  # a folder a message
    broker_url: str | None = None  # redis(s)://… or amqp(s)://…; None: nothing carries rings
    broker_prefix: str = DEFAULT_PREFIX  # of every name on the broker
    require_broker: bool = False  # refuse to start without one that serves, instead of polling
    port: int = DEFAULT_PORT  # of the API; 0: any free one
    metrics_port: int | None = None  # of a process without an API; None: it serves no metrics
    metrics_host: str = LOOPBACK  # the address on which it does
    max_pending: int = DEFAULT_MAX_PENDING  # events that may wait while more are taken in
    night: NightTime = NightTime()
    scoring: str | None = None  # module:function of the hook that scores; None: nothing does
    keep_days: int = DEFAULT_KEEP_DAYS  # for which finished nights are remembered
    public_url: str | None = None  # https://…, where customers reach us; None: nowhere
    secret: bytes | None = field(default=None, repr=False)  # signs links, hashes addresses
    secret_previous: bytes | None = field(default=None, repr=False)  # what it signed is still good
    clock: ClockSpec | None = None  # None: nobody asked for a made-up clock
    log: LogForm = LogForm.TEXT
    log_level: LogLevel | None = None  # None: as whoever runs it sees fit

    @property
    def reachable_at(self) -> str | None:
        """Where customers reach us; in a try on one machine, where nothing is set, that machine."""
        if self.public_url is None and self.database_url.startswith(_SQLITE_FILE) and self.port:
            return f"http://localhost:{self.port}"
        return self.public_url


def read_settings(
    flags: Mapping[str, str | None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Raises Unusable, with where the value stands and what is allowed.

    An environment variable that is set but empty counts as unset, as container tools leave them.
    """
    environment = os.environ if environment is None else environment
    _refuse_misspelt(environment)
    named = dict(_named(flags or {}, environment))
    config_dir = _config_dir(named.get("config_dir"))
    values = dict(_filed(config_dir)) | named
    broker, prefix, port = (values.get(f) for f in ("broker_url", "broker_prefix", "port"))
    required, max_pending = values.get("require_broker"), values.get("max_pending")
    metrics_port, metrics_host = values.get("metrics_port"), values.get("metrics_host")
    night, scoring, keep_days = (values.get(f) for f in ("night", "scoring", "keep_days"))
    public_url, templates_dir = values.get("public_url"), values.get("templates_dir")
    clock, log, log_level = (values.get(f) for f in ("clock", "log", "log_level"))
    return Settings(
        database_url=_database_url(values.get("database_url")),
        config_dir=config_dir,
        templates_dir=resources.templates_dir()
        if templates_dir is None
        else _folder(templates_dir),
        broker_url=None if broker is None else _broker_url(broker),
        broker_prefix=DEFAULT_PREFIX if prefix is None else _prefix(prefix),
        require_broker=False if required is None else _yes_or_no(required),
        port=DEFAULT_PORT if port is None else _port(port),
        metrics_port=None if metrics_port is None else _port(metrics_port),
        metrics_host=LOOPBACK if metrics_host is None else _address(metrics_host),
        max_pending=DEFAULT_MAX_PENDING if max_pending is None else _max_pending(max_pending),
        night=NightTime() if night is None else _night(night),
        scoring=None if scoring is None else _hook(scoring),
        keep_days=DEFAULT_KEEP_DAYS if keep_days is None else _days(keep_days),
        public_url=None if public_url is None else _public_url(public_url),
        secret=_secret(values.get("secret"), values.get("secret_file")),
        secret_previous=_secret(values.get("secret_previous"), None),
        clock=None if clock is None else ClockSpec.parse(clock.text, where=clock.where),
        log=LogForm.TEXT if log is None else _one_of(LogForm, log),
        log_level=None if log_level is None else _one_of(LogLevel, log_level),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """One value as it was written, and where, for the message when it is wrong."""

    text: str
    where: str  # a flag, a variable, or file:line:column
    base: Path  # what a relative path in it starts from


def _named(
    flags: Mapping[str, str | None], environment: Mapping[str, str]
) -> Iterator[tuple[str, _Value]]:
    """What flags and the environment say; a flag wins."""
    for name, variable in VARIABLES.items():
        flag, text = flags.get(name), environment.get(variable)
        if flag is not None and name in FLAGS:
            yield name, _Value(text=flag, where=FLAGS[name], base=Path.cwd())
        elif text:
            yield name, _Value(text=text, where=variable, base=Path.cwd())


def _refuse_misspelt(environment: Mapping[str, str]) -> None:
    """LIFECYCLE_DATABSE_URL would otherwise mean, in silence, the default database."""
    known = [*VARIABLES.values(), DEBUG_VARIABLE]
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            meant = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            if meant:
                raise Unusable(f"{name} is not a setting; did you mean {meant[0]}?")


def _config_dir(value: _Value | None) -> Path:
    return resources.config_dir() if value is None else _folder(value)


def _folder(value: _Value) -> Path:
    folder = (value.base / value.text).resolve()
    if not folder.is_dir():
        raise Unusable(f"{value.where}: there is no folder {str(folder)!r}")
    return folder


def _database_url(value: _Value | None) -> str:
    """With the path of an SQLite file made absolute, so that it is the same file from then on.

    A relative one starts from the working directory; in settings.yaml, from the folder of that file.
    """
    if value is None:
        value = _Value(text=DEFAULT_DATABASE_URL, where="", base=Path.cwd())
    path = value.text.removeprefix(_SQLITE_FILE)
    if path == value.text or not path or path.startswith((":", "/", "?")):
        return value.text
    return f"{_SQLITE_FILE}{quote(str(value.base))}/{path}"


def _broker_url(value: _Value) -> str:
    """As it was written. What is wrong is told without it, as a password may be in it."""
    allowed = ", ".join(f"{scheme}://…" for scheme in BROKERS)
    try:
        parts = urlsplit(value.text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Unusable(
            f"{value.where}: this is not a URL (its host or port cannot be read; write / # ? and @ of"
            f" a password as %2F %23 %3F %40); allowed: {allowed}"
        ) from error
    if "@" in parts.path + parts.query + parts.fragment:
        raise Unusable(
            f"{value.where}: an @ stands after the host; write / # ? and @ of a password as %2F %23"
            " %3F %40"
        )
    if parts.scheme not in BROKERS:
        found = f"unknown scheme {parts.scheme[:40]!r}" if parts.scheme else "this is not a URL"
        raise Unusable(f"{value.where}: {found}; allowed: {allowed}, or unset for no broker")
    if not host:
        raise Unusable(
            f"{value.where}: no host is named; write {parts.scheme}://host or {parts.scheme}://host:port"
        )
    _refuse_options(value.where, parts)
    _refuse_database(value.where, parts)
    return value.text


def _refuse_options(where: str, parts: SplitResult) -> None:
    """Whoever connects would tell of them in the words of a client's library, or never."""
    plain = "redis" if parts.scheme.startswith("redis") else "amqp"
    encrypted = parts.scheme != plain
    allowed = sorted((*BROKER_OPTIONS[plain], *(CERTIFICATE_OPTIONS if encrypted else ())))
    for name, values in parse_qs(parts.query, keep_blank_values=True).items():
        if name in CERTIFICATE_OPTIONS and not encrypted:
            raise Unusable(f"{where}: {name} is for {plain}s://, and this is {plain}://")
        if name not in allowed:
            meant = difflib.get_close_matches(name, allowed, n=1)
            raise Unusable(
                f"{where}: unknown option {name[:40]!r} behind the ?"
                + (f", did you mean {meant[0]!r}?" if meant else "")
                + f"; allowed with {parts.scheme}://: {', '.join(allowed)}"
            )
        for file in values if name in CERTIFICATE_OPTIONS else ():
            if not Path(file).is_absolute() or not Path(file).is_file():
                raise Unusable(
                    f"{where}: {name} names {file!r}, where no file is; write its whole path"
                )


def _refuse_database(where: str, parts: SplitResult) -> None:
    """Redis's client takes whatever is no number for database 0, in silence."""
    if not parts.scheme.startswith("redis"):
        return
    for named in (parts.path.removeprefix("/"), *parse_qs(parts.query).get("db", ())):
        if named and not re.fullmatch(r"[0-9]{1,9}", named):
            raise Unusable(
                f"{where}: {named[:40]!r} is no database of a Redis; allowed: its number, as in"
                f" {parts.scheme}://host:6379/0"
            )


def _prefix(value: _Value) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", value.text):
        raise Unusable(
            f"{value.where}: {value.text[:40]!r} cannot begin names on the broker; allowed: a letter,"
            " then letters, digits, - and _, 64 at the most"
        )
    return value.text


def _yes_or_no(value: _Value) -> bool:
    if value.text not in {"true", "false"}:
        raise Unusable(f"{value.where}: {value.text[:40]!r} is neither true nor false")
    return value.text == "true"


def _port(value: _Value) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value.text) or int(value.text) > HIGHEST_PORT:
        raise Unusable(
            f"{value.where}: {value.text[:40]!r} is not a port;"
            f" allowed: 1 to {HIGHEST_PORT}, or 0 for any that is free"
        )
    return int(value.text)


def _address(value: _Value) -> str:
    """An address, not a name: which of a name's addresses is meant must not be left to chance."""
    try:
        return str(ipaddress.ip_address(value.text))
    except ValueError as error:
        raise Unusable(
            f"{value.where}: {value.text[:40]!r} is not an address to listen on; allowed: 127.0.0.1 or"
            " ::1 for this machine alone, 0.0.0.0 or :: for every network it is in"
        ) from error


def _public_url(value: _Value) -> str:
    """Without a slash at its end. Plain http only where nobody but this machine can be asked."""
    parts = _split(value.text)
    host = parts.hostname if parts else None
    if parts is None or not host or "@" in value.text or parts.query or parts.fragment:
        raise Unusable(
            f"{value.where}: this is no address where customers reach us; allowed:"
            " https://care.example.com, perhaps with a path"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOCAL_HOSTS):
        raise Unusable(
            f"{value.where}: links to {parts.scheme}://{host} could be read and changed on their way;"
            " allowed: https://…, or http://localhost for a try"
        )
    return value.text.rstrip("/")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.hostname, parts.port
    except ValueError:
        return None
    return parts


def _secret(value: _Value | None, file: _Value | None) -> bytes | None:
    """What is wrong is told without it."""
    if file is None:
        return None if value is None else _long_enough(value.text.encode(), value.where)
    if value is not None:
        raise Unusable(f"{value.where} and {file.where} are both set; keep one of them")
    path = file.base / file.text
    try:
        mode, content = path.stat().st_mode, path.read_bytes().strip()
    except OSError as error:
        raise Unusable(f"{file.where}: {path} cannot be read: {error.strerror}") from error
    if mode & 0o007:
        raise Unusable(
            f"{file.where}: everybody on this machine may read {path}; do: chmod o= {path}"
        )
    return _long_enough(content, file.where)


def _long_enough(secret: bytes, where: str) -> bytes:
    if len(secret) < LEAST_SECRET or len(set(secret)) < LEAST_SECRET // 4:
        raise Unusable(
            f"{where}: what it holds can be guessed; allowed: at least {LEAST_SECRET} random characters,"
            " as `openssl rand -base64 48` writes them"
        )
    return secret


_Choice = TypeVar("_Choice", LogForm, LogLevel)


def _one_of(choices: type[_Choice], value: _Value) -> _Choice:
    try:
        return choices(value.text)
    except ValueError:
        allowed = ", ".join(choices)
        raise Unusable(
            f"{value.where}: {value.text[:40]!r} is not possible; allowed: {allowed}"
        ) from None


def _max_pending(value: _Value) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", value.text) or int(value.text) == 0:
        raise Unusable(
            f"{value.where}: {value.text[:40]!r} is no number of events; allowed: 1 to 999999999999"
        )
    return int(value.text)


def _night(value: _Value) -> NightTime:
    clock, _, zone = value.text.partition(" ")
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", clock):
        raise Unusable(
            f"{value.where}: {value.text[:40]!r} is no time of day; allowed: 03:30, which is by the"
            " policy's time zone, or 03:30 Europe/Berlin"
        )
    zone = zone.strip()
    try:
        if zone:
            ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Unusable(
            f"{value.where}: {zone[:40]!r} is no time zone; allowed: an IANA name such as"
            " Europe/Berlin, or none for the policy's"
        ) from error
    return NightTime(at=time.fromisoformat(clock), zone=zone or None)


def _hook(value: _Value) -> str:
    name = r"[A-Za-z_][A-Za-z0-9_]*"
    if not re.fullmatch(rf"{name}(\.{name})*:{name}", value.text):
        raise Unusable(
            f"{value.where}: {value.text[:80]!r} names no function; allowed: module:function, such as"
            " scoring:tiers for the function tiers of scoring.py in the config folder"
        )
    return value.text


def _days(value: _Value) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value.text) or int(value.text) == 0:
        raise Unusable(
            f"{value.where}: {value.text[:40]!r} is no number of days; allowed: 1 to 99999"
        )
    return int(value.text)


def _filed(config_dir: Path) -> Iterator[tuple[str, _Value]]:
    """What settings.yaml says; a folder without one says nothing."""
    file = config_dir / SETTINGS_FILE
    if not file.exists():
        return
    seen: set[str] = set()
    for key, node in _pairs(file):
        where = f"{file}:{key.start_mark.line + 1}:{key.start_mark.column + 1}"
        if key.value not in _IN_FILE:
            meant = difflib.get_close_matches(key.value, _IN_FILE, n=1)
            raise Unusable(
                f"{where}: unknown setting {key.value[:40]!r}"
                + (f", did you mean {meant[0]!r}?" if meant else "")
                + f"; allowed: {', '.join(_IN_FILE)}"
            )
        if key.value in seen:
            raise Unusable(f"{where}: {key.value!r} is set twice; keep one of them")
        seen.add(key.value)
        if node is None or not node.value:
            raise Unusable(f"{where}: {key.value!r} needs one value, as text or number")
        yield key.value, _Value(text=node.value, where=f"{where}: {key.value}", base=config_dir)


def _pairs(file: Path) -> list[tuple[ScalarNode, ScalarNode | None]]:
    """The nodes as written: a port stays text and a clock is not taken for a date by YAML.

    None stands for a value that is no single one.
    """
    try:
        if file.stat().st_size > SETTINGS_FILE_LIMIT:
            raise Unusable(
                f"{file}: larger than {SETTINGS_FILE_LIMIT} bytes; this is no settings file"
            )
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{file}: cannot be read: {error}") from error
    if all(map(_is_comment, text.split("\n"))):
        return []  # as in the file that comes with the program: nobody waits for YAML
    return _parsed(text, file)


def _is_comment(line: str) -> bool:
    return line.isprintable() and line.lstrip(" ")[:1] in {"", "#"}


def _parsed(text: str, file: Path) -> list[tuple[ScalarNode, ScalarNode | None]]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.nodes import MappingNode, ScalarNode

    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise Unusable(f"{file}{at}: not YAML: {error.problem or error.context}") from error
    except YAMLError as error:
        raise Unusable(f"{file}: cannot be read: {error}") from error
    if root is None:
        return []
    if not isinstance(root, MappingNode) or not all(
        isinstance(key, ScalarNode) for key, _ in root.value
    ):
        raise Unusable(
            f"{file}: settings are lines of `name: value`; allowed: {', '.join(_IN_FILE)}"
        )
    return [(key, node if isinstance(node, ScalarNode) else None) for key, node in root.value]

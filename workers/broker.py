"""Which broker does LIFECYCLE_BROKER_URL name, and can it be relied on?

Redis, RabbitMQ, or none, and then everyone polls.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from urllib.parse import urlsplit

from dramatiq import Broker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware

from lifecycle.errors import Unavailable, Unusable
from lifecycle.logs.lines import Teller
from lifecycle.settings import FLAGS, VARIABLES, Settings
from workers.diagnosis import diagnosed
from workers.line import POLLING, Line
from workers.troubles import Trouble, Unfit

tell = Teller("lifecycle")

NONE = "none"
REQUIRED = VARIABLES["require_broker"]


def examine(settings: Settings) -> None:
    """Asked once, when a process starts: refuses what must not be used, warns of what is too old.

    That it is away is told by the line of the process, as it may be so at any time.
    Raises Unusable, or Unavailable where a broker is required that may yet come.
    """
    if settings.broker_url is None:
        if settings.require_broker:
            raise Unusable(
                f"a broker is required ({REQUIRED}, {FLAGS['require_broker']}) and none is named;"
                f" name one with {VARIABLES['broker_url']}, or require none"
            )
        return
    unfit = _unfit(settings)
    if unfit is None:
        return
    told = f"the broker at {shown(settings.broker_url)} does not serve: {unfit.why}"
    if unfit.trouble is Trouble.FORGETS:
        raise Unusable(told)
    if settings.require_broker:
        refused = f"{told}; nothing was started, as {REQUIRED} is set"
        without = "unset that to begin without, and find work up to a second later"
        if unfit.trouble is Trouble.AWAY:
            raise Unavailable(f"{refused}: start this again when it answers, or {without}")
        raise Unusable(f"{refused}: put it right and start this again, or {without}")
    if unfit.trouble is Trouble.OLD:
        tell.warning(
            "broker_unfit",
            "{told}; done without it as far as it fails, work is found within seconds all the same",
            told=told,
        )


def _unfit(settings: Settings) -> Unfit | None:
    broker, _ = broker_for(settings)
    try:
        return broker.unfit()  # type: ignore[attr-defined,no-any-return] # both of ours have it
    finally:
        broker.close()


def line_of(settings: Settings, without: str | None = None) -> Line:
    """How a process knows whether its broker answers; `without` says what it does while it does not."""
    return Line(NONE) if settings.broker_url is None else line_to(settings.broker_url, without)


def line_to(url: str, without: str | None = None) -> Line:
    """The same for a broker that is known by its URL."""
    return Line(shown(url), without=without or POLLING, diagnose=partial(diagnosed, url))


def broker_for(
    settings: Settings, middleware: Iterable[Middleware] = (), line: Line | None = None
) -> tuple[Broker, Line]:
    """The broker, and whether it answers. Without a URL: one in memory, whose line is always away.

    It need not be there yet. `line` is the one of the process, where others of it tell of the broker
    as well. Raises Unusable where the URL or its package is not right.
    """
    url = settings.broker_url
    line = line or line_of(settings)
    if url is None:
        return StubBroker(middleware=list(middleware)), line
    try:
        broker = _named(url, line, list(middleware))
    except ModuleNotFoundError as error:
        raise Unusable(
            f"{VARIABLES['broker_url']} is {line.shown}, and the package {error.name!r} that talks to"
            f" it is not installed; `pip install {error.name}`, or unset it to do without a broker"
        ) from error
    except (ValueError, TypeError) as error:  # the latter for an option that nobody knows
        raise Unusable(
            f"{VARIABLES['broker_url']}: {line.shown} is not understood: {error}"
        ) from error
    return broker, line


def _named(url: str, line: Line, middleware: list[Middleware]) -> Broker:
    if urlsplit(url).scheme in {"redis", "rediss"}:
        from workers.redis_bells import RedisBells

        return RedisBells(url, line, middleware)
    from workers.amqp_bells import AmqpBells

    return AmqpBells(url, line, middleware)


def shown(url: str) -> str:
    """The URL without name, password and options."""
    parts = urlsplit(url)
    _, _, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{host}{parts.path}"

"""Which broker does LIFECYCLE_BROKER_URL name? Redis, RabbitMQ, or none, and then everyone polls."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from dramatiq import Broker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware

from lifecycle.errors import Unusable
from lifecycle.settings import VARIABLES, Settings
from workers.line import Line

NONE = "none"


def broker_for(settings: Settings, middleware: Iterable[Middleware] = ()) -> tuple[Broker, Line]:
    """The broker, and whether it answers. Without a URL: one in memory, whose line is always away.

    It need not be there yet. Raises Unusable for one that cannot be used whenever it comes.
    """
    url = settings.broker_url
    if url is None:
        return StubBroker(middleware=list(middleware)), Line(NONE)
    line = Line(shown(url))
    try:
        broker = _named(url, line, list(middleware))
    except ModuleNotFoundError as error:
        raise Unusable(
            f"{VARIABLES['broker_url']} is {line.shown}, and the package {error.name!r} that talks to"
            f" it is not installed; `pip install {error.name}`, or unset it to do without a broker"
        ) from error
    except ValueError as error:
        raise Unusable(
            f"{VARIABLES['broker_url']}: {line.shown} is not understood: {error}"
        ) from error
    return broker, line


def _named(url: str, line: Line, middleware: list[Middleware]) -> Broker:
    if urlsplit(url).scheme in {"redis", "rediss"}:
        from workers.redis_bells import RedisBells, refuse_one_that_forgets

        bells = RedisBells(url, line, middleware)
        refuse_one_that_forgets(bells.client, line.shown)
        return bells
    from workers.amqp_bells import AmqpBells

    return AmqpBells(url, line, middleware)


def shown(url: str) -> str:
    """The URL without name, password and options."""
    parts = urlsplit(url)
    _, _, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{host}{parts.path}"

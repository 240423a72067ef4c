"""Which RabbitMQ do the tests run on? The one that is named by its URL, and no other: it comes in no
wheel. Without it the tests marked `rabbitmq` are left out, and the summary says so.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator

import pika
import pika.exceptions

URL_VARIABLE = "LIFECYCLE_TEST_AMQP_URL"
"""Names a server on which the tests may declare and delete queues called `lifecycle-test-…`."""

LEFT_OUT = (
    f"of RabbitMQ left out: it comes in no wheel; {URL_VARIABLE}=amqp://… names a server of yours"
)


class RabbitmqUnavailable(Exception):
    """The RabbitMQ that was named does not answer."""


def named() -> str | None:
    return os.environ.get(URL_VARIABLE) or None


def server() -> str:
    """The URL of the server that was named, which answers."""
    url = named()
    assert url is not None, f"tests that need {URL_VARIABLE} are marked `rabbitmq`"
    try:
        pika.BlockingConnection(pika.URLParameters(url)).close()
    except (pika.exceptions.AMQPError, OSError) as error:
        raise RabbitmqUnavailable(
            f"{URL_VARIABLE} names a server that does not answer: {error!r}"
            f" Start it, name another one, or unset {URL_VARIABLE} to leave its tests out."
        ) from error
    return url


@contextlib.contextmanager
def fresh_prefix(url: str, *queues: str) -> Iterator[str]:
    """What the names of all queues of a test begin with; `queues`, by their ends, are deleted."""
    prefix = f"lifecycle-test-{secrets.token_hex(6)}"
    try:
        yield prefix
    finally:
        connection = pika.BlockingConnection(pika.URLParameters(url))
        for queue in queues:
            connection.channel().queue_delete(f"{prefix}{queue}")
        connection.close()

"""Tests of RabbitMQ run on the server that was named, leave it clean, and say so where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pika
import pytest

from tests.support import rabbitmq

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.rabbitmq
def test_a_prefix_leaves_nothing_behind(amqp_url: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    with rabbitmq.fresh_prefix(amqp_url, ".rings") as prefix:
        connection.channel().queue_declare(f"{prefix}.rings", durable=True)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
        connection.channel().queue_declare(f"{prefix}.rings", passive=True)
    connection.close()


@pytest.mark.parametrize("workers", ["0", "1"])
def test_where_none_is_named_its_tests_are_left_out_and_the_summary_says_so(workers: str) -> None:
    """With pytest-xdist too, where those who collect are not those who print."""
    environment = {name: v for name, v in os.environ.items() if name != rabbitmq.URL_VARIABLE}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", workers, f"{__file__}::{MARKED}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"1 tests {rabbitmq.LEFT_OUT}" in ended.stdout, ended.stdout + ended.stderr


MARKED = test_a_prefix_leaves_nothing_behind.__name__

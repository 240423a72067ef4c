"""docs/posting.md shows how to post from any language: every example in it is run, as it stands.

Only the addresses in it are replaced, by those of servers that are here for the test. Programs that
are not on this machine leave their examples out, and the summary of the tests says which.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pika
import pytest

from lifecycle.bootstrap import Engine, build
from lifecycle.domain.scope import Scope
from lifecycle.engine import keys
from lifecycle.resources import config_dir
from lifecycle.settings import Settings
from lifecycle.store import events
from tests.conftest import ROOT
from tests.support.rabbitmq import fresh_prefix
from tests.support.redis import WheelServer
from tests.web.conftest import serving
from tests.workers.queues import consuming, until
from workers import intake

DOCUMENT = (ROOT / "docs" / "posting.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:<!-- example: stores ([^>]+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)

HTTP, REDIS = "http://127.0.0.1:8000", "redis://127.0.0.1:6379"
AMQP = "amqp://guest:guest@127.0.0.1:5672"
SHELL = ["/bin/sh", "-e"]
RUN_BY = {"sh": (SHELL, ".sh"), "python": ([sys.executable], ".py"), "js": (["node"], ".mjs")}
WITHIN = 60  # seconds, for one example


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    stores: tuple[str, ...]  # source/id of the events that it posts
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.language}-{'-'.join(self.stores)}"

    @property
    def programs(self) -> list[str]:
        """What it needs on the machine, beside a shell and this Python."""
        named = {"js": ["node"]}.get(self.language, [])
        words = ("curl", "redis-cli")
        return named + [word for word in words if self.language == "sh" and word in self.text]


EXAMPLES = [
    Example(stores=tuple((found[1] or "").split()), language=found[2], text=found[3])
    for found in BLOCK.finditer(DOCUMENT)
]


def test_every_block_of_code_is_an_example_that_is_run() -> None:
    assert len(EXAMPLES) >= 6
    assert {example.language for example in EXAMPLES} == {"sh", "python", "js"}
    assert all(example.stores for example in EXAMPLES)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Under the default policy, as the document says."""
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'test.db'}", config_dir=config_dir())
    with build(settings) as engine:
        yield engine


@pytest.mark.redis
@pytest.mark.parametrize("example", [one for one in EXAMPLES if AMQP not in one.text], ids=str)
def test_an_example_of_the_document_posts_what_it_says(
    example: Example, engine: Engine, own_redis: WheelServer, tmp_path: Path
) -> None:
    """Over HTTP with the key that it shows, as this server asks for one."""
    for program in example.programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on this machine, so its example is not run")
    stop = threading.Event()
    with (
        consuming(stop, partial(intake.run, engine, own_redis.url, stop)),
        serving(engine) as client,
    ):
        # redis-cli takes the nobody of `redis://:password@…` for a user called "".
        redis = own_redis.url.replace("//:", "//default:")
        addresses = {HTTP: str(client.base_url).rstrip("/"), REDIS: redis}
        key = keys.create(engine.db, "docs", [Scope.EVENTS_WRITE], by="the test")
        run(example, addresses, tmp_path, LIFECYCLE_KEY=key.text)
        for name in example.stores:
            until(partial(is_stored, engine, name), f"{name} is stored")


@pytest.mark.rabbitmq
@pytest.mark.parametrize("example", [one for one in EXAMPLES if AMQP in one.text], ids=str)
def test_an_example_for_rabbitmq_posts_what_it_says(
    example: Example, engine: Engine, amqp_url: str, tmp_path: Path
) -> None:
    """On a server of others, so under names of its own."""
    stop = threading.Event()
    with fresh_prefix(amqp_url, ".events", ".rejected") as prefix:
        queues = {f"lifecycle.{name}": f"{prefix}.{name}" for name in ("events", "rejected")}
        with consuming(stop, partial(intake.run, engine, amqp_url, stop, prefix)):
            until(partial(exists, amqp_url, f"{prefix}.events"), "the queue is there")
            run(example, {AMQP: amqp_url, **queues}, tmp_path)
            for name in example.stores:
                until(partial(is_stored, engine, name), f"{name} is stored")


def exists(url: str, queue: str) -> bool:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        connection.channel().queue_declare(queue, passive=True)
    except pika.exceptions.ChannelClosedByBroker:
        return False
    finally:
        connection.close()
    return True


def run(example: Example, addresses: dict[str, str], directory: Path, **environment: str) -> None:
    text = example.text
    for shown, real in addresses.items():
        text = text.replace(shown, real)
    command, suffix = RUN_BY[example.language]
    file = directory / f"example{suffix}"
    file.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [*command, str(file)],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def is_stored(engine: Engine, name: str) -> bool:
    source, _, event_id = name.partition("/")
    with engine.db.read() as tx:
        return events.get(tx, source, event_id) is not None

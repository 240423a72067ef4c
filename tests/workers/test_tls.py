"""rediss:// and amqps://: verified against the authority that is named, and refused in one line if not."""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme

from lifecycle.bootstrap import Engine
from lifecycle.errors import LifecycleError, Unusable
from lifecycle.settings import Settings
from tests.intake.bad_input import event
from tests.support import rabbitmq
from tests.support.proxy import Proxy
from tests.support.redis import fresh_prefix
from tests.workers.conftest import until
from tests.workers.consumers import consumer_of
from tests.workers.queues import consuming, stored
from tests.workers.test_bells import PATIENCE, Answers
from tests.workers.test_processes import is_there, put
from workers.bells import ring
from workers.broker import broker_for, examine

SCHEMES = {"redis": "rediss", "amqp": "amqps"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Encrypted:
    """A broker that is reached over TLS alone, with a certificate for `localhost`."""

    settings: Settings  # that name nobody's authority
    plain: str  # the URL of the server behind it
    proxy: Proxy
    speaking: ssl.SSLContext  # of the proxy
    authority: Path  # the file of whoever signed the certificate
    stranger: Path  # of another one

    def trusting(self, authority: Path, *, host: str = "localhost") -> Settings:
        url = self.settings.broker_url
        assert url is not None
        named = self.proxy.instead_of(url, host=host)
        return replace(self.settings, broker_url=f"{named}?ssl_ca_certs={authority}")


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("amqp", marks=pytest.mark.rabbitmq),
    ]
)
def encrypted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Encrypted]:
    """Whatever the server itself speaks: what is tested is our side of the line."""
    url = request.getfixturevalue(f"{request.param}_url")
    named = fresh_prefix(url) if request.param == "redis" else _queues(url)
    ours, other = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(tmp_path / "authority.pem")
    other.cert_pem.write_to_path(tmp_path / "stranger.pem")
    speaking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("localhost").configure_cert(speaking)
    with named as prefix, Proxy(url, tls=speaking) as proxy:
        yield Encrypted(
            settings=Settings(
                database_url="postgresql://localhost/none",
                config_dir=tmp_path,
                broker_url=proxy.instead_of(url, scheme=SCHEMES[request.param], host="localhost"),
                broker_prefix=prefix,
            ),
            plain=url,
            proxy=proxy,
            speaking=speaking,
            authority=tmp_path / "authority.pem",
            stranger=tmp_path / "stranger.pem",
        )


def _queues(url: str) -> contextlib.AbstractContextManager[str]:
    return rabbitmq.fresh_prefix(url, ".bell.apply", ".events", ".rejected")


def test_a_bell_rings_over_a_line_whose_certificate_is_trusted(encrypted: Encrypted) -> None:
    settings = encrypted.trusting(encrypted.authority)
    examine(replace(settings, require_broker=True))
    ringing, _ = broker_for(settings)
    with Answers(settings) as answers:
        ring(ringing, settings.broker_prefix, "apply")
        assert answers.came.acquire(timeout=PATIENCE)
    ringing.close()


def test_who_is_asked_for_a_certificate_of_his_own_shows_the_one_that_is_named(
    encrypted: Encrypted, tmp_path: Path
) -> None:
    strict = trustme.CA()
    strict.configure_trust(encrypted.speaking)
    encrypted.speaking.verify_mode = ssl.CERT_REQUIRED
    ours, named = strict.issue_cert("engine@example.com"), encrypted.trusting(encrypted.authority)
    ours.cert_chain_pems[0].write_to_path(tmp_path / "engine.pem")
    ours.private_key_pem.write_to_path(tmp_path / "engine.key")
    own = f"&ssl_certfile={tmp_path / 'engine.pem'}&ssl_keyfile={tmp_path / 'engine.key'}"
    with pytest.raises(LifecycleError):
        examine(replace(named, require_broker=True))
    examine(replace(named, broker_url=f"{named.broker_url}{own}", require_broker=True))


@pytest.mark.parametrize("who", ["nobody", "stranger", "another host"])
def test_a_certificate_that_is_not_trusted_is_refused_in_one_line(
    encrypted: Encrypted, who: str
) -> None:
    """None of its own authority, one of another's, or one that is for another host."""
    refused = {
        "nobody": encrypted.settings,
        "stranger": encrypted.trusting(encrypted.stranger),
        "another host": encrypted.trusting(encrypted.authority, host="127.0.0.1"),
    }[who]
    with pytest.raises(Unusable) as raised:
        examine(replace(refused, require_broker=True))
    told = str(raised.value)
    assert "certificate is not trusted" in told
    assert "LIFECYCLE_BROKER_URL=…?ssl_ca_certs=/path/to/ca.pem" in told
    assert "\n" not in told


def test_events_come_in_over_it_as_well(encrypted: Encrypted, small: Engine) -> None:
    """The queue's consumer reads the same URL, by code of its own."""
    settings = encrypted.trusting(encrypted.authority)
    url, prefix, stop = settings.broker_url or "", settings.broker_prefix, threading.Event()
    with consuming(stop, consumer_of(small, url, prefix, stop).run):
        until(lambda: is_there(encrypted.plain, prefix))
        put(encrypted.plain, prefix, event(id="e1"))
        until(lambda: stored(small) == ["e1"])


def test_a_consumer_that_does_not_trust_the_certificate_says_so_and_waits(
    encrypted: Encrypted, small: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    url, stop = encrypted.settings.broker_url or "", threading.Event()
    consumer = consumer_of(small, url, encrypted.settings.broker_prefix, stop)
    with caplog.at_level(logging.WARNING), consuming(stop, consumer.run):
        until(lambda: "certificate is not trusted" in caplog.text)
    assert all(not one.exc_info for one in caplog.records if one.name == "lifecycle")

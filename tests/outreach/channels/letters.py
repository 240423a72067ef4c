"""Letters, and a client that may reach this machine, for the tests of channels over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from lifecycle.outreach.channels.http import Client
from lifecycle.outreach.channels.target import Targets
from lifecycle.outreach.letter import Letter, Links, Recipient, Rendered

NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
KEY = "0a1b2c3d-thanks-1"


def client(*, seconds: float = 5.0) -> Client:
    return Client(
        targets=Targets(loopback=True),
        connect_seconds=seconds,
        read_seconds=seconds,
        now=lambda: NOW,
    )


def letter(
    to: str = "",
    *,
    text: str = "谢谢您, Anna & co!\n",
    subject: str | None = None,
    rule: str = "thanks",
    language: str = "zh",
    facts: Mapping[str, object] | None = None,
    name: str | None = "Anna",
) -> Letter:
    return Letter(
        key=KEY,
        channel="any",
        rule=rule,
        to=Recipient(customer="c-1", address=to, name=name, language=language),
        content=Rendered(
            text=text, subject=subject, language=language, template_hash="0" * 64, sha256="1" * 64
        ),
        marketing=True,
        links=Links(
            unsubscribe="https://care.example/u/t",
            preferences="https://care.example/p/t",
            survey="https://care.example/s/t",
        ),
        facts={} if facts is None else facts,
    )

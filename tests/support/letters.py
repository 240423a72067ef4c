"""Letters to send in tests, and a channel of e-mail to a server of the tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lifecycle.outreach.channels import Channel
from lifecycle.outreach.channels.opening import Channels, open_channels
from lifecycle.outreach.letter import Letter, Links, Recipient, Rendered

LINKS = Links(
    unsubscribe="https://shop.example.com/u/v1.k1.abc",
    preferences="https://shop.example.com/p/v1.k1.abc",
    survey="https://shop.example.com/s/v1.k1.abc",
)
CONTENT = Rendered(
    text="Hello Li Hua,\nwe miss you.\n",
    html="<p>Hello Li Hua,</p>\n<p>we miss you.</p>\n",
    subject="We miss you",
    language="en",
    template_hash="0" * 64,
    sha256="0" * 64,
)
SENDERS = "senders: {care: {name: Example Care, address: care@mail.example.com}}"


def a_letter(key: str = "11-22-33", **changed: Any) -> Letter:
    """A marketing e-mail; `to`, `name` and the fields of the content may be given by name."""
    to = Recipient(
        customer="c1",
        address=changed.pop("to", "li@example.org"),
        name=changed.pop("name", None),
        language="en",
    )
    said = {
        field.name: changed.pop(field.name)
        for field in dataclasses.fields(Rendered)
        if field.name in changed
    }
    letter = Letter(
        key=key,
        channel="email",
        rule="win-back",
        to=to,
        content=dataclasses.replace(CONTENT, **said),
        marketing=True,
        links=LINKS,
    )
    return dataclasses.replace(letter, **changed)


def channels_of(
    folder: Path, text: str | None, environment: Mapping[str, str] | None = None, **around: Any
) -> Channels:
    """What a `channels.yaml` with this text opens; None: there is no such file."""
    if text is not None:
        folder.joinpath("channels.yaml").write_text(text, encoding="utf-8")
    wanted: dict[str, Any] = {
        "public_url": "https://shop.example.com",
        "signs": True,
        "keep": _nobody_looks,
    }
    return open_channels(folder, environment or {}, **(wanted | around))


def mail_channel(folder: Path, port: int, more: str = "", **environment: str) -> Channel:
    """E-mail in clear to a server on this machine; `more` are further keys, a line each."""
    keys = ["kind: smtp", "host: 127.0.0.1", f"port: {port}", SENDERS]
    keys += [] if "security:" in more else ["security: none"]
    lines = "".join(f"    {line}\n" for line in [*keys, *filter(None, more.split("\n"))])
    return channels_of(folder, f"channels:\n  email:\n{lines}", environment)["email"]


def _nobody_looks(letter: Letter) -> None:
    raise AssertionError(f"{letter.key} came to an outbox that nobody looks into")

"""What do tests of sending stand on? An office with plain texts, and channels that answer as they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from lifecycle.domain.policy import MessageClass
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending.office import NotWritten, Wait
from lifecycle.engine.sending.sender import Sender
from lifecycle.outreach.channels import Channel
from lifecycle.outreach.letter import Letter, Links, Rendered
from lifecycle.outreach.outcome import Accepted, Outcome
from lifecycle.store import pauses
from lifecycle.store.messages import MessageRow

Answer = Callable[[Letter], Outcome]


def accept_all(_: Letter) -> Outcome:
    return Accepted(provider_id="p-1")


@dataclass(slots=True)
class Wire:
    """A channel that keeps what it is handed, and answers as told; raises what an answer raises."""

    name: str = "email"
    address: str | None = "email"
    is_real: bool = True
    same_key_for: timedelta | None = None
    answer: Answer = accept_all
    letters: list[Letter] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def unready(self, *, marketing: bool) -> Sequence[str]:
        return ()

    def send(self, letter: Letter) -> Outcome:
        with self._lock:
            self.letters.append(letter)
        return self.answer(letter)

    def close(self) -> None:
        pass


def held_wire() -> tuple[Wire, threading.Event, threading.Event]:
    """One that says when a letter is on its way, and takes it once it is told to go on."""
    on_its_way, go_on = threading.Event(), threading.Event()

    def slowly(_: Letter) -> Outcome:
        on_its_way.set()
        assert go_on.wait(30)
        return Accepted()

    return Wire(answer=slowly), on_its_way, go_on


class PlainTexts:
    """`Hello Anna` for everybody; of a rule in `broken` there is no text, and of one in `missing` no file."""

    def __init__(self) -> None:
        self.missing: set[tuple[str, str]] = set()
        self.broken: set[str] = set()
        self.wrong: set[tuple[str, str]] = set()

    def has(
        self, rule: str, step: int, variant: str | None, channel: str, language: str | None
    ) -> bool:
        return (rule, channel) not in self.missing

    def is_broken(self, rule: str, channel: str) -> bool:
        return (rule, channel) in self.wrong

    def write(
        self,
        rule: str,
        step: int,
        variant: str | None,
        channel: str,
        language: str | None,
        context: Mapping[str, Any],
        *,
        zone: str,
        currency: str,
    ) -> Rendered:
        if rule in self.broken:
            raise NotWritten("undefined", f"{rule}/{channel}.en.txt:1: customer.name")
        text = f"Hello {context['customer'].get('name', 'you')}"
        return Rendered(
            text=text, language=language or "en", template_hash="t" * 64, sha256="c" * 64
        )


class TestOffice:
    __test__ = False

    def __init__(self, *channels: Channel) -> None:
        self.texts = PlainTexts()
        self.channels: dict[str, Channel] = {channel.name: channel for channel in channels}
        self.company = {"name": "Ours"}
        self.lacking: dict[str, Sequence[str]] = {}
        self.waits: dict[str, Wait] = {}
        self.shut: dict[str, float] = {}

    def at_once(self, channel: str) -> int:
        return 2

    def shut_for(self, channel: str) -> float:
        return self.shut.get(channel, 0.0)

    def enter(self, channel: str) -> Wait | None:
        return self.waits.get(channel)

    def leave(self, channel: str, outcome: Outcome | None) -> None:
        pass

    def key_of(self, customer: str, row: MessageRow) -> str:
        return f"m{row.row_id}"

    def hashes_of(self, channel: str, address: str) -> Sequence[str]:
        return (f"hash of {address}",)

    def links(
        self, customer: int, letter: str, *, purpose: str | None, channel: str, rule: str
    ) -> Links | None:
        return None

    def measured(
        self, content: Rendered, *, letter: str, channel: str, consents: Mapping[str, bool]
    ) -> Rendered:
        return content

    def owner(self, login: str | None) -> Mapping[str, str]:
        return {}

    def unready(self, channel: str, message_class: MessageClass) -> Sequence[str]:
        return self.lacking.get(channel, ())

    def close(self) -> None:
        pass


def fail(event: str, what: str, error: BaseException) -> None:
    """Whatever fails fails the test."""
    raise error


def sender(inst: Installation, office: TestOffice) -> Sender:
    return Sender(inst, office, failed=fail)


def send_all(inst: Installation, office: TestOffice) -> None:
    """Everything that is due leaves, or is judged otherwise."""
    sending = sender(inst, office)
    try:
        assert sending.send_due(30)
    finally:
        sending.stop()


def let_real(inst: Installation) -> None:
    """As `lifecycle outreach resume real`."""
    with inst.db.write() as tx:
        pauses.remove(tx, pauses.REAL)

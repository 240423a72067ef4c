"""How does a test send for real while the clock is moved by hand from one instant to the next?

The texts and channels are those of an installation; only that mail goes to a server of the tests, and
that nothing is held back for the clock being made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from lifecycle.engine import tasks
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending.desk import Desk, Templates
from lifecycle.engine.sending.sender import Sender
from lifecycle.outreach.channels import Channel, smtp, task
from lifecycle.outreach.channels.opening import KINDS, open_channels
from lifecycle.outreach.channels.settings import Around, ChannelSettings, Kind
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Outcome
from lifecycle.outreach.secret import Secret
from lifecycle.outreach.staff import Staff
from lifecycle.outreach.templates.catalogue import Catalogue
from lifecycle.outreach.templates.renderer import Renderer
from lifecycle.resources import templates_dir
from lifecycle.store import sending
from lifecycle.store.sql import Statement, Tx, both

SECRET = b"a secret of the tests, not of any shop"
PUBLIC_URL = "https://care.example.com"
CHANNELS = """
company:
  name: Example Tea
  address: 1 Example Road, 200000 Shanghai, China
  website: https://www.example.com
  phone: "+86 21 5555 0100"
  email: care@mail.example.com
channels:
  email:
    kind: smtp
    host: 127.0.0.1
    port: {port}
    security: none
    signed_by: mail.example.com
    senders: {{care: {{name: Example Tea, address: care@mail.example.com}}}}
  sms: {{kind: outbox}}
  task: {{kind: task}}
"""


class Harmless:
    """A channel of which nobody outside gets anything: it need not be held while the clock is made up."""

    is_real = False

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.name = channel.name
        self.address = channel.address
        self.same_key_for = channel.same_key_for

    def unready(self, *, marketing: bool) -> Sequence[str]:
        return self._channel.unready(marketing=marketing)

    def send(self, letter: Letter) -> Outcome:
        return self._channel.send(letter)

    def close(self) -> None:
        self._channel.close()


def harmless(kind: Kind) -> Kind:
    def opened(settings: ChannelSettings, around: Around) -> Channel:
        return Harmless(kind.open(settings, around))

    return replace(kind, open=opened)


@contextmanager
def office(
    inst: Installation, folder: Path, port: int, shown: list[Letter], channels: str = CHANNELS
) -> Iterator[Sender]:
    """A sender with the texts that ship, whose mail goes to that port; whatever fails fails the test."""

    def failed(event: str, what: str, error: BaseException) -> None:
        raise AssertionError(f"{event}: {what}") from error

    assign = partial(tasks.assign, inst.db, Staff())
    folder.joinpath("channels.yaml").write_text(channels.format(port=port), encoding="utf-8")
    desk = Desk(
        texts=Templates(Catalogue(templates_dir()), Renderer(children=1)),
        channels=open_channels(
            folder,
            {},
            public_url=PUBLIC_URL,
            signs=True,
            keep=shown.append,
            assigning=lambda _: assign,
            kinds={
                **KINDS,
                "smtp": harmless(smtp.KIND),
                "task": harmless(task.KIND),
            },
        ),
        secret=Secret(SECRET),
        public_url=PUBLIC_URL,
    )
    sender = Sender(inst, desk, failed=failed)
    try:
        yield sender
    finally:
        sender.stop()


def next_instant(inst: Installation) -> datetime | None:
    """When a check or a message that waits comes due next."""
    with inst.db.read() as tx:
        assert not sending.due(tx, now := inst.now(tx), inst.db.clock(tx), 1), "nothing is left due"
        found = [at for at in (_first(tx, _WAKES), _first(tx, _WAITS)) if at is not None]
    assert all(at > now for at in found)
    return min(found, default=None)


def _first(tx: Tx, statement: Statement) -> datetime | None:
    return tx.from_db_or_none(tx.value(statement))


_WAKES = both("SELECT min(wake_at) FROM customer")
_WAITS = both("SELECT min(not_before) FROM message WHERE fate IN ('queued', 'deferred')")

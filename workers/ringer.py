"""Who rings, and how long does one wait for it? A thread of its own; nobody else ever waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

from lifecycle.engine.readiness import Broker
from workers.bells import APPLY
from workers.line import Line

STOP_SECONDS = 5.0
AGAIN_SECONDS = 5.0  # after a failure, where nobody asks for a ring before
RINGS = "rings"  # what fails or not, beside the queues, on the line of this process


class NoRinger:
    """Without a broker nobody hears a ring."""

    def ring(self, bell: str) -> None:
        """The sweep finds what it is for."""

    def broker(self) -> Broker:
        return Broker.UNUSED


class Ringer:
    """Rings the bells that were asked for, each at most once at a time.

    While the broker takes its time, further wishes for the same bell become one. A ring that fails
    is told to the `line`, as the sweep finds what it was for. It is repeated every few seconds until
    one goes well: a process that nobody posts to would never find out that the broker is back.
    """

    def __init__(self, send: Callable[[str], object], line: Line) -> None:
        self._send = send
        self._line = line
        self._wanted: dict[str, None] = {}  # bells, in the order in which they were asked for
        self._stopping = False
        self._broker = Broker.UNHEARD
        self._unsure: str | None = APPLY  # what to ring to find out; None: it answers
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="ringer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ring(self, bell: str) -> None:
        """Returns at once, and raises nothing."""
        with self._changed:
            self._wanted[bell] = None
            self._changed.notify()

    def broker(self) -> Broker:
        """How the last ring fared. Unless it went well it rings, so that the next who asks knows more."""
        found, unsure = self._broker, self._unsure
        if unsure is not None:
            self.ring(unsure)
        return found

    def stop(self) -> None:
        """Rings what was asked for before, if the broker takes it within a few seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(STOP_SECONDS)

    def ring_next(self) -> bool:
        """What its thread does, once and again: waits for a wish, and rings. False: no more will come."""
        bell = self._next()
        if bell is None:
            return False
        try:
            self._send(bell)
        except Exception as error:  # noqa: BLE001 - the next ring must come; the line tells of it
            self._broker, self._unsure = Broker.AWAY, bell
            self._line.lost(RINGS, error)
        else:
            self._broker, self._unsure = Broker.ANSWERS, None
            self._line.found(RINGS)
        return True

    def _run(self) -> None:
        while self.ring_next():
            pass

    def _next(self) -> str | None:
        """Waits for a wish, or until it is time to try again; None once no more will come."""
        patience = AGAIN_SECONDS if self._broker is Broker.AWAY else None
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._stopping, patience)
            if not self._wanted:
                return None if self._stopping else self._unsure
            bell = next(iter(self._wanted))
            del self._wanted[bell]  # before it rings: who asks from now on has put down more work
            return bell

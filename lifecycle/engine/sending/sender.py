"""Who sends in this process? One lane for each channel, filled by claims as far as there is room."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from lifecycle.engine.apply import apply_customers
from lifecycle.engine.installation import Installation
from lifecycle.engine.observer import Observer, Unobserved
from lifecycle.engine.sending import reclaim
from lifecycle.engine.sending.claim import LOOK, Claims, Taken, claim
from lifecycle.engine.sending.deliver import deliver, release
from lifecycle.engine.sending.lanes import Lane
from lifecycle.engine.sending.office import Office
from lifecycle.engine.sending.pausing import tell_from_backups
from lifecycle.engine.sending.register import Register
from lifecycle.engine.sending.surge import Surges
from lifecycle.killpoints import Point, killpoint
from lifecycle.store import sending
from lifecycle.store.sql import Tx

LEAST_LOOK = 25  # messages that are looked at in one claim, where a lane was full of late
WAIT_SECONDS = 1.0  # for room in a lane; then it is looked for the sake of the others
PASSED_OVER_SECONDS = 5.0  # for a customer who could not be folded
STOP_SECONDS = 20.0  # for letters that are on their way


class Sender:
    """Sends the messages of one installation that are due; safe to share between threads."""

    def __init__(
        self,
        inst: Installation,
        office: Office,
        *,
        failed: Callable[[str, str, BaseException], object],
        ring: Callable[[], object] = lambda: None,
        observer: Observer | None = None,
    ) -> None:
        self._inst = inst
        self._office = office
        self._failed = failed
        self._ring = ring
        self._observer = observer or Unobserved()
        self._observer.sends(self.shut)
        self._register = Register(inst, office)
        self._surges = Surges()
        self._lanes: dict[str, Lane[Taken]] = {}
        self._look = LOOK
        self._stuck: dict[int, float] = {}  # customers who cannot be folded, and until when to wait
        self._claiming = threading.Lock()  # one claim at a time fills the lanes
        self._stopped = threading.Event()
        self._has_sent = threading.Event()  # since backups were told from this database

    def batch(self) -> bool:
        """Claim what may go, and hand it to the lanes; whether to come again at once."""
        with self._claiming:
            if self._stopped.is_set() or not self._is_any_due():
                return False
            claims = self._inst.db.run(self._claim)
            self._look = _look_after(claims)
            if claims.taken:
                killpoint(Point.SEND_CLAIMED)
            for taken in claims.taken:
                if not self._lane(taken.channel).take(taken):
                    release(self._office, self._register, taken)
        if claims.behind:
            self._fold(claims.behind)
        self._wait_for_room(claims)
        return bool(claims.taken or claims.judged or claims.behind or claims.full)

    def _is_any_due(self) -> bool:
        """Asked first, as it waits for no writer and stops none."""
        with self._inst.db.read() as tx:
            return sending.is_any_due(tx, self._inst.now(tx), self._inst.db.clock(tx))

    def _fold(self, behind: Sequence[int]) -> None:
        """Bring customers up to date; where nobody can be, they are passed over for a while."""
        done = apply_customers(self._inst, behind)
        if not done.customers:
            self._stuck |= dict.fromkeys(behind, time.monotonic() + PASSED_OVER_SECONDS)

    def _passed_over(self) -> list[int]:
        now = time.monotonic()
        self._stuck = {each: until for each, until in self._stuck.items() if until > now}
        return list(self._stuck)

    def reclaim(self) -> int:
        """Let go of what senders that died had taken; how many messages these were."""
        self._note_sent()
        return reclaim.reclaim(self._inst, self._office)

    def _note_sent(self) -> None:
        if self._has_sent.is_set():
            self._has_sent.clear()
            tell_from_backups(self._inst)

    def send_due(self, timeout: float) -> bool:
        """Everything that is due leaves, or is judged otherwise; false: it took longer than that."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = False
            while self.batch():
                found = True
            if not self.all_sent(deadline - time.monotonic()):
                return False
            if not found:
                return True
        return False

    def all_sent(self, timeout: float) -> bool:
        """Whether nothing is on its way any more, within so many seconds."""
        deadline = time.monotonic() + timeout
        return all(
            lane.wait_until_empty(max(0.0, deadline - time.monotonic()))
            for lane in list(self._lanes.values())
        )

    def shut(self) -> dict[str, bool]:
        """By which channels nothing is handed over, as their providers fail."""
        return {name: self._office.shut_for(name) > 0 for name in self._office.channels}

    def stop(self) -> None:
        """What is on its way is ended; what was only claimed is let go of."""
        self._stopped.set()
        with self._claiming:
            lanes = list(self._lanes.values())
            left = [taken for lane in lanes for taken in lane.stop(0.0)]  # none begins another
            deadline = time.monotonic() + STOP_SECONDS
            for taken in left:
                release(self._office, self._register, taken)
            for lane in lanes:
                lane.stop(max(0.0, deadline - time.monotonic()))
            self._office.close()
        self._note_sent()

    def _claim(self, tx: Tx) -> Claims:
        lanes = {name: self._lane(name) for name in self._office.channels}
        room = {name: lane.room for name, lane in lanes.items()}
        stuck = {name for name, lane in lanes.items() if lane.is_stuck}
        over = self._passed_over()
        return claim(self._inst, tx, self._office, self._surges, room, over, stuck, self._look)

    def _lane(self, channel: str) -> Lane[Taken]:
        lane = self._lanes.get(channel)
        if lane is None:
            lane = self._lanes[channel] = Lane(channel, self._office.at_once(channel), self._send)
        return lane

    def _wait_for_room(self, claims: Claims) -> None:
        """To judge what cannot be taken yet is work for nothing."""
        for name in claims.full.union(taken.channel for taken in claims.taken):
            self._lane(name).wait_for_room(WAIT_SECONDS)

    def _send(self, taken: Taken) -> None:
        """The lane goes on whatever happens; a message that was left amid its way is reclaimed."""
        self._has_sent.set()
        try:
            deliver(self._office, self._register, taken, self._observer)
            self._ring()
        except Exception as error:  # noqa: BLE001 - the next letter is not to blame
            self._failed("sending_failed", f"sending by {taken.channel}", error)


def _look_after(claims: Claims) -> int:
    """How many messages are looked at next: hardly more than a full lane took, as each look is work."""
    if not claims.full or not claims.taken:
        return LOOK
    return min(max(len(claims.taken) * 5 // 4, LEAST_LOOK), LOOK)

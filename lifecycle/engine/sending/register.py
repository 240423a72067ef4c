"""What is written of letters that leave: that they are on their way, and what came of it?

Many letters share one transaction, as a commit costs the same for one as for many: who comes while one
is under way is taken along by the next. Nobody waits for company.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from lifecycle.domain.event import FAILED, SENT, UNKNOWN
from lifecycle.domain.fate import Fate
from lifecycle.engine import decisions
from lifecycle.engine.accept import accept_within
from lifecycle.engine.fates import SUPERSEDED
from lifecycle.engine.installation import Installation
from lifecycle.engine.record import Pair
from lifecycle.engine.sending.aftermath import (
    Becomes,
    becomes,
    given_up,
    is_known_by_key,
    named,
)
from lifecycle.engine.sending.claim import Taken
from lifecycle.engine.sending.office import Office
from lifecycle.engine.sending.outcome_events import outcome_event
from lifecycle.engine.sending.reputation import WATCH
from lifecycle.errors import LifecycleError, Unavailable
from lifecycle.intake.strict_json import tame
from lifecycle.killpoints import Point, killpoint
from lifecycle.outreach import dsn
from lifecycle.outreach.channels.settings import LONGEST_TIMEOUT
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Accepted, Fault, Outcome, Refused
from lifecycle.outreach.replies import News
from lifecycle.store import customers, sending, suppressions
from lifecycle.store.messages import MessageRow
from lifecycle.store.sending import Attempt, Ended, Held, Settled
from lifecycle.store.sql import Tx

IN_FLIGHT_FOR = LONGEST_TIMEOUT + timedelta(seconds=30)  # longer than any channel may take
AGAIN_SECONDS = 1.0  # after which an outcome is written again, while the database is away
MOST_DETAIL = 500  # characters of what a provider says that are kept
_TYPES = {Fate.SENT: SENT, Fate.OVERTAKEN: SENT, Fate.FAILED: FAILED, Fate.UNKNOWN: UNKNOWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beginning:
    taken: Taken
    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class _Conclusion:
    """Of a letter that was handed over, or with no outcome of one that was not."""

    taken: Taken
    number: int | None = None
    outcome: Outcome | None = None
    becoming: Becomes | None = None  # where there is no outcome that says it
    code: str | None = None


@dataclass(slots=True)
class _Entry:
    what: _Beginning | _Conclusion
    holds: bool = False  # once it is done: whether the message was still ours
    error: Exception | None = None
    done: bool = False


class Register:
    """Shared by the threads of a sender."""

    def __init__(self, inst: Installation, office: Office) -> None:
        self._inst = inst
        self._office = office
        self._waiting: deque[_Entry] = deque()
        self._turn = threading.Lock()

    def begin(self, taken: Taken, letter: Letter, number: int) -> bool:
        """The letter is handed over next. False: the claim was lost, and it must not be."""
        hashes = self._office.hashes_of(taken.channel, taken.address)
        attempt = Attempt(
            message_id=taken.row.row_id,
            number=number,
            channel=taken.channel,
            letter=letter.key,
            address_hash=next(iter(hashes), None),
            language=letter.content.language,
            template_hash=letter.content.template_hash,
            content_hash=letter.content.sha256,
        )
        return self._written(_Beginning(taken=taken, attempt=attempt))

    def conclude(self, taken: Taken, outcome: Outcome, number: int) -> bool:
        """False: another process took the message over; what it makes of it stands."""
        code = None if isinstance(outcome, Accepted) else outcome.code
        told = _Conclusion(taken=taken, number=number, outcome=outcome, code=code)
        deadline = time.monotonic() + IN_FLIGHT_FOR.total_seconds()
        while True:
            try:
                return self._written(told)
            except Unavailable:
                # What is known must not be forgotten because a database restarts, or a customer is
                # held by somebody: else marketing that left is unknown, and service leaves twice.
                if time.monotonic() > deadline:
                    raise
                time.sleep(AGAIN_SECONDS)

    def fail(self, taken: Taken, reason: str, code: str) -> bool:
        """There is no letter for it, and never will be. False as `conclude`."""
        becoming = Becomes(fate=Fate.FAILED, reason=reason)
        return self._written(_Conclusion(taken=taken, becoming=becoming, code=code))

    def release(self, taken: Taken) -> bool:
        """It waits again, for whoever claims it next. False as `conclude`."""
        return self._written(_Conclusion(taken=taken, becoming=Becomes(fate=Fate.QUEUED)))

    def _written(self, what: _Beginning | _Conclusion) -> bool:
        mine = _Entry(what)
        self._waiting.append(mine)
        with self._turn:
            if not mine.done:
                self._write([self._waiting.popleft() for _ in range(len(self._waiting))])
        if mine.error is not None:
            raise mine.error
        return mine.holds

    def _write(self, entries: Sequence[_Entry]) -> None:
        """A defect of one must not be told to the others: each gets a transaction of its own then."""
        whats = [entry.what for entry in entries]
        try:
            answers = self._inst.db.run(
                lambda tx: _Page(self._inst, self._office, tx, whats).write()
            )
        except Exception as error:  # noqa: BLE001 - whoever waits for it must hear of it
            if len(entries) > 1 and not isinstance(error, LifecycleError):
                for entry in entries:
                    self._write([entry])
                return
            answers = [False] * len(entries)
            for entry in entries:
                entry.error = error
        for entry, holds in zip(entries, answers, strict=True):
            entry.holds, entry.done = holds, True


def _is_nobodys(refused: Refused) -> bool:
    """Only where the reply has a code of its own for it (RFC 3463): a bare 550 may mean that we may not
    send by that server at all."""
    status = _STATUS.search(refused.code)
    return (
        refused.permanent
        and refused.fault is Fault.RECIPIENT
        and status is not None
        and dsn.classed(status[1]) is News.HARD
    )


_STATUS = re.compile(r"_([245]\.[0-9]{1,3}\.[0-9]{1,3})$")


class _Page:
    """What is written in one transaction."""

    def __init__(
        self,
        inst: Installation,
        office: Office,
        tx: Tx,
        entries: Sequence[_Beginning | _Conclusion],
    ) -> None:
        customers.wait_for_all(tx, {entry.taken.customer.id for entry in entries})
        self._inst, self._office, self._tx, self._entries = inst, office, tx, entries
        self._real = inst.db.clock(tx)
        self._now = inst.now(tx) if inst.is_made_up else self._real
        self._held = sending.held(tx, [entry.taken.row.row_id for entry in entries])

    def write(self) -> list[bool]:
        """Of each, whether the message was still ours."""
        begun = [one for one in self._entries if isinstance(one, _Beginning) and self._begins(one)]
        ended = [one for one in self._entries if isinstance(one, _Conclusion)]
        settled = [(one, after) for one in ended if (after := self._settled(one)) is not None]
        lease = self._real + IN_FLIGHT_FOR
        attempts = [one.attempt for one in begun]
        ends = list(self._ends(ended))
        with self._tx.unanswered():
            sending.end(self._tx, ends, self._real)
            sending.settle_all(self._tx, [after for _, after in settled])
            sending.begin(self._tx, attempts, real=self._real, lease_until=lease)
        self._silence(ended)
        self._tell(settled)
        if ended:
            killpoint(Point.SEND_BEFORE_SENT)
        ours = {id(one) for one in begun} | {id(one) for one, _ in settled}
        return [id(one) in ours or self._has_begun(one) for one in self._entries]

    def _silence(self, ended: Sequence[_Conclusion]) -> None:
        """An address of which its server says that nobody is there is written to no more."""
        for one in ended:
            if isinstance(one.outcome, Refused) and _is_nobodys(one.outcome):
                hashes = self._office.hashes_of(one.taken.channel, one.taken.address)
                for hashed in hashes[:1]:
                    suppressions.add(self._tx, hashed, suppressions.ALL, "hard_bounce", self._real)
                WATCH.heard(self._tx, one.taken.channel, self._real)

    def _begins(self, one: _Beginning) -> bool:
        held = self._of(one)
        return held is not None and held.row.fate is Fate.CLAIMED

    def _has_begun(self, one: _Beginning | _Conclusion) -> bool:
        """Where the answer to our own commit was lost, the unit runs again, and this was it."""
        held = self._of(one) if isinstance(one, _Beginning) else None
        if held is None or not isinstance(one, _Beginning):
            return False
        return held.row.fate is Fate.IN_FLIGHT and held.row.tries == one.attempt.number

    def _of(self, one: _Beginning | _Conclusion) -> Held | None:
        """The message, while its claim is ours."""
        held = self._held.get(one.taken.row.row_id)
        return held if held is not None and held.lease == one.taken.token else None

    def _ends(self, ended: Sequence[_Conclusion]) -> Iterator[Ended]:
        for one in ended:
            if one.outcome is None or one.number is None:
                continue
            yield Ended(
                message_id=one.taken.row.row_id,
                number=one.number,
                outcome=named(one.outcome),
                code=one.code,
                detail=None
                if isinstance(one.outcome, Accepted)
                else tame(one.outcome.detail)[:MOST_DETAIL],
                provider_id=one.outcome.provider_id if isinstance(one.outcome, Accepted) else None,
            )

    def _settled(self, one: _Conclusion) -> Settled | None:
        """None: another has taken it over meanwhile, and nothing is changed.

        What was given up as unknown after this very attempt is settled all the same.
        """
        held = self._held.get(one.taken.row.row_id)
        if held is None:
            return None
        row = held.row
        ours = held.lease == one.taken.token and row.fate in {Fate.CLAIMED, Fate.IN_FLIGHT}
        if not ours and not (row.fate is Fate.UNKNOWN and row.tries == one.number):
            return None
        becoming = self._becoming(one, row)
        wait = becoming.retry_in
        return Settled(
            row_id=row.row_id,
            fate=becoming.fate,
            reason=becoming.reason,
            fate_at=self._now,
            not_before=row.not_before if wait is None else self._now + wait * self._inst.rate,
            retry_at=None if wait is None else self._real + wait,
            sent_at=self._now if becoming.fate in {Fate.SENT, Fate.OVERTAKEN} else None,
        )

    def _becoming(self, one: _Conclusion, row: MessageRow) -> Becomes:
        if one.outcome is not None:
            lasts = self._office.channels[one.taken.channel].same_key_for
            same_key = is_known_by_key(one.taken.before, lasts, self._real)
            becoming = becomes(row, one.outcome, one.taken.before, same_key=same_key)
        else:
            assert one.becoming is not None
            becoming = one.becoming
        if becoming.fate is Fate.QUEUED and not row.live:
            becoming = Becomes(fate=Fate.CANCELLED, reason=SUPERSEDED)
        return given_up(becoming, one.taken.before)

    def _tell(self, settled: Sequence[tuple[_Conclusion, Settled]]) -> None:
        """What became of them are events of their customers', and lines of the log."""
        drafts = []
        changed: list[Pair] = []
        for one, after in settled:
            row = one.taken.row
            if kind := _TYPES.get(after.fate):
                drafts.append(
                    outcome_event(
                        self._office,
                        one.taken.customer.key,
                        row,
                        kind,
                        ended_by=one.taken.token if one.number is None else one.number,
                        channel=one.taken.channel,
                        code=one.code,
                        now=self._now,
                    )
                )
            changed.append((row, row._replace(fate=after.fate, reason=after.reason)))
        if drafts:
            accept_within(self._inst, self._tx, drafts)
        decisions.tell_of_fates(self._tx, changed)

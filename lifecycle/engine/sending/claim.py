"""Which messages go now? Under the lock of each customer: judge all that are due, take those that may go.

A customer of whom something waits to be folded is passed over: what waits may be her unsubscribing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from lifecycle.domain import calendar
from lifecycle.domain import snapshot as snapshots
from lifecycle.domain.event import UNKNOWN, Event, key_in
from lifecycle.domain.fate import Fate
from lifecycle.domain.fold import unwanted
from lifecycle.domain.policy import (
    MessageClass,
    OnState,
    OnTransition,
    OutreachRule,
)
from lifecycle.domain.snapshot import Snapshot
from lifecycle.domain.step import Step
from lifecycle.domain.timeline import Timeline, Version
from lifecycle.engine import decisions
from lifecycle.engine.accept import accept_within
from lifecycle.engine.current import is_up_to_date
from lifecycle.engine.installation import Installation
from lifecycle.engine.record import Pair
from lifecycle.engine.sending.aftermath import Becomes, given_up
from lifecycle.engine.sending.office import Office, Wait
from lifecycle.engine.sending.outcome_events import outcome_event
from lifecycle.engine.sending.surge import Surges
from lifecycle.intake.draft import Draft
from lifecycle.killpoints import Point, killpoint
from lifecycle.outreach.assignment import share, variant
from lifecycle.outreach.caps import longest_window
from lifecycle.outreach.verdict import (
    Case,
    Defer,
    Option,
    Reason,
    Send,
    Spent,
    Suppress,
    order,
    verdict,
)
from lifecycle.store import customers, events, pauses, sending, steps, suppressions
from lifecycle.store.customers import CustomerRow
from lifecycle.store.messages import MessageRow
from lifecycle.store.pauses import Pauses
from lifecycle.store.sending import Claimed, Judged, Tried
from lifecycle.store.sql import Tx

LOOK = 200  # messages that are looked at in one transaction
LEASE = timedelta(minutes=2)  # of real time, from the claim until it is handed over
STUCK = Wait(seconds=0.1, reason=Reason.RATE)  # for a message whose channel hands nothing over
PAUSED_FOR = timedelta(days=1)  # what is resumed is looked at at once
UNREADY_FOR = timedelta(minutes=10)  # for a channel that is not described, or lacks something

_FATES = {
    Reason.WRONG_STATE: Fate.CANCELLED,
    Reason.UNWANTED: Fate.CANCELLED,
    Reason.CANCELLED_BY: Fate.CANCELLED,
    Reason.GOAL_REACHED: Fate.CANCELLED,
    Reason.EXPIRED: Fate.EXPIRED,
    Reason.NO_CHANNEL: Fate.FAILED,
    Reason.FAILED_BEFORE: Fate.FAILED,
    Reason.HOLDOUT: Fate.HELD_OUT,
}  # all others: suppressed


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A message that is ours to send, with all that is needed to write it."""

    token: str
    row: MessageRow  # as it was when it was judged
    rule: OutreachRule
    version: Version
    customer: CustomerRow
    snapshot: Snapshot
    channel: str
    variant: str | None
    address: str
    event: Event | None  # that caused it, where one did
    step: Step | None  # likewise
    before: Sequence[Tried]  # earlier attempts
    now: datetime  # of the claim, by the engine's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    taken: Sequence[Taken] = ()
    behind: Sequence[int] = ()  # customers of whom something must be folded first
    judged: int = 0  # messages of which something else was decided
    full: frozenset[str] = frozenset()  # channels that take no more just now


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    """A customer at her claim."""

    row: CustomerRow
    snapshot: Snapshot
    rows: Sequence[MessageRow]  # of hers, that are due
    spent: Sequence[Spent]
    happened: Sequence[tuple[str, datetime]]


_Sending = tuple[_Person, MessageRow, OutreachRule, Version, Send]
"""A message that may go."""


@dataclass(slots=True)
class _Found:
    judged: list[Judged] = field(default_factory=list)
    sends: list[_Sending] = field(default_factory=list)
    full: set[str] = field(default_factory=set)


def claim(
    inst: Installation,
    tx: Tx,
    office: Office,
    surges: Surges,
    room: Mapping[str, int],
    passing_over: Iterable[int] = (),
    stuck: Collection[str] = (),
    look: int = LOOK,
) -> Claims:
    """`room` says how many letters each channel takes; what it does not name takes none. No
    more than `look` messages are looked at.

    Who could not be folded of late is passed over, so that others behind her get theirs. What goes by a
    channel that is `stuck` is put off a little, likewise.
    """
    pauses.hold(tx)
    held = Pauses.of(pauses.read(tx))
    if held.everything:
        return Claims()
    now, real = inst.now(tx), inst.db.clock(tx)
    due = sending.due(tx, now, real, look, passing_over=passing_over)
    if not due:
        return Claims()
    timeline = inst.timeline(tx)
    stopped = held.rules | surges.trip(tx, timeline.at(now), {one.rule for one in due}, held, now)
    locked = customers.lock(tx, dict.fromkeys(one.customer_id for one in due))
    people, behind = _people(tx, timeline, locked, now, real)
    judging = _Judging(inst, tx, office, timeline, held, stopped, now, real, people, room, stuck)
    found = judging.found
    for person in people:
        judging.judge(person)
    sending.judge(tx, found.judged)
    if ended := list(_unknown(office, people, found.judged)):
        accept_within(inst, tx, ended)
    token = uuid4().hex
    ours = sending.claim(
        tx,
        [Claimed(row.row_id, send.channel, send.variant) for _, row, _, _, send in found.sends],
        token=token,
        now=now,
        lease_until=real + LEASE,
    )
    taken = list(judging.taken(tx, ours, token))
    if decisions.are_heard():
        decisions.tell_of_fates(tx, list(_changed(people, found.judged)))
    killpoint(Point.SEND_BEFORE_CLAIM)
    return Claims(taken=taken, behind=behind, judged=len(found.judged), full=frozenset(found.full))


def _changed(people: Iterable[_Person], judged: Iterable[Judged]) -> Iterator[Pair]:
    rows = {row.row_id: row for person in people for row in person.rows}
    for one in judged:
        before = rows[one.row_id]
        yield before, before._replace(fate=one.fate, reason=one.reason, fate_at=one.fate_at)


def _unknown(
    office: Office, people: Iterable[_Person], judged: Iterable[Judged]
) -> Iterator[Draft]:
    """Messages that may have left, and are not handed over again as they might have been."""
    rows = {row.row_id: (person, row) for person in people for row in person.rows}
    for one in judged:
        if one.fate is Fate.UNKNOWN:
            person, row = rows[one.row_id]
            yield outcome_event(
                office,
                person.row.key,
                row,
                UNKNOWN,
                ended_by=row.tries,
                channel=row.channel or "",
                code=one.reason,
                now=one.fate_at,
            )


def _people(
    tx: Tx,
    timeline: Timeline,
    locked: Sequence[int],
    now: datetime,
    real: datetime,
) -> tuple[list[_Person], list[int]]:
    """Those of the locked who can be judged, and those of whom something must be folded first."""
    rows = customers.rows(tx, locked)
    waiting = events.pending_of(tx, locked)
    fresh = [
        each for each in rows if each not in waiting and is_up_to_date(timeline, rows[each], now)
    ]
    due = sending.due_of(tx, fresh, now, real)
    known = {version.number: version for version in timeline.versions}
    spent = sending.spent(
        tx, due, now - longest_window(version.policy for version in timeline.versions)
    )
    asked = _asked(known, due)
    happened = sending.happened(tx, due, asked.keys(), min(asked.values())) if asked else {}
    people = []
    for customer_id, messages in due.items():
        stored = rows[customer_id].snapshot
        assert stored is not None, "who is folded has a snapshot"
        people.append(
            _Person(
                row=rows[customer_id],
                snapshot=snapshots.load(stored, timeline),
                rows=messages,
                spent=[
                    Spent(
                        at=one.at,
                        channel=one.channel,
                        message_class=one.message_class,
                        rule=one.rule,
                    )
                    for one in spent.get(customer_id, ())
                ],
                happened=happened.get(customer_id, ()),
            )
        )
    return people, [each for each in rows if each not in fresh]


def _rule(known: Mapping[int, Version], row: MessageRow) -> OutreachRule | None:
    """Of the version that planned it; None: this program does not know that version."""
    version = known.get(row.message.version)
    if version is None:
        return None
    return next((rule for rule in version.policy.outreach if rule.name == row.message.rule), None)


def _asked(
    known: Mapping[int, Version], due: Mapping[int, Sequence[MessageRow]]
) -> dict[str, datetime]:
    """The event types that may have made these messages needless, and since when."""
    asked: dict[str, datetime] = {}
    for row in (row for rows in due.values() for row in rows):
        rule = _rule(known, row)
        if rule is None:
            continue
        caused = row.message.caused_at
        for kind in (*rule.cancel_on, *((rule.goal.event,) if rule.goal else ())):
            asked[kind] = min(caused, asked.get(kind, caused))
    return asked


class _Judging:
    """One claim: the cases of these customers, one after the other, and what was decided."""

    def __init__(
        self,
        inst: Installation,
        tx: Tx,
        office: Office,
        timeline: Timeline,
        held: Pauses,
        stopped: Collection[str],
        now: datetime,
        real: datetime,
        people: Sequence[_Person],
        room: Mapping[str, int],
        stuck: Collection[str],
    ) -> None:
        self.found = _Found()
        self._inst = inst
        self._office = office
        self._timeline = timeline
        self._known = {version.number: version for version in timeline.versions}
        self._version = timeline.at(now)
        self._held = held
        self._stopped = stopped  # rules that are paused, or have just paused themselves
        self._now = now
        self._real = real
        self._room = dict(room)
        self._stuck = stuck
        self._late: dict[str, int] = {}  # by channel that is stuck: how many were put off
        tried = [row.row_id for person in people for row in person.rows if row.tries]
        self.before = sending.attempts_of(tx, tried) if tried else {}
        self._hashes = self._addresses(people)
        hashes = [each for found in self._hashes.values() for each in found]
        self._suppressed = suppressions.suppressed(tx, hashes, real) if hashes else {}

    def _addresses(self, people: Sequence[_Person]) -> dict[tuple[int, str], Sequence[str]]:
        return {
            (person.row.id, name): self._office.hashes_of(name, address)
            for person in people
            for name, channel in self._office.channels.items()
            if (address := _address(person.snapshot, channel.address))
        }

    def judge(self, person: _Person) -> None:
        spent = list(person.spent)
        rows: dict[int, tuple[MessageRow, OutreachRule, Version]] = {}
        cases: list[Case] = []
        row_ids: dict[int, int] = {}  # by the identity of the case
        for row in person.rows:
            rule = _rule(self._known, row)
            if rule is None:
                continue  # of a policy that a newer program published: that one sends it
            if rule.name in self._stopped:
                self.found.judged.append(self._paused(row))
                continue
            rows[row.row_id] = (row, rule, self._known[row.message.version])
            case = self._case(person, row, rule)
            cases.append(case)
            row_ids[id(case)] = row.row_id
        for case in order(cases):
            row_id = row_ids[id(case)]
            decided = verdict(case, self._version.policy.sending, spent, self._now)
            if isinstance(decided, Send):
                self._send(person, *rows[row_id], decided, spent)
            else:
                self.found.judged.append(self._judged(person, *rows[row_id][:2], decided))

    def _send(
        self,
        person: _Person,
        row: MessageRow,
        rule: OutreachRule,
        version: Version,
        send: Send,
        spent: list[Spent],
    ) -> None:
        """It may go; whether it does depends on its channel, whose rate is nothing of hers."""
        spent.append(  # also where it waits for its channel: the cap is its, if it has the priority
            Spent(
                at=self._now,
                channel=send.channel,
                message_class=rule.message_class,
                rule=rule.name,
            )
        )
        if self._room.get(send.channel, 0) <= 0:
            if send.channel in self._stuck:
                self.found.judged.append(self._later(row, send.channel, STUCK))
            else:
                self.found.full.add(send.channel)
        elif wait := self._office.enter(send.channel):
            self.found.judged.append(self._later(row, send.channel, wait))
        else:
            self._room[send.channel] -= 1
            self.found.sends.append((person, row, rule, version, send))

    def _case(self, person: _Person, row: MessageRow, rule: OutreachRule) -> Case:
        message = row.message
        happened: dict[str, datetime] = {}
        for kind, at in person.happened:
            if at > message.caused_at and (kind not in happened or at < happened[kind]):
                happened[kind] = at
        return Case(
            rule=rule,
            cause=message.cause,
            number=message.number,
            caused_at=message.caused_at,
            expires_at=message.expires_at,
            customer=person.row.key,
            state=person.snapshot.state,
            zone=calendar.zone(
                person.snapshot.attributes.get("timezone"), self._version.policy.timezone
            ),
            options=self._options(person, row, rule),
            consents=person.snapshot.consents,
            unwanted=unwanted(
                self._timeline, person.snapshot, rule.name, message.version, self._now
            ),
            happened=happened,
        )

    def _options(self, person: _Person, row: MessageRow, rule: OutreachRule) -> list[Option]:
        """Of a rule none of whose channels is described, the message waits until one is."""
        if not any(name in self._office.channels for name in rule.channels):
            return [Option(channel=rule.channels[0], paused=True)]
        return [self._option(person, row, rule, name) for name in rule.channels]

    def _option(self, person: _Person, row: MessageRow, rule: OutreachRule, name: str) -> Option:
        channel = self._office.channels.get(name)
        if channel is None:
            return Option(channel=name, ready=False)
        text = variant(rule, person.row.key)
        closed = {
            tried.channel for tried in self.before.get(row.row_id, ()) if tried.failed_for_good
        }
        hashes = self._hashes.get((person.row.id, name), ())
        scopes = {scope for each in hashes for scope in self._suppressed.get(each, ())}
        real = channel.is_real and (self._held.real or self._inst.is_made_up)
        marketing = rule.message_class is MessageClass.MARKETING
        language = person.snapshot.attributes.get("language")
        written = self._office.texts.has(rule.name, row.message.number, text, name, language)
        broken = not written and self._office.texts.is_broken(rule.name, name)
        return Option(
            channel=name,
            ready=written or broken,
            has_address=bool(_address(person.snapshot, channel.address)),
            suppressed=suppressions.covers(
                scopes,
                rule.purpose,
                marketing=marketing,
            ),
            failed=name in closed,
            open_at=self._open_at(name),
            paused=name in self._held.channels
            or (marketing and name in self._held.marketing)
            or real
            or broken
            or bool(self._office.unready(name, rule.message_class)),
        )

    def taken(self, tx: Tx, ours: set[int], token: str) -> Iterator[Taken]:
        """Those of the messages that may go which are ours, as they are to be written."""
        mine = [send for send in self.found.sends if send[1].row_id in ours]
        causes = {key for _, row, _, _, _ in mine if (key := key_in(row.message.cause))}
        caused = events.known(tx, causes)
        made = _steps(tx, mine)
        for person, row, rule, version, send in mine:
            key = key_in(row.message.cause)
            yield Taken(
                token=token,
                row=row._replace(channel=send.channel, variant=send.variant, claimed_at=self._now),
                rule=rule,
                version=version,
                customer=person.row,
                snapshot=person.snapshot,
                channel=send.channel,
                variant=send.variant,
                address=_address(person.snapshot, self._office.channels[send.channel].address),
                event=caused[key].event if key in caused else None,
                step=made.get((person.row.id, row.message.cause)),
                before=self.before.get(row.row_id, ()),
                now=self._now,
            )

    def _open_at(self, channel: str) -> datetime | None:
        seconds = self._office.shut_for(channel)
        return self._now + timedelta(seconds=seconds) * self._inst.rate if seconds else None

    def _judged(
        self, person: _Person, row: MessageRow, rule: OutreachRule, decided: Defer | Suppress
    ) -> Judged:
        if isinstance(decided, Defer) and decided.reason is Reason.PAUSED:
            return self._paused(row) if self._is_held(rule) else self._unready(row)
        if isinstance(decided, Defer):
            until = decided.until + _spread_again(person, row, rule, decided.reason)
            return Judged(row.row_id, Fate.DEFERRED, decided.reason, self._now, until, None)
        fate = _FATES.get(decided.reason, Fate.SUPPRESSED)
        becoming = given_up(Becomes(fate=fate), self.before.get(row.row_id, ()))
        return Judged(row.row_id, becoming.fate, decided.reason, self._now, row.not_before, None)

    def _paused(self, row: MessageRow) -> Judged:
        """Looked at again after a long while, or once it is resumed: nobody walks over what is paused."""
        until = self._now + PAUSED_FOR
        return Judged(row.row_id, Fate.DEFERRED, Reason.PAUSED, self._now, until, None)

    def _unready(self, row: MessageRow) -> Judged:
        until = self._now + UNREADY_FOR
        return Judged(row.row_id, Fate.DEFERRED, Reason.NOT_READY, self._now, until, None)

    def _is_held(self, rule: OutreachRule) -> bool:
        """Whether a person has paused a channel of the rule, so that she will resume it."""
        named = [self._office.channels[n] for n in rule.channels if n in self._office.channels]
        real = self._held.real or self._inst.is_made_up
        stopped = self._held.channels | self._held.marketing
        return any(each.name in stopped or (real and each.is_real) for each in named)

    def _later(self, row: MessageRow, channel: str, waits: Wait) -> Judged:
        """It waits for its channel, by real time; of many whose channel is stuck, each longer."""
        wait = timedelta(seconds=waits.seconds)
        if waits is STUCK:
            count = self._late[channel] = self._late.get(channel, 0) + 1
            wait *= count
        return Judged(
            row.row_id,
            Fate.DEFERRED,
            waits.reason,
            self._now,
            self._now + wait * self._inst.rate,
            self._real + wait,
        )


def _spread_again(
    person: _Person, row: MessageRow, rule: OutreachRule, reason: Reason
) -> timedelta:
    """When the night is over everybody's is: what is to be spread is spread from then on."""
    if reason not in {Reason.QUIET_HOURS, Reason.CLOSED_DAY}:
        return timedelta(0)
    return rule.spread * share(person.row.key, f"spread/{rule.name}/{row.message.cause}")


def _steps(tx: Tx, sends: Iterable[_Sending]) -> dict[tuple[int, str], Step]:
    """The steps that planned these messages, by customer and cause."""
    people = {
        person.row.id
        for person, _, rule, _, _ in sends
        if isinstance(rule.trigger, OnTransition | OnState)
    }
    live = steps.live(tx, people) if people else {}
    return {(who, row.step.cause): row.step for who, rows in live.items() for row in rows}


def _address(snapshot: Snapshot, attribute: str | None) -> str:
    """Empty where she has none; a channel that needs none goes to her as she is known."""
    if attribute is None:
        return "-"
    found = snapshot.attributes.get(attribute)
    return found.strip() if isinstance(found, str) else ""

"""Did every message leave as often as it may, and is it said what became of it? Asked when all is quiet.

The server's own log says what was taken, the database what was said of it; neither knows the other.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from lifecycle.domain.event import FAILED, SENT, UNKNOWN
from lifecycle.domain.fate import Fate
from lifecycle.engine.installation import Installation
from lifecycle.engine.verify import verify
from lifecycle.outreach.replies import News
from lifecycle.outreach.secret import Secret
from lifecycle.outreach.tokens import letter_key, message_in
from lifecycle.store.sql import Tx, both
from tests.chaos.judge import Verdict, verdict
from tests.chaos.mail_life import news_of

MOST = {"marketing": 1, "service": 2}  # times that a letter of the class may be taken
FINAL = frozenset({Fate.SENT, Fate.FAILED, Fate.UNKNOWN, Fate.SUPPRESSED})

_MESSAGES = both(
    "SELECT m.id, c.key, m.rule, m.message_class, m.fate, m.reason, m.claimed_at, m.lease"
    " FROM message AS m JOIN customer AS c ON c.id = m.customer_id",
    columns=8,
)
_EVENTS = both("SELECT type, event_id, properties FROM event WHERE source = 'lifecycle'", columns=3)
_ADDRESSES = both(
    "SELECT DISTINCT message_id, address_hash FROM send_attempt WHERE address_hash IS NOT NULL",
    columns=2,
)
_WENT_ON = both(  # after an attempt that certainly did not leave: tried again, or judged not to be
    "SELECT a.message_id, a.number FROM send_attempt AS a JOIN message AS m ON m.id = a.message_id"
    " WHERE outcome IN ('refused', 'refused_for_good') AND (m.fate = 'suppressed' OR EXISTS"
    " (SELECT 1 FROM send_attempt AS b WHERE b.message_id = a.message_id AND b.number > a.number))",
    columns=2,
)
_SUPPRESSED = both("SELECT address_hash, scope FROM suppression", columns=2)
_SOFT = both("SELECT message_key FROM soft_bounce", columns=1)


class Message(NamedTuple):
    id: int
    customer: str
    rule: str
    kind: str  # its class
    fate: str
    reason: str | None
    claimed_at: datetime | None  # last
    lease: str | None
    taken: int  # by the server's log

    @property
    def told(self) -> str:
        return f"message {self.id} ({self.kind}, {self.fate}, {self.reason}, taken {self.taken} x)"


class Held(NamedTuple):
    """Something was paused from one instant to another; nothing of it may be claimed in between."""

    scope: str
    since: datetime
    until: datetime

    def covers(self, message: Message) -> bool:
        if message.claimed_at is None or not self.since < message.claimed_at < self.until:
            return False
        return not self.scope.startswith("rule:") or self.scope == f"rule:{message.rule}"


@dataclass(slots=True, kw_only=True)
class Notes:
    """What those who meddle have seen, by the clock of the installation."""

    left: dict[str, datetime] = field(default_factory=dict)  # customer → since when it is durable
    held: list[Held] = field(default_factory=list)
    reported: Sequence[str] = ()  # keys of letters of which there was news


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Everything that is recorded, beside what was taken."""

    messages: Sequence[Message]
    events: Mapping[int, Counter[str]]  # by message: how many of each type
    ids: Counter[str]  # of our events, without the number of the attempt
    addresses: Mapping[int, frozenset[str]]  # hashes, by message
    suppressed: frozenset[tuple[str, str]]
    soft: Counter[str]


def found(inst: Installation, secret: Secret, taken: Mapping[str, int]) -> Found:
    with inst.db.read() as tx, tx.whole_tables():
        addresses: defaultdict[int, set[str]] = defaultdict(set)
        for message, hashed in tx.rows(_ADDRESSES):
            addresses[message].add(hashed)
        events, ids = _events(tx, secret)
        return Found(
            messages=[
                Message(
                    id=row[0],
                    customer=row[1],
                    rule=row[2],
                    kind=row[3],
                    fate=row[4],
                    reason=row[5],
                    claimed_at=tx.from_db_or_none(row[6]),
                    lease=row[7],
                    taken=taken.get(letter_key(secret, row[0]), 0),
                )
                for row in tx.rows(_MESSAGES)
            ],
            events=events,
            ids=ids,
            addresses={message: frozenset(hashes) for message, hashes in addresses.items()},
            suppressed=frozenset((row[0], row[1]) for row in tx.rows(_SUPPRESSED)),
            soft=Counter(row[0] for row in tx.rows(_SOFT)),
        )


def _events(tx: Tx, secret: Secret) -> tuple[dict[int, Counter[str]], Counter[str]]:
    """That an attempt was unknown is not its end where its sender, taken for gone, came back and knew
    that it had been refused: it was tried again, and a later attempt tells what became of it, or it was
    judged again and suppressed."""
    of_message: defaultdict[int, Counter[str]] = defaultdict(Counter)
    ids: Counter[str] = Counter()
    known_since = {(row[0], str(row[1])) for row in tx.rows(_WENT_ON)}
    for kind, id, properties in tx.rows(_EVENTS):
        if kind in {SENT, FAILED, UNKNOWN}:
            message = message_in(secret, json.loads(properties)["message"])
            assert message is not None
            if kind != UNKNOWN or (message, id.rpartition(":")[2]) not in known_since:
                of_message[message][kind] += 1
        ids[id.rpartition("-")[0]] += 1
    return of_message, ids


def judged(
    inst: Installation, secret: Secret, taken: Mapping[str, int], notes: Notes
) -> tuple[list[Verdict], Found]:
    """Every promise about what left."""
    all_ = found(inst, secret, taken)
    known = {letter_key(secret, message.id) for message in all_.messages}
    foreign = [key for key in taken if key not in known]
    reported = {message_in(secret, key) for key in notes.reported}
    verdicts = [
        *_often(all_),
        verdict("nothing was taken that is no message", foreign, "unknown", len(taken)),
        *_fates(all_),
        verdict("one event tells what became of each", _mistold(all_, reported), "otherwise"),
        *_left_alone(all_, notes),
        verdict("a report has its effect, and once", _effects(all_, secret, notes), "otherwise"),
        verdict(
            "`lifecycle verify` finds nothing",
            [f"{one.customer} {one.code}: {one.detail}" for one in verify(inst)],
            "violations",
        ),
    ]
    return verdicts, all_


def _often(all_: Found) -> Iterator[Verdict]:
    for kind, most in MOST.items():
        of_it = [message for message in all_.messages if message.kind == kind]
        wrong = [message.told for message in of_it if message.taken > most]
        doubles = sum(message.taken > 1 for message in of_it)
        yield verdict(
            f"{kind} is taken {most} x at most", wrong, f"oftener ({doubles} doubles)", len(of_it)
        )


def _fates(all_: Found) -> Iterator[Verdict]:
    messages = all_.messages
    other = [each.told for each in messages if each.fate not in FINAL or each.lease is not None]
    yield verdict("every message ends in one named outcome", other, "others", len(messages))
    sent = [each for each in messages if each.fate == Fate.SENT]
    never = [each.told for each in sent if not each.taken]
    yield verdict("what is said to be sent was taken", never, "never", len(sent))
    kept = [each for each in messages if _surely_stayed(each)]
    wrong = [each.told for each in kept if each.taken]
    yield verdict("what is said not to have left was not taken", wrong, "taken", len(kept))


def _surely_stayed(message: Message) -> bool:
    """A letter that bounced had been taken."""
    bounced = message.reason is not None and message.reason.endswith("_bounce")
    return message.fate == Fate.SUPPRESSED or (message.fate == Fate.FAILED and not bounced)


def _mistold(all_: Found, reported: Container[int | None]) -> Iterator[str]:
    """Of what was unknown and is known since, a report told what became of it, or its sender."""
    for message in all_.messages:
        events = all_.events.get(message.id, Counter())
        wanted = _TOLD.get(message.fate)
        resolved = events[UNKNOWN] == 1 and message.id in reported
        once = max(events.values(), default=0) <= 1
        if not once or (not resolved and bool(events) != (wanted is not None and events[wanted])):
            yield f"{message.told}: {dict(events)}"


_TOLD: Mapping[str, str] = {Fate.SENT: SENT, Fate.FAILED: FAILED, Fate.UNKNOWN: UNKNOWN}


def _left_alone(all_: Found, notes: Notes) -> Iterator[Verdict]:
    late = [
        f"{each.told} at {each.claimed_at}, who had left at {notes.left[each.customer]}"
        for each in all_.messages
        if each.kind == "marketing"
        and each.claimed_at is not None
        and each.customer in notes.left
        and each.claimed_at > notes.left[each.customer]
    ]
    yield verdict("who has left is not claimed for", late, "claimed", len(notes.left))
    crossed = [
        f"{message.told} at {message.claimed_at}, while {held.scope} was paused since {held.since}"
        for message in all_.messages
        for held in notes.held
        if held.covers(message)
    ]
    yield verdict("what is paused is not claimed", crossed, "claimed", len(notes.held))


def _effects(all_: Found, secret: Secret, notes: Notes) -> Iterator[str]:
    wanted: set[tuple[str, str]] = set()
    soft: set[str] = set()
    for key in notes.reported:
        news, message = news_of(key), message_in(secret, key)
        assert news is not None
        assert message is not None
        if not 1 <= all_.ids[f"{news.value}:{message}"] <= MOST["service"]:
            yield f"{news} of message {message} is told {all_.ids[f'{news.value}:{message}']} x"
        scope = {News.HARD: "all", News.COMPLAINED: "marketing"}.get(news)
        if scope is not None:
            wanted.update((hashed, scope) for hashed in all_.addresses.get(message, ()))
        if news is News.SOFT:
            soft.add(str(message))
    yield from (f"{hashed} is suppressed for {scope}" for hashed, scope in all_.suppressed - wanted)
    yield from (f"{hashed} is not for {scope}" for hashed, scope in wanted - all_.suppressed)
    if all_.soft != Counter(soft):
        yield f"soft bounces are counted otherwise: {all_.soft - Counter(soft)}"


def tally(messages: Iterable[Message]) -> Counter[tuple[str, str, int]]:
    """How many there are of each class and fate, by how often they were taken."""
    return Counter((message.kind, message.fate, message.taken) for message in messages)

"""Which messages are due, who has taken them, and what came of each time they were handed over?

A claim is leased: whoever holds it has a token of its own, and changes nothing once another has taken
the message over. Whoever changes a message has its customer locked, as whoever folds her has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from lifecycle.domain.fate import Fate
from lifecycle.domain.policy import MessageClass
from lifecycle.store.messages import READ, MessageRow, message_row
from lifecycle.store.sql import Tx, both, bulk, texts


class Due(NamedTuple):
    row_id: int
    customer_id: int
    rule: str


class SpentRow(NamedTuple):
    """A message that left, may have left or is about to."""

    rule: str
    channel: str
    message_class: MessageClass
    at: datetime  # when it was claimed


class Judged(NamedTuple):
    """What was decided about a message that was due."""

    row_id: int
    fate: Fate  # deferred, suppressed, held out, expired, cancelled or queued
    reason: str | None
    fate_at: datetime
    not_before: datetime
    retry_at: datetime | None  # of real time: looked at again no earlier


class Claimed(NamedTuple):
    row_id: int
    channel: str
    variant: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One time that a letter is handed over."""

    message_id: int
    number: int  # from 1
    channel: str
    letter: str  # its key, by which providers know it
    address_hash: str | None
    language: str
    template_hash: str
    content_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of an attempt."""

    message_id: int
    number: int
    outcome: str  # accepted, refused, ambiguous
    code: str | None
    detail: str | None
    provider_id: str | None


class Tried(NamedTuple):
    """An attempt as it is recorded."""

    message_id: int
    number: int
    channel: str
    began_at: datetime
    ended_at: datetime | None  # None: it never ended, or has not yet
    outcome: str | None
    code: str | None
    detail: str | None
    provider_id: str | None
    template_hash: str
    content_hash: str
    language: str
    letter: str  # its key

    @property
    def may_have_left(self) -> bool:
        return self.outcome in {None, "accepted", "ambiguous"}

    @property
    def failed_for_good(self) -> bool:
        return self.outcome == "refused_for_good"


# -- what is due -----------------------------------------------------------------------------


def due(
    tx: Tx,
    now: datetime,
    real: datetime,
    limit: int,
    *,
    passing_over: Iterable[int] = (),
) -> list[Due]:
    """The messages that wait and whose time has come, the longest due first; of nobody `passing_over`."""
    return [
        Due(*row)
        for row in tx.rows(_DUE, tx.to_db(now), tx.to_db(real), tx.ids(passing_over), limit)
    ]


class Backlog(NamedTuple):
    """What waits though its time has come."""

    number: int
    oldest: datetime | None  # when the first of them came due


def backlog(tx: Tx, now: datetime, real: datetime, *, without: Iterable[str]) -> Backlog:
    """Of the messages that `due` finds, without limit."""
    row = tx.row(_BACKLOG, tx.to_db(now), tx.to_db(real), texts(without))
    assert row is not None
    return Backlog(row[0], tx.from_db_or_none(row[1]))


def unknown(tx: Tx) -> int:
    """Of how many messages nobody knows whether they left."""
    count: int = tx.value(_UNKNOWN)
    return count


def is_any_due(tx: Tx, now: datetime, real: datetime) -> bool:
    """Whether `due` could find anything, whatever is paused."""
    return tx.row(_ANY_DUE, tx.to_db(now), tx.to_db(real)) is not None


def due_of(
    tx: Tx, customer_ids: Iterable[int], now: datetime, real: datetime
) -> dict[int, list[MessageRow]]:
    """All that are due of each of these customers."""
    found: dict[int, list[MessageRow]] = {}
    rows = tx.rows(_DUE_OF, tx.ids(customer_ids), tx.to_db(now), tx.to_db(real))
    for row in rows:
        found.setdefault(row[1], []).append(message_row(tx, row))
    return found


def spent(tx: Tx, customer_ids: Iterable[int], since: datetime) -> dict[int, list[SpentRow]]:
    """What left, may have left or is about to, and was claimed after `since`."""
    found: dict[int, list[SpentRow]] = {}
    for customer_id, rule, channel, kind, at in tx.rows(
        _SPENT, tx.ids(customer_ids), tx.to_db(since)
    ):
        row = SpentRow(rule, channel or "", MessageClass(kind), tx.from_db(at))
        found.setdefault(customer_id, []).append(row)
    return found


def happened(
    tx: Tx, customer_ids: Iterable[int], types: Iterable[str], since: datetime
) -> dict[int, list[tuple[str, datetime]]]:
    """Events of these types that happened to these customers after `since`, with their instants."""
    found: dict[int, list[tuple[str, datetime]]] = {}
    for customer_id, kind, at in tx.rows(
        _HAPPENED, tx.ids(customer_ids), texts(types), tx.to_db(since)
    ):
        found.setdefault(customer_id, []).append((kind, tx.from_db(at)))
    return found


def recorded_since(tx: Tx, rule: str, since: datetime, at_most: int) -> int:
    """How many messages of a rule were queued since then; counts no further than `at_most`."""
    count: int = tx.value(_RECORDED, rule, tx.to_db(since), at_most)
    return count


class Reception(NamedTuple):
    """How marketing by a channel was received."""

    letters: int  # that left or may have, or that nobody was there to take
    complaints: int  # of these, letters to who called one spam since
    bounces: int  # letters to addresses of which it is known since that nobody is there


def reception(tx: Tx, channel: str, since: datetime) -> Reception:
    """Of the marketing that was handed over after `since`, of real time."""
    instant = tx.to_db(since)
    with tx.whole_tables():
        return Reception(*tx.rows(_RECEPTION, instant, channel, instant)[0])


# -- claims ----------------------------------------------------------------------------------


def judge(tx: Tx, judged: Sequence[Judged]) -> None:
    """Write down what was decided of messages that wait; their customers are locked."""
    tx.bulk(
        _JUDGE,
        [
            (
                row.fate.value,
                row.reason,
                tx.to_db(row.fate_at),
                tx.to_db(row.not_before),
                tx.to_db_or_none(row.retry_at),
                row.row_id,
            )
            for row in judged
        ],
    )


def claim(
    tx: Tx, claims: Sequence[Claimed], *, token: str, now: datetime, lease_until: datetime
) -> set[int]:
    """Take messages that wait; which of them are ours now. `now` is the engine's, the lease is real."""
    tx.bulk(
        _CLAIM,
        [
            (
                tx.to_db(now),
                row.channel,
                row.variant,
                token,
                tx.to_db(lease_until),
                row.row_id,
            )
            for row in claims
        ],
    )
    rows = tx.rows(_OURS, tx.ids(row.row_id for row in claims), token)
    return {row[0] for row in rows}


class Held(NamedTuple):
    """A message, and the token of whoever has claimed it."""

    row: MessageRow
    lease: str | None


def held(tx: Tx, row_ids: Iterable[int]) -> dict[int, Held]:
    return {row[0]: Held(message_row(tx, row), row[24]) for row in tx.rows(_HELD, tx.ids(row_ids))}


def begin(tx: Tx, attempts: Sequence[Attempt], *, real: datetime, lease_until: datetime) -> None:
    """These letters are handed over next; their messages are claimed by us, and locked."""
    lease, at = tx.to_db(lease_until), tx.to_db(real)
    tx.bulk(_BEGIN, [(one.number, lease, one.message_id) for one in attempts])
    tx.bulk(
        _ATTEMPT,
        [
            (
                one.message_id,
                one.number,
                one.channel,
                one.letter,
                one.address_hash,
                one.language,
                one.template_hash,
                one.content_hash,
                at,
            )
            for one in attempts
        ],
    )


def end(tx: Tx, ended: Sequence[Ended], real: datetime) -> None:
    """What came of attempts is written to them, whoever has the message by now."""
    at = tx.to_db(real)
    tx.bulk(
        _END,
        [
            (
                at,
                one.outcome,
                one.code,
                one.detail,
                one.provider_id,
                one.message_id,
                one.number,
            )
            for one in ended
        ],
    )


class Settled(NamedTuple):
    """What becomes of a message that was claimed or handed over."""

    row_id: int
    fate: Fate
    reason: str | None
    fate_at: datetime
    not_before: datetime
    retry_at: datetime | None
    sent_at: datetime | None


def settle_all(tx: Tx, settled: Sequence[Settled]) -> None:
    """Nobody has these any more; they are ours to settle, and locked."""
    tx.bulk(
        _SETTLE,
        [
            (
                one.fate.value,
                one.reason,
                tx.to_db(one.fate_at),
                tx.to_db(one.not_before),
                tx.to_db_or_none(one.retry_at),
                tx.to_db_or_none(one.sent_at),
                one.row_id,
            )
            for one in settled
        ],
    )


def by_id(tx: Tx, row_ids: Iterable[int]) -> dict[int, MessageRow]:
    return {row[0]: message_row(tx, row) for row in tx.rows(_BY_ID, tx.ids(row_ids))}


def attempts_of(tx: Tx, row_ids: Iterable[int]) -> dict[int, list[Tried]]:
    """Every attempt of each message, the first first."""
    found: dict[int, list[Tried]] = {}
    for row in tx.rows(_ATTEMPTS, tx.ids(row_ids)):
        tried = Tried(
            row[0],
            row[1],
            row[2],
            tx.from_db(row[3]),
            tx.from_db_or_none(row[4]),
            *row[5:13],
        )
        found.setdefault(tried.message_id, []).append(tried)
    return found


class Leased(NamedTuple):
    row_id: int
    customer_id: int


def lapsed(tx: Tx, real: datetime, limit: int) -> list[Leased]:
    """Messages whose lease is over: whoever took them is gone, or too slow."""
    return [Leased(*row) for row in tx.rows(_LAPSED, tx.to_db(real), limit)]


def leased_by(tx: Tx, row_ids: Iterable[int], real: datetime) -> list[tuple[int, str]]:
    """Of these, those whose lease is over still, with its token."""
    return [(row[0], row[1]) for row in tx.rows(_STILL_LAPSED, tx.ids(row_ids), tx.to_db(real))]


def drop_lease(tx: Tx, row_id: int, token: str) -> None:
    """Of a message that is settled otherwise."""
    tx.run(_DROP, row_id, token)


def release_paused(tx: Tx, now: datetime, limit: int) -> int:
    """What was put off because something was paused is looked at again at once; how many these were.

    At most so many, so that the transaction stays short.
    """
    return tx.run(_RELEASE, tx.to_db(now), tx.to_db(now), limit)


def failed(tx: Tx, rule: str, reason: str, now: datetime, limit: int) -> list[Leased]:
    """Messages of a rule that failed for a reason that begins so, and whose time has not passed."""
    return [Leased(*row) for row in tx.rows(_FAILED, rule, reason, reason, tx.to_db(now), limit)]


def try_again(tx: Tx, row_ids: Iterable[int], now: datetime) -> int:
    """These failed, and wait again; their customers are locked. How many these were."""
    instant = tx.to_db(now)
    return tx.run(_AGAIN, instant, instant, tx.ids(row_ids))


# -- statements ------------------------------------------------------------------------------

_WAITS = "fate IN ('queued', 'deferred')"
_IS_DUE = f"{_WAITS} AND not_before <= ? AND (retry_at IS NULL OR retry_at <= ?)"
_DUE = both(
    f"SELECT id, customer_id, rule FROM message WHERE {_IS_DUE}"
    " AND NOT customer_id IN [ids] ORDER BY not_before LIMIT ?",
    columns=3,
)
_BACKLOG = both(
    f"SELECT count(*), min(not_before) FROM message WHERE {_IS_DUE} AND NOT rule IN [texts]"
)
_UNKNOWN = both("SELECT count(*) FROM message WHERE fate = 'unknown'")
_ANY_DUE = both(f"SELECT 1 FROM message WHERE {_IS_DUE} LIMIT 1")
_DUE_OF = both(
    f"SELECT {READ} FROM message WHERE customer_id IN [ids] AND {_IS_DUE}"
    " ORDER BY customer_id, planned_at, rule, cause, number",
    columns=24,
)
_SPENT = both(
    "SELECT customer_id, rule, channel, message_class, claimed_at FROM message"
    " WHERE customer_id IN [ids] AND claimed_at > ?"
    " AND fate IN ('claimed', 'in_flight', 'sent', 'overtaken', 'unknown')",
    columns=5,
)
_HAPPENED = both(
    "SELECT i.customer_id, e.type, e.occurred_at FROM identity AS i"
    " JOIN event AS e ON e.identity_id = i.id"
    " WHERE i.customer_id IN [ids] AND e.type IN [texts] AND e.occurred_at > ?"
    " AND NOT EXISTS (SELECT 1 FROM dead AS d WHERE d.event_id = e.id)",
    columns=3,
)
_RECORDED = both(
    "SELECT count(*) FROM (SELECT 1 FROM message WHERE rule = ? AND recorded_at > ?"
    " AND fate NOT IN ('withheld', 'expired') LIMIT ?) AS recent"
)
_RECEPTION = both(
    "SELECT count(*), count(CASE WHEN s.reason = 'complaint' THEN 1 END),"
    " count(CASE WHEN s.reason = 'hard_bounce' THEN 1 END) FROM send_attempt AS a"
    " JOIN message AS m ON m.id = a.message_id AND m.message_class = 'marketing'"
    " LEFT JOIN suppression AS s ON s.address_hash = a.address_hash AND s.since > ?"
    " AND s.reason IN ('complaint', 'hard_bounce')"
    " WHERE a.channel = ? AND a.began_at > ? "
    " AND (a.outcome IS NULL OR a.outcome <> 'refused')"
)
_JUDGE = bulk(
    "fate text, reason text, fate_at timestamptz, not_before timestamptz, retry_at timestamptz,"
    " id bigint",
    "UPDATE message AS m SET fate = r.fate, reason = r.reason, fate_at = r.fate_at,"
    " not_before = r.not_before, retry_at = r.retry_at"
    f" FROM [rows] WHERE m.id = r.id AND m.{_WAITS}",
)
_CLAIM = bulk(
    "claimed_at timestamptz, channel text, variant text, lease text, lease_until timestamptz,"
    " id bigint",
    "UPDATE message AS m SET fate = 'claimed', reason = NULL, fate_at = r.claimed_at,"
    " claimed_at = r.claimed_at, channel = r.channel, variant = r.variant, lease = r.lease,"
    " lease_until = r.lease_until, retry_at = NULL"
    f" FROM [rows] WHERE m.id = r.id AND m.{_WAITS}",
)
_OURS = both(
    "SELECT id FROM message WHERE id IN [ids] AND fate = 'claimed' AND lease = ?", columns=1
)
_HELD = both(f"SELECT {READ}, lease FROM message WHERE id IN [ids]", columns=25)
_BEGIN = bulk(
    "tries integer, lease_until timestamptz, id bigint",
    "UPDATE message AS m SET fate = 'in_flight', tries = r.tries, lease_until = r.lease_until"
    " FROM [rows] WHERE m.id = r.id",
)
_ATTEMPT = bulk(
    "message_id bigint, number integer, channel text, letter text, address_hash text,"
    " language text, template_hash text, content_hash text, began_at timestamptz",
    "INSERT INTO send_attempt (message_id, number, channel, letter, address_hash, language,"
    " template_hash, content_hash, began_at) SELECT r.message_id, r.number, r.channel, r.letter,"
    " r.address_hash, r.language, r.template_hash, r.content_hash, r.began_at FROM [rows]",
)
_END = bulk(
    "ended_at timestamptz, outcome text, code text, detail text, provider_id text,"
    " message_id bigint, number integer",
    "UPDATE send_attempt AS a SET ended_at = r.ended_at, outcome = r.outcome, code = r.code,"
    " detail = r.detail, provider_id = r.provider_id"
    " FROM [rows] WHERE a.message_id = r.message_id AND a.number = r.number",
)
_SETTLE = bulk(
    "fate text, reason text, fate_at timestamptz, not_before timestamptz, retry_at timestamptz,"
    " sent_at timestamptz, id bigint",
    "UPDATE message AS m SET fate = r.fate, reason = r.reason, fate_at = r.fate_at,"
    " not_before = r.not_before, retry_at = r.retry_at, sent_at = r.sent_at, lease = NULL,"
    " lease_until = NULL FROM [rows] WHERE m.id = r.id",
)
_BY_ID = both(f"SELECT {READ} FROM message WHERE id IN [ids]", columns=24)
_ATTEMPTS = both(
    "SELECT message_id, number, channel, began_at, ended_at, outcome, code, detail, provider_id,"
    " template_hash, content_hash, language, letter FROM send_attempt WHERE message_id IN [ids]"
    " ORDER BY message_id, number",
    columns=13,
)
_FAILED = both(
    "SELECT id, customer_id FROM message WHERE rule = ? AND fate = 'failed' AND live"
    " AND substr(reason, 1, length(CAST(? AS text))) = CAST(? AS text)"
    " AND (expires_at IS NULL OR expires_at > ?) ORDER BY id LIMIT ?",
    columns=2,
)
_AGAIN = both(
    "UPDATE message SET fate = 'queued', reason = NULL, fate_at = ?, not_before = ?, retry_at = NULL"
    " WHERE id IN [ids] AND fate = 'failed' AND live"
)
_LAPSED = both(
    "SELECT id, customer_id FROM message WHERE lease IS NOT NULL AND lease_until <= ?"
    " ORDER BY lease_until LIMIT ?",
    columns=2,
)
_STILL_LAPSED = both(
    "SELECT id, lease FROM message WHERE id IN [ids] AND lease IS NOT NULL AND lease_until <= ?",
    columns=2,
)
_DROP = both("UPDATE message SET lease = NULL, lease_until = NULL WHERE id = ? AND lease = ?")
_RELEASE = both(
    "UPDATE message SET not_before = ?, retry_at = NULL WHERE id IN (SELECT id FROM message"
    f" WHERE {_WAITS} AND reason = 'paused' AND not_before > ? LIMIT ?)"
    f" AND {_WAITS} AND reason = 'paused'"
)

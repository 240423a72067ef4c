"""Which messages did the policy plan, and what became of each?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import orjson

from lifecycle.domain.fate import Fate
from lifecycle.domain.policy import MessageClass
from lifecycle.domain.step import PlannedMessage
from lifecycle.store.sql import Row, Tx, both, bulk


class MessageRow(NamedTuple):
    """A planned message as it is kept, with its fate."""

    row_id: int  # 0 until it is stored
    customer_id: int
    message: PlannedMessage
    live: bool  # its cause stands
    fate: Fate
    reason: str | None  # of a fate that needs one
    fate_at: datetime  # since when it has that fate
    not_before: datetime  # earliest sending: max(planned, recorded) + settle
    sent_at: datetime | None
    recorded_at: datetime
    channel: str | None = None  # by which it was last to be sent
    variant: str | None = None
    claimed_at: datetime | None = None  # when a sender last took it, by the engine's clock
    tries: int = 0  # how often it was handed to a provider


class Expired(NamedTuple):
    """A message whose time has passed."""

    row_id: int
    customer_id: int
    rule: str
    cause: str
    number: int
    version: int  # of the policy that planned it


def of(tx: Tx, customer_ids: Iterable[int]) -> dict[int, list[MessageRow]]:
    """Every message of each customer by planned instant; one without any is not in the answer."""
    found: dict[int, list[MessageRow]] = {}
    for row in tx.rows(_OF, tx.ids(customer_ids)):
        found.setdefault(row[1], []).append(message_row(tx, row))
    return found


def fallen(tx: Tx, customer_ids: Iterable[int]) -> dict[int, list[MessageRow]]:
    """Of `of`, those whose cause was revoked: the same cause may yet plan them again."""
    found: dict[int, list[MessageRow]] = {}
    for row in tx.rows(_FALLEN, tx.ids(customer_ids)):
        found.setdefault(row[1], []).append(message_row(tx, row))
    return found


def insert(tx: Tx, messages: Sequence[MessageRow]) -> None:
    """Store new messages; one whose key the customer has already is an error."""
    to_db, instant, dumps = tx.to_db, tx.to_db_or_none, orjson.dumps
    rows = []
    for row in messages:
        message = row.message
        rows.append(
            (
                row.customer_id,
                message.rule,
                message.cause,
                message.number,
                to_db(message.caused_at),
                to_db(message.planned_at),
                instant(message.expires_at),
                message.settle.total_seconds(),
                message.again_after.total_seconds(),
                message.message_class.value,
                dumps(message.channels).decode(),
                message.version,
                int(row.live),  # the driver is slow with bool
                row.fate.value,
                row.reason,
                to_db(row.fate_at),
                to_db(row.not_before),
                instant(row.sent_at),
                to_db(row.recorded_at),
            )
        )
    tx.bulk(_INSERT, rows)


def update(tx: Tx, messages: Sequence[MessageRow]) -> None:
    """Store what may change of messages: all but whose they are and what planned them."""
    to_db, instant, dumps = tx.to_db, tx.to_db_or_none, orjson.dumps
    tx.bulk(
        _UPDATE,
        [
            (
                to_db(row.message.caused_at),
                to_db(row.message.planned_at),
                instant(row.message.expires_at),
                row.message.settle.total_seconds(),
                row.message.again_after.total_seconds(),
                row.message.message_class.value,
                dumps(row.message.channels).decode(),
                row.message.version,
                row.live,
                row.fate.value,
                row.reason,
                to_db(row.fate_at),
                to_db(row.not_before),
                instant(row.sent_at),
                row.row_id,
            )
            for row in messages
        ],
    )


def expire(tx: Tx, now: datetime, limit: int = 1000) -> list[Expired]:
    """Give waiting messages whose `expires_at` has come the fate expired; which these were.

    At most `limit` a call, so that the transaction stays short. On PostgreSQL it passes over what
    another process works on. What may have left is the claim's to judge: it is no old news, but unknown.
    """
    instant = tx.to_db(now)
    rows = tx.rows(_EXPIRING, instant, limit)
    if rows:
        tx.run(_EXPIRE, instant, tx.ids(row[0] for row in rows))
    return [Expired(*row) for row in rows]


def overtaken(tx: Tx, customer_ids: Iterable[int]) -> dict[tuple[int, str], datetime]:
    """By customer and rule: when a message last left, or may have left, whose cause has been revoked since."""
    return {
        (customer_id, rule): tx.from_db(sent_at)
        for customer_id, rule, sent_at in tx.rows(_OVERTAKEN, tx.ids(customer_ids))
    }


def count_by_rule_and_fate(tx: Tx) -> dict[tuple[str, Fate], int]:
    """How many messages of each rule have each fate."""
    with tx.whole_tables():
        return {(rule, Fate(fate)): count for rule, fate, count in tx.rows(_BY_FATE)}


_COLUMNS = (
    "id, customer_id, rule, cause, number, caused_at, planned_at, expires_at, settle_seconds,"
    " again_after_seconds, message_class, channels, version, live, fate, reason, fate_at,"
    " not_before, sent_at, recorded_at"
)
_INSERTED = _COLUMNS.removeprefix("id, ")
READ = f"{_COLUMNS}, channel, variant, claimed_at, tries"
_OF = both(
    f"SELECT {READ} FROM message WHERE customer_id IN [ids]"
    " ORDER BY customer_id, planned_at, rule, cause, number",
    columns=24,
)
_INSERT = bulk(
    "customer_id bigint, rule text, cause text, number integer, caused_at timestamptz,"
    " planned_at timestamptz, expires_at timestamptz, settle_seconds double precision,"
    " again_after_seconds double precision, message_class text, channels text, version integer,"
    " live boolean, fate text, reason text, fate_at timestamptz, not_before timestamptz,"
    " sent_at timestamptz, recorded_at timestamptz",
    f"INSERT INTO message ({_INSERTED}) SELECT * FROM [rows]",
)
_FALLEN = both(
    f"SELECT {READ} FROM message WHERE customer_id IN [ids] AND NOT live"
    " ORDER BY customer_id, planned_at, rule, cause, number",
    columns=24,
)
_UPDATE = bulk(
    "caused_at timestamptz, planned_at timestamptz, expires_at timestamptz,"
    " settle_seconds double precision, again_after_seconds double precision, message_class text,"
    " channels text, version integer, live boolean, fate text, reason text, fate_at timestamptz,"
    " not_before timestamptz, sent_at timestamptz, id bigint",
    "UPDATE message AS m SET caused_at = r.caused_at, planned_at = r.planned_at,"
    " expires_at = r.expires_at, settle_seconds = r.settle_seconds,"
    " again_after_seconds = r.again_after_seconds, message_class = r.message_class,"
    " channels = r.channels, version = r.version, live = r.live, fate = r.fate,"
    " reason = r.reason, fate_at = r.fate_at, not_before = r.not_before, sent_at = r.sent_at"
    " FROM [rows] WHERE m.id = r.id",
)
_EXPIRING = both(
    # Counted, as NOT EXISTS beside an OR has PostgreSQL read every attempt there ever was.
    "SELECT id, customer_id, rule, cause, number, version FROM message"
    " WHERE fate IN ('queued', 'deferred') AND expires_at <= ? AND (tries = 0 OR"
    " (SELECT count(*) FROM send_attempt AS a WHERE a.message_id = message.id"
    " AND (a.outcome IS NULL OR a.outcome = 'ambiguous')) = 0) ORDER BY expires_at LIMIT ? [lock]",
    columns=6,
)
_EXPIRE = both("UPDATE message SET fate = 'expired', fate_at = ? WHERE id IN [ids]")
_OVERTAKEN = both(
    "SELECT customer_id, rule, max(coalesce(sent_at, claimed_at)) FROM message"
    " WHERE customer_id IN [ids] AND NOT live AND fate IN ('overtaken', 'in_flight', 'unknown')"
    " AND coalesce(sent_at, claimed_at) IS NOT NULL GROUP BY customer_id, rule"
)
_BY_FATE = both("SELECT rule, fate, count(*) FROM message GROUP BY rule, fate ORDER BY rule, fate")


def message_row(tx: Tx, row: Row) -> MessageRow:
    """Of the columns that `READ` names."""
    return MessageRow(
        row_id=row[0],
        customer_id=row[1],
        message=PlannedMessage(
            rule=row[2],
            cause=row[3],
            number=row[4],
            caused_at=tx.from_db(row[5]),
            planned_at=tx.from_db(row[6]),
            expires_at=tx.from_db_or_none(row[7]),
            settle=timedelta(seconds=row[8]),
            again_after=timedelta(seconds=row[9]),
            message_class=MessageClass(row[10]),
            channels=tuple(orjson.loads(row[11])),
            version=row[12],
        ),
        live=bool(row[13]),
        fate=Fate(row[14]),
        reason=row[15],
        fate_at=tx.from_db(row[16]),
        not_before=tx.from_db(row[17]),
        sent_at=tx.from_db_or_none(row[18]),
        recorded_at=tx.from_db(row[19]),
        channel=row[20],
        variant=row[21],
        claimed_at=tx.from_db_or_none(row[22]),
        tries=row[23],
    )

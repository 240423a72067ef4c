"""What becomes of messages whose sender is gone? What was only claimed waits again; what was on its way is
judged by its class."""

from __future__ import annotations

from datetime import datetime

from lifecycle.domain.event import UNKNOWN
from lifecycle.domain.fate import Fate
from lifecycle.engine import decisions
from lifecycle.engine.accept import accept_within
from lifecycle.engine.fates import SUPERSEDED
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending.aftermath import Becomes, abandoned, given_up, is_known_by_key
from lifecycle.engine.sending.office import Office
from lifecycle.engine.sending.outcome_events import outcome_event
from lifecycle.store import customers, sending
from lifecycle.store.messages import MessageRow
from lifecycle.store.sending import Settled
from lifecycle.store.sql import Tx

AT_ONCE = 200


def reclaim(inst: Installation, office: Office) -> int:
    """Let go of what nobody is at any more; how many messages these were. Run twice, it finds none."""
    with inst.db.read() as tx:
        if not sending.lapsed(tx, inst.db.clock(tx), 1):
            return 0
    return inst.db.run(lambda tx: _reclaim(inst, tx, office))


def _reclaim(inst: Installation, tx: Tx, office: Office) -> int:
    real = inst.db.clock(tx)
    lapsed = sending.lapsed(tx, real, AT_ONCE)
    locked = set(customers.lock(tx, dict.fromkeys(one.customer_id for one in lapsed)))
    mine = [one.row_id for one in lapsed if one.customer_id in locked]
    still = sending.leased_by(tx, mine, real)
    rows = sending.by_id(tx, [row_id for row_id, _ in still])
    people = customers.rows(tx, {row.customer_id for row in rows.values()})
    for row_id, token in still:
        row = rows[row_id]
        if row.fate not in {Fate.CLAIMED, Fate.IN_FLIGHT}:
            sending.drop_lease(tx, row_id, token)
            continue
        _let_go(inst, tx, office, row, people[row.customer_id].key)
    return len(still)


def _let_go(inst: Installation, tx: Tx, office: Office, row: MessageRow, customer: str) -> None:
    now, real = inst.now(tx), inst.db.clock(tx)
    becoming = _becomes(tx, office, row, real)
    wait = becoming.retry_in
    settled = Settled(
        row_id=row.row_id,
        fate=becoming.fate,
        reason=becoming.reason,
        fate_at=now,
        not_before=row.not_before if wait is None else now + wait * inst.rate,
        retry_at=None if wait is None else real + wait,
        sent_at=None,
    )
    sending.settle_all(tx, [settled])
    if becoming.fate is Fate.UNKNOWN:
        event = outcome_event(
            office,
            customer,
            row,
            UNKNOWN,
            ended_by=row.tries,
            channel=row.channel or "",
            code=becoming.reason,
            now=now,
        )
        accept_within(inst, tx, [event])
    after = row._replace(fate=becoming.fate, reason=becoming.reason)
    decisions.tell_of_fates(tx, [(row, after)])


def _becomes(tx: Tx, office: Office, row: MessageRow, real: datetime) -> Becomes:
    before = sending.attempts_of(tx, [row.row_id]).get(row.row_id, [])
    if row.fate is Fate.CLAIMED:
        if row.live:
            return Becomes(fate=Fate.QUEUED)
        return given_up(Becomes(fate=Fate.CANCELLED, reason=SUPERSEDED), before)
    channel = office.channels.get(row.channel or "")
    same_key = is_known_by_key(before, channel.same_key_for if channel else None, real)
    return abandoned(row, before, same_key=same_key)

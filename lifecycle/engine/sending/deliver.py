"""How does a message that was taken leave? Write it, say that it is on its way, hand it over, settle it.

Whoever dies in between leaves a lease, and what was on its way is judged by its class: see `reclaim`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from lifecycle.domain import calendar
from lifecycle.domain.event import FAILED, OUR_PREFIX, OUR_SOURCE, SENT, UNKNOWN, Event
from lifecycle.domain.fate import Fate
from lifecycle.domain.policy import MessageClass
from lifecycle.engine import addressing, decisions
from lifecycle.engine.accept import accept_within
from lifecycle.engine.fates import SUPERSEDED
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending.aftermath import Becomes, becomes, is_known_by_key, named
from lifecycle.engine.sending.claim import Taken
from lifecycle.engine.sending.office import NotWritten, Office
from lifecycle.intake.draft import Draft, content_hash
from lifecycle.killpoints import Point, killpoint
from lifecycle.outreach.channels.settings import LONGEST_TIMEOUT
from lifecycle.outreach.letter import Letter, Recipient
from lifecycle.outreach.outcome import Accepted, Outcome
from lifecycle.store import customers, sending
from lifecycle.store.messages import MessageRow
from lifecycle.store.sending import Attempt, Ended, Settled
from lifecycle.store.sql import Tx

IN_FLIGHT_FOR = LONGEST_TIMEOUT + timedelta(seconds=30)  # longer than any channel may take
_TYPES = {Fate.SENT: SENT, Fate.OVERTAKEN: SENT, Fate.FAILED: FAILED, Fate.UNKNOWN: UNKNOWN}


def deliver(inst: Installation, office: Office, taken: Taken) -> Outcome | None:
    """Send one message that was claimed; None: it was not handed over, and that is written down."""
    try:
        letter = _letter(office, taken)
    except NotWritten as error:
        _fail(inst, office, taken, error.code)
        return None
    number = taken.row.tries + 1
    if not inst.db.run(lambda tx: _begin(inst, tx, office, taken, letter, number)):
        office.leave(taken.channel, None)
        return None
    killpoint(Point.SEND_IN_FLIGHT)
    outcome = office.channels[taken.channel].send(letter)
    office.leave(taken.channel, outcome)
    killpoint(Point.SEND_ACCEPTED)
    inst.db.run(lambda tx: _conclude(inst, tx, office, taken, outcome, number))
    killpoint(Point.SEND_SENT)
    return outcome


def _fail(inst: Installation, office: Office, taken: Taken, code: str) -> None:
    office.leave(taken.channel, None)
    becoming = Becomes(fate=Fate.FAILED, reason=f"template_error: {code}")
    inst.db.run(lambda tx: _settle(inst, office, tx, taken, becoming, number=None, code=code))
    decisions.tell_of_broken_text(taken.row, code)


def release(inst: Installation, office: Office, taken: Taken) -> None:
    """Let go of a message that was claimed and not handed over."""
    office.leave(taken.channel, None)
    becoming = Becomes(fate=Fate.QUEUED)
    inst.db.run(lambda tx: _settle(inst, office, tx, taken, becoming, number=None, code=None))


# -- the letter ------------------------------------------------------------------------------


def _letter(office: Office, taken: Taken) -> Letter:
    rule, snapshot = taken.rule, taken.snapshot
    key = office.key_of(taken.customer.key, taken.row)
    language = snapshot.attributes.get("language")
    links = office.links(
        taken.customer.id, key, purpose=rule.purpose, channel=taken.channel, rule=rule.name
    )
    context = addressing.context_of(
        snapshot,
        taken.version,
        taken.row,
        taken.now,
        customer=taken.customer.key,
        event=taken.event,
        step=taken.step,
        variant=taken.variant,
        links=links,
        company=office.company,
        owner=office.owner(snapshot.attributes.get("owner")),
    )
    rendered = office.texts.write(
        rule.name,
        taken.row.message.number,
        taken.variant,
        taken.channel,
        language,
        context,
        zone=calendar.zone(snapshot.attributes.get("timezone"), taken.version.zone_name).key,
        currency=taken.version.policy.currency,
    )
    return Letter(
        key=key,
        channel=taken.channel,
        rule=rule.name,
        to=Recipient(
            customer=taken.customer.key,
            address="" if taken.address == "-" else taken.address,
            name=snapshot.attributes.get("name"),
            language=language,
        ),
        content=rendered,
        marketing=rule.message_class is MessageClass.MARKETING,
        links=links,
        due_at=taken.row.message.expires_at,
        facts=_facts(taken, context),
    )


def _facts(taken: Taken, context: Mapping[str, Any]) -> dict[str, object]:
    """What a program that gets the letter may want to know."""
    return {
        "customer": taken.customer.key,
        "state": taken.snapshot.state,
        "rule": taken.rule.name,
        "step": taken.row.message.number,
        "variant": taken.variant,
        "attributes": dict(taken.snapshot.attributes),
        "facts": context.get("facts", {}),
    }


# -- begin, and end --------------------------------------------------------------------------


def _begin(
    inst: Installation, tx: Tx, office: Office, taken: Taken, letter: Letter, number: int
) -> bool:
    customers.wait_for(tx, taken.customer.id)
    real = inst.db.clock(tx)
    attempt = Attempt(
        message_id=taken.row.row_id,
        number=number,
        channel=taken.channel,
        letter=letter.key,
        address_hash=next(iter(office.hashes_of(taken.channel, taken.address)), None),
        language=letter.content.language,
        template_hash=letter.content.template_hash,
        content_hash=letter.content.sha256,
    )
    return sending.begin(
        tx, attempt, token=taken.token, real=real, lease_until=real + IN_FLIGHT_FOR
    )


def _conclude(
    inst: Installation, tx: Tx, office: Office, taken: Taken, outcome: Outcome, number: int
) -> None:
    customers.wait_for(tx, taken.customer.id)
    real = inst.db.clock(tx)
    row = sending.by_id(tx, [taken.row.row_id]).get(taken.row.row_id)
    same_key = is_known_by_key([*taken.before], office.channels[taken.channel].same_key_for, real)
    code = None if isinstance(outcome, Accepted) else outcome.code
    sending.end(
        tx,
        Ended(
            message_id=taken.row.row_id,
            number=number,
            outcome=named(outcome),
            code=code,
            detail=None if isinstance(outcome, Accepted) else outcome.detail[:500],
            provider_id=outcome.provider_id if isinstance(outcome, Accepted) else None,
        ),
        real,
    )
    if row is not None:
        becoming = becomes(row, outcome, taken.before, same_key=same_key)
        _settle(inst, office, tx, taken, becoming, number=number, code=code)
    killpoint(Point.SEND_BEFORE_SENT)


def _settle(
    inst: Installation,
    office: Office,
    tx: Tx,
    taken: Taken,
    becoming: Becomes,
    *,
    number: int | None,
    code: str | None,
) -> bool:
    """False: another process took the message over; what it makes of it stands."""
    customers.wait_for(tx, taken.customer.id)
    if becoming.fate is Fate.QUEUED and not _is_live(tx, taken):
        becoming = Becomes(fate=Fate.CANCELLED, reason=SUPERSEDED)
    now, real = inst.now(tx), inst.db.clock(tx)
    wait = becoming.retry_in
    settled = Settled(
        row_id=taken.row.row_id,
        fate=becoming.fate,
        reason=becoming.reason,
        fate_at=now,
        not_before=taken.row.not_before if wait is None else now + wait * inst.rate,
        retry_at=None if wait is None else real + wait,
        sent_at=now if becoming.fate in {Fate.SENT, Fate.OVERTAKEN} else None,
    )
    if not sending.settle(tx, settled, token=taken.token, number=number):
        return False
    kind = _TYPES.get(becoming.fate)
    if kind is not None:
        event = outcome_event(
            office,
            taken.customer.key,
            taken.row,
            kind,
            number=number or 0,
            channel=taken.channel,
            code=code,
            now=now,
        )
        accept_within(inst, tx, [event])
    after = taken.row._replace(fate=becoming.fate, reason=becoming.reason)
    decisions.tell_of_fates(tx, [(taken.row, after)])
    return True


def _is_live(tx: Tx, taken: Taken) -> bool:
    row = sending.by_id(tx, [taken.row.row_id]).get(taken.row.row_id)
    return row is not None and row.live


def outcome_event(
    office: Office,
    customer: str,
    row: MessageRow,
    kind: str,
    *,
    number: int,
    channel: str,
    code: str | None,
    now: datetime,
) -> Draft:
    """What became of a message, as an event of the customer's; one for each try that ended it."""
    key = office.key_of(customer, row)
    properties: dict[str, Any] = {
        "message": key,
        "rule": row.message.rule,
        "step": row.message.number,
        "channel": channel,
    }
    if row.variant is not None:
        properties["variant"] = row.variant
    if code is not None:
        properties["code"] = code
    event = Event(
        source=OUR_SOURCE,
        id=f"{kind.removeprefix(OUR_PREFIX)}:{key}:{number}",
        customer=customer,
        type=kind,
        occurred_at=now,
        received_at=now,
        properties=properties,
    )
    return Draft(
        event=event,
        dated=False,
        body_hash=content_hash(customer, kind, None, properties),
        backfill=False,
        too_late=False,
    )

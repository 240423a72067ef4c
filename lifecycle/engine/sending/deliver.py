"""How does a message that was taken leave? Write it, say that it is on its way, hand it over, settle it.

Whoever dies in between leaves a lease, and what was on its way is judged by its class: see `reclaim`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lifecycle.domain import calendar
from lifecycle.domain.policy import MessageClass
from lifecycle.engine import addressing, decisions
from lifecycle.engine.observer import Observer
from lifecycle.engine.sending.aftermath import named
from lifecycle.engine.sending.claim import Taken
from lifecycle.engine.sending.office import NotWritten, Office
from lifecycle.engine.sending.register import Register
from lifecycle.errors import LifecycleError
from lifecycle.killpoints import Point, killpoint
from lifecycle.outreach.letter import Letter, Recipient
from lifecycle.outreach.outcome import Outcome

DEFECT = "defect"  # of this program, by which a text could not be written; its complaint says more
NO_TEXT = "no_text"  # what came of a letter that could not be written


def deliver(office: Office, register: Register, taken: Taken, observer: Observer) -> Outcome | None:
    """Send one message that was claimed; None: it was not handed over, and that is written down."""
    began = time.perf_counter()
    try:
        letter = _letter(office, taken)
    except NotWritten as error:
        observer.letter(taken.channel, NO_TEXT, time.perf_counter() - began)
        _fail(office, register, taken, error)
        return None
    except BaseException as error:
        office.leave(taken.channel, None)  # else a trial of a provider that failed is never over
        if isinstance(error, Exception) and not isinstance(error, LifecycleError):
            register.fail(taken, f"template_error: {DEFECT}", DEFECT)  # else it is tried for ever
        raise
    number = taken.row.tries + 1
    if not register.begin(taken, letter, number):
        office.leave(taken.channel, None)
        return None
    killpoint(Point.SEND_IN_FLIGHT)
    began = time.perf_counter()
    try:
        outcome = office.channels[taken.channel].send(letter)
    except BaseException:
        office.leave(taken.channel, None)
        raise
    observer.letter(taken.channel, named(outcome), time.perf_counter() - began)
    office.leave(taken.channel, outcome)
    killpoint(Point.SEND_ACCEPTED)
    register.conclude(taken, outcome, number)
    killpoint(Point.SEND_SENT)
    return outcome


def _fail(office: Office, register: Register, taken: Taken, error: NotWritten) -> None:
    office.leave(taken.channel, None)
    register.fail(taken, f"template_error: {error.code}: {error}", error.code)
    decisions.tell_of_broken_text(taken.row, error.code, str(error))


def release(office: Office, register: Register, taken: Taken) -> None:
    """Let go of a message that was claimed and not handed over."""
    office.leave(taken.channel, None)
    register.release(taken)


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
    marketing = rule.message_class is MessageClass.MARKETING
    if marketing:
        rendered = office.measured(
            rendered, letter=key, channel=taken.channel, consents=snapshot.consents
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
        marketing=marketing,
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

"""How does a customer's history tell what became of a message? By an event of ours for each try that ended it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lifecycle.domain.event import OUR_PREFIX
from lifecycle.engine.sending.office import Office
from lifecycle.intake.draft import Draft, draft_of_ours
from lifecycle.store.messages import MessageRow


def outcome_event(
    office: Office,
    customer: str,
    row: MessageRow,
    kind: str,
    *,
    ended_by: int | str,
    channel: str,
    code: str | None,
    now: datetime,
) -> Draft:
    """What became of a message, as an event of the customer's; one for each try that ended it.

    `ended_by` tells the tries apart: the attempt's number, or the claim that found no letter to hand over.
    """
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
    id = f"{kind.removeprefix(OUR_PREFIX)}:{key}:{ended_by}"
    return draft_of_ours(id, customer, kind, now, properties)

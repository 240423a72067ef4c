"""A letter to anna, as a channel gets it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lifecycle.outreach.letter import Letter, Recipient, Rendered


def letter(
    key: str = "l-1",
    customer: str = "anna",
    *,
    language: str | None = None,
    due_at: datetime | None = None,
    subject: str | None = "Call anna",
    text: str = "Call anna today\nShe has asked for an offer.",
    facts: dict[str, Any] | None = None,
    **attributes: Any,
) -> Letter:
    """For the channel `task`; what is named further are attributes of hers."""
    return Letter(
        key=key,
        channel="task",
        rule="answer-enquiry",
        to=Recipient(customer=customer, address="", language=language),
        content=Rendered(
            text=text, subject=subject, language="en", template_hash="0" * 64, sha256="1" * 64
        ),
        marketing=False,
        due_at=due_at,
        facts={"attributes": attributes, "facts": facts or {}},
    )

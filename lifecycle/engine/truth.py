"""What is true of a customer at an instant, in one canonical form; and one number for many of them.

The number is SHA-256 over the sum, modulo 2 ** 256, of the SHA-256 of each customer's truth. A sum does
not ask in which order customers come, so that parts may be computed apart, on all cores, and put
together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from lifecycle.domain.fold import facts_at
from lifecycle.domain.instant import instant_text
from lifecycle.domain.snapshot import Snapshot
from lifecycle.domain.step import Step
from lifecycle.domain.timeline import Timeline

_WHOLE = 1 << 256

MessageKey = tuple[str, str, int]


def truth(
    timeline: Timeline,
    customer: str,
    snapshot: Snapshot,
    steps: Sequence[Step],
    messages: Iterable[MessageKey],
    at: datetime,
) -> dict[str, Any]:
    """`snapshot` holds her facts as of `at`; `steps` and `messages` are what stands, up to `at`."""
    return {
        "customer": customer,
        "state": steps[-1].to_state if steps else timeline.versions[0].policy.initial,
        "facts": facts_at(timeline, snapshot, at),
        "attributes": snapshot.attributes,
        "tags": snapshot.tags,
        "consents": snapshot.consents,
        "steps": [
            {
                "rule": step.rule,
                "from": step.from_state,
                "to": step.to_state,
                "trigger": step.trigger,
                "cause": step.cause,
                "at": instant_text(step.at),
                "guard": step.guard,
                "read": step.read,
                "version": step.version,
                "by": step.by,
                "why": step.why,
            }
            for step in steps
        ],
        "messages": sorted(messages),
    }


@dataclass(slots=True)
class Sum:
    """The one number, while it is being computed."""

    customers: int = 0
    total: int = 0

    def add(self, told: dict[str, Any]) -> None:
        line = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
        self.total = (self.total + int.from_bytes(hashlib.sha256(line).digest())) % _WHOLE
        self.customers += 1

    def merge(self, other: Sum) -> None:
        self.total = (self.total + other.total) % _WHOLE
        self.customers += other.customers

    @property
    def hex(self) -> str:
        return hashlib.sha256(self.total.to_bytes(32)).hexdigest()

"""The oracle's truth in the shape of the engine's digest, so that the two can be laid side by side."""

from __future__ import annotations

from typing import Any

from lifecycle.domain.instant import instant_text
from tests.oracle.truth import Truth, plain_all


def digested(customer: str, truth: Truth) -> dict[str, Any]:
    return {
        "customer": customer,
        "state": truth.state,
        "facts": plain_all(truth.facts),
        "attributes": truth.attributes,
        "tags": tuple(sorted(truth.tags)),
        "consents": truth.consents,
        "steps": [
            {
                "rule": step.rule,
                "from": step.from_state,
                "to": step.to_state,
                "trigger": step.trigger,
                "cause": step.cause,
                "at": instant_text(step.at),
                "guard": step.guard,
                "read": plain_all(step.read),
                "version": step.version,
                "by": step.by,
                "why": step.why,
            }
            for step in truth.steps
        ],
        "messages": sorted((m.rule, m.cause, m.number) for m in truth.messages),
    }

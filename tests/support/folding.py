"""How often is an event folded?"""

from __future__ import annotations

from collections import Counter

import pytest

from lifecycle.domain.event import Event
from lifecycle.domain.fold import Run


def counted_takes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """By the type of event, from now on until the test ends; each also where it cannot be folded."""
    taken: Counter[str] = Counter()
    take = Run.take

    def counted(run: Run, event: Event) -> None:
        taken[event.type] += 1
        take(run, event)

    monkeypatch.setattr(Run, "take", counted)
    return taken

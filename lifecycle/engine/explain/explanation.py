"""What is there to be told about one customer? The record; `gather` fills it, `story` finds the words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lifecycle.domain.instant import instant_text
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.explain import story
from lifecycle.engine.explain.ahead import Ahead, Asleep
from lifecycle.engine.explain.asked import Moment, Supposed
from lifecycle.engine.explain.asked_forms import asked_form, moment_form, supposed_form
from lifecycle.engine.explain.chapters import Chapter, Standing
from lifecycle.engine.explain.forms import (
    Form,
    ahead_form,
    asleep_form,
    chapter_form,
    dead_form,
    event_form,
    instant_or_none,
)
from lifecycle.store.dead import DeadLetter
from lifecycle.store.events import StoredEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """The record differs from what follows now, as when a new policy is still to be applied."""

    missing: int  # steps that follow from her events and are not recorded yet
    gone: int  # recorded steps that no longer follow


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One customer end to end, as far as she has been folded."""

    customer: str  # her own key
    number: int  # by which the log of the processes calls her
    identifiers: tuple[str, ...]  # all that name her, her key included
    now: datetime  # of the engine's clock
    folded_until: datetime | None  # None: none of her events has been applied
    standing: Standing
    chapters: tuple[Chapter, ...]  # what happened, in the order of event time
    ahead: tuple[Ahead, ...]  # what time alone will do, the earliest first
    asleep: tuple[Asleep, ...]  # checks of her state that do not stand, and why
    pending: tuple[StoredEvent, ...]  # arrived, not applied yet
    waiting: tuple[StoredEvent, ...]  # applied when their time comes
    held: int  # events of imports that have not ended
    dead: tuple[DeadLetter, ...]
    behind: Behind | None
    timeline: Timeline  # the policies by which all this is judged
    unknown: frozenset[int] = frozenset()
    """Rows of messages whose last fate is later than `now`: none before it was kept."""
    moment: Moment | None = None  # of a past moment: how it was known; `now` is that moment
    supposed: Supposed | None = None  # of a what-if: by which policy, and what differs

    def lines(self, limit: int | None = None) -> list[str]:
        """The story in plain English, in the order of time; with `limit`, the newest chapters."""
        return story.lines(self, limit)

    def to_json(self, limit: int | None = None) -> Form:
        """Everything as JSON values; with `limit`, the newest chapters."""
        version = self.timeline.at(self.now)
        first = 0 if limit is None else max(len(self.chapters) - limit, 0)
        standing = self.standing
        return {
            "asked": asked_form(self.moment, self.supposed),
            "customer": self.customer,
            "number": self.number,
            "identifiers": list(self.identifiers),
            "as_of": instant_text(self.now),
            "folded_until": instant_or_none(self.folded_until),
            "policy_version": version.number or None,
            "state": standing.state,
            "label": standing.label,
            "since": instant_or_none(standing.since),
            "zone": standing.zone,
            "facts": dict(standing.facts),
            "attributes": dict(standing.attributes),
            "tags": list(standing.tags),
            "consents": dict(standing.consents),
            "refused": dict(standing.refused),
            "chapters_left_out": first,
            "chapters": [
                chapter_form(one, self.timeline, self.unknown) for one in self.chapters[first:]
            ],
            "ahead": [ahead_form(one, version, standing.zone) for one in self.ahead],
            "asleep": [asleep_form(one) for one in self.asleep],
            "pending": [event_form(stored) for stored in self.pending],
            "waiting": [event_form(stored) for stored in self.waiting],
            "held": self.held,
            "dead": [dead_form(letter) for letter in self.dead],
            "behind": None
            if self.behind is None
            else {"missing": self.behind.missing, "gone": self.behind.gone},
            "moment": None if self.moment is None else moment_form(self.moment),
            "what_if": None if self.supposed is None else supposed_form(self.supposed),
        }

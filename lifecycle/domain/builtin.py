"""The event types that every installation understands, never declared in a policy file."""

from __future__ import annotations

from types import MappingProxyType

from lifecycle.domain.policy import EventType, Property, ValueType

PROFILE_CHANGED = (
    "profile_changed"  # {attributes: {name: value or null}}; last write by event time wins
)
TAG_ADDED = "tag_added"
TAG_REMOVED = "tag_removed"
CONSENT_GIVEN = "consent_given"  # {purpose, channel}; last write wins, see `EVERY_CHANNEL`
CONSENT_WITHDRAWN = "consent_withdrawn"
EVERY_CHANNEL = "all"  # as the channel of a consent: takes the place of each single one's
SURVEY_ANSWERED = "survey_answered"
PAGE_VIEWED = "page_viewed"

_text = Property(type=ValueType.TEXT)
_needed = Property(type=ValueType.TEXT, required=True)


def _consent(name: str) -> EventType:
    return EventType(
        name=name,
        properties={"purpose": _needed, "channel": _needed, "evidence": _text},
        strict=True,
    )


BUILTIN = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            # `attributes` is an object: its members are checked against the policy's attributes
            EventType(name=PROFILE_CHANGED, properties={}, strict=True),
            EventType(name=TAG_ADDED, properties={"tag": _needed}, strict=True),
            EventType(name=TAG_REMOVED, properties={"tag": _needed}, strict=True),
            _consent(CONSENT_GIVEN),
            _consent(CONSENT_WITHDRAWN),
            EventType(
                name=SURVEY_ANSWERED,
                properties={
                    "survey": _text,
                    "score": Property(type=ValueType.NUMBER),
                    "reason": _text,
                    "comment": _text,
                },
                interaction=True,
            ),
            EventType(name=PAGE_VIEWED, properties={}, interaction=True),
        )
    }
)

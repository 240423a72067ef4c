"""What may an explanation be asked for? Now or a past moment, and by which policy; and what is found on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lifecycle import policy as policy_file
from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import Policy, PolicyVersion
from lifecycle.domain.step import Step
from lifecycle.domain.timeline import Timeline
from lifecycle.engine import policies
from lifecycle.store.events import StoredEvent
from lifecycle.store.sql import Tx

NO_VERSION = 0
"""The number of a policy that was never published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """A policy by which she is explained as if it had been in force from the beginning of time."""

    name: str  # the file as it was named, or `version 2`
    number: int  # of a published version; else NO_VERSION
    hash: str  # SHA-256 of what it does, hex
    policy: Policy

    def timeline(self) -> Timeline:
        return Timeline(
            [
                PolicyVersion(
                    number=self.number, hash=self.hash, effective_at=BEGINNING, policy=self.policy
                )
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an explanation is to tell; as it stands, what is so now."""

    at: datetime | None = None  # a past moment
    late_events: bool = (
        False  # of that moment, what is known today and not only what was known then
    )
    policy: Hypothesis | None = None  # None: the policies that were in force


NOW = Asked()


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """An event that had occurred by a moment, and was not known then."""

    stored: StoredEvent
    known_at: datetime  # when it arrived, or the import ended that brought it


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What tells a past moment as it was known then from what is known of it today."""

    at: datetime
    late_events: bool  # told as it is known today
    events: int  # of those up to the moment, how many are taken into account
    late: tuple[Late, ...]  # by event time; taken into account, or left out
    versions: tuple[int, ...]  # of policies that were published later and act before the moment
    state_then: str  # what she was believed to be in
    state_today: str  # what she is known today to have been in; both by the policies in force


@dataclass(frozen=True, slots=True, kw_only=True)
class Shifted:
    """A step to the same state on the same occasion: at another instant, from another state or by another rule."""

    recorded: Step
    supposed: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a life under a supposed policy differs from that under the policies that were in force."""

    same: int  # steps that are in both, at the same instant; what their guards read may differ
    shifted: tuple[Shifted, ...]
    only_recorded: tuple[Step, ...]
    only_supposed: tuple[Step, ...]
    messages: Mapping[str, tuple[int, int]]
    """By rule, where the two differ in any: how many are planned as recorded, and how many would be."""
    state: str  # in the end, as recorded
    supposed_state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposed:
    """What a what-if is told from, and what came of it."""

    policy: Hypothesis
    in_force: bool  # it is the only policy that ever was in force, so that nothing can differ
    left_out: Mapping[str, int]  # how many events about letters that really were, by type
    unfoldable: Mapping[tuple[str, str], str]  # source and id of events that it cannot fold: why
    difference: Difference
    recorded: Timeline  # the policies that were in force


def of_file(path: Path) -> Hypothesis:
    """The policy of a file; raises PolicyRefused with every finding."""
    loaded = policy_file.load(path)
    return Hypothesis(name=str(path), number=NO_VERSION, hash=loaded.hash, policy=loaded.policy)


def of_version(tx: Tx, name: str, now: datetime) -> Hypothesis:
    """A version by its number, or the one in force; raises NotFound, and says which there are."""
    found = policies.named(policies.versions(tx), name, now)
    return Hypothesis(
        name=f"version {found.number}",
        number=found.number,
        hash=found.hash,
        policy=found.policy,
    )

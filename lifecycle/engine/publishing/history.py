"""Which policies were put forward, what did they change, who decided, and how far are the customers?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lifecycle import policy as policy_file
from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import Policy
from lifecycle.engine import policies
from lifecycle.engine.installation import Installation
from lifecycle.engine.publishing.measured import Measured, measured_from
from lifecycle.errors import NotFound
from lifecycle.store import policies as stored
from lifecycle.store import publications, recomputations
from lifecycle.store.policies import PolicyRow
from lifecycle.store.publications import Publication, Status
from lifecycle.store.recomputations import Recomputation


class Standing(StrEnum):
    JUDGES = "judges"  # now
    SCHEDULED = "scheduled"  # judges from its instant on
    PAST = "past"  # judged until a later one took effect
    REPLACED = "replaced"  # judges nothing: a later one begins before it, or restated history
    WAITING = "waiting"  # a draft, for approval
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the customers have been folded on to a version."""

    customers: int  # when it began
    done: int
    began_at: datetime
    ended_at: datetime | None
    overtaken: bool  # it went on with a later version


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    number: int
    standing: Standing
    hash: str
    effective_at: (
        datetime | None
    )  # BEGINNING of those that judge all of the past; of a draft: as wanted
    published_at: datetime | None  # None: never
    by: str
    why: str | None
    content_of: int | None
    restates: bool
    effects: bool
    changes: tuple[str, ...]
    measured: Measured | None  # None: of the version that an empty database took
    exceeded: tuple[str, ...]
    approval: Approval | None  # or who discarded it
    recomputation: Progress | None


def history(inst: Installation) -> list[Entry]:
    """Every version and draft, the oldest first; none where nothing has been in force yet."""
    with inst.db.read() as tx:
        now, known = inst.now(tx), policies.versions(tx)
        published = {row.number: row for row in stored.all_versions(tx)}
        put_forward = {row.number: row for row in publications.all_of(tx)}
        progress = recomputations.all_of(tx)
    if not known:
        return []
    timeline = policies.timeline_of(known)
    judging = timeline.at(now).number
    live = {version.number: version.effective_at for version in timeline.versions}

    def standing(number: int) -> Standing:
        if number not in published:
            waits = put_forward[number].status is Status.WAITING
            return Standing.WAITING if waits else Standing.DISCARDED
        if number not in live:
            return Standing.REPLACED
        if number == judging:
            return Standing.JUDGES
        return Standing.SCHEDULED if live[number] > now else Standing.PAST

    return [
        _entry(
            number,
            standing(number),
            published.get(number),
            put_forward.get(number),
            progress.get(number),
        )
        for number in sorted({*published, *put_forward})
    ]


def policy_of(inst: Installation, number: int) -> Policy:
    """What a version or draft says. NotFound where there is none of that number."""
    with inst.db.read() as tx:
        for row in stored.all_versions(tx):
            if row.number == number:
                return policy_file.from_canonical(row.content.encode())
        draft = publications.get(tx, number)
    if draft is None:
        raise NotFound(
            f"there is no policy version or draft {number}; `lifecycle policy history` lists them"
        )
    return policy_file.from_canonical(draft.content.encode())


def _entry(
    number: int,
    standing: Standing,
    version: PolicyRow | None,
    record: Publication | None,
    progress: Recomputation | None,
) -> Entry:
    either = version or record
    assert either is not None
    return Entry(
        number=number,
        standing=standing,
        hash=either.hash,
        effective_at=_effective(version, record),
        published_at=None if version is None else version.published_at,
        by=either.by,
        why=None if record is None else record.why,
        content_of=None if record is None else record.content_of,
        restates=record is not None and record.restates,
        effects=record is not None and record.effects,
        changes=() if record is None else record.changes,
        measured=None if record is None else measured_from(record.measured),
        exceeded=() if record is None else record.exceeded,
        approval=None if record is None else _approval(record),
        recomputation=None if progress is None else _progress(progress),
    )


def _effective(version: PolicyRow | None, record: Publication | None) -> datetime | None:
    if version is not None:
        return version.effective_at
    assert record is not None
    return BEGINNING if record.restates else record.wanted_at


def _approval(record: Publication) -> Approval | None:
    if record.decided_by is None or record.decided_at is None:
        return None
    return Approval(by=record.decided_by, why=record.decided_why or "", at=record.decided_at)


def _progress(found: Recomputation) -> Progress:
    return Progress(
        customers=found.customers,
        done=found.done,
        began_at=found.began_at,
        ended_at=found.ended_at,
        overtaken=found.ended_at is not None and found.done < found.customers,
    )

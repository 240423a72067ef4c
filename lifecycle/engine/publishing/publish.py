"""How does a policy become the next version? Put forward, measured, and published, or left as a draft.

Everything that a publication changes comes true in one transaction: the version, the record of what was
measured, and the recomputation that it asks for. Whoever is slower than another is told, and nothing of
hers is stored. No lock keeps workers off meanwhile: `current` says why what they write is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from lifecycle import policy as policy_file
from lifecycle.domain.instant import BEGINNING, instant_text
from lifecycle.domain.policy import Policy, PolicyVersion
from lifecycle.engine import policies
from lifecycle.engine.installation import Installation
from lifecycle.engine.publishing.measured import Changes, Measure, Measured
from lifecycle.engine.publishing.rules import Exceeded, Rules, exceeded
from lifecycle.errors import UNCHANGED, NotFound, NotPublished, NotReady, Problem
from lifecycle.killpoints import Point, killpoint
from lifecycle.store import customers, publications, recomputations
from lifecycle.store import policies as versions
from lifecycle.store.policies import PolicyRow
from lifecycle.store.publications import Publication, Status
from lifecycle.store.sql import Tx

ONLY_LABELS = "only labels and the order of states, which decide nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What somebody puts forward."""

    policy: Policy
    by: str
    why: str | None = None
    wanted_at: datetime | None = None  # from when on it is to judge; None: at once
    restates: bool = False  # whether it is to judge all of the past, too
    effects: bool = False  # whether what that alone plans for the past is sent
    content_of: int | None = None  # the version that it brings back

    @property
    def content(self) -> str:
        return policy_file.to_canonical(self.policy).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What a proposal would do, beside the newest version."""

    base: PolicyVersion
    changes: tuple[str, ...]
    measured: Measured
    exceeded: tuple[Exceeded, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """There is nothing to publish: this version says the same, and judges as early."""

    version: PolicyVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    version: PolicyVersion
    publication: Publication
    late: bool = False  # it was wanted for an instant that had passed when it was approved


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """A draft that goes beyond what may be published without a person's approval."""

    draft: Publication
    already: bool = False  # it says the same as what was put forward now, and waited before


# -- putting forward ---------------------------------------------------------------------------


def weigh(
    inst: Installation, proposal: Proposal, rules: Rules, changes: Changes, measure: Measure
) -> Weighed | InForce:
    """Measure it. Changes nothing, and may take as long as the history is long.

    Raises Problem where the proposal contradicts itself or the clock, and NotReady where there is no
    policy that it could be measured beside.
    """
    with inst.db.read() as tx:
        known, now = policies.versions(tx), inst.now(tx)
    if not known:
        raise NotReady(policies.NONE_YET)
    _refuse_past(proposal, now)
    base = known[-1]
    if _says_the_same(base, proposal, now):
        return InForce(version=base)
    beside = _beside(known, proposal, now)
    words = tuple(changes(beside[-1].policy, proposal.policy)) or (ONLY_LABELS,)
    measured = measure(beside, proposal.policy)
    if not proposal.restates:
        measured = replace(measured, stranded=_stranded(inst, proposal.policy))
    return Weighed(base=base, changes=words, measured=measured, exceeded=exceeded(rules, measured))


def _beside(
    known: Sequence[PolicyVersion], proposal: Proposal, now: datetime
) -> Sequence[PolicyVersion]:
    """What the proposal would take the place of: of the past what judged it, else what judges then.

    What is scheduled for later is not in force yet, so whoever is faster than it is measured too.
    """
    if proposal.restates:
        return [one for one in policies.judging(known) if one.effective_at <= now]
    then = policies.in_force(known, proposal.wanted_at or now)
    return [replace(then, effective_at=BEGINNING)]


def _stranded(inst: Installation, policy: Policy) -> int:
    """How many customers are in states that the policy does not have, so that no rule moves them."""
    with inst.db.read() as tx:
        found = customers.count_by_state(tx)
    there = {state.name for state in policy.states}
    return sum(count for state, count in found.items() if state not in there)


def publish(inst: Installation, proposal: Proposal, weighed: Weighed) -> Published | Waits:
    """Publish what was weighed, where it is within the thresholds; else keep it as a draft.

    Where a draft waits that would do the same at the same instant, no other is made, also where the
    history has grown and gives other figures now.
    Raises NotPublished where another version was published since it was weighed.
    """
    token = str(uuid4())  # outside of the unit, which may be run again: it is one publication

    def unit(tx: Tx) -> Publication:
        publications.alone(tx)
        made = publications.by_token(tx, token)
        return made or _put_forward(inst, tx, proposal, weighed, token)

    publication = inst.db.run(unit)
    if publication.token != token:
        return Waits(draft=publication, already=True)
    killpoint(Point.PUBLISH_AFTER_COMMIT)
    return _outcome(inst, publication)


def roll_back(
    inst: Installation,
    number: int,
    *,
    by: str,
    why: str,
    wanted_at: datetime | None = None,
) -> Proposal:
    """The content of a version, to be put forward as any other policy. NotFound where there is none."""
    with inst.db.read() as tx:
        found = policies.named(policies.versions(tx), str(number), inst.now(tx))
    return Proposal(policy=found.policy, by=by, why=why, wanted_at=wanted_at, content_of=number)


# -- deciding about a draft ---------------------------------------------------------------------


def approve(inst: Installation, number: int, rules: Rules, *, by: str, why: str) -> Published:
    """Publish a draft that waits. One that was wanted for an instant since passed judges from now on.

    Raises NotFound, and NotPublished where she may not, where the draft waits no more, or where it was
    measured beside a version that is not the newest any more.
    """

    def unit(tx: Tx) -> tuple[Publication, bool]:
        publications.alone(tx)
        draft = _draft(tx, number)
        if _is_mine(draft, Status.PUBLISHED, by, why):  # the answer to the commit was lost
            return draft, False
        _refuse_decided(draft)
        _refuse_stranger(draft, rules, by)
        _refuse_overtaken(tx, draft.base, f"draft {number}")
        now, real = inst.now(tx), inst.db.clock(tx)
        late = draft.wanted_at is not None and draft.wanted_at < now
        publications.decide(tx, number, Status.PUBLISHED, by=by, why=why, at=real)
        _put_in_force(inst, tx, draft)
        return replace(draft, status=Status.PUBLISHED), late

    publication, late = inst.db.run(unit)
    killpoint(Point.PUBLISH_AFTER_COMMIT)
    outcome = _outcome(inst, publication)
    assert isinstance(outcome, Published)
    return replace(outcome, late=late)


def discard(inst: Installation, number: int, *, by: str, why: str) -> Publication:
    """A draft will never be a version. Raises as `approve` does."""

    def unit(tx: Tx) -> Publication:
        publications.alone(tx)
        draft = _draft(tx, number)
        if not _is_mine(draft, Status.DISCARDED, by, why):
            _refuse_decided(draft)
            real = inst.db.clock(tx)
            publications.decide(tx, number, Status.DISCARDED, by=by, why=why, at=real)
        return _draft(tx, number)

    return inst.db.run(unit)


# -- within the transaction ----------------------------------------------------------------------


def _put_forward(
    inst: Installation, tx: Tx, proposal: Proposal, weighed: Weighed, token: str
) -> Publication:
    _refuse_overtaken(tx, weighed.base.number, "this policy")
    _refuse_past(proposal, inst.now(tx))
    waits = bool(weighed.exceeded)
    if waits and (draft := _waiting(tx, proposal, weighed.base.number)):
        return draft
    publication = Publication(
        number=max(publications.last_number(tx), versions.newest(tx)) + 1,
        token=token,
        status=Status.WAITING if waits else Status.PUBLISHED,
        hash=policy_file.policy_hash(proposal.policy),
        content=proposal.content,
        base=weighed.base.number,
        restates=proposal.restates,
        effects=proposal.effects,
        wanted_at=proposal.wanted_at,
        content_of=proposal.content_of,
        by=proposal.by,
        why=proposal.why,
        made_at=inst.db.clock(tx),
        changes=weighed.changes,
        measured=weighed.measured.to_json(),
        exceeded=tuple(map(str, weighed.exceeded)),
    )
    if not publications.add(tx, publication):
        raise _overtaken("this policy", publication.number)
    if not waits:
        _put_in_force(inst, tx, publication)
    return publication


def _waiting(tx: Tx, proposal: Proposal, base: int) -> Publication | None:
    """The draft whose approval would do what that of this proposal would."""
    wanted = (base, proposal.wanted_at, proposal.restates, proposal.effects, proposal.content)
    for row in publications.all_of(tx):
        found = (row.base, row.wanted_at, row.restates, row.effects, row.content)
        if row.status is Status.WAITING and found == wanted:
            return row
    return None


def _put_in_force(inst: Installation, tx: Tx, publication: Publication) -> None:
    now = inst.now(tx)
    wanted = publication.wanted_at
    if publication.restates:
        effective_at = BEGINNING
    else:
        effective_at = now if wanted is None else max(wanted, now)
    row = PolicyRow(
        number=publication.number,
        hash=publication.hash,
        effective_at=effective_at,
        content=publication.content,
        published_at=inst.db.clock(tx),
        by=publication.by,
        withhold_until=now if publication.restates and not publication.effects else None,
    )
    if not versions.add(tx, row):
        raise _overtaken("this policy", publication.number)
    recomputations.begin(tx, publication.number, inst.db.clock(tx))
    killpoint(Point.PUBLISH_BEFORE_COMMIT)


def _outcome(inst: Installation, publication: Publication) -> Published | Waits:
    if publication.status is Status.WAITING:
        return Waits(draft=publication)
    with inst.db.read() as tx:
        version = next(one for one in policies.versions(tx) if one.number == publication.number)
        stored = _draft(tx, publication.number)
    return Published(version=version, publication=stored)


def _says_the_same(base: PolicyVersion, proposal: Proposal, now: datetime) -> bool:
    """Whether nothing would be otherwise; who restates a version that judges only from an instant means it."""
    if proposal.restates and base.effective_at > BEGINNING:
        return False
    content = policy_file.to_canonical(base.policy).decode()
    return content == proposal.content and base.effective_at <= (proposal.wanted_at or now)


# -- refusals -----------------------------------------------------------------------------------


def _draft(tx: Tx, number: int) -> Publication:
    found = publications.get(tx, number)
    if found is None:
        waiting = [row.number for row in publications.all_of(tx) if row.status is Status.WAITING]
        told = f"waiting: {', '.join(map(str, waiting))}" if waiting else "none is waiting"
        raise NotFound(f"there is no draft {number}; {told}. `lifecycle policy history` lists all")
    return found


def _is_mine(draft: Publication, status: Status, by: str, why: str) -> bool:
    return (draft.status, draft.decided_by, draft.decided_why) == (status, by, why)


def _refuse_decided(draft: Publication) -> None:
    if draft.status is Status.WAITING:
        return
    who = f" by {draft.decided_by}" if draft.decided_by else ", without anybody's approval"
    raise NotPublished(
        f"draft {draft.number} does not wait any more: it was {draft.status.value}{who}; {UNCHANGED}"
    )


def _refuse_stranger(draft: Publication, rules: Rules, by: str) -> None:
    if rules.approvers is not None and by not in rules.approvers:
        raise NotPublished(
            f"{by} may not approve; allowed by publishing.yaml: {', '.join(rules.approvers)};"
            f" {UNCHANGED}"
        )
    if rules.four_eyes and by == draft.by:
        raise NotPublished(
            f"{by} put draft {draft.number} forward, and publishing.yaml says four_eyes: true, so"
            f" somebody else has to approve it; {UNCHANGED}"
        )


def _refuse_overtaken(tx: Tx, base: int, what: str) -> None:
    newest = versions.newest(tx)
    if newest != base:
        raise NotPublished(
            f"{what} was measured beside version {base}, and version {newest} has been published"
            f" since; {UNCHANGED}. Put it forward anew: `lifecycle policy publish` measures it beside"
            f" version {newest}"
        )


def _overtaken(what: str, number: int) -> NotPublished:
    return NotPublished(
        f"{what} would have been number {number}, and somebody else was faster by a moment;"
        f" {UNCHANGED}. Put it forward anew"
    )


def _refuse_past(proposal: Proposal, now: datetime) -> None:
    wanted = proposal.wanted_at
    if wanted is not None and proposal.restates:
        raise Problem(
            "effective_and_restate",
            "a policy that restates history judges from the beginning of time, so it has no other"
            f" instant; {UNCHANGED}",
            pointer="/effective",
            got=instant_text(wanted),
            expected="one of the two",
        )
    if wanted is not None and wanted < now:
        raise Problem(
            "effective_in_the_past",
            f"a version judges from now on at the earliest: what was decided stays; {UNCHANGED}",
            pointer="/effective",
            got=instant_text(wanted),
            expected=f"an instant from {instant_text(now)} on, or none for now",
            hint="--restate judges all of the past anew",
        )
    if proposal.effects and not proposal.restates:
        raise Problem(
            "effects_without_restate",
            f"only what restates history plans messages for the past; {UNCHANGED}",
            pointer="/effects",
            expected="--restate with it, or --effects off",
        )

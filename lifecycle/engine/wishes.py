"""What a customer says herself, by a link that was sent to her: leave, choose, answer, confirm.

Each wish is an event, durable on return, written under her lock: a claim of her messages that comes
after the answer sees it. Said twice it is the same wish, and changes nothing more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lifecycle.domain.builtin import (
    BUILTIN,
    CONSENT_GIVEN,
    CONSENT_WITHDRAWN,
    EVERY_CHANNEL,
    PROFILE_CHANGED,
    SURVEY_ANSWERED,
)
from lifecycle.domain.event import OUR_SOURCE
from lifecycle.domain.instant import instant_text
from lifecycle.domain.policy import Policy, ValueType
from lifecycle.engine.accept import Accepted, Conflict, accept_within
from lifecycle.engine.identities import find
from lifecycle.engine.installation import Installation
from lifecycle.engine.reading import snapshot_of
from lifecycle.errors import Problem
from lifecycle.intake.draft import Draft, draft_of_ours
from lifecycle.intake.properties import PropertyReader
from lifecycle.intake.strict_json import LIMITS
from lifecycle.intake.values import unlisted
from lifecycle.outreach.addresses import address_hash
from lifecycle.outreach.secret import Secret
from lifecycle.outreach.tokens import Asked, Membership, Question, message_in
from lifecycle.store import consents, customers, events, handed, suppressions
from lifecycle.store.consents import ConsentRow
from lifecycle.store.sql import Tx

ASKED_FOR = timedelta(days=30)  # within which a consent is to be confirmed
LANGUAGE = "language"  # the attribute that says in which one she is written to
BY_HAND = "asked_by_hand"

_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Whether she wants messages of one purpose by one channel."""

    purpose: str
    channel: str
    given: bool

    @property
    def about(self) -> str:
        return f"{self.purpose}/{self.channel}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    choices: tuple[Choice, ...]
    language: str | None  # None: nobody said
    may_choose_language: bool  # the policy knows of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """To a survey, as its page took it."""

    score: int | None = None
    reason: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """It is so now, whether it was before or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredBefore:
    """She gave another answer by the same link, and that one counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TooOld:
    """The consent was asked for too long ago; nothing was changed."""


def language_of(inst: Installation, customer_id: int) -> str | None:
    """In which one she is written to, if that is known. Raises NotFound where there is no such customer."""
    with inst.db.read() as tx:
        return _attributes(inst, tx, customer_id).get(LANGUAGE)


def unsubscribe(
    inst: Installation, secret: Secret | None, link: Membership, name: str, evidence: str
) -> Done:
    """Her consent is withdrawn, and the address to which the letter went is off that list for good.

    `name` is the link's. An import that says later that she had agreed changes nothing: the address
    stays off until she herself asks for it again.
    """

    def unit(tx: Tx) -> Done:
        key, rows = _locked(tx, link.customer)
        now = inst.now(tx)
        about = f"{link.purpose}/{link.channel}"
        _withdraw(inst, tx, key, rows, about, f"unsubscribe:{name}", evidence, now)
        for hashed in _written_to(tx, secret, link):
            scope = suppressions.list_scope(link.purpose)
            suppressions.add(tx, hashed, scope, "unsubscribed", now)
        return Done()

    return inst.db.run(unit)


def preferences(inst: Installation, link: Membership) -> Preferences:
    """What she has chosen so far. Raises NotFound where there is no such customer."""
    with inst.db.read() as tx:
        policy = inst.timeline(tx).at(inst.now(tx)).policy
        rows = consents.ledger(tx, link.customer)
        language = _attributes(inst, tx, link.customer).get(LANGUAGE)
        return _preferences(policy, rows, link, language)


def prefer(
    inst: Installation,
    link: Membership,
    name: str,
    wanted: Iterable[str],
    language: str | None,
) -> Preferences:
    """Of what the page offered, exactly `wanted` (as `purpose/channel`) is given from now on."""
    chosen = frozenset(wanted)

    def unit(tx: Tx) -> None:
        key, rows = _locked(tx, link.customer)
        now = inst.now(tx)
        policy = inst.timeline(tx).at(now).policy
        before = _attributes(inst, tx, link.customer).get(LANGUAGE)
        offered = _preferences(policy, rows, link, before)
        for choice in offered.choices:
            evidence = f"preference centre, letter {link.letter}"
            id = f"preferences:{name}:{choice.about}"
            if choice.about not in chosen:
                if choice.given:
                    _withdraw(inst, tx, key, rows, choice.about, id, evidence, now)
                    _keep_off(tx, link.customer, choice, now)
            elif not choice.given:
                _give(inst, tx, key, rows, choice.about, id, evidence, now)
                _lift(tx, link.customer, choice, ())
        if offered.may_choose_language and language and language != before:
            _set_language(inst, tx, key, name, language, now)

    inst.db.run(unit)
    with inst.db.read() as tx:
        policy = inst.timeline(tx).at(inst.now(tx)).policy
        known = _attributes(inst, tx, link.customer).get(LANGUAGE)
        return _preferences(policy, consents.ledger(tx, link.customer), link, language or known)


def answer(inst: Installation, link: Question, name: str, given: Answer) -> Done | AnsweredBefore:
    """One answer a link: the first one counts, and a later one changes nothing."""

    def unit(tx: Tx) -> Done | AnsweredBefore:
        key, now = customers.key_of(tx, link.customer), inst.now(tx)
        policy = inst.timeline(tx).at(now).policy
        said = {
            "survey": link.survey.value,
            "score": given.score,
            "reason": given.reason,
            "comment": given.comment,
        }
        known = {name: value for name, value in said.items() if value is not None}
        properties = _stored(policy, known)
        draft = draft_of_ours(f"survey:{name}", key, SURVEY_ANSWERED, now, properties)
        (result,) = accept_within(inst, tx, [draft])
        return AnsweredBefore() if isinstance(result, Conflict) else Done()

    return inst.db.run(unit)


def ledger(inst: Installation, key: str) -> list[ConsentRow]:
    """Every consent that she ever gave or took back, the first one first. Raises NotFound."""
    with inst.db.read() as tx:
        return consents.ledger(tx, find(tx, key))


def is_answered(inst: Installation, name: str) -> bool:
    """Whether an answer came by the link of that name."""
    with inst.db.read() as tx:
        return events.get(tx, OUR_SOURCE, f"survey:{name}") is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A consent that somebody says a customer gives."""

    customer: str  # any identifier of hers
    purpose: str
    channel: str
    address: str  # to which the link will be sent: whoever confirms has it
    source: str
    text_version: str


def ask(
    inst: Installation, secret: Secret, wanted: Wanted, *, measured: Collection[str] = ()
) -> Asked:
    """Nothing is given yet, and nothing is stored: the link itself is all that is pending.

    `measured` are the purposes that channels ask for before they measure anything of her. Raises
    NotFound for a customer that there is not, Problem for a purpose that nobody names.
    """
    with inst.db.read() as tx:
        customer = find(tx, wanted.customer)
        _refuse_unknown_purpose(inst, tx, wanted.purpose, measured)
        return Asked(
            customer=customer,
            purpose=wanted.purpose,
            channel=wanted.channel,
            source=wanted.source,
            text_version=wanted.text_version,
            at=inst.now(tx),
            address_hash=address_hash(secret, wanted.channel, wanted.address),
        )


def _refuse_unknown_purpose(
    inst: Installation, tx: Tx, purpose: str, measured: Collection[str]
) -> None:
    """Where rules name purposes, a consent to another one lets nothing be sent: it is a slip.

    Of every version of the policy, as one may come into force until she confirms. A policy that names
    none has no need of consents yet, and whoever collects them knows what for.
    """
    versions = inst.timeline(tx).versions
    rules = [rule for version in versions for rule in version.policy.outreach]
    known = {rule.purpose for rule in rules if rule.purpose is not None}
    allowed = known.union(measured)
    if known and purpose not in allowed:
        problem = unlisted(
            "unknown_purpose", "no rule of the policy has this purpose", purpose, allowed
        )
        problem.pointer = "/purpose"
        raise problem


def is_too_old(inst: Installation, link: Asked) -> bool:
    with inst.db.read() as tx:
        return inst.now(tx) > link.at + ASKED_FOR


def confirm(inst: Installation, link: Asked, name: str) -> Done | TooOld:
    """She gives her consent, once: the same link gives it no second time after she has left."""

    def unit(tx: Tx) -> Done | TooOld:
        key, rows = _locked(tx, link.customer)
        now = inst.now(tx)
        if now > link.at + ASKED_FOR:
            return TooOld()
        choice = Choice(purpose=link.purpose, channel=link.channel, given=False)
        evidence = (
            f"double opt-in: asked at {instant_text(link.at)} by {link.source},"
            f" text {link.text_version}; confirmed by the link in the message"
        )
        at = _after(rows, choice.about, now)
        draft = _consent(f"confirm:{name}", key, choice.about, evidence, at, given=True)
        (result,) = accept_within(inst, tx, [draft])
        if isinstance(result, Accepted):
            _lift(tx, link.customer, choice, (link.address_hash,))
        return Done()

    return inst.db.run(unit)


def leave_by_hand(inst: Installation, secret: Secret, channel: str, address: str) -> None:
    """No marketing goes to an address any more. Nobody is told whether anybody has it."""
    hashed = address_hash(secret, channel, address)

    def unit(tx: Tx) -> None:
        suppressions.add(tx, hashed, suppressions.MARKETING, BY_HAND, inst.now(tx))

    inst.db.run(unit)


# -- consents -----------------------------------------------------------------------------------


def _locked(tx: Tx, customer_id: int) -> tuple[str, list[ConsentRow]]:
    """Her key and her ledger, as they are while nobody else folds her or claims messages of hers."""
    customers.wait_for(tx, customer_id)
    return customers.key_of(tx, customer_id), consents.ledger(tx, customer_id)


def _withdraw(
    inst: Installation,
    tx: Tx,
    key: str,
    rows: Sequence[ConsentRow],
    about: str,
    id: str,
    evidence: str,
    now: datetime,
) -> None:
    """From now on. A consent that its sender dated into the future is withdrawn just after it, too.

    Named by how often she had agreed: the same link takes back what she has given since.
    """
    given = [row for row in rows if row.about == about and row.given]
    ahead = [row.at + _MOMENT for row in given if row.at >= now]
    if _is_withdrawn(rows, about):
        return
    drafts = [
        _consent(f"{id}:{len(given)}-{number}", key, about, evidence, at, given=False)
        for number, at in enumerate([now, *ahead])
    ]
    accept_within(inst, tx, drafts)


def _give(
    inst: Installation,
    tx: Tx,
    key: str,
    rows: Sequence[ConsentRow],
    about: str,
    id: str,
    evidence: str,
    now: datetime,
) -> None:
    withdrawn = sum(1 for row in rows if row.about == about and not row.given)
    at = _after(rows, about, now)
    draft = _consent(f"{id}:given-{withdrawn}", key, about, evidence, at, given=True)
    accept_within(inst, tx, [draft])


def _consent(id: str, key: str, about: str, evidence: str, at: datetime, *, given: bool) -> Draft:
    purpose, _, channel = about.rpartition("/")
    said = {"purpose": purpose, "channel": channel, "evidence": evidence}
    return draft_of_ours(id, key, CONSENT_GIVEN if given else CONSENT_WITHDRAWN, at, said)


def _after(rows: Sequence[ConsentRow], about: str, now: datetime) -> datetime:
    """Now, or just after what was said last, should the clock of its sender be ahead."""
    ahead = (row.at + _MOMENT for row in rows if row.about == about and row.at >= now)
    return max(ahead, default=now)


def _is_withdrawn(rows: Sequence[ConsentRow], about: str) -> bool:
    return consents.standing(rows).get(about) is False


def _lift(tx: Tx, customer_id: int, choice: Choice, more: Iterable[str]) -> None:
    """She asks for that list again; what she called spam, or what bounced, stays as it is."""
    hashes = {*handed.hashes_of_customer(tx, customer_id, choice.channel), *more}
    suppressions.remove(tx, hashes, suppressions.list_scope(choice.purpose))


def _keep_off(tx: Tx, customer_id: int, choice: Choice, now: datetime) -> None:
    scope = suppressions.list_scope(choice.purpose)
    for hashed in handed.hashes_of_customer(tx, customer_id, choice.channel):
        suppressions.add(tx, hashed, scope, "unsubscribed", now)


def _written_to(tx: Tx, secret: Secret | None, link: Membership) -> set[str]:
    message = message_in(secret, link.letter)
    return set() if message is None else handed.hashes_of_message(tx, message, link.channel)


# -- the rest of her ----------------------------------------------------------------------------


def _preferences(
    policy: Policy, rows: Sequence[ConsentRow], link: Membership, language: str | None
) -> Preferences:
    standing = consents.standing(rows)
    offered = {
        (rule.purpose, channel)
        for rule in policy.outreach
        if rule.purpose is not None
        for channel in rule.channels
    }
    known = {(row.purpose, row.channel) for row in rows}
    pairs = sorted(offered | known | {(link.purpose, link.channel)})
    return Preferences(
        choices=tuple(
            Choice(
                purpose=purpose,
                channel=channel,
                given=standing.get(
                    f"{purpose}/{channel}", standing.get(f"{purpose}/{EVERY_CHANNEL}", False)
                ),
            )
            for purpose, channel in pairs
        ),
        language=language,
        may_choose_language=policy.attributes.get(LANGUAGE) is ValueType.TEXT,
    )


def _set_language(
    inst: Installation, tx: Tx, key: str, name: str, language: str, now: datetime
) -> None:
    """Named by the instant, too: she may change it back and forth."""
    id = f"preferences:{name}:{LANGUAGE}:{instant_text(now)}"
    said = {"attributes": {LANGUAGE: language}}
    accept_within(inst, tx, [draft_of_ours(id, key, PROFILE_CHANGED, now, said)])


def _attributes(inst: Installation, tx: Tx, customer_id: int) -> Mapping[str, Any]:
    customers.key_of(tx, customer_id)
    row = customers.rows(tx, [customer_id])[customer_id]
    return snapshot_of(tx, inst.timeline(tx), row).attributes


def _stored(policy: Policy, said: Mapping[str, Any]) -> dict[str, Any]:
    """As intake would store it. Raises Problem, such as for a character that is not allowed."""
    reader = PropertyReader(SURVEY_ANSWERED, BUILTIN[SURVEY_ANSWERED], policy)
    try:
        stored: dict[str, Any] = reader.read(dict(said), LIMITS, [])
    except Problem as problem:
        problem.pointer = f"/answer{problem.pointer}"
        raise
    return stored

"""How does a person ask for a message to customers whom she names? By an event of ours for each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice

from lifecycle.domain.event import REQUESTED
from lifecycle.domain.policy import MessageClass, OnRequest
from lifecycle.engine.accept import Accepted, accept_within
from lifecycle.engine.installation import Installation
from lifecycle.errors import UNCHANGED, Problem
from lifecycle.intake.draft import Draft, draft_of_ours
from lifecycle.intake.values import did_you_mean
from lifecycle.store import customers, identities, pauses
from lifecycle.store.pauses import ALL, CHANNEL, MARKETING, RULE, Paused
from lifecycle.store.sql import Tx

AT_ONCE = 500  # customers in one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    new: int  # customers for whom it is planned, if the rule's guard holds
    before: int  # who had been named under this name of the request before
    repeated: int  # who had been named already just now
    unknown: tuple[str, ...]  # identifiers that are nobody's; nothing was done for them
    paused: tuple[Paused, ...]  # what keeps these messages from leaving until a person resumes it


def request(inst: Installation, rule: str, keys: Iterable[str], *, name: str, by: str) -> Requested:
    """Ask for a message of a rule `on: request` to each of these customers, as of now.

    `name` names the request: who is named under it again gets nothing more. Raises Problem for a rule
    that cannot be asked for. Done in portions; run again after a crash, it does the rest.
    """
    new = before = 0
    unknown: list[str] = []
    keys = list(keys)
    inst.db.run(lambda tx: _refuse_others(inst, tx, rule))
    for portion in _portions(keys):
        store = partial(_store, inst, rule=rule, keys=portion, name=name, by=by)
        found, missing, accepted = inst.db.run(store)
        new, before = new + accepted, before + found - accepted
        unknown += missing
    return Requested(
        new=new,
        before=before,
        repeated=len(keys) - new - before - len(unknown),
        unknown=tuple(unknown),
        paused=tuple(_paused(inst, rule)),
    )


def _paused(inst: Installation, name: str) -> Iterator[Paused]:
    """`real` is left out: of the channels, only who sends knows which are."""
    with inst.db.read() as tx:
        rules = inst.timeline(tx).at(inst.now(tx)).policy.outreach
        rule = next(each for each in rules if each.name == name)
        by = [f"{CHANNEL}{each}" for each in rule.channels]
        if rule.message_class is MessageClass.MARKETING:
            by += [f"{MARKETING}{each}" for each in rule.channels]
        yield from (one for one in pauses.read(tx) if one.scope in {ALL, f"{RULE}{name}", *by})


def _portions(keys: Iterable[str]) -> Iterator[list[str]]:
    left = iter(dict.fromkeys(keys))
    while portion := list(islice(left, AT_ONCE)):
        yield portion


def _store(
    inst: Installation, tx: Tx, *, rule: str, keys: Sequence[str], name: str, by: str
) -> tuple[int, list[str], int]:
    """How many are known, who is not, and for how many it is new."""
    named = identities.find(tx, keys)
    rows = customers.rows(tx, {customer_id for _, customer_id in named.values()})
    known = {key: rows[customer_id].key for key, (_, customer_id) in named.items()}
    now = inst.now(tx)
    drafts = [_draft(rule, key, name, by, now) for key in dict.fromkeys(known.values())]
    results = accept_within(inst, tx, drafts) if drafts else []
    accepted = sum(1 for result in results if isinstance(result, Accepted))
    return len(drafts), [key for key in keys if key not in known], accepted


def _draft(rule: str, key: str, name: str, by: str, now: datetime) -> Draft:
    properties = {"outreach": rule, "by": by}
    return draft_of_ours(f"request:{rule}:{name}:{key}", key, REQUESTED, now, properties)


def _refuse_others(inst: Installation, tx: Tx, rule: str) -> None:
    rules = inst.timeline(tx).at(inst.now(tx)).policy.outreach
    names = tuple(each.name for each in rules if isinstance(each.trigger, OnRequest))
    if rule not in names:
        raise Problem(
            "not_on_request",
            f"the policy has no rule {rule!r} that can be asked for (`on: request`); {UNCHANGED}",
            pointer="RULE",
            got=rule,
            expected=", ".join(names) or "none: the policy has no such rule",
            hint=did_you_mean(rule, names),
        )

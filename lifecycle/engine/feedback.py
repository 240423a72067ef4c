"""What follows from a report that a letter arrived, bounced or was called spam?

An event of ours, a suppression of the address to which that very letter went, and, of a message of
which nobody knew whether it had left, the answer. The same report twice is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lifecycle.domain.event import BOUNCED, COMPLAINED, DELIVERED
from lifecycle.domain.fate import Fate
from lifecycle.engine.accept import Accepted, accept_within
from lifecycle.engine.fates import SUPERSEDED
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending.reputation import WATCH
from lifecycle.intake.draft import Draft, draft_of_ours
from lifecycle.killpoints import Point, killpoint
from lifecycle.logs.lines import Teller
from lifecycle.outreach.channels.measuring import Measure
from lifecycle.outreach.channels.settings import Company
from lifecycle.outreach.hooks import Hook
from lifecycle.outreach.replies import News, Report, plain
from lifecycle.outreach.secret import Secret
from lifecycle.outreach.tokens import message_in
from lifecycle.store import customers, handed, suppressions, unmatched
from lifecycle.store.handed import Handed
from lifecycle.store.sql import Tx
from lifecycle.store.unmatched import UnmatchedRow

tell = Teller("lifecycle")

_LONGEST_NAME = 100  # characters of what a report calls a letter
_BOUNCES = frozenset({News.HARD, News.SOFT, News.POLICY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What an installation hears feedback with."""

    secret: Secret | None  # None: no link was ever signed, so none is good
    public_url: str | None  # where customers and providers reach us
    hooks: Mapping[str, Hook] = field(default_factory=dict)  # by the name of the provider
    company: Company = field(default_factory=Company)  # who "we" are on the pages for customers
    measures: Mapping[str, Measure] = field(default_factory=dict)  # by channel; others: nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """It was news."""

    rule: str
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAlready:
    """The same was reported before; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """It names no letter of ours, so it has no effect; a bounce or complaint is kept for whoever looks into it."""


Taken = Recorded | KnownAlready | Unmatched


def take(inst: Installation, secret: Secret | None, report: Report) -> Taken:
    """Durable on return. Only ever affects the address to which the letter was sent."""
    taken = inst.db.run(lambda tx: _take(inst, secret, report, tx))
    if isinstance(taken, Unmatched):
        tell.info(
            "feedback_unmatched",
            "a report of {news} ({code}) names no letter of ours",
            news=report.news.value,
            code=report.code,
        )
    elif isinstance(taken, Recorded) and report.news is News.POLICY:
        tell.warning(
            "refused_by_policy",
            "a letter of {rule} by {channel} was refused for how we send ({code}): look into it"
            " before more is sent",
            rule=taken.rule,
            channel=taken.channel,
            code=report.code,
        )
    return taken


def _take(inst: Installation, secret: Secret | None, report: Report, tx: Tx) -> Taken:
    found = _letter(tx, secret, report)
    if found is None:
        if report.news is not News.DELIVERED:  # of others who share the provider's account
            _keep(inst, report, tx)
        return Unmatched()
    customers.wait_for(tx, found.customer_id)
    found = _letter(tx, secret, report) or found  # as it is now that nobody else changes it
    now = inst.now(tx)
    key = customers.key_of(tx, found.customer_id)
    (result,) = accept_within(inst, tx, [_event(found, report, key, now)])
    if not isinstance(result, Accepted):
        return KnownAlready()
    real = inst.db.clock(tx)  # in which mailboxes are full, and providers judge us
    _suppress(tx, found, report.news, real)
    if report.news in {News.HARD, News.COMPLAINED}:
        WATCH.heard(tx, found.channel, real)
    _resolve(tx, found, report.news, now)
    killpoint(Point.BOUNCE_BEFORE_COMMIT)
    return Recorded(rule=found.rule, channel=found.channel)


def _keep(inst: Installation, report: Report, tx: Tx) -> None:
    named = (*report.letters, *report.provider_ids)
    row = UnmatchedRow(
        received_at=inst.db.clock(tx),
        news=report.news.value,
        code=report.code,
        channel=report.channel,
        named=tuple(plain(each, _LONGEST_NAME) for each in dict.fromkeys(named)),
    )
    unmatched.add(tx, row)


def _letter(tx: Tx, secret: Secret | None, report: Report) -> Handed | None:
    for key in report.letters:
        message = message_in(secret, key)
        if message is not None and (found := handed.of_message(tx, message, report.channel)):
            return found
    if report.provider_ids:
        return handed.by_provider_ids(tx, report.provider_ids, report.channel)
    return None


def _event(found: Handed, report: Report, customer: str, now: datetime) -> Draft:
    """Named by the attempt and the news: reported again, with whatever code, it is the same."""
    properties = {
        "rule": found.rule,
        "step": found.step,
        "channel": found.channel,
        "message": found.message_id,
        "code": report.code,
    }
    kind = {News.DELIVERED: DELIVERED, News.COMPLAINED: COMPLAINED}.get(report.news, BOUNCED)
    if report.news in _BOUNCES:
        properties["kind"] = report.news.value
    id = f"{report.news.value}:{found.message_id}-{found.number}"
    return draft_of_ours(id, customer, kind, now, properties)


def _suppress(tx: Tx, found: Handed, news: News, now: datetime) -> None:
    address = found.address_hash
    if address is None:
        return
    if news is News.HARD:
        suppressions.add(tx, address, suppressions.ALL, "hard_bounce", now)
    elif news is News.COMPLAINED:
        suppressions.add(tx, address, suppressions.MARKETING, "complaint", now)
    elif news is News.SOFT:
        count = suppressions.note_soft_bounce(tx, address, str(found.message_id), now)
        if count >= suppressions.SOFT_MOST:
            until = now + suppressions.SOFT_FOR
            suppressions.add(tx, address, suppressions.ALL, "soft_bounces", now, until=until)


def _resolve(tx: Tx, found: Handed, news: News, now: datetime) -> None:
    """A bounce says that it did not arrive; all else, that it did."""
    if news in _BOUNCES:
        handed.resolve(tx, found.message_id, Fate.FAILED, f"{news}_bounce", now, None)
    elif found.live:
        handed.resolve(tx, found.message_id, Fate.SENT, None, now, found.began_at)
    else:
        handed.resolve(tx, found.message_id, Fate.OVERTAKEN, SUPERSEDED, now, found.began_at)

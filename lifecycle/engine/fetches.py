"""What follows from something of a letter being fetched? First a note, some seconds later an event.

In between it shows whether others are fetched with it, as by a scanner that follows every link. So an
open or a click is recorded once, late by those seconds, and never has to be taken back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import unquote

from lifecycle.domain.event import CLICKED, OPENED, OUR_SOURCE, PREFETCHED
from lifecycle.engine.accept import Accepted, Conflict, Result, accept_within
from lifecycle.engine.feedback import Feedback
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending.register import IN_FLIGHT_FOR
from lifecycle.errors import NotReady, Unavailable
from lifecycle.intake.draft import Draft, draft_of_ours
from lifecycle.logs.failure import told
from lifecycle.logs.lines import Teller
from lifecycle.outreach import fetching
from lifecycle.outreach.channels.measuring import Measure, may_measure
from lifecycle.outreach.fetching import Why
from lifecycle.outreach.tokens import Followed, Looked, message_in
from lifecycle.store import consents, customers, events, fetches, handed
from lifecycle.store.fetches import PICTURE, Fetch
from lifecycle.store.handed import Handed
from lifecycle.store.sql import Tx

tell = Teller("lifecycle")

Measures = Mapping[str, Measure]
"""What is measured now, by the name of the channel; of a channel that is not in it, nothing."""

QUIET = fetching.TOGETHER + timedelta(seconds=3)  # the rest is for whoever commits late
AT_ONCE = 100  # fetches, whose letters are judged in one transaction
MOST_URL = 500  # characters

_PAGE = re.compile(r"(https?://)(?:[^/?#\\]*@)?([^/?#\\]*)([^?#]*)", re.IGNORECASE)
_LEFT_OUT = "…"
_OF_HERS = re.compile(
    r"@|%|＠"  # an address; what is escaped twice may be one
    r"|^\W*(?:[0-9]\W*){9,}$"  # a telephone number, an account, an order
    r"|[0-9]{12}"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-"  # a UUID
    r"|(?=[a-z]{0,15}[0-9])(?=[0-9]{0,15}[a-z])[a-z0-9]{16}",  # a code, in hex or otherwise
    re.IGNORECASE,
)
_TOKEN = re.compile(r"(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])[\w.~=+-]{20,}", re.ASCII)  # base64


def note(inst: Installation, feedback: Feedback, link: Looked | Followed, why: Why | None) -> None:
    """Somebody fetched it; `why` it was a machine, if the request tells. Durable on return.

    Nobody is locked and nothing is judged, so that whoever follows a link need not wait.
    """
    message = message_in(feedback.secret, link.letter)
    if message is None or not _is_to_note(inst, feedback.measures, message, link, why):
        return

    def unit(tx: Tx) -> None:
        fetch = Fetch(
            message_id=message,
            link=_number(link),
            why="" if why is None else why.value,
            channel=link.channel,
            consent=link.consent,
            url=page_of(link.target) if isinstance(link, Followed) else None,
            at=inst.db.clock(tx),
            seen_at=inst.now(tx),
        )
        fetches.add(tx, fetch)

    inst.db.run(unit)


def settle(inst: Installation, measures: Measures, *, quiet: timedelta = QUIET) -> int:
    """Judge what was fetched of letters that have been `quiet` since; how many events came of it.

    What `measures`, by channel, does not have now is forgotten, whatever it was when the letter left.
    Run twice, or by two processes at once, it records nothing twice.
    """
    recorded = 0
    while True:
        with inst.db.read() as tx:
            until = inst.db.clock(tx) - quiet
            found = fetches.quiet(tx, until, AT_ONCE)
        if not found:
            return recorded
        recorded += _judge(inst, measures, found, until)


def page_of(target: str) -> str:
    """Without query, fragment and login, in which anything of hers may stand.

    Nor with what looks like an address, a number or a code of hers between two slashes; that is a guess.
    """
    match = _PAGE.match(target)
    if match is None:
        return ""
    segments = re.split(r"([/\\])", match[3])
    kept = "".join(_LEFT_OUT if _is_of_hers(each) else each for each in segments)
    return f"{match[1]}{match[2]}{kept}"[:MOST_URL]


def _is_of_hers(segment: str) -> bool:
    """Whether a part of a path looks like it; a date, a number of a few digits and words do not."""
    plain = unquote(segment)
    return _OF_HERS.search(plain) is not None or _TOKEN.fullmatch(plain) is not None


def _is_to_note(
    inst: Installation,
    measures: Measures,
    message: int,
    link: Looked | Followed,
    why: Why | None,
) -> bool:
    """Whether it may be measured, and no event says it already.

    A link is noted again: others may be followed with it.
    """
    measure = _now(measures, link.channel, _number(link))
    if measure is None:
        return False
    with inst.db.read() as tx:
        letter = handed.of_message(tx, message, link.channel)
        if letter is None or not _has_agreed(tx, letter, {measure.consent, link.consent}):
            return False
        if isinstance(link, Followed):
            return True
        id = _opened(message) if why is None else _prefetched(message, "open")
        return events.get(tx, OUR_SOURCE, id) is None


def _number(link: Looked | Followed) -> int:
    return link.number if isinstance(link, Followed) else PICTURE


def _now(measures: Measures, channel: str, link: int) -> Measure | None:
    """By what this link, or the picture, is measured now; None: it is not."""
    measure = measures.get(channel)
    if measure is None:
        return None
    return measure if (measure.opens if link == PICTURE else measure.clicks) else None


def _has_agreed(tx: Tx, letter: Handed, purposes: set[str | None]) -> bool:
    """To all of them: what was asked for when the letter left, and what is now."""
    asked = purposes - {None}
    if not asked:
        return True
    said = consents.standing(consents.ledger(tx, letter.customer_id))
    return all(may_measure(purpose, letter.channel, said) for purpose in asked)


def _judge(inst: Installation, measures: Measures, messages: Sequence[int], until: datetime) -> int:
    """A letter that cannot be judged must not hold up the others: each is judged alone then."""
    try:
        judged = inst.db.run(partial(_settle, inst, measures, messages, until))
    except (Unavailable, NotReady):  # which is no letter's fault
        raise
    except Exception as error:  # noqa: BLE001 - it would stand in the way of all others for ever
        if len(messages) > 1:
            return sum(_judge(inst, measures, [message], until) for message in messages)
        inst.db.run(lambda tx: fetches.forget(tx, messages, until))
        tell.error(
            "fetch_not_judged",
            "what was fetched of the letter of message {number} could not be judged and is"
            " forgotten: {why}",
            number=messages[0],
            why=told(error),
            error=error,
        )
        return 0
    for draft, result in judged:
        _tell_of_conflict(draft, result)
    return sum(isinstance(result, Accepted) for _, result in judged)


def _tell_of_conflict(draft: Draft, result: Result) -> None:
    """Of machines the first `why` counts; of her, one link of one letter leads to one place."""
    if isinstance(result, Conflict) and draft.event.type != PREFETCHED:
        tell.warning(
            "fetch_conflict",
            "{id} was recorded before with another content ({differing}), which stands",
            id=result.id,
            differing=", ".join(result.differing),
        )


def _settle(
    inst: Installation, measures: Measures, messages: Sequence[int], until: datetime, tx: Tx
) -> list[tuple[Draft, Result]]:
    letters = _letters(tx, _quiet(tx, messages, until))
    customers.wait_for_all(tx, {letter.customer_id for letter in letters.values()})
    found = _quiet(tx, messages, until)  # as it is now that it is our turn
    now = inst.now(tx)
    drafts = [
        draft
        for message, fetched in found.items()
        if message in letters
        for draft in _told(tx, measures, letters[message], fetched, now)
    ]
    results = accept_within(inst, tx, drafts) if drafts else []
    fetches.forget(tx, found, until)
    return list(zip(drafts, results, strict=True))


def _quiet(tx: Tx, messages: Sequence[int], until: datetime) -> dict[int, list[Fetch]]:
    """What was fetched of these; without those of which more has been fetched since."""
    found = fetches.of(tx, messages)
    return {message: fetched for message, fetched in found.items() if fetched[-1].at <= until}


def _letters(tx: Tx, found: Mapping[int, Sequence[Fetch]]) -> dict[int, Handed]:
    """The letters that are still known."""
    letters = {}
    for message, fetched in found.items():
        letter = handed.of_message(tx, message, fetched[0].channel)
        if letter is not None:
            letters[message] = letter
    return letters


def _told(
    tx: Tx, measures: Measures, letter: Handed, found: Sequence[Fetch], now: datetime
) -> Iterator[Draft]:
    """The events; none where she does not want to be measured, also if she did when it was sent."""
    by = {fetch.link: _now(measures, letter.channel, fetch.link) for fetch in found}
    purposes = {measure.consent for measure in by.values() if measure is not None}
    if not _has_agreed(tx, letter, purposes | {fetch.consent for fetch in found}):
        return
    key = customers.key_of(tx, letter.customer_id)
    times = _times_of_machines(found)
    for fetch in found:
        if by[fetch.link] is not None:
            yield _event(letter, fetch, key, fetch.why or _why(letter, fetch, times), now)


def _times_of_machines(found: Sequence[Fetch]) -> list[tuple[datetime, datetime]]:
    """In which links were followed by one who follows all, or by a machine that says that it is one.

    Apple Mail's look at the picture tells nothing of the links: it may be just when she reads.
    """
    links = [each for each in found if each.link != PICTURE]
    known = [(each.at, each.at) for each in links if each.why]
    return [*known, *fetching.together((each.link, each.at) for each in links)]


def _why(letter: Handed, fetch: Fetch, times: Sequence[tuple[datetime, datetime]]) -> str | None:
    """Why it was a machine all the same, though its request looked like hers."""
    over = letter.ended_at or letter.began_at + IN_FLIGHT_FOR
    if fetching.is_soon(fetch.at, over):
        return Why.SOON.value
    return Why.TOGETHER.value if fetching.is_within(fetch.at, times) else None


def _event(letter: Handed, fetch: Fetch, customer: str, why: str | None, now: datetime) -> Draft:
    """Named by the letter and what was fetched: the first time counts.

    It comes in when it is judged, so that an event that comes in late is not one that waits.
    """
    more: dict[str, Any]
    properties = {
        "rule": letter.rule,
        "step": letter.step,
        "channel": letter.channel,
        "message": letter.message_id,
    }
    message = letter.message_id
    if why is not None:
        what = "open" if fetch.link == PICTURE else "click"
        id, kind, more = _prefetched(message, what), PREFETCHED, {"what": what, "why": why}
    elif fetch.link == PICTURE:
        id, kind, more = _opened(message), OPENED, {}
    else:
        id, kind = f"clicked:{message}-{fetch.link}", CLICKED
        more = {"link": fetch.link, "url": fetch.url}
    said = properties | more
    return draft_of_ours(id, customer, kind, fetch.seen_at, said, received_at=now)


def _opened(message: int) -> str:
    return f"opened:{message}"


def _prefetched(message: int, what: str) -> str:
    return f"prefetched:{message}-{what}"

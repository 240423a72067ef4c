"""How is an explanation told? In plain English, from the first event to what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from lifecycle.domain.calendar import zone
from lifecycle.engine.explain.chapters import Happened
from lifecycle.engine.explain.outlook import ahead_lines, asleep_line
from lifecycle.engine.explain.sentences import Sentences, arrival, event_name
from lifecycle.engine.explain.words import listed, moment, moment_in, said, span, times
from lifecycle.store.dead import DeadLetter, Status
from lifecycle.store.events import StoredEvent

if TYPE_CHECKING:
    from lifecycle.engine.explain.explanation import Behind, Explanation

INDENT = "    "


def lines(told: Explanation, limit: int | None = None) -> list[str]:
    """The whole story; with `limit`, the newest chapters of what happened."""
    return [
        *_heading(told),
        *_section("What happened", _past(told, limit)),
        *_section("What is waiting", _waiting(told)),
        *_section("What happens next", _next(told)),
        *_section("What was discarded", _discarded(told)),
        *_section("What is known", _known(told)),
    ]


def _section(title: str, body: Iterable[str]) -> list[str]:
    body = list(body)
    return ["", title, *body] if body else []


def _heading(told: Explanation) -> Iterator[str]:
    standing = told.standing
    name = f" ({standing.state})" if standing.label != standing.state else ""
    if standing.since is None:
        yield f"{told.customer} is in {standing.label}{name}; none of her events has been applied."
    else:
        yield (
            f"{told.customer} has been in {standing.label}{name} since {moment(standing.since)},"
            f" for {span(told.now - standing.since)}."
        )
    others = [known for known in told.identifiers if known != told.customer]
    if others:
        yield f"She is also known as {', '.join(others)}."
    version = told.timeline.at(told.now)
    yield (
        f"Told at {moment_in(told.now, zone(standing.zone, version.zone_name))}, under policy"
        f" version {version.number}; other times are UTC."
    )
    for later in told.timeline.versions:
        if later.effective_at > told.now:
            yield f"Policy version {later.number} takes effect on {moment(later.effective_at)}."
    if told.behind is not None:
        yield f"Her record is behind: {_behind(told.behind)}. Her next fold puts that right."


def _behind(behind: Behind) -> str:
    parts = []
    if behind.missing:
        some = "1 step below is" if behind.missing == 1 else f"{behind.missing} steps below are"
        parts.append(f"{some} not recorded yet")
    if behind.gone:
        some = "1 recorded step no longer follows"
        parts.append(some if behind.gone == 1 else f"{behind.gone} recorded steps no longer follow")
    return listed(parts)


def _past(told: Explanation, limit: int | None) -> Iterator[str]:
    first = 0 if limit is None else max(len(told.chapters) - limit, 0)
    if first:
        entries = "entry is" if first == 1 else "entries are"
        yield f"({first:,} older {entries} left out.)"
    if not told.chapters:
        yield "Nothing yet."
    sentences = Sentences(told.timeline, told.chapters)
    for chapter in told.chapters[first:]:
        headline, *rest = sentences.of(chapter)
        yield f"{moment(chapter.at)}  {headline}"
        yield from (f"{INDENT}{sentence}" for sentence in rest)


def _waiting(told: Explanation) -> Iterator[str]:
    for stored in told.pending:
        yield f"{_of(stored)} {arrival(stored)}; it is not applied yet."
    for stored in told.waiting:
        yield f"{_of(stored)} lies ahead; it is applied when its time comes."
    if told.held:
        some = "1 event" if told.held == 1 else f"{told.held:,} events"
        yield f"{some} of an import that has not ended; applied when it ends."
    for letter in told.dead:
        if letter.status is not Status.DISCARDED:
            yield _dead(letter, f"has been left out since {moment(letter.since)}")


def _discarded(told: Explanation) -> Iterator[str]:
    for letter in told.dead:
        if letter.status is Status.DISCARDED:
            yield _dead(letter, f"was discarded on {moment(letter.since)}, and counts for nothing")


def _dead(letter: DeadLetter, what: str) -> str:
    return f"{_of(letter.stored)} {what}: {letter.reason} ({letter.detail})."


def _of(stored: StoredEvent) -> str:
    return f"{event_name(stored)} of {moment(stored.event.occurred_at)}"


def _next(told: Explanation) -> Iterator[str]:
    version = told.timeline.at(told.now)
    for one in told.ahead:
        headline, *rest = ahead_lines(one, version, told.standing)
        yield headline
        yield from (f"{INDENT}{sentence}" for sentence in rest)
    if not told.ahead:
        yield "Nothing, by time alone."
    judged = _last_judged(told)
    for sleeping in told.asleep:
        yield asleep_line(sleeping, version, judged.get(sleeping.name))
    if told.pending:
        yield "What is waiting to be applied may change this."


def _last_judged(told: Explanation) -> dict[str, datetime]:
    """When each timed check was last evaluated."""
    return {
        chapter.happening.cause.removeprefix("check:").rpartition("@")[0]: chapter.at
        for chapter in told.chapters
        if isinstance(chapter, Happened) and chapter.happening.cause.startswith("check:")
    }


def _known(told: Explanation) -> Iterator[str]:
    standing = told.standing
    if standing.since is None:
        return
    words = Sentences(told.timeline, ()).vocabulary(told.now)
    for name, value in standing.facts.items():
        yield f"{name} = {words.value(name, value)}"
    for name, value in sorted(standing.attributes.items()):
        yield f"{name} = {words.value(name, value)}"
    if standing.tags:
        yield f"tags = {said(list(standing.tags), None)}"
    for about, given in sorted(standing.consents.items()):
        yield f"consent to {about} = {'given' if given else 'withdrawn'}"
    if standing.refused:
        refused = [f"{rule} {times(count)}" for rule, count in sorted(standing.refused.items())]
        yield f"guards that said no: {', '.join(refused)}"

"""How is an explanation told? In plain English, from the first event to what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lifecycle.domain.calendar import zone
from lifecycle.engine.explain.chapters import Happened
from lifecycle.engine.explain.outlook import ahead_lines, asleep_line
from lifecycle.engine.explain.preface import difference_lines, moment_lines, what_if_lines
from lifecycle.engine.explain.sentences import Sentences, arrival, event_name
from lifecycle.engine.explain.words import listed, moment, moment_in, said, span, times
from lifecycle.store.dead import DeadLetter, Status
from lifecycle.store.events import StoredEvent

if TYPE_CHECKING:
    from lifecycle.engine.explain.explanation import Behind, Explanation

INDENT = "    "


@dataclass(frozen=True, slots=True, kw_only=True)
class Titles:
    """What the sections are called."""

    past: str
    waiting: str
    following: str
    discarded: str
    known: str


PRESENT = Titles(
    past="What happened",
    waiting="What is waiting",
    following="What happens next",
    discarded="What was discarded",
    known="What is known",
)
OF_THEN = Titles(
    past="What had happened",
    waiting="What was waiting",
    following="What was to happen next",
    discarded="What had been discarded",
    known="What was known",
)
WHAT_IF = Titles(
    past="What would have happened",
    waiting="What is waiting",
    following="What would happen next",
    discarded="What was discarded",
    known="What would be known",
)
DIFFERENCE = "How that differs from what is recorded"
TITLES = frozenset(
    {DIFFERENCE, *(title for all_ in (PRESENT, OF_THEN, WHAT_IF) for title in astuple(all_))}
)


def lines(told: Explanation, limit: int | None = None) -> list[str]:
    """The whole story; with `limit`, the newest chapters of what happened."""
    titles = WHAT_IF if told.supposed else OF_THEN if told.moment else PRESENT
    return [
        *_preface(told),
        *_heading(told),
        *_section(DIFFERENCE, _difference(told)),
        *_section(titles.past, _past(told, limit)),
        *_section(titles.waiting, _waiting(told)),
        *_section(titles.following, _next(told)),
        *_section(titles.discarded, _discarded(told)),
        *_section(titles.known, _known(told)),
    ]


def _preface(told: Explanation) -> Iterator[str]:
    """What was asked, where it is not the present under the policies in force."""
    if told.supposed is not None:
        yield from what_if_lines(told.customer, told.supposed)
    if told.moment is not None:
        what_if = told.supposed is not None
        yield from moment_lines(
            told.customer, told.moment, told.timeline, told.standing.zone, what_if=what_if
        )
    if told.supposed is not None or told.moment is not None:
        yield ""


def _difference(told: Explanation) -> Iterator[str]:
    if told.supposed is not None:
        yield from difference_lines(told.supposed, told.timeline, told.now)


def _section(title: str, body: Iterable[str]) -> list[str]:
    body = list(body)
    return ["", title, *body] if body else []


def _heading(told: Explanation) -> Iterator[str]:
    standing = told.standing
    name = f" ({standing.state})" if standing.label != standing.state else ""
    is_, has_been = _verbs(told)
    if standing.since is None:
        none = "none of her events had been applied" if told.moment else _NONE_YET
        yield f"{told.customer} {is_} in {standing.label}{name}; {none}."
    else:
        yield (
            f"{told.customer} {has_been} in {standing.label}{name} since {moment(standing.since)},"
            f" for {span(told.now - standing.since)}."
        )
    others = [known for known in told.identifiers if known != told.customer]
    if others:
        yield f"She is also known as {', '.join(others)}."
    version = told.timeline.at(told.now)
    when = moment_in(told.now, zone(standing.zone, version.zone_name))
    under = "" if told.supposed else f", under policy version {version.number}"
    yield f"Told {'as of' if told.moment else 'at'} {when}{under}; other times are UTC."
    for later in told.timeline.versions:
        if later.effective_at > told.now:
            takes = "was to take" if told.moment else "takes"
            yield f"Policy version {later.number} {takes} effect on {moment(later.effective_at)}."
    if told.behind is not None:
        yield f"Her record {_behind_then(told)}."


_NONE_YET = "none of her events has been applied"


def _verbs(told: Explanation) -> tuple[str, str]:
    """`is` and `has been`, as they fit what was asked."""
    if told.supposed is not None:
        return "would be", "would have been"
    return ("was", "had been") if told.moment else ("is", "has been")


def _behind_then(told: Explanation) -> str:
    assert told.behind is not None
    if told.moment is not None and not told.moment.late_events:
        return f"was behind at that moment, which was put right since: {_behind(told.behind)}"
    return f"is behind: {_behind(told.behind)}. Her next fold puts that right"


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
    sentences = Sentences(
        told.timeline,
        told.chapters,
        unknown=told.unknown,
        what_if=told.supposed is not None,
    )
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

"""How is one chapter told? A headline, then sentences, all from what is recorded."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from datetime import datetime, timedelta

from lifecycle.domain.event import MOVED, REQUESTED
from lifecycle.domain.facts import fed_by
from lifecycle.domain.instant import END, instant_from, instant_text, later
from lifecycle.domain.policy import INTERACTION, FactKind, OwnRhythm, Policy
from lifecycle.domain.step import (
    Fired,
    Moved,
    NotApplicable,
    Refusal,
    Refused,
    Step,
)
from lifecycle.domain.timeline import Timeline, Version
from lifecycle.engine.explain.ahead import after, since, stay
from lifecycle.engine.explain.chapters import (
    Believed,
    Chapter,
    Dropped,
    Happened,
    Overturned,
    Planned,
)
from lifecycle.engine.explain.letters import (
    became,
    consequence,
    message_name,
    news,
    orphaned,
    would_be,
)
from lifecycle.engine.explain.retold import Changed, Kind
from lifecycle.engine.explain.words import NO_RHYTHM, Vocabulary, listed, moment, span
from lifecycle.store.events import StoredEvent
from lifecycle.store.messages import MessageRow

AT_ONCE = timedelta(minutes=1)  # an arrival this soon after the event is not worth a word


def event_name(stored: StoredEvent) -> str:
    return f"{stored.event.type} {stored.event.id}"


def arrival(stored: StoredEvent) -> str:
    """`arrived on 2026-03-03 00:00, 21 days later`."""
    event = stored.event
    behind = event.received_at - event.occurred_at
    after = f", {span(behind)} later" if behind >= AT_ONCE else ""
    return f"arrived on {moment(event.received_at)}{after}"


def route(step: Step, words: Vocabulary) -> str:
    return f"from {words.state(step.from_state)} to {words.state(step.to_state)}"


def by(step: Step, words: Vocabulary) -> str:
    """`loyal: orders >= 3, with orders = 3`: the rule, its guard and what that read."""
    if step.trigger == MOVED:
        return f"moved by {step.by or 'hand'}"
    if step.guard is None:
        return step.rule
    reads = words.reads(step.read)
    return f"{step.rule}: {step.guard}" + (f", with {reads}" if reads else "")


def step_name(step: Step) -> str:
    return f"the move by {step.by or 'hand'}" if step.trigger == MOVED else step.rule


def no(refusal: Refusal, words: Vocabulary) -> str:
    """`loyal needs orders >= 3, but orders = 2`."""
    reads = words.reads(refusal.read)
    if refusal.error is not None:
        with_ = f" with {reads}" if reads else ""
        return (
            f"{refusal.rule} could not be judged, which counts as no: {refusal.guard}{with_}"
            f" ({refusal.error})"
        )
    return f"{refusal.rule} needs {refusal.guard}" + (f", but {reads}" if reads else "")


class Sentences:
    """Knows the policies by which each chapter was judged.

    `unknown` are the rows of messages whose fate is not known of the moment that is told of; in a
    `what_if` messages have none.
    """

    def __init__(
        self,
        timeline: Timeline,
        chapters: Sequence[Chapter],
        *,
        unknown: Container[int] = (),
        what_if: bool = False,
    ) -> None:
        self._timeline = timeline
        self._unknown = unknown
        self._what_if = what_if
        self._vocabularies: dict[int, Vocabulary] = {}  # also of versions that judge no more
        self._events_of_rules = frozenset(
            kind for version in timeline.versions for kind, _ in version.leaves
        )
        self._events = [
            chapter.happening.event.event
            for chapter in chapters
            if isinstance(chapter, Happened)
            and chapter.happening.event
            and chapter.happening.event.event.type != MOVED
        ]
        self._entered = {
            instant_text(chapter.at): chapter.happening.outcome.step.to_state
            for chapter in chapters
            if isinstance(chapter, Happened) and isinstance(chapter.happening.outcome, Moved)
        }
        self._moves = frozenset(
            instant_text(chapter.at)
            for chapter in chapters
            if isinstance(chapter, Happened)
            and isinstance(chapter.happening.outcome, Moved)
            and chapter.happening.outcome.step.trigger == MOVED
        )

    def _version(self, number: int) -> Version:
        return self._timeline.numbered(number)

    def vocabulary(self, at: datetime) -> Vocabulary:
        return self._words(self._timeline.at(at))

    def _words(self, version: Version) -> Vocabulary:
        found = self._vocabularies.get(version.number)
        if found is None:
            found = self._vocabularies[version.number] = Vocabulary(version.policy)
        return found

    def of(self, chapter: Chapter) -> Iterator[str]:
        """A headline, then what followed."""
        match chapter:
            case Happened():
                yield from self._happened(chapter)
            case Believed(overturned=overturned):
                yield from self._believed(overturned)
            case Dropped(row=row):
                yield from self._dropped(row)

    # -- what happened

    def _happened(self, chapter: Happened) -> Iterator[str]:
        happening = chapter.happening
        yield self._event(chapter) if happening.event else self._due(happening.cause, chapter.at)
        sentences = [
            *self._changed(happening.changes or (), chapter.at),
            *self._outcome(chapter),
            *(f"It overturned {step_name(one)} of {moment(one.at)}." for one in chapter.overturned),
            *(
                f"It planned nothing: {no(one.refusal, self.vocabulary(chapter.at))}."
                for one in happening.unplanned
            ),
            *(self._message(one) for one in chapter.messages),
            *self._reported(happening.event),
            *(text for one in chapter.corrected for text in self._corrected(one)),
        ]
        yield from sentences or ["Nothing followed from it."]

    def _message(self, planned: Planned) -> str:
        version = self._version(planned.message.version)
        if self._what_if:
            return would_be(planned.message, version)
        return became(planned, version, self._unknown)

    def _orphaned(self, row: MessageRow) -> str:
        return orphaned(row, self._version(row.message.version), self._unknown)

    @staticmethod
    def _reported(stored: StoredEvent | None) -> Iterator[str]:
        if stored is not None and (text := consequence(stored.event)) is not None:
            yield text

    def _event(self, chapter: Happened) -> str:
        stored = chapter.happening.event
        assert stored is not None
        event = stored.event
        told = self.vocabulary(chapter.at).properties(event)
        parts = [f"{event_name(stored)} of {event.source}"]
        if event.type == MOVED:
            parts = [f"An operator's move, {event.id}"]
        elif event.type == REQUESTED:
            by = event.properties.get("by") or "Somebody"
            parts = [f"{by} asked for {event.properties['outreach']}"]
        elif (letter := news(event)) is not None:
            parts = [letter]
        elif told:
            parts.append(f"with {told}")
        if chapter.late:
            parts.append(f"which {arrival(stored)}")
        if stored.request_id is not None and not stored.by_import:
            parts.append(f"by request {stored.request_id}")
        return f"{', '.join(parts)}."

    def _due(self, cause: str, at: datetime) -> str:
        kind, name, when = _parted(cause)
        if kind == "calendar":
            return f"{name} came due: the date {when}."
        return f"{name} came due: {self._waited(name, when, at, self._timeline.at(at))}."

    def _waited(
        self, name: str, anchor: str, at: datetime, version: Version, told: datetime = END
    ) -> str:
        """`no interaction for 60 days since 2026-01-01 00:00`: why a check came due at `at`.

        As the events say that had arrived until `told`.
        """
        start = instant_from(anchor)
        if any(check.name == name and check.stays for check in version.timed):
            return self._stayed(name, anchor, at, version)
        wait = after(version.policy, name).wait
        default = rhythm = False
        if isinstance(wait, OwnRhythm):
            default = self._had_no_rhythm(wait.fact, version.policy, at, told)
            rhythm = not default
            length = wait.otherwise if default else at - start
        else:
            length = wait
        fact = since(version.policy, name)
        what = "interaction" if fact.event == INTERACTION else fact.event
        if anchor in self._moves:
            text = f"{span(length)} since she was moved by hand on {moment(start)}"
        elif fact.kind is FactKind.FIRST:
            text = f"{span(length)} since the first {what} on {moment(start)}"
        else:
            text = f"no {what} for {span(length)} since {moment(start)}"
        if rhythm:
            return f"{text}, longer than her own rhythm"
        over = later(start, length)
        if default:
            text += f", {NO_RHYTHM}"
        if over < at:
            text += f", over on {moment(over)}, but {_not_before(version, at)}"
        return text

    def _stayed(self, name: str, entered: str, at: datetime, version: Version) -> str:
        """`14 days in Intent since 2026-01-01 00:00`."""
        trigger = stay(version.policy, name)
        assert trigger.stayed is not None
        state = self._entered.get(entered, version.policy.initial)  # she begins without a step
        words = self._words(version)
        where = words.state(state) if state in trigger.names else words.states(trigger.names, "or")
        start = instant_from(entered)
        text = f"{span(trigger.stayed)} in {where} since {moment(start)}"
        over = later(start, trigger.stayed)
        if over < at:
            text += f", over on {moment(over)}, but {_not_before(version, at)}"
        return text

    def _had_no_rhythm(self, fact: str, policy: Policy, at: datetime, told: datetime) -> bool:
        """Whether there was no gap yet between two events of the kind before an instant."""
        gap = next(each for each in policy.facts if each.name == fact)
        kinds = {kind for kind, _ in fed_by(gap, policy)}
        instants = {
            event.occurred_at
            for event in self._events
            if event.occurred_at < at
            and event.received_at <= told
            and (event.type if event.type in policy.events else INTERACTION) in kinds
        }
        return len(instants) < 2

    def _changed(self, changes: Sequence[Changed], at: datetime) -> Iterator[str]:
        words = self.vocabulary(at)
        now = instant_text(at)
        new, timed, plain, cleared = [], [], [], []
        for change in changes:
            match change.kind:
                case Kind.TAG:
                    yield f"It {'added' if change.after else 'removed'} the tag {change.name}."
                case Kind.CONSENT:
                    given = "gave consent to" if change.after else "withdrew consent to"
                    yield f"She {given} {change.name}."
                case _ if change.after == now:
                    timed.append(change.name)
                case _ if change.after is None:
                    before = words.value(change.name, change.before)
                    cleared.append(f"{change.name}, which was {before}")
                case _ if change.before is None:
                    new.append(f"{change.name} to {words.value(change.name, change.after)}")
                case _:
                    plain.append(
                        f"{change.name} from {words.value(change.name, change.before)}"
                        f" to {words.value(change.name, change.after)}"
                    )
        if timed:
            new.append(f"{listed(timed)} to its own time")
        parts = [f"changed {listed(plain)}"] if plain else []
        parts += [f"set {listed(new)}"] if new else []
        parts += [f"cleared {listed(cleared)}"] if cleared else []
        if parts:
            yield f"It {', and '.join(parts)}."

    # -- what came of it

    def _outcome(self, chapter: Happened) -> Iterator[str]:
        happening = chapter.happening
        words = self.vocabulary(chapter.at)
        match happening.outcome:
            case Moved(step=step, refusals=refusals):
                yield from (f"{no(refusal, words)}." for refusal in refusals)
                if step.trigger == MOVED:
                    why = f", because “{step.why}”" if step.why else ""
                    who = step.by or "Somebody"
                    yield f"{who} moved her {route(step, words)}{why}."
                else:
                    yield f"She moved {route(step, words)} ({by(step, words)})."
            case Refused(trigger=trigger, refusals=()) if trigger == MOVED:
                yield "The move did nothing: she was there already, or the policy has no such state."
            case Refused(state=state, refusals=refusals):
                yield (
                    f"She stayed in {words.state(state)}:"
                    f" {listed([no(refusal, words) for refusal in refusals])}."
                )
                if happening.event is None:
                    yield "With that the check is spent, as if it had fired."
            case NotApplicable(trigger=trigger, state=state) if trigger in self._events_of_rules:
                yield f"She stayed in {words.state(state)}, which no rule leaves on {trigger}."
            case NotApplicable() | Fired() | None:
                return

    # -- what was believed once

    def _believed(self, overturned: Overturned) -> Iterator[str]:
        step = overturned.row.step
        words = Vocabulary(self._version(step.version).policy)
        kind, name, when = _parted(step.cause)
        if step.trigger == MOVED:
            why = f"because “{step.why}”" if step.why else "without a reason"
        elif kind == "event":
            why = f"on {step.trigger} {when}"
        else:
            known = overturned.row.recorded_at
            why = self._waited(name, when, step.at, self._version(step.version), known)
        yield f"It was believed that she went {route(step, words)} ({by(step, words)}; {why})."
        yield f"{self._reason('Overturned by', overturned)}."
        yield from map(self._orphaned, overturned.messages)

    def _corrected(self, overturned: Overturned) -> Iterator[str]:
        step = overturned.row.step
        reads = Vocabulary(self._version(step.version).policy).reads(step.read)
        with_ = f" with {reads}" if reads else ""
        yield (
            f"On {moment(overturned.row.recorded_at)} this step was recorded{with_}."
            f" {self._reason('Corrected because of', overturned)}."
        )
        yield from map(self._orphaned, overturned.messages)

    def _reason(self, verb: str, overturned: Overturned) -> str:
        if overturned.by is None:
            revoked = overturned.row.revoked_at
            on = f" on {moment(revoked)}" if revoked else ""
            number = overturned.row.revoked_version
            if number is not None:
                return f"{verb} version {number} of the policy{on}, which judges that time now"
            return f"It no longer followed when her history was folded anew{on}"
        event = overturned.by.event
        return (
            f"{verb} {event_name(overturned.by)} of {moment(event.occurred_at)}, which arrived on"
            f" {moment(event.received_at)}"
        )

    def _dropped(self, row: MessageRow) -> Iterator[str]:
        """A message without a step, for a cause that no longer follows."""
        version = self._version(row.message.version)
        kind, name, when = _parted(row.message.cause)
        if kind == "event":
            why = f"on the event {when}"
        elif kind == "calendar":
            why = f"the date {when}"
        else:
            why = self._waited(name, when, row.message.caused_at, version, row.recorded_at)
        yield f"{message_name(row.message, version)} was planned ({why}); that no longer follows."
        yield self._orphaned(row)


def _parted(cause: str) -> tuple[str, str, str]:
    """`check:quiet@2026-…Z#1` → check, quiet, 2026-…Z; `event:shop|A-1` → event, shop, A-1."""
    kind, _, rest = cause.partition(":")
    if kind == "event":
        source, _, id_ = rest.partition("|")
        return kind, source, id_
    name, _, when = rest.rpartition("@")
    return kind, name, when.partition("#")[0]


def _not_before(version: Version, at: datetime) -> str:
    if version.effective_at == at:
        return f"not before policy version {version.number} took effect"
    return "not before she came to this state"

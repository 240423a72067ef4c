"""The differences of two policies, section by section, in one order whatever they were read from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from zoneinfo import ZoneInfo

from lifecycle.domain.builtin import BUILTIN
from lifecycle.domain.instant import decimal_text
from lifecycle.domain.policy import After, Cap, Fact, Policy, TransitionRule
from lifecycle.policy.diff import entries, order
from lifecycle.policy.diff.change import Change, Kind
from lifecycle.policy.diff.compare import At, added, differences, removed
from lifecycle.policy.diff.written import Keys, Word, Written, text
from lifecycle.policy.words import span

_TIMED = "; a timed check that has fired is remembered by its name"

Section = Callable[[Policy, Policy], Iterator[Change]]


def changes(before: Policy, after: Policy) -> tuple[Change, ...]:
    """All that `after` says otherwise than `before`; nothing where they say the same.

    Of two policies with one hash, only what is `cosmetic`. The order of facts, attributes, events,
    rates and caps means nothing and is not told.
    """
    return tuple(
        change
        for section in SECTIONS.values()
        for change in _together(tuple(section(before, after)))
    )


def _together(section: tuple[Change, ...]) -> Iterator[Change]:
    """What is told of one thing stands together, at the first of it."""
    for name in dict.fromkeys(change.name for change in section):
        yield from (change for change in section if change.name == name)


def _header(before: Policy, after: Policy) -> Iterator[Change]:
    yield from _fixed("policy", _alone(before), _alone(after))


def _alone(policy: Policy) -> dict[str, Written | None]:
    """The keys that stand in no section."""
    late = policy.lateness
    return {
        "timezone": Word(text=policy.timezone),
        "currency": Word(text=policy.currency),
        "unknown_events": Word(text=policy.unknown_events.value),
        "lateness": None if late is None else Word(text=span(late)),
        "skew": Word(text=span(policy.skew)),
    }


def _rates(before: Policy, after: Policy) -> Iterator[Change]:
    yield from _listed("rates", _by_currency(before), _by_currency(after))


def _by_currency(policy: Policy) -> dict[str, Written]:
    zone = ZoneInfo(policy.timezone)
    by_day: dict[str, dict[str, Written]] = {}
    for rate in sorted(policy.rates, key=lambda rate: (rate.currency, rate.since)):
        held = Word(text=decimal_text(rate.rate))
        by_day.setdefault(rate.currency, {})[entries.day(rate.since, zone)] = held
    return {currency: Keys(entries=days, listed=True) for currency, days in by_day.items()}


def _attributes(before: Policy, after: Policy) -> Iterator[Change]:
    old, new = (
        {name: Word(text=policy.attributes[name].value) for name in sorted(policy.attributes)}
        for policy in (before, after)
    )
    yield from _listed("attributes", old, new)


def _states(before: Policy, after: Policy) -> Iterator[Change]:
    old, new = (
        {state.name: entries.state(state) for state in policy.states} for policy in (before, after)
    )
    yield from _listed("states", old, new)
    yield from order.in_passing("states", [*old], [*new], "in pictures and reports")


def _events(before: Policy, after: Policy) -> Iterator[Change]:
    old, new = (
        {
            name: entries.event(event)
            for name, event in sorted(policy.events.items())
            if BUILTIN.get(name) != event
        }
        for policy in (before, after)
    )
    yield from _listed("events", old, new)


def _facts(before: Policy, after: Policy) -> Iterator[Change]:
    names = _renamed(
        {fact.name: replace(fact, name="") for fact in before.facts},
        {fact.name: replace(fact, name="") for fact in after.facts},
    )
    told = "the same fact under another name"
    yield from (_rename("facts", old, new, told) for old, new in names.items())
    old, new = ({fact.name: fact for fact in policy.facts} for policy in (before, after))
    yield from _listed(
        "facts",
        {names.get(name, name): entries.fact(fact) for name, fact in old.items()},
        {name: entries.fact(fact) for name, fact in new.items()},
    )


def _transitions(before: Policy, after: Policy) -> Iterator[Change]:
    names = _renamed(
        {rule.name: _nameless(rule) for rule in before.transitions},
        {rule.name: _nameless(rule) for rule in after.transitions},
    )
    timed = {rule.name for rule in after.transitions if isinstance(rule.trigger, After)}
    for was, now in names.items():
        told = "the same rule under another name"
        yield _rename("transitions", was, now, told + (_TIMED if now in timed else ""))
    as_now = [replace(rule, name=names.get(rule.name, rule.name)) for rule in before.transitions]
    old, new = (
        {rule.name: entries.transition(rule, [s.name for s in policy.states]) for rule in rules}
        for policy, rules in ((before, as_now), (after, after.transitions))
    )
    more = {rule.name: order.stands(rule, after.transitions) for rule in after.transitions}
    yield from _listed("transitions", old, new, more)
    yield from order.of_transitions(as_now, after.transitions)


def _outreach(before: Policy, after: Policy) -> Iterator[Change]:
    """Never renamed: the name says which template is sent, so another name may be another message."""
    old, new = (
        {rule.name: entries.outreach(rule) for rule in policy.outreach}
        for policy in (before, after)
    )
    yield from _listed("outreach", old, new)
    yield from order.in_passing("outreach", [*old], [*new], "in the file, which decides nothing")


def _sending(before: Policy, after: Policy) -> Iterator[Change]:
    yield from _caps(before.sending.caps, after.sending.caps)
    yield from _fixed("sending", _of_all(before), _of_all(after))


def _of_all(policy: Policy) -> dict[str, Written | None]:
    sending = policy.sending
    days = sending.working_days
    return {
        "quiet": None if sending.quiet is None else entries.quiet(sending.quiet),
        "working_days": None if days is None else entries.working_days(days),
        "surge": entries.surge(sending.surge),
        "holdout": Keys(entries={"all": Word(text=entries.percent(sending.holdout))}),
    }


def _caps(before: tuple[Cap, ...], after: tuple[Cap, ...]) -> Iterator[Change]:
    """They have no names: one is taken for changed where both sides have one left of the same messages."""
    here = At(section="sending", name="caps")
    old = _less(before, after)
    new = _less(after, before)
    for cap in old:
        twins = [one for one in new if _scope(one) == _scope(cap)]
        if len(twins) == 1 and sum(_scope(one) == _scope(cap) for one in old) == 1:
            one, other = text(entries.cap(cap)), text(entries.cap(twins[0]))
            yield here.change(Kind.CHANGED, one, other, f"{one} → {other}")
            new.remove(twins[0])
        else:
            yield removed(here, entries.cap(cap))
    yield from (added(here, entries.cap(cap)) for cap in new)


def _less(these: tuple[Cap, ...], others: tuple[Cap, ...]) -> list[Cap]:
    """Those without a twin among the others."""
    left = Counter(these) - Counter(others)
    return sorted(left.elements(), key=lambda cap: text(entries.cap(cap)))


def _scope(cap: Cap) -> tuple[object, ...]:
    return cap.channel, cap.message_class


def _fixed(
    section: str, before: Mapping[str, Written | None], after: Mapping[str, Written | None]
) -> Iterator[Change]:
    """Keys that every policy has."""
    for name, held in before.items():
        yield from differences(At(section=section, name=name), held, after[name])


def _listed(
    section: str,
    before: Mapping[str, Written],
    after: Mapping[str, Written],
    more: Mapping[str, str] | None = None,
) -> Iterator[Change]:
    """What there was, in its old order, then what is new; `more` is said of what is new."""
    for name, held in before.items():
        at = At(section=section, name=name)
        if name in after:
            yield from differences(at, held, after[name])
        else:
            yield removed(at, held)
    for name, held in after.items():
        if name not in before:
            yield added(At(section=section, name=name), held, (more or {}).get(name, ""))


def _renamed(
    before: Mapping[str, Fact | TransitionRule], after: Mapping[str, Fact | TransitionRule]
) -> dict[str, str]:
    """Old name → new name, where only one on each side is the same in all but the name."""
    gone = {name: held for name, held in before.items() if name not in after}
    come = {name: held for name, held in after.items() if name not in before}
    pairs = {
        name: [other for other, value in come.items() if value == held]
        for name, held in gone.items()
    }
    once = Counter(other for others in pairs.values() for other in others)
    return {
        name: others[0]
        for name, others in pairs.items()
        if len(others) == 1 and once[others[0]] == 1
    }


def _nameless(rule: TransitionRule) -> TransitionRule:
    """What it does, and nothing else."""
    return replace(rule, name="", labels={}, sources=tuple(sorted(rule.sources)))


def _rename(section: str, old: str, new: str, told: str) -> Change:
    return At(section=section, name=new, path=("name",)).change(
        Kind.RENAMED, old, new, f"renamed from {old}: {told}"
    )


SECTIONS: Mapping[str, Section] = {
    "policy": _header,
    "rates": _rates,
    "attributes": _attributes,
    "states": _states,
    "events": _events,
    "facts": _facts,
    "transitions": _transitions,
    "outreach": _outreach,
    "sending": _sending,
}

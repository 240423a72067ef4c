"""How is it told what comes next by time alone, and what would change it?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from lifecycle.domain.calendar import zone
from lifecycle.domain.instant import later
from lifecycle.domain.policy import INTERACTION, FactKind
from lifecycle.domain.step import Fired, Moved, Refused, Unplanned
from lifecycle.domain.timeline import Version
from lifecycle.engine.explain.ahead import Ahead, Asleep, Basis, Exit, Slot, Stay, since
from lifecycle.engine.explain.chapters import Standing
from lifecycle.engine.explain.letters import message_name
from lifecycle.engine.explain.sentences import by, no
from lifecycle.engine.explain.words import (
    NO_RHYTHM,
    Vocabulary,
    listed,
    moment,
    moment_in,
    some,
    span,
)


def ahead_lines(one: Ahead, version: Version, standing: Standing) -> Iterator[str]:
    """A headline with its date, then what would come of it and what would change it."""
    words = Vocabulary(version.policy)
    when = moment_in(one.at, zone(standing.zone, version.zone_name))
    yield f"{when}  {one.name}, {_basis(one, words)}."
    if one.overdue:
        yield "Its time has come: it fires with the next sweep."
    yield _expected(one, version, words)
    if not isinstance(one.basis, Stay):
        yield f"{_moved_by(one.name, one.moved_by, version, one.basis)} would move it."
    if one.stands_in:
        yield _stands_in(one, words)


def asleep_line(one: Asleep, version: Version, judged: datetime | None) -> str:
    """Why a check of her state does not stand, and what would arm it."""
    if one.of_stay:
        assert one.spent_at is not None
        return (
            f"{one.name} had its turn{f' on {moment(judged)}' if judged else ''} in this stay, which"
            f" began on {moment(one.spent_at)}. Entering a state of its anew would arm it again."
        )
    if one.fact is None:
        return f"{one.name} is not due on any date: {one.empty} is empty."
    arming = _moved_by(one.name, one.moved_by, version, None)
    if one.empty is not None:
        return f"{one.name} is not armed: {one.empty} is empty. {arming} would arm it."
    assert one.spent_at is not None
    on = f" on {moment(judged)}" if judged else ""
    start = "her move by hand on" if one.moved else f"{one.fact} ="
    entry = ", and so would entering a state of its anew" if one.again_on_entry else ""
    return (
        f"{one.name} had its turn{on} for {start} {moment(one.spent_at)}."
        f" {arming} would arm it again{entry}."
    )


def _basis(one: Ahead, words: Vocabulary) -> str:
    if isinstance(one.basis, Stay):
        return _of_stay(one.basis, one.at, words)
    if isinstance(one.basis, Slot):
        return f"on {one.basis.day.isoformat()} by her own clock ({_named(one.basis)})"
    basis = one.basis
    start = "she was moved by hand on" if basis.moved else f"{basis.fact} ="
    text = f"{span(basis.wait)} after {start} {moment(basis.at)}"
    if basis.by_default:
        text += f", {NO_RHYTHM} ({basis.rhythm} is empty)"
    elif basis.rhythm is not None:
        text += f", by her own rhythm ({basis.rhythm})"
    over = later(basis.at, basis.wait)
    if over < one.at:
        text += f", over on {moment(over)}, but not before she came to this state"
    return text


def _named(slot: Slot) -> str:
    if slot.lunar is not None:
        return f"lunar {slot.lunar[0]:02}-{slot.lunar[1]:02}"
    return slot.attribute or "a fixed date"


def _of_stay(basis: Stay, at: datetime, words: Vocabulary) -> str:
    came = f"she came to {words.state(basis.state)} on {moment(basis.at)}"
    text = f"{span(basis.wait)} after {came}"
    over = later(basis.at, basis.wait)
    if over < at:
        text += f", over on {moment(over)}, but not before this policy version took effect"
    return text


def _expected(one: Ahead, version: Version, words: Vocabulary) -> str:
    plans = listed([message_name(message, version) for message in one.plans])
    match one.expected:
        case Moved(step=step):
            held = f" ({by(step, words)})" if step.guard else ""
            outcome = f"moves her to {words.state(step.to_state)}{held}"
            outcome += f", and plans {plans}" if plans else ""
        case Refused(refusals=refusals):
            said_no = listed([no(refusal, words) for refusal in refusals])
            outcome = f"does nothing and is spent: {said_no}"
        case Fired():
            outcome = f"plans {plans}"
        case Unplanned(refusal=refusal):
            outcome = f"plans nothing: {no(refusal, words)}"
        case _:
            outcome = "is no longer armed then, for something above comes first"
    return f"If nothing arrives before, it {outcome}."


def _moved_by(name: str, kinds: tuple[str, ...], version: Version, basis: Basis | None) -> str:
    """`A new interaction (order_paid, page_viewed or survey_answered)`."""
    if isinstance(basis, Slot):
        date = f"{basis.attribute} or of " if basis.attribute else ""
        return f"A change of {date}her time zone (profile_changed)"
    if not kinds:
        return "Nothing new"
    fact = since(version.policy, name)
    if fact.event == INTERACTION:
        return f"A new interaction ({some(kinds)})"
    return f"A new {some(kinds)}" if fact.kind is FactKind.LAST else f"A first {some(kinds)}"


def _stands_in(one: Ahead, words: Vocabulary) -> str:
    by_rule: dict[str, list[Exit]] = {}
    for leaving in one.disarmed_by:
        by_rule.setdefault(leaving.rule, []).append(leaving)
    exits = [_exit(same, words) for same in by_rule.values()]
    away = f", as by {some(exits)}," if exits else ""
    left = (one.basis.state,) if isinstance(one.basis, Stay) else one.stands_in
    return f"Leaving {words.states(left, 'or')}{away} would disarm it."


def _exit(same_rule: list[Exit], words: Vocabulary) -> str:
    """`order_paid or order_gifted (first, to Deal, when orders >= 1)`."""
    kinds = some([leaving.event for leaving in same_rule])
    rule, to, guard = same_rule[0].rule, same_rule[0].to, same_rule[0].guard
    return f"{kinds} ({rule}, to {words.state(to)}{f', when {guard}' if guard else ''})"

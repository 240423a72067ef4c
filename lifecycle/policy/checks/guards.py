"""Is each guard a condition over what is known, and does it always have an answer?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lifecycle.domain.cel_library import cel
from lifecycle.domain.guard import Guard, GuardError
from lifecycle.domain.policy import Policy, TransitionRule
from lifecycle.policy.build import Draft
from lifecycle.policy.build.draft import Path
from lifecycle.policy.checks import advice, samples
from lifecycle.policy.checks.rules import shared_trigger
from lifecycle.policy.checks.samples import Variable
from lifecycle.policy.records import NO_FUNCTIONS
from lifecycle.policy.report import Place, Report, allowed, did_you_mean, found

MOST_COMPARED = 300  # pairs of guards; only a warning is lost beyond that
MOST_MACROS = 2  # nested: all, exists, exists_one, map, filter

# The functions that the library has; its operators have other characters in their names.
FUNCTIONS = (
    "size", "contains", "startsWith", "endsWith", "matches", "string", "int", "uint", "double",
    "bytes", "duration", "timestamp", "type", "dyn", "getFullYear", "getMonth", "getDate",
    "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds",
    "getMilliseconds", "has", "all", "exists", "exists_one", "map", "filter",
)  # fmt: skip

_DOTTED = re.compile(r"\s*([A-Za-z_]\w*)(\.[A-Za-z_]\w*)+\s*(\(.*\))?\s*", re.DOTALL)
_MACRO = re.compile(r"\.\s*(all|exists|exists_one|map|filter)\s*$")
_BOUND = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")


def check_guards(draft: Draft, report: Report) -> None:
    known = samples.variables(draft.policy)
    for index, rule in enumerate(draft.policy.transitions):
        _judge(rule.guard, ("transitions", index, "when"), draft, report, known)
    for index, message in enumerate(draft.policy.outreach):
        _judge(message.guard, ("outreach", index, "when"), draft, report, known)
        _judge(message.unless, ("outreach", index, "unless"), draft, report, known)
    for guard in draft.loose:
        for fault in judged(guard.value, known, draft.policy):
            fault.tell(guard.place, report)
    _implied(draft, report, known)


def _judge(
    text: str | None, path: Path, draft: Draft, report: Report, known: Mapping[str, Variable]
) -> None:
    if text is not None:
        for fault in judged(text, known, draft.policy):
            fault.tell(draft.place(*path), report)


@dataclass(frozen=True, slots=True)
class Fault:
    code: str
    message: str
    warning: bool = False

    def tell(self, place: Place, report: Report) -> None:
        (report.warn if self.warning else report.error)(place, self.code, self.message)


def judged(text: str, known: Mapping[str, Variable], policy: Policy) -> Iterator[Fault]:
    """Everything wrong with one guard."""
    path = _DOTTED.fullmatch(text)
    if path and path[1] not in known and path[1] not in policy.events:
        yield Fault("function_named", f"{found(text)}; {NO_FUNCTIONS}")
        return
    depth = _macro_depth(text)
    if depth > MOST_MACROS:
        yield Fault(
            "guard_too_deep",
            f"found {depth} of all, exists, map and filter inside each other; "
            f"allowed: {MOST_MACROS}",
        )
        return
    try:
        guard = Guard(text)
    except GuardError as error:
        yield Fault("guard_syntax", _syntax(text, str(error)))
        return
    unknown = list(_unknown(text, guard, known, policy))
    yield from unknown
    if not unknown:
        yield from _tried(guard, known)


def _unknown(
    text: str, guard: Guard, known: Mapping[str, Variable], policy: Policy
) -> Iterator[Fault]:
    bare = advice.unquoted(text)
    bound = set(_BOUND.findall(bare)) - set(known)
    for name in guard.variables:
        if name not in known and name not in bound and name not in FUNCTIONS:
            yield Fault("unknown_variable", _unknown_variable(name, bare, known, policy))
    for name in cel.compile(text).functions():
        if name.isidentifier() and not name.startswith("_") and name not in FUNCTIONS:
            yield Fault(
                "unknown_function",
                f"unknown function: {found(name)}; {allowed(FUNCTIONS)}"
                f"{did_you_mean(name, FUNCTIONS)}",
            )
    if not set(guard.variables) - bound:
        yield Fault(
            "guard_constant",
            f"{found(text)}, which reads no fact and no attribute, so it is the same for "
            "everybody; take it out, or say what it depends on",
        )


def _unknown_variable(name: str, text: str, known: Mapping[str, Variable], policy: Policy) -> str:
    carriers = [event.name for event in policy.events.values() if name in event.properties]
    dotted = re.search(rf"\b{name}\.(\w+)", text)
    if carriers:
        event, key = carriers[0], name
        hint = f'; "{name}" is a property of {event}: declare a fact of it, such as '
        hint += f"latest_{key}: {{latest: {event}.{key}}}"
    elif name in policy.events and dotted:
        hint = "; guards read facts, not events: declare one, such as "
        hint += f"latest_{dotted[1]}: {{latest: {name}.{dotted[1]}}}"
    elif name in policy.events:
        hint = f"; guards read facts, not events: declare one, such as {{count: {name}}}"
    else:
        hint = advice.on_unknown(name, text, known) or did_you_mean(name, known)
    return f"unknown fact or attribute: {found(name)}; {allowed(known)}{hint}"


def _tried(guard: Guard, known: Mapping[str, Variable]) -> Iterator[Fault]:
    """What goes wrong when it is evaluated; the first of each kind."""
    read = {name: known[name] for name in guard.variables if name in known}
    types = ", ".join(f"{name} is {variable.type}" for name, variable in read.items())
    for values in samples.full(read, [guard.text]):
        error = _failure(guard, values)
        if error is not None:
            hint = advice.on_failure(guard.text, error, values, read)
            yield Fault(
                "guard_raises",
                f"has no answer where {_told(values)}: {error} ({types}){hint}",
            )
            return
    yield from _tried_empty(guard, read)


def _tried_empty(guard: Guard, read: Mapping[str, Variable]) -> Iterator[Fault]:
    """One warning for each variable without which there is no answer."""
    told: set[str] = set()
    for empty, values in samples.with_empties(read, [guard.text]):
        if told & set(empty):
            continue
        error = _failure(guard, values)
        if error is not None:
            told.update(empty)
            yield Fault(
                "guard_raises_when_empty",
                f"has no answer where {' and '.join(empty)} {'is' if len(empty) == 1 else 'are'} "
                f"empty ({error}), and counts as false there; "
                f'say so by beginning with "{empty[0]} != null &&"',
                warning=True,
            )


def _failure(guard: Guard, values: Mapping[str, object]) -> str | None:
    """In short why there is no answer; None: there is one."""
    try:
        guard.judge(dict(values))
    except GuardError as error:
        return _first_sentence(str(error))
    except (ArithmeticError, LookupError, AttributeError) as error:
        return f"{type(error).__name__}: {_first_sentence(str(error))}"
    return None


def _syntax(text: str, error: str) -> str:
    hint = advice.on_syntax(text)
    match = re.search(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)", error)
    if match is None:
        return f"{found(text)}, which is not CEL{hint}"
    where = f"line {match[1]}, " if match[1] != "1" else ""
    what = _expected(match[3])
    return f"{found(text)}, which is not CEL: {what} at {where}character {match[2]} of it{hint}"


def _expected(said: str) -> str:
    """What the parser said of its input, in our words."""
    said = re.sub(r" expecting .*", "", said).strip().replace("'<EOF>'", "the end")
    for pattern, words in _PARSER:
        said = re.sub(pattern, words, said)
    return said


_PARSER = (
    (r"^token recognition error at: '(.*?) *'$", r"\1 has no meaning"),
    (r"^(?:mismatched|extraneous) input (.*)$", r"\1 is not expected"),
    (r"^no viable alternative at input (.*)$", r"\1 is not expected"),
    (r"^missing (\S+) at .*$", r"\1 is missing"),
    (r"^invalid int literal$", "a whole number that is too large"),
)


def _macro_depth(text: str) -> int:
    bare = advice.unquoted(text)
    opened: list[bool] = []
    deepest = 0
    for index, char in enumerate(bare):
        if char == "(":
            opened.append(bool(_MACRO.search(bare[:index])))
            deepest = max(deepest, sum(opened))
        elif char == ")" and opened:
            opened.pop()
    return deepest


def _implied(draft: Draft, report: Report, known: Mapping[str, Variable]) -> None:
    """Warn of a guard that never held in any sample without that of an earlier rule holding too."""
    rules = draft.policy.transitions
    left = MOST_COMPARED
    for index, later in enumerate(rules):
        for before, earlier in enumerate(rules[:index]):
            if left <= 0 or not _compete(earlier, later):
                continue
            left -= 1
            if _always_first(earlier, later, known):
                line = draft.place("transitions", before, "when").line
                report.warn(
                    draft.place("transitions", index, "when"),
                    "probably_shadowed",
                    f'in every sample in which "{later.guard}" holds, "{earlier.guard}" of '
                    f'"{earlier.name}" (line {line}) holds too and comes first; is the order '
                    "of these two rules meant?",
                )
                break


def _compete(earlier: TransitionRule, later: TransitionRule) -> bool:
    return (
        earlier.guard is not None
        and later.guard is not None
        and earlier.guard.split() != later.guard.split()
        and set(later.sources) <= set(earlier.sources)
        and shared_trigger(earlier, later) is not None
    )


def _always_first(
    earlier: TransitionRule, later: TransitionRule, known: Mapping[str, Variable]
) -> bool:
    texts: Sequence[str] = [str(earlier.guard), str(later.guard)]
    try:
        first, second = Guard(texts[0]), Guard(texts[1])
    except GuardError:
        return False  # reported already
    names = {*first.variables, *second.variables} & set(known)
    held = 0
    for values in samples.full({name: known[name] for name in sorted(names)}, texts):
        if _holds(second, values):
            held += 1
            if not _holds(first, values):
                return False
    return held > 0


def _holds(guard: Guard, values: Mapping[str, object]) -> bool:
    return _failure(guard, values) is None and guard.judge(dict(values))


def _told(values: Mapping[str, object]) -> str:
    told = {name: value for name, value in values.items() if name != samples.AT} or values
    return ", ".join(f"{name} = {_literal(value)}" for name, value in told.items())


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    return str(value)


def _first_sentence(text: str) -> str:
    flat = " ".join(text.split())
    return flat.split(". ", 1)[0].split(": the operation", 1)[0].rstrip(".")

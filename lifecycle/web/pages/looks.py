"""Which colour and which label has a state, and what are fates and reasons of messages called?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lifecycle.domain.policy import Policy
from lifecycle.engine.backtest.course import Became
from lifecycle.outreach.verdict import Reason
from lifecycle.policy.diagram.colours import DAY, NIGHT
from lifecycle.policy.diagram.meaning import Meaning, meanings

_STAGES = {
    "potential": Meaning.START,
    "intent": Meaning.NEAR,
    "deal": Meaning.GOOD,
    "loyal": Meaning.BEST,
    "dormant": Meaning.QUIET,
    "churned": Meaning.LOST,
    "reactivated": Meaning.BACK,
}  # of the default policy, where no policy says what its states mean
_SHADES = 3  # for states that mean the same

FATES = {
    Became.SENT: ("sent", "left"),
    Became.HELD_OUT: ("held out", "the customer is in the group that does not get it"),
    Became.SUPPRESSED: ("suppressed", "it may not go, and never will"),
    Became.CANCELLED: ("cancelled", "what it was for had passed or been reached"),
    Became.EXPIRED: ("expired", "its time passed before it could go"),
    Became.WAITING: ("waiting", "still to come at the end of the period"),
}

_REASONS = {
    Reason.WRONG_STATE: "in another state by then",
    Reason.UNWANTED: "what the rule says under unless",
    Reason.CANCELLED_BY: "an event cancelled it",
    Reason.GOAL_REACHED: "its goal was reached already",
    Reason.EXPIRED: "its time had passed",
    Reason.NO_CHANNEL: "no channel for it",
    Reason.NO_ADDRESS: "no address",
    Reason.NO_CONSENT: "no consent",
    Reason.ADDRESS_SUPPRESSED: "address must not be written to",
    Reason.FAILED_BEFORE: "refused for good on every channel",
    Reason.HOLDOUT: "held out",
    Reason.CAP: "a cap was reached",
    Reason.QUIET_HOURS: "quiet hours",
    Reason.CLOSED_DAY: "no working day",
    Reason.PAUSED: "paused",
    Reason.NOT_READY: "channel not set up",
    Reason.BREAKER: "provider failing",
    Reason.RATE: "more at once than the channel takes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    name: str
    label: str  # what it is called besides its name, in the languages of the policy; may be empty
    colour: str  # class of the style sheet


def reason_told(reason: str) -> str:
    return _REASONS[Reason(reason)] if reason in set(Reason) else reason


def looks(states: Sequence[str], policy: Policy | None) -> dict[str, Look]:
    """By what states mean in the policy; without one by the names of the default policy's stages."""
    known = {} if policy is None else {str(k): v for k, v in meanings(policy).items()}
    labels = {} if policy is None else {state.name: state.labels for state in policy.states}
    others = [name for name in states if name not in known and name not in _STAGES]
    cycle = list(Meaning)
    guessed = {name: cycle[place % len(cycle)] for place, name in enumerate(others)}
    used: Counter[Meaning] = Counter()
    told = {}
    for name in states:
        meaning = known.get(name) or _STAGES.get(name) or guessed[name]
        shade = used[meaning] % _SHADES
        used[meaning] += 1
        said = dict.fromkeys(labels.get(name, {}).values())
        told[name] = Look(
            name=name,
            label=" · ".join(one for one in said if one.casefold() != name.casefold()),
            colour=f"is-{meaning}" + (f"-{shade + 1}" if shade else ""),
        )
    return told


def style() -> str:
    """The colours of states, by day and by night."""
    day = _variables({meaning: colours[0] for meaning, colours in DAY.items()})
    night = _variables({meaning: colours[0] for meaning, colours in NIGHT.items()})
    rules = "".join(
        f".is-{meaning}{suffix}{{color:var(--{meaning})}}"
        if not suffix
        else f".is-{meaning}{suffix}{{color:color-mix(in srgb,var(--{meaning}) {mixed}%,var(--ink))}}"
        for meaning in Meaning
        for suffix, mixed in (("", 100), ("-2", 65), ("-3", 35))
    )
    return f":root{{{day}}}@media screen and (prefers-color-scheme:dark){{:root{{{night}}}}}{rules}"


def _variables(colours: dict[Meaning, str]) -> str:
    return "".join(f"--{meaning}:{colour};" for meaning, colour in colours.items())

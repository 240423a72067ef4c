"""The picture of a policy as Mermaid text, for documents that draw it themselves."""

from __future__ import annotations

from collections.abc import Iterator

from lifecycle.domain.policy import Policy, TransitionRule
from lifecycle.policy.diagram import telling
from lifecycle.policy.diagram.meaning import Meaning, meanings

_COLOURS = {
    Meaning.START: ("#f1f5f9", "#64748b", "#1e293b"),
    Meaning.NEAR: ("#e0f2fe", "#0284c7", "#0c4a6e"),
    Meaning.GOOD: ("#ccfbf1", "#0d9488", "#134e4a"),
    Meaning.BEST: ("#dcfce7", "#16a34a", "#14532d"),
    Meaning.QUIET: ("#fef3c7", "#d97706", "#78350f"),
    Meaning.LOST: ("#fee2e2", "#dc2626", "#7f1d1d"),
    Meaning.BACK: ("#ede9fe", "#7c3aed", "#4c1d95"),
    Meaning.END: ("#f5f5f4", "#57534e", "#292524"),
}


def mermaid(policy: Policy) -> str:
    """One `stateDiagram-v2`; a rule with several sources is an arrow from each of them."""
    told = meanings(policy)
    return "\n".join(["stateDiagram-v2", *(f"    {line}" for line in _lines(policy, told))]) + "\n"


def _lines(policy: Policy, told: dict[str, Meaning]) -> Iterator[str]:
    yield "direction LR"
    for state in policy.states:
        yield f'state "{_text(" · ".join(telling.titles(state)))}" as {_id(state.name)}'
    yield f"[*] --> {_id(policy.initial)}"
    for rule in policy.transitions:
        for source in rule.sources:
            yield f"{_id(source)} --> {_id(rule.to)} : {_text(_label(rule))}"
    for state in policy.states:
        if state.final:
            yield f"{_id(state.name)} --> [*]"
    for meaning in dict.fromkeys(told.values()):
        fill, line, ink = _COLOURS[meaning]
        yield f"classDef is_{meaning} fill:{fill},stroke:{line},color:{ink}"
    for name, meaning in told.items():
        yield f"class {_id(name)} is_{meaning}"


def _label(rule: TransitionRule) -> str:
    guard = f" when {rule.guard}" if rule.guard else ""
    return f"{rule.name} ({telling.trigger(rule)}{guard})"


def _id(name: str) -> str:
    """No word of Mermaid's own: `end` and `state` are names that a policy may use."""
    return f"s_{name}"


_ENTITIES = str.maketrans(
    {"#": "#35;", ";": "#59;", ":": "#58;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "\n": " "}
)


def _text(text: str) -> str:
    """Characters with a meaning in Mermaid as its entities."""
    return text.translate(_ENTITIES)

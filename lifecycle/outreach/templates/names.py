"""Does every variable of a template exist? By the fixed list of roots, and by what a policy's rule supplies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from jinja2 import nodes

from lifecycle.domain.policy import (
    FactKind,
    OnEvent,
    OnState,
    OnTransition,
    OutreachRule,
    Policy,
    Property,
    ValueType,
)
from lifecycle.errors import Finding
from lifecycle.outreach.templates.guard import Tree, place_in
from lifecycle.outreach.templates.words import FIELDS, OF_CUSTOMER, ROOTS
from lifecycle.policy.report import Place, Report, allowed, nearest

_SURE_FACTS = frozenset({FactKind.COUNT, FactKind.SUM, FactKind.DISTINCT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplied:
    """A variable, or a field of one, and the fields below it."""

    fields: Mapping[str, Supplied] = field(default_factory=dict)
    is_open: bool = False  # nobody knows its fields
    sure: bool = True  # always has a value


_LEAF = Supplied()
_MAYBE = Supplied(sure=False)
_OPEN = Supplied(is_open=True)
Variables = Mapping[str, Supplied]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Of how many customers is a variable without a value?"""

    customers: int  # all that are known
    by_variable: Mapping[str, int]  # such as customer.name


def anywhere() -> Variables:
    """What is known without a policy: the roots, and the fields of those that no policy adds to."""
    roots = {name: _record(fields) for name, fields in FIELDS.items()}
    roots["cause"] = Supplied(fields={**roots["cause"].fields, "event": _OPEN})
    return {"customer": _OPEN, "facts": _OPEN, **roots}


def supplied(policy: Policy, rule: OutreachRule) -> Variables:
    """What the messages of a rule may name, under a policy."""
    company = {name: Supplied(sure=name == "name") for name in FIELDS["company"]}
    return {
        **anywhere(),
        "customer": _customer(policy),
        "facts": Supplied(
            fields={
                fact.name: _LEAF if fact.kind in _SURE_FACTS else _MAYBE for fact in policy.facts
            }
        ),
        "cause": _cause(policy, rule),
        "message": Supplied(
            fields={
                "rule": _LEAF,
                "step": _LEAF,
                "variant": Supplied(sure=bool(rule.variants)),
            }
        ),
        "company": Supplied(fields=company),
        "owner": Supplied(fields=dict.fromkeys(FIELDS["owner"], _MAYBE), sure=False),
    }


def _record(fields: tuple[str, ...]) -> Supplied:
    return Supplied(fields=dict.fromkeys(fields, _LEAF))


def _customer(policy: Policy) -> Supplied:
    own = dict.fromkeys(policy.attributes, _MAYBE)
    maybe = {"name", "first_name"}
    return Supplied(fields=own | {n: _MAYBE if n in maybe else _LEAF for n in OF_CUSTOMER})


def _cause(policy: Policy, rule: OutreachRule) -> Supplied:
    fields = dict.fromkeys(("kind", "name", "at"), _LEAF)
    trigger = rule.trigger
    if isinstance(trigger, OnTransition | OnState):
        fields |= dict.fromkeys(("from", "to"), _LEAF)
    if types := causing_types(policy, rule):
        fields["event"] = _event(policy, types)
    return Supplied(fields=fields)


def causing_types(policy: Policy, rule: OutreachRule) -> tuple[str, ...]:
    """The event types one of which causes a message of the rule, itself or by a transition."""
    if isinstance(rule.trigger, OnEvent):
        return rule.trigger.types
    names = rule.trigger.names if isinstance(rule.trigger, OnTransition) else ()
    triggers = [each.trigger for each in policy.transitions if each.name in names]
    return tuple(t for each in triggers if isinstance(each, OnEvent) for t in each.types)


def _event(policy: Policy, types: tuple[str, ...]) -> Supplied:
    """Properties that one of the types has; sure are those that all require, and currencies."""
    kinds = [policy.events[name].properties for name in types if name in policy.events]
    names = {name for properties in kinds for name in properties}
    return Supplied(
        fields={
            name: Supplied(sure=all(name in kind and _is_sure(kind[name]) for kind in kinds))
            for name in sorted(names)
        }
    )


def _is_sure(prop: Property) -> bool:
    return prop.required or prop.type is ValueType.CURRENCY  # else it is the policy's


def unknown_names(
    tree: Tree,
    bound: frozenset[str],
    variables: Variables | None = None,
    missing: Missing | None = None,
) -> tuple[Finding, ...]:
    """Every variable of a part that nothing gives a value to; with a policy's variables, also those
    that some customers have no value for (a warning, as they want a `default`), and how many these
    are, where that was counted.
    """
    reader = _Reader(tree, bound, variables, missing)
    reader.read(tree.root, frozenset())
    return reader.report.findings()


class _Reader:
    def __init__(
        self,
        tree: Tree,
        bound: frozenset[str],
        variables: Variables | None,
        missing: Missing | None,
    ) -> None:
        self._tree = tree
        self._known: dict[str, Supplied] = dict.fromkeys({*bound, *tree.bound, "loop"}, _OPEN)
        self._known |= variables or anywhere()
        self._ours = frozenset({*bound, *tree.bound})
        self._strict = variables is not None
        self._missing = missing
        self.report = Report(tree.part.file)

    def read(self, node: nodes.Node, sure: frozenset[str]) -> None:
        """`sure`: the paths that have been asked for with `is defined` around here."""
        if isinstance(node, nodes.Name | nodes.Getattr | nodes.Getitem):
            self._variable(node, sure)
            return
        if isinstance(node, nodes.If | nodes.CondExpr | nodes.And):
            test = node.left if isinstance(node, nodes.And) else node.test
            sure = sure | frozenset(_asked(test))
        if isinstance(node, nodes.Filter | nodes.Test) and node.name in {
            "default", "d", "defined", "undefined",
        }:  # fmt: skip
            path = _path(node.node) if node.node is not None else None
            sure = sure | ({".".join(path[1])} if path else set())
        for child in node.iter_child_nodes():
            self.read(child, sure)

    def _variable(self, node: nodes.Expr, sure: frozenset[str]) -> None:
        path = _path(node)
        if path is None:
            for child in node.iter_child_nodes():
                self.read(child, sure)
            return
        name, words = path
        if name.ctx != "load":
            return
        at = self._known
        held: Supplied | None = None
        for depth, word in enumerate(words):
            held = at.get(word)
            if held is None:
                self._unknown(name, words, depth + 1, at)
                return
            if held.is_open:
                return
            if self._strict and not held.sure and ".".join(words[: depth + 1]) not in sure:
                self._may_be_missing(name, words[: depth + 1], sure)
            at = dict(held.fields)
            if not at and depth + 1 < len(words):
                self._tell(
                    name, words, "unknown_variable", f"{'.'.join(words[: depth + 1])} has no fields"
                )
                return

    def _unknown(
        self, name: nodes.Name, words: list[str], depth: int, options: Mapping[str, Supplied]
    ) -> None:
        """`depth` words are known to make no sense together; what follows may."""
        named = [*options] if depth > 1 else [*ROOTS, *self._ours]
        near = nearest(words[depth - 1], named)
        meant = ".".join([*words[: depth - 1], near, *words[depth:]]) if near else ""
        more = f"; did you mean {meant}?" if meant else f"; {allowed(named)}"
        written = ".".join(words[:depth])
        if words[0] == "cause" and words[1:2] and words[1] in FIELDS["cause"]:
            code, why = "not_supplied", "what triggers this message does not supply it"
        else:
            code, why = "unknown_variable", "nothing has this name"
        self._tell(name, words[:depth], code, f"{written}: {why}{more}")

    def _may_be_missing(self, name: nodes.Name, words: list[str], sure: frozenset[str]) -> None:
        written = ".".join(words)
        if any(each.startswith(f"{written}.") for each in sure):
            return  # a field of it was asked for
        place = self._place(name, words)
        self.report.warn(
            place,
            "may_be_missing",
            f"{written}: {self._how_many(written)} no message; write"
            f' {{{{ {written} | default("…") }}}} or {{% if {written} is defined %}}',
        )

    def _how_many(self, written: str) -> str:
        if self._missing is None or written not in self._missing.by_variable:
            return "some customers have no value, and would get"
        count = self._missing.by_variable[written]
        return f"missing for {count:,} of {self._missing.customers:,} customers, who would get"

    def _tell(self, name: nodes.Name, words: list[str], code: str, message: str) -> None:
        self.report.error(self._place(name, words), code, message)

    def _place(self, name: nodes.Name, words: list[str]) -> Place:
        return place_in(self._tree.part, name.lineno, ".".join(words))


def _path(node: nodes.Node) -> tuple[nodes.Name, list[str]] | None:
    """customer.name, as the name it begins with and its words; None: no plain path."""
    words: list[str] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        if isinstance(node, nodes.Getattr):
            words.append(node.attr)
        elif isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            words.append(node.arg.value)
        else:
            words.clear()  # an item of a list
        node = node.node
    if not isinstance(node, nodes.Name):
        return None
    return node, [node.name, *reversed(words)]


def _asked(test: nodes.Node) -> Iterator[str]:
    """The paths of which a condition asks whether they are defined."""
    for each in [test, *test.find_all(nodes.Test)]:
        if isinstance(each, nodes.Test) and each.name == "defined" and (path := _path(each.node)):
            yield ".".join(path[1])

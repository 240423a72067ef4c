"""May this text be compiled at all? Only what is listed here may stand in a template; all else is refused.

Nothing is ever run to find out: the syntax tree is walked before anything is compiled, in the process
that reads the files and once more in the one that fills them in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, TemplateSyntaxError, nodes

from lifecycle.outreach.templates.part import NAME, Part
from lifecycle.outreach.templates.words import (
    FILTERS,
    LOOP,
    MOST_DEPTH,
    MOST_LOOPS,
    MOST_NODES,
    MOST_NUMBER,
    TESTS,
    Takes,
)

if TYPE_CHECKING:
    # Loaded only where there is something to tell: what fills templates in knows no policy.
    from lifecycle.policy.report import Place, Report

_PLAIN = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Neg,
    nodes.Pos,
    nodes.Concat,
    nodes.List,
    nodes.Tuple,
    nodes.Keyword,  # its filter looks at it
)
_ARITHMETIC: tuple[type[nodes.BinExpr], ...] = (
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
)

_CALLED = {
    nodes.Call: "a function call",
    nodes.Macro: "macro",
    nodes.CallBlock: "call",
    nodes.FilterBlock: "a filter block",
    nodes.Import: "import",
    nodes.FromImport: "import",
    nodes.Extends: "extends",
    nodes.Block: "block",
    nodes.With: "with",
    nodes.AssignBlock: "a set block",
    nodes.Slice: "a slice",
    nodes.Pow: "**",
    nodes.Dict: "a map",
    nodes.NSRef: "an assignment to a field",
    nodes.ScopedEvalContextModifier: "autoescape",
    nodes.EvalContextModifier: "autoescape",
}
_OURS = frozenset({"customer", "facts", "cause", "message", "links", "company", "owner", "now"})
_GOT = re.compile(r"'([^']+)'(?:\.|$)")


@dataclass(slots=True)
class Tree:
    """A part that was parsed; it may be compiled only if nothing of it was reported."""

    part: Part
    root: nodes.Template
    bound: frozenset[str]  # names that `set` and `for` give values to
    includes: tuple[tuple[str, int], ...] = ()  # names of partials, and the line of the text


def parsed(env: Environment, part: Part, report: Report, *, includes: bool) -> Tree | None:
    """The tree of a part, whatever must not stand in it reported; None where there is none to walk."""
    try:
        root = env.parse(part.text)
    except TemplateSyntaxError as error:
        report.error(_place_of_error(part, error), "syntax_error", _told(error))
        return None
    except (RecursionError, ValueError, OverflowError, MemoryError) as error:
        why = f"cannot be read: {type(error).__name__}"
        report.error(place_in(part, 1, ""), "syntax_error", why)
        return None
    guard = _Guard(part, report, includes=includes)
    guard.walk(root)
    if guard.too_large:
        return None  # nobody else has to walk it
    return Tree(part, root, frozenset(guard.bound), tuple(guard.includes))


def place_in(part: Part, line: int | None, word: str) -> Place:
    """Where in the file a word of the text stands; the parser itself only knows the line."""
    from lifecycle.policy.report import Place

    line = line or 1  # of some nodes the parser does not even know that
    lines = part.text.split("\n")
    text = lines[line - 1] if line <= len(lines) else ""
    column = text.find(word) if word else -1
    if column < 0:
        column = min((at for at in (text.find("{{"), text.find("{%")) if at >= 0), default=0)
    return Place(part.line + line - 1, column + (part.column if line == 1 else 1))


def _place_of_error(part: Part, error: TemplateSyntaxError) -> Place:
    got = _GOT.search(error.message or "")
    return place_in(part, error.lineno, got.group(1) if got else "")


def _told(error: TemplateSyntaxError) -> str:
    return " ".join((error.message or "this is no template").split())[:300]


class _Guard:
    def __init__(self, part: Part, report: Report, *, includes: bool) -> None:
        self._part = part
        self._report = report
        self._may_include = includes
        self._count = 0
        self.bound: set[str] = set()
        self.includes: list[tuple[str, int]] = []
        self._looks: dict[type[nodes.Node], Callable[[Any], None]] = {
            nodes.Const: self._constant,
            nodes.Name: self._name,
            nodes.Getattr: lambda node: self._field(node, node.attr),
            nodes.Getitem: self._item,
            nodes.Filter: lambda node: self._applied(node, "filter", FILTERS),
            nodes.Test: lambda node: self._applied(node, "test", TESTS),
            nodes.Assign: self._assign,
            nodes.Include: self._include,
            **dict.fromkeys(_ARITHMETIC, self._arithmetic),
        }

    @property
    def too_large(self) -> bool:
        return self._count > MOST_NODES

    def walk(self, node: nodes.Node, depth: int = 0, loops: int = 0) -> None:
        self._count += 1
        if self._count == MOST_NODES + 1:
            self._refuse(node, "", f"more than {MOST_NODES:,} words and signs in one file")
        if self._count > MOST_NODES:
            return
        if depth > MOST_DEPTH:
            self._refuse(node, "", f"more than {MOST_DEPTH} levels within each other")
            self._count = MOST_NODES + 1  # one such finding is enough
            return
        self._check(node, loops)
        for child in self._below(node):
            self.walk(child, depth + 1, loops + isinstance(node, nodes.For))

    @staticmethod
    def _below(node: nodes.Node) -> Iterator[nodes.Node]:
        if type(node) in _CALLED:  # told once, whatever is in it
            return iter(())
        if isinstance(node, nodes.Include):
            return iter(())
        if isinstance(node, nodes.Getitem):
            return iter((node.node,))  # its key has been looked at
        return iter(node.iter_child_nodes())

    def _check(self, node: nodes.Node, loops: int) -> None:
        look = self._looks.get(type(node))
        if isinstance(node, nodes.For):
            self._loop(node, loops)
        elif look is not None:
            look(node)
        elif not isinstance(node, _PLAIN):
            what = _CALLED.get(type(node), type(node).__name__.lower())
            self._refuse(node, _word_of(node), what)

    def _refuse(self, node: nodes.Node, word: str, what: str) -> None:
        self._tell(node, word, "not_allowed", f"not allowed in templates: {what}")

    def _tell(self, node: nodes.Node, word: str, code: str, message: str) -> None:
        self._report.error(place_in(self._part, node.lineno, word), code, message)

    def _constant(self, node: nodes.Const) -> None:
        value = node.value
        if isinstance(value, int | float) and not abs(value) <= MOST_NUMBER:
            self._refuse(node, "", f"a number beyond {MOST_NUMBER:,}")
        elif not isinstance(value, int | float | str | bool | Decimal | None):
            self._refuse(node, "", type(value).__name__)

    def _name(self, node: nodes.Name) -> None:
        if node.name.startswith("_") or not node.name.isascii():
            self._refuse(node, node.name, f"the name {node.name[:40]}")
        if node.ctx == "store":
            self.bound.add(node.name)

    def _field(self, node: nodes.Node, name: str) -> None:
        if name.startswith("_") or not name.isascii():
            self._refuse(node, name, f"the field {name[:40]}")
        inner = node.node if isinstance(node, nodes.Getattr | nodes.Getitem) else None
        if isinstance(inner, nodes.Name) and inner.name == "loop" and name not in LOOP:
            self._refuse(node, name, f"loop.{name[:40]}; allowed: {', '.join(sorted(LOOP))}")
        if isinstance(inner, nodes.Const):
            self._refuse(node, name, f"a field of {type(inner.value).__name__}")

    def _item(self, node: nodes.Getitem) -> None:
        key = node.arg
        if isinstance(key, nodes.Const) and isinstance(key.value, str):
            self._field(node, key.value)
        elif not (isinstance(key, nodes.Const) and type(key.value) is int):
            self._refuse(node, "[", "a key that is no plain word or number")

    def _applied(
        self, node: nodes.Filter | nodes.Test, kind: str, listed: Mapping[str, Takes]
    ) -> None:
        takes = listed.get(node.name)
        if takes is None or (kind == "filter" and node.node is None):
            from lifecycle.policy.report import did_you_mean

            more = did_you_mean(node.name, listed) or f"; allowed: {', '.join(sorted(listed))}"
            self._refuse(node, node.name, f"the {kind} {node.name[:40]}{more}")
            return
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._refuse(node, node.name, f"* and ** for the {kind} {node.name}")
        if unknown := [each.key for each in node.kwargs if each.key not in takes.named]:
            self._refuse(node, str(unknown[0]), f"{unknown[0]}= for the {kind} {node.name}")
        if not takes.least <= len(node.args) + len(node.kwargs) and not node.kwargs:
            least = f"the {kind} {node.name} needs {takes.least}, given {len(node.args)}"
            self._tell(node, node.name, "wrong_arguments", least)
        if len(node.args) > takes.most:
            most = f"the {kind} {node.name} takes at most {takes.most}, given {len(node.args)}"
            self._tell(node, node.name, "wrong_arguments", most)

    def _loop(self, node: nodes.For, loops: int) -> None:
        if node.recursive:
            self._refuse(node, "recursive", "a recursive loop")
        if loops >= MOST_LOOPS:
            self._refuse(node, "for", f"more than {MOST_LOOPS} loops within each other")
        if isinstance(node.target, nodes.Tuple) and not all(
            isinstance(item, nodes.Name) for item in node.target.items
        ):
            self._refuse(node, "for", "a loop over anything but plain names")
        self._fixed(node, node.target)

    def _assign(self, node: nodes.Assign) -> None:
        if not isinstance(node.target, nodes.Name):
            self._refuse(node, "set", "set of anything but one plain name")
        self._fixed(node, node.target)

    def _fixed(self, node: nodes.Node, target: nodes.Node) -> None:
        for name in target.find_all(nodes.Name) if not isinstance(target, nodes.Name) else [target]:
            if name.name in _OURS or name.name in {"loop", "self", "body", "subject", "preheader"}:
                self._refuse(node, name.name, f"another value for {name.name}")

    def _include(self, node: nodes.Include) -> None:
        literal = node.template.value if isinstance(node.template, nodes.Const) else None
        if not isinstance(literal, str) or not NAME.fullmatch(literal):
            self._refuse(
                node, "include", 'an include of anything but a partial: {% include "name" %}'
            )
        elif not self._may_include:
            self._refuse(
                node, "include", "an include here: only the body of a message may have one"
            )
        elif node.ignore_missing or not node.with_context:
            self._refuse(node, "include", "an include with anything behind its name")
        else:
            self.includes.append((literal, node.lineno))

    def _arithmetic(self, node: nodes.BinExpr) -> None:
        sign = str(node.operator)
        for side in (node.left, node.right):
            if isinstance(side, nodes.Const) and not isinstance(side.value, int | float):
                self._refuse(node, sign, f"{sign} with a text; ~ puts texts together")
            elif isinstance(side, nodes.List | nodes.Tuple | nodes.Concat):
                self._refuse(node, sign, f"{sign} with a list or a text")


def _word_of(node: nodes.Node) -> str:
    if isinstance(node, nodes.Call):
        inner = node.node
        return getattr(inner, "attr", "") or getattr(inner, "name", "") or "("
    return _CALLED.get(type(node), "").rpartition(" ")[2]

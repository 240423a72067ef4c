"""The environment in which a template is compiled and filled in, and what it can do there: next to nothing.

`guard` has already refused what is not listed. Here everything is refused once more where it would
happen: no attribute of any object is ever read, nothing is called, and every loop is paid for.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException
from functools import partial
from typing import Any, NoReturn

from jinja2 import StrictUndefined, Template, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from lifecycle.outreach.templates import filters
from lifecycle.outreach.templates.filters import (
    Exceeded,
    Place,
    WrongValue,
    described,
    joined,
    list_of,
    number_of,
    text_of,
)
from lifecycle.outreach.templates.words import (
    FILTERS,
    LOOP,
    MOST_ITEMS,
    MOST_OUTPUT,
    MOST_STEPS,
    TESTS,
)

PartialOf = Callable[[str], nodes.Template]  # name → the tree of a partial

FILENAME = "<template>"  # of compiled templates, in tracebacks
FILE_STRIDE = 1_000_000  # lines of the n-th file of a template count from n times as many
_EACH, _TOGETHER = "_each", "_together"  # filters of ours, which no template can name

_SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}


class Fields(dict[str, Any]):
    """A map of the context that knows its own name, for the message about what it has not."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path


class Sandbox(ImmutableSandboxedEnvironment):
    """One for markup, where values are escaped, and one for plain text."""

    intercepted_binops = frozenset({*_SIGNS, "**"})
    intercepted_unops = frozenset({"-", "+"})

    def __init__(self, *, markup: bool) -> None:
        super().__init__(
            autoescape=markup,
            undefined=StrictUndefined,
            optimized=False,  # nothing is computed while a template is compiled
            cache_size=0,
            finalize=_printed,
            keep_trailing_newline=False,
        )
        self.place: Place | None = None
        self.steps = 0
        self.globals.clear()
        known = self.tests
        self.tests = {name: known[name] for name in TESTS}
        bound = {name: partial(self._for_somebody, name) for name in filters.FOR_SOMEBODY}
        self.filters = {**filters.PLAIN, **bound}
        assert self.filters.keys() == FILTERS.keys()
        self.filters |= {_EACH: self._each, _TOGETHER: lambda *parts: joined(parts)}

    def begin(self, place: Place) -> None:
        self.place, self.steps = place, 0

    def pay(self, steps: int) -> None:
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise Exceeded(f"more than {MOST_STEPS:,} steps")

    # -- what compiled templates call -----------------------------------------------------------

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self._field(obj, attribute)

    def getitem(self, obj: Any, argument: str | Any) -> Any:
        if isinstance(obj, list | tuple) and type(argument) is int:
            return obj[argument] if -len(obj) <= argument < len(obj) else self._nothing(argument)
        return self._field(obj, argument)

    def call(self, *_: Any, **__: Any) -> NoReturn:
        raise SecurityError("nothing is called in a template")

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ARG002
        return False

    def is_safe_callable(self, obj: Any) -> bool:  # noqa: ARG002
        return False

    def call_binop(self, context: Any, sign: str, left: Any, right: Any) -> Any:  # noqa: ARG002
        compute = _SIGNS.get(sign)
        if compute is None:
            raise SecurityError(f"{sign} is not allowed in templates")
        one, two = number_of(left), number_of(right)
        if isinstance(one, Decimal) or isinstance(two, Decimal):
            one, two = _exact(one), _exact(two)
        try:
            return number_of(compute(one, two))
        except (ZeroDivisionError, DecimalException, OverflowError) as error:
            raise WrongValue(f"{sign} has no result here: {type(error).__name__}") from error

    def call_unop(self, context: Any, sign: str, arg: Any) -> Any:  # noqa: ARG002
        return -number_of(arg) if sign == "-" else number_of(arg)

    def _field(self, obj: Any, name: object) -> Any:
        if isinstance(obj, dict) and isinstance(name, str):
            try:
                return obj[name]
            except KeyError:
                path = getattr(obj, "path", "")
                return self._nothing(f"{path}.{name}" if path else name)
        if isinstance(obj, LoopContext) and name in LOOP:
            return getattr(obj, str(name))
        if isinstance(obj, Undefined):
            str(obj)  # raises, and names what is missing
        raise SecurityError(f"{described(obj)} has no fields")

    def _nothing(self, name: object) -> Undefined:
        return self.undefined(hint=f"{name} has no value here", name=str(name))

    def _for_somebody(self, name: str, value: object, *args: object, **named: object) -> Any:
        assert self.place is not None
        return filters.FOR_SOMEBODY[name](self.place, value, *args, **named)

    def _each(self, value: object, weight: int) -> list[Any]:
        """What a loop goes through, and the price of it, paid before it begins."""
        items = list_of(value)
        if len(items) > MOST_ITEMS:
            raise Exceeded(f"a loop over {len(items):,}; allowed: {MOST_ITEMS}")
        self.pay(len(items) * weight)
        return items

    # -- compiling ------------------------------------------------------------------------------

    def compiled(self, root: nodes.Template, partial_of: PartialOf) -> Template:
        """A template that can be filled in, of a tree that the guard has let through."""
        _put_in(root, partial_of)
        _priced(root)
        code = self.compile(root, name="template", filename=FILENAME)
        return Template.from_code(self, code, {})

    def filled(self, template: Template, context: Mapping[str, Any]) -> str:
        pieces: list[str] = []
        size = 0
        for piece in template.root_render_func(template.new_context(dict(context))):
            pieces.append(piece)
            size += len(piece)
            if size > MOST_OUTPUT:
                raise Exceeded(f"more than {MOST_OUTPUT // 1024} KiB")
        text = "".join(pieces)
        if size * 4 > MOST_OUTPUT and len(text.encode()) > MOST_OUTPUT:
            raise Exceeded(f"more than {MOST_OUTPUT // 1024} KiB")
        return text


@pass_context
def _printed(_: Context, value: object) -> str:
    """Asks for the context so that nothing printed is computed while a template is compiled."""
    return text_of(value)


def weight_of(root: nodes.Node) -> int:
    """How many steps one way through it is, at the most."""
    return 1 + sum(1 for _ in root.find_all(nodes.Node))


def shifted(root: nodes.Template, file: int) -> nodes.Template:
    """With the number of its file in all its lines, so that an error knows where it came from."""
    for node in [root, *root.find_all(nodes.Node)]:
        if node.lineno is not None:
            node.lineno += file * FILE_STRIDE
    return root


def _put_in(root: nodes.Template, partial_of: PartialOf) -> None:
    """Partials in the place of their includes: what is filled in later knows no other template."""

    def replaced(body: list[nodes.Node]) -> list[nodes.Node]:
        return [_partial(n, partial_of) if isinstance(n, nodes.Include) else n for n in body]

    blocks = list(root.find_all((nodes.If, nodes.For)))
    root.body = replaced(root.body)
    for block in blocks:
        assert isinstance(block, nodes.If | nodes.For)
        block.body, block.else_ = replaced(block.body), replaced(block.else_)


def _partial(node: nodes.Include, partial_of: PartialOf) -> nodes.Node:
    """Parsed anew for each include, as compiling changes the tree."""
    assert isinstance(node.template, nodes.Const)
    return nodes.Scope(partial_of(node.template.value).body, lineno=node.lineno)


def _priced(root: nodes.Template) -> None:
    """Every loop pays what it goes through, and every ~ is checked like what a filter makes."""
    for loop in list(root.find_all(nodes.For)):
        weight = sum(map(weight_of, [*loop.body, *([loop.test] if loop.test else [])]))
        price = nodes.Const(weight, lineno=loop.lineno)
        loop.iter = nodes.Filter(loop.iter, _EACH, [price], [], None, None, lineno=loop.lineno)
    _Together().visit(root)


class _Together(NodeTransformer):
    """Makes a filter of ours of every ~, which Jinja itself lets grow without end."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - as the visitor calls it
        self.generic_visit(node)
        first, *others = node.nodes
        return nodes.Filter(first, _TOGETHER, others, [], None, None, lineno=node.lineno)


def _exact(value: float | Decimal) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))

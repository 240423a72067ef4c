"""What is all of this about? Fields that every line has while one request or one ring is answered."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar, Token

from lifecycle.logs.lines import Field

Context = Mapping[str, Field]

_CONTEXT: ContextVar[Context] = ContextVar("context of the log", default={})  # noqa: B039 - never changed


@contextlib.contextmanager
def about(**fields: Field) -> Iterator[None]:
    """Every line of this thread or task has these fields while the block runs."""
    token = begin(**fields)
    try:
        yield
    finally:
        end(token)


def begin(**fields: Field) -> Token[Context]:
    """The same for who is called before and after, and cannot hold a block open; `end` takes it back."""
    return _CONTEXT.set({**_CONTEXT.get(), **fields})


def end(token: Token[Context]) -> None:
    _CONTEXT.reset(token)


def current() -> Context:
    return _CONTEXT.get()

"""A guard that remembers its answers says what it would say if it were asked anew."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.domain.guard import Guard, GuardError

TEXTS = (
    "orders >= 1",
    "orders >= 1 && complaints == 0",
    "strategic == true",
    "strategic == true || orders > 2",
)
SEEN = st.one_of(st.none(), st.booleans(), st.integers(-1, 3), st.sampled_from([0.0, 1.0]))


def answers(guard: Guard, values: dict[str, Any], *, again: bool) -> bool | str:
    told = [values[name] for name in guard.variables]
    try:
        return guard.judge_again((*told, *map(type, told))) if again else guard.judge(values)
    except GuardError as error:
        return str(error)


@given(st.sampled_from(TEXTS), st.lists(st.tuples(SEEN, SEEN, SEEN), min_size=1, max_size=12))
def test_what_it_remembers_is_what_it_would_say(
    text: str, asked: list[tuple[Any, Any, Any]]
) -> None:
    """Also of values of other kinds that Python takes for the same, as 1, 1.0 and True."""
    remembers = Guard(text)
    for orders, complaints, strategic in asked:
        values = {"orders": orders, "complaints": complaints, "strategic": strategic}
        said = answers(remembers, values, again=True)
        assert said == answers(Guard(text), values, again=False)


def test_an_error_is_told_every_time() -> None:
    guard = Guard("orders >= 1")
    for _ in range(2):
        with pytest.raises(GuardError):
            guard.judge_again(("many", str))

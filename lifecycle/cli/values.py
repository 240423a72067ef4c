"""Which values of a command line are right as they stand? The others go to Typer, which judges by
pydantic: to import that takes longer than all else that most commands begin with.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from typer.models import ParameterInfo

_MORE = (
    "allow_dash",
    "dir_okay",
    "exists",
    "file_okay",
    "parser",
    "path_type",
    "resolve_path",
    "writable",
)
_USUAL = ParameterInfo()


def judged_at_need(parameter: Any) -> None:
    """Makes a parameter of Typer's ask its judge only for what may be wrong, or has to be read.

    One that asks more of its values than their type is left alone.
    """
    asked = parameter.type_descriptor.parameter_info
    if any(getattr(asked, more) != getattr(_USUAL, more) for more in _MORE):
        return
    parameter.get_runtime_param = Threshold(parameter.get_runtime_param).itself


@dataclass(frozen=True, slots=True)
class Threshold:
    """Stands where Typer expects the judge of a parameter."""

    judge: Callable[[], Any]

    def itself(self) -> Threshold:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        right = _right(value, param.type_descriptor.annotation)
        return self.judge().coerce(value, param=param, ctx=ctx) if right is None else right


def _right(value: Any, wanted: Any) -> Any:
    """The value as the command takes it; None where that is not plain to see."""
    if not isinstance(wanted, type):
        return None
    if isinstance(value, wanted):  # text for text, and whatever is a default
        return value
    if issubclass(wanted, Enum):
        return next((choice for choice in wanted if choice.value == value), None)
    if issubclass(wanted, Path) and (os.access(value, os.R_OK) or not os.path.lexists(value)):
        return wanted(value)
    return None

"""How does a command end? Every refusal as a line on stderr and a number that scripts may rely on."""

from __future__ import annotations

import os
import traceback
from enum import IntEnum

from typer.exceptions import Abort, TyperException

from lifecycle.errors import (
    ClaimLost,
    FoldBroken,
    LifecycleError,
    MappingRefused,
    NotFound,
    NotPublished,
    NotReady,
    PoisonEvent,
    PolicyRefused,
    Problem,
    ScoringFailed,
    Unavailable,
    Unusable,
    digest_of,
)
from lifecycle.logs.failure import told
from lifecycle.logs.lines import Teller
from lifecycle.logs.stderr import is_json_only
from lifecycle.settings import DEBUG_VARIABLE

teller = Teller("lifecycle")


class Code(IntEnum):
    """The numbers of sysexits.h where there is one."""

    OK = 0
    REFUSED = 1
    USAGE = 64
    BAD_INPUT = 65
    NO_INPUT = 66
    UNAVAILABLE = 69
    BUG = 70
    CANNOT_WRITE = 73
    CONFIGURATION = 78
    INTERRUPTED = 130


MEANING = {
    Code.OK: "done; also when whoever reads the output closes it early (`| head`)",
    Code.REFUSED: "refused, not found, or violations found: the answer is no",
    Code.USAGE: "the command line is wrong: unknown command or flag, missing or malformed value",
    Code.BAD_INPUT: "the input is wrong: rows that cannot be read, a mapping that does not fit, a name that the policy does not have",
    Code.NO_INPUT: "a file that was named is not there or cannot be read",
    Code.UNAVAILABLE: "something that is needed does not answer, such as the database; try again later",
    Code.BUG: f"a defect of this program; `{DEBUG_VARIABLE}=1` shows the traceback for a report",
    Code.CANNOT_WRITE: "a file to be written cannot be written",
    Code.CONFIGURATION: "it cannot run as it is configured: settings, policy, database, a port that is taken",
    Code.INTERRUPTED: "interrupted by Ctrl-C; says what was done, what was not, and how to go on. `up` and `log --follow` are meant to end so: with 0",
}


class OutputClosed(Exception):
    """Whoever read our output has seen enough (`| head`): the command ends in silence."""


class NoInput(LifecycleError):
    """A file that somebody named is missing or unreadable."""


class BadInput(LifecycleError):
    """Rows of a file that somebody named cannot be read."""


class CannotWrite(LifecycleError):
    """A file that somebody named cannot be written."""


class Interrupted(LifecycleError):
    """Ctrl-C, by a command that can say what it leaves behind."""


_CODES: tuple[tuple[type[LifecycleError], Code], ...] = (
    (BadInput, Code.BAD_INPUT),
    (Problem, Code.BAD_INPUT),
    (MappingRefused, Code.BAD_INPUT),
    (PolicyRefused, Code.CONFIGURATION),
    (Unusable, Code.CONFIGURATION),
    (ScoringFailed, Code.CONFIGURATION),
    (Unavailable, Code.UNAVAILABLE),
    (ClaimLost, Code.UNAVAILABLE),
    (NotFound, Code.REFUSED),
    (NotReady, Code.REFUSED),
    (NotPublished, Code.REFUSED),
    (NoInput, Code.NO_INPUT),
    (CannotWrite, Code.CANNOT_WRITE),
    (Interrupted, Code.INTERRUPTED),
    (FoldBroken, Code.BUG),
    (PoisonEvent, Code.BUG),
)


# What pydantic, by which Typer judges values, has to say of them; the last is a part of the others.
_PLAIN = {
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "it should be a whole number",
    "Input should be a valid number, unable to parse string as a number": "it should be a number",
    "Input should be ": "it should be ",
}

_NO_INPUT = frozenset({"file_not_found", "file_unreadable"})


def of(error: BaseException) -> Code:
    """Which code an exception ends with; what nobody foresaw is a defect of ours."""
    if isinstance(error, KeyboardInterrupt):
        return Code.INTERRUPTED
    if isinstance(error, TyperException):
        return Code.USAGE
    if isinstance(error, Problem) and error.code in _NO_INPUT:
        return Code.NO_INPUT
    return next((code for kind, code in _CODES if isinstance(error, kind)), Code.BUG)


def tell(error: BaseException) -> Code:
    """Says on stderr what happened, in words for whoever typed the command; never a traceback.

    With `LIFECYCLE_DEBUG` set, a defect shows its traceback as well. A server that writes its log as
    JSON says it there, as whoever reads that can read nothing else.
    """
    code = of(error)
    if is_json_only():
        bug = code is Code.BUG
        why = told(error) if bug else str(error)
        teller.error("ended", "{why}", why=why, code=int(code), error=error if bug else None)
    elif isinstance(error, Problem):
        _say(error.detail, *_details(error))
    elif isinstance(error, TyperException):
        if error.format_message():  # none where no command was given: the help has been shown
            _say(_usage(error))
    elif isinstance(error, (KeyboardInterrupt, Abort)):
        _say("interrupted")
    elif code is Code.BUG:
        _say(*_defect(error))
    else:
        first, *rest = str(error).splitlines() or [type(error).__name__]
        _say(first, *rest)
    return code


def _details(problem: Problem) -> list[str]:
    named = (
        ("where", problem.pointer),
        ("got", problem.got),
        ("expected", problem.expected),
        ("hint", problem.hint),
        ("code", problem.code),
    )
    return [f"{name:>8}: {value}" for name, value in named if value]


def _usage(error: TyperException) -> str:
    text = error.format_message()
    possible = getattr(error, "possibilities", None)
    if possible:
        text = f"{error.message}. Did you mean {' or '.join(sorted(possible))}?"
    if isinstance(error.__cause__, ValueError):  # Typer's judge says it
        text = _in_our_words(text)
    context = getattr(error, "ctx", None)
    if context is not None:
        text = f"{text.rstrip()}\n       Try '{context.command_path} --help'."
    return text


def _in_our_words(text: str) -> str:
    for said, plain in _PLAIN.items():
        text = text.replace(said, plain)
    return text


def _defect(error: BaseException) -> list[str]:
    lines = [
        f"{type(error).__name__}: {error}",
        f"This is a defect of lifecycle ({digest_of(error)}), not of what you typed.",
        f"Run it again with {DEBUG_VARIABLE}=1 to see where it happened, and report that.",
    ]
    if os.environ.get(DEBUG_VARIABLE):
        return ["".join(traceback.format_exception(error)), *lines]
    return lines


def _say(first: str, *rest: str) -> None:
    from rich.text import Text  # not before there is something to say

    from lifecycle.cli import output

    console = output.err()
    console.print(Text.assemble(("error: ", "bold red"), first), soft_wrap=True)
    for line in rest:
        console.print(Text(f"       {line}"), soft_wrap=True)

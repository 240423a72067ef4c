"""What may be told of an exception? Its type, the places it came through, and those of its causes.

Its text stays out: it may quote what somebody posted. Whoever needs it finds it where it is kept for
him, such as `lifecycle dead show`.
"""

from __future__ import annotations

import re
from typing import Any

from lifecycle.errors import NotReady, Unavailable, Unusable, digest_of, places_of

DEEPEST = 20  # places of one exception that are shown, the last ones
CAUSES = 5  # of one exception that are followed
OF_THE_INSTALLATION = (NotReady, Unavailable, Unusable)


def failure(error: BaseException) -> dict[str, Any]:
    """`type`, `digest`, `stack` with the place of the error last, and `cause` in the same form."""
    return _failure(error, CAUSES)


def told(error: BaseException) -> str:
    """In a few words: its own only where these are about the installation, and quote nobody."""
    return str(error) if isinstance(error, OF_THE_INSTALLATION) else type(error).__name__


def code_of(error: BaseException) -> str:
    """The type, with the capitals that a server's refusal begins with: `ResponseError OOM`.

    The rest of the text may hold the command that was refused, and what was posted in it.
    """
    said = _REFUSAL.search(str(error))
    return f"{type(error).__name__} {said[1]}" if said else type(error).__name__


_REFUSAL = re.compile(r"(?:^|of pipeline caused error: )([A-Z]{2,20})\b")


def _failure(error: BaseException, causes: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": type(error).__name__,
        "digest": digest_of(error),
        "stack": places_of(error)[-DEEPEST:],
    }
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and causes:
        found["cause"] = _failure(cause, causes - 1)
    return found

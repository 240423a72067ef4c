"""What does an answer, or silence, of a mail server mean for the letter? The table of docs/channels.md.

Whatever happens before the last byte of a letter is written is a sure no. After it only an answer is
sure, either way; without one nobody knows.
"""

from __future__ import annotations

import re
from enum import StrEnum

from lifecycle.outreach.outcome import Accepted, Ambiguous, Fault, Outcome, Refused


class Stage(StrEnum):
    """How far the conversation has come, as codes name it."""

    CONNECT = "connect"  # up to the greeting
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"  # the letter is being written
    DOT = "dot"  # its last byte is written


SESSION = frozenset({Stage.CONNECT, Stage.EHLO, Stage.STARTTLS, Stage.AUTH})

_ENHANCED = re.compile(r"([245])\.([0-9]{1,3})\.([0-9]{1,3})(?![.0-9])")
_ADDRESS = re.compile(r"[^\s<>,;:()\"']+@[^\s<>,;()\"']+")
_ID = re.compile(r"(?:queued as|\bid[= ]|\bOk )\s*<?([A-Za-z0-9][A-Za-z0-9._@+-]{3,100})")
_MOST_DETAIL = 200

# what the second number of an enhanced status (RFC 3463) says is to blame
_SUBJECTS = {
    "1": Fault.RECIPIENT,  # addressing
    "2": Fault.RECIPIENT,  # mailbox
    "3": Fault.PROVIDER,  # mail system
    "4": Fault.PROVIDER,  # network
    "5": Fault.PROVIDER,  # protocol
    "6": Fault.MESSAGE,  # content
    "7": Fault.PROVIDER,  # policy: of who we are, not of who she is
}
_EXCEPTIONS = {
    "1.7": Fault.PROVIDER,  # the sender's address is refused
    "1.8": Fault.PROVIDER,
    "2.3": Fault.MESSAGE,  # longer than her mailbox takes
    "3.4": Fault.MESSAGE,  # longer than the system takes
}
_FULL = "2.2"  # her mailbox is full: there may be room another day


def answered(stage: Stage, code: int, text: bytes) -> Outcome:
    """Of an answer other than what the stage waits for; and of any to the dot."""
    words = text.decode("utf-8", "replace")
    if stage is Stage.DOT and 200 <= code < 300:
        found = _ID.search(words)
        return Accepted(provider_id=found[1] if found else None)
    enhanced = _enhanced(code, words)
    return Refused(
        code=f"{stage}_{code}" + (f"_{enhanced}" if enhanced else ""),
        detail=f"the server answered {code} {shown(words)}",
        fault=_fault(stage, code, enhanced),
        permanent=_permanent(stage, code, enhanced),
    )


def silent(stage: Stage, why: str) -> Outcome:
    """The line was cut (`cut`), no answer came in time (`timeout`) or none that can be read (`unreadable`)."""
    told = {
        "cut": "the line was cut",
        "timeout": "no answer came in time",
        "unreadable": "the answer was none of SMTP",
    }[why]
    if stage is Stage.DOT:
        return Ambiguous(code=f"dot_{why}", detail=f"the letter was handed over, and {told}")
    return failed(f"{stage}_{why}", told)


def failed(code: str, detail: str) -> Refused:
    """The way to the provider: nothing is wrong with the letter, and a later try may go well."""
    return Refused(code=code, detail=shown(detail), fault=Fault.PROVIDER, permanent=False)


def shown(words: str) -> str:
    """Fit for a log: on one line, clipped, and without addresses."""
    flat = " ".join(_ADDRESS.sub("***", words).split())
    plain = "".join(char if char.isprintable() else "?" for char in flat)
    return plain if len(plain) <= _MOST_DETAIL else plain[: _MOST_DETAIL - 1] + "…"


def _enhanced(code: int, words: str) -> str | None:
    """`5.1.1`, where it begins the answer and agrees with its code."""
    match = _ENHANCED.match(words)
    return match[0] if match and match[1] == str(code)[0] else None


def _fault(stage: Stage, code: int, enhanced: str | None) -> Fault:
    if stage in SESSION or code == 421:
        return Fault.PROVIDER
    if enhanced is not None:
        _, subject, detail = enhanced.split(".")
        blamed = _EXCEPTIONS.get(f"{subject}.{detail}") or _SUBJECTS.get(subject)
        if blamed is not None:
            return blamed
    return _by_stage(stage, code)


def _by_stage(stage: Stage, code: int) -> Fault:
    if code == 552 and stage in {Stage.MAIL, Stage.DOT}:
        return Fault.MESSAGE  # too large
    if stage is Stage.RCPT and code not in {452, 503}:
        return Fault.RECIPIENT
    return Fault.MESSAGE if stage is Stage.DOT and code >= 500 else Fault.PROVIDER


def _permanent(stage: Stage, code: int, enhanced: str | None) -> bool:
    """A session that is refused is refused to all letters, and none of them is to blame."""
    if enhanced is not None and enhanced.endswith(f".{_FULL}"):
        return False
    if enhanced is None and stage is Stage.RCPT and code == 552:
        return False  # the same, of a server without enhanced codes
    return code >= 500 and stage not in SESSION

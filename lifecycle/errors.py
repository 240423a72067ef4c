"""Everything that can be refused, as one tree; interfaces translate it to HTTP or exit codes, the core knows neither.

LifecycleError
├── Problem                 one thing wrong with what somebody gave us: code, pointer, got, expected
├── PolicyRefused           a policy file with every finding at once
├── MappingRefused          an import mapping with every finding at once
├── Unusable                the installation cannot run as it is configured (exit 78)
│   ├── ChannelsRefused     channels.yaml with every finding at once
│   └── PublishingRefused   publishing.yaml with every finding at once
├── Unavailable             a service that we need does not answer (exit 69)
│   └── Overloaded          more came than can be taken in just now: which bound, and when to come again
│   └── TookTooLong         it ended a statement of ours that ran for longer than any may
├── NotPublished            a policy, draft or approval that is refused as things are
├── NotFound                no such customer, event, policy version
├── ScoringFailed           the scoring hook raised, took too long or answered nonsense: no score was changed
├── ClaimLost               another process has taken over the work of a night, so this one writes nothing more
├── NotReady                an answer would be wrong now (events pending, checks due)
├── PoisonEvent             folding this one event raised: it alone leaves the fold, as a dead letter
└── FoldBroken              a promise of the fold was about to be broken: never expected
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UNCHANGED = "nothing was changed"


_PACKAGES = "site-packages/"
_HERE = f"{Path(__file__).resolve().parent.parent}/"


def digest_of(error: BaseException) -> str:
    """The same for the same defect, wherever it is installed: type and places, and no value."""
    places = "\n".join([type(error).__name__, *places_of(error)])
    return hashlib.sha256(places.encode()).hexdigest()[:8]


def places_of(error: BaseException) -> list[str]:
    """What the error came through, the place where it was raised last: `engine/work.py:92 work`."""
    return [
        f"{_short(frame.f_code.co_filename)}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]


def _short(file: str) -> str:
    """Without the folder of the installation; of what is neither ours nor a package's, the end."""
    if _PACKAGES in file:
        return file.rpartition(_PACKAGES)[2]
    return file.removeprefix(_HERE) if file.startswith(_HERE) else "/".join(file.split("/")[-2:])


class LifecycleError(Exception):
    """The root: catching it catches everything that this system refuses on purpose."""


class Problem(LifecycleError):
    """One thing wrong with one input, in words that name what, where and what is allowed.

    `code` is stable and machine-readable; `pointer` is a JSON pointer, or line:column, or a flag;
    `got` is what was found (clipped and masked by whoever raises it); `status` is the class of the
    answer in HTTP's numbers, which every interface understands. Where the same would be right a little
    later, `retry_after` says in how many seconds, and `limit` which bound stands in the way.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int = 422,
        pointer: str = "",
        got: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
        limit: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.pointer = pointer
        self.got = got
        self.expected = expected
        self.hint = hint
        self.limit = limit
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem of a policy file, placed."""

    file: str
    line: int  # from 1
    column: int  # from 1
    code: str  # stable: unknown_key, undeclared_state, guard_raises …
    message: str  # what was found, what is allowed, did you mean
    warning: bool = False  # shown, but the policy is accepted

    def __str__(self) -> str:
        kind = "warning" if self.warning else "error"
        return f"{self.file}:{self.line}:{self.column}: {kind} {self.code}: {self.message}"


class PolicyRefused(LifecycleError):
    """The policy file has errors; all of them are in `findings`, and nothing was changed."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


class MappingRefused(LifecycleError):
    """The mapping of an import has errors; all of them are in `findings`, and nothing was changed."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


class Unusable(LifecycleError):
    """This configuration cannot run; the message is one line that says what to do."""


class ChannelsRefused(Unusable):
    """The file of channels has errors; all of them are in `findings`, and nothing is sent."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


class PublishingRefused(Unusable):
    """The file of what may be published has errors; all of them are in `findings`."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


class NotPublished(LifecycleError):
    """A policy is not put in force, for a reason that whoever publishes can do something about."""


class Unavailable(LifecycleError):
    """A service that we need does not answer; trying again later may help.

    The message is for who runs us; `public` for whoever asked: no address, no user, and no words of
    the service.
    """

    def __init__(
        self, message: str, *, public: str = "a service that is needed does not answer"
    ) -> None:
        super().__init__(message)
        self.public = public


class TookTooLong(Unavailable):
    """It answers, but ended what we asked: too slow today, or we asked for too much of it."""


class Overloaded(Unavailable):
    """More came than can be taken in just now; what was refused was not stored."""

    def __init__(self, limit: str, detail: str, *, retry_after: int) -> None:
        super().__init__(detail, public=detail)
        self.limit = limit  # a stable name of the bound
        self.retry_after = retry_after  # seconds


class NotFound(LifecycleError):
    """There is nothing under that name."""


class ScoringFailed(LifecycleError):
    """The hook of the scoring; its text may quote customers, so it stays out of the log."""


class ClaimLost(LifecycleError):
    """Somebody else has taken over what this process was doing, or has finished it."""


class NotReady(LifecycleError):
    """Asked now, the answer would not be the final one; the message says what is outstanding."""


class PoisonEvent(LifecycleError):
    """Folding one event raised; `source` and `id` name it, the cause is chained.

    `tries` is how often it did in a row.
    """

    def __init__(self, source: str, id: str, error: Exception) -> None:
        super().__init__(f"event {id} of {source}: {type(error).__name__}: {error}")
        self.source = source
        self.id = id
        self.tries = 1


class FoldBroken(LifecycleError):
    """The fold was about to break one of its own rules, such as ten steps without time passing."""

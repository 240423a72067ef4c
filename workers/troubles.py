"""What does an error of a broker's client mean, in one line, and what is to be done about it?

What the clients raise names the library's own workings; whoever runs the engine has the broker's URL.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self

from lifecycle.settings import CA_OPTION, VARIABLES

URL = VARIABLES["broker_url"]

# By name, as only one of the two clients need be installed.
_SHUT_OUT = frozenset(
    {
        "AuthenticationError",  # Redis
        "ProbableAuthenticationError",  # RabbitMQ
    }
)
_NO_HOST = "ProbableAccessDeniedError"  # RabbitMQ again: to its virtual host
NO_DATABASE = "DB index is out of range"  # Redis, of the number behind its host


class Trouble(Enum):
    """What follows from it."""

    AWAY = auto()  # it may come back by itself
    SHUT_OUT = auto()  # somebody has to change a setting, ours or the broker's
    OLD = auto()  # it answers, and lacks what we need
    FORGETS = auto()  # it would lose what waits in it, so it is never used


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """A broker that does not serve as it is."""

    trouble: Trouble
    why: str  # and what to do about it

    @classmethod
    def by(cls, error: BaseException) -> Self:
        return cls(trouble=Trouble.SHUT_OUT if _advice(error) else Trouble.AWAY, why=why(error))


def why(error: BaseException) -> str:
    """In one line, without anything of the URL, as a password may be in it."""
    said = " ".join(f"{_kind(error)}: {_said(error)}".split())
    advice = _advice(error)
    return f"{said}; {advice}" if advice else said


def _advice(error: BaseException) -> str | None:
    """What to do where waiting does not help."""
    whole = list(_whole(error))
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in whole):
        return (
            "its certificate is not trusted: name the file of the authority that signed it,"
            f" {URL}=…?{CA_OPTION}=/path/to/ca.pem"
        )
    names = {type(each).__name__ for each in whole}
    if names & _SHUT_OUT:
        return f"it does not let us in: correct the name and password in {URL}"
    if _NO_HOST in names:
        return _about_the_virtual_host(_said(error))
    if any(NO_DATABASE in str(each) for each in whole):
        return f"it has no database of that number: correct what stands behind the host in {URL}"
    return None


def _about_the_virtual_host(said: str) -> str:
    """The name and password were right, or RabbitMQ would have said so first."""
    if "not found" in said:
        return (
            "it has no such virtual host: correct what stands behind the host and port in"
            f" {URL}, where / is written %2F, or make it with `rabbitmqctl add_vhost`"
        )
    return (
        "its virtual host is closed to us: give our user the right to it with `rabbitmqctl"
        f" set_permissions`, or name another behind the host and port in {URL}"
    )


def _kind(error: BaseException) -> str:
    inner = _inner(error)
    return type(inner[-1] if inner else error).__name__


def _said(error: BaseException) -> str:
    inner = _inner(error)
    return str(inner[-1] if inner else error)


def _inner(error: BaseException) -> list[BaseException]:
    """What pika and dramatiq wrap: the error itself is an argument, or an attribute of one."""
    found: list[BaseException] = []
    for each in (*error.args, getattr(error, "exception", None)):
        if isinstance(each, BaseException):
            found += [each, *_inner(each)]
    return found


def _whole(error: BaseException) -> Iterator[BaseException]:
    """The error, what it wraps, and what it was raised for."""
    following: BaseException | None = error
    while following is not None:
        yield following
        yield from _inner(following)
        following = following.__cause__ or following.__context__

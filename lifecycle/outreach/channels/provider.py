"""What do the channels share that ask a provider over HTTP and are answered in JSON?

Every one of them opens a connection a letter (`http.Client`), keeps none, and translates the codes of
its provider by a table of meanings. What the provider says in words is for people alone.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from lifecycle.outreach.channels.http import Answer, Client, Request, judged, shown
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Ambiguous, Fault, Outcome, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a code of a provider means for the message."""

    fault: Fault
    permanent: bool = False
    wait: timedelta | None = None


NOT_HER = Meaning(fault=Fault.RECIPIENT, permanent=True)  # this address, for good
NOT_THIS = Meaning(fault=Fault.MESSAGE, permanent=True)  # this text or template, for everybody
# Our key, balance or rights: nothing is wrong with the message, and a person has to do something.
NOT_US = Meaning(fault=Fault.PROVIDER, wait=timedelta(minutes=10))
NOBODY_KNOWS = None  # an error inside of the provider, after it had the message

Codes = Mapping[str, Meaning | None]


def busy(seconds: int) -> Meaning:
    """Too much came at once for the provider."""
    return Meaning(fault=Fault.PROVIDER, wait=timedelta(seconds=seconds))


def enough(seconds: int) -> Meaning:
    """Too much came for this recipient."""
    return Meaning(fault=Fault.RECIPIENT, wait=timedelta(seconds=seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer that could be read."""

    answer: Answer
    data: Mapping[str, object]
    at: datetime

    def meant(self, codes: Codes, code: str | None, words: object) -> Refused | Ambiguous:
        """What a code that is no success means; where there is none, what the status says."""
        if code is None:
            return _by_status(self.answer, self.at)
        return meant(codes, code, words)


class Provider(ABC):
    """The part of a `Channel` that is the same for all of them."""

    is_real = True
    same_key_for: timedelta | None = None

    def __init__(self, *, name: str, address: str | None, client: Client) -> None:
        self.name = name
        self.address = address
        self.client = client

    def send(self, letter: Letter) -> Outcome:
        """What cannot be written as UTF-8 or JSON is found before anybody is asked."""
        try:
            return self._sent(letter)
        except (UnicodeEncodeError, orjson.JSONEncodeError) as error:
            return Refused(
                code="letter_malformed",
                detail=f"text or a fact of it cannot be written: {type(error).__name__}",
                fault=Fault.MESSAGE,
                permanent=True,
            )

    @abstractmethod
    def _sent(self, letter: Letter) -> Outcome:
        """Of one kind of provider."""

    def unready(self, *, marketing: bool) -> Sequence[str]:  # noqa: ARG002 - asked of every channel
        return ()

    def close(self) -> None:  # noqa: B027 - not every kind has to say it again
        """No connection is kept, so none has to be ended."""

    def ask(self, request: Request) -> Said | Refused | Ambiguous:
        return asked(self.client, request)


def asked(
    client: Client, request: Request, *, until: float | None = None
) -> Said | Refused | Ambiguous:
    """The answer in JSON; where a status says more than a body could, what the status says."""
    reply = client.ask(request, until=until)
    if not isinstance(reply, Answer):
        return reply
    data = _read(reply)
    if data is not None and (200 <= reply.status < 300 or _tells_why(reply.status)):
        return Said(answer=reply, data=data, at=client.now())
    return _by_status(reply, client.now())


def _by_status(answer: Answer, at: datetime) -> Refused | Ambiguous:
    outcome = judged(answer, now=at)
    if isinstance(outcome, Refused | Ambiguous):
        return outcome
    return Ambiguous(code="answer_unreadable", detail="it answered 2xx, and not what it should")


def meant(codes: Codes, code: str, words: object) -> Refused | Ambiguous:
    """Looks for `A.B.C`, then for `A.B`, then for `A`; an unknown code is a no that may be tried again."""
    name = code if re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", code) else "code_unreadable"
    detail = shown(f"{name}: {words}")
    meaning = _meaning(codes, name)
    if meaning is None:
        return Ambiguous(code=name, detail=detail)
    return Refused(
        code=name,
        detail=detail,
        fault=meaning.fault,
        permanent=meaning.permanent,
        retry_after=meaning.wait,
    )


def _meaning(codes: Codes, name: str) -> Meaning | None:
    while name not in codes:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return Meaning(fault=Fault.PROVIDER)
    return codes[name]


def _tells_why(status: int) -> bool:
    """A 4xx of which the body says more; not one that is about time."""
    return 400 <= status < 500 and status not in {408, 429}


def _read(answer: Answer) -> Mapping[str, object] | None:
    try:
        data = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    return data if isinstance(data, dict) else None


def json(url: str, body: Mapping[str, object]) -> Request:
    """A POST of it."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    return Request(url=url, headers=headers, body=orjson.dumps(body))


def text_of(data: Mapping[str, object], name: str) -> str | None:
    """A text or number of an answer, as text."""
    value = data.get(name)
    plain = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value) if plain and value != "" else None


def phone(letter: Letter) -> str | Refused:
    """Her number, if it is one: E.164, as `+8613800138000`."""
    if re.fullmatch(r"\+[1-9][0-9]{6,14}", letter.to.address):
        return letter.to.address
    return malformed("a number has to be in E.164: +, country, number, without spaces")


def login(letter: Letter) -> str | Refused:
    """The user at the provider; nothing that could name several, or everybody."""
    named = letter.to.address
    if re.fullmatch(r"[A-Za-z0-9_.@$:-]{1,64}", named) and named.lower() != "@all":
        return named
    return malformed("a user is named by up to 64 letters, digits and _ . @ $ : -")


def malformed(detail: str) -> Refused:
    return Refused(code="address_malformed", detail=detail, fault=Fault.RECIPIENT, permanent=True)


def too_long(detail: str) -> Refused:
    return Refused(code="text_too_long", detail=detail, fault=Fault.MESSAGE, permanent=True)


def words(letter: Letter) -> str:
    """Title and text of what goes to colleagues."""
    title, text = letter.content.subject, letter.content.text.strip()
    return f"{title}\n\n{text}" if title else text

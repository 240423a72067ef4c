"""Is what a provider posts to us really from it, about our account, and what does it say?

A hook reads one request. It knows its provider's signature and its own account, and refuses everything
else before anything of the body is believed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol
from urllib.parse import parse_qsl, urlsplit

import orjson

from lifecycle.errors import Problem
from lifecycle.logs.lines import Teller
from lifecycle.outreach.replies import Ignored, News, Report, plain

tell = Teller("lifecycle")

TOLERANCE = timedelta(minutes=5)  # of a signed timestamp, either way
MOST_BYTES = 64 * 1024  # of what most providers post
MOST_FIELDS = 100
_LONGEST_CODE = 40
_LONGEST_ACCOUNT = 200  # characters; the name of a topic is long, and may differ in its last letter
TOLD_AGAIN_AFTER = timedelta(minutes=1)

FOREIGN = "account_foreign"

Read = Report | Ignored


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A request as it came in."""

    url: str  # as the provider was told it, with its query
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    now: datetime  # real time


class Hook(Protocol):
    @property
    def most_bytes(self) -> int:
        """Of a body; a larger one is not read."""
        ...

    def refuse_stranger(self, url: str) -> None:
        """Before anything of the body is read. Raises Problem, 401, where the address that was asked
        lacks a secret that we gave to the provider alone.
        """
        ...

    def read(self, posted: Posted) -> Read:
        """May ask the provider something, so it is called where waiting holds nobody up.

        Raises Problem: 401 where it is not from the provider, 403 where of a foreign account, 503 where
        that cannot be found out just now and the provider should post it again.
        """
        ...


class ToldHook:
    """Another hook, whose refusals are told in the log: else only the provider would ever know of them.

    One code of a channel at most once a minute, as anybody may post here.
    """

    def __init__(
        self, channel: str, hook: Hook, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._channel = channel
        self._hook = hook
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}  # when, by code
        self._untold: dict[str, int] = {}  # how often since

    @property
    def most_bytes(self) -> int:
        return self._hook.most_bytes

    def refuse_stranger(self, url: str) -> None:
        with self._telling():
            self._hook.refuse_stranger(url)

    def read(self, posted: Posted) -> Read:
        with self._telling():
            return self._hook.read(posted)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except Problem as problem:
            self._tell(problem)
            raise

    def _tell(self, problem: Problem) -> None:
        code = problem.code
        with self._lock:
            now, before = self._monotonic(), self._told.get(code)
            if before is not None and now - before < TOLD_AGAIN_AFTER.total_seconds():
                self._untold[code] = self._untold.get(code, 0) + 1
                return
            self._told[code] = now
            untold = self._untold.pop(code, 0)
        got = problem.got if code == FOREIGN else None
        tell.warning(
            "hook_refused",
            "a report about letters by {channel} was refused ({code}): {why}"
            + (", got {got}" if got else "")
            + ("; and {untold} more since it was last told" if untold else ""),
            channel=self._channel,
            code=code,
            why=problem.detail,
            got=got,
            untold=untold,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioHook:
    """The status callback of Twilio's messages.

    The key of the letter stands in the query of the callback, as `letter`: a report may come before
    the answer that says under which id Twilio knows the message.
    """

    most_bytes: ClassVar[int] = MOST_BYTES

    account: str  # the SID of ours
    auth_token: str = field(repr=False)
    channel: str = "sms"

    def refuse_stranger(self, url: str) -> None:
        """Nobody, yet: its signature, which costs little to look at, covers the body too."""

    def read(self, posted: Posted) -> Read:
        given = posted.headers.get("x-twilio-signature", "")
        fields = _form(posted.body)
        if not hmac.compare_digest(self._signature(posted.url, fields).encode(), given.encode()):
            raise not_signed()
        said = dict(fields)
        if said.get("AccountSid") != self.account:
            raise foreign(said.get("AccountSid", "none"))
        letters = [value for name, value in _query(posted.url) if name == "letter"]
        sid = said.get("MessageSid") or said.get("SmsSid")
        news = _twilio_news(said.get("MessageStatus", ""), said.get("ErrorCode", ""))
        if news is None:
            return Ignored(why="no_outcome_yet")
        return Report(
            news=news,
            code=code_of(said.get("ErrorCode") or said["MessageStatus"]),
            letters=tuple(letters),
            provider_ids=(sid,) if sid else (),
            channel=self.channel,
        )

    def _signature(self, url: str, fields: Sequence[tuple[str, str]]) -> str:
        """HMAC-SHA1 of the URL and every field, sorted: Twilio's way, and it has no other."""
        said = url + "".join(name + value for name, value in sorted(set(fields)))
        digest = hmac.digest(self.auth_token.encode(), said.encode(), "sha1")
        return base64.b64encode(digest).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHook:
    """Reports signed as Standard Webhooks, of a provider's adapter or of a gateway of one's own.

    The body is `{"type": "message.bounced", "data": {"message_id": …, "kind": "hard", "code": …}}`.
    """

    most_bytes: ClassVar[int] = MOST_BYTES

    secrets: tuple[bytes, ...] = field(repr=False)  # several while one is being replaced
    account: str | None = None  # that `data.account` must name; None: one secret, one account
    channel: str | None = None

    def refuse_stranger(self, url: str) -> None:
        """Nobody, yet: its signature, which costs little to look at, covers the body too."""

    def read(self, posted: Posted) -> Read:
        self._refuse_unsigned(posted)
        _refuse_old(posted)
        said = _json(posted.body)
        data = said.get("data")
        if not isinstance(data, dict):
            raise not_understood("data", "an object")
        if self.account is not None and data.get("account") != self.account:
            raise foreign(str(data.get("account", "none")))
        news = _signed_news(str(said.get("type")), data)
        if news is None:
            return Ignored(why="other_type")
        named = data.get("message_id")
        if not isinstance(named, str) or not named:
            raise not_understood("data/message_id", "the id of a message")
        return Report(
            news=news,
            code=code_of(str(data.get("code") or news.value)),
            letters=(named,),
            provider_ids=(named,),
            channel=self.channel,
        )

    def _refuse_unsigned(self, posted: Posted) -> None:
        headers = posted.headers
        signed = f"{headers.get('webhook-id', '')}.{headers.get('webhook-timestamp', '')}."
        content = signed.encode() + posted.body
        given = headers.get("webhook-signature", "").split(" ")[:10]
        good = False
        for secret in self.secrets:
            expected = base64.b64encode(hmac.digest(secret, content, "sha256"))
            for each in given:
                version, _, signature = each.partition(",")
                good |= version == "v1" and hmac.compare_digest(expected, signature.encode())
        if not good or not headers.get("webhook-id"):
            raise not_signed()


def refuse_without_secret(url: str, secrets: Sequence[bytes]) -> None:
    """Raises Problem where its query has none of these as `secret`; without any, everybody may come.

    How long it takes does not tell how much of one was right.
    """
    given = dict(_query(url)).get("secret", "").encode()
    good = not secrets
    for secret in secrets:
        good |= hmac.compare_digest(secret, given)
    if not good:
        raise Problem(
            "hook_secret_wrong",
            "the address that was asked has not the secret of this hook in it",
            status=401,
            expected="?secret=… at its end, as the settings of the channel name it",
            hint="subscribe this address with the secret, and end the subscription without it",
        )


def standard_secret(text: str) -> bytes:
    """The secret of a Standard Webhook as it is handed out, `whsec_` and base64; raises ValueError."""
    try:
        secret = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("a secret is whsec_ and base64") from error
    if not 24 <= len(secret) <= 64:
        raise ValueError("a secret has 24 to 64 bytes")
    return secret


def _twilio_news(status: str, code: str) -> News | None:
    if status == "delivered":
        return News.DELIVERED
    if status not in {"undelivered", "failed"}:
        return None
    return _TWILIO_CODES.get(code, News.SOFT)


# What is said of an address for good; whatever else went wrong may go well another time.
_TWILIO_CODES = {
    "21211": News.HARD,  # no such number
    "21614": News.HARD,  # not a mobile number
    "30005": News.HARD,  # unknown destination handset
    "30006": News.HARD,  # a landline
    "21610": News.COMPLAINED,  # she answered STOP
    "30004": News.COMPLAINED,  # she, or her carrier for her, blocks us
    "30007": News.POLICY,  # filtered by the carrier
    "30034": News.POLICY,  # our number is not registered
}


def _signed_news(kind: str, data: Mapping[str, Any]) -> News | None:
    if kind == "message.delivered":
        return News.DELIVERED
    if kind == "message.complained":
        return News.COMPLAINED
    if kind != "message.bounced":
        return None
    said = data.get("kind")
    if said not in {News.HARD, News.SOFT, News.POLICY}:
        raise not_understood("data/kind", "hard, soft or policy")
    return News(said)


def _refuse_old(posted: Posted) -> None:
    text = posted.headers.get("webhook-timestamp", "")
    if text.isascii() and text.isdecimal() and len(text) <= 12:
        away = abs(posted.now.timestamp() - int(text))
        if away <= TOLERANCE.total_seconds():
            return
    raise Problem(
        "timestamp_outside_tolerance",
        "the signed timestamp is too far from now",
        status=401,
        got=text[:20],
        expected=f"within {TOLERANCE.total_seconds() / 60:g} minutes, in seconds since 1970",
        hint="sign it anew when you send it again; and check both clocks",
    )


def _form(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError:  # not UTF-8, or too many
        raise not_signed() from None


def _query(url: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(urlsplit(url).query, max_num_fields=MOST_FIELDS)
    except ValueError:
        return []


def _json(body: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise not_understood("", "a JSON object")
    return said


def code_of(text: str) -> str:
    return plain(text, _LONGEST_CODE)


def not_signed() -> Problem:
    """One text for whatever is wrong: whoever forges learns nothing from it."""
    return Problem(
        "signature_invalid",
        "the signature is not this provider's",
        status=401,
        expected="the signature over exactly this request, by the secret that both sides know",
    )


def foreign(account: str) -> Problem:
    """Of an account, or of a topic of SNS by its ARN."""
    what = "topic" if account.startswith("arn:") else "account"
    return Problem(
        FOREIGN,
        f"this is about {'a' if what == 'topic' else 'an'} {what} that is not ours",
        status=403,
        got=plain(account, _LONGEST_ACCOUNT),
        expected=f"the {what} that is configured",
    )


def not_understood(pointer: str, expected: str) -> Problem:
    return Problem(
        "report_not_understood",
        "the report is signed, and cannot be read",
        pointer=f"/{pointer}",
        expected=expected,
    )

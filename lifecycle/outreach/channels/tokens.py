"""Which access token is good now? One is fetched for many letters, kept, and fetched anew in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from lifecycle.outreach.channels.http import Client, Request
from lifecycle.outreach.channels.provider import Codes, Said, asked, text_of
from lifecycle.outreach.outcome import Ambiguous, Fault, Refused

EARLY_SECONDS = 300.0  # before its end; providers keep the old one good for as long
STALE = frozenset(
    {"40001", "40014", "41001", "42001"}
)  # what is said of a token that is none (any more)


class Tokens:
    """Safe to share between threads: one fetches, the others wait for it."""

    def __init__(
        self,
        client: Client,
        request: Request,
        codes: Codes,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._request = request
        self._codes = codes
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._token: str | None = None
        self._good_until = 0.0

    def get(self, *, until: float) -> str | Refused:
        """Whatever goes wrong with it, the letter surely did not leave."""
        with self._lock:
            if self._token is None or self._monotonic() >= self._good_until:
                return self._fetched(until)
            return self._token

    def forget(self, token: str) -> None:
        """The provider no longer knows it; one that was fetched since stays."""
        with self._lock:
            if self._token == token:
                self._token = None

    def _fetched(self, until: float) -> str | Refused:
        said = asked(self._client, self._request, until=until)
        if not isinstance(said, Said):
            return _no_token(said)
        code, token = code_of(said.data), text_of(said.data, "access_token")
        if code != "0" or token is None:
            return _no_token(said.meant(self._codes, code, said.data.get("errmsg")))
        lasts = said.data.get("expires_in")
        seconds = float(lasts) if isinstance(lasts, int) else 0.0
        self._token = token
        self._good_until = self._monotonic() + max(seconds - EARLY_SECONDS, seconds / 2)
        return token


def _no_token(why: Refused | Ambiguous) -> Refused:
    wait = why.retry_after if isinstance(why, Refused) else None
    return Refused(
        code="no_token",
        detail=f"no access token: {why.detail}",
        fault=Fault.PROVIDER,
        permanent=False,
        retry_after=wait,
    )


def code_of(data: Mapping[str, object]) -> str | None:
    """Under 88 DingTalk wraps the code that counts."""
    code = text_of(data, "errcode")
    return text_of(data, "sub_code") or code if code == "88" else code


def with_token(
    client: Client, tokens: Tokens, request: Callable[[str], Request]
) -> Said | Refused | Ambiguous:
    """Asks with a token; where the provider does not know it, once more with a new one."""
    until = client.until()
    for _ in range(2):
        token = tokens.get(until=until)
        if isinstance(token, Refused):
            return token
        said = asked(client, request(token), until=until)
        if not isinstance(said, Said) or code_of(said.data) not in STALE:
            return said
        tokens.forget(token)
    return Refused(
        code="no_token",
        detail="the provider refuses an access token that it has just given",
        fault=Fault.PROVIDER,
        permanent=False,
    )

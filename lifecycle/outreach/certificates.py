"""By which certificate does Amazon SNS sign? Fetched from its own host, kept, and looked at each time.

Whoever knows the name of a topic, and the secret of the hook where it has one, can have us ask for
certificates, so that is done ten times a minute at the most and few may wait for it. Messages whose
certificate is kept are read meanwhile.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lifecycle.errors import Problem
from lifecycle.outreach.channels.http import Answer, Reply, Request, judged, real_now
from lifecycle.outreach.channels.throttle import Throttle
from lifecycle.outreach.hooks import not_signed
from lifecycle.outreach.outcome import Accepted, Refused

if TYPE_CHECKING:
    from cryptography import x509  # takes a third of a second, which only those wait who need it

Ask = Callable[[Request], Reply]

MOST_KEPT = 16
MOST_WAITING = 8  # each holds a thread; whoever is beyond is told to come again
AGAIN_SECONDS = 20  # as SNS waits of itself


class Amazon:
    """Asks a host of Amazon's. Safe between threads."""

    def __init__(self, ask: Ask, throttle: Throttle | None = None) -> None:
        self._ask = ask
        self._throttle = throttle or Throttle(1 / 6, burst=10)

    def get(self, url: str) -> bytes | None:
        """What it answers; None: it says no, for good. Raises Problem, 503, where nobody knows yet."""
        wait = self._throttle.take()
        if wait > 0:
            raise _unreachable("it was asked often enough just now", wait)
        return _answered(self._ask(Request(url=url)))


@dataclass(frozen=True, slots=True)
class Certificate:
    """One that was fetched; whose it is, and whether it is good now, is asked for each message."""

    held: x509.Certificate

    def refuse_unfit(self, names: frozenset[str], now: datetime) -> None:
        """Raises Problem where it is of another name, or its time has not come or is over.

        That an authority vouches for it is not looked at: it came from Amazon's host, by TLS.
        """
        since, until = self.held.not_valid_before_utc, self.held.not_valid_after_utc
        if not since <= now <= until:
            got = f"valid from {since:%Y-%m-%d} to {until:%Y-%m-%d}"
            raise _refused(got, "one that is valid now; check the clock of this machine")
        found = self._names()
        if not found & names:
            raise _refused(", ".join(sorted(found))[:200], f"one of {', '.join(sorted(names))}")

    def signed(self, content: bytes, signature: bytes, *, version: str) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding, rsa

        # The first is what topics have of themselves.
        by = {"1": hashes.SHA1(), "2": hashes.SHA256()}.get(version)  # noqa: S303
        key = self.held.public_key()
        if by is None or not isinstance(key, rsa.RSAPublicKey):
            return False
        try:
            key.verify(signature, content, padding.PKCS1v15(), by)
        except InvalidSignature:
            return False
        return True

    def _names(self) -> frozenset[str]:
        """Those that it vouches for; of one without, that of its subject."""
        from cryptography import x509

        try:
            held = self.held.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            return frozenset(held.value.get_values_for_type(x509.DNSName))
        except x509.ExtensionNotFound:
            named = self.held.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            return frozenset(str(each.value) for each in named)


class Certificates:
    """Safe between threads: one fetches, a few others wait for it."""

    def __init__(self, amazon: Amazon) -> None:
        self._amazon = amazon
        self._kept: dict[str, Certificate] = {}
        self._places = threading.BoundedSemaphore(MOST_WAITING)
        self._fetching = threading.Lock()

    def at(self, url: str) -> Certificate:
        """Raises Problem: 401 where there is none, 503 where Amazon does not say just now."""
        if found := self._kept.get(url):
            return found
        if not self._places.acquire(blocking=False):
            raise _unreachable("enough others wait for a certificate")
        try:
            with self._fetching:
                return self._kept.get(url) or self._fetched(url)
        finally:
            self._places.release()

    def _fetched(self, url: str) -> Certificate:
        content = self._amazon.get(url)
        if content is None:
            raise not_signed()
        found = _certificate(content)
        while len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[url] = found
        return found


def _certificate(content: bytes) -> Certificate:
    from cryptography import x509

    try:
        return Certificate(x509.load_pem_x509_certificate(content))
    except ValueError:  # cut off, perhaps
        raise _unreachable("what it answered is no certificate") from None


def _answered(reply: Reply) -> bytes | None:
    if not isinstance(reply, Answer):
        raise _unreachable(reply.detail)
    outcome = judged(reply, now=real_now())
    if isinstance(outcome, Accepted):
        return reply.body
    if isinstance(outcome, Refused) and outcome.permanent:
        return None
    raise _unreachable(outcome.detail)


def _unreachable(why: str, wait: float = AGAIN_SECONDS) -> Problem:
    return Problem(
        "provider_unreachable",
        f"whether this is from Amazon SNS cannot be found out just now: {why}",
        status=503,
        hint="it will be taken when it is posted again",
        retry_after=math.ceil(wait),
    )


def _refused(got: str, expected: str) -> Problem:
    return Problem(
        "certificate_refused",
        "the certificate that is to prove the signature is not one of Amazon SNS for now",
        status=401,
        got=got,
        expected=expected,
    )

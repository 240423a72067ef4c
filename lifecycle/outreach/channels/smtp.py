"""The channel of e-mail: letters to one mail server, over a few connections that are used again."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.headerregistry import Address
from pathlib import Path

from lifecycle.loopback import is_loopback
from lifecycle.outreach.channels import header, measuring, reporting
from lifecycle.outreach.channels.letterhead import KEYS as LETTERHEAD_KEYS
from lifecycle.outreach.channels.letterhead import Domain, Letterhead, letterhead
from lifecycle.outreach.channels.mail import Mail, build
from lifecycle.outreach.channels.reporting import REPORTS
from lifecycle.outreach.channels.settings import (
    SECRET,
    Around,
    ChannelSettings,
    Kind,
    OneLine,
    Settings,
    Whole,
)
from lifecycle.outreach.channels.signing import Signer, aligned
from lifecycle.outreach.channels.smtp_answers import failed
from lifecycle.outreach.channels.smtp_session import (
    NotOpened,
    Security,
    Server,
    Session,
    open_session,
)
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Outcome, Refused
from lifecycle.policy.records import Fields, Key
from lifecycle.policy.report import Report, found
from lifecycle.policy.shapes import JsonSchema, NotThis, Word
from lifecycle.policy.source import Scalar
from lifecycle.policy.words import Duration, OneWord

PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}
KEY_MARK = "{key}"
_LIKE_A_KEY = "0" * 36  # as long as most are, to see whether an address has room for one


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How letters of this channel travel."""

    server: Server
    return_path: str | None = None  # None: the sender; "": nobody; with {key}: one a letter
    connections: int = 4
    idle: timedelta = timedelta(seconds=30)  # after which a connection is not used again
    letters: int = 100  # after so many a connection is ended
    signer: Signer | None = None
    signed_by: str | None = None  # the domain for which the server signs; None: it does not


class Smtp:
    """Hands letters to a mail server. Safe between threads; more than `connections` of them wait."""

    is_real = True
    same_key_for: timedelta | None = None  # servers do not compare Message-IDs before they send

    def __init__(
        self,
        settings: ChannelSettings,
        head: Letterhead,
        route: Route,
        around: Around,
    ) -> None:
        self.name = settings.name
        self.address = settings.address
        self._head, self._route, self._around = head, route, around
        self._measure = measuring.measure_of(settings.fields)
        self._pool = _Pool(route)

    def unready(self, *, marketing: bool) -> Sequence[str]:
        """Service messages may go at once; marketing only as law and mailbox providers want it."""
        if not marketing:
            return []
        lacking = _lacking(self._head, self._route, self._around)
        return [*lacking, *measuring.lacking(self._measure, self._around)]

    def send(self, letter: Letter) -> Outcome:
        mail = build(letter, self._head, at=self._around.now(), sign=self._route.signer)
        if isinstance(mail, Refused):
            return mail
        deadline = time.monotonic() + self._route.server.timeout.total_seconds()
        if not self._pool.free.acquire(timeout=self._route.server.timeout.total_seconds()):
            return failed("no_connection_free", "all connections were busy for the whole time")
        try:
            return self._handed_over(mail, letter.key, deadline)
        finally:
            self._pool.free.release()

    def close(self) -> None:
        self._pool.close()

    def _handed_over(self, mail: Mail, key: str, deadline: float) -> Outcome:
        """Over a connection that rested it is tried once more, as long as the letter was not begun."""
        session = self._pool.rested(deadline)
        if session is not None:
            outcome = self._over(session, mail, key, deadline)
            if not session.broke_off:
                return outcome
        try:
            session = open_session(self._route.server, deadline=deadline)
        except NotOpened as error:
            return error.refused
        return self._over(session, mail, key, deadline)

    def _over(self, session: Session, mail: Mail, key: str, deadline: float) -> Outcome:
        return_path = _return_path(self._route, mail.sender, key)
        try:
            return session.deliver(
                mail, return_path=return_path, envelope_id=key, deadline=deadline
            )
        finally:
            self._pool.put_back(session)


class _Pool:
    """Connections that wait for their next letter; the one that rested least comes first."""

    def __init__(self, route: Route) -> None:
        self.free = threading.BoundedSemaphore(route.connections)
        self._route = route
        self._resting: list[Session] = []
        self._closed = False
        self._lock = threading.Lock()

    def rested(self, deadline: float) -> Session | None:
        """One that still works; None: there is none, so open one."""
        while True:
            with self._lock:
                if not self._resting:
                    return None
                session = self._resting.pop()
            if session.fresh(deadline=deadline, idle=self._route.idle.total_seconds()):
                return session
            session.end()

    def put_back(self, session: Session) -> None:
        with self._lock:
            keep = session.usable and session.letters < self._route.letters and not self._closed
            if keep:
                self._resting.append(session)
        if not keep:
            session.end()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            resting, self._resting = self._resting, []
        for session in resting:
            session.end()


def _return_path(route: Route, sender: Address, key: str) -> str:
    if route.return_path is None:
        return sender.addr_spec
    return route.return_path.replace(KEY_MARK, key)


def _lacking(head: Letterhead, route: Route, around: Around) -> Iterator[str]:
    """What marketing still needs, a sentence each."""
    if around.company.address is None:
        yield "marketing needs a postal address; set company: address in channels.yaml"
    if around.public_url is None or around.public_url.startswith("http://localhost"):
        yield (
            "marketing needs a link to unsubscribe; set LIFECYCLE_PUBLIC_URL to the https address"
            " where customers reach us"
        )
    elif not around.public_url.startswith("https://"):
        yield (
            "mailboxes take one-click unsubscribe over https only; LIFECYCLE_PUBLIC_URL begins"
            f" with {around.public_url.partition('//')[0]}//"
        )
    if not around.signs:
        yield "links to unsubscribe need a secret to be signed with; set LIFECYCLE_SECRET"
    yield from _unsigned(head, route)


def _unsigned(head: Letterhead, route: Route) -> Iterator[str]:
    domain = route.signer.domain if route.signer else route.signed_by
    if domain is None:
        yield (
            "nobody signs its letters; set dkim, or signed_by: the domain for which the server signs"
        )
        return
    for name, sender in head.senders.items():
        if not aligned(sender.address.domain, domain):
            yield (
                f"the sender {name} writes from {sender.address.domain}, but letters are signed for"
                f" {domain}; mailboxes want one domain, or one below the other"
            )


class Host(Word[str]):
    code = "wrong_host"

    def value(self, node: Scalar) -> str:
        if not re.fullmatch(
            r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|[0-9a-f:]+", node.text
        ):
            raise NotThis(f"{found(node.text)}; allowed: {self.says()}")
        return node.text

    def says(self) -> str:
        return "the name or address of a server, such as smtp.example.com"

    def schema(self) -> JsonSchema:
        return {"type": "string"}


class ReturnPath(Word[str]):
    """`none`, an address, or one with {key} in it."""

    code = "wrong_address"

    def value(self, node: Scalar) -> str:
        if node.text == "none":
            return ""
        if "{" in node.text.replace(KEY_MARK, "", 1):
            raise NotThis(f"{found(node.text)}; allowed: {self.says()}")
        try:
            header.mailbox(node.text.replace(KEY_MARK, _LIKE_A_KEY))
        except header.Unfit as unfit:
            raise NotThis(f"{found(node.text)}: {unfit}; allowed: {self.says()}") from unfit
        return node.text

    def says(self) -> str:
        return "none, an address, or one for each letter such as bounces+{key}@example.com"

    def schema(self) -> JsonSchema:
        return {"type": "string"}


DKIM = Settings(
    "a signature",
    (
        Key(
            name="domain",
            shape=Domain(),
            about="For which domain it is. Its senders' domains are this one, or below it.",
            required=True,
        ),
        Key(
            name="selector",
            shape=OneLine("a selector", most=63),
            about="Under which name the domain publishes the key.",
            required=True,
        ),
        Key(name="key", shape=SECRET, about="The RSA key, in PEM.", required=True),
    ),
)
KEYS = (
    Key(name="host", shape=Host(), about="The server that takes our letters.", required=True),
    Key(
        name="port",
        shape=Whole("a port", 1, 65_535),
        about="Its port.",
        default="587, with tls 465, with none 25",
    ),
    Key(
        name="security",
        shape=OneWord(
            {
                "starttls": "made private before anything is said",
                "tls": "private from the first byte",
                "none": "in clear, for a server on this machine",
            }
        ),
        about="How the line is kept private. The certificate is always checked.",
        default="starttls",
    ),
    Key(
        name="ca_file",
        shape=OneLine("a file", most=500),
        about="The authority that signs the server's certificate, if the system does not know it.",
    ),
    Key(name="username", shape=OneLine("a name"), about="By which we log in. Needs a password."),
    Key(name="password", shape=SECRET, about="The password to it."),
    Key(
        name="hello",
        shape=Domain(),
        about="As which machine we introduce ourselves.",
        default="the name of this machine",
    ),
    Key(
        name="return_path",
        shape=ReturnPath(),
        about="To whom letters that cannot be delivered go back; `{key}` stands for the letter's key.",
        default="the sender",
    ),
    Key(
        name="connections",
        shape=Whole("a number of connections", 1, 100),
        about="How many there may be at once, in each process.",
        default="4",
    ),
    Key(
        name="idle",
        shape=Duration(),
        about="How long a connection may rest and still be used again.",
        default="30s",
    ),
    Key(
        name="letters_per_connection",
        shape=Whole("a number of letters", 1, 100_000),
        about="After how many letters a connection is ended.",
        default="100",
    ),
    Key(name="dkim", shape=DKIM, about="We sign the letters."),
    Key(
        name="signed_by",
        shape=Domain(),
        about="The domain for which the server signs, where it does.",
    ),
    measuring.KEY,
    *LETTERHEAD_KEYS,
    REPORTS,
)


def _check(settings: ChannelSettings, report: Report) -> None:
    fields = settings.fields
    for one, other in (("username", "password"), ("password", "username")):
        if one in fields and other not in fields.written:
            report.error(fields[one].place, "missing_key", f"a {one} needs a {other}")
    if fields.value("security") == "none" and "username" in fields:
        _check_clear(fields, report)
    if "dkim" in fields and "signed_by" in fields:
        place = fields["signed_by"].place
        report.error(place, "two_kinds", "found dkim and signed_by; one of us signs the letters")
    dkim = _signer(fields)
    if dkim is not None and (trouble := dkim.trouble()) is not None:
        report.error(fields["dkim"].value.place("key", settings.place), "wrong_secret", trouble)
    if "ca_file" in fields:
        _check_authority(settings, report)
    measuring.check(settings, report)
    reporting.check(settings, report)


def _check_clear(fields: Fields, report: Report) -> None:
    if not is_loopback(fields.value("host", "")):
        report.error(
            fields["security"].place,
            "password_in_clear",
            "the password would travel in clear; allowed: starttls, tls, or a server on this machine",
        )


def _check_authority(settings: ChannelSettings, report: Report) -> None:
    try:
        _tls(settings)
    except OSError as error:  # ssl.SSLError is one too
        why = error.strerror or "it holds no certificates"
        place = settings.fields["ca_file"].place
        report.error(place, "unreadable_file", f"{_authority(settings)}: {why}")


def _authority(settings: ChannelSettings) -> Path | None:
    named = settings.fields.value("ca_file")
    return None if named is None else settings.folder / named


def _tls(settings: ChannelSettings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=_authority(settings))


def _signer(fields: Fields) -> Signer | None:
    dkim: Fields | None = fields.value("dkim")
    if dkim is None or not {"domain", "selector", "key"} <= dkim.keys():
        return None
    return Signer(
        domain=dkim.value("domain"), selector=dkim.value("selector"), key=dkim.value("key")
    )


def _own_name() -> str:
    """This machine's name where it is a full one; an address in brackets is allowed too (RFC 5321)."""
    try:
        return header.ascii_domain(socket.gethostname())
    except header.Unfit:
        return "[127.0.0.1]"


def _route(settings: ChannelSettings) -> Route:
    fields = settings.fields
    security = Security(fields.value("security", "starttls"))
    server = Server(
        host=fields.value("host"),
        port=fields.value("port", PORTS[security]),
        security=security,
        hello=fields.value("hello") or _own_name(),
        tls=None if security is Security.NONE else _tls(settings),
        username=fields.value("username"),
        password=fields.value("password"),
        timeout=settings.timeout,
    )
    return Route(
        server=server,
        return_path=fields.value("return_path"),
        connections=fields.value("connections", 4),
        idle=fields.value("idle", timedelta(seconds=30)),
        letters=fields.value("letters_per_connection", 100),
        signer=_signer(fields),
        signed_by=fields.value("signed_by"),
    )


def _open(settings: ChannelSettings, around: Around) -> Smtp:
    return Smtp(settings, letterhead(settings.fields), _route(settings), around)


KIND = Kind(
    name="smtp",
    about="e-mail, by a mail server",
    keys=KEYS,
    open=_open,
    check=_check,
    address=lambda _name: "email",
)

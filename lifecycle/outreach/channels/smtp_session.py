"""One connection to a mail server, from its greeting to its last letter, within a deadline that is kept.

Built on `smtplib` for what EHLO offers and for logging in; reading and writing are our own, because the
outcome hangs on whether the last byte of a letter was written when the line broke.
"""

from __future__ import annotations

import base64
import contextlib
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from lifecycle.outreach.channels.mail import Mail
from lifecycle.outreach.channels.settings import Secret
from lifecycle.outreach.channels.smtp_answers import Stage, answered, failed, silent
from lifecycle.outreach.outcome import Fault, Outcome, Refused

_LONGEST_LINE = 8192
_MOST_LINES = 200


class Security(StrEnum):
    """How the line is kept private."""

    STARTTLS = "starttls"  # begins in clear, and goes no further before it is private
    TLS = "tls"  # from the first byte
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where letters are handed over, and how."""

    host: str
    port: int
    security: Security
    hello: str  # as we call ourselves
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: Secret | None = field(default=None, repr=False)
    timeout: timedelta


class Broken(Exception):
    """No answer came that could be read; `why` as `smtp_answers.silent` knows it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class NotOpened(Exception):
    """No session came about; `refused` says why."""

    def __init__(self, refused: Outcome) -> None:
        super().__init__(str(refused))
        assert isinstance(refused, Refused)
        self.refused = refused


class _Wire(smtplib.SMTP):
    """`smtplib` with a deadline for a whole conversation, and without its own ideas of what is lost."""

    deadline = 0.0  # of time.monotonic

    def __init__(self, line: socket.socket, hello: str) -> None:
        super().__init__(local_hostname=hello)  # without a host it connects to nobody
        self.sock: socket.socket = line
        self._got = b""

    def send(self, s: bytes | bytearray | memoryview | str) -> None:  # type: ignore[override]
        octets = s.encode() if isinstance(s, str) else s
        try:
            self.sock.settimeout(self._left())
            self.sock.sendall(octets)
        except TimeoutError as error:
            raise Broken("timeout") from error
        except OSError as error:
            raise Broken("cut") from error

    def getreply(self) -> tuple[int, bytes]:
        lines: list[bytes] = []
        while True:
            line = self._line()
            if not line[:3].isdigit() or line[3:4] not in {b" ", b"-", b""}:
                raise Broken("unreadable")
            lines.append(line[4:].strip())
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(lines)
            if len(lines) > _MOST_LINES:
                raise Broken("unreadable")

    def private(self, context: ssl.SSLContext, host: str) -> None:
        """Raises `Broken` where answers came before it was: somebody else may have written them."""
        if self._got:
            raise Broken("unreadable")
        self.sock.settimeout(self._left())
        self.sock = context.wrap_socket(self.sock, server_hostname=host)
        # what was offered before has to be asked for again (RFC 3207)
        self.ehlo_resp, self.esmtp_features, self.does_esmtp = None, {}, False

    def _line(self) -> bytes:
        while (end := self._got.find(b"\n")) < 0:
            if len(self._got) > _LONGEST_LINE:
                raise Broken("unreadable")
            self._got += self._received()
        line, self._got = self._got[:end].rstrip(b"\r"), self._got[end + 1 :]
        return line

    def _received(self) -> bytes:
        try:
            self.sock.settimeout(self._left())
            got = self.sock.recv(65_536)
        except TimeoutError as error:
            raise Broken("timeout") from error
        except OSError as error:
            raise Broken("cut") from error
        if not got:
            raise Broken("cut")
        return got

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Broken("timeout")
        return left


class Session:
    """Greeted, private and logged in; hands over one letter after another. Not for two threads at once."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        self.letters = 0  # handed over so far, or tried
        self.used_at = time.monotonic()
        self.usable = True
        self.broke_off = False  # the line broke, or 421 came, before the letter was begun
        self._unfinished = False  # a letter was begun and refused

    def deliver(
        self, mail: Mail, *, return_path: str, envelope_id: str, deadline: float
    ) -> Outcome:
        """One letter to one recipient; what comes of it is about this letter only."""
        self._wire.deadline = deadline
        self.letters += 1
        self.broke_off = False
        if mail.needs_utf8 and not self._wire.has_extn("smtputf8"):
            return _beyond_ascii()
        self.usable = False  # until it is known again where the conversation stands
        stage = Stage.MAIL
        try:
            for stage, command, expected in self._commands(mail, return_path, envelope_id):
                code, text = self._wire.docmd(command)
                if code not in expected:
                    return self._refused(stage, code, text)
            stage = Stage.BODY
            self._wire.send(_stuffed(mail.content))
            stage = Stage.DOT
            code, text = self._finished()
        except Broken as broken:
            self.broke_off = stage is Stage.MAIL
            before_dot = stage is Stage.DOT and broken.why == "unsent"
            return silent(Stage.BODY, "cut") if before_dot else silent(stage, broken.why)
        self.usable = code != 421
        self.used_at = time.monotonic()
        return answered(Stage.DOT, code, text)

    def fresh(self, *, deadline: float, idle: float) -> bool:
        """Whether it may be used again; asks the server where there is doubt."""
        rested = time.monotonic() - self.used_at
        if not self.usable or rested > idle:
            return False
        if not self._unfinished and rested < 1.0:
            return True
        self._wire.deadline = deadline
        try:
            code, _ = self._wire.docmd("RSET" if self._unfinished else "NOOP")
        except Broken:
            return False
        self._unfinished = False
        return code == 250

    def end(self) -> None:
        """Says goodbye where that takes no time."""
        with contextlib.suppress(Broken, OSError):
            if self.usable:
                self._wire.deadline = time.monotonic() + 0.5
                self._wire.send("QUIT\r\n")
        with contextlib.suppress(OSError):
            self._wire.sock.close()
        self.usable = False

    def _commands(
        self, mail: Mail, return_path: str, envelope_id: str
    ) -> tuple[tuple[Stage, str, frozenset[int]], ...]:
        begin, to = f"MAIL FROM:<{return_path}>", f"RCPT TO:<{mail.recipient.addr_spec}>"
        if self._wire.has_extn("size"):
            begin += f" SIZE={len(mail.content)}"
        if mail.needs_utf8:
            begin += " SMTPUTF8"
        if self._wire.has_extn("dsn"):
            begin += f" RET=HDRS ENVID={envelope_id}"
            to += " NOTIFY=FAILURE"
        return (
            (Stage.MAIL, begin, frozenset({250})),
            (Stage.RCPT, to, frozenset({250, 251})),
            (Stage.DATA, "DATA", frozenset({354})),
        )

    def _refused(self, stage: Stage, code: int, text: bytes) -> Outcome:
        self.usable = code != 421
        self.broke_off = stage is Stage.MAIL and code == 421
        self._unfinished = True
        self.used_at = time.monotonic()
        return answered(stage, code, text)

    def _finished(self) -> tuple[int, bytes]:
        """A line that refuses the last bytes has not carried them: that is still a sure no."""
        try:
            self._wire.send(b".\r\n")
        except Broken as broken:
            plain = not isinstance(self._wire.sock, ssl.SSLSocket)
            raise Broken("unsent" if plain and broken.why == "cut" else broken.why) from broken
        return self._wire.getreply()


def open_session(server: Server, *, deadline: float) -> Session:
    """Connects, greets, makes the line private and logs in; raises NotOpened."""
    wire = _Wire(_connected(server, deadline), server.hello)
    wire.deadline = deadline
    stage = Stage.CONNECT
    try:
        for stage, step in _STEPS[server.security]:  # noqa: B007 - told if the step breaks
            step(wire, server)
    except Broken as broken:
        wire.sock.close()
        raise NotOpened(silent(stage, broken.why)) from broken
    except NotOpened:
        wire.sock.close()
        raise
    return Session(wire)


def _connected(server: Server, deadline: float) -> socket.socket:
    where = f"{server.host}:{server.port}"
    try:
        left = max(0.001, deadline - time.monotonic())
        line = socket.create_connection((server.host, server.port), timeout=left)
    except socket.gaierror as error:
        raise NotOpened(failed("dns_failed", f"nobody knows where {server.host} is")) from error
    except TimeoutError as error:
        raise NotOpened(failed("connect_timeout", f"{where} did not answer in time")) from error
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise NotOpened(failed("connect_failed", f"{where}: {why}")) from error
    # the last dot is a small write after a large one: without this it would wait for an answer first
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def _expect(stage: Stage, answer: tuple[int, bytes], code: int) -> None:
    if answer[0] != code:
        raise NotOpened(answered(stage, *answer))


def _greeted(wire: _Wire, _server: Server) -> None:
    _expect(Stage.CONNECT, wire.getreply(), 220)


def _introduced(wire: _Wire, _server: Server) -> None:
    _expect(Stage.EHLO, wire.ehlo(), 250)


def _upgraded(wire: _Wire, server: Server) -> None:
    if not wire.has_extn("starttls"):
        raise NotOpened(
            failed("starttls_not_offered", f"{server.host} does not offer to make the line private")
        )
    _expect(Stage.STARTTLS, wire.docmd("STARTTLS"), 220)
    _make_private(wire, server)


def _make_private(wire: _Wire, server: Server) -> None:
    assert server.tls is not None
    try:
        wire.private(server.tls, server.host)
    except ssl.SSLCertVerificationError as error:
        detail = f"the certificate of {server.host}: {error.verify_message}"
        raise NotOpened(failed("certificate_refused", detail)) from error
    except TimeoutError as error:
        raise Broken("timeout") from error
    except OSError as error:
        raise NotOpened(failed("tls_failed", "the line could not be made private")) from error


def _logged_in(wire: _Wire, server: Server) -> None:
    """By PLAIN or LOGIN; over a private line there is nothing that the others would add."""
    if server.username is None or server.password is None:
        return
    offered = wire.esmtp_features.get("auth", "").upper().split()
    if "PLAIN" in offered:
        told = f"\0{server.username}\0{server.password.text}"
        _expect(Stage.AUTH, wire.docmd("AUTH", f"PLAIN {_in_base64(told)}"), 235)
    elif "LOGIN" in offered:
        _expect(Stage.AUTH, wire.docmd("AUTH", f"LOGIN {_in_base64(server.username)}"), 334)
        _expect(Stage.AUTH, wire.docmd(_in_base64(server.password.text)), 235)
    else:
        raise NotOpened(
            failed("auth_not_offered", f"{server.host} offers neither AUTH PLAIN nor LOGIN")
        )


_BEGIN = ((Stage.CONNECT, _greeted), (Stage.EHLO, _introduced))
_STEPS: Mapping[Security, Sequence[tuple[Stage, Callable[[_Wire, Server], None]]]] = {
    Security.NONE: (*_BEGIN, (Stage.AUTH, _logged_in)),
    Security.TLS: ((Stage.STARTTLS, _make_private), *_BEGIN, (Stage.AUTH, _logged_in)),
    Security.STARTTLS: (
        *_BEGIN,
        (Stage.STARTTLS, _upgraded),
        (Stage.EHLO, _introduced),
        (Stage.AUTH, _logged_in),
    ),
}


def _in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _beyond_ascii() -> Refused:
    return Refused(
        code="smtputf8_not_offered",
        detail="the address has letters beyond ASCII before its @, and the server takes none",
        fault=Fault.RECIPIENT,
        permanent=True,
    )


def _stuffed(content: bytes) -> bytes:
    """A line that begins with a dot would end the letter."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed

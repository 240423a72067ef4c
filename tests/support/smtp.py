"""A mail server of the tests: takes letters and counts them, and fails at any stage as it is told.

In a test: `with SmtpServer(script) as server`. As a process of its own, for runs of many letters:
`python -m tests.support.smtp --fault rcpt:550:0.02 --fault dot:cut:0.01 --log taken.tsv` says on its
first line where it listens and, when it is ended by SIGTERM or SIGINT, what it took and answered.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import random
import re
import signal
import socket
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

LOOPBACK = "127.0.0.1"
STAGES = (
    "connect",
    "ehlo",
    "starttls",
    "auth",
    "mail",
    "rcpt",
    "data",
    "body",
    "dot",
    "rset",
    "noop",
)
ANSWERS = {
    "connect": "220 sink ready",
    "starttls": "220 go ahead",
    "auth": "235 2.7.0 welcome",
    "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok",
    "data": "354 go ahead",
    "rset": "250 2.0.0 ok",
    "noop": "250 2.0.0 ok",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What the server does at a stage instead of what is usual."""

    say: str | None = None  # an answer; None: the usual one
    delay: float = 0.0  # seconds before it
    cut: bool = False  # ends the connection instead of answering
    hang: bool = False  # never answers
    takes: bool = True  # at the dot: whether a letter whose answer is cut off or hangs was taken


@dataclass(slots=True)
class Taken:
    """One letter as it stands at one stage, and in the end as it was taken."""

    mail: str = ""  # the parameters of MAIL, as they came
    rcpt: list[str] = field(default_factory=list)  # likewise
    content: bytes = b""
    secure: bool = False
    user: str | None = None

    @property
    def sender(self) -> str:
        return _bracketed(self.mail)

    @property
    def recipients(self) -> list[str]:
        return [_bracketed(one) for one in self.rcpt]

    @property
    def key(self) -> str:
        """The local part of its Message-ID."""
        found = re.search(rb"^Message-ID: <([^@>]*)@", self.content, re.MULTILINE)
        return found[1].decode() if found else ""


Script = Callable[[str, Taken], Act | None]
"""Asked at every stage, with what is known of the letter; None: as usual."""


def as_usual(_stage: str, _letter: Taken) -> Act | None:
    return None


class SmtpServer:
    """Serves in a thread of its own while it is entered."""

    def __init__(
        self,
        script: Script = as_usual,
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        offers: Sequence[str] = ("SIZE 10485760", "8BITMIME", "SMTPUTF8", "DSN"),
        password: str | None = None,
        keep: bool = True,
        log: IO[str] | None = None,
        narrow: bool = False,  # little is on its way at once, so that a client waits to write more
    ) -> None:
        self.script = script
        self.tls, self.implicit, self.password = tls, implicit, password
        self.offers = tuple(offers)
        self.taken: list[Taken] = []  # empty where they are only counted
        self.counts: Counter[str] = Counter()  # letter's key → how often it was taken
        self.answers: Counter[str] = Counter()  # "stage code", "stage cut" or "stage hang" → times
        self.connections = 0
        self.open: set[_Connection] = set()
        self.port = 0
        self._keep, self._log, self._narrow = keep, log, narrow
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ended = asyncio.Event()

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(10), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def cut_idle(self) -> None:
        """Every connection that is open ends, as a server does that has waited long enough."""
        done = threading.Event()

        def cut() -> None:
            self._cut_all()
            done.set()

        assert self._loop is not None
        self._loop.call_soon_threadsafe(cut)
        assert done.wait(10)

    async def listen(self, port: int = 0) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        implicit = self.tls if self.implicit else None
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._narrow:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        listening.bind((LOOPBACK, port))
        server = await loop.create_server(
            lambda: _Connection(self), sock=listening, ssl=implicit, backlog=200
        )
        self.port = server.sockets[0].getsockname()[1]
        return server

    def take(self, letter: Taken) -> None:
        """It is counted, and written to the log, before anybody is told."""
        self.counts[letter.key] += 1
        if self._keep:
            self.taken.append(letter)
        if self._log is not None:
            self._log.write(f"{letter.key}\t{','.join(letter.recipients)}\n")
            self._log.flush()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        server = await self.listen()
        ready.set()
        await self._ended.wait()
        server.close()
        self._cut_all()
        await asyncio.sleep(0)

    def _cut_all(self) -> None:
        for connection in list(self.open):
            connection.end()


class _Connection(asyncio.Protocol):
    """One client, line by line; nothing is read on while an answer is delayed."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._got = b""
        self._in_body = False
        self._begun = False  # a letter is, and neither finished nor reset
        self._answered_for: str | None = None  # a stage whose answer is still to come
        self._letter = Taken()
        self._user: str | None = None
        self._secure = server.implicit
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.open.add(self)
        self._server.connections += 1
        self._at("connect")

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.open.discard(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._got += data
        self._go_on()

    def end(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _go_on(self) -> None:
        while self._transport is not None and self._answered_for is None:
            mark = b"\r\n.\r\n" if self._in_body else b"\r\n"
            line, found, rest = self._got.partition(mark)
            if not found:
                return
            self._got = rest
            if self._in_body:
                self._whole(line + b"\r\n")
            else:
                self._command(line)

    def _command(self, line: bytes) -> None:
        word, _, rest = line.decode("utf-8", "replace").partition(" ")
        match word.upper():
            case "EHLO" | "HELO":
                self._at("ehlo")
            case "STARTTLS" if self._server.tls is not None:
                self._at("starttls")
            case "AUTH":
                self._auth(rest)
            case "MAIL" if self._begun:
                self._say("503 5.5.1 a letter is begun already")
            case "MAIL":
                self._letter = Taken(mail=rest, secure=self._secure, user=self._user)
                self._at("mail")
            case "RCPT":
                self._letter.rcpt.append(rest)
                self._at("rcpt")
            case "DATA":
                self._at("data")
            case "RSET" | "NOOP" as word:
                self._at(word.lower())
            case "QUIT":
                self._say("221 bye")
                if self._transport is not None:
                    self._transport.close()
            case _:
                self._say("502 5.5.1 not known here")

    def _auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        if mechanism.upper() != "PLAIN" or not initial:
            return self._say("504 5.5.4 only PLAIN")
        _, user, password = base64.b64decode(initial).decode().split("\0")
        if password != self._server.password:
            return self._say(f"535 5.7.8 {user} is not known by this password")
        self._user = user
        return self._at("auth")

    def _whole(self, content: bytes) -> None:
        self._in_body = False
        self._letter.content = re.sub(rb"^\.", b"", content, flags=re.MULTILINE)
        self._at("dot")

    def _at(self, stage: str) -> None:
        act = self._server.script(stage, self._letter) or Act()
        if act.delay:
            self._answered_for = stage
            asyncio.get_running_loop().call_later(act.delay, self._late, stage, act)
        else:
            self._do(stage, act)

    def _late(self, stage: str, act: Act) -> None:
        self._answered_for = None
        if self._transport is not None:
            self._do(stage, act)
            self._go_on()

    def _do(self, stage: str, act: Act) -> None:
        answer = act.say or self._usual(stage)
        silent = act.cut or act.hang
        if stage == "dot" and (act.takes if silent else answer.startswith("2")):
            self._server.take(self._letter)
        said = "cut" if act.cut else "hang" if act.hang else answer[:3]
        self._server.answers[f"{stage} {said}"] += 1
        if act.cut:
            return self.end()
        if act.hang:
            self._answered_for = stage
            return None
        self._say(answer)
        return self._after(stage, answer)

    def _after(self, stage: str, answer: str) -> None:
        assert self._transport is not None
        if stage in {"mail", "rset", "dot"}:
            self._begun = stage == "mail" and answer.startswith("250")
        if stage == "data" and answer.startswith("354"):
            act = self._server.script("body", self._letter)
            if act is not None and act.cut:
                self._server.answers["body cut"] += 1
                self.end()  # while the client writes
            elif act is not None and act.hang:
                self._server.answers["body hang"] += 1
                self._answered_for = "body"
                self._transport.pause_reading()
            self._in_body = True
        elif stage == "starttls" and answer.startswith("220"):
            self._answered_for = stage
            task = asyncio.get_running_loop().create_task(self._upgrade())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif answer.startswith("421") or (stage == "connect" and not answer.startswith("220")):
            self._transport.close()

    async def _upgrade(self) -> None:
        assert self._transport is not None
        assert self._server.tls is not None
        with contextlib.suppress(ssl.SSLError, OSError):  # a client that does not trust us
            loop = asyncio.get_running_loop()
            self._transport = await loop.start_tls(
                self._transport, self, self._server.tls, server_side=True
            )
            self._secure, self._answered_for = True, None
            self._go_on()  # the client may have spoken before we knew

    def _usual(self, stage: str) -> str:
        if stage == "dot":
            return f"250 2.0.0 Ok: queued as {self._letter.key or 'nothing'}"
        if stage != "ehlo":
            return ANSWERS[stage]
        offers = ["sink", *self._server.offers]
        if self._server.tls is not None and not self._secure:
            offers.append("STARTTLS")
        if self._server.password is not None:
            offers.append("AUTH PLAIN")
        return "\r\n".join([*(f"250-{offer}" for offer in offers[:-1]), f"250 {offers[-1]}"])

    def _say(self, answer: str) -> None:
        if self._transport is not None:
            self._transport.write(answer.encode() + b"\r\n")


def _bracketed(parameters: str) -> str:
    found = re.search("<([^>]*)>", parameters)
    return found[1] if found else ""


def by_chance(faults: Sequence[tuple[str, Act, float]], seed: int) -> Script:
    """Each stage fails so often; which letters it hits depends on the seed and on their order."""
    chance = random.Random(seed)

    def script(stage: str, _letter: Taken) -> Act | None:
        for at, act, share in faults:
            if at == stage and chance.random() < share:
                return act
        return None

    return script


def in_turn(faults: Sequence[tuple[str, Act, float]], every: int) -> Script:
    """Each so manieth time that a stage is passed, the next of its faults: none of them is left out."""
    of_stage = {stage: [act for at, act, _ in faults if at == stage] for stage, _, _ in faults}
    passed: Counter[str] = Counter()

    def script(stage: str, _letter: Taken) -> Act | None:
        passed[stage] += 1
        turn, rest = divmod(passed[stage], every)
        acts = of_stage.get(stage)
        return acts[turn % len(acts)] if acts and not rest else None

    return script


def fault(text: str) -> tuple[str, Act, float]:
    """`rcpt:550:0.02`; what happens is a code, `cut`, `cut-untaken`, `hang`, or `wait=SECONDS`."""
    stage, what, share = text.split(":")
    if stage not in STAGES:
        raise argparse.ArgumentTypeError(f"no such stage; allowed: {', '.join(STAGES)}")
    if what.startswith("wait="):
        act = Act(delay=float(what.removeprefix("wait=")))
    elif what in {"cut", "cut-untaken", "hang"}:
        act = Act(cut=what != "hang", hang=what == "hang", takes=what != "cut-untaken")
    else:
        act = Act(say=f"{int(what)} scripted")
    return stage, act, float(share)


async def _serve(server: SmtpServer, port: int, *, until_eof: bool) -> None:
    listening = await server.listen(port)
    print(f"listening on {LOOPBACK}:{server.port}", flush=True)  # noqa: T201 - what starts it reads this
    ended = asyncio.Event()
    for how in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(how, ended.set)
    if until_eof:
        asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    await ended.wait()
    listening.close()


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.smtp")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fault", type=fault, action="append", default=[], help=fault.__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, help=in_turn.__doc__)
    parser.add_argument("--until-eof", action="store_true", help="ends as well when its input does")
    parser.add_argument(
        "--log", type=Path, help="a line of key and recipient for each letter taken"
    )
    given = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(given.log.open("a")) if given.log else None
        script = (
            in_turn(given.fault, given.every) if given.every else by_chance(given.fault, given.seed)
        )
        server = SmtpServer(script, keep=False, log=log)
        asyncio.run(_serve(server, given.port, until_eof=given.until_eof))
    told = {
        "taken": sum(server.counts.values()),
        "letters": len(server.counts),
        "doubles": sum(times - 1 for times in server.counts.values()),
        "connections": server.connections,
        "answers": dict(sorted(server.answers.items())),
    }
    print(json.dumps(told), flush=True)  # noqa: T201 - what starts it reads this


if __name__ == "__main__":
    main(sys.argv[1:])

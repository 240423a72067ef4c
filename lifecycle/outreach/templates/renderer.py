"""What does the message say to this customer? Asks a process of its own, and kills it if need be."""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Self, cast

import orjson

from lifecycle.errors import Unusable
from lifecycle.outreach.letter import Rendered
from lifecycle.outreach.templates.catalogue import Template
from lifecycle.outreach.templates.codec import encoded
from lifecycle.outreach.templates.part import TemplateFailed
from lifecycle.outreach.templates.subject import problem_of
from lifecycle.outreach.templates.words import EXCEEDED, MOST_SECONDS

LEAST_JINJA = (3, 1, 6)
START_SECONDS = 60.0  # of real time, on a busy machine
STARVED_SECONDS = 0.1  # of processor time: what used less in a second of real time had to wait
MOST_CONTEXT = 1024 * 1024  # bytes of one customer's values
MOST_ANSWER = 4 * 1024 * 1024
LENGTH = 4  # bytes before each message; as in `child`

_TIMED_OUT = TemplateFailed(code="template_limit", where="", detail=EXCEEDED)


class _Gone(Exception):
    """The process has ended, or does not speak as it should."""


class _TooLate(Exception):
    """No answer came in time."""


class Renderer:
    """Fills templates in; safe to use from several threads, each rendering in a process of its own.

    Processes are started when they are needed, `children` at the most, and end with `close`.
    """

    def __init__(self, *, children: int = 2) -> None:
        """Raises Unusable for a Jinja2 out of whose sandbox a way is known."""
        if tuple(map(int, version("jinja2").split(".")[:3])) < LEAST_JINJA:
            least = ".".join(map(str, LEAST_JINJA))
            raise Unusable(
                f"jinja2 {version('jinja2')} lets templates out; install {least} or newer"
            )
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(children):
            self._idle.put(None)
        self._closed = threading.Event()

    def render(
        self,
        template: Template,
        context: Mapping[str, object],
        *,
        language: str,
        zone: str,
        currency: str,
    ) -> Rendered | TemplateFailed:
        """Raises TypeError for a context that is not plain data. Never an empty text.

        `language` is hers: money and dates are written as there, where it is a kind of the language of
        the template (en-GB for en). `zone` is an IANA name.
        """
        request = {
            "key": template.hash + template.path,
            "context": encoded(dict(context)),
            "language": _language(language, template.language),
            "zone": zone,
            "currency": currency,
        }
        if len(orjson.dumps(request)) > MOST_CONTEXT:
            return TemplateFailed(
                code="context_too_large",
                where=template.path,
                detail=f"the values of this customer are larger than {MOST_CONTEXT // 1024} KiB",
            )
        answer = self._asked(template, request)
        if isinstance(answer, TemplateFailed):
            return answer if answer.where else _at(answer, template.path)
        return _rendered(template, answer)

    def close(self) -> None:
        """Ends all processes; what still renders ends with `template_limit` at the latest."""
        self._closed.set()
        with contextlib.suppress(queue.Empty):
            while True:
                if child := self._idle.get_nowait():
                    child.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _asked(self, template: Template, request: dict[str, Any]) -> list[Any] | TemplateFailed:
        """Once more where the machine, not the template, was slow or where the process had died."""
        child = self._idle.get()
        try:
            for last in (False, True):
                child = child if child and child.alive else _Child()
                try:
                    return child.ask(template, request)
                except (_TooLate, _Gone):
                    used = child.kill()
                    if used >= STARVED_SECONDS or last:
                        return _TIMED_OUT
            raise AssertionError
        finally:
            if self._closed.is_set() and child:
                child.end()
            else:
                self._idle.put(child if child and child.alive else None)


class _Child:
    """One process; used by one thread at a time."""

    def __init__(self) -> None:
        environment = {"PYTHONUTF8": "1"}  # nothing of ours: no address, no secret
        if path := os.environ.get("PYTHONPATH"):
            environment["PYTHONPATH"] = path
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lifecycle.outreach.templates.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=environment,
            cwd="/",
        )
        assert self._process.stdin
        assert self._process.stdout
        self._in, self._out = self._process.stdin, self._process.stdout
        os.set_blocking(self._in.fileno(), False)
        self._known: set[str] = set()
        self._cpu = 0.0  # seconds that it had used when it answered last
        self.alive = True
        try:
            self._cpu = float(self._receive(time.monotonic() + START_SECONDS)["cpu"])
        except (_Gone, _TooLate) as error:
            self.kill()
            raise Unusable(
                "the process that fills templates in does not start; nothing was sent"
            ) from error

    def ask(self, template: Template, request: dict[str, Any]) -> list[Any] | TemplateFailed:
        answer = self._exchange(template, request)
        if answer.get("unknown"):  # it keeps only so many
            self._known.discard(request["key"])
            answer = self._exchange(template, request)
        self._known.add(request["key"])
        self._cpu = float(answer.get("cpu", self._cpu))
        match answer:
            case {"filled": [str(), str() | None, str() | None, str() | None] as filled}:
                return cast("list[Any]", filled)
            case {"failed": [str(code), str(where), str(detail)]}:
                return TemplateFailed(code=code, where=where, detail=detail)
        raise _Gone

    def kill(self) -> float:
        """How much processor time it had used, since its last answer."""
        self.alive = False
        used = 0.0
        self._process.kill()
        with contextlib.suppress(ChildProcessError):
            _, status, usage = os.wait4(self._process.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            used = usage.ru_utime + usage.ru_stime - self._cpu
        self._in.close()
        self._out.close()
        return used

    def end(self) -> None:
        if self.alive:
            self.kill()

    def _exchange(self, template: Template, request: dict[str, Any]) -> dict[str, Any]:
        until = time.monotonic() + MOST_SECONDS
        sources = None if request["key"] in self._known else _sources(template)
        content = orjson.dumps({**request, "sources": sources})
        self._give(len(content).to_bytes(LENGTH) + content, until)
        return self._receive(until)

    def _give(self, content: bytes, until: float) -> None:
        rest = memoryview(content)
        while rest:
            self._wait(self._in, until, write=True)
            try:
                rest = rest[os.write(self._in.fileno(), rest) :]
            except OSError as error:
                raise _Gone from error

    def _receive(self, until: float) -> dict[str, Any]:
        size = int.from_bytes(self._take(LENGTH, until))
        if size > MOST_ANSWER:
            raise _Gone
        try:
            answer = orjson.loads(self._take(size, until))
        except orjson.JSONDecodeError as error:
            raise _Gone from error
        if not isinstance(answer, dict):
            raise _Gone
        return answer

    def _take(self, size: int, until: float) -> bytes:
        taken = bytearray()
        while len(taken) < size:
            self._wait(self._out, until, write=False)
            more = os.read(self._out.fileno(), size - len(taken))
            if not more:
                raise _Gone
            taken += more
        return bytes(taken)

    @staticmethod
    def _wait(stream: Any, until: float, *, write: bool) -> None:
        poll = select.poll()
        poll.register(stream, select.POLLOUT if write else select.POLLIN)
        if not poll.poll(max(until - time.monotonic(), 0) * 1000):
            raise _TooLate


def _sources(template: Template) -> dict[str, Any]:
    return {
        "body": asdict(template.body),
        "parts": {name: asdict(part) for name, part in template.parts.items()},
        "layout": asdict(template.layout) if template.layout else None,
        "partials": {name: asdict(part) for name, part in template.partials.items()},
    }


def _language(hers: str, written: str) -> str:
    """Hers, where it is a kind of the one in which the template is written."""
    same = hers.replace("_", "-").lower().split("-")[0] == written.lower().split("-")[0]
    return hers.replace("_", "-") if same else written


def _at(failed: TemplateFailed, where: str) -> TemplateFailed:
    return TemplateFailed(code=failed.code, where=where, detail=failed.detail)


def _subject_of(template: Template) -> str:
    """Where it stands in the front matter."""
    part = template.parts.get("subject") or template.parts.get("title") or template.body
    return f"{part.file}:{part.line}"


def _rendered(template: Template, filled: list[Any]) -> Rendered | TemplateFailed:
    text, html, subject, preheader = filled
    if subject is not None and (problem := problem_of(subject)):
        where = _subject_of(template)
        return TemplateFailed(code=problem[0], where=where, detail=problem[1])
    if not text.strip():
        return TemplateFailed(code="empty_text", where=template.path, detail="nothing was written")
    preheader = " ".join(preheader.split()) if preheader else None
    told = [text, html, subject, preheader, template.sender, template.language, template.hash]
    return Rendered(
        text=text,
        html=html,
        subject=subject,
        preheader=preheader,
        sender=template.sender,
        language=template.language,
        template_hash=template.hash,
        sha256=hashlib.sha256(orjson.dumps(told)).hexdigest(),
    )

"""The process in which templates are filled in: it has no database, no secret, and not long to live.

It reads requests from standard input and answers them on standard output, one after the other. Before
the first it gives up memory, processor time, files and further processes beyond small bounds, for good.
Whoever started it kills it when an answer does not come in time.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from typing import Any, BinaryIO

import orjson

from lifecycle.outreach.templates.part import Part, TemplateFailed
from lifecycle.outreach.templates.press import Press, Sources, Unknown
from lifecycle.outreach.templates.words import EXCEEDED

MOST_MEMORY = 280 * 1024 * 1024  # bytes of address space
MOST_CPU_SECONDS = 2  # for one request, should nobody be there to kill it
MOST_FILES = 32
LENGTH = 4  # bytes before each message that say how long it is
_WARM = ("en", "zh")  # the locales whose data is read before the first request


def main() -> None:
    given, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever prints does not answer
    press = Press()
    _warm()
    _give_up()
    _send(answers, {"ready": True, "cpu": time.process_time()})
    while (request := _received(given)) is not None:
        _allow_cpu()
        _send(answers, {**_answer(press, request), "cpu": time.process_time()})


def _answer(press: Press, request: dict[str, Any]) -> dict[str, Any]:
    try:
        made = press.fill(
            request["key"],
            _sources(request.get("sources")),
            request["context"],
            request["language"],
            request["zone"],
            request["currency"],
        )
    except Unknown:
        return {"unknown": True}
    except (MemoryError, RecursionError) as error:
        made = TemplateFailed(
            code="template_limit", where="", detail=f"{EXCEEDED} ({type(error).__name__})"
        )
    except Exception as error:  # noqa: BLE001 - it is told, and the process goes on
        made = TemplateFailed(
            code="template_error", where="", detail=f"cannot be filled in: {type(error).__name__}"
        )
    if isinstance(made, TemplateFailed):
        return {"failed": [made.code, made.where, made.detail]}
    return {"filled": [made.text, made.html, made.subject, made.preheader]}


def _sources(sent: dict[str, Any] | None) -> Sources | None:
    if sent is None:
        return None
    return Sources(
        body=Part(**sent["body"]),
        parts={name: Part(**part) for name, part in sent["parts"].items()},
        layout=Part(**sent["layout"]) if sent["layout"] else None,
        partials={name: Part(**part) for name, part in sent["partials"].items()},
    )


def _warm() -> None:
    """Reads once what would count as files and time of the first request."""
    from lifecycle.outreach.templates.filters import locale_of

    for language in _WARM:
        locale = locale_of(language)
        _ = (locale.currencies, locale.date_formats, locale.plural_form(1))


def _give_up() -> None:
    for what, most in (
        (resource.RLIMIT_AS, MOST_MEMORY),
        (resource.RLIMIT_NOFILE, MOST_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # where a stricter one is set already
            resource.setrlimit(what, (most, most))


def _allow_cpu() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + MOST_CPU_SECONDS, hard))


def _received(given: BinaryIO) -> dict[str, Any] | None:
    head = given.read(LENGTH)
    if len(head) < LENGTH:
        return None
    size = int.from_bytes(head)
    content = given.read(size)
    return orjson.loads(content) if len(content) == size else None


def _send(answers: Any, message: dict[str, Any]) -> None:
    content = orjson.dumps(message)
    rest = memoryview(len(content).to_bytes(LENGTH) + content)
    while rest:
        rest = rest[answers.write(rest) :]


if __name__ == "__main__":
    main()

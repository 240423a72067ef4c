"""How a line is written: one line, its fields beside it, and nothing of what anybody posted."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from lifecycle.errors import PoisonEvent, Unavailable, digest_of
from lifecycle.logs import context
from lifecycle.logs.failure import CAUSES, DEEPEST, code_of, told
from lifecycle.logs.lines import Line, Teller
from lifecycle.logs.stderr import AT_ONCE
from lifecycle.settings import LogForm, LogLevel
from tests.logs.conftest import Written, objects

Log = Callable[..., None]

CANARY = "jane.doe@example.com"
UNRULY = "a\r\nWARNING forged: line\x1b[2J\x7f\x85\u2028\u202e\U000e0041"

tell = Teller("lifecycle.somewhere")


def deep(levels: int) -> None:
    """Fails so many calls down, with a value in its words."""
    if levels:
        deep(levels - 1)
    raise ValueError(CANARY)


def failed(levels: int = 0) -> ValueError:
    with pytest.raises(ValueError, match=CANARY) as caught:
        deep(levels)
    return caught.value


# -- JSON


def test_a_line_is_one_object_with_its_name_its_sentence_and_its_fields(
    log: Log, written: Written
) -> None:
    log(LogForm.JSON)
    tell.warning("broker_lost", "{broker} is away for {seconds} s", broker="redis", seconds=3)
    (line,) = objects(written())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "warning",
        "logger": "lifecycle.somewhere",
        "event": "broker_lost",
        "message": "redis is away for 3 s",
        "broker": "redis",
        "seconds": 3,
        "process": os.getpid(),
        "thread": threading.current_thread().name,
    }


def test_the_time_is_that_of_the_record_in_utc_to_the_millisecond(
    log: Log, written: Written
) -> None:
    log(LogForm.JSON)
    record = logging.LogRecord("lifecycle", logging.ERROR, "", 0, "x", (), None)
    for created, text in ((0.0, "1970-01-01T00:00:00.000Z"), (1.9996, "1970-01-01T00:00:01.999Z")):
        record.created = created
        logging.getLogger().handle(record)
        assert objects(written())[0]["time"] == text


@pytest.mark.parametrize("form", LogForm)
def test_whatever_a_field_holds_a_line_is_one_line_of_printable_characters(
    log: Log, written: Written, form: LogForm
) -> None:
    log(form)
    tell.info("broker_found", "{broker} answers", broker=UNRULY)
    (line,) = written()
    assert line.isprintable()
    assert "\\r\\n" in line
    if form is LogForm.JSON:
        assert json.loads(line)["broker"] == UNRULY


def test_json_is_ascii_so_that_it_can_be_written_to_any_terminal(
    log: Log, written: Written
) -> None:
    """And half a character, as in the name of a file that is no text, is no reason to say nothing."""
    log(LogForm.JSON)
    tell.info("started", "潜在客户 {file}", file="\udcff")
    (line,) = written()
    assert line.isascii()
    assert json.loads(line)["message"] == "潜在客户 \udcff"


def test_many_lines_of_one_moment_are_written_as_lines_of_their_own(
    log: Log, written: Written
) -> None:
    log(LogForm.JSON)
    lines = [Line("step_made", "step {number}", {"number": number}) for number in range(100)]
    tell.all(logging.INFO, lines)
    told = objects(written())
    assert [line["message"] for line in told] == [f"step {number}" for number in range(100)]
    assert {line["event"] for line in told} == {"step_made"}
    assert len({line["time"] for line in told}) == 1


def test_lines_are_handed_to_a_shared_pipe_in_pieces_that_it_does_not_cut(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole lines, as many as fit into what a pipe takes at once; a longer one goes by itself."""
    pieces: list[str] = []
    monkeypatch.setattr(sys, "stderr", _Pieces(pieces))
    log(LogForm.JSON)
    filler = "x" * 100
    lines = [Line("a", filler, {})] * 100 + [Line("b", "y" * AT_ONCE, {})] + [Line("a", "z", {})]
    tell.all(logging.INFO, lines)
    assert len(pieces) > 3
    assert sum(piece.count("\n") for piece in pieces) == len(lines)
    assert all(piece.endswith("\n") for piece in pieces)
    assert sum(len(piece) > AT_ONCE for piece in pieces) == 1


class _Pieces:
    def __init__(self, pieces: list[str]) -> None:
        self.write = pieces.append

    def flush(self) -> None:
        """Nothing is kept."""


# -- text


def test_a_sentence_is_followed_by_what_it_does_not_say_itself(log: Log, written: Written) -> None:
    log(LogForm.TEXT, serving=False)
    tell.warning(
        "batch_taken",
        "{queue}: a batch",
        queue="events",
        refused=2,
        codes={"json_syntax": 2},
        key=None,
    )
    (line,) = written()
    assert line.endswith(
        "WARNING lifecycle.somewhere batch_taken: events: a batch (codes=json_syntax:2, refused=2)"
    )


def test_as_text_a_line_has_its_name_to_be_looked_for_unless_it_is_a_librarys(
    log: Log, written: Written
) -> None:
    log(LogForm.TEXT, serving=False)
    tell.warning("broker_unfit", "it is too old")
    logging.getLogger("uvicorn.error").error("bad header")
    ours, theirs = written()
    assert ours.endswith(" WARNING lifecycle.somewhere broker_unfit: it is too old")
    assert theirs.endswith(" ERROR uvicorn.error: bad header")


def test_only_a_server_names_its_threads(log: Log, written: Written) -> None:
    named = f"[{threading.current_thread().name}] "
    for serving in (True, False):
        log(LogForm.TEXT, serving=serving)
        tell.info("stopped", "stopped")
        assert (named in written()[0]) is serving


# -- errors


def test_of_an_error_its_type_and_places_are_told_and_never_its_words(
    log: Log, written: Written
) -> None:
    log(LogForm.JSON)
    cause = failed()
    error = PoisonEvent("shop", CANARY, cause)
    error.__cause__ = cause
    tell.error("event_failed", "an event failed", error=error)
    (text,) = written()
    assert CANARY not in text
    told = json.loads(text)["error"]
    assert told["type"] == "PoisonEvent"
    assert told["cause"] == {
        "type": "ValueError",
        "digest": digest_of(cause),
        "stack": [
            f"tests/logs/test_form.py:{failed.__code__.co_firstlineno + 2} failed",
            f"tests/logs/test_form.py:{deep.__code__.co_firstlineno + 4} deep",
        ],
    }


def test_a_stack_and_a_chain_of_causes_have_an_end(log: Log, written: Written) -> None:
    log(LogForm.JSON)
    outer = KeyError(CANARY)
    outer.__cause__ = failed(levels=100)
    tell.error("event_failed", "deep", error=outer)
    assert len(objects(written())[0]["error"]["cause"]["stack"]) == DEEPEST
    chain: BaseException = failed()
    for _ in range(10):
        longer = KeyError(CANARY)
        longer.__cause__ = chain
        chain = longer
    tell.error("event_failed", "long", error=chain)
    told, causes = objects(written())[0]["error"], 0
    while "cause" in told:
        told, causes = told["cause"], causes + 1
    assert causes == CAUSES


@pytest.mark.parametrize(
    ("serving", "debug", "shown"), [(False, "", False), (False, "1", True), (True, "", True)]
)
def test_as_text_places_are_told_by_servers_and_on_request_only(
    log: Log,
    written: Written,
    monkeypatch: pytest.MonkeyPatch,
    serving: bool,
    debug: str,
    shown: bool,
) -> None:
    monkeypatch.setenv("LIFECYCLE_DEBUG", debug)
    log(LogForm.TEXT, serving=serving)
    error = failed()
    tell.error("batch_failed", "customer 7 failed alone", error=error)
    first, *rest = written()
    assert first.endswith(f"customer 7 failed alone (ValueError {digest_of(error)})")
    assert any("tests/logs/test_form.py:" in line for line in rest) is shown
    assert rest == [] or shown
    assert not any(CANARY in line for line in rest)


def test_words_are_told_only_of_errors_that_are_about_the_installation() -> None:
    assert told(Unavailable("the disk is full")) == "the disk is full"
    assert told(ValueError(CANARY)) == "ValueError"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("OOM command not allowed", "ValueError OOM"),
        (f"Command # 1 (XADD x {CANARY}) of pipeline caused error: OOM no", "ValueError OOM"),
        (f"{CANARY} is no good", "ValueError"),
        (f"Jane {CANARY}", "ValueError"),
        ("", "ValueError"),
    ],
)
def test_of_a_refusal_by_a_server_its_code_is_told(words: str, code: str) -> None:
    assert code_of(ValueError(words)) == code


@pytest.mark.parametrize("form", LogForm)
def test_a_line_that_cannot_be_written_is_told_of_without_what_it_was_to_say(
    log: Log, written: Written, form: LogForm
) -> None:
    """Python's own logging would print the arguments."""
    log(form)
    tell.info("stopped", "{missing}", found=CANARY)
    logging.getLogger("uvicorn.error").error("%d", CANARY)
    text = "\n".join(written())
    assert "a line of lifecycle.somewhere cannot be written" in text
    assert "a line of uvicorn.error cannot be written" in text
    assert CANARY not in text


# -- lines of others


def test_lines_of_libraries_take_the_same_form(log: Log, written: Written) -> None:
    log(LogForm.JSON)
    logging.getLogger("uvicorn.error").error("the port %d is taken", 8000)
    (line,) = objects(written())
    assert (line["event"], line["logger"]) == ("library", "uvicorn.error")
    assert line["message"] == "the port 8000 is taken"


@pytest.mark.parametrize("form", LogForm)
def test_words_of_libraries_that_may_quote_somebody_are_not_shown(
    log: Log, written: Written, form: LogForm
) -> None:
    """Beside an exception none are, as they often repeat it."""
    log(form)
    logging.getLogger("asyncio").error("never retrieved: <Task %s>", CANARY)
    logging.getLogger("uvicorn.error").error("failed on %s", CANARY, exc_info=failed())
    lines = written()
    assert "asyncio said something that may quote" in lines[0]
    assert "uvicorn said something that may quote" in lines[1]
    assert "ValueError" in "\n".join(lines)
    assert CANARY not in "\n".join(lines)


def test_what_libraries_chatter_about_is_not_logged(log: Log, written: Written) -> None:
    log(LogForm.TEXT)
    for chatty in ("apscheduler.scheduler", "dramatiq.worker", "alembic.runtime", "uvicorn.error"):
        logging.getLogger(chatty).warning("maximum number of running instances reached")
    assert written() == []


@pytest.mark.filterwarnings("default")
def test_what_python_itself_would_print_becomes_lines(log: Log, written: Written) -> None:
    """The end of a thread, an error in a destructor, a warning: each with values in its words."""
    log(LogForm.JSON)
    thread = threading.Thread(target=deep, args=(0,), name="doomed")
    thread.start()
    thread.join()
    sys.unraisablehook(cast("sys.UnraisableHookArgs", SimpleNamespace(exc_value=failed())))
    sys.excepthook(ValueError, failed(), None)
    warnings.warn(CANARY, stacklevel=1)
    lines = written()
    assert [line["event"] for line in objects(lines)] == [
        "thread_ended",
        "error_ignored",
        "process_ended",
        "library",
    ]
    assert CANARY not in "\n".join(lines)


# -- what it is about


def test_lines_say_what_they_are_about_while_it_lasts(log: Log, written: Written) -> None:
    log(LogForm.JSON)
    with context.about(request_id="r1"), context.about(bell="apply"):
        tell.info("stopped", "inside")
    tell.info("stopped", "outside")
    inside, outside = objects(written())
    assert (inside["request_id"], inside["bell"]) == ("r1", "apply")
    assert "request_id" not in outside


def test_text_leaves_out_what_the_name_of_the_thread_says(log: Log, written: Written) -> None:
    log(LogForm.TEXT)
    with context.about(bell="apply", ring="1a2b", request_id="r1"):
        tell.info("stopped", "inside")
    assert written()[0].endswith("inside (request_id=r1)")


# -- levels


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        (None, ["info", "warning"]),
        (LogLevel.WARNING, ["warning"]),
        (LogLevel.INFO, ["info", "warning"]),
        (LogLevel.DEBUG, ["debug", "info", "warning"]),
    ],
)
def test_a_level_that_is_named_wins_over_what_is_usual(
    log: Log, written: Written, level: LogLevel | None, heard: list[str]
) -> None:
    log(LogForm.JSON, level=level, usual=logging.INFO)
    tell.debug("stopped", "x")
    tell.info("stopped", "x")
    tell.warning("stopped", "x")
    tell.all(logging.DEBUG, [])
    assert [line["level"] for line in objects(written())] == heard
    assert tell.hears(logging.DEBUG) is ("debug" in heard)

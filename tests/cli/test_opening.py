"""What the log shows while a command runs: one line a message, unless more is asked for."""

from __future__ import annotations

import logging

import pytest

from lifecycle.cli.opening import log_to_stderr
from tests.cli.conftest import Lifecycle


def tell_of_a_defect() -> None:
    try:
        raise KeyError("facts")  # noqa: TRY301 - the defect itself
    except KeyError:
        logging.getLogger("lifecycle.engine.apply").exception("customer 7 failed alone")


@pytest.mark.parametrize(
    ("serving", "debug", "shown"), [(False, "", False), (False, "1", True), (True, "", True)]
)
def test_a_traceback_is_logged_by_servers_and_on_request_only(
    lifecycle: Lifecycle,  # puts the log back as it was
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    serving: bool,
    debug: str,
    shown: bool,
) -> None:
    monkeypatch.setenv("LIFECYCLE_DEBUG", debug)
    log_to_stderr(logging.WARNING, serving=serving)
    tell_of_a_defect()
    said = capsys.readouterr().err
    assert "ERROR lifecycle.engine.apply: customer 7 failed alone" in said
    assert "KeyError: 'facts'" in said
    assert ("Traceback" in said) is shown


def test_what_libraries_chatter_about_is_not_logged(
    lifecycle: Lifecycle, capsys: pytest.CaptureFixture[str]
) -> None:
    log_to_stderr(logging.INFO)
    for chatty in ("apscheduler.scheduler", "dramatiq.worker", "alembic.runtime", "uvicorn.error"):
        logging.getLogger(chatty).warning("maximum number of running instances reached")
    assert capsys.readouterr().err == ""

"""The consumer of a process begins anew after a defect, and ends when it is told to."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lifecycle.bootstrap import Engine
from lifecycle.errors import Unusable
from tests.web.conftest import running
from tests.workers.queues import Watched
from workers import intake
from workers.intake import Intake
from workers.line import Line


class Told:
    """A consumer that fails at first, and then waits until it is told to stop."""

    def __init__(self, stop: threading.Event, began: list[str]) -> None:
        self._stop = stop
        self._began = began
        self.waits = threading.Event()

    def run(self) -> None:
        self._began.append("began")
        if len(self._began) == 1:
            raise ValueError("nobody foresaw this")
        self.waits.set()
        self._stop.wait()


def test_a_consumer_that_ends_by_a_defect_begins_anew_and_stops_when_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[str] = []
    waits = threading.Event()

    def consumer_of(_engine: Engine, _url: str, stop: threading.Event, *_: object) -> Told:
        consumer = Told(stop, began)
        consumer.waits = waits
        return consumer

    monkeypatch.setattr(intake, "consumer_of", consumer_of)
    monkeypatch.setattr(intake, "AGAIN_AFTER", 0.0)
    with running(f"sqlite:///{tmp_path / 'test.db'}", tmp_path) as engine:
        watched = Watched(engine, lambda _: None)
        beside = Intake(watched, "redis://127.0.0.1:1")
        beside.stop()  # before the start there is nothing to end
        beside = Intake(watched, "redis://127.0.0.1:1")
        beside.start()
        assert waits.wait(30)
        beside.stop()
    assert began == ["began", "began"]
    assert watched.complaints.total == 1
    assert not any(thread.name == "intake" for thread in threading.enumerate())


class Noticed(Line):
    """The line of a process, which waits for the first who fails."""

    def __init__(self) -> None:
        super().__init__("the broker")
        self.silent = threading.Event()

    def lost(self, queue: str, error: BaseException) -> None:
        super().lost(queue, error)
        self.silent.set()


def test_a_server_that_is_not_there_keeps_nobody_from_stopping_and_is_told_by_the_line(
    tmp_path: Path,
) -> None:
    """Of a process that does more with the broker than take events in, it is still one line."""
    with running(f"sqlite:///{tmp_path / 'test.db'}", tmp_path) as engine:
        for url in ("redis://127.0.0.1:1", "amqp://127.0.0.1:1"):
            watched = Watched(engine, lambda _: None)
            line = Noticed()
            beside = Intake(watched, url, line=line)
            beside.start()
            assert line.silent.wait(30)
            beside.stop()
            assert watched.complaints.total == 0
    assert not any(thread.name == "intake" for thread in threading.enumerate())


def test_a_url_of_anything_else_is_refused(tmp_path: Path) -> None:
    with (
        running(f"sqlite:///{tmp_path / 'test.db'}", tmp_path) as engine,
        pytest.raises(Unusable, match="'kafka' is no queue"),
    ):
        intake.run(engine, "kafka://127.0.0.1", threading.Event())

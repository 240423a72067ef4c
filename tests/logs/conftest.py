"""The log of this process as a server, or a command, would write it; put back as it was afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle.logs.stderr import log_to_stderr
from lifecycle.settings import LogForm, LogLevel, Settings
from tests.support.logs import as_it_was

Written = Callable[[], list[str]]
"""The lines that were written since it was last asked."""


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    with as_it_was():
        yield


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Written:
    capsys.readouterr()

    def lines() -> list[str]:
        return capsys.readouterr().err.splitlines()

    return lines


@pytest.fixture
def log(tmp_path: Path, written: Written) -> Callable[..., None]:
    """Sets the log up: `log(LogForm.JSON, level=LogLevel.INFO, serving=True)`."""

    def set_up(
        form: LogForm, *, level: LogLevel | None = None, serving: bool = True, usual: int = 20
    ) -> None:
        settings = Settings(
            database_url="sqlite://", config_dir=tmp_path, log=form, log_level=level
        )
        log_to_stderr(settings, usual, serving=serving)

    return set_up


def objects(lines: list[str]) -> list[dict[str, Any]]:
    """Every line must be one JSON object."""
    return [json.loads(line) for line in lines]

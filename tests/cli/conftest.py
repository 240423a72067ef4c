"""Commands run as a user runs them, but in this process: what they print, and how they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from lifecycle import cli
from tests.support.logs import as_it_was


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Lifecycle(Protocol):
    def __call__(self, *arguments: str | Path) -> Ran: ...


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have told programs how wide the terminal is."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no setting in the environment."""
    for name in (
        "DATABASE_URL",
        "CONFIG_DIR",
        "BROKER_URL",
        "BROKER_PREFIX",
        "PORT",
        "MAX_PENDING",
        "NIGHT",
        "SCORING",
        "KEEP_DAYS",
        "CLOCK",
        "LOG",
        "LOG_LEVEL",
        "DEBUG",
    ):
        monkeypatch.delenv(f"LIFECYCLE_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lifecycle(home: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Lifecycle]:
    """Runs `lifecycle …` in `home`."""

    def run(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return Ran(code=code, out=told.out, err=told.err)

    with as_it_was():
        yield run


ORDERS = """\
Invoice,InvoiceDate,CustomerID,amount,cancelled
1,2010-01-01T10:00:00,anna,12.50,False
2,2010-01-05T10:00:00,anna,20.00,False
3,2010-01-09T10:00:00,bert,7.25,False
4,2010-01-09T11:00:00,bert,0,False
"""


@pytest.fixture
def orders(home: Path) -> Path:
    """A small file of history in the columns of the mapping `online-retail`."""
    file = home / "orders.csv"
    file.write_text(ORDERS, "utf-8")
    return file

"""Whose telling of a history is examined: the oracle's, the fold's, the engine's on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.scenarios.driver import Begin
from tests.scenarios.on_engine import EngineLife
from tests.scenarios.on_fold import FoldLife
from tests.scenarios.on_oracle import OracleLife
from tests.support.current import Copies
from tests.support.engine import installation

SQLITE, POSTGRES = "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)

BeginOnEngine = Callable[[str], EngineLife]


@pytest.fixture
def begin_on(request: pytest.FixtureRequest) -> Iterator[Callable[[str], BeginOnEngine]]:
    """Lives on the engine, each in a fresh database of its own of the kind that is named."""
    with ExitStack() as lives:

        def fresh(kind: str) -> str:
            if kind == "sqlite":
                directory: Path = request.getfixturevalue("tmp_path_factory").mktemp("life")
                return f"sqlite:///{directory / 'life.db'}"
            copies: Copies = request.getfixturevalue("postgres_copies")
            return lives.enter_context(copies())

        def on(kind: str) -> BeginOnEngine:
            return lambda policy: EngineLife(lives.enter_context(installation(fresh(kind), policy)))

        yield on


@pytest.fixture(params=["oracle", "fold", SQLITE, POSTGRES])
def begin(request: pytest.FixtureRequest, begin_on: Callable[[str], BeginOnEngine]) -> Begin:
    match request.param:
        case "oracle":
            return OracleLife
        case "fold":
            return FoldLife
        case kind:
            return begin_on(kind)


@pytest.fixture(params=[SQLITE, POSTGRES])
def begin_engine(
    request: pytest.FixtureRequest, begin_on: Callable[[str], BeginOnEngine]
) -> BeginOnEngine:
    """For what only the engine knows: refusals at the door, revocations, fates of messages."""
    return begin_on(request.param)

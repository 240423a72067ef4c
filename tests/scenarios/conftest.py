"""Whose telling of a history is examined: the oracle's, the fold's, the engine's."""

from __future__ import annotations

import pytest

from tests.scenarios.driver import Begin
from tests.scenarios.on_fold import FoldLife
from tests.scenarios.on_oracle import OracleLife


@pytest.fixture(params=["oracle", "fold"])
def begin(request: pytest.FixtureRequest) -> Begin:
    return OracleLife if request.param == "oracle" else FoldLife

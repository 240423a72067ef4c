"""Two years of real invoices, read by the naive computation and, once, by the engine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.realdata import naive
from tests.realdata.installed import SHIPPED_MAPPINGS, Installed, installed

AFTERWARDS = datetime(2011, 12, 10, tzinfo=UTC)  # the day after the last invoice


@pytest.fixture(scope="session")
def invoices_file(shared_data: Path) -> Path:
    return shared_data / naive.FILE


@pytest.fixture(scope="session")
def invoices(invoices_file: Path) -> list[naive.Invoice]:
    return naive.invoices(invoices_file)


@pytest.fixture(scope="session")
def imported(invoices_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """All of it under the shipped policy, on the day after."""
    path = tmp_path_factory.mktemp("imported") / "engine.db"
    with installed(f"sqlite:///{path}", AFTERWARDS) as engine:
        report = engine.import_file(invoices_file, SHIPPED_MAPPINGS / "online-retail.yaml")
        assert (report.rows, report.accepted, report.problems) == (44_876, 44_870, 0)
        assert report.skipped == {"the amount is zero": 6}
        yield engine

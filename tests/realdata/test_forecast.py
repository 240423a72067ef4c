"""The forecast of the real invoices, checked on their last 90 days; docs/forecast.md has the figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle.domain.policy import Policy
from lifecycle.engine.backtest.asking import Candidate
from lifecycle.engine.backtest.course import Ways
from lifecycle.engine.backtest.histories import Filed, filed
from lifecycle.engine.forecast import Asked, Report, ahead
from lifecycle.insight.hindsight import Hits
from lifecycle.intake import mapping_file, table
from lifecycle.intake.draft import Draft
from lifecycle.policy import load
from tests.realdata.conftest import AFTERWARDS
from tests.realdata.installed import SHIPPED_MAPPINGS, SHIPPED_POLICY

WAYS = Ways(addresses={"email": "email", "sms": "phone", "task": None}, everybody=True)


@pytest.fixture(scope="module")
def shipped() -> Policy:
    return load(SHIPPED_POLICY).policy


@pytest.fixture(scope="module")
def from_the_file(invoices_file: Path, shipped: Policy) -> Iterator[Filed]:
    mapping = mapping_file.load(SHIPPED_MAPPINGS / "online-retail.yaml", shipped)
    rows = table.drafts(invoices_file, mapping, shipped, AFTERWARDS)
    with filed(row for row in rows if isinstance(row, Draft)) as found:
        yield found


@pytest.fixture(scope="module")
def told(from_the_file: Filed, shipped: Policy) -> Report:
    return ahead(Candidate.of(shipped, "", "shipped"), from_the_file, WAYS, Asked())


def test_it_begins_where_the_history_ends(told: Report) -> None:
    assert {state.state: state.now for state in told.states} == {
        "potential": 93,
        "intent": 0,
        "deal": 388,
        "loyal": 1_136,
        "dormant": 1_084,
        "churned": 2_378,
        "reactivated": 860,
    }
    assert (told.customers, told.history_days, told.has_season) == (5_939, 739, True)


def test_the_check_says_what_the_documentation_says(told: Report) -> None:
    found = told.check.found
    assert found is not None
    assert found.sizes == Hits(figures=78, inside=61, error=72.36, naive=135.18)
    assert found.letters == Hits(figures=156, inside=144, error=15.55, naive=23.6)
    assert found.volume == Hits(figures=13, inside=7, error=106.12, naive=572.23)
    assert told.check.verdict[0] == (
        "Sizes of states: 61 of 78 figures (78%) lay within their 80% interval. They were off by 72.4"
        " customers on average, better than the guess that sizes stay as they are, which was off by 135.2."
        " It was no better for potential, churned."
    )
    assert "; the intervals were too narrow" in told.check.verdict[2]

"""A backtest of the real invoices says what the engine recorded, step for step, and gives its digest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lifecycle.cli.output import plain
from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import Policy, PolicyVersion
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.backtest.asking import Candidate, Period, backtest, recorded
from lifecycle.engine.backtest.course import Courses, Ways
from lifecycle.engine.backtest.histories import Filed, filed
from lifecycle.intake import mapping_file, table
from lifecycle.intake.draft import Draft
from lifecycle.policy import load
from tests.realdata.conftest import AFTERWARDS
from tests.realdata.installed import SHIPPED_MAPPINGS, SHIPPED_POLICY, Installed, installed
from tests.realdata.test_one_truth import Sample, lived, sample

__all__ = ["sample"]  # the fixture

MAPPING = SHIPPED_MAPPINGS / "online-retail.yaml"
WAYS = Ways(addresses={"email": "email", "sms": "phone", "task": None})


@pytest.fixture(scope="module")
def shipped() -> Policy:
    return load(SHIPPED_POLICY).policy


@pytest.fixture(scope="module")
def from_the_file(invoices_file: Path, shipped: Policy) -> Iterator[Filed]:
    """The whole file, and no database."""
    mapping = mapping_file.load(MAPPING, shipped)
    rows = table.drafts(invoices_file, mapping, shipped, AFTERWARDS)
    with filed(row for row in rows if isinstance(row, Draft)) as found:
        yield found


def test_a_backtest_of_the_file_alone_gives_the_digest_of_the_installation(
    imported: Installed, from_the_file: Filed, shipped: Policy
) -> None:
    told = backtest(Candidate.of(shipped, "", "shipped"), from_the_file, WAYS, Period())
    assert told.digest == imported.digest()
    assert (told.customers, told.events) == (5_939, 44_870)


def test_a_backtest_makes_every_step_that_the_installation_made(
    imported: Installed, from_the_file: Filed, shipped: Policy
) -> None:
    """Up to the day after the last invoice, until when the clock of the installation has come."""
    version = PolicyVersion(number=1, hash="", effective_at=BEGINNING, policy=shipped)
    courses = Courses(Timeline([version]), WAYS, AFTERWARDS)
    (drawer,) = from_the_file.drawers
    assert not isinstance(drawer, Path)
    made = {customer: courses.of(customer, history).steps for customer, history in drawer}
    assert made == imported.steps()


def test_a_backtest_of_a_life_lived_month_by_month_gives_its_digest(
    database_url: str, sample: Sample
) -> None:
    """Fed through intake while the clock is driven, with every third event years late."""
    with installed(database_url, datetime(2009, 12, 1, tzinfo=UTC)) as engine:
        drafts = sample.drafts(Installed(engine.inst, AFTERWARDS), sample.rows)
        late = drafts[::3]
        lived(engine, [draft for index, draft in enumerate(drafts) if index % 3], late)
        policy = engine.inst.policy()
        history = recorded(engine.inst.db, database_url)
        tried = Candidate.of(policy, "", "in force")
        told = backtest(tried, history, WAYS, Period(until=AFTERWARDS))
        assert told.digest == engine.digest(AFTERWARDS)
        apart = backtest(tried, history, WAYS, Period(until=AFTERWARDS), processes=2)
        assert plain(apart) == plain(told), "however many processes count it"

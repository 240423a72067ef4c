"""However the same events get in, they give one digest: any order, any number of times, any way.

Told on the real invoices of every fortieth customer, on both databases; the whole file is imported
forwards and backwards on one of them. REALDATA_EVERY=1 tells all of it on all customers.
"""

from __future__ import annotations

import csv
import gzip
import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from lifecycle.bootstrap import build
from lifecycle.clock import ClockSpec
from lifecycle.domain.instant import instant_text
from lifecycle.engine.accept import Accepted, Duplicate
from lifecycle.engine.digest import digest
from lifecycle.intake.draft import Draft
from lifecycle.resources import config_dir
from lifecycle.settings import Settings
from tests.realdata.conftest import AFTERWARDS
from tests.realdata.installed import AT_ONCE, SHIPPED_MAPPINGS, Installed, body, installed
from tests.web.conftest import serving

MAPPING = SHIPPED_MAPPINGS / "online-retail.yaml"

EVERY = int(os.environ.get("REALDATA_EVERY", "40"))  # so manieth customer is in the sample
STEPS, REVOKED = 28_000 // EVERY, 8_000 // EVERY  # that the sample has at least

Rows = list[list[str]]


def read(path: Path) -> tuple[list[str], Rows]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


class Sample:
    """A part of the file, which is written down again in any order."""

    def __init__(self, source: Path, folder: Path) -> None:
        self._folder = folder
        self._header, rows = read(source)
        self.rows = [row for row in rows if int(row[1]) % EVERY == 7 % EVERY]
        self._files = 0

    def written(self, rows: Rows) -> Path:
        self._files += 1
        path = self._folder / f"part-{self._files}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self._header)
            writer.writerows(rows)
        return path

    def shuffled(self, rows: Rows, seed: int = 11) -> Rows:
        return random.Random(seed).sample(rows, len(rows))

    def drafts(self, engine: Installed, rows: Rows) -> list[Draft]:
        return [
            item for item in engine.drafts(self.written(rows), MAPPING) if isinstance(item, Draft)
        ]


@pytest.fixture(scope="session")
def sample(invoices_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample(invoices_file, tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="session")
def one_digest(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the sample as it stands in the file, imported into SQLite."""
    path = tmp_path_factory.mktemp("one") / "engine.db"
    with installed(f"sqlite:///{path}", AFTERWARDS) as engine:
        engine.import_file(sample.written(sample.rows), MAPPING)
        assert sum(map(len, engine.steps().values())) > STEPS
        return engine.digest()


@pytest.fixture
def engine(database_url: str) -> Iterator[Installed]:
    with installed(database_url, AFTERWARDS) as engine:
        yield engine


def in_the_file_s_order(rows: Rows) -> Rows:
    return rows


def backwards(rows: Rows) -> Rows:
    return rows[::-1]


def shuffled(rows: Rows) -> Rows:
    return random.Random(5).sample(rows, len(rows))


def doubled_and_shuffled(rows: Rows) -> Rows:
    return shuffled(rows + rows)


@pytest.mark.parametrize("order", [in_the_file_s_order, backwards, shuffled, doubled_and_shuffled])
def test_a_file_gives_one_digest_in_any_order_and_doubled(
    engine: Installed, sample: Sample, one_digest: str, order: Callable[[Rows], Rows]
) -> None:
    rows = order(sample.rows)
    report = engine.import_file(sample.written(rows), MAPPING)
    assert report.accepted + sum(report.skipped.values()) + report.duplicates == len(rows)
    assert report.duplicates in {0, report.accepted}
    assert engine.digest() == one_digest


def test_importing_a_file_again_or_another_that_overlaps_adds_nothing(
    engine: Installed, sample: Sample, one_digest: str
) -> None:
    first = engine.import_file(sample.written(sample.rows), MAPPING)
    again = engine.import_file(sample.written(shuffled(sample.rows)[:400]), MAPPING)
    assert (again.accepted, again.duplicates + sum(again.skipped.values())) == (0, 400)
    assert first.conflicts == again.conflicts == ()
    assert engine.digest() == one_digest


def test_a_file_in_parts_gives_the_digest_of_the_whole(
    engine: Installed, sample: Sample, one_digest: str
) -> None:
    """Later parts reach into what was folded before, and overturn it."""
    rows = shuffled(sample.rows)
    for part in (rows[:300], rows[300:400], rows[400:]):
        engine.import_file(sample.written(part), MAPPING)
    assert engine.digest() == one_digest


@pytest.mark.parametrize("at_once", [AT_ONCE, 37, 1], ids=["large batches", "parts", "one by one"])
def test_what_is_posted_gives_the_digest_of_the_import(
    engine: Installed, sample: Sample, one_digest: str, at_once: int
) -> None:
    """Shuffled: each body is read as HTTP reads it, and everything is applied at the end."""
    drafts = sample.drafts(engine, shuffled(sample.rows))
    assert len(drafts) > 37
    results = engine.post(drafts, at_once=at_once)
    assert all(isinstance(result, Accepted) for result in results)
    assert engine.digest() == one_digest


def test_what_comes_in_over_http_gives_the_digest_of_the_import(
    database_url: str, sample: Sample, one_digest: str
) -> None:
    """Real requests to the real server, four at a time, while events are being applied."""
    with installed(database_url, AFTERWARDS) as reader:
        drafts = sample.drafts(reader, shuffled(sample.rows))
    settings = Settings(
        database_url=database_url,
        config_dir=config_dir(),
        clock=ClockSpec.parse(instant_text(AFTERWARDS)),
    )
    bodies = [body(drafts[at : at + 20]) for at in range(0, len(drafts), 20)]
    with build(settings) as engine, serving(engine) as client, ThreadPoolExecutor(4) as senders:
        post = partial(client.post, "/v1/events", headers={"content-type": "application/json"})
        answers = [senders.submit(post, content=content) for content in bodies]
        while not all(answer.done() for answer in answers):
            engine.apply_batch()
        assert {answer.result().status_code for answer in answers} == {200}
        engine.apply_pending()
        assert digest(engine.installation).hex == one_digest


def test_a_row_that_was_imported_is_a_duplicate_when_it_is_posted(
    engine: Installed, sample: Sample, one_digest: str
) -> None:
    engine.import_file(sample.written(sample.rows), MAPPING)
    results = engine.post(sample.drafts(engine, sample.rows))
    assert all(isinstance(result, Duplicate) for result in results)
    assert engine.digest() == one_digest


def months(start: datetime, end: datetime) -> Iterator[datetime]:
    instant = start
    while instant < end:
        yield instant
        instant = instant.replace(
            year=instant.year + instant.month // 12, month=instant.month % 12 + 1
        )
    yield end


def lived(engine: Installed, drafts: Sequence[Draft], late: Sequence[Draft]) -> None:
    """Each event is posted in the month in which it happened, and checks fire as time passes."""
    rest = sorted(drafts, key=lambda draft: draft.event.key)
    for month in months(datetime(2010, 1, 1, tzinfo=UTC), AFTERWARDS):
        engine.reach(month)
        happened = [draft for draft in rest if draft.event.occurred_at <= month]
        rest = rest[len(happened) :]
        engine.post(happened, at_once=100)
    assert not rest
    engine.post(late)


def test_history_that_is_lived_month_by_month_gives_the_digest_of_the_import(
    database_url: str, sample: Sample, one_digest: str
) -> None:
    """Every third event comes only at the end, years late, and what it disproves is revoked."""
    with installed(database_url, datetime(2009, 12, 1, tzinfo=UTC)) as engine:
        with_now = Installed(engine.inst, AFTERWARDS)  # to read the file, which is all in the past
        drafts = sample.drafts(with_now, sample.rows)
        late = drafts[::3]
        timely = [draft for index, draft in enumerate(drafts) if index % 3]
        lived(engine, timely, late)
        assert engine.revoked() > REVOKED
        assert engine.digest() == one_digest
        engine.rebuild()
        assert engine.digest() == one_digest


def test_the_whole_file_gives_one_digest_backwards_too_and_partly_doubled(
    imported: Installed, invoices_file: Path, tmp_path: Path
) -> None:
    header, rows = read(invoices_file)
    path = tmp_path / "backwards.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8", newline="", compresslevel=1) as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows[::-1] + rows[:5_000])
    with installed(f"sqlite:///{tmp_path / 'engine.db'}", AFTERWARDS) as engine:
        report = engine.import_file(path, MAPPING)
        assert (report.accepted, report.duplicates) == (44_870, 5_000 - 2)  # two are of amount zero
        assert engine.digest(AFTERWARDS) == imported.digest(AFTERWARDS)

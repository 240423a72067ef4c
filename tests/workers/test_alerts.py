"""What the alert rules and the dashboard in deploy/ ask for is what the running processes answer."""

from __future__ import annotations

import re
from collections import defaultdict

import httpx
import pytest

from tests.deploy.examples import questions
from tests.support.metrics import Series, of, read
from tests.support.process import PATIENCE
from tests.support.redis import fresh_prefix
from tests.workers.conftest import Many, order, post, until

SERIES = re.compile(r"\b((?:lifecycle|process)_[a-z_]+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
FROM_PROMETHEUS = {"instance", "job"}  # who was asked


@pytest.mark.postgres
@pytest.mark.redis
def test_every_series_and_label_that_is_asked_for_is_answered(
    many: Many, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an installation that has done some of everything: accepted, refused, folded, moved, sent."""
    monkeypatch.setenv("LIFECYCLE_BROKER_URL", redis_url)
    with fresh_prefix(redis_url) as prefix:
        monkeypatch.setenv("LIFECYCLE_BROKER_PREFIX", prefix)
        labels = labels_by_name(*pages_after_some_of_everything(many))
    assert len(list(questions())) > 20
    for where, question in questions():
        named = SERIES.findall(question)
        assert named, where
        for name, matchers in named:
            assert name in labels, f"{where}: {name} is not collected"
            asked = {one.split("=")[0].strip("!~ ") for one in matchers.split(",") if one}
            asked |= {
                one.strip() for group in GROUPED.findall(question) for one in group.split(",")
            }
            missing = asked - labels[name] - FROM_PROMETHEUS
            assert not missing, f"{where}: {name} has no label {missing}"


def pages_after_some_of_everything(many: Many) -> list[Series]:
    address = many.serve()
    worker = many.start("work", "--metrics-port", "0")
    own = worker.logged(r"metrics at (http://127\.0\.0\.1:\d+)/metrics")[1]
    post(address, "mei")
    refused = httpx.post(f"{address}/v1/events", json={"events": [order("")]}, timeout=PATIENCE)
    assert refused.status_code == 422
    until(lambda: of(page(own), "events_applied_total") == 1)
    asked = order("mei") | {"id": "asked", "type": "enquiry_made", "properties": {}}
    httpx.post(f"{address}/v1/events", json={"events": [asked]}, timeout=PATIENCE)
    letters = {"channel": "task", "outcome": "accepted"}  # which only an employee would get
    until(lambda: of(page(own), "letter_duration_seconds_count", letters) == 1)
    scheduler = many.start("schedule", "--metrics-port", "0")
    ticking = scheduler.logged(r"metrics at (http://127\.0\.0\.1:\d+)/metrics")[1]
    until(lambda: of(page(ticking), "night_failed", {"work": "retention"}) == 0)
    return [page(address), page(own), page(ticking)]


def page(address: str) -> Series:
    return read(httpx.get(f"{address}/metrics", timeout=PATIENCE).text)


def labels_by_name(*pages: Series) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for series in pages:
        for name, labels in series:
            found[name] |= {label for label, _ in labels}
    return found


def test_values_that_are_asked_for_by_name_are_values_that_exist() -> None:
    """A rule that waits for a status that is called otherwise would never fire."""
    known = {
        "outcome": {"accepted", "duplicate", "quarantined", "conflict", "refused"},
        "status": {"quarantined", "discarded", "5.."},
        "route": {"/v1/events"},
        "job": {"lifecycle.*"},
    }
    for where, question in questions():
        for label, values in re.findall(r'(\w+)=~?"([^"]*)"', question):
            assert set(values.split("|")) <= known[label], where

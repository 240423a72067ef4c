"""Histories and prepared request bodies, made before any clock runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import orjson

from lifecycle import policy as policy_file
from lifecycle.domain.event import Event
from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import Policy, PolicyVersion
from lifecycle.domain.timeline import Timeline
from lifecycle.intake import mapping_file, simulate, table
from lifecycle.intake.draft import Draft
from lifecycle.resources import config_dir

ROOT = Path(__file__).resolve().parent.parent
INVOICES = ROOT.parent / "shared" / "data" / "online_retail_ii" / "invoices.csv.gz"
START = datetime(2024, 1, 1, tzinfo=UTC)
BODY = 100  # events in a request
LIVE = timedelta(hours=1)


def default_policy() -> Policy:
    return policy_file.load(config_dir() / "policy.yaml").policy


def timeline(policy: Policy) -> Timeline:
    version = PolicyVersion(number=1, hash="", effective_at=BEGINNING, policy=policy)
    return Timeline([version])


def invoices(policy: Policy) -> list[Draft]:
    """The invoices of Online Retail II; empty where the data is not beside the project."""
    if not INVOICES.exists():
        return []
    return list(mapped(policy))


def mapped(policy: Policy) -> Iterator[Draft]:
    """The same, one by one; the data must be there."""
    mapping = mapping_file.load(config_dir() / "mappings" / "online-retail.yaml", policy)
    rows = table.drafts(INVOICES, mapping, policy, datetime.now(UTC))
    return (row for row in rows if isinstance(row, Draft))


def simulated(policy: Policy, count: int) -> list[Event]:
    """So many events of made-up customers, about twenty each, in order of time."""
    made = simulate.bulk(
        seed=7, customers=max(count // 12, 10), start=START, days=600, policy=policy
    )
    return list(islice(made, count))


def by_customer(events: list[Event]) -> list[list[Event]]:
    histories: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        histories[event.customer].append(event)
    for history in histories.values():
        history.sort(key=lambda event: event.key)
    return list(histories.values())


def as_if_live(events: list[Event]) -> list[Event]:
    """The same events, happening within the hour that ends now.

    Events of long ago would be measured otherwise: after each, everything that time alone brings
    until now happens, and the next one comes late and overturns it.
    """
    first, last = events[0].occurred_at, events[-1].occurred_at
    begun = datetime.now(UTC) - LIVE
    return [
        event._replace(occurred_at=begun + (event.occurred_at - first) * (LIVE / (last - first)))
        for event in events
    ]


def drafts(events: list[Event]) -> list[Draft]:
    """As intake hands them on."""
    return [Draft(event=event, dated=True, backfill=False, too_late=False) for event in events]


def bodies(events: list[Event], run: str) -> list[bytes]:
    """Request bodies of a hundred events; `run` makes their ids those of one run."""
    posts = [{**simulate.posted(event), "id": f"{run}-{event.id}"} for event in events]
    return [
        orjson.dumps({"events": posts[first : first + BODY]})
        for first in range(0, len(posts), BODY)
    ]

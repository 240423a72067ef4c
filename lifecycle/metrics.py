"""What does Prometheus get to see? Counts and durations of this process, and the backlog of all of them.

Labels are names of the policy, of keys and of this program. No customer, no event and no text of either
is one, and no key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import prometheus_client
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from lifecycle.engine import gauges
from lifecycle.engine.gauges import Gauges
from lifecycle.engine.installation import Installation
from lifecycle.engine.observer import Page
from lifecycle.engine.readiness import Broker
from lifecycle.engine.work import Applied
from lifecycle.errors import LifecycleError

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LETTER_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)

# A series for the instant at which each other one was made: nobody asks for it.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """An observer that counts, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._taken = Counter(
            "lifecycle_events_received_total",
            "Events that came to this process, by way in and by what became of them.",
            ("way", "outcome"),
            registry=registry,
        )
        self._pushed_back = Counter(
            "lifecycle_posts_pushed_back_total",
            "Posts that were refused for now, by the name of their key and by the bound that they met.",
            ("key", "limit"),
            registry=registry,
        )
        self._applied = Counter(
            "lifecycle_events_applied_total",
            "Events that this process has folded.",
            registry=registry,
        )
        self._transitions = Counter(
            "lifecycle_transitions_total",
            "Transitions that this process has recorded, by edge of the policy.",
            ("rule", "from", "to"),
            registry=registry,
        )
        self._requests = Histogram(
            "lifecycle_request_duration_seconds",
            "From an HTTP request to the beginning of its answer.",
            ("route", "status"),
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "lifecycle_batch_duration_seconds",
            "Batches of work that found something to do.",
            ("work",),
            buckets=BATCH_SECONDS,
            registry=registry,
        )
        self._letters = Histogram(
            "lifecycle_letter_duration_seconds",
            "Letters that were handed to a provider, until it answered.",
            ("channel", "outcome"),
            buckets=LETTER_SECONDS,
            registry=registry,
        )
        self._shut: Callable[[], Mapping[str, bool]] = dict
        ProcessCollector(registry=registry)

    def took_in(self, way: str, outcomes: Mapping[str, int]) -> None:
        for outcome, count in outcomes.items():
            self._taken.labels(way, outcome).inc(count)

    def pushed_back(self, key: str, limit: str) -> None:
        self._pushed_back.labels(key, limit).inc()

    def worked(self, kind: str, applied: Applied, seconds: float) -> None:
        if not applied.customers:
            return
        self._batches.labels(kind).observe(seconds)
        self._applied.inc(applied.events)
        for edge, count in applied.edges.items():
            self._transitions.labels(*edge).inc(count)

    def letter(self, channel: str, outcome: str, seconds: float) -> None:
        self._letters.labels(channel, outcome).observe(seconds)

    def sends(self, shut: Callable[[], Mapping[str, bool]]) -> None:
        self._shut = shut

    def answered(self, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route, str(status)).observe(seconds)

    def page(self, inst: Installation, broker: Broker) -> Page:
        """A database that is away leaves the backlog out, and says so in a series of its own."""
        now = CollectorRegistry()
        now.register(_Now(_read(inst), broker, self._shut()))
        content = generate_latest(self._registry) + generate_latest(now)
        return Page(content=content, media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _read(inst: Installation) -> Gauges | None:
    try:
        return gauges.gauges(inst)
    except LifecycleError:
        return None


class _Now(Collector):
    """What was read for one page."""

    def __init__(self, found: Gauges | None, broker: Broker, shut: Mapping[str, bool]) -> None:
        self._found = found
        self._broker = broker
        self._shut = shut

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield _gauge("database_up", "Whether the database answers.", self._found is not None)
        if self._broker in {Broker.AWAY, Broker.ANSWERS}:
            away = self._broker is Broker.AWAY
            yield _gauge("broker_away", "Whether the broker took no ring of this process.", away)
        yield _labelled(
            "channel_shut",
            "Whether this process hands nothing over by a channel, as its provider fails.",
            "channel",
            self._shut,
        )
        if self._found is not None:
            yield from _of(self._found)


def _of(found: Gauges) -> Iterator[GaugeMetricFamily]:
    yield _gauge("pending_events", "Events that wait to be applied.", found.pending)
    yield _gauge("held_events", "Events that wait for the end of their import.", found.held)
    yield _gauge(
        "oldest_pending_seconds",
        "For how long the first pending event has waited.",
        found.oldest_pending_seconds,
    )
    yield _gauge("due_customers", "Customers for whom a timed check has come due.", found.due)
    yield _gauge("due_lag_seconds", "Since when the first of these is due.", found.due_lag_seconds)
    dead = GaugeMetricFamily(
        "lifecycle_dead_events", "Events outside the fold.", labels=("status",)
    )
    for status, count in found.dead.items():
        dead.add_metric((status.value,), count)
    yield dead
    succeeded = GaugeMetricFamily(
        "lifecycle_night_last_success_timestamp_seconds",
        "When a job of the night was last done.",
        labels=("work",),
    )
    failed = GaugeMetricFamily(
        "lifecycle_night_failed",
        "Whether the latest try of a job in its latest night failed.",
        labels=("work",),
    )
    for each in found.nightly:
        failed.add_metric((each.job,), float(each.failed))
        if each.succeeded_at is not None:
            succeeded.add_metric((each.job,), each.succeeded_at.timestamp())
    yield succeeded
    yield failed
    yield _gauge("due_messages", "Messages that wait though they are due.", found.messages_due)
    yield _gauge(
        "message_lag_seconds",
        "Since when the first of the messages that wait is due.",
        found.messages_lag_seconds,
    )
    yield _gauge(
        "unknown_messages",
        "Messages of which nobody knows whether they left.",
        found.messages_unknown,
    )
    yield _gauge(
        "recomputing_customers",
        "Customers whom a version of the policy that was published has still to reach.",
        found.recomputing,
    )
    yield _labelled("sending_paused", "What is not sent for now.", "scope", found.paused, 1.0)
    yield _labelled(
        "sending_paused_by_itself", "Whether no person paused it.", "scope", found.paused
    )


def _labelled(
    name: str, told: str, label: str, values: Mapping[str, float], value: float | None = None
) -> GaugeMetricFamily:
    """A series for each; `value` stands for all of them."""
    family = GaugeMetricFamily(f"lifecycle_{name}", told, labels=(label,))
    for key, own in values.items():
        family.add_metric((key,), float(own) if value is None else value)
    return family


def _gauge(name: str, told: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"lifecycle_{name}", told, value=float(value))

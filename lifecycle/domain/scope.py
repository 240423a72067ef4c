"""What may a key be allowed to do? Which route asks for which of these stands at the route."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    EVENTS_WRITE = "events:write"  # post events
    CUSTOMERS_READ = "customers:read"  # a customer's state, facts, attributes and timeline
    TRANSITIONS_READ = "transitions:read"  # the log of all customers, and its stream
    OPERATIONS_READ = "operations:read"  # the metrics

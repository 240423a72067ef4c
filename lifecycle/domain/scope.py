"""What may a key be allowed to do? Which route asks for which of these stands at the route."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    EVENTS_WRITE = "events:write"  # post events
    CUSTOMERS_READ = "customers:read"  # a customer's state, facts, attributes and timeline
    TRANSITIONS_READ = "transitions:read"  # the log of all customers, and its stream
    OPERATIONS_READ = "operations:read"  # the metrics
    CONSENTS_WRITE = "consents:write"  # ask somebody to confirm that she wants messages
    FEEDBACK_WRITE = "feedback:write"  # hand on the mails that come back, such as bounces

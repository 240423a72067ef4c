"""From what the file says to the records of `domain.policy`: names are resolved here."""

from __future__ import annotations

from datetime import timedelta

from lifecycle.domain.policy import Policy, UnknownEvents
from lifecycle.policy.build import declared, facts, rules, sending
from lifecycle.policy.build.draft import Draft
from lifecycle.policy.build.names import Names
from lifecycle.policy.records import Fields
from lifecycle.policy.report import Report

__all__ = ["Draft", "draft"]


def draft(fields: Fields, report: Report) -> Draft:
    """The policy as far as it could be read; it may be used only if nothing was reported."""
    names = Names(report)
    names.attributes = declared.attributes(fields, names)
    names.events = declared.events(fields, names)
    names.facts = facts.facts(fields, names)
    names.states = declared.states(fields, names)
    written = fields.value("transitions", ())
    transitions = rules.transitions(written, names)
    policy = Policy(
        timezone=fields.value("timezone", "UTC"),
        currency=fields.value("currency", "XXX"),
        attributes=names.attributes,
        states=names.states,
        events=names.events,
        facts=tuple(names.facts.values()),
        transitions=transitions,
        outreach=rules.outreach(
            fields.value("outreach", ()), [rule.value.value("name", "") for rule in written], names
        ),
        rates=declared.rates(fields, names),
        unknown_events=UnknownEvents(fields.value("unknown_events", "refuse")),
        lateness=fields.value("lateness"),
        skew=fields.value("skew", timedelta(minutes=5)),
        sending=sending.sending(fields, names),
    )
    holes = not written or len(transitions) < len(written)
    return Draft(policy, names.places, holes, tuple(names.loose))

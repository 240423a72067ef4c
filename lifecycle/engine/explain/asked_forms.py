"""How is it written as JSON what was asked of an explanation, and how the two tellings differ?"""

from __future__ import annotations

from lifecycle.domain.instant import instant_text
from lifecycle.domain.step import Step
from lifecycle.engine.explain.asked import Difference, Hypothesis, Moment, Supposed
from lifecycle.engine.explain.forms import Form, name_form


def asked_form(moment: Moment | None, supposed: Supposed | None) -> Form:
    """All null: what is so now, under the policies in force."""
    return {
        "at": None if moment is None else instant_text(moment.at),
        "late_events": None if moment is None else _included(included=moment.late_events),
        "policy": None if supposed is None else _policy(supposed.policy),
    }


def moment_form(moment: Moment) -> Form:
    return {
        "events": moment.events,
        "late": [
            {"event": name_form(one.stored), "known_at": instant_text(one.known_at)}
            for one in moment.late
        ],
        "versions_published_later": list(moment.versions),
        "state_as_known_then": moment.state_then,
        "state_as_known_today": moment.state_today,
    }


def supposed_form(supposed: Supposed) -> Form:
    return {
        "policy": _policy(supposed.policy),
        "recorded": False,
        "in_force": supposed.in_force,
        "events_about_letters_left_out": dict(supposed.left_out),
        "events_that_cannot_be_folded": [
            {"source": source, "id": id_, "why": why}
            for (source, id_), why in supposed.unfoldable.items()
        ],
        "difference": _difference(supposed.difference),
    }


def _included(*, included: bool) -> str:
    return "included" if included else "excluded"


def _policy(policy: Hypothesis) -> Form:
    return {"name": policy.name, "version": policy.number or None, "hash": policy.hash}


def _difference(difference: Difference) -> Form:
    return {
        "state": difference.state,
        "state_supposed": difference.supposed_state,
        "steps_in_both": difference.same,
        "shifted": [
            {
                "recorded": _step(pair.recorded),
                "supposed": _step(pair.supposed),
                "later_by_seconds": (pair.supposed.at - pair.recorded.at).total_seconds(),
            }
            for pair in difference.shifted
        ],
        "only_recorded": [_step(step) for step in difference.only_recorded],
        "only_supposed": [_step(step) for step in difference.only_supposed],
        "messages": {
            rule: {"recorded": recorded, "supposed": supposed}
            for rule, (recorded, supposed) in difference.messages.items()
        },
    }


def _step(step: Step) -> Form:
    return {
        "rule": step.rule,
        "from": step.from_state,
        "to": step.to_state,
        "trigger": step.trigger,
        "cause": step.cause,
        "at": instant_text(step.at),
        "guard": step.guard,
        "read": dict(step.read),
    }

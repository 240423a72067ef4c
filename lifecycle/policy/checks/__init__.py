"""Can this policy be lived with? What a file may say but must not: dead ends, rules that never fire,
guards that raise, loops that turn without time passing.
"""

from __future__ import annotations

from lifecycle.policy.build import Draft
from lifecycle.policy.checks.guards import check_guards
from lifecycle.policy.checks.outreach import check_outreach
from lifecycle.policy.checks.rules import check_rules
from lifecycle.policy.checks.states import check_states
from lifecycle.policy.checks.time import check_time
from lifecycle.policy.report import Report


def check(draft: Draft, report: Report) -> None:
    """Report everything that is wrong with a policy whose parts could be read."""
    check_states(draft, report)
    check_time(draft, report)
    check_rules(draft, report)
    check_guards(draft, report)
    check_outreach(draft, report)

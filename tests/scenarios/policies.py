"""The policy of the worked examples, and the variants that single rows need."""

from __future__ import annotations

from tests.policies import scenario_policy

EXAMPLES = scenario_policy()
WITH_UNDO = scenario_policy(less=True)  # rows 17 and 18
WITH_CARE = scenario_policy(care=True)  # row 19
WITH_WINDOW = scenario_policy(quiet_when="orders_30d >= 2")  # row 20

# For the messages of a check that may fire for the same anchor at another time
WITH_BYE = scenario_policy(
    outreach=["{name: bye, on: {transition: lost}, channels: [email], expires: 7d}"]
)

"""Why does a message not go, in words that end a sentence such as “It was not sent: …”?"""

from __future__ import annotations

from types import MappingProxyType

from lifecycle.outreach.verdict import Reason

_TOLD = MappingProxyType(
    {
        Reason.WRONG_STATE: "she is in none of the states that the rule writes to",
        Reason.UNWANTED: "the rule's `unless` holds, or could not be judged",
        Reason.CANCELLED_BY: "an event happened that cancels it",
        Reason.GOAL_REACHED: "its goal has been reached already",
        Reason.EXPIRED: "its time has passed",
        Reason.NO_CHANNEL: "no channel of the rule is set up and has a text for it",
        Reason.NO_ADDRESS: "she has no address on any channel that is left",
        Reason.NO_CONSENT: "she has not consented to it on any channel that is left",
        Reason.ADDRESS_SUPPRESSED: "her address must not be written to",
        Reason.FAILED_BEFORE: "it was refused for good on every channel that is left",
        Reason.HOLDOUT: "she is in the group that does not get it, so that its effect can be measured",
        Reason.CAP: "she has had as many messages as a cap allows",
        Reason.QUIET_HOURS: "it is quiet hours where she lives",
        Reason.CLOSED_DAY: "it is no working day where she lives",
        Reason.PAUSED: "it or its channel is paused",
        Reason.NOT_READY: "its channel is not described in channels.yaml, or not ready yet",
        Reason.BREAKER: "the provider of its channel is failing",
        Reason.RATE: "its channel takes no more at once",
    }
)


def told(reason: Reason) -> str:
    """Plain English, half a sentence without a full stop."""
    return _TOLD[reason]

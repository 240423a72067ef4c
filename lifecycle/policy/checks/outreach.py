"""Can each message be sent, and by a channel that somebody has set up?"""

from __future__ import annotations

from lifecycle.domain.policy import OnState, OutreachRule
from lifecycle.policy.build import Draft
from lifecycle.policy.format import CHANNEL_KINDS
from lifecycle.policy.report import Report, did_you_mean, found


def check_outreach(draft: Draft, report: Report) -> None:
    for index, rule in enumerate(draft.policy.outreach):
        _channels(index, rule, draft, report)
        _entered(index, rule, draft, report)
        _in_time(index, rule, draft, report)
    for index, cap in enumerate(draft.policy.sending.caps):
        if cap.channel is not None:
            _channel(cap.channel, ("sending", "caps", index, "channel"), draft, report)


def _channels(index: int, rule: OutreachRule, draft: Draft, report: Report) -> None:
    for channel in rule.channels:
        _channel(channel, ("outreach", index, "channel", channel), draft, report)


def _channel(name: str, path: tuple[str | int, ...], draft: Draft, report: Report) -> None:
    """Channels are named freely in channels.yaml, so an unusual name is no more than a doubt."""
    if name not in CHANNEL_KINDS:
        report.warn(
            draft.place(*path),
            "unusual_channel",
            f"{found(name)}, which is none of the usual channels ({', '.join(CHANNEL_KINDS)}); "
            "it is used only if channels.yaml has a channel of that name"
            f"{did_you_mean(name, CHANNEL_KINDS)}",
        )


def _entered(index: int, rule: OutreachRule, draft: Draft, report: Report) -> None:
    """Customers begin in the first state, they do not enter it."""
    trigger = rule.trigger
    if draft.holes or not isinstance(trigger, OnState) or trigger.stayed is not None:
        return
    entered = {transition.to for transition in draft.policy.transitions}
    for state in trigger.names:
        if state not in entered:
            report.warn(
                draft.place("outreach", index, "on"),
                "never_entered",
                f'no transition leads to "{state}", and beginning in it is not entering it, so '
                "only a move by hand causes this message; for new customers name an event, such "
                "as on: {event: lead_captured}",
            )


def _in_time(index: int, rule: OutreachRule, draft: Draft, report: Report) -> None:
    if rule.expires is not None and rule.spread >= rule.expires:
        report.error(
            draft.place("outreach", index, "spread"),
            "spread_too_long",
            "found a spread that is not shorter than expires: the last of the messages would "
            "expire before their turn comes; allowed: a spread shorter than expires",
        )

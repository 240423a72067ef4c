"""Does a message arrive as it should? One letter to an address that a person names, whatever is paused."""

from __future__ import annotations

import os
from uuid import uuid4

from lifecycle.domain.policy import MessageClass, OutreachRule
from lifecycle.errors import Problem, Unusable
from lifecycle.intake.values import did_you_mean
from lifecycle.outreach.channels.opening import open_channels
from lifecycle.outreach.letter import Letter, Links, Recipient, Rendered
from lifecycle.outreach.outcome import Outcome
from lifecycle.outreach.secret import secret_of
from lifecycle.settings import Settings

NOT_SENT = "nothing was sent"
NOBODYS = Links(  # whoever gets a trial can unsubscribe nobody by it
    unsubscribe="https://trial.invalid/u",
    preferences="https://trial.invalid/u/preferences",
    survey="https://trial.invalid/s",
)


def send_trial(
    settings: Settings, rule: OutreachRule, channel: str, rendered: Rendered, address: str
) -> Outcome:
    """What the provider answered; nothing is written down of it.

    Raises Problem for a channel that does not exist or sends nothing, Unusable for one that is not ready.
    """
    with open_channels(
        settings.config_dir,
        os.environ,
        public_url=settings.reachable_at,
        signs=secret_of(settings, make=False) is not None,
        keep=lambda _: None,
    ) as channels:
        way = channels.get(channel)
        if way is None:
            raise Problem(
                "unknown_channel",
                f"channels.yaml describes no channel {channel!r}; {NOT_SENT}",
                pointer="--channel",
                got=channel,
                expected=", ".join(channels),
                hint=did_you_mean(channel, tuple(channels)),
            )
        if not way.is_real:
            raise Problem(
                "sends_nothing",
                f"the channel {channel!r} only shows its letters, as channels.yaml says; {NOT_SENT}:"
                " `lifecycle template preview` shows it as well",
                pointer="--channel",
                got=channel,
            )
        marketing = rule.message_class is MessageClass.MARKETING
        if lacking := way.unready(marketing=marketing):
            raise Unusable(f"channel {channel} not ready: {'; '.join(lacking)}; {NOT_SENT}")
        return way.send(
            Letter(
                key=f"trial-{uuid4().hex}",
                channel=channel,
                rule=rule.name,
                to=Recipient(customer="trial", address=address, language=rendered.language),
                content=rendered,
                marketing=marketing,
                links=NOBODYS,
            )
        )

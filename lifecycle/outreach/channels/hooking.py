"""Which channels report back, and how are their reports recognised? By what they send with anyway,
or, of a mail server, by who is named beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lifecycle.outreach.channels.reporting import sns_hook
from lifecycle.outreach.channels.settings import ChannelSettings
from lifecycle.outreach.channels.webhook import secret_of
from lifecycle.outreach.hooks import Hook, SignedHook, TwilioHook


def hooks_of(channels: Iterable[ChannelSettings]) -> dict[str, Hook]:
    """By the name of the channel, which stands in the address to which its provider reports."""
    return dict(_hooks(channels))


def _hooks(channels: Iterable[ChannelSettings]) -> Iterator[tuple[str, Hook]]:
    for channel in channels:
        fields = channel.fields
        if channel.kind == "twilio" and "key" not in fields:
            # Twilio signs with the token of the account, which is known only where it is sent with.
            token = fields.value("secret").text
            yield (
                channel.name,
                TwilioHook(account=fields.value("account"), auth_token=token, channel=channel.name),
            )
        elif channel.kind == "webhook":
            secrets = tuple(secret_of(held.value.text) for held in fields.value("secrets"))
            yield channel.name, SignedHook(secrets=secrets, channel=channel.name)
        elif channel.kind == "smtp" and (hook := sns_hook(channel)) is not None:
            yield channel.name, hook

"""What a channel sends with is what its provider's reports are recognised by."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent

import pytest

from lifecycle.errors import Problem
from lifecycle.outreach.channels import reporting
from lifecycle.outreach.channels.hooking import hooks_of
from lifecycle.outreach.channels.http import Client
from lifecycle.outreach.channels.kinds import kinds
from lifecycle.outreach.channels.opening import KINDS
from lifecycle.outreach.channels.settings import read_channels
from lifecycle.outreach.hooks import SignedHook, TwilioHook
from tests.outreach import test_sns
from tests.outreach.channels.test_http_kinds import PUBLIC, reaching

SECRETS = [bytes(range(n, n + 24)) for n in (0, 100)]
ENVIRONMENT = {
    "TOKEN": "a-token-of-the-account",
    "NEW": f"whsec_{base64.b64encode(SECRETS[0]).decode()}",
    "OLD": f"whsec_{base64.b64encode(SECRETS[1]).decode()}",
}
REACHED = dict(KINDS) | {kind.name: kind for kind in kinds(reaching([PUBLIC]))}
TOPICS = (
    "arn:aws:sns:eu-west-1:123456789012:ses-feedback",
    "arn:aws-cn:sns:cn-north-1:123456789012:ses_events",
)
CHANNELS = """\
sms: {kind: twilio, account: AC1, secret: {env: TOKEN}, sender: "+15005550006"}
sms_by_key: {kind: twilio, account: AC1, secret: {env: TOKEN}, sender: "+15005550006", key: SK1}
gateway: {kind: webhook, url: "https://hooks.example.com/in", secrets: [{env: NEW}, {env: OLD}]}
letters: {kind: file, folder: out}
email:
  kind: smtp
  host: email-smtp.eu-west-1.amazonaws.com
  senders: {care: {address: care@mail.example.com}}
  reports:
    sns:
      topics:
        - arn:aws:sns:eu-west-1:123456789012:ses-feedback
        - arn:aws-cn:sns:cn-north-1:123456789012:ses_events
plain: {kind: smtp, host: smtp.example.com, senders: {care: {address: care@mail.example.com}}}
"""


def described(folder: Path) -> Path:
    (folder / "out").mkdir()
    text = f"channels:\n{indent(CHANNELS, '  ')}"
    (folder / "channels.yaml").write_text(text, encoding="utf-8")
    return folder


def test_channels_that_report_back_are_known_by_their_names(tmp_path: Path) -> None:
    """Not Twilio by an API key: it signs with the account's token, which nobody has told us then."""
    assert hooks_of(described(tmp_path), ENVIRONMENT, REACHED) == {
        "sms": TwilioHook(account="AC1", auth_token="a-token-of-the-account", channel="sms"),
        "gateway": SignedHook(secrets=tuple(SECRETS), channel="gateway"),
        "email": test_sns.hook(None, *TOPICS),
    }


def test_for_reports_through_sns_only_the_hosts_of_its_topics_are_asked(tmp_path: Path) -> None:
    """Whatever address a message has."""
    reached: list[Sequence[str]] = []

    def reach(hosts: Sequence[str]) -> Client:
        reached.append(hosts)
        return reporting.reach(hosts)

    channels = read_channels(described(tmp_path), ENVIRONMENT, REACHED).channels or ()
    (channel,) = [each for each in channels if each.name == "email"]
    assert reporting.sns_hook(channel, reach) is not None
    hosts = ["sns.cn-north-1.amazonaws.com.cn", "sns.eu-west-1.amazonaws.com"]
    assert reached == [hosts]
    client = reporting.reach(hosts)
    client.targets.check(f"https://{hosts[0]}/x")
    with pytest.raises(Problem, match="not among the hosts"):
        client.targets.check("https://sns.eu-west-2.amazonaws.com/x")


def test_a_folder_without_channels_has_no_hooks(tmp_path: Path) -> None:
    assert hooks_of(tmp_path, {}) == {}

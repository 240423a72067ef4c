"""What a channel sends with is what its provider's reports are recognised by."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import indent

import pytest

from lifecycle.errors import ChannelsRefused, Problem
from lifecycle.outreach.channels import reporting
from lifecycle.outreach.channels.hooking import hooks_of
from lifecycle.outreach.channels.http import Client
from lifecycle.outreach.channels.kinds import kinds
from lifecycle.outreach.channels.opening import KINDS
from lifecycle.outreach.channels.settings import Kind, read_channels
from lifecycle.outreach.hooks import Hook, SignedHook, TwilioHook
from lifecycle.outreach.sns import SnsHook
from tests.outreach import test_sns
from tests.outreach.channels.test_http_kinds import PUBLIC, reaching

SECRETS = [bytes(range(n, n + 24)) for n in (0, 100)]
ENVIRONMENT = {
    "TOKEN": "a-token-of-the-account",
    "NEW": f"whsec_{base64.b64encode(SECRETS[0]).decode()}",
    "OLD": f"whsec_{base64.b64encode(SECRETS[1]).decode()}",
}
HOOK = ("0123456789abcdef01234567", "previous-secret_of-a-hook")
ENVIRONMENT |= {"HOOK_NEW": HOOK[0], "HOOK_OLD": HOOK[1]}
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
      secrets: [{env: HOOK_NEW}, {env: HOOK_OLD}]
plain: {kind: smtp, host: smtp.example.com, senders: {care: {address: care@mail.example.com}}}
"""


def hooks(
    folder: Path, environment: Mapping[str, str], kinds: Mapping[str, Kind]
) -> dict[str, Hook]:
    return hooks_of(read_channels(folder, environment, kinds).channels or ())


def described(folder: Path) -> Path:
    (folder / "out").mkdir()
    text = f"channels:\n{indent(CHANNELS, '  ')}"
    (folder / "channels.yaml").write_text(text, encoding="utf-8")
    return folder


def test_channels_that_report_back_are_known_by_their_names(tmp_path: Path) -> None:
    """Not Twilio by an API key: it signs with the account's token, which nobody has told us then."""
    assert hooks(described(tmp_path), ENVIRONMENT, REACHED) == {
        "sms": TwilioHook(account="AC1", auth_token="a-token-of-the-account", channel="sms"),
        "gateway": SignedHook(secrets=tuple(SECRETS), channel="gateway"),
        "email": replace(
            test_sns.hook(None, *TOPICS), secrets=tuple(each.encode() for each in HOOK)
        ),
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


@pytest.mark.parametrize("text", ["0123456789abcdef0123456", "0123456789abcdef0123456&", "x" * 201])
def test_a_secret_that_an_address_cannot_hold_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ChannelsRefused) as caught:
        hooks(described(tmp_path), ENVIRONMENT | {"HOOK_OLD": text}, REACHED)
    (finding,) = caught.value.findings
    assert (finding.code, finding.line) == ("wrong_secret", 15)
    assert "the environment variable HOOK_OLD holds no secret for an address" in finding.message
    assert text not in finding.message


def test_a_secret_that_is_not_there_lets_nobody_in(tmp_path: Path) -> None:
    """Else who forgets to set it would be open to everybody, and never know."""
    known = {name: text for name, text in ENVIRONMENT.items() if name != "HOOK_OLD"}
    with pytest.raises(ChannelsRefused, match="HOOK_OLD is not set"):
        hooks(described(tmp_path), known, REACHED)


def test_confirmations_have_their_own_questions_to_amazon(tmp_path: Path) -> None:
    """Whoever uses up those for certificates by messages that nobody signed hinders no confirmation."""
    hook = hooks(described(tmp_path), ENVIRONMENT, REACHED)["email"]
    assert isinstance(hook, SnsHook)
    while hook.certificates._amazon._throttle.take() == 0:
        continue
    assert hook.amazon._throttle.take() == 0


def test_a_folder_without_channels_has_no_hooks(tmp_path: Path) -> None:
    assert hooks(tmp_path, {}, KINDS) == {}

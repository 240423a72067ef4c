"""What a channel sends with is what its provider's reports are recognised by."""

from __future__ import annotations

import base64
from pathlib import Path

from lifecycle.outreach.channels.hooking import hooks_of
from lifecycle.outreach.channels.kinds import kinds
from lifecycle.outreach.channels.opening import KINDS
from lifecycle.outreach.hooks import SignedHook, TwilioHook
from tests.outreach.channels.test_http_kinds import PUBLIC, reaching

SECRETS = [bytes(range(n, n + 24)) for n in (0, 100)]
ENVIRONMENT = {
    "TOKEN": "a-token-of-the-account",
    "NEW": f"whsec_{base64.b64encode(SECRETS[0]).decode()}",
    "OLD": f"whsec_{base64.b64encode(SECRETS[1]).decode()}",
}
REACHED = dict(KINDS) | {kind.name: kind for kind in kinds(reaching([PUBLIC]))}
CHANNELS = """\
sms: {kind: twilio, account: AC1, secret: {env: TOKEN}, sender: "+15005550006"}
sms_by_key: {kind: twilio, account: AC1, secret: {env: TOKEN}, sender: "+15005550006", key: SK1}
gateway: {kind: webhook, url: "https://hooks.example.com/in", secrets: [{env: NEW}, {env: OLD}]}
letters: {kind: file, folder: out}
"""


def test_channels_that_report_back_are_known_by_their_names(tmp_path: Path) -> None:
    """Not Twilio by an API key: it signs with the account's token, which nobody has told us then."""
    (tmp_path / "out").mkdir()
    text = f"channels:\n{''.join(f'  {line}' for line in CHANNELS.splitlines(keepends=True))}"
    (tmp_path / "channels.yaml").write_text(text, encoding="utf-8")
    assert hooks_of(tmp_path, ENVIRONMENT, REACHED) == {
        "sms": TwilioHook(account="AC1", auth_token="a-token-of-the-account", channel="sms"),
        "gateway": SignedHook(secrets=tuple(SECRETS), channel="gateway"),
    }


def test_a_folder_without_channels_has_no_hooks(tmp_path: Path) -> None:
    assert hooks_of(tmp_path, {}) == {}

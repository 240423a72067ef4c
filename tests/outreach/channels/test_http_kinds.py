"""What `channels.yaml` says of channels over HTTP, how they are opened, and what is wrong with it."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from textwrap import indent

import pytest

from lifecycle.errors import ChannelsRefused, Problem
from lifecycle.outreach.channels.http import Client, MakeClient, client_for
from lifecycle.outreach.channels.kinds import kinds
from lifecycle.outreach.channels.opening import KINDS, Channels, open_channels
from lifecycle.outreach.channels.settings import read_channels
from lifecycle.outreach.channels.target import Targets
from lifecycle.outreach.outcome import Accepted, Refused
from tests.outreach.channels import letters
from tests.support.providers import FakeProvider, Say

ROOT = Path(__file__).parents[3]
WHSEC = "whsec_" + base64.b64encode(b"s" * 32).decode()
ENVIRONMENT = {"KEY": "s&cret", "WHSEC": WHSEC, "OLD_WHSEC": WHSEC}
PUBLIC = "93.184.216.34"


def at_loopback(_timeout: timedelta) -> Client:
    return Client(targets=Targets(loopback=True))


def reaching(addresses: Sequence[str]) -> MakeClient:
    """A world in which every name is at these addresses."""
    return lambda _timeout: Client(targets=Targets(resolve=lambda host, port: addresses))


def opened(
    folder: Path,
    text: str,
    *,
    make: MakeClient | None = None,
) -> Channels:
    (folder / "channels.yaml").write_text(f"channels:\n{indent(text, '  ')}", encoding="utf-8")

    return open_channels(
        folder,
        ENVIRONMENT,
        public_url=None,
        signs=False,
        keep=lambda letter: None,
        kinds={kind.name: kind for kind in kinds(make or reaching([PUBLIC]))},
    )


def said(folder: Path, text: str, *, resolves_to: str = PUBLIC) -> dict[str, str]:
    """What was found, by its code."""
    with pytest.raises(ChannelsRefused) as caught:
        opened(folder, text, make=reaching([resolves_to]))
    assert "s&cret" not in str(caught.value)
    return {finding.code: str(finding) for finding in caught.value.findings}


EVERY_KIND = """\
crm: {kind: webhook, url: "https://hooks.example.com/in", same_key_for: 1d,
      secrets: [{env: WHSEC}, {env: OLD_WHSEC}]}
sms: {kind: aliyun, key_id: LTAI, key_secret: {env: KEY}, signature: 某品牌,
      templates: {thanks: {code: SMS_1, parameters: {who: name}}, thanks.en: {code: SMS_2}}}
sms_abroad: {kind: tencent, key_id: AKID, key_secret: {env: KEY}, app: "1400",
             templates: {thanks: {code: "1001", parameters: {2: orders, 1: name}}}}
sms_us: {kind: twilio, account: AC1, secret: {env: KEY}, sender: "+15005550006", key: SK1}
wecom: {kind: wecom, corporation: ww1, secret: {env: KEY}, agent: 1000002}
sales: {kind: wecom-robot, key: {env: KEY}}
dingtalk: {kind: dingtalk, key: ding1, secret: {env: KEY}, agent: 7}
service: {kind: dingtalk-robot, token: {env: KEY}, secret: {env: KEY}}
care: {kind: feishu-robot, token: {env: KEY}, url: "https://open.larksuite.com/"}
"""


def test_every_kind_is_opened_as_it_is_described(tmp_path: Path) -> None:
    channels = opened(tmp_path, EVERY_KIND)
    assert {name: channel.address for name, channel in channels.items()} == {
        "crm": None,
        "sms": "phone",
        "sms_abroad": "phone",
        "sms_us": "phone",
        "wecom": "wecom",
        "sales": None,
        "dingtalk": "dingtalk",
        "service": None,
        "care": None,
    }
    assert channels["crm"].same_key_for == timedelta(days=1)
    assert all(channel.is_real for channel in channels.values())
    assert [channel.unready(marketing=True) for channel in channels.values()] == [()] * 9
    channels.close()


def test_the_example_of_the_documents_describes_every_kind(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "channels.md").read_text("utf-8")
    (example,) = re.findall(r"```yaml\n(channels:\n  crm:.*?)```", document, re.DOTALL)
    (tmp_path / "channels.yaml").write_text(example, encoding="utf-8")
    environment = dict.fromkeys(re.findall(r"env: (\w+)", example), "s") | {"CRM_SECRET": WHSEC}
    ours = {kind.name: kind for kind in kinds(reaching([PUBLIC]))}
    read = read_channels(tmp_path, environment, ours)
    assert read.channels is not None
    assert {each.kind for each in read.channels} == set(ours)


def test_hosts_that_may_be_asked_can_be_narrowed() -> None:
    narrow = client_for(timedelta(seconds=20), only=[".partner.example"])
    with pytest.raises(Problem, match="not among"):
        narrow.targets.check("https://hooks.example.com/")
    narrow.targets.check("https://hooks.partner.example/")


def test_they_are_among_the_kinds_of_every_installation() -> None:
    assert {kind.name for kind in kinds()} <= set(KINDS)


def test_what_is_described_is_what_is_asked(tmp_path: Path) -> None:
    """A whole way: file, secrets, client and letter."""
    yes = Say(body={"Response": {"SendStatusSet": [{"Code": "Ok", "SerialNo": "s-1"}]}})
    with FakeProvider(yes) as provider:
        channels = opened(
            tmp_path,
            'sms: {kind: tencent, key_id: AKID, key_secret: {env: KEY}, app: "1400",'
            f' url: "{provider.url}/", address: mobile,'
            ' templates: {thanks: {code: "1001", parameters: {2: orders, 1: name}}}}',
            make=at_loopback,
        )
        assert channels["sms"].address == "mobile"
        outcome = channels["sms"].send(
            letters.letter("+8613800138000", facts={"facts": {"orders": 3}})
        )
    assert outcome == Accepted(provider_id="s-1")
    assert provider.asked[0].target == "/"
    assert provider.asked[0].json["TemplateParamSet"] == ["Anna", "3"]


HOOK = 'crm: {kind: webhook, secrets: [{env: WHSEC}], url: "%s"}'


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://127.0.0.1/",
        "https://0x7f000001/",
        "https://[::ffff:7f00:1]/",
        "https://localhost/",
        "https://hooks.example.com:22/",
        "https://user:pass@hooks.example.com/",
    ],
)
def test_a_hook_at_a_place_that_is_not_allowed_is_found_with_its_line(
    tmp_path: Path, url: str
) -> None:
    finding = said(tmp_path, HOOK % url)["target_not_allowed"]
    assert ":2:" in finding
    assert "pass@" not in finding


def test_a_hook_whose_name_leads_inside_is_found_with_its_address(tmp_path: Path) -> None:
    finding = said(tmp_path, HOOK % "https://hooks.example.com/", resolves_to="10.1.2.3")
    assert "10.1.2.3" in finding["target_not_allowed"]


def test_a_hook_that_cannot_be_looked_up_now_is_looked_up_before_each_letter(
    tmp_path: Path,
) -> None:
    def away(host: str, port: int) -> Sequence[str]:
        raise OSError

    channels = opened(
        tmp_path,
        HOOK % "https://hooks.example.com/",
        make=lambda _: Client(targets=Targets(resolve=away)),
    )
    outcome = channels["crm"].send(letters.letter())
    assert isinstance(outcome, Refused)
    assert outcome.code == "dns_failed"


def test_the_entrance_of_a_provider_is_held_to_the_same_form(tmp_path: Path) -> None:
    robot = 'care: {kind: feishu-robot, token: {env: KEY}, url: "%s"}'
    assert "target_not_allowed" in said(tmp_path, robot % "http://127.0.0.1:9/")
    assert "wrong_address" in said(tmp_path, robot % "https://open.larksuite.com/?a=1")


def test_no_key_of_the_file_reaches_this_machine(tmp_path: Path) -> None:
    """What tests may do stands in no setting."""
    for word in ("loopback", "targets", "insecure", "verify"):
        text = (HOOK % "https://hooks.example.com/").replace("crm: {", f"crm: {{{word}: true, ")
        assert "unknown_key" in said(tmp_path, text)


def test_a_weak_secret_of_a_hook_is_found_unseen(tmp_path: Path) -> None:
    text = 'crm: {kind: webhook, url: "https://hooks.example.com/", secrets: [{env: KEY}]}'
    assert "24 to 64 bytes" in said(tmp_path, text)["wrong_secret"]


@pytest.mark.parametrize("numbers", ["{1: name, 3: orders}", "{2: name}"])
def test_numbered_parameters_leave_none_out(tmp_path: Path, numbers: str) -> None:
    text = (
        'sms: {kind: tencent, key_id: A, key_secret: {env: KEY}, app: "1",'
        f' templates: {{thanks: {{code: "1", parameters: {numbers}}}}}}}'
    )
    assert "from 1 on" in said(tmp_path, text)["wrong_value"]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert (
        "signature"
        in said(tmp_path, "sms: {kind: aliyun, key_id: A, key_secret: {env: KEY}}")["missing_key"]
    )


@pytest.mark.parametrize(("seconds", "connect", "read"), [(20, 5, 15), (8, 2, 6), (60, 5, 55)])
def test_a_letter_takes_no_longer_than_its_channel_may(
    seconds: int, connect: float, read: float
) -> None:
    client = client_for(timedelta(seconds=seconds))
    assert (client._connect_seconds, client._read_seconds) == (connect, read)

"""How are the channels that go over HTTP described in `channels.yaml`, and opened?

`make` is what a test replaces to reach its own machine; no key of the file leads there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lifecycle.errors import Problem, Unusable
from lifecycle.outreach.channels import Channel, aliyun, dingtalk, feishu, tencent, twilio, wecom
from lifecycle.outreach.channels.http import Client, MakeClient, client_for
from lifecycle.outreach.channels.settings import (
    SECRET,
    Around,
    ChannelSettings,
    Kind,
    OneLine,
    Secret,
    Settings,
    WebAddress,
    Whole,
    pairs_of,
)
from lifecycle.outreach.channels.webhook import Webhook, WebhookSettings, secret_of
from lifecycle.policy.records import Fields, Key
from lifecycle.policy.report import Report
from lifecycle.policy.shapes import At, ListOf, MapOf
from lifecycle.policy.words import Duration, Name

Make = Callable[[ChannelSettings, Client], Channel]
_AGENTS = Whole("the number of an application", 1, 999_999_999)
_FACT = Name("the name of a fact")
_MESSAGE = Name(
    "a message",
    pattern=r"[a-z0-9][a-z0-9_-]{0,63}(\.[A-Za-z-]{2,16})?",
    says="the name of a rule, and perhaps a dot and a language, as thanks or thanks.en",
)


def kinds(make: MakeClient = client_for) -> tuple[Kind, ...]:
    """All of them; each connects as `make` says, within the timeout of its channel."""
    return (
        _kind("webhook", "tells a system of others (Standard Webhooks)", _HOOK, _webhook, make),
        _kind("aliyun", "SMS by Alibaba Cloud", _ALIYUN, _aliyun, make, "phone"),
        _kind("tencent", "SMS by Tencent Cloud", _TENCENT, _tencent, make, "phone"),
        _kind("twilio", "SMS by Twilio", _TWILIO, _twilio, make, "phone"),
        _kind("wecom", "a message of an application of WeCom", _WECOM, _wecom, make, "wecom"),
        _kind("wecom-robot", "a robot of WeCom in its group", _WECOM_ROBOT, _wecom_robot, make),
        _kind("dingtalk", "a notification of DingTalk", _DINGTALK, _dingtalk, make, "dingtalk"),
        _kind("dingtalk-robot", "a robot of DingTalk in its group", _DING_ROBOT, _ding_robot, make),
        _kind("feishu-robot", "a robot of Feishu or Lark in its group", _FEISHU, _feishu, make),
    )


def _kind(
    name: str,
    about: str,
    keys: tuple[Key, ...],
    build: Make,
    make: MakeClient,
    address: str | None = None,
) -> Kind:
    def opened(settings: ChannelSettings, _around: Around) -> Channel:
        return build(settings, make(settings.timeout))

    def check(settings: ChannelSettings, report: Report) -> None:
        _check_target(settings, make(settings.timeout), report)
        _check_secrets(settings.fields, report)
        _check_order(settings.fields, report)

    return Kind(
        name=name, about=about, keys=keys, open=opened, check=check, address=lambda _: address
    )


def _check_target(settings: ChannelSettings, client: Client, report: Report) -> None:
    """A hook is looked up; of a provider's host the form is enough, as nobody chose it freely."""
    url = settings.fields.get("url")
    if url is None:
        return
    try:
        client.targets.check(url.value)
        if settings.kind == "webhook":
            client.targets.find(url.value)
        elif "?" in url.value:
            report.error(url.place, "wrong_address", "allowed: an address without a query")
    except Problem as error:
        report.error(url.place, error.code, f"{error.detail}; allowed: {error.expected}")
    except OSError:
        return  # without a net it cannot be looked up; it is before each letter


def _check_secrets(fields: Fields, report: Report) -> None:
    for held in fields.value("secrets", ()):
        try:
            if held.value is not None:
                secret_of(held.value.text)
        except Unusable as error:
            report.error(held.place, "wrong_secret", str(error))


def _check_order(fields: Fields, report: Report) -> None:
    """Numbered parameters leave none out."""
    for _, template in fields.value("templates", ()):
        held = template.value.get("parameters")
        numbers = [key.value for key, _ in held.value] if held else []
        if any(isinstance(n, int) for n in numbers) and sorted(numbers) != [
            *range(1, len(numbers) + 1)
        ]:
            report.error(
                held.place, "wrong_value", "allowed: the numbers from 1 on, each of them once"
            )


def _url(default: str) -> Key:
    about = "Where it is asked; https:// alone. For those who have another entrance to it."
    return Key(name="url", shape=WebAddress(), about=about, default=default)


def _secret(name: str, about: str, *, required: bool = True) -> Key:
    return Key(name=name, shape=SECRET, about=about, required=required)


def _line(name: str, about: str, *, required: bool = True, default: str | None = None) -> Key:
    return Key(name=name, shape=OneLine(about), about=about, required=required, default=default)


def _templates(whose: str, parameter: Any) -> Key:
    template = Settings(
        f"a template registered with {whose}",
        (
            _line("code", "Its code or number with the provider."),
            Key(
                name="parameters",
                shape=MapOf(parameter, _FACT, most=50),
                about="Its placeholders, and the fact that fills each; name is how she is called.",
            ),
        ),
    )
    return Key(
        name="templates",
        shape=MapOf(_MESSAGE, template),
        about="The registered template of each message that may leave this way.",
    )


def _given(fields: Fields, *names: str) -> dict[str, Any]:
    """Those that were written, secrets as their text."""
    held = {name: fields.value(name) for name in names if name in fields}
    plain = {n: v.text if isinstance(v, Secret) else v for n, v in held.items()}
    return plain | ({"url": plain["url"].rstrip("/")} if "url" in plain else {})


_HOOK = (
    Key(name="url", shape=WebAddress(), about="The hook, https:// alone.", required=True),
    Key(
        name="secrets",
        shape=ListOf(SECRET, most=5),
        about="What signs: whsec_ and Base64. The newest first; a receiver may know any of them.",
        required=True,
    ),
    Key(
        name="same_key_for",
        shape=Duration(),
        about="For how long the receiver promises to drop what comes again under the same id.",
    ),
)


def _webhook(settings: ChannelSettings, client: Client) -> Channel:
    fields = settings.fields
    secrets: tuple[At[Secret], ...] = fields.value("secrets")
    return Webhook(
        settings.name,
        WebhookSettings(
            url=fields.value("url"),
            secrets=tuple(secret_of(held.value.text) for held in secrets),
            same_key_for=fields.value("same_key_for"),
            address=settings.address,
        ),
        client,
    )


_ALIYUN = (
    _line("key_id", "The AccessKey ID."),
    _secret("key_secret", "The AccessKey secret."),
    _line("signature", "The registered signature that stands in 【】."),
    _templates("Alibaba Cloud", Name("a placeholder")),
    _url(aliyun.URL),
)


def _aliyun(settings: ChannelSettings, client: Client) -> Channel:
    templates = {
        message: aliyun.Template(
            code=held.value("code"), parameters=pairs_of(held.value("parameters", ()))
        )
        for message, held in pairs_of(settings.fields.value("templates", ())).items()
    }
    given = _given(settings.fields, "key_id", "key_secret", "signature", "url")
    own = aliyun.AliyunSettings(templates=templates, address=settings.address or "phone", **given)
    return aliyun.Aliyun(settings.name, own, client)


_TENCENT = (
    _line("key_id", "The SecretId."),
    _secret("key_secret", "The SecretKey."),
    _line("app", "The SdkAppId."),
    _line("signature", "The registered signature that stands in 【】.", required=False),
    _line("region", "The region.", required=False, default="ap-guangzhou"),
    _templates("Tencent Cloud", Whole("the number of a placeholder", 1, 50)),
    _url(tencent.URL),
)


def _tencent(settings: ChannelSettings, client: Client) -> Channel:
    templates = {}
    for message, held in pairs_of(settings.fields.value("templates", ())).items():
        by_number = sorted(pairs_of(held.value("parameters", ())).items())
        facts = tuple(fact for _, fact in by_number)
        templates[message] = tencent.Template(code=held.value("code"), parameters=facts)
    given = _given(settings.fields, "key_id", "key_secret", "app", "region", "url")
    own = tencent.TencentSettings(
        templates=templates,
        signature=settings.fields.value("signature", ""),
        address=settings.address or "phone",
        **given,
    )
    return tencent.Tencent(settings.name, own, client)


_TWILIO = (
    _line("account", "The Account SID, AC…"),
    _secret("secret", "The account's token, or that of the API key."),
    _line("sender", "A number in E.164, a name, or MG… of a messaging service."),
    _line("key", "The SID of an API key, SK…", required=False),
    _url(twilio.URL),
)


def _twilio(settings: ChannelSettings, client: Client) -> Channel:
    given = _given(settings.fields, "account", "secret", "sender", "key", "url")
    own = twilio.TwilioSettings(address=settings.address or "phone", **given)
    return twilio.Twilio(settings.name, own, client)


_WECOM = (
    _line("corporation", "The corpid."),
    _secret("secret", "The secret of the application."),
    Key(name="agent", shape=_AGENTS, about="The agentid of the application.", required=True),
    _url(wecom.URL),
)


def _wecom(settings: ChannelSettings, client: Client) -> Channel:
    given = _given(settings.fields, "corporation", "secret", "agent", "url")
    own = wecom.WecomAppSettings(address=settings.address, **given)
    return wecom.WecomApp(settings.name, own, client)


_WECOM_ROBOT = (_secret("key", "The key of the robot's hook."), _url(wecom.URL))


def _wecom_robot(settings: ChannelSettings, client: Client) -> Channel:
    own = wecom.WecomRobotSettings(**_given(settings.fields, "key", "url"))
    return wecom.WecomRobot(settings.name, own, client)


_DINGTALK = (
    _line("key", "The AppKey."),
    _secret("secret", "The AppSecret."),
    Key(name="agent", shape=_AGENTS, about="The AgentId.", required=True),
    _url(dingtalk.URL),
)


def _dingtalk(settings: ChannelSettings, client: Client) -> Channel:
    given = _given(settings.fields, "key", "secret", "agent", "url")
    own = dingtalk.DingtalkAppSettings(address=settings.address, **given)
    return dingtalk.DingtalkApp(settings.name, own, client)


_DING_ROBOT = (
    _secret("token", "The access_token of the robot's hook."),
    _secret("secret", "SEC…, where the robot asks for a signature.", required=False),
    _url(dingtalk.URL),
)


def _ding_robot(settings: ChannelSettings, client: Client) -> Channel:
    own = dingtalk.DingtalkRobotSettings(**_given(settings.fields, "token", "secret", "url"))
    return dingtalk.DingtalkRobot(settings.name, own, client)


_FEISHU = (
    _secret("token", "The last part of the robot's hook."),
    _secret("secret", "Where the robot asks for a signature.", required=False),
    _url(feishu.URL),
)


def _feishu(settings: ChannelSettings, client: Client) -> Channel:
    own = feishu.FeishuRobotSettings(**_given(settings.fields, "token", "secret", "url"))
    return feishu.FeishuRobot(settings.name, own, client)

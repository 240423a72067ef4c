"""WeCom (企业微信): a message of an application to one member, or of a robot to its group.

The server API of qyapi.weixin.qq.com: `gettoken`, `message/send` and `webhook/send`, as documented in
2025. The provider would cut a text that is too long without a word, so it is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from lifecycle.outreach.channels import provider
from lifecycle.outreach.channels.http import Client, Request
from lifecycle.outreach.channels.provider import (
    NOBODY_KNOWS,
    NOT_HER,
    NOT_THIS,
    NOT_US,
    Codes,
    Provider,
    Said,
    busy,
)
from lifecycle.outreach.channels.tokens import Tokens, with_token
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Accepted, Outcome, Refused

URL = "https://qyapi.weixin.qq.com"
LONGEST = 2048  # bytes

CODES: Codes = {
    "-1": busy(30),  # the server is not available, try later
    "6000": busy(5),  # changed by several at once
    "40003": NOT_HER,
    "40031": NOT_HER,
    "46004": NOT_HER,
    "60111": NOT_HER,
    "81013": NOT_HER,  # none of the recipients is in sight of the application
    "301002": NOT_US,
    "40008": NOT_THIS,
    "40033": NOT_THIS,
    "40058": NOT_THIS,
    "41006": NOT_THIS,
    "43002": NOT_THIS,
    "44004": NOT_THIS,
    "45002": NOT_THIS,
    "47001": NOT_THIS,
    "40001": NOT_US,
    "40013": NOT_US,
    "40014": NOT_US,
    "40056": NOT_US,
    "40091": NOT_US,
    "41001": NOT_US,
    "42001": NOT_US,
    "45009": busy(60),
    "45033": busy(10),
    "48002": NOT_US,
    "60011": NOT_US,
    "60020": NOT_US,  # our address is not on its list
    "93000": NOT_US,  # the robot's key is wrong
    "93008": NOT_US,  # the robot is no longer in its group
    "50001": NOBODY_KNOWS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WecomAppSettings:
    corporation: str  # corpid
    secret: str = field(repr=False)  # corpsecret of the application
    agent: int  # agentid
    address: str | None = "wecom"  # the attribute that holds her user at WeCom
    url: str = URL


@dataclass(frozen=True, slots=True, kw_only=True)
class WecomRobotSettings:
    key: str = field(repr=False)  # of the robot's hook
    url: str = URL


class WecomApp(Provider):
    def __init__(self, name: str, settings: WecomAppSettings, client: Client) -> None:
        super().__init__(name=name, address=settings.address, client=client)
        self._settings = settings
        query = urlencode({"corpid": settings.corporation, "corpsecret": settings.secret})
        request = Request(url=f"{settings.url}/cgi-bin/gettoken?{query}")
        self._tokens = Tokens(client, request, CODES)

    def _sent(self, letter: Letter) -> Outcome:
        user = provider.login(letter)
        if isinstance(user, Refused):
            return user
        text = _text(letter)
        if isinstance(text, Refused):
            return text
        body = {
            "touser": user,
            "agentid": self._settings.agent,
            "msgtype": "text",
            "text": {"content": text},
        }
        said = with_token(self.client, self._tokens, lambda token: self._request(token, body))
        return _outcome(said) if isinstance(said, Said) else said

    def _request(self, token: str, body: Mapping[str, object]) -> Request:
        query = urlencode({"access_token": token})
        return provider.json(f"{self._settings.url}/cgi-bin/message/send?{query}", body)


class WecomRobot(Provider):
    """A group hears it, so it needs no address."""

    def __init__(self, name: str, settings: WecomRobotSettings, client: Client) -> None:
        super().__init__(name=name, address=None, client=client)
        self._settings = settings

    def _sent(self, letter: Letter) -> Outcome:
        text = _text(letter)
        if isinstance(text, Refused):
            return text
        query = urlencode({"key": self._settings.key})
        url = f"{self._settings.url}/cgi-bin/webhook/send?{query}"
        said = self.ask(provider.json(url, {"msgtype": "text", "text": {"content": text}}))
        return _outcome(said) if isinstance(said, Said) else said


def _text(letter: Letter) -> str | Refused:
    text = provider.words(letter)
    size = len(text.encode())
    return text if size <= LONGEST else provider.too_long(f"{size} bytes; at most {LONGEST}")


def _outcome(said: Said) -> Outcome:
    code = provider.text_of(said.data, "errcode")
    if code != "0":
        return said.meant(CODES, code, said.data.get("errmsg"))
    for key in ("invaliduser", "unlicenseduser"):
        if said.data.get(key):
            return provider.meant(CODES, "81013", f"the provider names her under {key}")
    return Accepted(provider_id=provider.text_of(said.data, "msgid"))

"""DingTalk (钉钉): a work notification to one employee, or what a robot says to its group.

The server API of oapi.dingtalk.com: `gettoken`, `topapi/message/corpconversation/asyncsend_v2`, and
`robot/send` with its signature. A notification is accepted as a task; whether it was shown is not told.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from lifecycle.outreach.channels import provider
from lifecycle.outreach.channels.http import Client, Request
from lifecycle.outreach.channels.provider import (
    NOT_HER,
    NOT_THIS,
    NOT_US,
    Codes,
    Provider,
    Said,
    busy,
)
from lifecycle.outreach.channels.tokens import Tokens, code_of, with_token
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Accepted, Outcome, Refused

URL = "https://oapi.dingtalk.com"

CODES: Codes = {
    "-1": busy(30),  # the server is not available, try later
    "33012": NOT_HER,
    "40003": NOT_HER,
    "60121": NOT_HER,
    "34016": NOT_THIS,
    "40008": NOT_THIS,
    "40035": NOT_THIS,
    "43004": NOT_THIS,
    "400105": NOT_THIS,
    "430101": NOT_THIS,  # a link that it finds unsafe
    "430102": NOT_THIS,
    "430103": NOT_THIS,
    "430104": NOT_THIS,
    "400002": NOT_THIS,
    "40001": NOT_US,
    "40014": NOT_US,
    "40078": NOT_US,
    "40089": NOT_US,
    "40090": NOT_US,
    "41001": NOT_US,
    "42001": NOT_US,
    "60011": NOT_US,
    "60020": NOT_US,
    "88": NOT_US,
    "300001": NOT_US,
    "300005": NOT_US,
    "310000": NOT_US,  # keyword, signature or address
    "400013": NOT_US,  # the group is gone
    "400101": NOT_US,
    "400102": NOT_US,
    "400106": NOT_US,
    "90018": busy(60),
    "90002": busy(60),
    "90006": busy(60),
    "130101": busy(600),  # more than twenty a minute: it is silent for ten
    "410100": busy(600),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DingtalkAppSettings:
    key: str  # AppKey
    secret: str = field(repr=False)  # AppSecret
    agent: int  # AgentId
    address: str | None = "dingtalk"  # the attribute that holds her user at DingTalk
    url: str = URL


@dataclass(frozen=True, slots=True, kw_only=True)
class DingtalkRobotSettings:
    token: str = field(repr=False)  # access_token of the robot's hook
    secret: str | None = field(default=None, repr=False)  # SEC…; None: it is guarded otherwise
    url: str = URL


class DingtalkApp(Provider):
    def __init__(self, name: str, settings: DingtalkAppSettings, client: Client) -> None:
        super().__init__(name=name, address=settings.address, client=client)
        self._settings = settings
        query = urlencode({"appkey": settings.key, "appsecret": settings.secret})
        self._tokens = Tokens(client, Request(url=f"{settings.url}/gettoken?{query}"), CODES)

    def _sent(self, letter: Letter) -> Outcome:
        user = provider.login(letter)
        if isinstance(user, Refused):
            return user
        body = {
            "agent_id": self._settings.agent,
            "userid_list": user,
            "msg": {"msgtype": "text", "text": {"content": provider.words(letter)}},
        }
        said = with_token(self.client, self._tokens, lambda token: self._request(token, body))
        return _outcome(said, "task_id") if isinstance(said, Said) else said

    def _request(self, token: str, body: Mapping[str, object]) -> Request:
        query = urlencode({"access_token": token})
        path = "/topapi/message/corpconversation/asyncsend_v2"
        return provider.json(f"{self._settings.url}{path}?{query}", body)


class DingtalkRobot(Provider):
    """A group hears it, so it needs no address."""

    def __init__(self, name: str, settings: DingtalkRobotSettings, client: Client) -> None:
        super().__init__(name=name, address=None, client=client)
        self._settings = settings

    def _sent(self, letter: Letter) -> Outcome:
        query = {"access_token": self._settings.token}
        if self._settings.secret is not None:
            query |= signature(self._settings.secret, self.client.now())
        url = f"{self._settings.url}/robot/send?{urlencode(query)}"
        body = {"msgtype": "text", "text": {"content": provider.words(letter)}}
        said = self.ask(provider.json(url, body))
        return _outcome(said, "msgid") if isinstance(said, Said) else said


def signature(secret: str, at: datetime) -> dict[str, str]:
    """HMAC of `timestamp, line feed, secret` under the secret; the timestamp in milliseconds."""
    timestamp = str(int(at.timestamp() * 1000))
    digest = hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256).digest()
    return {"timestamp": timestamp, "sign": base64.b64encode(digest).decode()}


def _outcome(said: Said, known_as: str) -> Outcome:
    code = code_of(said.data)
    if code == "0":
        return Accepted(provider_id=provider.text_of(said.data, known_as))
    return said.meant(CODES, code, said.data.get("sub_msg") or said.data.get("errmsg"))

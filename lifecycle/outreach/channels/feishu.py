"""Feishu (飞书) and Lark: what a robot says to its group, by the hook `open-apis/bot/v2`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import datetime

from lifecycle.outreach.channels import provider
from lifecycle.outreach.channels.http import Client
from lifecycle.outreach.channels.provider import (
    NOBODY_KNOWS,
    NOT_THIS,
    NOT_US,
    Codes,
    Provider,
    Said,
    busy,
)
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Accepted, Outcome

URL = "https://open.feishu.cn"

CODES: Codes = {
    "9499": NOT_THIS,
    "10003": NOT_THIS,
    "19001": NOT_US,  # the hook is wrong
    "19002": NOT_THIS,
    "19021": NOT_US,  # the signature or our clock is wrong
    "19022": NOT_US,  # our address is not on its list
    "19024": NOT_THIS,  # a keyword that the robot asks for is missing
    "19003": NOBODY_KNOWS,
    "1500": NOBODY_KNOWS,
    "11232": busy(60),
    "99991400": busy(60),
    "99991663": NOT_US,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeishuRobotSettings:
    token: str = field(repr=False)  # the last part of the robot's hook
    secret: str | None = field(default=None, repr=False)  # None: it is guarded otherwise
    url: str = URL  # of Lark: https://open.larksuite.com


class FeishuRobot(Provider):
    """A group hears it, so it needs no address."""

    def __init__(self, name: str, settings: FeishuRobotSettings, client: Client) -> None:
        super().__init__(name=name, address=None, client=client)
        self._settings = settings

    def _sent(self, letter: Letter) -> Outcome:
        body: dict[str, object] = {
            "msg_type": "text",
            "content": {"text": _calls_nobody(provider.words(letter))},
        }
        if self._settings.secret is not None:
            body |= signature(self._settings.secret, self.client.now())
        url = f"{self._settings.url}/open-apis/bot/v2/hook/{self._settings.token}"
        said = self.ask(provider.json(url, body))
        return _outcome(said) if isinstance(said, Said) else said


def signature(secret: str, at: datetime) -> dict[str, str]:
    """HMAC of nothing under the key `timestamp, line feed, secret`; the timestamp in seconds."""
    timestamp = str(int(at.timestamp()))
    digest = hmac.new(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return {"timestamp": timestamp, "sign": base64.b64encode(digest).decode()}


def _calls_nobody(text: str) -> str:
    """A customer who is called `<at user_id="all">` would otherwise ring at the whole group."""
    return re.sub("<(?=/?at)", "＜", text, flags=re.IGNORECASE)


def _outcome(said: Said) -> Outcome:
    code = provider.text_of(said.data, "code") or provider.text_of(said.data, "StatusCode")
    if code == "0":
        return Accepted()
    return said.meant(CODES, code, said.data.get("msg"))

"""SMS by Twilio: the Messages resource of the API of 2010-04-01, with basic authentication."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

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
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Accepted, Ambiguous, Outcome, Refused

URL = "https://api.twilio.com"
LONGEST = 1600  # characters

CODES: Codes = {
    "20003": NOT_US,  # the key is wrong
    "20005": NOT_US,  # the account is not active
    "20404": NOT_US,  # there is no such account
    "20429": busy(30),
    "14107": busy(60),
    "21211": NOT_HER,  # no number
    "21214": NOT_HER,
    "21217": NOT_HER,
    "21265": NOT_HER,  # a short code
    "21408": NOT_HER,  # no permission for her country
    "21610": NOT_HER,  # she answered STOP
    "21612": NOT_HER,  # not reached from our number
    "21614": NOT_HER,  # no mobile
    "21602": NOT_THIS,  # empty
    "21617": NOT_THIS,  # too long
    "21603": NOT_US,  # no sender
    "21606": NOT_US,  # the sender is not ours
    "21608": NOT_US,  # a trial account
    "21611": busy(60),  # the sender's queue is full
    "21659": NOT_US,
    "21660": NOT_US,
    "21701": NOT_US,  # no such messaging service
    "21703": NOT_US,  # a messaging service without senders
    "21704": NOT_US,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioSettings:
    account: str  # AC…
    secret: str = field(repr=False)  # the account's token, or that of `key`
    sender: str  # a number in E.164, a name, or MG… of a messaging service
    key: str | None = None  # SK… of an API key; None: the account signs in itself
    address: str = "phone"  # the attribute that holds her number
    url: str = URL


class Twilio(Provider):
    """A letter is one POST; it knows no idempotency key, so it is not repeated in doubt."""

    def __init__(self, name: str, settings: TwilioSettings, client: Client) -> None:
        super().__init__(name=name, address=settings.address, client=client)
        self._settings = settings

    def _sent(self, letter: Letter) -> Outcome:
        number = provider.phone(letter)
        if isinstance(number, Refused):
            return number
        text = letter.content.text.strip()
        if len(text) > LONGEST:
            return provider.too_long(f"{len(text)} characters; at most {LONGEST}")
        said = self.ask(self._request(number, text))
        return _outcome(said) if isinstance(said, Said) else said

    def _request(self, number: str, text: str) -> Request:
        ours = self._settings
        by = "MessagingServiceSid" if ours.sender.startswith("MG") else "From"
        login = base64.b64encode(f"{ours.key or ours.account}:{ours.secret}".encode()).decode()
        return Request(
            url=f"{ours.url}/2010-04-01/Accounts/{quote(ours.account, safe='')}/Messages.json",
            headers={
                "Authorization": f"Basic {login}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            body=urlencode({"To": number, by: ours.sender, "Body": text}).encode(),
        )


def _outcome(said: Said) -> Outcome:
    if said.answer.status < 300:
        known = provider.text_of(said.data, "sid")
        if known is None:
            return Ambiguous(code="answer_unreadable", detail="it answered 2xx without an id")
        return Accepted(provider_id=known)
    return said.meant(CODES, provider.text_of(said.data, "code"), said.data.get("message"))

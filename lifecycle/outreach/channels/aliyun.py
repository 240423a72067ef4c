"""SMS by Alibaba Cloud: Dysmsapi `SendSms` of 2017-05-25, signed with ACS3-HMAC-SHA256.

It sends registered templates only, so the settings say which one stands for a message, and from which
facts its parameters are filled; the text of our own template is what previews show.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

import orjson

from lifecycle.outreach.channels import provider
from lifecycle.outreach.channels.http import Client, Request
from lifecycle.outreach.channels.provider import (
    NOBODY_KNOWS,
    NOT_HER,
    NOT_THIS,
    NOT_US,
    Codes,
    Said,
    busy,
    enough,
)
from lifecycle.outreach.channels.registered import RegisteredSms
from lifecycle.outreach.channels.target import authority
from lifecycle.outreach.outcome import Accepted, Outcome

URL = "https://dysmsapi.aliyuncs.com"

CODES: Codes = {
    "isv.MOBILE_NUMBER_ILLEGAL": NOT_HER,
    "isv.MOBILE_COUNT_OVER_LIMIT": NOT_HER,
    "isv.NOT_SUPPORTED_COUNTRY": NOT_HER,
    "isv.COUNTRY_RESTRICTED": NOT_HER,
    "isv.BUSINESS_LIMIT_CONTROL": enough(3600),
    "isv.BLACK_KEY_CONTROL_LIMIT": NOT_THIS,
    "isv.SMS_CONTENT_ILLEGAL": NOT_THIS,
    "isv.SMS_TEMPLATE_ILLEGAL": NOT_THIS,
    "isv.SMS_SIGNATURE_ILLEGAL": NOT_THIS,
    "isv.SMS_SIGN_ILLEGAL": NOT_THIS,
    "isv.SIGN_NAME_ILLEGAL": NOT_THIS,
    "isv.SMS_SIGNATURE_SCENE_ILLEGAL": NOT_THIS,
    "isv.TEMPLATE_MISSING_PARAMETERS": NOT_THIS,
    "isv.TEMPLATE_PARAMS_ILLEGAL": NOT_THIS,
    "isv.INVALID_PARAMETERS": NOT_THIS,
    "isv.INVALID_JSON_PARAM": NOT_THIS,
    "isv.PARAM_LENGTH_LIMIT": NOT_THIS,
    "isv.PARAM_NOT_SUPPORT_URL": NOT_THIS,
    "isv.DAY_LIMIT_CONTROL": busy(3600),
    "isv.MONTH_LIMIT_CONTROL": busy(3600),
    "isv.AMOUNT_NOT_ENOUGH": NOT_US,
    "isv.OUT_OF_SERVICE": NOT_US,
    "isv.PRODUCT_UN_SUBSCRIPT": NOT_US,
    "isv.PRODUCT_UNSUBSCRIBE": NOT_US,
    "isv.ACCOUNT_NOT_EXISTS": NOT_US,
    "isv.ACCOUNT_ABNORMAL": NOT_US,
    "isp.RAM_PERMISSION_DENY": NOT_US,
    "isp.SYSTEM_ERROR": NOBODY_KNOWS,
    "isp.GATEWAY_ERROR": NOBODY_KNOWS,
    "isp.UNKNOWN": NOBODY_KNOWS,
    "InternalError": NOBODY_KNOWS,
    "Throttling": busy(60),
    "ServiceUnavailable": busy(60),
    "SignatureDoesNotMatch": NOT_US,
    "InvalidAccessKeyId": NOT_US,
    "InvalidTimeStamp": NOT_US,
    "SignatureNonceUsed": busy(1),
    "Forbidden": NOT_US,
    "NoPermission": NOT_US,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A text that is registered with the provider."""

    code: str
    parameters: Mapping[str, str] = field(default_factory=dict)  # its placeholder → our fact

    @property
    def facts(self) -> Sequence[str]:
        return list(self.parameters.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class AliyunSettings:
    key_id: str
    key_secret: str = field(repr=False)
    signature: str  # the registered name that stands in 【】
    templates: Mapping[str, Template] = field(default_factory=dict)  # message → template
    address: str = "phone"  # the attribute that holds her number
    url: str = URL


class Aliyun(RegisteredSms[Template]):
    """A letter is one `SendSms`; it knows no idempotency key, so it is not repeated in doubt."""

    def __init__(self, name: str, settings: AliyunSettings, client: Client) -> None:
        super().__init__(
            name=name, address=settings.address, templates=settings.templates, client=client
        )
        self._settings = settings

    def _request(self, key: str, number: str, template: Template, values: Sequence[str]) -> Request:
        query = {
            "PhoneNumbers": number.removeprefix("+86") if number[:3] == "+86" else number[1:],
            "SignName": self._settings.signature,
            "TemplateCode": template.code,
            "OutId": key,  # comes back in its reports
        }
        if values:
            filled = dict(zip(template.parameters, values, strict=True))
            query["TemplateParam"] = orjson.dumps(filled).decode()
        return signed(
            self._settings,
            action="SendSms",
            version="2017-05-25",
            query=query,
            at=self.client.now(),
            nonce=secrets.token_hex(16),
        )

    def _outcome(self, said: Said) -> Outcome:
        code = provider.text_of(said.data, "Code")
        if code == "OK":
            return Accepted(provider_id=provider.text_of(said.data, "BizId"))
        return said.meant(CODES, code, said.data.get("Message"))


def signed(
    settings: AliyunSettings,
    *,
    action: str,
    version: str,
    query: Mapping[str, str],
    at: datetime,
    nonce: str,
) -> Request:
    """A POST without a body, as `ACS3-HMAC-SHA256` signs it."""
    asked = "&".join(f"{_quoted(name)}={_quoted(query[name])}" for name in sorted(query))
    headers = {
        "host": authority(settings.url),
        "x-acs-action": action,
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "x-acs-signature-nonce": nonce,
        "x-acs-version": version,
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = "\n".join(["POST", "/", asked, lines, names, headers["x-acs-content-sha256"]])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(
        settings.key_secret.encode(), f"ACS3-HMAC-SHA256\n{digest}".encode(), hashlib.sha256
    ).hexdigest()
    headers["Authorization"] = (
        f"ACS3-HMAC-SHA256 Credential={settings.key_id},SignedHeaders={names},Signature={signature}"
    )
    del headers["host"]  # the client writes it
    return Request(url=f"{settings.url}/?{asked}", headers=headers, body=b"")


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")

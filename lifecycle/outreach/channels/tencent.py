"""SMS by Tencent Cloud: `SendSms` of 2021-01-11, signed with TC3-HMAC-SHA256.

It sends registered templates only, whose parameters stand in an order; the settings name them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

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

URL = "https://sms.tencentcloudapi.com"
_TYPE = "application/json; charset=utf-8"

CODES: Codes = {
    "FailedOperation.PhoneNumberInBlacklist": NOT_HER,
    "InvalidParameterValue.IncorrectPhoneNumber": NOT_HER,
    "UnsupportedOperation.UnsupportedRegion": NOT_HER,
    "LimitExceeded.PhoneNumberDailyLimit": enough(6 * 3600),
    "LimitExceeded.PhoneNumberSameContentDailyLimit": enough(6 * 3600),
    "LimitExceeded.PhoneNumberOneHourLimit": enough(3600),
    "LimitExceeded.PhoneNumberThirtySecondLimit": enough(30),
    "LimitExceeded.DeliveryFrequencyLimit": enough(3600),
    "FailedOperation.ContainSensitiveWord": NOT_THIS,
    "FailedOperation.TemplateIncorrectOrUnapproved": NOT_THIS,
    "FailedOperation.TemplateParamSetNotMatchApprovedTemplate": NOT_THIS,
    "FailedOperation.SignatureIncorrectOrUnapproved": NOT_THIS,
    "FailedOperation.TemplateUnapprovedOrNotExist": NOT_THIS,
    "FailedOperation.FailResolvePacket": NOT_THIS,
    "FailedOperation.InsufficientBalanceInSmsPackage": NOT_US,
    "FailedOperation.MarketingSendTimeConstraint": busy(3600),
    "InvalidParameterValue.ContentLengthLimit": NOT_THIS,
    "InvalidParameterValue.TemplateParameterFormatError": NOT_THIS,
    "InvalidParameterValue.TemplateParameterLengthLimit": NOT_THIS,
    "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter": NOT_THIS,
    "InvalidParameterValue.SdkAppIdNotExist": NOT_US,
    "InvalidParameterValue": NOT_THIS,
    "InvalidParameter": NOT_THIS,
    "MissingParameter": NOT_THIS,
    "UnauthorizedOperation": NOT_US,
    "UnsupportedOperation": NOT_THIS,
    "AuthFailure": NOT_US,
    "IpInBlacklist": NOT_US,
    "IpNotInWhitelist": NOT_US,
    "RequestLimitExceeded": busy(60),
    "LimitExceeded": busy(3600),
    "ServiceUnavailable": busy(60),
    # Its back end refused the request: these are the only ones of its internal errors that say so.
    "InternalError.SigVerificationFail": NOT_US,
    "InternalError.SigFieldMissing": NOT_US,
    "InternalError.RestApiInterfaceNotExist": NOT_US,
    "InternalError": NOBODY_KNOWS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A text that is registered with the provider."""

    code: str  # its number
    parameters: tuple[str, ...] = ()  # our facts, for {1}, {2} …

    @property
    def facts(self) -> Sequence[str]:
        return self.parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class TencentSettings:
    key_id: str
    key_secret: str = field(repr=False)
    app: str  # SdkAppId
    signature: str  # the registered name that stands in 【】; may be empty outside of China
    templates: Mapping[str, Template] = field(default_factory=dict)  # message → template
    region: str = "ap-guangzhou"
    address: str = "phone"  # the attribute that holds her number
    url: str = URL


class Tencent(RegisteredSms[Template]):
    """A letter is one `SendSms`; it knows no idempotency key, so it is not repeated in doubt."""

    def __init__(self, name: str, settings: TencentSettings, client: Client) -> None:
        super().__init__(
            name=name, address=settings.address, templates=settings.templates, client=client
        )
        self._settings = settings

    def _request(self, key: str, number: str, template: Template, values: Sequence[str]) -> Request:
        body: dict[str, object] = {
            "PhoneNumberSet": [number],
            "SmsSdkAppId": self._settings.app,
            "TemplateId": template.code,
            "TemplateParamSet": list(values),
            "SessionContext": key,  # comes back in its reports
        }
        if self._settings.signature:
            body["SignName"] = self._settings.signature
        headers = {
            "Content-Type": _TYPE,
            "X-TC-Action": "SendSms",
            "X-TC-Version": "2021-01-11",
            "X-TC-Region": self._settings.region,
        }
        request = Request(url=f"{self._settings.url}/", headers=headers, body=orjson.dumps(body))
        return signed(self._settings, request, service="sms", at=self.client.now())

    def _outcome(self, said: Said) -> Outcome:
        response = said.data.get("Response")
        if not isinstance(response, dict):
            return said.meant(CODES, None, None)
        error = response.get("Error")
        if isinstance(error, dict):
            return said.meant(CODES, provider.text_of(error, "Code"), error.get("Message"))
        match response.get("SendStatusSet"):
            case [{"Code": "Ok"} as status]:
                return Accepted(provider_id=provider.text_of(status, "SerialNo"))
            case [dict() as status]:
                return said.meant(CODES, provider.text_of(status, "Code"), status.get("Message"))
            case _:
                return said.meant(CODES, None, None)


def signed(settings: TencentSettings, request: Request, *, service: str, at: datetime) -> Request:
    """The request with its signature: `content-type` and `host` are in it, and the whole body."""
    assert request.body is not None
    names = "content-type;host"
    lines = f"content-type:{request.headers['Content-Type']}\nhost:{authority(request.url)}\n"
    canonical = "\n".join(["POST", "/", "", lines, names, hashlib.sha256(request.body).hexdigest()])
    day, seconds = f"{at:%Y-%m-%d}", int(at.timestamp())
    scope = f"{day}/{service}/tc3_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"TC3{settings.key_secret}".encode()
    for part in (day, service, "tc3_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"TC3-HMAC-SHA256\n{seconds}\n{scope}\n{digest}"
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    authorization = (
        f"TC3-HMAC-SHA256 Credential={settings.key_id}/{scope}, SignedHeaders={names},"
        f" Signature={signature}"
    )
    headers = {
        **request.headers,
        "X-TC-Timestamp": str(seconds),
        "Authorization": authorization,
    }
    return Request(url=request.url, headers=headers, body=request.body)

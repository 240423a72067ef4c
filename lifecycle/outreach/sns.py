"""Is what is posted really from Amazon SNS, and of a topic of ours?

The topic is looked at first: for a foreign one nobody is asked anything, and nothing is confirmed. What
is then believed is what a certificate of SNS's own host, in the region of the topic, signs.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import parse_qsl

import orjson

from lifecycle.errors import Problem
from lifecycle.logs.lines import Teller
from lifecycle.outreach import ses
from lifecycle.outreach.certificates import Amazon, Certificates
from lifecycle.outreach.hooks import (
    TOLERANCE,
    Posted,
    Read,
    code_of,
    foreign,
    not_signed,
    not_understood,
    refuse_without_secret,
)
from lifecycle.outreach.replies import Ignored

tell = Teller("lifecycle")

# SNS goes on trying for an hour, and is late itself at times; what is refused it never sends again. A
# message that comes twice does nothing the second time, so this only ends how long one can be kept.
KEPT_FOR = timedelta(days=1)

_FIELDS = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}
_FIELDS["UnsubscribeConfirmation"] = _FIELDS["SubscriptionConfirmation"]
_ARN = re.compile(
    r"arn:(aws[a-z-]{0,7}):sns:([a-z]{2}(?:-[a-z]{1,12}){1,3}-[0-9]{1,2})"
    r":[0-9]{12}:[A-Za-z0-9_-]{1,256}"
)
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One to which reports are published."""

    arn: str
    region: str
    domain: str  # under which that part of Amazon's cloud is

    @property
    def host(self) -> str:
        """The one that has its certificates, and takes its confirmations."""
        return f"sns.{self.region}.{self.domain}"

    @property
    def signers(self) -> frozenset[str]:
        """The names that a certificate of that host may have; they differ between regions."""
        own = {f"{name}{self.region}.{self.domain}" for name in ("sns.", "sns-", "sns-signing.")}
        if self.region.startswith("us-gov-"):
            own.add(f"sns-us-gov-west-1.{self.domain}")  # signs for both
        return frozenset(own | {f"sns.{self.domain}"})


def topic_named(arn: str) -> Topic | None:
    """None for what is no topic that can report to us."""
    match = _ARN.fullmatch(arn)
    if match is None:
        return None
    cloud, region = match.groups()
    if region.startswith("cn-"):
        own, domain = "aws-cn", "amazonaws.com.cn"
    else:
        own, domain = "aws-us-gov" if region.startswith("us-gov-") else "aws", "amazonaws.com"
    return Topic(arn=arn, region=region, domain=domain) if cloud == own else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnsHook:
    """Reports of Amazon SES, by topics of SNS."""

    most_bytes: ClassVar[int] = (
        512 * 1024
    )  # 256 KiB, and what it takes to write them as JSON in JSON

    topics: tuple[Topic, ...]
    channel: str
    secrets: tuple[bytes, ...] = field(default=(), repr=False)  # in the address that is subscribed
    amazon: Amazon = field(compare=False, repr=False)  # confirmed with
    certificates: Certificates = field(compare=False, repr=False)

    def refuse_stranger(self, url: str) -> None:
        """Without this, whoever knows a topic can have us ask for certificates."""
        refuse_without_secret(url, self.secrets)

    def read(self, posted: Posted) -> Read:
        said = _said(posted.body)
        topic = self._topic(said)
        self._refuse_unsigned(said, topic, posted.now)
        _refuse_old(said["Timestamp"], posted.now)
        if said["Type"] == "Notification":
            return ses.read(said["Message"], self.channel)
        if said["Type"] == "SubscriptionConfirmation":
            self._confirm(said, topic)
            return Ignored(why="subscription_confirmed")
        tell.warning(
            "subscription_ended",
            "Amazon SNS says that {topic} reports to us no more about letters by {channel}: if nobody"
            " wanted that, subscribe it again",
            topic=topic.arn,
            channel=self.channel,
        )
        return Ignored(why="subscription_ended")

    def _topic(self, said: Mapping[str, str]) -> Topic:
        arn = said.get("TopicArn", "none")
        for each in self.topics:
            if each.arn == arn:
                return each
        raise foreign(arn)

    def _refuse_unsigned(self, said: Mapping[str, str], topic: Topic, now: datetime) -> None:
        fields = _signed_fields(said)
        url = said.get("SigningCertURL", "")
        place = rf"https://{re.escape(topic.host)}/SimpleNotificationService-[0-9a-f]{{1,64}}\.pem"
        if not re.fullmatch(place, url):
            raise not_signed()
        certificate = self.certificates.at(url)
        certificate.refuse_unfit(topic.signers, now)
        content = "".join(f"{name}\n{said[name]}\n" for name in fields).encode()
        version = said.get("SignatureVersion", "")
        if not certificate.signed(content, _signature(said), version=version):
            raise not_signed()

    def _confirm(self, said: Mapping[str, str], topic: Topic) -> None:
        """Done again where SNS posts it again; it is the same subscription."""
        wanted = {
            "Action": "ConfirmSubscription",
            "TopicArn": topic.arn,
            "Token": said["Token"],
        }
        start, _, query = said["SubscribeURL"].partition("?")
        asked = parse_qsl(query, max_num_fields=len(wanted)) if query.count("&") == 2 else []
        if start != f"https://{topic.host}/" or len(asked) != 3 or dict(asked) != wanted:
            raise not_understood(
                "SubscribeURL",
                f"https://{topic.host}/?Action=ConfirmSubscription&TopicArn=…&Token=…",
            )
        if self.amazon.get(said["SubscribeURL"]) is None:
            raise Problem(
                "subscription_refused",
                "Amazon SNS does not take the confirmation that it asked for",
                hint="have it ask again: `Request confirmation` in its console",
            )
        tell.info(
            "subscription_confirmed",
            "{topic} reports to us from now on about letters by {channel}",
            topic=topic.arn,
            channel=self.channel,
        )


def _said(body: bytes) -> dict[str, str]:
    """The fields that are text; all that are signed must be."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise not_signed()
    return {name: value for name, value in said.items() if isinstance(value, str)}


def _signed_fields(said: Mapping[str, str]) -> Sequence[str]:
    """Those that the signature covers, in its order.

    It covers them written one after the other, so one with a line break could pass for two: only
    the message itself, which comes first, may have any.
    """
    fields = [
        name for name in _FIELDS.get(said.get("Type", ""), ()) if name in said or name != "Subject"
    ]
    if not fields or any(name not in said for name in fields):
        raise not_signed()
    if any("\n" in said[name] for name in fields if name != "Message"):
        raise not_signed()
    return fields


def _signature(said: Mapping[str, str]) -> bytes:
    try:
        return base64.b64decode(said.get("Signature", ""), validate=True)
    except (binascii.Error, ValueError):
        raise not_signed() from None


def _refuse_old(text: str, now: datetime) -> None:
    try:
        at = datetime.fromisoformat(text) if _AT.fullmatch(text) else None
    except ValueError:  # such as a thirteenth month
        at = None
    if at is None or not now - KEPT_FOR <= at <= now + TOLERANCE:
        raise Problem(
            "timestamp_outside_tolerance",
            "the signed timestamp is too far from now",
            status=401,
            got=code_of(text),
            expected="within the last 24 hours, and at most 5 minutes ahead of us",
            hint="check the clock of this machine",
        )

"""Who reports what became of the letters of a mail server? What the file says of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from lifecycle.outreach.certificates import Amazon, Certificates
from lifecycle.outreach.channels.http import Client
from lifecycle.outreach.channels.settings import SECRET, ChannelSettings, Settings
from lifecycle.outreach.channels.target import Targets
from lifecycle.outreach.sns import SnsHook, topic_named
from lifecycle.policy.records import Fields, Key
from lifecycle.policy.report import Report, found
from lifecycle.policy.shapes import JsonSchema, ListOf, NotThis, Word
from lifecycle.policy.source import Scalar

# SNS waits for 15 s in all, and a confirmation may ask twice.
CONNECT_SECONDS, READ_SECONDS = 2.0, 4.0

Reach = Callable[[Sequence[str]], Client]
"""A client that asks these hosts and no others; what a test replaces to reach its own machine."""


class TopicName(Word[str]):
    code = "wrong_topic"

    def value(self, node: Scalar) -> str:
        if topic_named(node.text) is None:
            raise NotThis(f"{found(node.text)}; allowed: {self.says()}")
        return node.text

    def says(self) -> str:
        return (
            "the ARN of a standard topic, such as arn:aws:sns:eu-west-1:123456789012:ses-feedback"
        )

    def schema(self) -> JsonSchema:
        return {"type": "string", "pattern": "^arn:aws"}


SNS = Settings(
    "reports by Amazon SNS",
    (
        Key(
            name="topics",
            shape=ListOf(TopicName(), most=20),
            about="The topics to which SES publishes. What comes by any other is refused.",
            required=True,
        ),
        Key(
            name="secrets",
            shape=ListOf(SECRET, most=5),
            about="What the address that you subscribe has at its end, as `?secret=…`: 24 characters"
            " or more of A-Z, a-z, 0-9, - and _. Any of them is taken; who has none is not listened"
            " to.",
        ),
    ),
)
REPORTS = Key(
    name="reports",
    shape=Settings(
        "the reports of a mail server",
        (Key(name="sns", shape=SNS, about="By Amazon SES, through SNS.", required=True),),
    ),
    about="Who reports what became of letters; where nobody does, mails that come back say it.",
)


_SECRET = re.compile("[A-Za-z0-9_-]{24,200}")  # written in an address as it is


def check(channel: ChannelSettings, report: Report) -> None:
    """Tells what is no secret for an address, without a word of it."""
    reports: Fields | None = channel.fields.value("reports")
    if reports is None or "sns" not in reports:
        return
    for held in reports.value("sns").value("secrets", ()):
        if held.value is not None and not _SECRET.fullmatch(held.value.text):
            report.error(
                held.place,
                "wrong_secret",
                f"{held.value.source} holds no secret for an address; allowed: 24 to 200 characters"
                " of A-Z, a-z, 0-9, - and _",
            )


def reach(hosts: Sequence[str]) -> Client:
    return Client(
        targets=Targets(only=hosts), connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS
    )


def sns_hook(channel: ChannelSettings, reach: Reach = reach) -> SnsHook | None:
    """None where SNS reports nothing about this channel."""
    reports: Fields | None = channel.fields.value("reports")
    if reports is None:
        return None
    named = (topic_named(held.value) for held in reports.value("sns").value("topics"))
    topics = tuple(topic for topic in named if topic is not None)
    ask = reach(sorted({topic.host for topic in topics})).ask
    secrets = reports.value("sns").value("secrets", ())
    return SnsHook(
        topics=topics,
        channel=channel.name,
        secrets=tuple(held.value.text.encode() for held in secrets),
        amazon=Amazon(ask),  # of its own: who uses up what may be asked for unsigned hinders none
        certificates=Certificates(Amazon(ask)),
    )

"""What an installation sends with: its texts, its channels and its secret, as the settings name them."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

import orjson

from lifecycle.domain.policy import MessageClass, Policy
from lifecycle.engine import tasks
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending.office import NotWritten, Wait
from lifecycle.errors import Finding
from lifecycle.logs.lines import Teller
from lifecycle.outreach.addresses import address_hashes
from lifecycle.outreach.channels import Channel
from lifecycle.outreach.channels.measuring import may_measure
from lifecycle.outreach.channels.opening import KINDS, Channels, open_channels
from lifecycle.outreach.channels.settings import (
    Assign,
    ChannelSettings,
    Company,
    read_channels,
)
from lifecycle.outreach.letter import Letter, Links, Rendered
from lifecycle.outreach.measured import measured
from lifecycle.outreach.outcome import Outcome
from lifecycle.outreach.secret import Secret, secret_of
from lifecycle.outreach.staff import Staff, staff_of
from lifecycle.outreach.templates.catalogue import Catalogue, Template
from lifecycle.outreach.templates.mail import CLIPPED_AT
from lifecycle.outreach.templates.names import Variables, supplied
from lifecycle.outreach.templates.part import TemplateFailed
from lifecycle.outreach.templates.renderer import Renderer
from lifecycle.outreach.tokens import letter_key, links_of, survey_of
from lifecycle.outreach.verdict import Reason
from lifecycle.settings import Settings
from lifecycle.store import mailroom
from lifecycle.store.mailroom import Shown
from lifecycle.store.messages import MessageRow

tell = Teller("lifecycle")

HARMFUL = frozenset({"not_allowed", "tag_not_allowed", "unsafe_link"})  # findings of a template
AT_ONCE = 8  # letters on their way by one channel, in one process; so many share a transaction
RENDERING = 2  # processes that fill templates in
NAMELESS = "Your company"  # until `channels.yaml` names it; no real channel is ready before that
NOWHERE = Links(
    unsubscribe="https://public-url-is-not-set.invalid/u/",
    preferences="https://public-url-is-not-set.invalid/u/preferences",
    survey="https://public-url-is-not-set.invalid/s/",
)
"""Links of letters that only the outbox shows, where no public address is set."""


def told_of(company: Company) -> Mapping[str, str]:
    """What letters may say of who writes them; there is always a name."""
    known = {name: value for name, value in asdict(company).items() if value}
    return {"name": NAMELESS} | known


class _InForce:
    """What messages may name, under the policy that judges now."""

    def __init__(self, inst: Installation) -> None:
        self._inst = inst

    def version(self) -> int:
        with self._inst.db.read() as tx:
            return self._inst.timeline(tx).at(self._inst.now(tx)).number

    def of(self, message: str) -> Variables | None:
        policy = self._inst.policy()
        rule = next((rule for rule in policy.outreach if rule.name == message), None)
        return None if rule is None else supplied(policy, rule)


def company_of(settings: Settings) -> Mapping[str, str]:
    """Who writes, for a look at a message; raises ChannelsRefused for a file that is wrong."""
    return told_of(read_channels(settings.config_dir, os.environ, KINDS).company)


def lacking(
    channel: Channel, message_class: MessageClass, *, public_url: str | None, signs: bool
) -> list[str]:
    """What must be set up before a channel sends messages of a class, a sentence each."""
    marketing = message_class is MessageClass.MARKETING
    found = list(channel.unready(marketing=marketing))
    if channel.is_real and marketing and not found:  # some kinds say so themselves
        if public_url is None:
            found.append("no public address is set, so nobody could unsubscribe")
        elif not signs:
            found.append("no secret is set, so no link to unsubscribe could be signed")
    return found


class Templates:
    """The texts of a folder, filled in by processes of their own."""

    def __init__(self, catalogue: Catalogue, renderer: Renderer) -> None:
        self._catalogue = catalogue
        self._renderer = renderer

    def is_broken(self, rule: str, channel: str) -> bool:
        return self._catalogue.has_unusable(rule, channel) or any(
            finding.file.startswith(f"{rule}/")
            and finding.file.rpartition("/")[2].startswith(f"{channel}.")
            and not finding.warning
            for finding in self._catalogue.broken()
        )

    def has(
        self, rule: str, step: int, variant: str | None, channel: str, language: str | None
    ) -> bool:
        return self._found(rule, step, variant, channel, language) is not None

    def write(
        self,
        rule: str,
        step: int,
        variant: str | None,
        channel: str,
        language: str | None,
        context: Mapping[str, Any],
        *,
        zone: str,
        currency: str,
    ) -> Rendered:
        template = self._found(rule, step, variant, channel, language)
        if template is None:
            raise NotWritten("no_template", f"{rule}: there is no text for {channel}")
        written = self._renderer.render(
            template, context, language=language or template.language, zone=zone, currency=currency
        )
        if isinstance(written, TemplateFailed):
            raise NotWritten(written.code, f"{written.where}: {written.detail}")
        return written

    def _found(
        self, rule: str, step: int, variant: str | None, channel: str, language: str | None
    ) -> Template | None:
        languages = [language] if language else []
        return self._catalogue.find(rule, step, variant, channel, languages)

    def close(self) -> None:
        self._renderer.close()


class Desk:
    """The `Office` of a real installation."""

    def __init__(
        self,
        *,
        texts: Templates,
        channels: Channels,
        secret: Secret | None,
        public_url: str | None,
        staff: Sequence[Staff] = (),
    ) -> None:
        self.texts = texts
        self._ways = channels
        self._secret = secret
        self._public_url = public_url
        self._turns = threading.Lock()
        self._last_turn: dict[str, float] = {}  # by channel: of the letter that was put off last
        self._staff = staff

    @property
    def channels(self) -> Mapping[str, Channel]:
        return self._ways

    @cached_property
    def company(self) -> Mapping[str, str]:
        return told_of(self._ways.company)

    def at_once(self, channel: str) -> int:  # noqa: ARG002 - all alike
        return AT_ONCE

    def shut_for(self, channel: str) -> float:
        return self._ways.breaker(channel).wait()

    def enter(self, channel: str) -> Wait | None:
        breaker = self._ways.breaker(channel)
        if seconds := breaker.enter():
            return Wait(seconds=seconds, reason=Reason.BREAKER)
        if seconds := self._ways.throttle(channel).take():
            breaker.leave()
            return Wait(seconds=self._turn(channel, seconds), reason=Reason.RATE)
        return None

    def _turn(self, channel: str, seconds: float) -> float:
        """Letters that are too many for the rate of a channel are put off one after the other, so that
        each comes again when it is its turn, and not all of them with every one that leaves."""
        with self._turns:
            now = time.monotonic()
            last = self._last_turn.get(channel, now)
            step = self._ways.throttle(channel).step
            turn = self._last_turn[channel] = max(now + seconds, last + step)
            return turn - now

    def leave(self, channel: str, outcome: Outcome | None) -> None:
        if outcome is None:
            self._ways.breaker(channel).leave()
            self._ways.throttle(channel).give_back()
        else:
            self._ways.breaker(channel).record(outcome)

    def key_of(self, customer: str, row: MessageRow) -> str:
        """Signed where there is a secret, as it comes back in reports that anybody may forge."""
        if self._secret is not None:
            return letter_key(self._secret, row.row_id)
        message = row.message
        named = orjson.dumps([customer, message.rule, message.cause, message.number])
        return f"l-{hashlib.sha256(named).hexdigest()[:32]}"

    def hashes_of(self, channel: str, address: str) -> Sequence[str]:
        return () if self._secret is None else address_hashes(self._secret, channel, address)

    def links(
        self, customer: int, letter: str, *, purpose: str | None, channel: str, rule: str
    ) -> Links | None:
        if self._secret is None or self._public_url is None:
            return None if self._ways[channel].is_real else NOWHERE
        return links_of(
            self._public_url,
            self._secret,
            customer,
            letter,
            purpose,
            channel,
            survey=survey_of(rule),
        )

    def measured(
        self, content: Rendered, *, letter: str, channel: str, consents: Mapping[str, bool]
    ) -> Rendered:
        measure = self._ways.measure(channel)
        if measure is None or content.html is None:
            return content
        if self._secret is None or self._public_url is None:
            return content
        if not may_measure(measure.consent, channel, consents):
            return content
        html = measured(
            content.html, measure, self._public_url, self._secret, letter=letter, channel=channel
        )
        if len(html.encode()) > CLIPPED_AT >= len(content.html.encode()):
            tell.info(
                "letter_not_measured",
                "a letter by {channel} is not measured: with that it would be too large for Gmail",
                channel=channel,
            )
            return content
        return replace(content, html=html)

    def owner(self, login: str | None) -> Mapping[str, str]:
        known = (staff.known_of(login) for staff in self._staff)
        return max(known, key=len, default={} if login is None else {"login": login})

    def unready(self, channel: str, message_class: MessageClass) -> Sequence[str]:
        return lacking(
            self._ways[channel],
            message_class,
            public_url=self._public_url,
            signs=self._secret is not None,
        )

    def close(self) -> None:
        self.texts.close()
        self._ways.close()


def open_desk(inst: Installation, settings: Settings) -> Desk:
    """Connects to nobody yet. Raises Unusable for a secret, ChannelsRefused for a file that is wrong."""
    secret = secret_of(settings)
    staff: list[Staff] = []
    desk = Desk(
        texts=Templates(
            Catalogue(settings.templates_dir, on_broken=_tell_of_broken, names=_InForce(inst)),
            Renderer(children=RENDERING),
        ),
        channels=open_channels(
            settings.config_dir,
            os.environ,
            public_url=settings.reachable_at,
            signs=secret is not None,
            keep=_keeping(inst),
            assigning=_assigning(inst, staff),
        ),
        secret=secret,
        staff=staff,
        public_url=settings.reachable_at,
    )
    _tell_of_unready(desk, inst.policy())
    return desk


@dataclass(frozen=True, slots=True, kw_only=True)
class Unready:
    """A channel by which some messages, or all, are not sent until it is set up."""

    channel: str
    only_marketing: bool  # service messages go
    lacking: Sequence[str]  # a sentence each

    def __str__(self) -> str:
        held = "marketing" if self.only_marketing else "everything"
        return f"channel {self.channel} not ready: {'; '.join(self.lacking)} ({held} waits)"


def unready_of(settings: Settings, policy: Policy) -> list[Unready]:
    """The checklist of every channel that is not ready. Raises as `open_desk` does; makes nothing."""
    signs = secret_of(settings, make=False) is not None
    with open_channels(
        settings.config_dir,
        os.environ,
        public_url=settings.reachable_at,
        signs=signs,
        keep=lambda _: None,
    ) as channels:
        look = partial(lacking, public_url=settings.reachable_at, signs=signs)
        found = _unready(channels, lambda name, kind: look(channels[name], kind))
        return [*found, *_undescribed(policy, channels)]


def _unready(
    channels: Iterable[str], look: Callable[[str, MessageClass], Sequence[str]]
) -> Iterator[Unready]:
    for name in channels:
        if found := look(name, MessageClass.SERVICE):
            yield Unready(channel=name, only_marketing=False, lacking=found)
        elif found := look(name, MessageClass.MARKETING):
            yield Unready(channel=name, only_marketing=True, lacking=found)


def _undescribed(policy: Policy, channels: Collection[str]) -> Iterator[Unready]:
    """Channels of rules that have no other way."""
    rules = [rule for rule in policy.outreach if not set(rule.channels) & set(channels)]
    for name in sorted({name for rule in rules for name in rule.channels}):
        yield Unready(
            channel=name, only_marketing=False, lacking=["channels.yaml does not describe it"]
        )


def _tell_of_unready(desk: Desk, policy: Policy) -> None:
    found = _unready(desk.channels, desk.unready)
    for one in (*found, *_undescribed(policy, desk.channels)):
        tell.warning("channel_not_ready", "{what}", what=str(one))


def _assigning(inst: Installation, staff: list[Staff]) -> Callable[[ChannelSettings], Assign]:
    """Whom a channel names is added to the staff, so that letters can say who is in charge."""

    def assigning(settings: ChannelSettings) -> Assign:
        named = staff_of(settings.fields)
        staff.append(named)
        return partial(tasks.assign, inst.db, named)

    return assigning


def _keeping(inst: Installation) -> Callable[[Letter], None]:
    def keep(letter: Letter) -> None:
        content = letter.content
        said = {
            "customer": letter.to.customer,
            "address": letter.to.address,
            "language": content.language,
            "subject": content.subject,
            "text": content.text,
            "html": content.html,
        }
        inst.db.run(
            lambda tx: mailroom.show(
                tx,
                Shown(
                    key=letter.key,
                    channel=letter.channel,
                    rule=letter.rule,
                    content=said,
                    at=inst.db.clock(tx),
                ),
            )
        )

    return keep


def _tell_of_broken(finding: Finding) -> None:
    """What hardly anybody writes by mistake has a name of its own, for whoever watches for it."""
    sentence = "{what}; the last good one goes on being used, and without one its messages wait"
    if finding.code in HARMFUL:
        tell.error("template_refused", sentence, what=str(finding), code=finding.code)
    else:
        tell.error("template_broken", sentence, what=str(finding), code=finding.code)

"""Which channels are there, opened as `channels.yaml` says? Without it each one only shows its letters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Self

from lifecycle.outreach.channels import Channel, file, outbox, smtp, task
from lifecycle.outreach.channels.breaker import Breaker
from lifecycle.outreach.channels.kinds import kinds as over_http
from lifecycle.outreach.channels.measuring import Measure, measure_of
from lifecycle.outreach.channels.outbox import Outbox
from lifecycle.outreach.channels.settings import (
    ADDRESSES,
    Around,
    Assign,
    ChannelSettings,
    Company,
    Kind,
    Limits,
    read_channels,
    utc_now,
)
from lifecycle.outreach.channels.throttle import Throttle
from lifecycle.outreach.letter import Letter

KINDS: Mapping[str, Kind] = {
    kind.name: kind for kind in (outbox.KIND, file.KIND, smtp.KIND, task.KIND, *over_http())
}
"""Every kind that a channel can be; one that is added here is known to the file and its findings."""

UNDESCRIBED = ("email", "sms", "wecom", "dingtalk", "feishu", "webhook", "task")
"""The channels of an installation that has described none: they show their letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    channel: Channel
    throttle: Throttle
    breaker: Breaker
    measure: Measure | None  # None: nothing of its letters is measured


class Channels(Mapping[str, Channel]):
    """Every channel by the name that rules use, each with what limits it."""

    def __init__(self, company: Company, ways: Mapping[str, _Way]) -> None:
        self.company = company
        self._ways = ways

    def __getitem__(self, name: str) -> Channel:
        return self._ways[name].channel

    def __iter__(self) -> Iterator[str]:
        return iter(self._ways)

    def __len__(self) -> int:
        return len(self._ways)

    def throttle(self, name: str) -> Throttle:
        return self._ways[name].throttle

    def breaker(self, name: str) -> Breaker:
        return self._ways[name].breaker

    def measure(self, name: str) -> Measure | None:
        return self._ways[name].measure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for channel in self.values():
            channel.close()


def open_channels(
    config_dir: Path,
    environment: Mapping[str, str],
    *,
    public_url: str | None,
    signs: bool,
    keep: Callable[[Letter], None],
    now: Callable[[], datetime] = utc_now,
    assigning: Callable[[ChannelSettings], Assign] | None = None,
    kinds: Mapping[str, Kind] = KINDS,
) -> Channels:
    """Connects to nobody yet. Raises ChannelsRefused with everything that is wrong in the file."""
    described = read_channels(config_dir, environment, kinds)
    around = Around(
        company=described.company, public_url=public_url, signs=signs, keep=keep, now=now
    )
    if assigning is not None:
        around = replace(around, assigning=assigning)
    if described.channels is None:
        ways = {name: _shown(name, keep) for name in UNDESCRIBED}
    else:
        ways = {
            s.name: _limited(kinds[s.kind].open(s, around), s.limits, measure_of(s.fields))
            for s in described.channels
        }
    return Channels(described.company, ways)


def measures_of(channels: Iterable[ChannelSettings]) -> dict[str, Measure]:
    """By the name of the channel, where anything is measured."""
    measures = {channel.name: measure_of(channel.fields) for channel in channels}
    return {name: measure for name, measure in measures.items() if measure is not None}


def _shown(name: str, keep: Callable[[Letter], None]) -> _Way:
    return _limited(Outbox(name, ADDRESSES.get(name), keep), Limits())


def _limited(channel: Channel, limits: Limits, measure: Measure | None = None) -> _Way:
    breaker = Breaker(
        faults=limits.faults,
        pause=limits.pause.total_seconds(),
        longest=limits.longest_pause.total_seconds(),
    )
    throttle = Throttle(limits.rate, limits.burst)
    return _Way(channel=channel, throttle=throttle, breaker=breaker, measure=measure)

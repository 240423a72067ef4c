"""How do events come from a Redis stream? By a consumer group: read, committed, then acknowledged.

An entry that was delivered and not acknowledged is *pending* in Redis. When it has been for a while,
whoever had it is taken for dead, and another takes it over; if he was only slow, what he stores
then is a duplicate. The stream is trimmed behind what every group has acknowledged.
Redis keeps no promise of ours: whatever of it is lost is set up again from nothing.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import orjson
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from lifecycle.errors import Problem, Unavailable
from lifecycle.intake.queued import ENTRY_FIELDS, Fields, read_entry
from lifecycle.logs.failure import code_of
from lifecycle.logs.lines import Teller
from workers.broker import line_to
from workers.intake.taking import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Engine,
    Refusal,
    Stopped,
    Taker,
    told,
)
from workers.line import Line
from workers.troubles import NO_DATABASE

tell = Teller("lifecycle")

GROUP = "lifecycle"

ENTRIES = 250  # a batch; each may hold many events
WAIT = timedelta(seconds=1)  # for new entries: how long a stop may have to wait
ABANDONED_AFTER = timedelta(seconds=30)  # without an acknowledgement; far beyond any batch
LOOK_EVERY = timedelta(seconds=5)  # for abandoned entries
TIDY_EVERY = timedelta(seconds=1)
FORGET_AFTER = timedelta(hours=1)  # a consumer that has nothing pending and asks for nothing

SUSPECT = 2  # deliveries after which an entry is taken alone: it may be what its consumers died of
DEADLY = SUSPECT + 5  # deliveries after which it is not tried any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    id: str
    fields: Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """An entry that somebody has had in hand for too long."""

    id: str
    deliveries: int


class RedisStream:
    """One consumer of the group, for one thread."""

    def __init__(
        self,
        engine: Engine,
        url: str,
        stop: threading.Event,
        *,
        prefix: str = "lifecycle",
        line: Line | None = None,
        abandoned_after: timedelta = ABANDONED_AFTER,
        look_every: timedelta = LOOK_EVERY,
        wait: timedelta = WAIT,
    ) -> None:
        self._engine = engine
        self._stop = stop
        self._line = line or line_to(url)
        self._stream = f"{prefix}:events"
        self._rejected = (
            f"{prefix}:rejected"  # a stream as well; only people take entries out of it
        )
        self._abandoned_after = abandoned_after
        self._wait = wait
        # A host's name and a process's number may come again; what was random does not.
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._redis: Any = _client(url)  # its types know nothing of our ways to read replies
        self._taker = Taker(engine, self._pause, way="redis", named=f"Redis stream {self._stream}")
        self._look = _Every(look_every)
        self._tidy = _Every(TIDY_EVERY)

    def run(self) -> None:
        """Until told to stop; a Redis that is away, or has lost everything, is no reason to end."""
        pause, takes = FIRST_PAUSE, False
        try:
            while not self._stop.is_set():
                try:
                    self._round()
                    self._line.found(self._stream)
                    pause, takes = FIRST_PAUSE, takes or self._told_started()
                except redis.RedisError as error:
                    self._complain(error)
                    self._pause(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
        except Stopped:
            pass  # what was in hand stays pending
        finally:
            self._leave()

    def _told_started(self) -> bool:
        tell.info(
            "intake_started", "taking events from the Redis stream {queue}", queue=self._stream
        )
        return True

    def _round(self) -> None:
        """One look for abandoned entries, if it is time, and one batch of new ones."""
        try:
            if self._look.is_due():
                self._take_over()
            if entries := self._new():
                self._take(entries)
            if self._tidy.is_due():
                self._redis.eval(_TIDY, 1, self._stream, GROUP, _ms(FORGET_AFTER))
        except redis.ResponseError as error:
            if not _is_lost(error):
                raise
            self._set_up()

    def _take(self, entries: Sequence[Entry]) -> None:
        taken = self._taker.take([partial(read_entry, entry.fields) for entry in entries])
        self._acknowledge(entries, [one.refused for one in taken])

    def _acknowledge(self, entries: Sequence[Entry], refused: Sequence[Sequence[Refusal]]) -> None:
        """What is refused goes to the rejected ones in the same transaction of Redis.

        A Redis that is full or away is waited for here. Taking everything once more instead would
        find duplicates only, but count as one more death at every entry.
        """
        pause = FIRST_PAUSE
        while True:
            try:
                return self._acknowledged(entries, refused)
            except redis.RedisError as error:
                self._complain(error)
            self._pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _acknowledged(self, entries: Sequence[Entry], refused: Sequence[Sequence[Refusal]]) -> None:
        pipe = self._redis.pipeline(transaction=True)
        for entry, refusals in zip(entries, refused, strict=True):
            if refusals:
                pipe.execute_command("XADD", self._rejected, "*", *_rejected(entry, refusals))
        pipe.xack(self._stream, GROUP, *[entry.id for entry in entries])
        pipe.execute()

    # -- entries, new and abandoned

    def _new(self) -> list[Entry]:
        found: list[Entry] = self._redis.xreadgroup(
            GROUP, self._name, {self._stream: ">"}, count=ENTRIES, block=_ms(self._wait)
        )
        return found

    def _take_over(self) -> None:
        """Abandoned entries: together, but alone once they have seen too many consumers die.

        Not before the database answers: whoever waits for it must not look like one more victim.
        """
        self._taker.ready()
        while not self._stop.is_set() and (abandoned := self._abandoned()):
            together = [one for one in abandoned if one.deliveries < SUSPECT]
            for some in filter(
                None, [together, *([one] for one in abandoned if one not in together)]
            ):
                self._take_over_these(some)
            if len(abandoned) < ENTRIES:
                return

    def _take_over_these(self, some: Sequence[Abandoned]) -> None:
        entries: list[Entry] = self._redis.xclaim(
            self._stream,
            GROUP,
            self._name,
            _ms(self._abandoned_after),  # or somebody else has been quicker
            [one.id for one in some],
        )
        if not entries:
            return
        tell.warning(
            "entries_taken_over",
            "Redis stream {queue}: {entries} abandoned entries taken over",
            queue=self._stream,
            entries=len(entries),
        )
        if some[0].deliveries >= DEADLY:
            self._acknowledge(entries, [[Refusal(problem=_deadly(some[0].deliveries))]])
            tell.error(
                "entry_put_aside",
                "Redis stream {queue}: entry {entry} ended {consumers} consumers; kept in {kept_in}",
                queue=self._stream,
                entry=entries[0].id,
                consumers=some[0].deliveries,
                kept_in=self._rejected,
            )
        else:
            self._take(entries)

    def _abandoned(self) -> list[Abandoned]:
        rows = self._redis.xpending_range(
            self._stream, GROUP, "-", "+", ENTRIES, idle=_ms(self._abandoned_after)
        )
        return [
            Abandoned(id=row["message_id"].decode(), deliveries=row["times_delivered"])
            for row in rows
        ]

    # -- beginning and end

    def _set_up(self) -> None:
        """A group that begins at the first entry there is: what was taken before is a duplicate."""
        try:
            self._redis.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # somebody else was quicker
                raise
        else:
            tell.warning(
                "group_made",
                "Redis stream {queue}: made the group {group}",
                queue=self._stream,
                group=GROUP,
            )

    def _leave(self) -> None:
        """Without a trace, unless something is pending: others find it under this name."""
        try:
            self._redis.eval(_LEAVE, 1, self._stream, GROUP, self._name)
        except redis.RedisError:
            tell.debug(
                "stream_gone",
                "the Redis stream {queue} is not there to be left; its group is tidied by others",
                queue=self._stream,
            )
        self._redis.close()

    def _complain(self, error: redis.RedisError) -> None:
        """In one line: it is the world that failed, so nobody needs the traceback."""
        if _is_of_the_line(error):
            self._line.lost(self._stream, error)
            return
        told = Unavailable(f"{self._stream}: Redis failed ({code_of(error)}); trying again")
        told.__traceback__ = error.__traceback__  # by which complaints are told apart
        self._engine.complaints.about("intake_failed", "taking events from a Redis stream", told)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped


class _Every:
    """Due at once, and then so often at the most."""

    def __init__(self, time: timedelta) -> None:
        self._seconds = time.total_seconds()
        self._next = 0.0

    def is_due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


# Entries are compared by their ids as text: two numbers of up to twenty digits, which Lua's numbers
# do not hold. The last entry stays: `MINID` keeps the one that it names.
_TIDY = """
local function named(flat)
  local record = {}
  for i = 1, #flat, 2 do record[flat[i]] = flat[i + 1] end
  return record
end
local function less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end
local function before(a, b)
  local a1, a2 = string.match(a, '(%d+)-(%d+)')
  local b1, b2 = string.match(b, '(%d+)-(%d+)')
  if a1 ~= b1 then return less(a1, b1) end
  return less(a2, b2)
end

if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local least = nil
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = named(flat)
  local first = group['last-delivered-id']
  if group['pending'] > 0 then first = redis.call('XPENDING', KEYS[1], group['name'])[2] end
  if least == nil or before(first, least) then least = first end
  if group['name'] == ARGV[1] then
    for _, one in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group['name'])) do
      local consumer = named(one)
      if consumer['pending'] == 0 and consumer['idle'] > tonumber(ARGV[2]) then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group['name'], consumer['name'])
      end
    end
  end
end
if least == nil then return 0 end
return redis.call('XTRIM', KEYS[1], 'MINID', least)
"""

_LEAVE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  if flat[2] == ARGV[1] then
    if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return 0 end
    return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
  end
end
return 0
"""


def _client(url: str) -> redis.Redis:
    """Repeats nothing by itself: a round that fails is taken again as a whole."""
    client: redis.Redis = redis.Redis.from_url(url, protocol=2, retry=Retry(NoBackoff(), 0))
    client.set_response_callback("XREADGROUP", _read)
    client.set_response_callback("XCLAIM", _entries)
    return client


def _read(reply: Any, **_: object) -> list[Entry]:
    return _entries(reply[0][1]) if reply else []


def _entries(reply: Any, **_: object) -> list[Entry]:
    """In pairs, not as a dictionary: a field may be there twice."""
    return [
        Entry(id=id.decode(), fields=list(zip(flat[::2], flat[1::2], strict=True)))
        for id, flat in reply
    ]


def _is_of_the_line(error: redis.RedisError) -> bool:
    """Whether there is no way to this Redis. What else it refuses may quote what was posted."""
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return True
    return NO_DATABASE in str(error)


def _is_lost(error: redis.ResponseError) -> bool:
    """The stream or its group is not there, or went away while we waited."""
    return str(error).startswith(("NOGROUP", "UNBLOCKED"))


def _rejected(entry: Entry, refused: Sequence[Refusal]) -> list[str | bytes]:
    """The fields of a rejected entry: what is wrong, then what was posted, as it was."""
    first = refused[0].problem
    fields: list[str | bytes] = ["entry", entry.id, "code", first.code, "pointer", first.pointer]
    fields += ["message", first.detail, "refused", str(len(refused))]
    fields += ["problems", orjson.dumps(told(refused))]
    names = [name for name, _ in entry.fields]
    if len(set(names)) == len(names) and {*names} <= {each.encode() for each in ENTRY_FIELDS}:
        return [*fields, *[part for pair in entry.fields for part in pair]]
    pairs = [[part.decode(errors="surrogateescape") for part in pair] for pair in entry.fields]
    return [*fields, "fields", json.dumps(pairs)]


def _deadly(deliveries: int) -> Problem:
    return Problem(
        "consumer_ended",
        f"{deliveries} consumers ended without a word while they had this entry in hand",
        status=500,
        hint="look into their logs for what it does, and post it again once that is mended",
    )


def _ms(time: timedelta) -> int:
    return int(time.total_seconds() * 1000)

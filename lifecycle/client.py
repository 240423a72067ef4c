"""How does a Python program post events? With this module alone, and the standard library.

    with Client("http://127.0.0.1:8000", key=os.environ["LIFECYCLE_KEY"]) as events:
        events.post("order_paid", "ann", {"amount": "250.00"}, id="order-1001")

Events wait in a bounded buffer, go out in batches on a thread of the client's own, and are posted
again until the engine has answered for them. An event keeps its id all the while, so one that was
stored before its answer got lost is a duplicate. Nothing is dropped in silence: `post` waits when the
buffer is full, what is refused is told, and what could not be delivered is handed back at the end.

ClientError
├── BufferFull        `post` waited for room, and none came; the event was not taken
├── Closed            the client takes no more events
├── EventsRefused     the engine refused events, and nobody had asked to be told
└── NotDelivered      time was over before the engine had answered for these events
"""

from __future__ import annotations

import atexit
import contextlib
import http.client
import json
import logging
import random
import socket
import ssl
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

log = logging.getLogger("lifecycle.client")

BUFFER = 10_000  # events that may wait
BATCH = 500  # events a request
BATCH_BYTES = 400_000  # of a request; the engine takes 500 KiB
LINGER_SECONDS = 0.1  # how long a lone event waits for company
WAIT_SECONDS = 10.0  # of `post` for room in a full buffer
CLOSE_SECONDS = 30.0  # of `close` for what is still to be answered
TIMEOUT_SECONDS = 30.0  # of one request
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a batch is posted again, doubled each time
LONGEST_TOLD_PAUSE = 300.0  # seconds, when the engine names them (Retry-After)
REMEMBERED = 1_000  # refusals that are kept until `flush` or `close` raises them

FINAL = frozenset({400, 409, 413, 422})  # what the engine refuses events with, if it says why
"""Whatever else comes back may be another one soon: a proxy's page, a path not there yet, a 5xx, a 429.

So may a 401 or a 403, once somebody has put the key right: until then events wait, and none is lost.
"""

Event = dict[str, Any]


class ClientError(Exception):
    """The root of what this module raises."""


class BufferFull(ClientError):
    """`post` waited for room, and none came; the event was not taken."""


class Closed(ClientError):
    """The client takes no more events."""


@dataclass(frozen=True)
class Refused:
    """An event that the engine will not take, however often it is posted."""

    event: Event
    status: str  # refused, conflict; quarantined: stored, but too late to count
    code: str  # stable, such as unknown_event_type
    pointer: str  # into the request: /events/3/type
    detail: str
    hint: str = ""
    also: Sequence[Mapping[str, Any]] = ()  # what else is wrong with it, with code and pointer each

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"event {self.event.get('id')}: {self.code} at {self.pointer}: {self.detail}{hint}"


class EventsRefused(ClientError):
    """The engine refused events, and nobody had asked to be told."""

    def __init__(self, refused: Sequence[Refused], count: int) -> None:
        super().__init__(f"{count} events were refused; the first: {refused[0]}")
        self.refused = tuple(refused)  # the first thousand
        self.count = count


class NotDelivered(ClientError):
    """Time was over before the engine had answered for these events; they may be stored or not.

    Posting them again, under their ids, is safe.
    """

    def __init__(self, events: Sequence[Event], why: str) -> None:
        super().__init__(f"{len(events)} events are not delivered: {why}")
        self.events = tuple(events)


class Client:
    """Takes events in for one engine; safe to share between threads, not between forks.

    `key` is shown with every request, as an engine asks for it that has any. Events that name no source,
    where there is no `source` here either, get the name of that key.
    `on_refused` is called for every refused event, on the client's own thread, and must not wait for
    the client. Without it, refusals
    are logged, and raised as EventsRefused by the next `flush` or `close`.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        source: str | None = None,
        on_refused: Callable[[Refused], object] | None = None,
        headers: Mapping[str, str] | None = None,
        buffer: int = BUFFER,
        batch: int = BATCH,
        linger: float = LINGER_SECONDS,
        wait: float = WAIT_SECONDS,
        timeout: float = TIMEOUT_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._source = source
        self._on_refused = on_refused
        self._buffer = buffer
        self._batch = batch
        self._linger = linger
        self._wait = wait
        # Of its own: a program that seeds Python's, in each of its processes, would undo the spread.
        self._chance = random.Random()  # noqa: S311 - no secret
        shown = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._sender = _Sender(url, {**(headers or {}), **shown}, timeout, tls)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[bytes] = deque()  # events as they are sent, the oldest first
        self._in_hand: list[bytes] = []  # taken out of the buffer, not answered for yet
        self._posted = self._answered = 0  # events, since the start
        self._refused: list[Refused] = []
        self._refused_count = 0
        self._trouble = "the engine has not answered yet"
        self._closed = self._hurried = self._ended = False
        self._thread = threading.Thread(target=self._run, name="lifecycle-client", daemon=True)
        self._thread.start()
        atexit.register(self._at_exit)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Delivers what was posted, whether the block ended well or not."""
        try:
            self.close()
        except ClientError:
            if error is None:
                raise
            log.exception("while the block was ending with an error of its own")

    def post(
        self,
        type: str,  # noqa: A002 - the field's name
        customer_id: str,
        properties: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        occurred_at: datetime | str | None = None,
        source: str | None = None,
    ) -> str:
        """Takes one event into the buffer, and returns its id; the engine has not seen it yet.

        Without an id it gets one, and without a time it happens now. Give an id that means the same
        after a crash, such as the order's number, and a post that is repeated counts once. An event
        with an id of its own and no time gets the time at which the engine first sees it, so that
        repeating it is no contradiction. Raises BufferFull, Closed, and TypeError or ValueError for
        what JSON cannot hold.
        """
        if id is None and occurred_at is None:
            occurred_at = datetime.now(UTC)
        event: Event = {"id": id or str(uuid.uuid4()), "type": type, "customer_id": customer_id}
        if (source := source or self._source) is not None:
            event["source"] = source
        if occurred_at is not None:
            event["occurred_at"] = occurred_at
        if properties:
            event["properties"] = properties
        self._add(_as_json(event))
        return str(event["id"])

    def flush(self, timeout: float | None = None) -> None:
        """Returns when the engine has answered for everything that was posted before.

        Raises NotDelivered when `timeout` seconds are over; what is in it goes on being tried.
        Raises EventsRefused.
        """
        with self._changed:
            posted = self._posted
            self._hurried = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: self._answered >= posted or self._ended, timeout)
            undelivered = [] if done else self._left()
            trouble = self._trouble
        if undelivered:
            raise NotDelivered(undelivered, trouble)
        self._raise_refused()

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Takes no more events, and returns when the engine has answered for all of them.

        When `timeout` seconds are over it gives up, and raises NotDelivered with what is left. Raises
        EventsRefused. Run twice, the second time does nothing.
        """
        atexit.unregister(self._at_exit)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ended, timeout)
            undelivered = self._left()
            self._waiting.clear()
            self._in_hand.clear()
            trouble = self._trouble
            self._ended = True
            self._changed.notify_all()
        self._sender.cut()
        self._thread.join(TIMEOUT_SECONDS)
        if undelivered:
            raise NotDelivered(undelivered, trouble)
        self._raise_refused()

    # -- the buffer

    def _add(self, event: bytes) -> None:
        with self._changed:
            room = self._changed.wait_for(
                lambda: self._closed or len(self._waiting) + len(self._in_hand) < self._buffer,
                self._wait,
            )
            if self._closed:
                raise Closed("the client is closed; the event was not taken")
            if not room:
                raise BufferFull(
                    f"{self._buffer} events wait for the engine ({self._trouble});"
                    " the event was not taken"
                )
            self._waiting.append(event)
            self._posted += 1
            self._changed.notify_all()

    def _next(self) -> list[bytes]:
        """A batch, the oldest first; none when all is done and over."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._changed.wait_for(
                lambda: len(self._waiting) >= self._batch or self._hurried or self._closed,
                self._linger,
            )
            if self._ended:
                return []
            size = 0
            while self._waiting and len(self._in_hand) < self._batch:
                size += len(self._waiting[0]) + 1
                if self._in_hand and size > BATCH_BYTES:
                    break
                self._in_hand.append(self._waiting.popleft())
            if not self._waiting:
                self._hurried = False
            return list(self._in_hand)

    def _left(self) -> list[Event]:
        return [json.loads(event) for event in [*self._in_hand, *self._waiting]]

    # -- the thread

    def _run(self) -> None:
        try:
            while events := self._next():
                self._deliver(events)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
            self._sender.close()

    def _deliver(self, events: Sequence[bytes]) -> None:
        """Until the engine has answered, whatever it takes, or the client has given up."""
        pause = FIRST_PAUSE
        while not self._ended:
            answer = self._sender.post(events)
            if answer.is_final:
                self._divide(events) if answer.is_too_long(events) else self._settle(events, answer)
                return
            # Spread, so that many clients do not come back at the same moment.
            spread = self._chance.uniform(pause / 2, pause)
            with self._changed:
                self._trouble = answer.said
                self._changed.wait_for(
                    lambda: self._ended, min(answer.wait or spread, LONGEST_TOLD_PAUSE)
                )
            pause = min(2 * pause, LONGEST_PAUSE)

    def _divide(self, events: Sequence[bytes]) -> None:
        middle = len(events) // 2
        self._deliver(events[:middle])
        self._deliver(events[middle:])

    def _settle(self, events: Sequence[bytes], answer: _Answer) -> None:
        """Their fate is known: room for others, and a word about what was refused."""
        for refused in answer.refused(events):
            self._tell(refused)
        with self._changed:
            del self._in_hand[: len(events)]
            self._answered += len(events)
            self._changed.notify_all()

    def _tell(self, refused: Refused) -> None:
        if self._on_refused is not None:
            try:
                self._on_refused(refused)
            except Exception:
                log.exception("on_refused failed for event %s", refused.event.get("id"))
            return
        log.warning("%s", refused)
        with self._lock:
            self._refused_count += 1
            if len(self._refused) < REMEMBERED:
                self._refused.append(refused)

    def _raise_refused(self) -> None:
        with self._lock:
            refused, self._refused = self._refused, []
            count, self._refused_count = self._refused_count, 0
        if refused:
            raise EventsRefused(refused, count)

    def _at_exit(self) -> None:
        """A program that ends without `close` still delivers what it posted, and says what it could not."""
        try:
            self.close()
        except ClientError:
            log.exception("at the end of the program")


@dataclass(frozen=True)
class _Answer:
    """What came back for one request."""

    status: int  # 0: nothing, as nobody could be reached
    said: str  # in words, for people
    wait: float = 0.0  # seconds that were asked for before it is posted again
    body: Any = None  # as JSON, if it was any

    @property
    def is_final(self) -> bool:
        """The engine itself has answered, and will not say anything else another time."""
        if not isinstance(self.body, dict):
            return False
        return "results" in self.body or (self.status in FINAL and "code" in self.body)

    def is_too_long(self, events: Sequence[bytes]) -> bool:
        return self.status == 413 and len(events) > 1

    def refused(self, events: Sequence[bytes]) -> Iterator[Refused]:
        """Those of the events that were; all of them, where the request was refused as a whole."""
        results = self.body.get("results") or [self.body] * len(events)
        for event, result in zip(events, results, strict=True):
            status = result.get("status")
            if status not in {"accepted", "duplicate"}:
                yield Refused(
                    event=json.loads(event),
                    status=status if isinstance(status, str) else "refused",
                    code=result["code"],
                    pointer=result.get("pointer", ""),
                    detail=result.get("detail", self.body.get("detail", "")),
                    hint=result.get("hint", ""),
                    also=result.get("also", ()),
                )


class _Sender:
    """Posts to one address over one connection that is kept open; used by one thread."""

    def __init__(
        self, url: str, headers: Mapping[str, str], timeout: float, tls: ssl.SSLContext | None
    ) -> None:
        self._url = _address(url)
        self._headers = {**headers, "Content-Type": "application/json"}
        self._timeout = timeout
        self._tls = tls
        self._connection: http.client.HTTPConnection | None = None

    def post(self, events: Sequence[bytes]) -> _Answer:
        body = b'{"events":[' + b",".join(events) + b"]}"
        try:
            response, content = self._exchange(body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return _Answer(status=0, said=f"{type(error).__name__}: {error}")
        said = _json(content)
        code = f" ({said['code']})" if isinstance(said, dict) and "code" in said else ""
        return _Answer(
            status=response.status,
            said=f"HTTP {response.status} {response.reason}{code}",
            wait=_seconds(response.getheader("Retry-After")),
            body=said,
        )

    def _exchange(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        """An engine closes connections that were idle for long: then once more, on a new one."""
        fresh = self._connection is None
        try:
            return self._request(body)
        except (ConnectionError, http.client.BadStatusLine):
            if fresh:
                raise
            self.close()
            return self._request(body)

    def _request(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        if self._connection is None:
            self._connection = self._opened()
        path = f"{self._url.path.rstrip('/')}/v1/events"
        self._connection.request("POST", path, body, self._headers)
        response = self._connection.getresponse()
        return response, response.read()

    def _opened(self) -> http.client.HTTPConnection:
        assert self._url.hostname is not None
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(
                self._url.hostname, self._url.port, timeout=self._timeout, context=self._tls
            )
        return http.client.HTTPConnection(self._url.hostname, self._url.port, timeout=self._timeout)

    def cut(self) -> None:
        """From another thread: a request that is under way ends at once, with an error."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _address(url: str) -> SplitResult:
    found = urlsplit(url)
    if found.scheme not in ("http", "https") or not found.hostname:
        raise ValueError(f"{url!r} is no address of an engine, such as http://127.0.0.1:8000")
    return found


def _as_json(event: Event) -> bytes:
    return json.dumps(
        event, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
    ).encode()


def _plain(value: object) -> object:
    """Exact amounts and instants as text; a time without an offset could mean any instant."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no offset from UTC; give it a tzinfo")
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} is nothing that JSON can hold")


def _seconds(retry_after: str | None) -> float:
    """Of a Retry-After, which is a number or a date; 0 where there is none to understand."""
    if retry_after is None:
        return 0.0
    with contextlib.suppress(ValueError):
        return max(0.0, float(retry_after))
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None

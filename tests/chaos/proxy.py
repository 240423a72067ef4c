"""A line to PostgreSQL that breaks at the worst moment: exactly at COMMIT.

    python -m tests.chaos.proxy PORT SEED ONE_IN

It says on which port it listens, passes everything on, and by chance resets the connection of one
COMMIT in so many: half of them before the server hears of it, half when it has been done and before
anybody is told. When its input ends it says how often, and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import Iterator

_SSL, _GSS, _CANCEL = 80877103, 80877104, 80877102  # what may come before, or instead of, a session
_SIMPLE_QUERY = b"Q"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close says nothing of an orderly end

BEFORE, AFTER = "before the server heard of it", "when it was done"


class Proxy:
    def __init__(self, port: int, chance: random.Random, one_in: int) -> None:
        self._port = port
        self._chance = chance
        self._one_in = one_in
        self.cuts: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One session, until either side or chance ends it."""
        try:
            server = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:  # it restarts: the client finds the line dead, as it would without us
            _reset(writer)
            return
        line = _Line(client=writer, server=server[1])
        both = [
            asyncio.create_task(self._asked(reader, line)),
            asyncio.create_task(self._answered(server[0], line)),
        ]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        line.reset()

    async def _asked(self, reader: asyncio.StreamReader, line: _Line) -> None:
        """Message by message, so that a COMMIT is seen as one."""
        messages = _Messages()
        while received := await reader.read(65_536):
            for message in messages.whole(received):
                cut = self._cut(message)
                if cut == BEFORE:
                    return
                line.cut_at_answer = cut == AFTER
                line.server.write(message)
            await line.server.drain()

    async def _answered(self, reader: asyncio.StreamReader, line: _Line) -> None:
        while received := await reader.read(65_536):
            if line.cut_at_answer:
                return
            line.client.write(received)
            await line.client.drain()

    def _cut(self, message: bytes) -> str | None:
        if not _is_commit(message) or self._chance.randrange(self._one_in):
            return None
        where = self._chance.choice([BEFORE, AFTER])
        self.cuts[where] += 1
        return where


class _Line:
    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.cut_at_answer = False

    def reset(self) -> None:
        _reset(self.client)
        _reset(self.server)


class _Messages:
    """Cuts what a client of PostgreSQL sends into the messages of its protocol."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False  # the session: from then on each message begins with its kind

    def whole(self, received: bytes) -> Iterator[bytes]:
        self._rest += received
        while (size := self._size()) and len(self._rest) >= size:
            message, self._rest = self._rest[:size], self._rest[size:]
            if not self._begun:
                (code,) = struct.unpack("!i", message[4:8])
                self._begun = code not in {_SSL, _GSS, _CANCEL}
            yield message

    def _size(self) -> int:
        """Of the first message; 0 while that is not known."""
        start = 1 if self._begun else 0
        if len(self._rest) < start + 4:
            return 0
        (size,) = struct.unpack("!i", self._rest[start : start + 4])
        return start + int(size)


def _is_commit(message: bytes) -> bool:
    return message[:1] == _SIMPLE_QUERY and message[5:].rstrip(b"\0").upper() == b"COMMIT"


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it is closed already
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def main(port: int, seed: str, one_in: int) -> None:
    proxy = Proxy(port, random.Random(f"proxy {seed}"), one_in)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    _say({"port": server.sockets[0].getsockname()[1]})
    await asyncio.to_thread(sys.stdin.read)
    _say(dict(proxy.cuts))


def _say(what: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))

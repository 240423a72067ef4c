"""When is it worth while to look at the log again? One watcher a process, however many streams."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from lifecycle.web.ports import Engine

LOOK_SECONDS = 0.2  # also without a sign: other processes write to the log, and cannot ring here


class Feed:
    """Wakes its streams as soon as this process has changed steps, and every 200 ms."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="log-watch")
        self._changed = asyncio.Condition()
        self._streams = 0
        self._watcher: asyncio.Task[None] | None = None
        self.looks = 0  # a stream that notes this before it reads misses nothing when it waits
        self.ended = False

    async def enter(self) -> None:
        self._streams += 1
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch(), name="log-watch")

    def leave(self) -> None:
        """The watcher ends by itself when the last stream has left."""
        self._streams -= 1

    async def wait(self, since: int) -> None:
        """Until there may be more in the log than when `looks` was `since`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.ended or self.looks > since)

    async def stop(self) -> None:
        """Ends every stream, at once."""
        self.ended = True
        async with self._changed:
            self._changed.notify_all()
        if self._watcher is not None:
            await self._watcher
        self._pool.shutdown()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        seen = self._engine.rounds
        try:
            while self._streams and not self.ended:
                await loop.run_in_executor(self._pool, self._wait_for_steps, seen)
                # Read before the streams are woken: what comes later wakes them once more.
                seen = self._engine.rounds
                async with self._changed:
                    self.looks += 1
                    self._changed.notify_all()
        finally:
            self._watcher = None

    def _wait_for_steps(self, seen: int) -> bool:
        return self._engine.wait_for_steps(LOOK_SECONDS, since=seen)

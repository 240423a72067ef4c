"""How does an e-mail look? Drawn by a Chromium of this machine, which runs no script and fetches nothing."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from lifecycle.errors import Unusable

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 60  # of real time, for one picture
TALLEST = 20_000  # pixels
SHARPNESS = 2  # pixels of the picture for one of the message, as on a good screen
_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-extensions",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


def picture_of(html: str, *, width: int, dark: bool) -> bytes:
    """A PNG of the whole message; raises Unusable where there is no browser, or it does not answer.

    Pictures that lie elsewhere are not fetched: where they would be stands what they are said to show.
    """
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise Unusable(
            f"a picture needs a browser, and none of {', '.join(BROWSERS)} is on the path; install"
            " Chromium (Debian: apt-get install chromium), or use --to html"
        )
    with _opened(browser) as pipe:
        return _drawn(pipe, html, width=width, dark=dark)


def _drawn(pipe: _Pipe, html: str, *, width: int, dark: bool) -> bytes:
    target = pipe.ask("Target.createTarget", url="about:blank")["targetId"]
    pipe.session = pipe.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    pipe.ask("Emulation.setScriptExecutionDisabled", value=True)
    pipe.ask("Emulation.setEmulatedMedia", features=[scheme])
    pipe.ask("Network.enable")
    pipe.ask("Network.setBlockedURLs", urls=["*"])
    size: dict[str, Any] = {"width": width, "deviceScaleFactor": SHARPNESS, "mobile": False}
    pipe.ask("Emulation.setDeviceMetricsOverride", height=100, **size)
    frame = pipe.ask("Page.getFrameTree")["frameTree"]["frame"]["id"]
    pipe.ask("Page.setDocumentContent", frameId=frame, html=html)
    height = min(int(pipe.ask("Page.getLayoutMetrics")["cssContentSize"]["height"]), TALLEST)
    pipe.ask("Emulation.setDeviceMetricsOverride", height=max(height, 1), **size)
    return base64.b64decode(pipe.ask("Page.captureScreenshot", format="png")["data"])


@contextlib.contextmanager
def _opened(browser: str) -> Iterator[_Pipe]:
    """A browser with a profile of its own, gone when we are done."""
    with tempfile.TemporaryDirectory(prefix="lifecycle-", ignore_cleanup_errors=True) as folder:
        (its_in, to_it), (from_it, its_out) = os.pipe(), os.pipe()
        its_in, its_out = _moved(its_in), _moved(its_out)
        flags = [*_FLAGS, f"--user-data-dir={folder}"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium starts for root in no other way
        process = os.posix_spawn(
            browser,
            [browser, *flags],
            {"PATH": os.environ.get("PATH", os.defpath), "HOME": folder},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, its_in, 3),
                (os.POSIX_SPAWN_DUP2, its_out, 4),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setpgroup=0,
        )
        os.close(its_in)
        os.close(its_out)
        try:
            yield _Pipe(to_it, from_it)
        finally:
            os.close(to_it)
            os.close(from_it)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _moved(descriptor: int) -> int:
    """Out of the way of the numbers that the browser reads and writes."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved


class _Pipe:
    """The DevTools protocol: JSON messages, a zero byte behind each."""

    def __init__(self, to_it: int, from_it: int) -> None:
        self._to, self._from = to_it, from_it
        self._read = b""
        self._number = 0
        self._until = time.monotonic() + SECONDS
        self.session: str | None = None

    def ask(self, method: str, **given: Any) -> dict[str, Any]:
        self._number += 1
        request: dict[str, Any] = {"id": self._number, "method": method, "params": given}
        if self.session:
            request["sessionId"] = self.session
        try:
            with os.fdopen(os.dup(self._to), "wb") as stream:
                stream.write(json.dumps(request).encode() + b"\0")
        except BrokenPipeError as error:
            raise Unusable("the browser ended before it drew anything; use --to html") from error
        while (answer := self._next()).get("id") != self._number:
            pass  # something that happened
        if "result" not in answer:
            raise Unusable(f"the browser cannot draw this: {answer.get('error')}; use --to html")
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            left = max(self._until - time.monotonic(), 0)
            ready, _, _ = select.select([self._from], [], [], left)
            more = os.read(self._from, 1 << 16) if ready else b""
            if not more:
                raise Unusable("the browser does not answer; use --to html")
            self._read += more
        message, _, self._read = self._read.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

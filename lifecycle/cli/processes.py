"""`lifecycle serve`, `work` and `schedule`: the processes of a large installation, one duty each."""

from __future__ import annotations

import logging
import signal
import threading
from functools import partial
from importlib.metadata import version

from lifecycle.cli.options import (
    BROKER,
    MAX_PENDING,
    METRICS,
    NIGHTLY,
    OUTREACH,
    PORT,
    Host,
    with_settings,
)
from lifecycle.logs.lines import Teller
from lifecycle.logs.stderr import log_to_stderr
from lifecycle.loopback import LOOPBACK
from lifecycle.settings import Settings

tell = Teller("lifecycle")


@with_settings(PORT, MAX_PENDING, *OUTREACH, *BROKER)
def serve(
    settings: Settings,
    *,
    host: Host = LOOPBACK,
) -> None:
    """Answer HTTP in this process, and ring the workers for what was accepted.

    For PostgreSQL. It accepts with the broker away, too: the workers then look by themselves.
    """
    from lifecycle.bootstrap import is_any_key
    from lifecycle.web import server
    from workers.processes import serving

    log_to_stderr(settings, logging.INFO, serving=True)
    has_keys = partial(is_any_key, settings)
    with (
        serving(settings) as engine,
        server.listen(host, settings.port, is_any_key=has_keys) as listening,
    ):
        server.serve(engine, listening, started=lambda at: _say(f"answering on {at}", settings))
    tell.info("stopped", "stopped")


@with_settings(MAX_PENDING, *OUTREACH, *METRICS, *BROKER)
def work(settings: Settings) -> None:
    """Do the work in this process: take in what systems post to the broker, fold what waits, fire what is due. `dramatiq workers` does the same.

    For PostgreSQL. Start as many as there are cores. It works when a bell rings over the broker, looks by
    itself every few seconds, and every second while there is no broker. Told to stop, it finishes the
    batch at hand; killed, it loses nothing.
    """
    from workers.processes import working

    log_to_stderr(settings, logging.INFO, serving=True)
    stop = _when_told()
    with working(settings):
        _say("working", settings)
        stop.wait()
    tell.info("stopped", "stopped")


@with_settings(*OUTREACH, *NIGHTLY, *METRICS, *BROKER)
def schedule(settings: Settings) -> None:
    """Ring the workers every second for what is due, and every few for what waits; do the work of the night. The same as `python scheduler.py`.

    For PostgreSQL. A second one does no harm and takes over when the first is gone: each night's work is done
    once. Without a broker it does the work of the workers itself.
    """
    from workers.processes import scheduling

    log_to_stderr(settings, logging.INFO, serving=True)
    stop = _when_told()
    with scheduling(settings):
        _say("ticking", settings)
        stop.wait()
    tell.info("stopped", "stopped")


def _when_told() -> threading.Event:
    """Set by Ctrl-C and by SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _say(what: str, settings: Settings) -> None:
    from workers.broker import shown

    if settings.broker_url is None:
        tell.info(
            "started",
            "{what}; no broker is named, so work is looked for every second",
            what=what,
            version=version("lifecycle-engine"),
        )
        return
    tell.info(
        "started",
        "{what}; rings go over {broker}, as {prefix}.bell.…",
        what=what,
        version=version("lifecycle-engine"),
        broker=shown(settings.broker_url),
        prefix=settings.broker_prefix,
    )

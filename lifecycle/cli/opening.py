"""How does a command get at the installation, and by which policy are its events judged?"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from lifecycle.cli import output
from lifecycle.errors import PolicyRefused
from lifecycle.logs.stderr import log_to_stderr
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from lifecycle.bootstrap import Access, Engine, Ground
    from lifecycle.engine.installation import Installation
    from lifecycle.store.database import Database


@contextlib.contextmanager
def opened(settings: Settings, access: Access) -> Iterator[Engine]:
    """The engine for one command; warnings of the background go to stderr, a line each."""
    from lifecycle.bootstrap import build

    log_to_stderr(settings, logging.WARNING)
    with build(settings, access=access) as engine:
        yield engine


@contextlib.contextmanager
def looked_over(settings: Settings) -> Iterator[Ground]:
    """By what events would be judged, for a command that changes nothing."""
    from lifecycle import bootstrap

    log_to_stderr(settings, logging.WARNING)
    with bootstrap.looked_over(settings) as ground:
        yield ground


@contextlib.contextmanager
def published_in(settings: Settings, *, reads: bool = False) -> Iterator[Installation]:
    """The installation, for what is published beside whoever runs it; or only looked up.

    A database that is not there yet is not made: it would have another policy than the one that is meant.
    """
    from lifecycle import bootstrap

    if reads:
        with opened(settings, bootstrap.Access.READ) as engine:
            yield engine.installation
        return
    bootstrap.refuse_missing(settings)
    log_to_stderr(settings, logging.WARNING)
    with bootstrap.beside(settings) as db:
        yield bootstrap.installation_of(db)


def not_in_force(db: Database, settings: Settings) -> str | None:
    """In words, how the policy file is not the policy in force; None where it is, or where none is."""
    from lifecycle.bootstrap import POLICY_FILE
    from lifecycle.engine import policies

    file = settings.config_dir / POLICY_FILE
    try:
        return policies.differs(db, file)
    except PolicyRefused as refused:
        return f"{file} has errors, and is not in force: {refused}"


def warn_of_policy(db: Database, settings: Settings) -> None:
    """Says on stderr that the events will be judged by another policy than the file's, if so."""
    if differs := not_in_force(db, settings):
        output.err().print(Text(f"warning: {differs}", "yellow"), soft_wrap=True)

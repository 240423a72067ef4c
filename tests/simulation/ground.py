"""On which databases are worlds lived through, and what does a quiet run of a history come to?"""

from __future__ import annotations

from pathlib import Path

from lifecycle.engine.digest import digest
from lifecycle.store.database import Database
from lifecycle.store.sqlite import Sqlite
from tests.properties.installed import emptied, truth_at
from tests.scenarios.driver import day
from tests.simulation.history import END, History, counted, policy, truth
from tests.support import engine
from tests.support.current import open_current


class Ground:
    """Two databases, emptied for every world: one to live in, one for quiet runs."""

    def __init__(self, directory: Path) -> None:
        self._lived = _opened(directory / "lived.db")
        self._quiet = _opened(directory / "quiet.db")
        self._digests: dict[int, str | None] = {}

    def fresh(self) -> Sqlite:
        """An empty database under the policy; whoever had it before must be done with it."""
        emptied(self._lived, [policy()])
        return _sqlite(self._lived)

    def digest(self, told: History) -> str | None:
        """Of a run in which the events came at once, in order, and nothing went wrong.

        It is the oracle's truth that is digested there. None where nobody has a history.
        """
        if told.number not in self._digests:
            self._digests[told.number] = self._live_quietly(told)
        return self._digests[told.number]

    def _live_quietly(self, told: History) -> str | None:
        inst = emptied(self._quiet, [policy()])
        happened = counted(told)
        engine.set_clock(inst, day(END))
        engine.arrive(inst, *sorted(happened, key=lambda event: event.key))
        assert truth_at(inst, day(END)) == truth(told.number)
        return digest(inst, day(END)).hex if happened else None

    def close(self) -> None:
        self._lived.close()
        self._quiet.close()


def _opened(path: Path) -> Database:
    db = open_current(f"sqlite:///{path}")
    _sqlite(db)._writer.execute("PRAGMA synchronous = OFF")  # no power cut is simulated
    return db


def _sqlite(db: Database) -> Sqlite:
    assert isinstance(db._backend, Sqlite)
    return db._backend

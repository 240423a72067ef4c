"""What may only one process do at a time, for long? It holds a name, and lets go of it by ending,
however it ends: the server knows by the connection. An SQLite file has one process anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lifecycle.store.sql import Tx, both

if TYPE_CHECKING:
    from lifecycle.store.postgresql import Connection

_TAKE = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
_FREE = both("SELECT pg_try_advisory_xact_lock(hashtextextended(?, 0))")


class Hold:
    """A name that this process holds, by a connection of its own, from `take` until `close`."""

    def __init__(self, connect: Callable[[], Connection], name: str) -> None:
        self._connect = connect
        self._name = name
        self._connection = connect()

    def take(self) -> bool:
        """False: somebody else holds the name."""
        answer = self._connection.execute(_TAKE, [self._name]).fetchone()
        assert answer is not None
        taken: bool = answer[0]
        return taken

    def keep(self) -> bool:
        """Take the name again where the server let go of it, as by a restart; False as in `take`."""
        import psycopg  # loaded by whoever made the connection

        try:
            self._connection.execute("SELECT 1")
        except psycopg.OperationalError:
            self.close()
            self._connection = self._connect()
            return self.take()
        return True

    def close(self) -> None:
        self._connection.close()


def is_held(tx: Tx, name: str) -> bool:
    """Whether any other session holds the name; if not, none can before this transaction ends."""
    return tx.dialect == "postgresql" and not tx.value(_FREE, name)

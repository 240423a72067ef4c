"""How can a statement be stopped in its middle, after it has begun to see and before it locks?

A gate in the server: sessions that carry its mark wait at it for each customer that they look at,
while a test holds it closed. What such a session sees in that statement was decided when it began.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

_KEY = 4711
_INSTALL = f"""
CREATE FUNCTION at_the_gate(bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF current_setting('lifecycle_test.gated', true) = 'yes' THEN
    PERFORM pg_advisory_xact_lock_shared({_KEY});
  END IF;
  RETURN true;
END $$;
ALTER TABLE customer RENAME TO customer_behind_the_gate;
CREATE VIEW customer AS SELECT * FROM customer_behind_the_gate WHERE at_the_gate(id);
"""


class Gate:
    """Open at first."""

    def __init__(self, url: str, control: psycopg.Connection) -> None:
        self.gated_url = f"{url}?options=-c%20lifecycle_test.gated%3Dyes"
        self._control = control

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Whoever comes waits until the block ends, however it ends."""
        self._control.execute("SELECT pg_advisory_lock(%s)", [_KEY])
        try:
            yield
        finally:
            self._control.execute("SELECT pg_advisory_unlock(%s)", [_KEY])


@contextlib.contextmanager
def gate(url: str) -> Iterator[Gate]:
    """Put a gate before the customers of an installation."""
    with psycopg.connect(url, autocommit=True) as control:
        control.execute(_INSTALL)
        yield Gate(url, control)

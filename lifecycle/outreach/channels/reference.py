"""The tables of docs/channels.md, from the same keys that `channels.yaml` is read by.

`python -m lifecycle.outreach.channels.reference docs/channels.md` writes them anew between their marks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from lifecycle.outreach.channels.opening import KINDS
from lifecycle.outreach.channels.settings import COMMON, COMPANY, Settings
from lifecycle.policy import reference
from lifecycle.policy.records import Record


def refreshed(document: str) -> str:
    """The document with every table made anew; raises KeyError for a mark that names no record."""
    return reference.refreshed(document, every_record())


def every_record() -> Iterator[Record]:
    """Each map that the file can hold; of a kind of channel the keys that only it has."""
    top = (COMPANY, Settings("a channel", COMMON))
    kinds = [Settings(f"a channel of kind {kind.name}", kind.keys) for kind in KINDS.values()]
    seen: set[str] = set()
    for record in (*top, *(record for record in kinds if record.keys)):
        for each in _with_inner(record):
            if each.what not in seen:
                seen.add(each.what)
                yield each


def _with_inner(record: Record) -> Iterator[Record]:
    yield record
    for key in record.keys:
        inner = getattr(key.shape, "item", key.shape)
        if isinstance(inner, Record):
            yield from _with_inner(inner)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")

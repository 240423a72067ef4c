"""The tables of docs/policy.md, from the same keys that the loader reads by.

`python -m lifecycle.policy.reference docs/policy.md` writes them anew between their marks.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from lifecycle.policy import format as keys
from lifecycle.policy.records import Key, Record

_BLOCK = re.compile(r"(<!-- keys: (?P<what>[^>]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def refreshed(document: str, records: Iterable[Record] | None = None) -> str:
    """The document with every table made anew, by default of the policy; raises KeyError for a mark
    that names no record."""
    known = {record.what: record for record in (_records() if records is None else records)}
    return _BLOCK.sub(lambda m: f"{m[1]}\n{_table(known[m['what']])}\n{m[3]}", document)


def documented(document: str) -> set[str]:
    """The records that have a table in the document."""
    return {match["what"] for match in _BLOCK.finditer(document)}


def every_record() -> set[str]:
    return {record.what for record in _records()}


def _records() -> Iterator[Record]:
    yield from (keys.POLICY, keys.STATE_RECORD, keys.EVENT_RECORD, keys.PROPERTY_RECORD)
    yield from keys.FACT.kinds.values()
    yield from (keys.TRANSITION, keys.RHYTHM, keys.OUTREACH, keys.OWN_CAP, keys.GOAL)
    yield from keys.TRIGGER_KINDS.kinds.values()
    yield from (keys.SENDING, keys.CAP, keys.QUIET, keys.WORKING_DAYS, keys.SURGE, keys.HOLDOUT)


def _table(record: Record) -> str:
    rows = "\n".join(_row(key) for key in record.keys)
    return f"| key | meaning | left out |\n| --- | --- | --- |\n{rows}\n"


def _row(key: Key) -> str:
    otherwise = "not allowed" if key.required else f"`{key.default}`" if key.default else ""
    return f"| `{key.name}` | {key.about.replace('|', chr(92) + '|')} | {otherwise} |"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")

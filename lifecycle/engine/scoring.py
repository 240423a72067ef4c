"""What are customers worth beside each other? A hook says so once a night; what changed becomes an event.

A score depends on all customers, so no fold can compute it; it reaches guards as an attribute that
`lifecycle.scored` sets. Everything that the hook answers is checked before anything is stored.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from lifecycle.domain.builtin import BUILTIN, PROFILE_CHANGED
from lifecycle.domain.event import SCORED
from lifecycle.domain.facts import readable
from lifecycle.domain.policy import Policy, ValueType
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.accept import Accepted, accept_within
from lifecycle.engine.hook import Hook, Scores, hook
from lifecycle.engine.installation import Installation
from lifecycle.engine.night import Shift
from lifecycle.engine.reading import snapshot_of
from lifecycle.errors import Problem, ScoringFailed
from lifecycle.intake.draft import Draft, draft_of_ours
from lifecycle.intake.properties import PropertyReader
from lifecycle.intake.strict_json import Limits, Number
from lifecycle.store import customers
from lifecycle.store.customers import CustomerRow
from lifecycle.store.sql import Tx

LIMIT = timedelta(hours=1)  # of real time, for the hook
PAGE = 500  # customers read at a time
AT_ONCE = 200  # events stored in one transaction
SCORES = frozenset(
    {ValueType.TEXT, ValueType.INT, ValueType.NUMBER, ValueType.MONEY, ValueType.BOOL}
)

_News = tuple[str, Scores]  # a customer's key, and those of her scores that are new


class Scoring:
    """The nightly job that calls the hook."""

    name = "scoring"

    def __init__(
        self, inst: Installation, hook: str, folder: Path, limit: timedelta = LIMIT
    ) -> None:
        self._inst = inst
        self._hook = hook
        self._folder = folder
        self._limit = limit

    def do(self, shift: Shift) -> str:
        with self._inst.db.read() as tx:
            at, timeline = self._inst.now(tx), self._inst.timeline(tx)
        with hook(self._hook, self._folder, at) as opened:
            for page in self._pages(timeline, at):
                shift.stay()
                opened.give(pickle.dumps(page))
            opened.run(shift, self._limit)
            reader = _Reader(self._hook, timeline.at(at).policy)
            count = self._check(shift, opened, reader)
            return self._record(shift, self._news(shift, opened, reader, timeline), count)

    def _pages(self, timeline: Timeline, at: datetime) -> Iterator[list[tuple[Any, ...]]]:
        """Everybody of whom anything is known, as guards would see her at an instant."""
        after = ""
        while True:
            with self._inst.db.read() as tx:
                rows = customers.after_key(tx, after, PAGE)
                page = [
                    _seen(tx, timeline, row, at) for row in rows if row.folded_until is not None
                ]
            if not rows:
                return
            after = rows[-1].key
            yield page

    def _check(self, shift: Shift, opened: Hook, reader: _Reader) -> int:
        """How many customers have scores. Raises ScoringFailed for the first that is not possible."""
        seen: set[str] = set()
        for page in _in_batches(opened.scores(), PAGE):
            shift.stay()
            with self._inst.db.read() as tx:
                known = customers.by_keys(tx, [key for key, _ in page])
            for key, scores in page:
                if key not in known or key in seen:
                    how = "twice" if key in seen else "who is not there"
                    raise reader.refused(f"gave scores to a customer {how}: {key[:100]!r}")
                seen.add(key)
                reader.read(key, scores)
        return len(seen)

    def _news(
        self, shift: Shift, opened: Hook, reader: _Reader, timeline: Timeline
    ) -> Iterator[_News]:
        for page in _in_batches(opened.scores(), PAGE):
            shift.stay()
            with self._inst.db.read() as tx:
                rows = customers.by_keys(tx, [key for key, _ in page])
                has = {key: snapshot_of(tx, timeline, row).attributes for key, row in rows.items()}
            for key, scores in page:
                stored = reader.read(key, scores)
                new = {name: value for name, value in stored.items() if has[key].get(name) != value}
                if new:
                    yield key, new

    def _record(self, shift: Shift, news: Iterator[_News], count: int) -> str:
        """Batch by batch; with the last one it is done."""
        new = kept = 0
        batch = list(islice(news, AT_ONCE))
        while following := list(islice(news, AT_ONCE)):
            stored = shift.write(partial(self._store, shift.night, batch))
            new, kept = new + stored, kept + len(batch) - stored
            batch = following

        def last(tx: Tx) -> str:
            stored = self._store(shift.night, batch, tx)
            told = f"scored: {count:,}, with a new score: {new + stored:,}"
            left = kept + len(batch) - stored
            return f"{told}, by an earlier try: {left:,}" if left else told

        return shift.end(last)

    def _store(self, night: str, batch: Sequence[_News], tx: Tx) -> int:
        """How many were new: an earlier try of the same night may have stored some, which stay."""
        now = self._inst.now(tx)
        drafts = [_draft(night, key, new, now) for key, new in batch]
        results = accept_within(self._inst, tx, drafts)
        return sum(1 for result in results if isinstance(result, Accepted))


class _Reader:
    """Puts scores into the form in which attributes are stored."""

    def __init__(self, hook: str, policy: Policy) -> None:
        self._hook = hook
        self._attributes = policy.attributes
        self._reader = PropertyReader(PROFILE_CHANGED, BUILTIN[PROFILE_CHANGED], policy)

    def read(self, key: str, scores: Scores) -> Scores:
        """Raises ScoringFailed, which names customer and attribute."""
        posted = {
            name: Number(repr(value)) if isinstance(value, float) else value
            for name, value in scores.items()
        }
        try:
            stored = self._reader.read({"attributes": posted}, Limits(), [])
        except Problem as problem:
            allowed = f"; allowed: {problem.expected}" if problem.expected else ""
            raise self.refused(
                f"gave {key!r} scores that are refused at {problem.pointer}:"
                f" {problem.detail}, got {problem.got}{allowed}"
            ) from problem
        for name in scores:
            if self._attributes[name] not in SCORES:
                raise self.refused(
                    f"gave {key!r} the attribute {name!r}, which is a {self._attributes[name]};"
                    f" allowed as scores: attributes of the types {', '.join(sorted(SCORES))}"
                )
        attributes: Scores = stored["attributes"]
        return attributes

    def refused(self, what: str) -> ScoringFailed:
        return ScoringFailed(f"{self._hook} {what}; no score was changed")


def _seen(tx: Tx, timeline: Timeline, row: CustomerRow, at: datetime) -> tuple[Any, ...]:
    """Plain values: key, state, facts, attributes and tags."""
    version, snapshot = timeline.at(at), snapshot_of(tx, timeline, row)
    facts = {
        name: version.keeper(cell).read(snapshot.cells[cell], at)
        for name, cell in version.facts().items()
    }
    kinds = version.policy.attributes
    attributes = {
        name: readable(value, kinds[name])
        for name, value in snapshot.attributes.items()
        if name in kinds
    }
    return row.key, row.state, facts, attributes, snapshot.tags


def _draft(night: str, key: str, scores: Scores, now: datetime) -> Draft:
    """Its id is the same for every try of a night, and its instant is no part of what it says."""
    return draft_of_ours(f"scoring:{night}:{key}", key, SCORED, now, {"attributes": scores})


def _in_batches(scores: Iterator[_News], size: int) -> Iterator[list[_News]]:
    while batch := list(islice(scores, size)):
        yield batch

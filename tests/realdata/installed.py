"""The ways by which real events get into an installation, and what it holds afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path

from lifecycle.domain.event import Event
from lifecycle.domain.instant import instant_text
from lifecycle.domain.step import Step
from lifecycle.engine.accept import Result, accept
from lifecycle.engine.digest import digest
from lifecycle.engine.imports import ImportReport, run_import
from lifecycle.engine.installation import Installation
from lifecycle.engine.rebuild import rebuild
from lifecycle.intake import mapping_file, table
from lifecycle.intake.draft import Draft
from lifecycle.intake.native import read_batch
from lifecycle.resources import config_dir
from lifecycle.store import customers, events, steps
from lifecycle.store.sql import Tx
from tests.support.engine import installation, reach, work

SHIPPED_POLICY = config_dir() / "policy.yaml"
SHIPPED_MAPPINGS = config_dir() / "mappings"
AT_ONCE = 1_500  # events that fit into one body


@contextmanager
def installed(url: str, at: datetime, policy: Path = SHIPPED_POLICY) -> Iterator[Installed]:
    """An empty database under a policy; its clock stands at that instant until it is moved."""
    with installation(url, policy.read_text(encoding="utf-8"), instant_text(at)) as inst:
        yield Installed(inst, at)


class Installed:
    """The engine, at an instant that only `reach` moves."""

    def __init__(self, inst: Installation, now: datetime) -> None:
        self.inst = inst
        self.now = now

    def reach(self, now: datetime) -> None:
        """The clock shows that instant, and everything due by then has fired."""
        self.now = now
        reach(self.inst, now)

    def drafts(self, path: Path, mapping: Path) -> list[table.Outcome]:
        policy = self.inst.policy()
        return list(table.drafts(path, mapping_file.load(mapping, policy), policy, self.now))

    def import_file(self, path: Path, mapping: Path) -> ImportReport:
        policy = self.inst.policy()
        said = mapping_file.load(mapping, policy)
        return run_import(
            self.inst,
            path.name,
            f"{path.name}/{mapping.name}",
            lambda: table.drafts(path, said, policy, self.now),
        )

    def post(self, drafts: Iterable[Draft], *, at_once: int = AT_ONCE) -> list[Result]:
        """As a sender would: one JSON body after the other; then everything is applied."""
        results: list[Result] = []
        rest = iter(drafts)
        policy = self.inst.policy()
        while some := list(islice(rest, at_once)):
            items = read_batch(body(some), policy, self.now, "http").items
            results += accept(self.inst, [item for item in items if isinstance(item, Draft)])
            assert len(items) == len(some)
        work(self.inst)
        return results

    def rebuild(self) -> None:
        rebuild(self.inst)

    def digest(self, at: datetime | None = None) -> str:
        """At an instant, by default that of the last event."""
        return digest(self.inst, at).hex

    def steps(self) -> dict[str, list[Step]]:
        """Of every customer, those that stand."""
        return {
            key: [stored.step for stored in steps.live(tx, [row_id]).get(row_id, [])]
            for tx, key, row_id in self._customers()
        }

    def revoked(self) -> int:
        """How many steps were recorded that no longer follow."""
        return sum(
            step.revoked_at is not None
            for tx, _, row_id in self._customers()
            for step in steps.all_of(tx, row_id)
        )

    def events(self) -> dict[str, list[Event]]:
        """Of every customer, those that were folded."""
        return {
            key: [
                stored.event for _, history in events.histories(tx, [row_id]) for stored in history
            ]
            for tx, key, row_id in self._customers()
        }

    def _customers(self) -> Iterator[tuple[Tx, str, int]]:
        with self.inst.db.read() as tx:
            after = ""
            while page := customers.after_key(tx, after, 1000):
                after = page[-1].key
                for row in page:
                    yield tx, row.key, row.id


def body(drafts: Iterable[Draft]) -> bytes:
    """As a sender would write it."""
    posted = [
        {
            "id": draft.event.id,
            "source": draft.event.source,
            "customer_id": draft.event.customer,
            "type": draft.event.type,
            "occurred_at": instant_text(draft.event.occurred_at),
            "properties": draft.event.properties,
        }
        for draft in drafts
    ]
    return json.dumps({"events": posted}).encode()

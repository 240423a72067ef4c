"""Where does the history of a backtest come from? From the database, or from a file alone.

Either is cut into parts that fit into memory, which processes take one by one: a part is small enough
to be told to another process, and `reading` gives its customers there.
"""

from __future__ import annotations

import pickle
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from lifecycle.domain.event import Event
from lifecycle.intake.draft import Draft
from lifecycle.outreach.assignment import share
from lifecycle.store import customers, events
from lifecycle.store.database import Database

CUSTOMERS = 1_000  # in a part of a database
IN_MEMORY = 200_000  # events of a file that are kept without a file of our own
DRAWERS = 256  # into which the events of a larger file are sorted, by customer

History = tuple[str, Sequence[Event]]
"""A customer's own key, and all her events in their order."""

Read = Callable[[Any], Iterable[History]]


class Reader(Protocol):
    """What another process is told so that it can read parts; it holds none of them."""

    def reading(self) -> AbstractContextManager[Read]:
        """Gives the customers of a part; asked for once in each process."""


class Histories(Protocol):
    """All the customers of a history, part by part."""

    @property
    def customers(self) -> int:
        """How many there are, for a progress bar."""

    @property
    def last_at(self) -> datetime | None:
        """The instant of the last event; None where there is none."""

    @property
    def rows_left_out(self) -> int:
        """Rows of a file that are not in it, as they were refused."""

    @property
    def is_small(self) -> bool:
        """Whether other processes would take longer to start than to help."""

    def parts(self) -> Iterator[Any]:
        """Each holds whole customers, and no customer is in two of them."""

    def reader(self) -> Reader:
        """Gives the customers of a part, in this process or another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What an installation has accepted, whether it was folded yet or not."""

    url: str  # of the database
    customers: int
    last_at: datetime | None

    @property
    def rows_left_out(self) -> int:
        return 0

    @property
    def is_small(self) -> bool:
        return self.customers <= 2 * CUSTOMERS

    def parts(self) -> Iterator[tuple[int, ...]]:
        """Customers of which each process reads the events by itself."""
        db = Database.open(self.url)
        try:
            after = 0
            while True:
                with db.read() as tx:
                    ids = customers.ids_after(tx, after, CUSTOMERS)
                if not ids:
                    return
                after = ids[-1]
                yield tuple(ids)
        finally:
            db.close()

    def reader(self) -> Recorded:
        return self

    @contextmanager
    def reading(self) -> Iterator[Read]:
        db = Database.open(self.url)

        def read(ids: tuple[int, ...]) -> Iterator[History]:
            with db.read() as tx:
                waiting = events.pending_of(tx, ids)
                keys = {row.id: row.key for row in customers.rows(tx, ids).values()}
                for customer_id, stored in events.histories(tx, ids, waiting):
                    yield keys[customer_id], [one.event for one in stored]

        try:
            yield read
        finally:
            db.close()


class Again(NamedTuple):
    """Rows with the source and id of an earlier one."""

    alike: int = 0  # with the same content
    unlike: int = 0  # with another: an import would refuse them as conflicts


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """What a file holds, without any database: sorted by customer into drawers of our own."""

    drawers: Sequence[Path | Sequence[History]]
    customers: int
    last_at: datetime | None
    again: Again  # rows that are left out, as an earlier one has the same source and id
    is_small: bool
    unread: int = 0  # rows that are left out, as they could not be read

    @property
    def rows_left_out(self) -> int:
        """An import would have refused them, and stored the others."""
        return self.unread + self.again.unlike

    def parts(self) -> Iterator[Path | Sequence[History]]:
        return iter(self.drawers)

    def reader(self) -> _Drawer:
        return _Drawer()


class _Drawer:
    """A part is the drawer itself, or where it lies."""

    @contextmanager
    def reading(self) -> Iterator[Read]:
        yield _read


def _read(drawer: Path | Sequence[History]) -> Iterable[History]:
    if not isinstance(drawer, Path):
        return drawer
    with drawer.open("rb") as file:
        return list(_sorted(_unpacked(file)).items())


def _unpacked(file: IO[bytes]) -> Iterator[Event]:
    while True:
        try:
            yield from pickle.load(file)  # noqa: S301 - what this command wrote itself just before
        except EOFError:
            return


def _once(found: Iterable[Event]) -> tuple[list[Event], Again]:
    """The first event of each source and id; and how many came again."""
    seen: dict[tuple[str, str], Event] = {}
    alike = unlike = 0
    for event in found:
        name = (event.source, event.id)
        if name not in seen:
            seen[name] = event
        elif seen[name] == event:
            alike += 1
        else:
            unlike += 1
    return list(seen.values()), Again(alike, unlike)


def _sorted(found: Iterable[Event]) -> dict[str, list[Event]]:
    """The events of each customer in order."""
    histories: defaultdict[str, list[Event]] = defaultdict(list)
    for event in found:
        histories[event.customer].append(event)
    for history in histories.values():
        history.sort(key=_key)
    return histories


def _key(event: Event) -> tuple[datetime, str, str]:
    return (event.occurred_at, event.source, event.id)


@contextmanager
def filed(drafts: Iterable[Draft]) -> Iterator[Filed]:
    """Sort the rows of a file; what is too much for memory lies in a temporary folder meanwhile."""
    with ExitStack() as stack:
        kept: list[Event] = []
        last_at: datetime | None = None
        sorting: _Sorting | None = None
        for draft in drafts:
            event = draft.event
            if last_at is None or event.occurred_at > last_at:
                last_at = event.occurred_at
            kept.append(event)
            if len(kept) >= IN_MEMORY:
                if sorting is None:
                    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lifecycle-"))
                    sorting = _Sorting(Path(folder))
                sorting.put(kept)
                kept = []
        if sorting is None:
            once, again = _once(kept)
            histories = _sorted(once)
            yield Filed(
                drawers=[list(histories.items())],
                customers=len(histories),
                last_at=last_at,
                again=again,
                is_small=True,
            )
            return
        sorting.put(kept)
        drawers, count, again = sorting.closed()
        yield Filed(drawers=drawers, customers=count, last_at=last_at, again=again, is_small=False)


class _Sorting:
    """The drawers, while they are filled."""

    def __init__(self, folder: Path) -> None:
        self._named = _Drawers(folder / "named")
        self._drawers = _Drawers(folder / "drawers")

    def put(self, found: Sequence[Event]) -> None:
        """By name first: the same id may have been given to two customers."""
        self._named.put(found, lambda event: f"{event.source} {event.id}")

    def closed(self) -> tuple[list[Path], int, Again]:
        """The drawers with something in them, how many customers there are, and what came again."""
        alike = unlike = 0
        for path in self._named.paths():
            with path.open("rb") as file:
                kept, again = _once(_unpacked(file))
            path.unlink()
            self._drawers.put(kept, lambda event: event.customer)
            alike += again.alike
            unlike += again.unlike
        people = 0
        for path in self._drawers.paths():
            with path.open("rb") as file:
                people += len({event.customer for event in _unpacked(file)})
        return self._drawers.paths(), people, Again(alike, unlike)


class _Drawers:
    """Events lie in the drawer that a text of theirs says, in the order in which they were put there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._paths = [folder / str(number) for number in range(DRAWERS)]

    def put(self, found: Sequence[Event], text: Callable[[Event], str]) -> None:
        piles: defaultdict[int, list[Event]] = defaultdict(list)
        for event in found:
            piles[zlib.crc32(text(event).encode()) % DRAWERS].append(event)
        for number, pile in piles.items():
            with self._paths[number].open("ab") as file:
                pickle.dump(pile, file, protocol=pickle.HIGHEST_PROTOCOL)

    def paths(self) -> list[Path]:
        return [path for path in self._paths if path.exists()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """A share of the customers, always the same ones."""

    of: Histories
    part: float  # 0 … 1

    @property
    def customers(self) -> int:
        """About so many."""
        return round(self.of.customers * self.part)

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in it, found out by looking at everybody."""
        with self.reader().reading() as read:
            return not any(True for part in self.parts() for _ in read(part))

    @property
    def last_at(self) -> datetime | None:
        return self.of.last_at

    @property
    def rows_left_out(self) -> int:
        """Of the whole: who would have been in the sample is not known of a row that cannot be read."""
        return self.of.rows_left_out

    @property
    def is_small(self) -> bool:
        return self.of.is_small

    def parts(self) -> Iterator[Any]:
        return self.of.parts()

    def reader(self) -> _Sample:
        return _Sample(of=self.of.reader(), part=self.part)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    of: Reader
    part: float

    @contextmanager
    def reading(self) -> Iterator[Read]:
        with self.of.reading() as read:
            yield lambda part: (
                (customer, history)
                for customer, history in read(part)
                if share(customer, "sample") < self.part
            )

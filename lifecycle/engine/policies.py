"""Which policies are in force: an empty database takes the file by itself, later ones are published."""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime
from pathlib import Path

from lifecycle import policy as policy_file
from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import PolicyVersion
from lifecycle.domain.timeline import Timeline
from lifecycle.errors import NotFound
from lifecycle.store import policies as store
from lifecycle.store.database import Database
from lifecycle.store.sql import Tx

CURRENT = "current"  # the version that judges now
NONE_YET = "this database has no policy yet: `lifecycle up` or `lifecycle import` puts one in force"


def ensure_policy(db: Database, path: Path) -> PolicyVersion:
    """The newest version in force; in a database without any, the file becomes the first.

    Raises PolicyRefused where the file has errors; a file that is not taken is not even read.
    """
    with db.read() as tx:
        known = versions(tx)
    if known:
        return known[-1]
    loaded = policy_file.load(path)

    def unit(tx: Tx) -> None:
        if store.newest(tx) == 0:
            row = store.PolicyRow(
                number=1,
                hash=loaded.hash,
                effective_at=BEGINNING,
                content=policy_file.to_canonical(loaded.policy).decode(),
                published_at=db.clock(tx),
                by="first start",
            )
            store.add(tx, row)

    db.run(unit)
    with db.read() as tx:
        return versions(tx)[-1]


def differs(db: Database, path: Path) -> str | None:
    """In words, how a policy file is not what is in force; None where it is, or cannot be read."""
    with db.read() as tx:
        known = versions(tx)
    if not known or not path.exists():
        return None
    loaded = policy_file.load(path)
    if loaded.hash == known[-1].hash:
        return None
    return (
        f"{path} (hash {loaded.hash[:12]}) is not in force: the newest policy"
        f" of this database is version {known[-1].number} (hash {known[-1].hash[:12]})."
        f" `lifecycle policy publish {path}` shows what it would change, and puts it in force"
    )


def newest(tx: Tx) -> int:
    """Number of the newest version; 0 where there is none."""
    return store.newest(tx)


def versions(tx: Tx) -> list[PolicyVersion]:
    """Every version ever published, the oldest first."""
    return [_version(row) for row in store.all_versions(tx)]


def published(tx: Tx, at: datetime, acted: Container[int] = ()) -> list[PolicyVersion]:
    """Those of `versions` that had been published by an instant.

    The first judges from the beginning of time; and so had been those of which it is known that they
    had `acted` by then, whatever the clock was by which they were published. Of one that restates
    history that is never known so: steps that it gives all the same name it although they are older.
    """
    rows = store.all_versions(tx)
    return [
        _version(row)
        for row in rows
        if row is rows[0]
        or row.published_at <= at
        or (row.number in acted and row.effective_at > BEGINNING)
    ]


def named(known: Sequence[PolicyVersion], name: str, now: datetime) -> PolicyVersion:
    """The version of a number, or that in force at `now`, of all there are in their order.

    Raises NotFound, which says which there are.
    """
    if not known:
        raise NotFound(NONE_YET)
    if name == CURRENT:
        return in_force(known, now)
    for version in known:
        if str(version.number) == name:
            return version
    raise NotFound(f"there is no version {name} of the policy; {_those(known)}")


def _those(known: Sequence[PolicyVersion]) -> str:
    if len(known) == 1:
        return f"there is only version {known[0].number}"
    return f"there are the versions {', '.join(str(version.number) for version in known)}"


def judging(published: Sequence[PolicyVersion]) -> list[PolicyVersion]:
    """Those that judge, each from its instant until that of one that was published later.

    What was published before, and would begin at or after the instant of a later one, never judges:
    so a version that is scheduled can be replaced, and one that restates history, which judges from
    the beginning of time, takes the place of all before it.
    """
    found: list[PolicyVersion] = []
    for version in sorted(published, key=lambda one: one.number, reverse=True):
        if not found or version.effective_at < found[-1].effective_at:
            found.append(version)
    return found[::-1]


def in_force(published: Sequence[PolicyVersion], at: datetime) -> PolicyVersion:
    """The one that judges at an instant; the first one before all."""
    judge = judging(published)
    return next((one for one in reversed(judge) if one.effective_at <= at), judge[0])


def timeline_of(published: Sequence[PolicyVersion]) -> Timeline:
    """The versions as they judge; of the others it only knows what they said."""
    judge = judging(published)
    return Timeline(judge, [version for version in published if version not in judge])


def _version(row: store.PolicyRow) -> PolicyVersion:
    return PolicyVersion(
        number=row.number,
        hash=row.hash,
        effective_at=row.effective_at,
        policy=policy_file.from_canonical(row.content.encode()),
        withhold_until=row.withhold_until,
    )

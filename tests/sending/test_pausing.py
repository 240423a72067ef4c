"""What stops sending by itself: a new installation, and one that was restored."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from lifecycle.engine.installation import Installation
from lifecycle.engine.sending import pausing
from lifecycle.engine.sending.again import send_again
from lifecycle.engine.sending.pausing import (
    hold_if_restored,
    pause,
    paused,
    resume,
    tell_from_backups,
)
from lifecycle.policy import loads
from lifecycle.store import instance
from lifecycle.store.database import Database
from lifecycle.store.sql import Tx, both
from tests.policies import SCENARIO_POLICY, scenario_policy
from tests.sending.conftest import RULES, bought, known
from tests.sending.post_office import TestOffice, Wire, let_real, send_all, sender
from tests.support.engine import arrive, installation, publish


def test_a_new_installation_holds_what_is_real(database_url: str) -> None:
    with installation(database_url) as inst:
        assert [one.scope for one in paused(inst.db)] == ["real"]
        assert not hold_if_restored(inst)
        assert not hold_if_restored(inst)
        assert [one.scope for one in paused(inst.db)] == ["real"]
        assert resume(inst, "real", by="olga", why="")
        assert paused(inst.db) == []


def test_a_copy_of_a_database_holds_everything(tmp_path: Path) -> None:
    """It may say that a message waits which the original has sent since."""
    original, copy = tmp_path / "original.db", tmp_path / "copy.db"
    with installation(f"sqlite:///{original}", SCENARIO_POLICY, clock=None) as inst:
        hold_if_restored(inst)
        resume(inst, "real", by="olga", why="")
    shutil.copy(original, copy)
    db = Database.open(f"sqlite:///{copy}")
    try:
        restored = Installation(db)
        assert hold_if_restored(restored)
        assert [one.scope for one in paused(db)] == ["all"]
        assert not hold_if_restored(restored)  # it is told once, and stays held
        assert [one.scope for one in paused(db)] == ["all"]
        assert resume(restored, "all", by="olga", why="compared")
        assert not hold_if_restored(restored)
        assert paused(db) == []
    finally:
        db.close()


@pytest.mark.parametrize("removed", [False, True], ids=["copied over it", "removed before"])
def test_a_backup_in_place_of_the_file_holds_everything(tmp_path: Path, *, removed: bool) -> None:
    """File systems give a new file the inode of the one that was removed, and a copy over it keeps it."""
    file, backup = tmp_path / "lifecycle.db", tmp_path / "backup.db"
    with installation(f"sqlite:///{file}", SCENARIO_POLICY, clock=None) as inst:
        hold_if_restored(inst)
        resume(inst, "real", by="olga", why="")
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(backup)) as target:
            source.backup(target)
        tell_from_backups(inst)  # as whoever sends does now and then
    if removed:
        file.unlink()
    shutil.copy(backup, file)
    with closing(Database.open(f"sqlite:///{file}")) as db:
        assert hold_if_restored(Installation(db))
        assert [one.scope for one in paused(db)] == ["all"]


@pytest.mark.postgres
def test_a_dump_restored_over_its_database_holds_everything(postgres_database_url: str) -> None:
    """As by `pg_restore --clean`: the server and the database are the same, the tables are not."""
    with installation(postgres_database_url, clock=None) as inst:
        hold_if_restored(inst)
        resume(inst, "real", by="olga", why="")
        assert not hold_if_restored(inst)
        for statement in (
            "CREATE TABLE restored (LIKE instance INCLUDING ALL)",
            "INSERT INTO restored OVERRIDING SYSTEM VALUE SELECT * FROM instance",
            "DROP TABLE instance",
            "ALTER TABLE restored RENAME TO instance",
        ):
            inst.db.run(partial(_run, statement))
        assert hold_if_restored(inst)
        assert [one.scope for one in paused(inst.db)] == ["all"]
        assert not hold_if_restored(inst)


@pytest.mark.postgres
def test_what_a_program_without_marks_recorded_is_no_other_database(
    postgres_database_url: str,
) -> None:
    """After an upgrade nothing is held; and while both run, neither takes the other's word for foreign."""
    with installation(postgres_database_url, clock=None) as inst:
        hold_if_restored(inst)
        resume(inst, "real", by="olga", why="")
        inst.db.run(
            partial(_run, "UPDATE instance SET identity = split_part(identity, ' mark ', 1)")
        )
        with inst.db.read() as tx:
            as_then: str = tx.value(both("SELECT identity FROM instance"))
        assert not hold_if_restored(inst)
        assert paused(inst.db) == []
        with inst.db.read() as tx:
            now: str = tx.value(both("SELECT identity FROM instance"))
        assert now.partition(" mark ")[0] == as_then  # all that a program of then compares
        assert now != as_then


def test_what_a_restored_database_forgot_is_nobody_elses_number(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links in mailboxes name customers by number, and providers know letters by that of their message."""
    with installation(database_url, scenario_policy(outreach=RULES), clock=None) as inst:
        with inst.db.read() as tx:
            now = inst.now(tx)
        arrive(inst, *known(now), bought(now))
        before = last_numbers(inst)
        hold_if_restored(inst)
        arrive(inst, *known(now, "ben"), bought(now, "ben"))
        assert [after - last for last, after in zip(before, last_numbers(inst), strict=True)] == [
            1,
            1,
        ]

        monkeypatch.setattr(instance, "is_as_recorded", lambda _: False)
        assert hold_if_restored(inst)
        monkeypatch.undo()

        arrive(inst, *known(now, "cleo"), bought(now, "cleo"))
        for last, after in zip(before, last_numbers(inst), strict=True):
            assert after - last > instance.FORGOTTEN


def _run(statement: str, tx: Tx) -> None:
    tx.run(both(statement))


def last_numbers(inst: Installation) -> list[int]:
    with inst.db.read() as tx:
        return [tx.value(both(f"SELECT max(id) FROM {table}")) for table in ("customer", "message")]


def test_a_database_that_is_opened_again_goes_on(tmp_path: Path) -> None:
    """Also after the machine died between the mark beside it and the commit."""
    url = f"sqlite:///{tmp_path / 'lifecycle.db'}"
    with installation(url, SCENARIO_POLICY, clock=None) as inst:
        hold_if_restored(inst)
        tell_from_backups(inst)

        def dies(tx: Tx) -> None:
            instance.record(tx)
            raise RuntimeError("power")

        with pytest.raises(RuntimeError, match="power"):
            inst.db.run(dies)
    with closing(Database.open(url)) as db:
        assert not hold_if_restored(Installation(db))
        assert not hold_if_restored(Installation(db))


def test_whoever_sends_tells_backups_from_the_database(tmp_path: Path) -> None:
    url, mark = f"sqlite:///{tmp_path / 'lifecycle.db'}", tmp_path / "lifecycle.db.mark"
    with installation(url, scenario_policy(outreach=RULES), clock=None) as inst:
        let_real(inst)
        hold_if_restored(inst)
        sending = sender(inst, TestOffice(Wire()))
        before = mark.read_text()
        sending.reclaim()
        assert mark.read_text() == before  # nothing was sent, so nothing can be sent twice
        with inst.db.read() as tx:
            now = inst.now(tx)
        arrive(inst, *known(now), bought(now))
        assert sending.send_due(30)
        sending.reclaim()
        told = mark.read_text()
        assert told != before
        sending.stop()
        assert mark.read_text() == told


def test_a_misspelt_scope_is_refused_with_what_was_meant(database_url: str) -> None:
    from lifecycle.errors import Problem

    with installation(database_url) as inst:
        with pytest.raises(Problem) as refused:
            pause(inst, "rule:win-bakc", by="olga", why="")
        assert refused.value.code == "unknown_scope"
        assert refused.value.hint == 'did you mean "rule:win-back"?'
        with pytest.raises(
            Problem, match=r"no version of the policy has a rule .*'win-bakc'"
        ) as other:
            send_again(inst, "win-bakc")
        assert (other.value.code, other.value.hint) == ("unknown_rule", 'did you mean "win-back"?')


def test_a_rule_that_a_newer_policy_dropped_can_still_be_stopped(database_url: str) -> None:
    """Its messages wait as before; and where it had paused itself, nobody else could let them go on."""
    with installation(database_url, scenario_policy(outreach=RULES), clock=None) as inst:
        with inst.db.read() as tx:
            now = inst.now(tx)
        publish(inst, loads(SCENARIO_POLICY).policy, number=2, effective_at=now)
        assert pause(inst, "rule:offer", by="olga", why="a wrong coupon")
        assert resume(inst, "rule:offer", by="olga", why="")


def test_what_was_paused_goes_on_in_portions(
    inst: Installation, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million of them in one transaction would keep everybody else waiting for minutes."""
    monkeypatch.setattr(pausing, "AT_ONCE", 2)
    wire = Wire()
    office = TestOffice(wire)
    pause(inst, "channel:email", by="olga", why="")
    people = [f"c{number}" for number in range(5)]
    for who in people:
        arrive(inst, *known(now, who), bought(now, who))
    send_all(inst, office)
    assert wire.letters == []
    assert resume(inst, "channel:email", by="olga", why="")
    send_all(inst, office)
    assert sorted(letter.to.customer for letter in wire.letters) == people

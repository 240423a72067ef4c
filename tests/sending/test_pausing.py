"""What stops sending by itself: a new installation, and one that was restored."""

from __future__ import annotations

import shutil
from pathlib import Path

from lifecycle.engine.installation import Installation
from lifecycle.engine.sending.pausing import hold_if_restored, pause, paused, resume
from lifecycle.store.database import Database
from tests.policies import SCENARIO_POLICY
from tests.support.engine import installation


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


def test_a_misspelt_scope_is_refused_with_what_was_meant(database_url: str) -> None:
    import pytest

    from lifecycle.errors import Problem

    with installation(database_url) as inst:
        with pytest.raises(Problem) as refused:
            pause(inst, "rule:win-bakc", by="olga", why="")
        assert refused.value.code == "unknown_scope"
        assert refused.value.hint == 'did you mean "rule:win-back"?'

"""Policies are compiled when a version is added, and not for every transaction."""

from __future__ import annotations

from tests.scenarios.driver import day
from tests.support.engine import installation, publish


def test_a_version_that_begins_before_one_of_an_earlier_number_is_compiled_once(
    database_url: str,
) -> None:
    """Version 2 is scheduled ahead, and version 3 for an earlier day: the last to begin is not the newest."""
    with installation(database_url) as inst:
        policy = inst.policy()
        with inst.db.read() as tx:
            before = inst.timeline(tx)
        publish(inst, policy, number=2, effective_at=day(50))
        publish(inst, policy, number=3, effective_at=day(30))
        with inst.db.read() as tx:
            compiled = inst.timeline(tx)
            assert [version.number for version in compiled.versions] == [1, 3]
            assert compiled is not before
            assert inst.timeline(tx) is compiled

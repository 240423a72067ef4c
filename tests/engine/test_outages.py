"""What fails from outside is nobody's fault: no event is blamed, and the work is done afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lifecycle.engine import alone, apply
from lifecycle.engine.alone import LONE_TRIES
from lifecycle.engine.apply import apply_pending
from lifecycle.engine.dead import list_dead
from lifecycle.engine.installation import Installation
from lifecycle.engine.verify import verify
from lifecycle.errors import Unavailable
from lifecycle.store import attempts, runs
from tests.scenarios.driver import day, order
from tests.support.engine import installation, post, reach, state


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url) as found:
        yield found


@pytest.mark.parametrize("outage", [Unavailable("the disk is full"), KeyboardInterrupt()])
def test_outages_count_against_nobody(
    inst: Installation, monkeypatch: pytest.MonkeyPatch, outage: BaseException
) -> None:
    """However often the database fails in the middle of the work, its events stay in the fold."""
    post(inst, order(0), order(1))

    def fails(*_: Any, **__: Any) -> None:
        raise outage

    with monkeypatch.context() as broken:
        for module in (apply, alone):
            broken.setattr(module, "work", fails)
        for _ in range(2 * LONE_TRIES + 2):
            with pytest.raises(type(outage)):
                apply_pending(inst)
    with inst.db.read() as tx:
        assert attempts.unfinished(tx) == []
    reach(inst, day(2))
    assert state(inst) == "deal"
    assert list_dead(inst, 10) == []
    assert verify(inst) == []


def test_verify_tells_of_an_import_that_was_left_half(inst: Installation) -> None:
    """What an unfinished import stored counts for nothing yet, and that is not passed over."""
    with inst.db.write() as tx:
        run_id = runs.begin(tx, name="shop", digest="d", effects=False, now=day(1))
    post(inst, order(0), run_id=run_id)
    assert [found.code for found in verify(inst)] == ["import_open"]
    with inst.db.write() as tx:
        runs.end(tx, run_id, day(1))
    assert [found.code for found in verify(inst)] == ["import_unfolded"]
    reach(inst, day(2))
    assert verify(inst) == []

"""`lifecycle task …`: what is listed, and how each command ends."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lifecycle.bootstrap import Access, build
from lifecycle.cli.exits import Code
from lifecycle.engine.tasks import assign
from lifecycle.outreach.staff import Employee, Staff
from lifecycle.resources import config_dir
from lifecycle.settings import Settings
from tests.cli.conftest import Lifecycle
from tests.outreach.letters import letter

LONG_AGO, FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)
TOM, WEI = Staff(employees=(Employee(login="tom"),)), Staff(employees=(Employee(login="wei"),))


@pytest.fixture
def house(lifecycle: Lifecycle, home: Path) -> Lifecycle:
    """An installation whose tom has a task that is overdue, and whose wei has one that is not."""
    settings = Settings(database_url=f"sqlite:///{home / 'lifecycle.db'}", config_dir=config_dir())
    with build(settings, access=Access.WRITE) as engine:
        assign(engine.db, TOM, letter("l-1", due_at=LONG_AGO, subject="Call\x1b[2Janna"))
        assign(engine.db, WEI, letter("l-2", "bert", due_at=FAR_AHEAD))
    return lifecycle


def keys(house: Lifecycle, *flags: str) -> list[str]:
    return [task["key"] for task in house("task", "list", *flags, "--json").json["tasks"]]


def test_tasks_are_listed_by_when_they_are_due(house: Lifecycle) -> None:
    first, second = house("task", "list").out.splitlines()[-3:-1]
    assert first.split() == ["2020-01-01", "00:00:00", "open,", "overdue", "tom", "anna",
                             "Call\\u001b[2Janna", "l-1"]  # fmt: skip
    assert second.split() == [
        "2999-01-01",
        "00:00:00",
        "open",
        "wei",
        "bert",
        "Call",
        "anna",
        "l-2",
    ]
    assert keys(house) == ["l-1", "l-2"]
    assert keys(house, "--limit", "1") == ["l-1"]
    assert keys(house, "--overdue") == ["l-1"]
    assert keys(house, "--open", "--owner", "wei") == ["l-2"]
    assert keys(house, "--owner", "olga") == []
    assert house("task", "list", "--owner", "olga").out == "✓ no tasks\n"


def test_open_and_overdue_together_are_refused(house: Lifecycle) -> None:
    ran = house("task", "list", "--open", "--overdue")
    assert (ran.code, "either --open or --overdue" in ran.err) == (Code.USAGE, True)


def test_a_task_is_shown_with_all_that_it_asks_for(house: Lifecycle) -> None:
    house("task", "done", "l-2", "--note", "offer sent")
    told = house("task", "show", "l-2").out
    for part in ("bert", "wei", "done", "She has asked for an offer.", "offer sent", "2999-01-01"):
        assert part in told
    shown = house("task", "show", "l-2", "--json").json
    assert (shown["status"], shown["overdue"], shown["note"]) == ("done", False, "offer sent")


def test_a_task_is_accepted_and_done_and_twice_changes_nothing(house: Lifecycle) -> None:
    assert house("task", "accept", "l-2").out == "Accepted: Call anna\n"
    again = house("task", "accept", "l-2")
    assert (again.code, again.out.startswith("Nothing was changed: it was accepted on ")) == (
        Code.OK,
        True,
    )
    assert house("task", "done", "l-2", "--note", "bought", "--json").json == {"done": "done"}
    assert house("task", "done", "l-2", "--json").json["already"]["status"] == "done"
    assert keys(house, "--open") == ["l-1"]
    assert keys(house) == ["l-1", "l-2"]


@pytest.mark.parametrize("command", ["show", "accept", "done"])
def test_a_task_that_is_not_there_is_told(house: Lifecycle, command: str) -> None:
    ran = house("task", command, "l-9")
    assert (ran.code, ran.err) == (
        Code.REFUSED,
        "error: there is no task 'l-9': see `lifecycle task list`\n",
    )


def test_tasks_are_accepted_beside_whoever_runs(house: Lifecycle, home: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{home / 'lifecycle.db'}", config_dir=config_dir())
    with build(settings, access=Access.RUN):
        assert house("task", "accept", "l-1").code == Code.OK
        assert house("task", "list").code == Code.OK

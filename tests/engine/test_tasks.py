"""Tasks for employees: asked for once, given to one, accepted and done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lifecycle.engine.installation import Installation
from lifecycle.engine.sending.desk import open_desk
from lifecycle.engine.tasks import (
    Accepted,
    AlreadyDone,
    Finished,
    Status,
    Task,
    Which,
    accept,
    assign,
    finish,
    list_tasks,
    show,
)
from lifecycle.errors import NotFound
from lifecycle.outreach.outcome import Accepted as Sent
from lifecycle.outreach.staff import Employee, Staff
from lifecycle.settings import Settings
from tests.outreach.letters import letter
from tests.scenarios.driver import day
from tests.support.engine import installation, set_clock

TOM, WEI = Staff(employees=(Employee(login="tom"),)), Staff(employees=(Employee(login="wei"),))


@pytest.fixture
def inst(database_url: str) -> Iterator[Installation]:
    with installation(database_url) as found:
        set_clock(found, day(30))
        yield found


def keys(inst: Installation, which: Which = Which.ALL, owner: str | None = None) -> list[str]:
    return [task.key for task in list_tasks(inst.db, which, owner=owner).tasks]


def test_a_letter_becomes_a_task_with_all_that_it_asks_for(inst: Installation) -> None:
    assert assign(inst.db, TOM, letter("l-1", due_at=day(31))) == "tom"
    assert show(inst.db, "l-1") == Task(
        key="l-1",
        customer="anna",
        rule="answer-enquiry",
        owner="tom",
        title="Call anna",
        text="Call anna today\nShe has asked for an offer.",
        created_at=day(30),
        due_at=day(31),
    )


def test_a_text_without_a_title_is_known_by_its_first_line(inst: Installation) -> None:
    assign(inst.db, TOM, letter("l-1", subject=None))
    assert show(inst.db, "l-1").title == "Call anna today"


def test_asked_for_again_it_is_the_same_task_of_the_same_owner(inst: Installation) -> None:
    """Also when the staff has changed meanwhile, and when it is done."""
    assign(inst.db, TOM, letter("l-1"))
    finish(inst.db, "l-1", note="she bought")
    set_clock(inst, day(31))
    assert assign(inst.db, WEI, letter("l-1", subject="Another")) == "tom"
    assert assign(inst.db, Staff(), letter("l-1")) == "tom"
    (task,) = list_tasks(inst.db).tasks
    assert (task.title, task.status, task.created_at) == ("Call anna", Status.DONE, day(30))


def test_several_senders_at_once_make_one_task(inst: Installation) -> None:
    found: list[str | None] = []
    together = threading.Barrier(4)

    def ask(staff: Staff) -> None:
        together.wait()
        found.append(assign(inst.db, staff, letter("l-1")))

    threads = [threading.Thread(target=ask, args=(staff,)) for staff in (TOM, WEI, TOM, WEI)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (task,) = list_tasks(inst.db).tasks
    assert found == [task.owner] * 4


def test_what_is_nobodys_is_not_stored_and_may_be_somebodys_later(inst: Installation) -> None:
    assert assign(inst.db, Staff(), letter("l-1")) is None
    assert keys(inst) == []
    assert assign(inst.db, TOM, letter("l-1")) == "tom"


def test_a_task_is_accepted_then_done_with_a_note(inst: Installation) -> None:
    assign(inst.db, TOM, letter("l-1"))
    set_clock(inst, day(31))
    accepted = accept(inst.db, "l-1")
    assert isinstance(accepted, Accepted)
    assert (accepted.task.status, accepted.task.accepted_at) == (Status.ACCEPTED, day(31))
    set_clock(inst, day(32))
    done = finish(inst.db, "l-1", note="she wants an offer")
    assert isinstance(done, Finished)
    assert done.task == show(inst.db, "l-1")
    assert (done.task.status, done.task.accepted_at, done.task.done_at, done.task.note) == (
        Status.DONE, day(31), day(32), "she wants an offer",
    )  # fmt: skip


def test_twice_changes_nothing_and_the_first_note_stands(inst: Installation) -> None:
    assign(inst.db, TOM, letter("l-1"))
    accept(inst.db, "l-1")
    set_clock(inst, day(31))
    assert isinstance(accept(inst.db, "l-1"), AlreadyDone)
    assert show(inst.db, "l-1").accepted_at == day(30)
    finish(inst.db, "l-1", note="first")
    set_clock(inst, day(32))
    assert isinstance(finish(inst.db, "l-1", note="second"), AlreadyDone)
    assert isinstance(accept(inst.db, "l-1"), AlreadyDone)
    task = show(inst.db, "l-1")
    assert (task.status, task.note, task.done_at) == (Status.DONE, "first", day(31))


def test_it_may_be_done_without_having_been_accepted(inst: Installation) -> None:
    assign(inst.db, TOM, letter("l-1"))
    assert isinstance(finish(inst.db, "l-1"), Finished)
    task = show(inst.db, "l-1")
    assert (task.accepted_at, task.note) == (None, None)


@pytest.mark.parametrize("act", [accept, finish, show])
def test_a_task_that_is_not_there_is_told(inst: Installation, act: object) -> None:
    assert callable(act)
    with pytest.raises(NotFound, match="there is no task 'l-9'"):
        act(inst.db, "l-9")


def test_what_is_due_first_is_listed_first_and_what_is_done_last(inst: Installation) -> None:
    for key, due in (("never", None), ("late", day(40)), ("soon", day(31)), ("over", day(30))):
        assign(inst.db, TOM, letter(key, due_at=due))
    for number, key in enumerate(("done-first", "done-last")):
        assign(inst.db, TOM, letter(key, due_at=day(1)))
        set_clock(inst, day(30) + timedelta(hours=number))
        finish(inst.db, key)
    accept(inst.db, "soon")
    assert keys(inst) == ["over", "soon", "late", "never", "done-last", "done-first"]
    assert keys(inst, Which.OPEN) == ["over", "soon", "late", "never"]
    assert keys(inst, Which.OVERDUE) == ["over"]
    set_clock(inst, day(31))
    assert keys(inst, Which.OVERDUE) == ["over", "soon"]
    assert len(list_tasks(inst.db, limit=2).tasks) == 2


def test_the_tasks_of_one_employee_are_his(inst: Installation) -> None:
    assign(inst.db, TOM, letter("l-1"))
    assign(inst.db, WEI, letter("l-2"))
    assert keys(inst, owner="wei") == ["l-2"]
    assert keys(inst, Which.OPEN, owner="tom") == ["l-1"]
    assert keys(inst, owner="olga") == []


CHANNELS = """
channels:
  task:
    kind: task
    owners: [{login: tom, name: Tom Weber, phone: "+49 30 1"}]
"""


def test_a_letter_by_the_channel_of_an_installation_becomes_a_task(
    inst: Installation, tmp_path: Path
) -> None:
    """And letters to customers can say who is in charge of them."""
    (tmp_path / "channels.yaml").write_text(CHANNELS, "utf-8")
    settings = Settings(database_url="sqlite:///unused", config_dir=tmp_path, secret=b"s" * 32)
    desk = open_desk(inst, settings)
    try:
        assert desk.channels["task"].send(letter("l-1")) == Sent(provider_id="l-1")
        assert desk.channels["task"].send(letter("l-1")) == Sent(provider_id="l-1")
        assert desk.owner("tom") == {"login": "tom", "name": "Tom Weber", "phone": "+49 30 1"}
        assert (desk.owner("olga"), desk.owner(None)) == ({"login": "olga"}, {})
    finally:
        desk.close()
    (task,) = list_tasks(inst.db).tasks
    assert (task.key, task.owner) == ("l-1", "tom")

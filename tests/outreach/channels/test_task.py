"""A task leaves by being somebody's."""

from __future__ import annotations

from lifecycle.outreach.channels import Channel
from lifecycle.outreach.channels.task import Task
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Accepted, Fault, Refused
from tests.outreach.channels.letters import KEY, letter


def test_a_task_is_handed_over_whole_and_is_known_by_its_key() -> None:
    handed: list[Letter] = []

    def assign(given: Letter) -> str:
        handed.append(given)
        return "li.wei"

    given = letter(subject="请回电")
    assert Task("task", None, assign).send(given) == Accepted(provider_id=KEY)
    assert handed == [given]


def test_a_task_that_nobody_can_be_given_waits_for_a_person_to_change_that() -> None:
    outcome = Task("task", None, lambda _: None).send(letter())
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.fault, outcome.permanent) == (
        "nobody_to_assign",
        Fault.PROVIDER,
        False,
    )


def test_an_employee_is_somebody_and_the_same_key_is_the_same_task() -> None:
    channel: Channel = Task("task", None, lambda _: "li.wei")
    assert channel.is_real
    assert channel.same_key_for is not None
    assert channel.unready(marketing=False) == ()
    channel.close()

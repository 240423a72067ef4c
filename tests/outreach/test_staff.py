"""Which employee is given a task about a customer."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from lifecycle.errors import ChannelsRefused
from lifecycle.outreach.channels.settings import read_channels
from lifecycle.outreach.channels.task import KIND
from lifecycle.outreach.staff import Employee, Level, Staff, owner_for, staff_of
from tests.outreach.letters import letter

SENIOR, JUNIOR = Level.SENIOR, Level.JUNIOR
OLGA = Employee(login="olga", level=SENIOR, name="Olga Brandt", email="olga@example.com")
WEI = Employee(login="wei", level=JUNIOR, languages=("zh",))
TOM = Employee(login="tom", level=JUNIOR, languages=("en", "de"))
STAFF = Staff(employees=(OLGA, WEI, TOM), best='tier == "gold" || revenue >= 5000.0')
CUSTOMERS = [f"customer-{n}" for n in range(20_000)]


def given_to(staff: Staff, customers: list[str] = CUSTOMERS) -> dict[str, str | None]:
    return {customer: owner_for(staff, letter(customer=customer)) for customer in customers}


def test_whoever_is_her_owner_gets_it_known_to_the_file_or_not() -> None:
    assert owner_for(STAFF, letter(owner="tom", tier="gold")) == "tom"
    assert owner_for(STAFF, letter(owner="somebody-else")) == "somebody-else"
    assert owner_for(Staff(), letter(owner="tom")) == "tom"
    assert owner_for(STAFF, letter(owner="  ", tier="gold")) == "olga"


def test_without_owner_and_without_staff_it_is_nobodys() -> None:
    assert owner_for(Staff(), letter()) is None
    idle = Staff(employees=(replace(OLGA, weight=0),))
    assert owner_for(idle, letter()) is None


def test_the_best_go_to_senior_staff_and_the_others_to_junior_staff() -> None:
    assert owner_for(STAFF, letter(tier="gold")) == "olga"
    assert owner_for(STAFF, letter(facts={"revenue": 5000.0})) == "olga"
    assert owner_for(STAFF, letter(strategic=True)) == "olga"
    others = {owner_for(STAFF, letter(customer=key, tier="bronze")) for key in CUSTOMERS[:200]}
    assert others == {"wei", "tom"}


def test_a_condition_that_cannot_be_judged_for_her_makes_nobody_the_best() -> None:
    """She has no revenue yet; `null >= 5000.0` has no answer."""
    assert owner_for(STAFF, letter(facts={"revenue": None})) in {"wei", "tom"}
    odd = Staff(employees=(OLGA, TOM), best="size(tier)")
    assert owner_for(odd, letter(tier="gold")) == "tom"


def test_where_nobody_is_of_the_level_all_share_its_customers() -> None:
    juniors = Staff(employees=(WEI, TOM), best=STAFF.best)
    assert set(given_to(juniors, CUSTOMERS[:200]).values()) == {"wei", "tom"}
    assert owner_for(juniors, letter(tier="gold")) in {"wei", "tom"}


@pytest.mark.parametrize(("language", "owner"), [("zh", "wei"), ("zh-CN", "wei"), ("de", "tom")])
def test_who_speaks_her_language_serves_her(language: str, owner: str) -> None:
    found = {owner_for(STAFF, letter(customer=key, language=language)) for key in CUSTOMERS[:100]}
    assert found == {owner}


def test_a_language_that_nobody_speaks_is_served_all_the_same() -> None:
    assert owner_for(STAFF, letter(language="fr")) in {"wei", "tom"}


def test_customers_are_given_by_weight_and_each_for_ever() -> None:
    staff = Staff(
        employees=tuple(
            Employee(login=f"e{n}", weight=weight) for n, weight in enumerate((1, 2, 5))
        )
    )
    found = given_to(staff)
    assert given_to(staff, CUSTOMERS[:500]) == {key: found[key] for key in CUSTOMERS[:500]}
    counts = Counter(found.values())
    wanted = {"e0": 2_500, "e1": 5_000, "e2": 12_500}
    assert sum((counts[one] - n) ** 2 / n for one, n in wanted.items()) < 23.0  # chi-square, 1e-5


def test_when_somebody_leaves_only_his_customers_change_hands() -> None:
    staff = Staff(employees=tuple(Employee(login=f"e{n}") for n in range(5)))
    before, after = given_to(staff), given_to(Staff(employees=staff.employees[:4]))
    moved = {key for key in CUSTOMERS if before[key] != after[key]}
    assert moved == {key for key in CUSTOMERS if before[key] == "e4"}


def test_what_letters_may_say_of_an_employee() -> None:
    assert STAFF.known_of("olga") == {
        "login": "olga",
        "name": "Olga Brandt",
        "email": "olga@example.com",
    }
    assert STAFF.known_of("pavel") == {"login": "pavel"}
    assert STAFF.known_of(None) == {}


# -- in channels.yaml


def read(folder: Path, text: str) -> Staff:
    (folder / "channels.yaml").write_text(text, "utf-8")
    described = read_channels(folder, {}, {"task": KIND})
    assert described.channels is not None
    return staff_of(described.channels[0].fields)


def test_the_file_names_the_staff(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
channels:
  task:
    kind: task
    best: tier == "gold"
    owners:
      - {login: olga, name: Olga Brandt, email: olga@example.com, phone: "+49 30 1", level: senior}
      - {login: wei, weight: 3, languages: [zh, en]}
""",
    )
    assert found == Staff(
        employees=(
            Employee(
                login="olga",
                name="Olga Brandt",
                email="olga@example.com",
                phone="+49 30 1",
                level=SENIOR,
            ),
            Employee(login="wei", weight=3, languages=("zh", "en")),
        ),
        best='tier == "gold"',
    )


def test_a_channel_that_says_nothing_of_staff_has_none(tmp_path: Path) -> None:
    assert read(tmp_path, "channels: {task: {kind: task}}\n") == Staff()


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("owners: [{name: Olga}]", "login"),
        ("owners: [{login: olga}, {login: olga}]", "olga"),
        ("owners: [{login: olga, level: boss}]", "senior"),
        ("owners: [{login: olga, weight: -1}]", "weight"),
        ("owners: [{login: olga, languages: [Chinese]}]", "zh"),
        ("owners: [{login: 'olga\\n'}]", "login"),
        ("best: 'tier =='", "no condition"),
        ("owner: olga", "owners"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_line(
    tmp_path: Path, entry: str, says: str
) -> None:
    with pytest.raises(ChannelsRefused) as refused:
        read(tmp_path, f"channels:\n  task:\n    kind: task\n    {entry}\n")
    (finding,) = refused.value.findings
    assert finding.line == 4
    assert says in finding.message

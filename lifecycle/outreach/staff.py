"""Which employee is given a task about a customer? `channels.yaml` names them, with what each takes on.

Whoever is the customer's `owner` gets it, also where the file does not know him. Else the best customers
go to senior staff and the others to junior staff, to those who speak her language where somebody does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from lifecycle.domain.guard import GuardError, compiled
from lifecycle.outreach.assignment import share
from lifecycle.outreach.channels.settings import ChannelSettings, OneLine, Settings
from lifecycle.outreach.letter import Letter
from lifecycle.policy.records import Fields, Key
from lifecycle.policy.report import Report, found
from lifecycle.policy.shapes import ListOf
from lifecycle.policy.words import Checked, Name, OneWord, Whole

OWNER = "owner"  # the customer's attribute: the login of the employee in charge of her
STRATEGIC = "strategic"  # where this attribute of hers is true, she is among the best


class Level(StrEnum):
    SENIOR = "senior"
    JUNIOR = "junior"


@dataclass(frozen=True, slots=True, kw_only=True)
class Employee:
    login: str
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    weight: int = 1  # how many customers are given to him, beside the weights of the others
    level: Level = Level.JUNIOR
    languages: tuple[str, ...] = ()  # in which he can serve; none: in any


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    employees: tuple[Employee, ...] = ()
    best: str | None = None  # CEL over a customer's facts and attributes: senior staff serve her

    def known_of(self, login: str | None) -> Mapping[str, str]:
        """What letters may say of an employee; only the login of one whom the file does not name."""
        one = next((one for one in self.employees if one.login == login), None)
        said = {
            "login": login,
            "name": one and one.name,
            "email": one and one.email,
            "phone": one and one.phone,
        }
        return {key: value for key, value in said.items() if value}


def owner_for(staff: Staff, letter: Letter) -> str | None:
    """The login of who is given the task; None where there is nobody.

    Of several the choice is by weight, and follows from her key: all tasks about her go to one of them.
    When somebody joins or leaves, only customers whom he gets or had change hands.
    """
    attributes = _of(letter, "attributes")
    owner = attributes.get(OWNER)
    if isinstance(owner, str) and owner.strip():
        return owner.strip()
    able = _able(staff, is_best(staff, letter), letter.to.language)
    if not able:
        return None
    return max(able, key=lambda one: (_drawn(one, letter.to.customer), one.login)).login


def is_best(staff: Staff, letter: Letter) -> bool:
    """Where the condition cannot be judged for her, she is not."""
    attributes, facts = _of(letter, "attributes"), _of(letter, "facts")
    if attributes.get(STRATEGIC) is True:
        return True
    if staff.best is None:
        return False
    condition = compiled(staff.best)
    known = {**attributes, **facts}
    try:
        return condition.judge({name: _plain(known.get(name)) for name in condition.variables})
    except GuardError:
        return False


def _of(letter: Letter, what: str) -> Mapping[str, Any]:
    found_there = letter.facts.get(what)
    return found_there if isinstance(found_there, Mapping) else {}


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _able(staff: Staff, best: bool, language: str | None) -> Sequence[Employee]:  # noqa: FBT001 - an answer, not a switch
    """Of the level if anybody is of it, and of these who speak the language if anybody does."""
    everybody = [one for one in staff.employees if one.weight > 0]
    level = Level.SENIOR if best else Level.JUNIOR
    of_level = [one for one in everybody if one.level is level] or everybody
    spoken = (language or "").partition("-")[0]
    return [
        one for one in of_level if not one.languages or spoken in one.languages
    ] or of_level  # fmt: skip


def _drawn(one: Employee, customer: str) -> float:
    """The highest is chosen: of weights 1 and 3 the second is, three times as often."""
    point = share(customer, f"task/{one.login}") or 2.0**-53
    return -one.weight / math.log(point)


# -- in channels.yaml ------------------------------------------------------------------------


def _condition(text: str) -> str:
    try:
        compiled(text)
    except GuardError as error:
        raise ValueError(f"{found(text)} is no condition: {error}") from error
    return text


_LOGIN = Name(
    "the login of an employee",
    pattern=r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}",
    says="letters, digits and . _ @ + -, at most 64",
)
_LANGUAGE = Name("a language", pattern="[a-z]{2,3}", says="its code of two letters, such as zh")
_EMPLOYEE = Settings(
    "an employee",
    (
        Key(name="login", shape=_LOGIN, about="By which customers' `owner` names him.", required=True),
        Key(name="name", shape=OneLine("a name"), about="As letters show it."),
        Key(name="email", shape=OneLine("an e-mail address"), about="As letters show it."),
        Key(name="phone", shape=OneLine("a telephone number", most=40), about="As letters show it."),
        Key(
            name="weight",
            shape=Whole("a weight", least=0, most=1000),
            about="How many customers he is given, beside the weights of the others; 0: none for now.",
            default="1",
        ),
        Key(
            name="level",
            shape=OneWord(
                {"senior": "serves the best customers", "junior": "serves the other ones"}
            ),
            about="Which customers he is given. Where nobody is of a level, all share its customers.",
            default="junior",
        ),
        Key(
            name="languages",
            shape=ListOf(_LANGUAGE, alone=True, most=30),
            about="In which he can serve customers; left out: in any.",
        ),
    ),
)  # fmt: skip
KEYS = (
    Key(
        name="owners",
        shape=ListOf(_EMPLOYEE),
        about="Who is given tasks about customers that have no `owner`.",
    ),
    Key(
        name="best",
        shape=Checked(
            _condition,
            says='a condition in CEL, such as tier == "gold"',
            code="wrong_condition",
            schema={"type": "string", "minLength": 1},
        ),
        about="Which customers senior staff serve, besides those whose `strategic` is true.",
    ),
)
"""What a channel of the kind `task` may say besides what every channel may."""


def staff_of(fields: Fields) -> Staff:
    """Of the fields of such a channel."""
    return Staff(
        employees=tuple(_employee(one.value) for one in fields.value("owners", ())),
        best=fields.value("best"),
    )


def check(settings: ChannelSettings, report: Report) -> None:
    """Each login stands once."""
    seen: set[str] = set()
    for one in settings.fields.value("owners", ()):
        login = one.value.value("login")
        if login in seen:
            report.error(
                one.place,
                "duplicate_entry",
                f"{found(login)} is an employee already; allowed: each once",
            )
        seen.add(login)


def _employee(fields: Fields) -> Employee:
    return Employee(
        login=fields.value("login", ""),
        name=fields.value("name"),
        email=fields.value("email"),
        phone=fields.value("phone"),
        weight=fields.value("weight", 1),
        level=Level(fields.value("level", Level.JUNIOR)),
        languages=tuple(one.value for one in fields.value("languages", ())),
    )

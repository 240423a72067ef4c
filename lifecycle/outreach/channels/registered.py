"""SMS by providers that send registered templates only: which one stands for a message, filled from what?"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

from lifecycle.outreach.channels import provider
from lifecycle.outreach.channels.http import Client, Request
from lifecycle.outreach.channels.provider import Provider, Said
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Fault, Outcome, Refused


class Template(Protocol):
    """A text that is registered with the provider."""

    @property
    def facts(self) -> Sequence[str]:
        """Ours, in the order in which they fill it."""


T = TypeVar("T", bound=Template)


class RegisteredSms(Provider, Generic[T]):
    """What is the same for all of them."""

    def __init__(
        self, *, name: str, address: str, templates: Mapping[str, T], client: Client
    ) -> None:
        super().__init__(name=name, address=address, client=client)
        self._templates = templates

    def unready(self, *, marketing: bool) -> Sequence[str]:  # noqa: ARG002 - asked of every channel
        if self._templates:
            return ()
        return ("no message has a registered template: set `templates`",)

    def _sent(self, letter: Letter) -> Outcome:
        number = provider.phone(letter)
        if isinstance(number, Refused):
            return number
        template = _registered(self._templates, letter)
        if isinstance(template, Refused):
            return template
        values = filled(letter, template.facts)
        if isinstance(values, Refused):
            return values
        said = self.ask(self._request(letter.key, number, template, values))
        return self._outcome(said) if isinstance(said, Said) else said

    @abstractmethod
    def _request(self, key: str, number: str, template: T, values: Sequence[str]) -> Request:
        """That hands it over; `key` comes back in the provider's reports."""

    @abstractmethod
    def _outcome(self, said: Said) -> Outcome:
        """What an answer of this provider means."""


def filled(letter: Letter, sources: Sequence[str]) -> Sequence[str] | Refused:
    """The values of a registered template: facts and attributes by name, and `name`, how she is called."""
    values: dict[str, object] = {}
    for what in ("attributes", "facts"):
        known = letter.facts.get(what)
        values |= known if isinstance(known, Mapping) else {}
    values["name"] = letter.to.name or None
    missing = [each for each in sources if values.get(each) is None]
    if missing:
        return Refused(
            code="template_parameter_missing",
            detail=f"there is no {missing[0]!r} for the template of {letter.rule!r}",
            fault=Fault.MESSAGE,
            permanent=True,
        )
    return [_written(values[each]) for each in sources]


def _written(value: object) -> str:
    """As a provider puts it into a text."""
    match value:
        case Decimal():
            return f"{value:f}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _registered(templates: Mapping[str, T], letter: Letter) -> T | Refused:
    """What stands for the message in the letter's language (`thanks.en`), or in any (`thanks`)."""
    own = templates.get(f"{letter.rule}.{letter.content.language}")
    found = templates.get(letter.rule) if own is None else own
    return _none_registered(letter) if found is None else found


def _none_registered(letter: Letter) -> Refused:
    return Refused(
        code="no_template_code",
        detail=f"the settings name no registered template for {letter.rule!r}",
        fault=Fault.MESSAGE,
        permanent=True,
    )

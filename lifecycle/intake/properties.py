"""Reads the properties of an event, as the policy declares its type, into their stored form.

Stored: JSON values only; money and numbers as canonical decimal text, instants as UTC text, currencies
in capitals. A declared property that is null counts as left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from lifecycle.domain.builtin import PROFILE_CHANGED
from lifecycle.domain.instant import instant_text
from lifecycle.domain.policy import EventType, Policy, ValueType
from lifecycle.errors import Problem
from lifecycle.intake.draft import Remark
from lifecycle.intake.strict_json import Limits, Number, escaped, shown, unsound
from lifecycle.intake.values import Unlisted, did_you_mean, money, readers, unlisted

Values = dict[str, Any]

_DEPTH = 5  # of a property's value in a body: body, events, event, properties, value
_SAFE = 2**53  # whole numbers up to here are the same in every JSON library
_HINTS = 20  # names of undeclared properties, a type and batch, for which a near one is looked for


class PropertyReader:
    """Reads the properties of one type of event under one policy, for the length of a batch.

    Not `whole`: for a part of them, in which nothing can be missing.
    """

    def __init__(
        self, name: str, declared: EventType | None, policy: Policy, *, whole: bool = True
    ) -> None:
        self.name = name
        self._type = declared
        self.declared = declared is not None
        self._policy = policy
        self._strict = declared is not None and declared.strict
        properties = declared.properties if declared else {}
        self._kinds = readers(policy.timezone)
        self._readers: dict[str, Callable[[object], Any]] = {
            key: self._kinds[said.type]
            for key, said in properties.items()
            if said.type is not ValueType.MONEY
        }
        self._money = _named(properties, ValueType.MONEY)
        self._currency = next(iter(_named(properties, ValueType.CURRENCY)), None)
        self._rated_from: dict[str, datetime] = {}  # by currency: its first rate
        for rate in sorted(policy.rates, key=lambda rate: rate.since):
            self._rated_from.setdefault(rate.currency, rate.since)
        self._required = tuple(key for key, said in properties.items() if said.required)
        self._undeclared: dict[str, Remark] = {}
        if name == PROFILE_CHANGED:
            self._readers = {"attributes": self._attributes}
            self._required = ("attributes",)
        if not whole:
            self._required = ()

    def read(self, posted: object, limits: Limits, remarks: list[Remark]) -> Values:
        """The stored form. Raises Problem with a pointer from the properties on."""
        members = _object("properties", posted, limits)
        stored: Values = {}
        key = ""
        try:
            for key, value in members.items():
                if (reader := self._readers.get(key)) is not None:
                    if value is not None:
                        stored[key] = reader(value)
                elif key not in self._money:
                    stored[key] = self._undeclared_value(key, value, limits, remarks)
            for key in self._required:
                self._require(key, members)
            for key in self._money:
                if (value := members.get(key)) is not None:
                    stored[key] = money(value, self._currency_of(stored))
        except Problem as problem:
            problem.pointer = problem.pointer or f"/{escaped(key)}"
            raise
        return stored

    def check_rate(self, stored: Values, occurred_at: datetime) -> None:
        """Raises Problem for money that is older than the first rate of its currency."""
        if self._currency is None:
            return
        code: str | None = stored.get(self._currency)
        if code is None or code == self._policy.currency:
            return
        first = self._rated_from.get(code)  # none: there is no money, or `read` would have said so
        if first is not None and occurred_at < first and self._has_money(stored):
            raise Problem(
                "currency_unknown",
                f"the policy has no rate from {code} to its own currency, {self._policy.currency},"
                f" for {instant_text(occurred_at)}",
                pointer=f"/{escaped(self._currency)}",
                got=code,
                expected=f"money of {instant_text(first)} or later",
                hint="to take older events in, add a rate of that time to the policy",
            )

    def _has_money(self, stored: Values) -> bool:
        return any(key in stored for key in self._money)

    def faults(self, posted: object, limits: Limits) -> Iterator[Problem]:
        """Everything that is wrong with properties that `read` refuses, one after the other."""
        alone = PropertyReader(self.name, self._type, self._policy, whole=False)
        if not isinstance(posted, dict) or len(posted) > limits.keys:
            yield from alone.refusals([posted], limits)
            return
        currency = {key: value for key, value in posted.items() if key == self._currency}
        unsure = any(alone.refusals([currency], limits))
        for key, value in posted.items():
            parts = self._parts(key, value, {} if unsure else currency)
            for problem in alone.refusals(parts, limits):
                if not (unsure and problem.code == "too_many_decimals"):
                    yield problem
        for key in self._required:
            try:
                self._require(key, posted)
            except Problem as problem:
                problem.pointer = f"/{escaped(key)}"
                yield problem

    def refusals(self, parts: Iterable[object], limits: Limits) -> Iterator[Problem]:
        """What `read` says of each of these."""
        for part in parts:
            try:
                self.read(part, limits, [])
            except Problem as problem:
                yield problem

    def _parts(self, key: str, value: object, currency: Values) -> Iterator[Values]:
        """What is right or wrong by itself; money is so in its currency."""
        if key == "attributes" and isinstance(value, dict) and self.name == PROFILE_CHANGED:
            yield from ({key: {name: member}} for name, member in value.items())
        else:
            yield {**currency, key: value} if key in self._money else {key: value}

    def _require(self, key: str, members: Values) -> None:
        try:
            _require(key, members.get(key))
        except Problem as problem:
            if self.name == PROFILE_CHANGED:
                problem.hint = profile_hint(members, self._policy)
            raise

    def _currency_of(self, stored: Values) -> str:
        """The currency of the event's money: its own, if there is a rate for it."""
        base = self._policy.currency
        code: str = stored.get(self._currency, base) if self._currency else base
        if code == base or code in self._rated_from:
            return code
        problem = unlisted(
            "currency_unknown",
            f"the policy has no rate from {code} to its own currency, {base}",
            code,
            {base, *self._rated_from},
        )
        problem.pointer = f"/{self._currency}"
        raise problem

    def _undeclared_value(
        self, key: str, value: object, limits: Limits, remarks: list[Remark]
    ) -> Any:
        if self._strict:
            unknown = unknown_field(key, (*self._readers, *self._money), "property")
            if self.name == PROFILE_CHANGED and key in self._policy.attributes:
                unknown.hint = profile_hint([key], self._policy)
            raise unknown
        remarks.append(self._undeclared.get(key) or self._remark(key))
        if isinstance(value, Number | dict | list):
            if problem := unsound(value, f"/{escaped(key)}", limits, depth=_DEPTH):
                raise problem
            return _stored(value)
        return value

    def _remark(self, key: str) -> Remark:
        declared = (*self._readers, *self._money)
        meant = did_you_mean(key, declared) if len(self._undeclared) < _HINTS else None
        remark = Remark(
            code="undeclared_property",
            pointer=f"/properties/{escaped(key)}",
            detail=f"{self.name} declares no property {shown(key)}; kept as it is, and read by no"
            " fact" + (f"; {meant}" if meant else ""),
        )
        self._undeclared[key] = remark
        return remark

    def _attributes(self, posted: object) -> Values:
        """Null takes an attribute away; what the policy does not name is refused."""
        stored: Values = {}
        key = ""
        try:
            for key, value in _object("attributes", posted, Limits()).items():
                kind = self._policy.attributes.get(key)
                if kind is None:
                    raise unknown_field(key, tuple(self._policy.attributes), "attribute")
                if value is None:
                    stored[key] = None
                elif kind is ValueType.MONEY:
                    stored[key] = money(value, self._policy.currency)
                else:
                    stored[key] = self._kinds[kind](value)
        except Problem as problem:
            problem.pointer = f"/attributes/{escaped(key)}" if key else "/attributes"
            raise
        return stored


def profile_hint(members: Iterable[str], policy: Policy) -> str:
    """Where the attributes stand in an event, with one that was given elsewhere."""
    name = next((name for name in members if name in policy.attributes), "tier")
    return f'attributes stand in {{"properties": {{"attributes": {{"{name}": …}}}}}}'


def unknown_field(name: str, allowed: tuple[str, ...], what: str) -> Unlisted:
    problem = unlisted("unknown_field", f"there is no {what} {shown(name)} here", name, allowed)
    problem.pointer = f"/{escaped(name)}"
    return problem


def _named(properties: Any, kind: ValueType) -> tuple[str, ...]:
    return tuple(key for key, said in properties.items() if said.type is kind)


def _object(what: str, posted: object, limits: Limits) -> dict[str, Any]:
    if not isinstance(posted, dict):
        raise Problem(
            "expected_object",
            f"{what} are not an object",
            got=shown(posted),
            expected='an object such as {"name": "value"}',
        )
    if len(posted) > limits.keys:
        raise Problem(
            "limit_exceeded",
            f"{what} have more than {limits.keys} keys",
            got=f"{len(posted)} keys",
            expected=f"at most {limits.keys} keys",
        )
    return posted


def _require(key: str, value: object) -> None:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise Problem(
            "property_required",
            f"the property {shown(key)} is missing or empty",
            got=None if value is None else shown(value),
            expected="a value",
        )


def _stored(value: object) -> Any:
    """An undeclared value; a decimal becomes a JSON number only if that keeps its value, and 3.0 is 3."""
    if isinstance(value, Number):
        nearest = float(value)
        if Decimal(repr(nearest)) != Decimal(value):
            return str(value)
        return int(nearest) if nearest.is_integer() and abs(nearest) < _SAFE else nearest
    if isinstance(value, dict):
        return {key: _stored(member) for key, member in value.items()}
    return [_stored(member) for member in value] if isinstance(value, list) else value

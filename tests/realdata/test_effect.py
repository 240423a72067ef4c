"""Every number of the effect of another threshold, held against plain loops over the invoices."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from lifecycle.cli.output import plain
from lifecycle.engine.backtest.asking import Candidate, Period, backtest, effect
from lifecycle.engine.backtest.course import Ways
from lifecycle.engine.backtest.effect_report import Effect
from lifecycle.engine.backtest.histories import Filed, History, filed
from lifecycle.intake import mapping_file, table
from lifecycle.intake.draft import Draft
from lifecycle.policy.load import load
from tests.realdata import naive, naive_effect
from tests.realdata.conftest import AFTERWARDS
from tests.realdata.installed import SHIPPED_MAPPINGS, SHIPPED_POLICY

OUTREACH = """\
outreach:
  - {name: thanks, on: {transition: first-purchase}, channels: [email], class: service, delay: 1h}
  - name: win-back
    on: {transition: goes-quiet}
    while: dormant
    channels: [sms, email]
    expires: 3d
    priority: 60
    holdout: 10%
  - name: welcome-back
    on: {transition: comes-back}
    channels: [email]
    settle: 10min
    expires: 2d
  - {name: care, on: {after: 30d, since: last_order_at}, channels: [email]}
  - name: remind
    on: {after: 45d, since: last_order_at}
    channels: [email]
    expires: 15d
    priority: 40
  - {name: call, on: {transition: lost}, channels: [task], class: service}
sending:
  caps: [{most: 1, within: 14d, class: marketing}]
  quiet: {since: "21:00", until: "09:00"}
"""
CHANNELS = {"email": "email", "sms": "phone", "task": None}
COSTS = {"email": Decimal("0.02"), "sms": Decimal("0.31")}
WAYS = Ways(addresses=CHANNELS, costs=COSTS, everybody=True)
THRESHOLDS = (60, 45)
Candidates = tuple[Candidate, Candidate]
UNTIL = datetime(2011, 6, 30, 12, tzinfo=UTC)
BY_OTHER_MEANS = {
    "before",
    "after",
    "digest_before",
    "digest_after",
}  # no numbers from the invoices


def policy_text(quiet_days: int) -> str:
    """The states and rules that ship, in London, with the outreach above."""
    rules, _, _ = SHIPPED_POLICY.read_text(encoding="utf-8").partition("\noutreach:\n")
    rules = re.sub(r"^timezone: \S+", "timezone: Europe/London", rules, flags=re.MULTILINE)
    at = rules.index("- name: goes-quiet")
    return f"{rules[:at]}{rules[at:].replace('after: 60d', f'after: {quiet_days}d', 1)}\n{OUTREACH}"


@pytest.fixture(scope="session")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> Candidates:
    folder = tmp_path_factory.mktemp("policies")

    def candidate(days: int) -> Candidate:
        file = folder / f"{days}d.yaml"
        file.write_text(policy_text(days), encoding="utf-8")
        loaded = load(file)
        return Candidate.of(loaded.policy, loaded.hash, file.name)

    before, after = THRESHOLDS
    return candidate(before), candidate(after)


@pytest.fixture(scope="session")
def drafts(invoices_file: Path, candidates: Candidates) -> list[Draft]:
    policy = candidates[0].newest
    columns = mapping_file.load(SHIPPED_MAPPINGS / "online-retail.yaml", policy)
    rows = table.drafts(invoices_file, columns, policy, AFTERWARDS)
    return [row for row in rows if isinstance(row, Draft)]


def numbers(of: object, name: str = "") -> dict[str, str]:
    """Every single value under where it stands; what has a name of its own stands under that."""
    if isinstance(of, dict):
        kept = {key: each for key, each in of.items() if name or key not in BY_OTHER_MEANS}
        found: dict[str, str] = {}
        for key, each in kept.items():
            found |= numbers(each, f"{name}/{key}")
        return found
    if isinstance(of, list):
        names = [named(each, place) for place, each in enumerate(of)]
        found = {f"{name}/": ", ".join(names)}  # the order
        for key, each in zip(names, of, strict=True):
            found |= numbers(each, f"{name}/{key}")
        return found
    return {name: repr(of)}


def named(of: dict[str, Any], place: int) -> str:
    if "how" in of:
        return " ".join(filter(None, (of["rule"], of["state"], of["how"])))
    if "rule" in of:
        return str(of["rule"])
    if "customers" in of:
        return f"{of['before']} → {of['after']}"
    return str(place)  # an example


def differences(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    """Named one by one, so that a failure says which number is wrong."""
    return [
        f"{name}: {found.get(name, 'missing')}, from the invoices {expected.get(name, 'nothing')}"
        for name in {**expected, **found}
        if found.get(name) != expected.get(name)
    ]


def leaves(of: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where each single value stands."""
    if isinstance(of, (dict, list)):
        for key in of if isinstance(of, dict) else range(len(of)):
            if path or key not in BY_OTHER_MEANS:
                yield from leaves(of[key], (*path, key))
    else:
        yield path


def spoilt(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return "wrong" if value is None else f"{value}0"


def test_every_number_of_the_effect_follows_from_the_invoices(
    invoices: list[naive.Invoice], drafts: list[Draft], candidates: Candidates
) -> None:
    with filed(drafts) as histories:
        whole = effect(*candidates, histories, WAYS, Period())
    recomputed = naive_effect.effect(invoices, THRESHOLDS, costs=COSTS)
    wrong = differences(numbers(plain(whole)), numbers(recomputed))
    assert not wrong, "\n".join(wrong)
    assert len(numbers(recomputed)) > 600
    found = {change.how for change in (*whole.steps, *whole.letters)}
    assert {how.value for how in found} == set(naive_effect.HOWS), "every kind of change is there"
    assert [judged.hash for judged in (*whole.before, *whole.after)] == [
        one.versions[0].hash for one in candidates
    ]


def test_so_it_does_of_a_share_of_the_customers_up_to_an_instant_at_no_known_cost(
    invoices: list[naive.Invoice], drafts: list[Draft], candidates: Candidates
) -> None:
    """Who was not there yet is not counted, and no event that came later."""
    by = Ways(addresses=CHANNELS, everybody=True)
    with filed(drafts) as histories:
        told = effect(*candidates, histories, by, Period(sample=0.1, until=UNTIL))
    recomputed = naive_effect.effect(invoices, THRESHOLDS, end=UNTIL, part=Decimal("0.1"))
    assert recomputed["letters_before"]["cost"] is None
    wrong = differences(numbers(plain(told)), numbers(recomputed))
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def part(drafts: list[Draft]) -> list[Draft]:
    """Of every eighth customer."""
    return [draft for draft in drafts if int(draft.event.customer) % 8 == 0]


@pytest.fixture(scope="module")
def told(part: list[Draft], candidates: Candidates) -> Effect:
    with filed(part) as histories:
        return effect(*candidates, histories, WAYS, Period(), processes=1)


def in_parts(histories: Filed) -> Filed:
    """As a history that is worth the work of several processes."""
    (drawer,) = histories.drawers
    assert not isinstance(drawer, Path)
    drawers: Sequence[Sequence[History]] = [drawer[first::7] for first in range(7)]
    return replace(histories, drawers=drawers, is_small=False)


@pytest.mark.parametrize(("processes", "seed"), [(2, None), (1, 3), (2, 5)])
def test_the_effect_is_the_same_to_the_byte(
    part: list[Draft],
    candidates: Candidates,
    told: Effect,
    processes: int,
    seed: int | None,
) -> None:
    """However many processes count it, and in whatever order the rows of the file stand."""
    rows = part if seed is None else random.Random(seed).sample(part, len(part))
    with filed(rows) as histories:
        again = effect(*candidates, in_parts(histories), WAYS, Period(), processes=processes)
    assert orjson.dumps(plain(again)) == orjson.dumps(plain(told))


def test_either_side_of_the_effect_is_the_backtest_of_that_policy_alone(
    part: list[Draft], candidates: Candidates, told: Effect
) -> None:
    sides = [(told.letters_before, told.states_before), (told.letters_after, told.states_after)]
    digests = (told.digest_before, told.digest_after)
    assert digests[0] != digests[1]
    for candidate, (letters, states), digest in zip(candidates, sides, digests, strict=True):
        with filed(part) as histories:
            alone = backtest(candidate, histories, WAYS, Period(), processes=1)
        assert (alone.digest, alone.letters) == (digest, letters)
        assert {one.state: one.customers[-1] for one in alone.states} == states


def test_a_policy_has_no_effect_compared_with_itself(
    part: list[Draft], candidates: Candidates, told: Effect
) -> None:
    with filed(part) as histories:
        none = effect(candidates[1], candidates[1], histories, WAYS, Period(), processes=1)
    assert (none.moved, none.written, none.steps, none.letters, none.ends) == (0, 0, (), (), ())
    assert none.letters_before == none.letters_after == told.letters_after
    assert none.states_before == none.states_after == told.states_after
    for rule in none.rules:
        assert rule.before == rule.after == rule.same
        assert rule.gained == rule.lost == rule.earlier == rule.later == 0


def test_whichever_number_were_wrong_the_comparison_would_name_it(told: Effect) -> None:
    """One value of each class is made wrong in a copy of what the engine tells."""
    right = plain(told)
    classes = {
        tuple("*" if isinstance(key, int) else key for key in path): path for path in leaves(right)
    }
    assert len(classes) > 80
    for path in classes.values():
        wrong = copy.deepcopy(right)
        *parents, last = path
        holder: Any = wrong
        for key in parents:
            holder = holder[key]
        holder[last] = spoilt(holder[last])
        found = differences(numbers(wrong), numbers(right))
        assert found, path
        if last not in {
            "how",
            "rule",
            "state",
            "before",
            "after",
        }:  # other entries are named by these
            assert [line.split(": ")[0].rpartition("/")[2] for line in found] == [str(last)]

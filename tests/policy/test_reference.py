"""docs/policy.md says what the loader does: its tables, its examples, its list of codes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle.policy.reference import documented, every_record, refreshed
from tests.policy.said import MINIMAL, changed, said

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
CODE = Path(__file__).resolve().parents[2] / "lifecycle" / "policy"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
GUARDS = [
    guard.replace("\\|", "|")
    for guard in re.findall(r"^\| [a-z ,]+ \| `([^`]+)` \|$", DOCUMENT, re.MULTILINE)
]

AROUND = """\
version: 1
timezone: UTC
currency: CNY
attributes: {name: text, birthday: date, tier: text, strategic: bool}
states: {potential: {initial: true}, deal: , loyal: , dormant: , churned: , reactivated: }
events:
  lead_captured:
  order_paid: {properties: {amount: money, product: text}, interaction: true}
facts:
  orders: {count: order_paid}
  orders_365d: {count: order_paid, within: 365d}
  revenue: {sum: order_paid.amount}
  last_order_at: {last: order_paid}
  last_seen_at: {last: interaction}
  usual_gap: {gap: order_paid}
transitions:
  - {name: r1, on: lead_captured, from: potential, to: deal}
  - {name: r2, on: lead_captured, from: deal, to: loyal}
  - {name: r3, on: lead_captured, from: loyal, to: dormant}
  - {name: r4, on: lead_captured, from: dormant, to: churned}
  - {name: r5, on: lead_captured, from: churned, to: reactivated}
  - {name: r6, on: lead_captured, from: reactivated, to: potential}
"""


def completed(example: str) -> str:
    """A whole policy around an example: its sections are added to those that it needs."""
    if example.startswith("version:"):
        return example
    text = AROUND
    for section, entries in re.findall(
        r"^(\w+):(.*?)(?=^\w|\Z)", example, re.DOTALL | re.MULTILINE
    ):
        if section == "attributes":
            text = re.sub(r"attributes: .*", f"attributes:{entries.rstrip()}", text)
        elif f"\n{section}:\n" in text:
            names = re.findall(r"^  (\w+):", entries, re.MULTILINE)
            for name in names:  # an example may tell a fact of the same name anew
                text = re.sub(rf"^  {name}: .*\n", "", text, flags=re.MULTILINE)
            text = text.replace(f"\n{section}:\n", f"\n{section}:{entries.rstrip()}\n")
        else:
            text += f"{section}:{entries}"
    return text


def test_the_tables_are_not_stale() -> None:
    """Made by `python -m lifecycle.policy.reference docs/policy.md`."""
    assert refreshed(DOCUMENT) == DOCUMENT


def test_every_key_is_documented() -> None:
    assert documented(DOCUMENT) == every_record()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6
    assert len(GUARDS) >= 6


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_accepted(example: str) -> None:
    assert said(completed(example)) == ()


@pytest.mark.parametrize("guard", GUARDS)
def test_every_guard_of_the_table_has_an_answer_for_everybody(guard: str) -> None:
    text = AROUND.replace(
        "from: potential, to: deal}", f"from: potential, to: deal, when: '{guard}'}}"
    )
    assert said(text) == ()


def codes_of(tree: ast.AST) -> Iterator[str]:
    """The words that the source gives as a finding's code."""
    for node in ast.walk(tree):
        held: list[ast.expr] = []
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            place = {"error": 1, "warn": 1, "known": 1, "NotThis": 1, "Fault": 0}.get(name)
            held = node.args[place : place + 1] if place is not None else []
            held += [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(getattr(target, "id", "") == "code" for target in targets) and node.value:
                held = [node.value]
        for value in held:
            for one in ast.walk(value):
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    yield one.value


def test_every_code_is_documented_and_no_other() -> None:
    """A finding's code is what people search for."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in CODE.rglob("*.py")]
    used = {code for tree in trees for code in codes_of(tree)}
    used |= {"shadowed_rule", "ambiguous_rules"}  # chosen in a function of their own
    _, _, listed = DOCUMENT.partition("\n## What the check refuses\n")
    listed, _, _ = listed.partition("\n## ")
    told = set(re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+)+)`", listed))
    assert len(used) > 50
    assert (used - told, told - used) == (set(), set())


def test_the_reference_is_of_the_format_and_not_of_a_wish() -> None:
    """A key that is not built is not documented either."""
    for key in ("segment", "audience", "retries", "throttle", "budget", "template"):
        assert f"`{key}`" not in DOCUMENT
        assert any(
            finding.code == "unknown_key"
            for finding in said(changed("[email]", f"[email], {key}: 1", MINIMAL))
        )

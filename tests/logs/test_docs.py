"""The chapter on logs names every line that the program can say, and none that it cannot."""

from __future__ import annotations

import ast
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from lifecycle.domain.step import Step
from lifecycle.engine import decisions
from lifecycle.logs.form import LIBRARY, JsonForm
from lifecycle.logs.lines import Said
from lifecycle.store.steps import StepRow

ROOT = Path(__file__).resolve().parents[2]
# Whose first word names a line: methods, and what is handed on under these names.
SAYING = {"debug", "info", "warning", "error", "about", "complain", "_complain", "_failed", "Line"}
HEADS = {
    "time",
    "level",
    "logger",
    "event",
    "message",
    "process",
    "thread",
    "error",
    "bell",
    "ring",
}


def calls() -> Iterator[ast.Call]:
    for folder in ("lifecycle", "workers"):
        for file in (ROOT / folder).rglob("*.py"):
            if file.name != "client.py":  # it runs in programs of others
                for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                    if isinstance(node, ast.Call) and node.args and says(node.func):
                        yield node


def says(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr in SAYING
    return isinstance(function, ast.Name) and function.id in SAYING


def words(first: ast.expr) -> Iterator[str]:
    if isinstance(first, ast.IfExp):
        yield from words(first.body)
        yield from words(first.orelse)
    elif isinstance(first, ast.Constant) and re.fullmatch(r"[a-z_]+", str(first.value)):
        yield str(first.value)


def named() -> set[str]:
    return {LIBRARY, *(name for call in calls() for name in words(call.args[0]))}


def documented() -> list[str]:
    named = r"^\| `([a-z_]+)` \| (?:debug|info|warning|error)\b"
    return re.findall(named, chapter("Logs"), re.MULTILINE)


def chapter(name: str) -> str:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    return text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_the_example_of_a_decision_has_the_fields_of_one() -> None:
    example = json.loads("".join(re.findall(r"^    (.*)$", chapter("Logs"), re.MULTILINE)))
    at = datetime(2026, 3, 2, tzinfo=UTC)
    step = Step("first", "potential", "deal", "order_paid", "event:shop|1", at, None, {}, 1)
    origins = {step.cause: decisions._origin(17, "0198f3c2a1b24c6d")}
    said = Said([decisions._moved(StepRow(0, 42, 1, step, at), origins)])
    record = logging.LogRecord("lifecycle.decisions", logging.INFO, "", 1, said, (), None)
    told = json.loads(JsonForm().format(record))
    assert list(told) == list(example)
    varying = {"time", "process", "thread"}
    assert {name: told[name] for name in told.keys() - varying} == {
        name: example[name] for name in example.keys() - varying
    }


def test_every_name_is_documented_once_and_every_documented_one_is_used() -> None:
    assert sorted(documented()) == sorted(named())


def test_no_field_is_called_like_what_every_line_has() -> None:
    fields = {keyword.arg for call in calls() for keyword in call.keywords}
    assert fields & (HEADS - {"error"}) == set()

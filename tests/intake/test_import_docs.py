"""docs/import.md says what a mapping may hold, and its example is one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle.intake import (
    local_time,
    mapping_file,
    mapping_format,
    properties,
    row_reader,
    rows,
    strict_json,
    values,
)
from lifecycle.policy.load import load
from lifecycle.policy.records import Choice, Record
from lifecycle.policy.reference import _table
from lifecycle.policy.shapes import Either, ListOf, MapOf, Shape
from lifecycle.resources import config_dir
from tests.conftest import ROOT

DOCUMENT = (ROOT / "docs" / "import.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- keys: ([^>]+) -->\n(.*?)<!-- end -->", re.DOTALL)


def records(shape: Shape[Any]) -> Iterator[Record]:
    """Every record that may stand somewhere in a shape."""
    if isinstance(shape, Record):
        yield shape
        for key in shape.keys:
            yield from records(key.shape)
    elif isinstance(shape, Choice):
        for kind in shape.kinds.values():
            yield from records(kind)
    elif isinstance(shape, Either | ListOf | MapOf):
        for inner in vars(shape).values():
            if isinstance(inner, Shape):
                yield from records(inner)


ALL = {record.what: record for record in records(mapping_format.MAPPING)}


def test_every_part_of_a_mapping_has_its_table() -> None:
    assert {match[1] for match in BLOCK.finditer(DOCUMENT)} == set(ALL)


@pytest.mark.parametrize("what", ALL)
def test_a_table_says_what_the_loader_reads(what: str) -> None:
    (written,) = (match[2] for match in BLOCK.finditer(DOCUMENT) if match[1] == what)
    assert written.strip() == _table(ALL[what]).strip()


def test_the_example_is_sound_under_the_shipped_policy(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    path = tmp_path / "my-shop.yaml"
    path.write_text(example, encoding="utf-8")
    policy = load(config_dir() / "policy.yaml").policy
    assert mapping_file.load(path, policy).warnings == ()


def test_every_code_that_is_listed_stands_in_the_code() -> None:
    told = set(
        re.findall(r"`([a-z]+(?:_[a-z]+)+)`", DOCUMENT[DOCUMENT.index("## What is refused") :])
    )
    modules = (local_time, properties, row_reader, rows, strict_json, values)
    code = "".join(Path(str(module.__file__)).read_text(encoding="utf-8") for module in modules)
    known = set(re.findall(r'"([a-z]+(?:_[a-z]+)+)"', code))
    stems = {
        f"{stem}_{end}" for stem in ("event_id", "customer_key") for end in ("required", "format")
    }
    assert told <= known | stems
    assert len(told) > 20

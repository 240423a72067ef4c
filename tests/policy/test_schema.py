"""The JSON Schema for editors says what the loader says, as far as a schema can."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from ruamel.yaml import YAML

from lifecycle.policy.format import POLICY
from lifecycle.policy.records import Choice, Record
from lifecycle.policy.schema import json_schema, schema_text
from lifecycle.resources import config_dir
from tests.policies import SCENARIO_POLICY, scenario_policy
from tests.policy.json_schema import faults
from tests.policy.said import MARK, MINIMAL, added, changed, said

SHIPPED = (config_dir() / "policy.yaml").read_text(encoding="utf-8")


def refused_by_schema(text: str) -> list[str]:
    schema = json_schema()
    return list(faults(_as_an_editor_reads(text), schema, schema))


def _as_an_editor_reads(text: str) -> Any:
    """YAML 1.2 as JSON values; keys are text, as JSON has no others."""
    return _plain(YAML(typ="safe", pure=True).load(text.replace(MARK, "")))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def test_the_published_schema_is_not_stale() -> None:
    """Made by `lifecycle policy schema`."""
    published = (config_dir() / "policy.schema.json").read_text(encoding="utf-8")
    assert published == schema_text()


def test_the_default_policy_tells_editors_where_its_schema_is() -> None:
    assert SHIPPED.startswith("# yaml-language-server: $schema=policy.schema.json\n")


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL,
        SCENARIO_POLICY,
        scenario_policy(less=True, care=True, quiet_when="orders_30d >= 2"),
        SHIPPED,
        changed("60d", "{fact: usual_gap, at_least: 1d, at_most: 9d, otherwise: 3d}"),
        changed("{transition: buys}", "{calendar: birthday, at: 08:30}"),
        changed("{transition: buys}", '{calendar: "12-25"}'),
        changed("{transition: buys}", '{calendar: "lunar 08-15"}'),
        changed("{transition: buys}", "{state: deal, stayed: 14d}"),
        changed("{transition: buys}", "{state: [deal, potential]}"),
        changed("{transition: buys}", "request"),
        changed("[email]", "[email], while: deal, unless: orders > 3, purpose: news, spread: 1h"),
        changed("[email]", "[email], cap: null, holdout: 0%, variants: {a: 1, b: 2}, priority: 0"),
        changed("[email]", "[email], cap: {most: 0, block: true}, cancel_on: [order_paid]"),
        changed(
            "version: 1",
            "version: 1\nsending:\n  caps: [{most: 3, within: 7d}, {most: 0, block: true, class: "
            'service}]\n  quiet: {since: "21:00", until: "09:00"}\n  working_days: {days: mon, '
            "holidays: CN, closed: 2026-02-16}\n  surge: {within: 5min}\nholdout: {all: 2%}",
        ),
        changed("{gap: order_paid}", "{gap: order_paid, quantile: 0.9}"),
        changed("[email]", "[email], steps: [0d, 3d]"),
        changed("deal: {}", "deal:"),
        changed("version: 1", "version: 1\nrates: {USD: {2025-01-01: 7.1, 2026-01-01: '7'}}"),
    ],
)
def test_the_schema_accepts_what_the_loader_accepts(text: str) -> None:
    assert said(text) == ()
    assert refused_by_schema(text) == []


@pytest.mark.parametrize(
    "text",
    [
        changed("[email]", "[email], dealy: 1h"),
        changed("channels: [email]", "class: service"),
        changed("timezone: Asia/Shanghai\n", ""),
        changed("version: 1", "version: 2"),
        changed("CNY", "RMB"),
        changed("tier: text", "tier: string"),
        changed("60d", "60"),
        changed("60d", "1.5M"),
        changed("60d", "0d"),
        changed("since: last_order_at, from: deal", "from: deal"),
        changed("after: 60d,", "on: order_paid, after: 60d,"),
        changed("on: order_paid, from", "from"),
        changed("{count: order_paid}", "{count: order_paid, last: order_paid}"),
        changed("{count: order_paid}", "{}"),
        changed("{last: order_paid}", "{last: order_paid, within: 30d}"),
        changed("order_paid.amount", "order_paid"),
        changed("[email]", "[email], delay: 1h, steps: [1d]"),
        changed("[email]", "[]"),
        changed("[email]", "[email, email]"),
        changed("{transition: buys}", "buys"),
        changed("{transition: buys}", "{calendar: birthday, at: '24:00'}"),
        changed("{initial: true}", "{initial: 'yes'}"),
        changed("name: buys", "name: First Purchase"),
        changed("{gap: order_paid}", "{gap: order_paid, quantile: 1.5}"),
        added("facts", "size: {count: order_paid}"),
        added("states", "any: {final: true}"),
        changed("version: 1", "version: 1\nrates: {USD: {}}"),
    ],
)
def test_the_schema_refuses_what_an_editor_can_see(text: str) -> None:
    assert any(not finding.warning for finding in said(text))
    assert refused_by_schema(text) != []


def test_every_key_is_described() -> None:
    """Editors show the description; the reference is written from it."""

    def keys(shape: object, path: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        if isinstance(shape, Record):
            for key in shape.keys:
                found.append((f"{path}/{key.name}", key.about))
                found += keys(key.shape, f"{path}/{key.name}")
        elif isinstance(shape, Choice):
            for name, record in shape.kinds.items():
                found += keys(record, f"{path}/{name}")
        else:
            for inner in vars(shape).values() if hasattr(shape, "__dict__") else ():
                found += keys(inner, path)
        return found

    described = keys(POLICY, "")
    assert len(described) > 50
    assert [path for path, about in described if not about.endswith(".")] == []


def test_the_schema_is_json_that_sorts_its_parts_the_same_every_time() -> None:
    assert json.loads(schema_text()) == json_schema()
    assert schema_text() == schema_text()

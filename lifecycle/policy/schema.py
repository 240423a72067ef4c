"""The JSON Schema of a policy file, for editors: completion, descriptions, errors while typing.

It comes from the same tables as the loader. Some things only the loader knows (whether a state is
declared, whether a guard has an answer), so `policy check` stays the judge.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from lifecycle.policy.format import POLICY
from lifecycle.policy.shapes import JsonSchema


def json_schema() -> JsonSchema:
    schema = POLICY.schema()
    seen = Counter(_key(part) for part in _titled(schema))
    shared = {part["title"]: part for part in _titled(schema) if seen[_key(part)] > 1}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_referring(schema, set(shared)),
        "description": "Stages of a customer's life, what moves her, and the messages on the way.",
        "$defs": {_slug(title): part for title, part in sorted(shared.items())},
    }


def schema_text() -> str:
    """As it is published in config/policy.schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _titled(schema: Any) -> list[JsonSchema]:
    """Every part that has a title of its own: those may be shared."""
    if isinstance(schema, list):
        return [part for item in schema for part in _titled(item)]
    if not isinstance(schema, dict):
        return []
    inner = [part for value in schema.values() for part in _titled(value)]
    return ([_bare(schema)] if isinstance(schema.get("title"), str) else []) + inner


def _referring(schema: Any, shared: set[str], *, top: bool = True) -> Any:
    """The same with shared parts named instead of repeated."""
    if isinstance(schema, list):
        return [_referring(item, shared, top=False) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if not top and schema.get("title") in shared:
        about = {key: schema[key] for key in _ABOUT if key in schema}
        return {"$ref": f"#/$defs/{_slug(schema['title'])}", **about}
    return {key: _referring(value, shared, top=False) for key, value in schema.items()}


_ABOUT = ("description", "default")  # said of the place, not of what stands there


def _bare(schema: JsonSchema) -> JsonSchema:
    return {key: value for key, value in schema.items() if key not in _ABOUT}


def _slug(title: str) -> str:
    return re.sub(r"[^a-z]+", "_", title.lower())


def _key(schema: JsonSchema) -> str:
    return json.dumps(schema, sort_keys=True)

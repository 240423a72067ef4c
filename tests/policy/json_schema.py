"""As much of JSON Schema (draft 2020-12) as the schema of policies uses; anything else is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
SAID_ONLY = {"$schema", "$defs", "title", "description", "default", "examples"}
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "number": (int, float),
    "integer": int,
    "null": type(None),
}


def faults(value: Any, schema: Schema, root: Schema, where: str = "") -> Iterator[str]:
    """Where and by which keyword the value is refused."""
    for keyword, wanted in schema.items():
        if keyword not in SAID_ONLY:
            yield from _fault(keyword, wanted, value, schema, root, where)


def _fits(value: Any, schema: Schema, root: Schema) -> bool:
    return not list(faults(value, schema, root))


def _fault(
    keyword: str, wanted: Any, value: Any, schema: Schema, root: Schema, where: str
) -> Iterator[str]:
    said = [f"{where or '/'}: {keyword}"]
    match keyword:
        case "$ref":
            yield from faults(value, root["$defs"][wanted.removeprefix("#/$defs/")], root, where)
        case "type":
            kinds = wanted if isinstance(wanted, list) else [wanted]
            right = any(isinstance(value, TYPES[kind]) for kind in kinds)
            wrong_bool = isinstance(value, bool) and "boolean" not in kinds
            yield from [] if right and not wrong_bool else said
        case "properties":
            for name, item in value.items() if isinstance(value, dict) else ():
                if name in wanted:
                    yield from faults(item, wanted[name], root, f"{where}/{name}")
        case "additionalProperties":
            for name, item in value.items() if isinstance(value, dict) else ():
                if name in schema.get("properties", {}):
                    continue
                if wanted is False:
                    yield f"{where}/{name}: {keyword}"
                else:
                    yield from faults(item, wanted, root, f"{where}/{name}")
        case "propertyNames":
            for name in value if isinstance(value, dict) else ():
                yield from faults(name, wanted, root, f"{where}/{name}")
        case "required":
            missing = [n for n in wanted if isinstance(value, dict) and n not in value]
            yield from said if missing else []
        case "items":
            for number, item in enumerate(value if isinstance(value, list) else ()):
                yield from faults(item, wanted, root, f"{where}/{number}")
        case "anyOf":
            yield from [] if any(_fits(value, one, root) for one in wanted) else said
        case "oneOf":
            yield from [] if sum(_fits(value, one, root) for one in wanted) == 1 else said
        case "not":
            yield from said if _fits(value, wanted, root) else []
        case "const":
            yield from [] if value == wanted else said
        case "enum":
            yield from [] if value in wanted else said
        case "pattern":
            wrong = isinstance(value, str) and not re.search(wanted, value)
            yield from said if wrong else []
        case "uniqueItems":
            texts = [repr(item) for item in value] if isinstance(value, list) else []
            yield from said if len(set(texts)) < len(texts) else []
        case "minItems" | "minProperties" | "minLength":
            yield from said if isinstance(value, (list, dict, str)) and len(value) < wanted else []
        case "maxItems" | "maxProperties" | "maxLength":
            yield from said if isinstance(value, (list, dict, str)) and len(value) > wanted else []
        case "exclusiveMinimum":
            yield from said if isinstance(value, (int, float)) and value <= wanted else []
        case "minimum":
            yield from said if isinstance(value, (int, float)) and value < wanted else []
        case "maximum":
            yield from said if isinstance(value, (int, float)) and value > wanted else []
        case _:
            raise AssertionError(f"{keyword} is not known here: teach it, or leave it out")

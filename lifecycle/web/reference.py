"""The reference for those who post and read: one page made from the OpenAPI document, by ourselves.

No script, no foreign assets: it opens without a network and under the strictest content policy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from lifecycle.web.access import SCHEMES, Open, needs
from lifecycle.web.problems import TITLES
from lifecycle.web.schema import PROBLEM

_METHODS = ("get", "post", "put", "patch", "delete")
_BY_FRAMEWORK = {"description": "Validation Error"}  # what it says of a 422 where we say nothing
_PROBLEM_REF = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def router(app: FastAPI) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]

    @routes.get("/", openapi_extra=needs(Open.TO_EVERY_KEY))
    def start() -> RedirectResponse:
        """Where people who type the bare address look first. 307: something else may stand here later."""
        return RedirectResponse("/docs", status_code=307)

    @routes.get("/openapi.json", openapi_extra=needs(Open.TO_EVERY_KEY))
    def document() -> JSONResponse:
        return JSONResponse(app.openapi())

    @routes.get("/docs", openapi_extra=needs(Open.TO_EVERY_KEY))
    def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()))

    @routes.get("/docs/style.css", openapi_extra=needs(Open.TO_EVERY_KEY))
    def style() -> Response:
        sheet = files("lifecycle.web") / "static" / "reference.css"
        return Response(sheet.read_bytes(), media_type="text/css")

    return routes


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with our problem document wherever a request can be refused."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, summary=app.summary, version=app.version, routes=app.routes
        )
        schemas = document["components"]["schemas"]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        schemas["Problem"] = PROBLEM
        document["components"]["securitySchemes"] = SCHEMES
        for _, _, operation in _operations(document):
            _use_problems(operation)
        app.openapi_schema = document
    return app.openapi_schema


def _use_problems(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if responses.get("422", _BY_FRAMEWORK)["description"] == _BY_FRAMEWORK["description"] and (
        operation.get("parameters")
    ):
        responses["422"] = {"description": "a parameter cannot be used", "content": _PROBLEM_REF}
    for status, described in responses.items():
        if not status.startswith("2"):
            described["content"] = _PROBLEM_REF
    responses["default"] = {"description": "any other refusal", "content": _PROBLEM_REF}


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield method.upper(), path, methods[method]


def page(document: Mapping[str, Any]) -> str:
    """The whole document as one page of HTML."""
    operations = list(_operations(document))
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(document['info']['title'])}: HTTP reference</title>",
            '<link rel="stylesheet" href="/docs/style.css"></head><body><main>',
            f"<h1>{escape(document['info']['title'])}</h1>",
            f"<p>{escape(document['info'].get('summary', ''))} Version ",
            f'{escape(document["info"]["version"])}. For tools: <a href="/openapi.json">',
            "openapi.json</a>.</p><nav><ul>",
            *(_entry(method, path, operation) for method, path, operation in operations),
            '<li><a href="#problems">Problems</a></li></ul></nav>',
            *(_operation(document, method, path, op) for method, path, op in operations),
            _problems(),
            "</main></body></html>",
        )
    )


def _prose(text: str) -> str:
    """The one mark of Markdown that descriptions use: what stands in backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _anchor(method: str, path: str) -> str:
    return escape(f"{method.lower()}{path.replace('/', '-').replace('{', '').replace('}', '')}")


def _entry(method: str, path: str, operation: Mapping[str, Any]) -> str:
    return (
        f'<li><a href="#{_anchor(method, path)}"><code>{method} {escape(path)}</code></a>'
        f" {_prose(operation.get('summary', ''))}</li>"
    )


def _operation(
    document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]
) -> str:
    return "".join(
        (
            f'<section id="{_anchor(method, path)}"><h2>{_prose(operation.get("summary", path))}</h2>',
            f"<p><code>{method} {escape(path)}</code></p>",
            *(f"<p>{_prose(part)}</p>" for part in operation.get("description", "").split("\n\n")),
            _parameters(operation.get("parameters", ())),
            _body(document, operation),
            _responses(document, operation["responses"]),
            "</section>",
        )
    )


def _parameters(parameters: Any) -> str:
    rows = [
        (
            f"<code>{escape(each['name'])}</code>",
            escape(each["in"]),
            escape(_kind(each.get("schema", {}))),
            _prose(each.get("description", "")),
        )
        for each in parameters
    ]
    return _table("Parameters", ("name", "where", "type", "meaning"), rows)


def _body(document: Mapping[str, Any], operation: Mapping[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    schema = _resolved(document, content.get("application/json", {}).get("schema", {}))
    if not schema:
        return ""
    event = schema["properties"].get("events", {}).get("items", {})
    example = json.dumps(schema.get("example", {}), indent=2, ensure_ascii=False)
    return (
        f"<h3>Body</h3><pre>{escape(example)}</pre>"
        + _fields("Fields of the body", schema)
        + (_fields("Fields of an event", event) if event else "")
    )


def _responses(document: Mapping[str, Any], responses: Mapping[str, Any]) -> str:
    rows = []
    fields = ""
    for status, response in responses.items():
        rows.append((f"<code>{escape(status)}</code>", _prose(response.get("description", ""))))
        content = response.get("content", {})
        schema = _resolved(document, content.get("application/json", {}).get("schema", {}))
        if schema:
            fields += _fields("Fields of the answer", schema)
    return _table("Answers", ("status", "when"), rows) + fields


def _fields(title: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (
            f"<code>{escape(name)}</code>" + (" *" if name in required else ""),
            escape(_kind(each)),
            _prose(each.get("description", "")),
        )
        for name, each in schema.get("properties", {}).items()
    ]
    return _table(title, ("name", "type", "meaning"), rows)


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return " or ".join(_kind(each) for each in schema[choice])
    if "enum" in schema or "const" in schema:
        return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    kind = str(schema.get("type", "any"))
    return f"array of {_kind(schema.get('items', {}))}" if kind == "array" else kind


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = document["components"]["schemas"][_kind(schema)]
    return found


def _problems() -> str:
    rows = [
        (f'<code id="problem-{escape(code)}">{escape(code)}</code>', escape(title))
        for code, title in TITLES.items()
    ]
    text = (
        "<p>What is refused is answered with an RFC 9457 problem document. Its <code>code</code> is"
        " stable and stands in this table; <code>pointer</code> says where, <code>got</code> what"
        " was found, <code>expected</code> what is allowed. What is refused changes nothing.</p>"
    )
    table = _table("Codes", ("code", "title"), rows)
    return f'<section id="problems"><h2>Problems</h2>{text}{table}</section>'


def _table(title: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Cells are HTML already."""
    if not rows:
        return ""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h3>{title}</h3><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

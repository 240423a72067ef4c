"""What comes out when a template is filled in? Used by the child process only, see `renderer`.

A press keeps the templates that it compiled. It trusts nothing: what it is given goes through the guard
again, whoever has looked at it before.
"""

from __future__ import annotations

import traceback
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from jinja2 import Template, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from markupsafe import Markup

from lifecycle.outreach.templates.codec import decoded
from lifecycle.outreach.templates.filters import Exceeded, Place, WrongValue
from lifecycle.outreach.templates.guard import parsed
from lifecycle.outreach.templates.mail import BadMail, html_of
from lifecycle.outreach.templates.part import Part, TemplateFailed
from lifecycle.outreach.templates.plain_text import text_of_mjml
from lifecycle.outreach.templates.sandbox import FILE_STRIDE, FILENAME, Fields, Sandbox, shifted
from lifecycle.outreach.templates.words import EXCEEDED

KEPT = 300  # compiled templates

_TITLED = ("subject", "title", "preheader")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything that a template is made of, as it travels."""

    body: Part
    parts: Mapping[str, Part]
    layout: Part | None
    partials: Mapping[str, Part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    text: str
    html: str | None = None
    subject: str | None = None  # or the title of a task
    preheader: str | None = None


class Unknown(Exception):
    """The template is not among those that are kept: it has to be sent along."""


class Refused(Exception):
    """The guard does not let it through."""


class _Telling:
    """Stands where a report does: what would be a finding ends it here."""

    def error(self, place: Any, code: str, message: str) -> NoReturn:
        raise Refused(f"line {place[0]}: {code}: {message}")


@dataclass(frozen=True, slots=True)
class _Compiled:
    sandbox: Sandbox
    template: Template
    files: tuple[str, ...]  # by the number in a line
    lines: tuple[int, ...]  # at which their text begins


class Press:
    def __init__(self) -> None:
        self._markup = Sandbox(markup=True)
        self._text = Sandbox(markup=False)
        self._kept: OrderedDict[str, Mapping[str, _Compiled]] = OrderedDict()

    def fill(
        self,
        key: str,
        sources: Sources | None,
        context: Any,
        language: str,
        zone: str,
        currency: str,
    ) -> Filled | TemplateFailed:
        """`key` names the template from call to call; raises Unknown where its sources are needed."""
        place = Place(language, ZoneInfo(zone), currency)
        try:
            compiled = self._compiled(key, sources)
        except Refused as error:
            assert sources is not None
            return TemplateFailed(code="not_allowed", where=sources.body.file, detail=str(error))
        try:
            return self._filled(compiled, decoded(context, Fields), place)
        except _Failed as failed:
            return failed.told

    def _compiled(self, key: str, sources: Sources | None) -> Mapping[str, _Compiled]:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if sources is None:
            raise Unknown
        made = {name: self._made(part, sources.partials) for name, part in sources.parts.items()}
        made["body"] = self._made(sources.body, sources.partials)
        if sources.layout:
            made["layout"] = self._made(sources.layout, sources.partials)
        self._kept[key] = made
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return made

    def _made(self, part: Part, partials: Mapping[str, Part]) -> _Compiled:
        sandbox = self._markup if part.markup else self._text
        ordered = list(partials)

        def partial_of(name: str) -> nodes.Template:
            if name not in partials:
                raise Refused(f"no partial {name}")
            number = 1 + ordered.index(name)
            return shifted(_tree(sandbox, partials[name], includes=False), number)

        template = sandbox.compiled(_tree(sandbox, part, includes=True), partial_of)
        used = [part, *(partials[name] for name in ordered)]
        return _Compiled(
            sandbox, template, tuple(each.file for each in used), tuple(each.line for each in used)
        )

    def _filled(self, made: Mapping[str, _Compiled], context: Fields, place: Place) -> Filled:
        for sandbox in (self._markup, self._text):
            sandbox.begin(place)
        titles = {n: _ran(made[n], context) for n in _TITLED if n in made}
        body = _ran(made["body"], context)
        subject = titles.get("subject", titles.get("title"))
        if "layout" not in made:
            return Filled(text=body.strip(), subject=subject)
        around = {**context, "subject": "", "preheader": "", **titles}
        around["body"] = Markup(body)  # noqa: S704 - its values were escaped
        mjml = _ran(made["layout"], around)
        try:
            html, text = html_of(mjml), text_of_mjml(mjml)
        except BadMail as error:
            detail = f"{error} ({made['layout'].files[0]} is around it)"
            raise _Failed(error.code, made["body"].files[0], detail) from error
        return Filled(text=text, html=html, subject=subject, preheader=titles.get("preheader"))


def _tree(sandbox: Sandbox, part: Part, *, includes: bool) -> nodes.Template:
    tree = parsed(sandbox, part, _Telling(), includes=includes)  # type: ignore[arg-type]
    assert tree is not None  # or it would have been refused
    return tree.root


class _Failed(Exception):
    def __init__(self, code: str, where: str, detail: str) -> None:
        super().__init__(detail)
        self.told = TemplateFailed(code=code, where=where, detail=detail)


def _ran(compiled: _Compiled, context: Mapping[str, Any]) -> str:
    try:
        return compiled.sandbox.filled(compiled.template, context)
    except UndefinedError as error:
        raise _Failed("missing_variable", _where(compiled, error), str(error)) from error
    except WrongValue as error:
        raise _Failed("wrong_value", _where(compiled, error), str(error)) from error
    except SecurityError as error:
        raise _Failed("not_allowed", _where(compiled, error), str(error)) from error
    except Exceeded as error:
        raise _Failed("template_limit", _where(compiled, error), str(error)) from error
    except (MemoryError, RecursionError) as error:
        why = f"{EXCEEDED} ({type(error).__name__})"
        raise _Failed("template_limit", _where(compiled, error), why) from error
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # what a filter makes of a strange value; its own words could quote the value
        why = f"a value does not fit here: {type(error).__name__}"
        raise _Failed("wrong_value", _where(compiled, error), why) from error


def _where(compiled: _Compiled, error: BaseException) -> str:
    """file:line of the template that was running."""
    numbers = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == FILENAME
    ]
    if not numbers:
        return compiled.files[0]
    file, line = divmod(compiled.template.get_corresponding_lineno(numbers[-1]), FILE_STRIDE)
    return f"{compiled.files[file]}:{compiled.lines[file] + line - 1}"

"""Is every message of a policy written, in every language, and would it come out well?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from jinja2 import Environment

from lifecycle.domain.policy import MessageClass, OutreachRule, Policy
from lifecycle.errors import Finding
from lifecycle.outreach.letter import Rendered
from lifecycle.outreach.templates.catalogue import Catalogue, Template
from lifecycle.outreach.templates.guard import parsed
from lifecycle.outreach.templates.mail import CLIPPED_AT
from lifecycle.outreach.templates.markup import problems_of
from lifecycle.outreach.templates.names import Missing, Variables, supplied, unknown_names
from lifecycle.outreach.templates.part import Part, TemplateFailed
from lifecycle.outreach.templates.renderer import Renderer
from lifecycle.outreach.templates.sample import UNSUBSCRIBE, sample_of
from lifecycle.outreach.templates.sms import Segments, segments_of
from lifecycle.outreach.templates.words import IN_LAYOUT
from lifecycle.policy.report import Place, Report

SMS, TASK = "sms", "task"
NO_TEXT = "no_text"
MOST_SEGMENTS = 3  # before it is said that a text is long
_STRANGE_FEW = 3  # characters of which it is said that they cost a short message more
_WHERE = re.compile(r"(.*):(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """How large one template comes out, for the sample customer."""

    path: str
    bytes: int
    segments: Segments | None  # of a short message


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    findings: tuple[Finding, ...]  # in the order of files and lines
    sizes: tuple[Sized, ...]


def check(
    catalogue: Catalogue,
    policy: Policy,
    renderer: Renderer,
    messages: Sequence[str] = (),
    *,
    missing: Missing | None = None,
) -> Checked:
    """Everything that is wrong with the templates of a policy's rules, or of those that are named.

    With `missing`, it is said how many customers have no value for a variable that wants a default.
    """
    checker = _Checker(catalogue, policy, renderer, missing)
    rules = [rule for rule in policy.outreach if not messages or rule.name in messages]
    for rule in rules:
        checker.rule(rule)
    broken = [f for f in catalogue.broken() if not messages or _concerns(f, messages)]
    orphans = [] if messages else _orphans(catalogue, policy)
    found = dict.fromkeys([*broken, *orphans, *checker.findings])
    ordered = sorted(found, key=lambda f: (f.file, f.line, f.column, f.code))
    return Checked(findings=tuple(ordered), sizes=tuple(checker.sizes.values()))


def unwritten(catalogue: Catalogue, policy: Policy) -> tuple[Finding, ...]:
    """A warning for each rule that has a channel without any text; `check` says the same as errors.

    With the folder of the templates before each place, as whoever asks may not have named any.
    """
    found = ((rule, tuple(_without_text(catalogue, rule))) for rule in policy.outreach)
    return tuple(
        Finding(
            file=f"{catalogue.folder / rule.name}/",
            line=1,
            column=1,
            code=NO_TEXT,
            message=_no_text(" or ".join(channels)),
            warning=True,
        )
        for rule, channels in found
        if channels
    )


def _without_text(catalogue: Catalogue, rule: OutreachRule) -> Iterator[str]:
    """The channels of a rule without any text, and of others the steps and variants without one."""
    for channel in rule.channels:
        places = list(_places(rule))
        without = [
            _which(rule, *place)
            for place in places
            if not catalogue.languages_of(rule.name, *place, channel)
        ]
        if len(without) == len(places):
            yield channel
        else:
            yield from (f"{channel}{which}" for which in without)


def _places(rule: OutreachRule) -> Iterator[tuple[int, str | None]]:
    """Each step, in each variant."""
    for step in range(1, len(rule.delays) + 1):
        for variant in rule.variants or [None]:
            yield step, variant


def _which(rule: OutreachRule, step: int, variant: str | None) -> str:
    of_series = f", step {step}" if len(rule.delays) > 1 else ""
    return of_series + (f", {variant}" if variant else "")


def _no_text(channel: str) -> str:
    return f"no text for {channel}: the message cannot go there"


class _Checker:
    def __init__(
        self, catalogue: Catalogue, policy: Policy, renderer: Renderer, missing: Missing | None
    ) -> None:
        self._catalogue = catalogue
        self._policy = policy
        self._renderer = renderer
        self._missing = missing
        self._env = Environment(autoescape=True, optimized=False)
        self._languages = {each.language for each in catalogue.all()}
        self.findings: list[Finding] = []
        self.sizes: dict[str, Sized] = {}

    def rule(self, rule: OutreachRule) -> None:
        variables = supplied(self._policy, rule)
        for channel in rule.channels:
            for step, variant in _places(rule):
                self._text(rule, step, variant, channel)
                for template in self._templates(rule, step, variant, channel):
                    self._named(template, variables)
                    self._rendered(rule, template, step, variant)

    def _templates(
        self, rule: OutreachRule, step: int, variant: str | None, channel: str
    ) -> Iterator[Template]:
        for language in sorted(self._catalogue.languages_of(rule.name, step, variant, channel)):
            template = self._catalogue.find(rule.name, step, variant, channel, [language])
            if template:
                yield template

    def _text(self, rule: OutreachRule, step: int, variant: str | None, channel: str) -> None:
        languages = self._catalogue.languages_of(rule.name, step, variant, channel)
        which = _which(rule, step, variant)
        if not languages:
            self._add(f"{rule.name}/", NO_TEXT, _no_text(f"{channel}{which}"))
        for language in sorted(self._languages - languages) if languages else ():
            instead = next((each for each in ("en", "zh") if each in languages), min(languages))
            told = f"language {language} missing for {channel}{which} → falls back to {instead}"
            self._add(f"{rule.name}/", "no_language", told, warning=True)

    def _named(self, template: Template, variables: Variables) -> None:
        inside = {**variables, **dict.fromkeys(IN_LAYOUT, variables["now"])}
        report = Report(template.path)
        body = parsed(self._env, template.body, report, includes=True)
        bound = body.bound if body else frozenset()
        for part in [template.body, *template.parts.values(), *template.partials.values()]:
            self._names_of(part, bound, variables, report)
        if template.layout:
            self._names_of(template.layout, frozenset(), inside, report)
        for part in _parts(template):
            if part.markup:
                self.findings += problems_of(part)

    def _names_of(
        self, part: Part, bound: frozenset[str], variables: Variables, report: Report
    ) -> None:
        if tree := parsed(self._env, part, report, includes=True):
            self.findings += unknown_names(tree, bound, variables, self._missing)

    def _rendered(
        self, rule: OutreachRule, template: Template, step: int, variant: str | None
    ) -> None:
        sample = sample_of(self._policy, rule, template.language, step=step, variant=variant)
        made = self._renderer.render(
            template,
            sample,
            language=template.language,
            zone=self._policy.timezone,
            currency=self._policy.currency,
        )
        if isinstance(made, TemplateFailed):
            self._failed(template, made)
        else:
            self._looked_at(rule, template, made)

    def _failed(self, template: Template, failed: TemplateFailed) -> None:
        where = _WHERE.fullmatch(failed.where)
        file, line = (where.group(1), int(where.group(2))) if where else (failed.where, 1)
        self._add(file or template.path, failed.code, failed.detail, line=line)

    def _looked_at(self, rule: OutreachRule, template: Template, made: Rendered) -> None:
        size = len((made.html or made.text).encode())
        segments = segments_of(made.text) if template.channel == SMS else None
        self.sizes[template.path] = Sized(path=template.path, bytes=size, segments=segments)
        marketing = rule.message_class is MessageClass.MARKETING
        if made.html is not None and marketing and UNSUBSCRIBE not in made.html:
            told = "marketing by e-mail needs a link to unsubscribe: {{ links.unsubscribe }}"
            self._add(template.path, "no_unsubscribe", told)
        if template.channel == TASK and made.subject is None:
            self._add(template.path, "no_title", "a task needs a title in its front matter")
        if size > CLIPPED_AT:
            told = f"{size:,} bytes: Gmail cuts off what is behind {CLIPPED_AT:,}"
            self._add(template.path, "clipped", told, warning=True)
        if segments:
            self._counted(template, made.text, segments)

    def _counted(self, template: Template, text: str, segments: Segments) -> None:
        told = f"{segments.count} short messages ({segments.encoding}, {segments.places} places)"
        if segments.count > MOST_SEGMENTS:
            self._add(template.path, "long_sms", told, warning=True)
        without = segments_of("".join(c for c in text if c not in segments.strange))
        if len(segments.strange) <= _STRANGE_FEW and without.count < segments.count:
            why = (
                f"{' '.join(segments.strange)} is not in GSM-7: {told}; without it {without.count}"
            )
            self._add(template.path, "dear_sms", why, warning=True)

    def _add(
        self, file: str, code: str, message: str, *, line: int = 1, warning: bool = False
    ) -> None:
        place = Place(line, 1)
        self.findings.append(
            Finding(
                file=file,
                line=place.line,
                column=place.column,
                code=code,
                message=message,
                warning=warning,
            )
        )


def _parts(template: Template) -> Iterable[Part]:
    yield template.body
    yield from template.partials.values()
    if template.layout:
        yield template.layout


def _concerns(finding: Finding, messages: Sequence[str]) -> bool:
    folder = finding.file.split("/", maxsplit=1)[0]
    return folder in messages or folder.startswith("_")


def _orphans(catalogue: Catalogue, policy: Policy) -> Iterator[Finding]:
    rules = {rule.name for rule in policy.outreach}
    for message in sorted({each.message for each in catalogue.all()} - rules):
        yield Finding(
            file=f"{message}/",
            line=1,
            column=1,
            code="no_rule",
            message="no outreach rule of the policy has this name; these templates are never sent",
            warning=True,
        )

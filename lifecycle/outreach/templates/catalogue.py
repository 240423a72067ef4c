"""Which template belongs to a message? The folder of templates, kept in memory and always up to date.

What is changed on disk counts within a second. A file that has become wrong never takes the place of
the last one that was right: that one goes on being used, and what is wrong is told once. Where none was
ever right, as after a restart, there is no text: nobody gets another language instead.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from jinja2 import Environment

from lifecycle.errors import Finding
from lifecycle.outreach.templates.guard import Tree, parsed, place_in
from lifecycle.outreach.templates.names import Variables, unknown_names
from lifecycle.outreach.templates.part import Part
from lifecycle.outreach.templates.parts import (
    LAYOUTS,
    MAIL,
    PARTIALS,
    TEXT,
    File,
    Name,
    named,
    read,
)
from lifecycle.outreach.templates.words import IN_LAYOUT
from lifecycle.policy.report import START, Place, Report, unlisted

FALLBACKS = ("en", "zh")  # the languages in which everybody is written to at last
DOCUMENTS = (".md",)  # may lie between the templates, and are none

Tell = Callable[[Finding], None]


class Names(Protocol):
    """What messages may name, under a policy."""

    def version(self) -> int:
        """Another one for another policy."""

    def of(self, message: str) -> Variables | None:
        """None: the policy has no rule of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Everything that one message says on one channel in one language, checked, not yet filled in."""

    message: str
    step: int | None
    variant: str | None
    channel: str
    language: str
    path: str  # below the folder
    hash: str  # SHA-256, in hex, of this file, its layout and its partials
    body: Part
    parts: Mapping[str, Part]  # subject, preheader, title, where the file has them
    layout: Part | None  # of an e-mail
    partials: Mapping[str, Part]  # those that it includes, by name
    sender: str | None = None

    @property
    def is_mail(self) -> bool:
        return self.layout is not None


@dataclass(frozen=True, slots=True)
class _Draft:
    file: File
    trees: Mapping[str, Tree]  # body, and the parts of the front matter


@dataclass(slots=True)
class _Read:
    """A file as it is now, what is wrong with it, and the last one that was right."""

    stamp: tuple[int, int, int]  # when it was written, size, inode
    now: _Draft | None = None
    right: _Draft | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def wrong(self) -> bool:
        return any(not finding.warning for finding in self.findings)


_Place = tuple[str, int | None, str | None, str]
"""Message, step, variant and channel, as folders and files name them."""


@dataclass(frozen=True, slots=True)
class _Placed:
    templates: dict[_Place, dict[str, Template]]  # by language, in small letters
    unusable: dict[_Place, dict[str, str]]  # likewise, where no file was ever right: the language


class Catalogue:
    """The templates of one folder; safe to use from several threads."""

    def __init__(
        self,
        folder: Path,
        *,
        on_broken: Tell | None = None,
        look_every: float = 1.0,
        names: Names | None = None,
    ) -> None:
        """With `names` a file that names what the policy does not have is as wrong as any other."""
        self.folder = folder
        self._names = names
        self._version = 0  # of these names, by which was assembled last
        self._tell = on_broken
        self._every = look_every  # seconds of real time
        self._looked = float("-inf")
        self._lock = threading.Lock()
        self._env = Environment(autoescape=True, optimized=False)
        self._read: dict[str, _Read] = {}
        self._templates: dict[str, Template] = {}
        self._placed = _Placed({}, {})
        self._broken: tuple[Finding, ...] = ()
        self._told: frozenset[Finding] = frozenset()

    def find(
        self,
        message: str,
        step: int | None,
        variant: str | None,
        channel: str,
        languages: Sequence[str],
    ) -> Template | None:
        """The most specific folder that has the channel, in the first of her languages that it has.

        None: there is none, or the one that it would be has a file that was never right.
        """
        placed = self._fresh()
        for folder in _folders(step, variant):
            place = (message, *folder, channel)
            there, wrong = placed.templates.get(place, {}), placed.unusable.get(place, {})
            for language in _tried(languages) if there or wrong else ():
                if language in there or language in wrong:
                    return there.get(language)
            if there or wrong:
                return next(iter(there.values()), None)
        return None

    def has_unusable(self, message: str, channel: str) -> bool:
        """Whether a text of the message for the channel has a file that was never right."""
        return any(each[0] == message and each[3] == channel for each in self._fresh().unusable)

    def channels_of(
        self, message: str, step: int | None = None, variant: str | None = None
    ) -> frozenset[str]:
        """The channels for which there is a text, in whatever language."""
        wanted = [(message, *place) for place in _folders(step, variant)]
        return frozenset(place[3] for place in self._fresh().templates if place[:3] in wanted)

    def languages_of(
        self, message: str, step: int | None, variant: str | None, channel: str
    ) -> frozenset[str]:
        """The languages that `find` would choose from, whether their files are right or not."""
        placed = self._fresh()
        for folder in _folders(step, variant):
            place = (message, *folder, channel)
            there = placed.templates.get(place, {})
            if place in placed.unusable or there:
                right = {template.language for template in there.values()}
                return frozenset(right.union(placed.unusable.get(place, {}).values()))
        return frozenset()

    def all(self) -> tuple[Template, ...]:
        """In the order of their paths."""
        self._fresh()
        return tuple(self._templates[path] for path in sorted(self._templates))

    def broken(self) -> list[Finding]:
        """Everything that is wrong with the files as they are now, in their order."""
        self._fresh()
        return list(self._broken)

    # -- looking at the folder ------------------------------------------------------------------

    def _fresh(self) -> _Placed:
        now = time.monotonic()
        with self._lock:
            if now - self._looked >= self._every:
                changed = self._look() | self._has_other_names()
                self._looked = now
                if changed:
                    self._assemble()
            return self._placed

    def _has_other_names(self) -> bool:
        """Whether another policy is in force than when it was looked last."""
        version = self._names.version() if self._names else 0
        changed, self._version = version != self._version, version
        return changed

    def _look(self) -> bool:
        """Whether anything was added, changed or taken away."""
        stamps = dict(_files(self.folder))
        gone = self._read.keys() - stamps.keys()
        for path in gone:
            del self._read[path]
        changed = [
            p for p, stamp in stamps.items() if p not in self._read or self._read[p].stamp != stamp
        ]
        for path in changed:
            self._take(path, stamps[path])
        return bool(gone or changed)

    def _take(self, path: str, stamp: tuple[int, int, int]) -> None:
        last = self._read.get(path) or _Read(stamp)
        self._read[path] = last
        last.stamp, last.now = stamp, None
        name = named(PurePosixPath(path))
        if isinstance(name, str):
            last.findings = (_finding(path, START, "bad_name", name),)
            return
        try:
            content = (self.folder / path).read_bytes()
        except OSError as error:
            why = f"{error.strerror or error}: the last one that could be read is used"
            last.findings = (_finding(path, START, "unreadable_file", why),)
            return
        file, findings = read(name, content)
        trees, more = _trees(self._env, file) if file else ({}, ())
        last.findings = (*findings, *more)
        last.now = _Draft(file, trees) if file else None
        if not last.wrong:
            last.right = last.now

    def _assemble(self) -> None:
        """The templates that can be made of what was read; where one cannot, the last one stays."""
        broken = [finding for each in self._read.values() for finding in each.findings]
        templates: dict[str, Template] = {}
        unusable: list[Name] = []
        for path, each in self._read.items():
            if path.startswith((f"{LAYOUTS}/", f"{PARTIALS}/")):
                continue
            made, findings = self._made(each.now) if each.now else (None, ())
            broken.extend(findings)
            if each.wrong or made is None:
                made = self._templates.get(path)
            if made:
                templates[path] = made
            elif not isinstance(name := named(PurePosixPath(path)), str):
                unusable.append(name)
        self._templates = templates
        self._placed = _placed(templates.values(), unusable)
        self._broken = tuple(sorted(set(broken), key=lambda f: (f.file, f.line, f.column, f.code)))
        self._say()

    def _say(self) -> None:
        for finding in self._broken if self._tell else ():
            if finding not in self._told:
                self._tell(finding)  # type: ignore[misc]
        self._told = frozenset(self._broken)

    def _made(self, draft: _Draft) -> tuple[Template | None, tuple[Finding, ...]]:
        """The template of a file with its layout and partials; None with what is wrong between them."""
        file, trees = draft.file, draft.trees
        report = Report(file.name.path)
        layout = self._layout(file, report) if file.name.ending == MAIL else None
        including = [trees.get("body"), layout.trees["body"] if layout else None]
        partials = self._partials(file, [tree for tree in including if tree], report)
        variables = self._names.of(file.name.message or "") if self._names else None
        unknown = _names(draft, layout, partials.values(), variables)
        findings = [*report.findings(), *unknown]
        if any(not finding.warning for finding in findings):
            return None, tuple(findings)
        files = {name: partial.file for name, partial in partials.items()}
        return _template(file, layout.file if layout else None, files), tuple(findings)

    def _layout(self, file: File, report: Report) -> _Draft | None:
        held = self._chosen(LAYOUTS, file.layout, file.name.language, MAIL)
        if held is None:
            known = self._shared(LAYOUTS)
            report.error(file.layout_place, "no_layout", unlisted("layout", file.layout, known))
        return held

    def _partials(self, file: File, trees: Iterable[Tree], report: Report) -> dict[str, _Draft]:
        partials: dict[str, _Draft] = {}
        for tree in trees:
            for name, line in tree.includes:
                if held := self._chosen(PARTIALS, name, file.name.language, file.name.ending):
                    partials[name] = held
                    continue
                at = place_in(tree.part, line, name) if tree.part.file == file.name.path else START
                report.error(at, "no_partial", unlisted("partial", name, self._shared(PARTIALS)))
        return partials

    def _shared(self, folder: str) -> list[str]:
        """The names of all layouts, or of all partials."""
        drafts = [each.right for path, each in self._read.items() if path.startswith(f"{folder}/")]
        return sorted({draft.file.name.kind for draft in drafts if draft})

    def _chosen(self, folder: str, kind: str, language: str | None, ending: str) -> _Draft | None:
        """In the language, in its base language, or in none."""
        stems = [f"{kind}.{each}" for each in _bases(language or "")] + [kind]
        by_lower = {path.lower(): path for path in self._read}
        for stem in stems:
            each = self._read.get(by_lower.get(f"{folder}/{stem}.{ending}".lower(), ""))
            if each and each.right:
                return each.right
        return None


def _files(folder: Path) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Every template file below the folder, and by what a change of it is seen."""
    beginning = os.path.join(folder, "")  # noqa: PTH118
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            if name.startswith(".") or name.endswith(("~", *DOCUMENTS)):
                continue
            path = os.path.join(root, name)  # noqa: PTH118 - asked every second, of every file
            try:
                seen = os.stat(path)  # noqa: PTH116
            except OSError:
                continue  # it went while we looked
            below = path[len(beginning) :].replace(os.sep, "/")
            yield below, (seen.st_mtime_ns, seen.st_size, seen.st_ino)


def _names(
    draft: _Draft,
    layout: _Draft | None,
    partials: Iterable[_Draft],
    variables: Variables | None,
) -> list[Finding]:
    """What nothing gives a value to; that some customers have none is for `template check` to say."""
    bound = draft.trees["body"].bound if "body" in draft.trees else frozenset()
    asked = [(tree, frozenset[str]()) for tree in draft.trees.values()]
    asked += [(partial.trees["body"], bound) for partial in partials]
    asked += [(layout.trees["body"], frozenset(IN_LAYOUT))] if layout else []
    return [
        finding
        for tree, known in asked
        for finding in unknown_names(tree, known, variables)
        if not finding.warning
    ]


def _trees(env: Environment, file: File) -> tuple[dict[str, Tree], tuple[Finding, ...]]:
    report = Report(file.name.path)
    message = file.name.message is not None
    body_may_include = message or file.name.path.startswith(f"{LAYOUTS}/")
    trees = {}
    for key, part in {"body": file.body, **file.parts}.items():
        may = key == "body" and body_may_include
        if tree := parsed(env, part, report, includes=may):
            trees[key] = tree
    if message and file.name.ending == MAIL and "subject" not in file.parts:
        report.error(START, "no_subject", "an e-mail needs a subject in its front matter")
    if message and file.name.ending == TEXT and not file.body.text.strip():
        report.error(START, "empty_text", "found no text")
    return trees, report.findings()


def _template(file: File, layout: File | None, partials: Mapping[str, File]) -> Template:
    name = file.name
    used = [file, *([layout] if layout else []), *partials.values()]
    listed = "\n".join(sorted(f"{each.name.path} {each.digest}" for each in used))
    assert name.message is not None
    assert name.language is not None
    return Template(
        message=name.message,
        step=name.step,
        variant=name.variant,
        channel=name.kind,
        language=name.language,
        path=name.path,
        hash=hashlib.sha256(listed.encode()).hexdigest(),
        body=file.body,
        parts=file.parts,
        layout=layout.body if layout else None,
        partials={key: each.body for key, each in partials.items()},
        sender=file.sender,
    )


def _placed(templates: Iterable[Template], unusable: Iterable[Name]) -> _Placed:
    placed = _Placed({}, {})
    for template in sorted(templates, key=lambda each: each.path):
        place = (template.message, template.step, template.variant, template.channel)
        placed.templates.setdefault(place, {})[template.language.lower()] = template
    for name in unusable:
        assert name.message is not None
        assert name.language is not None
        place = (name.message, name.step, name.variant, name.kind)
        placed.unusable.setdefault(place, {})[name.language.lower()] = name.language
    return placed


def _folders(step: int | None, variant: str | None) -> list[tuple[int | None, str | None]]:
    """From the most specific to the message's own; none of them twice."""
    wanted = [(step, variant), (step, None), (None, variant), (None, None)]
    return list(dict.fromkeys(wanted))


def _tried(languages: Sequence[str]) -> list[str]:
    """Each language and what it is a kind of, then those in which everybody is written to."""
    tried = [base for language in languages for base in _bases(language)]
    return list(dict.fromkeys([*tried, *FALLBACKS]))


def _bases(language: str) -> list[str]:
    """pt-br, pt."""
    words = language.replace("_", "-").lower().split("-")
    return ["-".join(words[:end]) for end in range(len(words), 0, -1) if words[0]]


def _finding(file: str, place: Place, code: str, message: str) -> Finding:
    return Finding(file=file, line=place.line, column=place.column, code=code, message=message)

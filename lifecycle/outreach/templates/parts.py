"""What does one file of a template hold? Front matter and body, each with the place where it begins.

A file knows nothing of others: which layout and partials belong to it is the catalogue's work.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from lifecycle.errors import Finding
from lifecycle.outreach.templates.part import NAME, Part
from lifecycle.policy.report import START, Place, Report, unlisted
from lifecycle.policy.source import MapNode, Node, Scalar, decoded, described, tree

MOST_BYTES = 64 * 1024  # of one file: what is sent is bigger, what people write is not
DEFAULT_LAYOUT = "brand"
TEMPLATED = ("subject", "preheader", "title")  # keys whose values are templates themselves
KEYS = (*TEMPLATED, "layout", "sender")
LAYOUTS, PARTIALS = "_layouts", "_partials"
MAIL, TEXT = "mjml", "txt"  # endings: an e-mail, and every channel of text

LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_FENCE = re.compile(r"---[ \t]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """What the path of a file says."""

    path: str  # below the folder of templates
    message: str | None = None  # None: a layout or a partial
    step: int | None = None
    variant: str | None = None
    kind: str = ""  # channel, or the name of the layout or partial
    language: str | None = None
    ending: str = TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file that was read and is well-formed as far as it can be known alone."""

    name: Name
    digest: str  # SHA-256 of its bytes, in hex
    body: Part
    parts: dict[str, Part] = field(default_factory=dict)  # of the front matter
    layout: str = DEFAULT_LAYOUT
    layout_place: Place = START
    sender: str | None = None


def named(path: PurePosixPath) -> Name | str:
    """What a path below the folder means, or in words why it means nothing."""
    *folders, file = path.parts
    stem, _, ending = file.rpartition(".")
    if ending not in {MAIL, TEXT}:
        return f"a template ends in .{MAIL} (e-mail) or .{TEXT} (text), not in .{ending}"
    kind, _, language = stem.partition(".")
    if not NAME.fullmatch(kind) or (language and not LANGUAGE.fullmatch(language)):
        return "a template is called <channel>.<language>.<ending>, such as email.zh.mjml"
    if folders in ([LAYOUTS], [PARTIALS]):
        return Name(path=str(path), kind=kind, language=language or None, ending=ending)
    if not language:
        return "a template says in which language it is, such as email.zh.mjml"
    return _of_message(path, folders, kind, language, ending)


def _of_message(
    path: PurePosixPath, folders: list[str], kind: str, language: str, ending: str
) -> Name | str:
    if not folders or not all(NAME.fullmatch(folder) for folder in folders):
        return "a template stands in the folder of its message: lower-case letters, digits and -"
    message, *below = folders
    step = int(below.pop(0)) if below and below[0].isdecimal() else None
    variant = below.pop(0) if below else None
    if below or step == 0 or (variant or "").isdecimal():
        return "below the folder of a message stand at most <step>/<variant>/, steps from 1"
    return Name(
        path=str(path),
        message=message,
        step=step,
        variant=variant,
        kind=kind,
        language=language,
        ending=ending,
    )


def read(name: Name, content: bytes) -> tuple[File | None, tuple[Finding, ...]]:
    """The file, and everything that is wrong with its front matter; None where it cannot be read on."""
    report = Report(name.path)
    if len(content) > MOST_BYTES:
        report.error(
            START,
            "file_too_large",
            f"found {len(content):,} bytes; allowed: at most {MOST_BYTES:,}",
        )
        return None, report.findings()
    text = decoded(content, report)
    if text is None:
        return None, report.findings()
    text = text.replace("\r\n", "\n")
    front, body, line = _split(text, report)
    if report.refused:
        return None, report.findings()
    file = _file(name, hashlib.sha256(content).hexdigest(), front, (body, line), report)
    return file, report.findings()


def _split(text: str, report: Report) -> tuple[str, str, int]:
    """Front matter, body, and the line at which the body begins."""
    lines = text.split("\n")
    if not _FENCE.fullmatch(lines[0]):
        return "", text, 1
    for number, line in enumerate(lines[1:], start=1):
        if _FENCE.fullmatch(line):
            # one empty line in place of the fence keeps the lines of the front matter
            return "\n".join(["", *lines[1:number]]), "\n".join(lines[number + 1 :]), number + 2
    report.error(START, "front_matter_open", "found --- that opens and no --- that closes")
    return "", "", 1


def _file(name: Name, digest: str, front: str, body: tuple[str, int], report: Report) -> File:
    values = _front(front, report)
    markup = name.ending == MAIL
    scalars = {key: value for key, value in values.items() if key in TEMPLATED}
    layout = values.get("layout")
    sender = values.get("sender")
    return File(
        name=name,
        digest=digest,
        body=Part(file=name.path, line=body[1], text=body[0], markup=markup),
        parts={
            key: Part(
                file=name.path,
                line=value.place.line,
                text=value.text,
                markup=False,
                column=value.place.column + (not value.plain),  # behind the quote
            )
            for key, value in scalars.items()
        },
        layout=layout.text if layout else DEFAULT_LAYOUT,
        layout_place=layout.place if layout else START,
        sender=sender.text if sender else None,
    )


def _front(front: str, report: Report) -> dict[str, Scalar]:
    node = tree(front, report) if front.strip() else None
    if node is None:
        return {}
    if not isinstance(node, MapNode):
        report.error(
            node.place,
            "wrong_value",
            f"{described(node)}; allowed: a map with the keys {', '.join(KEYS)}",
        )
        return {}
    return {
        key.text: value
        for key, node_value in node.entries
        if (value := _value(key, node_value, report)) is not None
    }


def _value(key: Scalar, value: Node, report: Report) -> Scalar | None:
    if key.text not in KEYS:
        report.error(key.place, "unknown_key", unlisted("front matter", key.text, KEYS))
        return None
    if not isinstance(value, Scalar):
        report.error(
            value.place,
            "wrong_value",
            f"{described(value)} for {key.text}; allowed: one text; in YAML what begins with"
            ' {{ stands in quotes: "{{ … }}"',
        )
        return None
    if key.text == "layout" and not NAME.fullmatch(value.text):
        report.error(value.place, "wrong_value", "a layout is named by lower-case letters, 0-9, -")
        return None
    return value

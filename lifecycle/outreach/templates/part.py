"""A piece of template text, and what it means that one could not be filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # of a message, variant, channel, layout, partial


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of template text, and where it stands."""

    file: str  # below the folder of templates
    line: int  # of the file, at which the text begins; from 1
    text: str
    markup: bool  # values are escaped as HTML wants it
    column: int = 1  # at which its first line begins


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFailed:
    """Nothing was made of the template: the message says why, and quotes no customer."""

    code: str  # stable: missing_variable, template_limit, subject_line_break …
    where: str  # file:line, as far as it is known
    detail: str

    def __str__(self) -> str:
        return f"{self.where}: {self.code}: {self.detail}"

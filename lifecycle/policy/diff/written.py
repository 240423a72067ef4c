"""How are the values of a policy written in its file, and which of them are alike?

Three shapes: a word, a list, a map of keys. What is equal here is the same policy; how a thing would
be shortened, and what a file could leave out, is kept beside it and not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    text: str
    quoted: bool = False  # free text: conditions and labels
    says: str | None = field(default=None, compare=False)  # where the text alone would not be clear
    usual: bool = field(default=False, compare=False)  # so if the file says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    same: tuple[str, ...]  # sorted, unless the order means something
    items: tuple[str, ...] = field(compare=False)  # in the order of the file
    ordered: bool
    short: str | None = field(default=None, compare=False)  # the same in one word


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    entries: Mapping[str, Written]
    kind: str = ""  # maps of different kinds are told as a whole, not key by key
    listed: bool = False  # the author names the keys: properties, labels, variants, dates
    flat: bool = field(default=False, compare=False)  # its keys stand in the map around it
    short: str | None = field(default=None, compare=False)  # the same in one word
    usual: bool = field(default=False, compare=False)


Written = Word | List | Keys


def any_order(items: Iterable[str]) -> List:
    held = tuple(items)
    return List(same=tuple(sorted(held)), items=held, ordered=False)


def in_order(items: Iterable[str]) -> List:
    held = tuple(items)
    return List(same=held, items=held, ordered=True)


def keys(
    entries: Mapping[str, Written | None],
    *,
    kind: str = "",
    listed: bool = False,
    usual: bool = False,
) -> Keys:
    """Only of what is there."""
    there = {name: value for name, value in entries.items() if value is not None}
    return Keys(entries=there, kind=kind, listed=listed, usual=usual)


def free(text: str | None) -> Word | None:
    return None if text is None else Word(text=text, quoted=True)


def labels(held: Mapping[str, str]) -> Keys:
    """By language; in the file their order means nothing."""
    texts = {language: Word(text=held[language], quoted=True) for language in sorted(held)}
    return Keys(entries=texts, listed=True, usual=not texts)


def text(value: Written) -> str:
    """As a file would write it, without what it could leave out."""
    match value:
        case Word():
            return value.text
        case List():
            if value.short is not None:
                return value.short
            bare = len(value.items) == 1 and not value.ordered
            return value.items[0] if bare else f"[{', '.join(value.items)}]"
        case Keys():
            if value.short is not None:
                return value.short
            return inner(value) if value.flat else f"{{{inner(value)}}}"


def inner(value: Keys) -> str:
    """The same without the braces around it."""
    return ", ".join(
        shown(entry) if isinstance(entry, Keys) and entry.flat else f"{name}: {shown(entry)}"
        for name, entry in value.entries.items()
        if isinstance(entry, List) or not entry.usual
    )


def shown(value: Written) -> str:
    """For people: free text in quotes, and what would not be clear said."""
    if not isinstance(value, Word):
        return text(value)
    return value.says or (quoted(value.text) if value.quoted else value.text)


def quoted(text: str) -> str:
    """In those quotes that are not in it, if there are any such."""
    mark = "'" if '"' in text and "'" not in text else '"'
    return f"{mark}{text}{mark}"

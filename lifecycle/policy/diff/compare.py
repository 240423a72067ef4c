"""Where do two written values differ, and how is each difference said?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from lifecycle.policy.diff.change import Change, Kind
from lifecycle.policy.diff.written import Keys, List, Written, inner, shown, text

ARROW = " → "
NONE = "none"
LABEL = "label"


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """Where in a policy a difference is."""

    section: str
    name: str
    path: tuple[str, ...] = ()

    @property
    def key(self) -> str | None:
        return ".".join(self.path) or None

    def below(self, key: str) -> At:
        return At(section=self.section, name=self.name, path=(*self.path, key))

    def change(
        self,
        kind: Kind,
        before: str | None,
        after: str | None,
        told: str,
        *,
        cosmetic: bool = False,
    ) -> Change:
        return Change(
            section=self.section,
            name=self.name,
            key=self.key,
            kind=kind,
            before=before,
            after=after,
            words=f"{self.name}: {told}",
            cosmetic=cosmetic or self.path[:1] == (LABEL,),
        )


def differences(
    at: At, before: Written | None, after: Written | None, *, listed: bool = False
) -> Iterator[Change]:
    """Key by key where both are maps of one kind; `listed`: as an entry of what an author lists."""
    if before == after:
        return
    if isinstance(before, Keys) and isinstance(after, Keys) and before.kind == after.kind:
        for name in dict.fromkeys((*before.entries, *after.entries)):
            one, other = before.entries.get(name), after.entries.get(name)
            yield from differences(_into(at, name, one, other), one, other, listed=before.listed)
        return
    kind, told = _told(before, after, listed=listed)
    if at.path and not (isinstance(before, Keys) and before.flat):
        told = f"{' '.join(at.path)} {told}"
    yield at.change(
        kind,
        None if before is None else text(before),
        None if after is None else text(after),
        told,
    )


def added(at: At, value: Written, more: str = "") -> Change:
    return at.change(Kind.ADDED, None, text(value), _whole("added", value) + more)


def removed(at: At, value: Written) -> Change:
    return at.change(Kind.REMOVED, text(value), None, _whole("removed", value))


def _into(at: At, name: str, one: Written | None, other: Written | None) -> At:
    """Flat keys stand in the map around them, unless they are told as a whole."""
    flat = isinstance(one, Keys) and isinstance(other, Keys) and one.flat
    return at if flat and one.kind == other.kind else at.below(name)  # type: ignore[union-attr]


def _told(before: Written | None, after: Written | None, *, listed: bool) -> tuple[Kind, str]:
    if before is None and after is not None:
        return Kind.ADDED, _whole("added", after) if listed else f"{NONE}{ARROW}{shown(after)}"
    if after is None and before is not None:
        return Kind.REMOVED, _whole(
            "removed", before
        ) if listed else f"{shown(before)}{ARROW}{NONE}"
    assert before is not None
    assert after is not None
    arrow = f"{shown(before)}{ARROW}{shown(after)}"
    if isinstance(before, List) and isinstance(after, List):
        if before.ordered and sorted(before.items) == sorted(after.items):
            return Kind.REORDERED, arrow
        if not before.ordered and set(before.items) & set(after.items):
            return Kind.CHANGED, _members(before, after) or arrow
    return Kind.CHANGED, arrow


def _members(before: List, after: List) -> str:
    """`also loyal; no longer deal`."""
    more = Counter(after.items) - Counter(before.items)
    fewer = Counter(before.items) - Counter(after.items)
    said = [
        *([f"also {', '.join(more.elements())}"] if more else []),
        *([f"no longer {', '.join(fewer.elements())}"] if fewer else []),
    ]
    return "; ".join(said)


def _whole(what: str, value: Written) -> str:
    """`added: on: order_paid, from: deal, to: loyal`: a map without its braces."""
    held = inner(value) if isinstance(value, Keys) and value.short is None else shown(value)
    return f"{what}: {held}" if held else what

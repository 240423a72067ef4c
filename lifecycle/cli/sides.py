"""Which two policies are compared? Each is a file, or a version that the database keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.cli import exits
from lifecycle.cli.opening import opened
from lifecycle.errors import Finding, PolicyRefused
from lifecycle.settings import Settings

if TYPE_CHECKING:
    from lifecycle.domain.policy import Policy, PolicyVersion

CURRENT = "current"
POLICY_FILE = "policy.yaml"
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two; a refused file has no policy and no hash, and errors among its findings."""

    called: str  # the file, or `version 3`
    file: str | None = None
    version: int | None = None
    policy: Policy | None = None
    hash: str | None = None
    findings: tuple[Finding, ...] = ()


def read_sides(settings: Settings, first: str | None, second: str | None) -> tuple[Side, Side]:
    """The older one first. The database is opened only where a version is asked for.

    One alone is compared with what is in force; so is, where none is named, the file of the config
    folder. Raises NoInput, NotFound, and as the database does.
    """
    if second is None:
        first, second = CURRENT, first or str(settings.config_dir / POLICY_FILE)
    names = (first or CURRENT, second)
    files = {name: _of_file(Path(name)) for name in names if not is_version(name)}
    versions = _of_versions(settings, [name for name in names if is_version(name)])
    before, after = ((files | versions)[name] for name in names)
    return before, after


def is_version(name: str) -> bool:
    """A file of such a name is written ./3."""
    return name == CURRENT or _NUMBER.fullmatch(name) is not None


def _of_file(path: Path) -> Side:
    if not path.is_file():
        raise exits.NoInput(
            f"there is no policy file {str(path)!r}; a version is its number, or {CURRENT}"
        )
    from lifecycle.policy import load

    named = str(path)
    try:
        loaded = load(path)
    except PolicyRefused as refused:
        return Side(called=named, file=named, findings=refused.findings)
    return Side(
        called=named,
        file=named,
        policy=loaded.policy,
        hash=loaded.hash,
        findings=loaded.findings,
    )


def _of_versions(settings: Settings, names: list[str]) -> dict[str, Side]:
    if not names:
        return {}
    from lifecycle.bootstrap import Access
    from lifecycle.engine import policies

    with opened(settings, Access.READ) as engine, engine.db.read() as tx:
        known, now = policies.versions(tx), engine.installation.now(tx)
    return {name: _of_version(policies.named(known, name, now), name) for name in names}


def _of_version(version: PolicyVersion, name: str) -> Side:
    return Side(
        called=f"version {version.number}{', in force' if name == CURRENT else ''}",
        version=version.number,
        policy=version.policy,
        hash=version.hash,
    )

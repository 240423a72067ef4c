"""Is this file a policy, and which one? Reads it whole and tells every problem at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lifecycle.domain.policy import Policy
from lifecycle.errors import Finding, PolicyRefused
from lifecycle.policy.canonical import policy_hash
from lifecycle.policy.report import START, Report
from lifecycle.policy.source import decoded, tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A policy that may be put in force."""

    policy: Policy
    hash: str  # SHA-256 of what it does, hex
    findings: tuple[Finding, ...]  # warnings only


def load(path: Path) -> Loaded:
    """The policy of a file; raises `PolicyRefused` with every finding, unreadable file included."""
    try:
        content = path.read_bytes()
    except OSError as error:
        report = Report(str(path))
        report.error(START, "unreadable_file", f"{error.strerror or error}: no policy was read")
        raise PolicyRefused(report.findings()) from error
    return _judged(content, str(path))


def loads(text: str, name: str = "policy.yaml") -> Loaded:
    """The policy of a text; `name` stands for the file in findings."""
    return _judged(text.encode("utf-8", "surrogatepass"), name)


# Of one file the first start asks three times: may it be, put it in force, is it in force?
@lru_cache(maxsize=1)
def _judged(content: bytes, name: str) -> Loaded:
    # All that judges a file. A policy in force was judged once, and most processes read no other.
    from lifecycle.policy.build import draft
    from lifecycle.policy.checks import check
    from lifecycle.policy.format import POLICY

    report = Report(name)
    text = decoded(content, report)
    node = tree(text, report) if text is not None else None
    if text is not None and node is None and not report.refused:
        report.error(START, "empty_file", "found nothing; allowed: a policy, see docs/policy.md")
    held = POLICY.read(node, report) if node is not None else None
    if held is None:
        raise PolicyRefused(report.findings())
    made = draft(held.value, report)
    check(made, report)
    if report.refused:
        raise PolicyRefused(report.findings())
    return Loaded(policy=made.policy, hash=policy_hash(made.policy), findings=report.findings())

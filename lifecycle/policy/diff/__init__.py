"""What does one policy say otherwise than another? Its structure only; what that does is a backtest's."""

from __future__ import annotations

from lifecycle.policy.diff.change import Change, Kind
from lifecycle.policy.diff.sections import SECTIONS, changes

__all__ = ["SECTIONS", "Change", "Kind", "changes"]

"""Why is this customer where she is, why did she (not) get that message, what happens next and when?

Her history is folded once more from the beginning, and joined with what was recorded.
"""

from __future__ import annotations

from lifecycle.engine.explain.explanation import Explanation
from lifecycle.engine.explain.gather import explain

__all__ = ["Explanation", "explain"]

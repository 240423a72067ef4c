"""Why is this customer where she is, why did she (not) get that message, what happens next and when?

Her history is folded once more from the beginning, and joined with what was recorded. The same is
told of a past moment, and of a policy as if it had always been in force.
"""

from __future__ import annotations

from lifecycle.engine.explain.asked import Asked, Hypothesis
from lifecycle.engine.explain.explanation import Explanation
from lifecycle.engine.explain.gather import explain

__all__ = ["Asked", "Explanation", "Hypothesis", "explain"]

"""A policy file that marketing can read → the records of `domain.policy`, checked.

Putting a policy in force, and keeping its versions, is the engine's work.
"""

from __future__ import annotations

from lifecycle.policy.canonical import from_canonical, policy_hash, to_canonical
from lifecycle.policy.load import Loaded, load, loads

__all__ = ["Loaded", "from_canonical", "load", "loads", "policy_hash", "to_canonical"]

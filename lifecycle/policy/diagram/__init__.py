"""A policy as a picture: Mermaid for documents that draw it themselves, SVG for everything else."""

from __future__ import annotations

from lifecycle.policy.diagram.mermaid import mermaid
from lifecycle.policy.diagram.svg import svg

__all__ = ["mermaid", "svg"]

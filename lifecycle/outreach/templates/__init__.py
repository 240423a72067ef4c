"""What does a message say? Templates are found, checked, and filled in far away from everything else."""

from lifecycle.outreach.templates.catalogue import Catalogue, Template

__all__ = ["Catalogue", "Template"]

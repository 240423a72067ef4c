"""Where do the files that ship with the code lie? The working directory never has a say in it."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def config_dir() -> Path:
    """The folder of the default policy, settings and mappings.

    A wheel carries `config/` inside the package; a checkout has it beside the package.
    """
    packaged = _PACKAGE / "_config"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "config"


def templates_dir() -> Path:
    """The folder of the messages that ship with the default policy, likewise."""
    packaged = _PACKAGE / "_templates"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "templates" / "outreach"

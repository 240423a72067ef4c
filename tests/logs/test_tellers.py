"""Whatever the program says, it says by a name, so that no line can hold what was posted by accident."""

from __future__ import annotations

import re

from tests.conftest import ROOT

OWN = {"lifecycle/client.py"}  # it stands alone, in programs of others
LOGS = "lifecycle/logs/"


def test_nobody_logs_but_through_a_teller() -> None:
    """A line that is no Teller's is not shown: who wrote it would think that somebody reads it."""
    written = [*(ROOT / "lifecycle").rglob("*.py"), *(ROOT / "workers").rglob("*.py")]
    ours = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in written}
    assert len(ours) > 200
    logging = re.compile(r"\blog(?:ger)?\.(?:debug|info|warning|error|exception|critical)\(")
    found = {name for name, text in ours.items() if logging.search(text)}
    assert {name for name in found if not name.startswith(LOGS)} - OWN == set()

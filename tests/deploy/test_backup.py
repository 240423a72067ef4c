"""A backup made as docs/production.md says, while the engine runs, is a sound installation."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lifecycle.engine.apply import apply_pending
from lifecycle.engine.digest import digest
from lifecycle.engine.verify import verify
from lifecycle.store import attempts
from tests.conftest import ROOT
from tests.engine.histories import RICH_POLICY, arrivals
from tests.scenarios.driver import day
from tests.support.engine import installation, opened, post, reach, set_clock

END = day(600)


def backup_command(source: Path, target: Path) -> list[str]:
    """The line of the document, with other names for the files."""
    told = (ROOT / "docs" / "production.md").read_text("utf-8")
    found = re.search(
        r"^    python3 (-c .*\.backup\(.*) lifecycle\.db backup\.db$", told, re.MULTILINE
    )
    assert found is not None
    return [sys.executable, *shlex.split(found[1]), str(source), str(target)]


def test_a_backup_that_is_made_while_events_come_in_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything accepted before it began is in it, nothing is half done, and work goes on from it."""
    source, target = tmp_path / "source.db", tmp_path / "backup.db"
    history = arrivals(seed=5, customers=20, events=600, batch=10)
    first, rest = history[:30], history[30:]
    with installation(f"sqlite:///{source}", RICH_POLICY) as inst:
        set_clock(inst, END)
        for arrival in first:
            post(inst, *arrival.events)

        def go_on() -> None:
            for arrival in rest:
                post(inst, *arrival.events)
                apply_pending(inst)

        posting = threading.Thread(target=go_on)
        posting.start()
        try:
            subprocess.run(backup_command(source, target), check=True, timeout=60)
        finally:
            posting.join()
        reach(inst, END)
        whole = digest(inst, END)
    monkeypatch.setattr(attempts, "TOKEN", "whoever runs the backup")
    with opened(f"sqlite:///{target}") as restored:
        again = post(restored, *(event for one in first for event in one.events))
        assert {type(result).__name__ for result in again} == {"Duplicate"}
        post(restored, *(event for one in rest for event in one.events))
        reach(restored, END)
        assert verify(restored) == []
        assert digest(restored, END) == whole

"""How answers look: to a terminal, to a pipe, to a program."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path

import pytest

from lifecycle import resources
from lifecycle.bootstrap import Access, build
from lifecycle.cli import output
from lifecycle.cli.lines import Palette
from lifecycle.domain.instant import BEGINNING, instant_text
from lifecycle.domain.policy import After, OwnRhythm, PolicyVersion
from lifecycle.domain.step import Step
from lifecycle.policy.load import loads
from lifecycle.settings import Settings
from lifecycle.store import dead, events
from tests.cli.conftest import Lifecycle
from tests.policies import SCENARIO_POLICY
from tests.scenarios.driver import happened
from tests.support.engine import draft

IMPORT = [sys.executable, "-m", "lifecycle", "import", "orders.csv", "-m", "online-retail"]


def on_a_terminal(arguments: list[str], folder: Path, columns: int = 80) -> str:
    """What stands on a terminal of that width after the command has ended."""
    screen, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    process = subprocess.Popen(
        arguments, stdout=terminal, stderr=terminal, cwd=folder, env=environment
    )
    os.close(terminal)
    seen = b""
    while True:
        try:
            part = os.read(screen, 65_536)
        except OSError:  # the other end is closed: this is how Linux tells the end
            break
        if not part:
            break
        seen += part
    os.close(screen)
    assert process.wait() == 0, seen.decode()
    return seen.decode()


# -- what others have written


COMMANDING = "\x1b[2J\x1b]0;mine\x07 two\nlines\u2028\u202e \x9b31m"
TAMED = r"\u001b[2J\u001b]0;mine\u0007 two\nlines\u2028\u202e \u009b31m"


@pytest.fixture
def hostile(lifecycle: Lifecycle, orders: Path) -> Lifecycle:
    """What was posted of anna, what failed with it, and why she was moved, would command a terminal."""
    lifecycle("import", orders, "-m", "online-retail", "--clock", "2010-02-01T00:00:00Z")
    settings = Settings(database_url="sqlite:///lifecycle.db", config_dir=resources.config_dir())
    with build(settings, access=Access.WRITE) as engine:
        names = {"attributes": {"owner": COMMANDING}}
        told = happened("profile_changed", 0, "profile", **names)._replace(customer="anna")
        at = datetime(2010, 1, 20, tzinfo=UTC)
        engine.accept([draft(told._replace(occurred_at=at, received_at=at))])
        engine.apply_pending()
        with engine.db.write() as tx:
            first = events.get(tx, "online-retail", "1")
            assert first is not None
            dead.quarantine(tx, first, reason="fold_failed", detail=COMMANDING, attempts=5, at=at)
    lifecycle("dead", "discard", "online-retail", "1", "--by", "olga", "--why", COMMANDING)
    lifecycle("customer", "move", "anna", "--to", "loyal", "--by", "olga", "--why", COMMANDING)
    return lifecycle


@pytest.mark.parametrize(
    "command",
    [
        ["explain", "anna"],
        ["customer", "show", "anna"],
        ["log"],
        ["dead", "list"],
        ["dead", "show", "online-retail", "1"],
        ["dead", "discard", "online-retail", "1"],
    ],
)
def test_nothing_that_was_posted_commands_a_terminal_or_looks_like_a_line_of_ours(
    hostile: Lifecycle, home: Path, command: list[str]
) -> None:
    """In a pipe too, which may end at one; and in JSON, which says all the same what was posted."""
    piped = hostile(*command).out
    assert TAMED in piped
    assert all(char.isprintable() or char == "\n" for char in piped)

    seen = on_a_terminal([sys.executable, "-m", "lifecycle", *command], home, columns=500)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen)
    assert TAMED in plain
    assert all(char.isprintable() or char in "\r\n" for char in plain)

    asked = hostile(*command, "--json")
    assert all(char.isprintable() or char == "\n" for char in asked.out)
    assert COMMANDING in texts(asked.json)


def texts(value: object) -> list[str]:
    """Every text in a JSON document."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def test_on_a_terminal_long_work_shows_how_far_it_is(orders: Path, home: Path) -> None:
    seen = on_a_terminal(IMPORT, home)
    assert "reading orders.csv" in seen
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen)
    assert re.search(r"folding customers ━+ 2/2 ", plain)  # not of so many bytes
    assert "\x1b[" in seen


def test_in_a_pipe_nothing_is_drawn_and_nothing_is_coloured(
    lifecycle: Lifecycle, orders: Path
) -> None:
    ran = lifecycle("import", orders, "-m", "online-retail")
    assert ran.err == ""
    assert "\x1b" not in ran.out


def test_a_line_of_the_log_never_breaks_on_a_narrow_terminal_nor_is_it_cut_in_a_pipe(
    lifecycle: Lifecycle, orders: Path, home: Path
) -> None:
    orders.write_text(orders.read_text().replace("anna", "a-very-long-name-" + "x" * 150))
    lifecycle("import", orders, "-m", "online-retail", "--clock", "2010-02-01T00:00:00Z")
    log = [sys.executable, "-m", "lifecycle", "log"]
    shown = on_a_terminal(log, home, columns=70).splitlines()
    assert len(shown) == 2
    assert "a-very-long-name-xxxx…" in shown[0]
    assert "potential" in shown[0]
    [first, _] = lifecycle("log").out.splitlines()
    assert first.endswith("order_paid online-retail/1")


def test_a_log_is_as_narrow_as_its_lines_so_that_the_causes_fit_on_a_terminal(
    lifecycle: Lifecycle, orders: Path, home: Path
) -> None:
    lifecycle("import", orders, "-m", "online-retail", "--clock", "2010-02-01T00:00:00Z")
    log = [sys.executable, "-m", "lifecycle", "log"]
    for line in on_a_terminal(log, home, columns=90).splitlines():
        assert "order_paid" in line
        assert "…" not in line


def test_on_a_terminal_the_rest_of_a_sentence_stands_under_it_and_looks_like_no_new_one(
    lifecycle: Lifecycle, orders: Path, home: Path
) -> None:
    """A line that begins with a date is an entry of its own, at every width."""
    lifecycle("import", orders, "-m", "online-retail", "--clock", "2010-02-08T00:00:00Z")
    entries = [
        line for line in lifecycle("explain", "anna").out.splitlines() if line[:3] in {"200", "201"}
    ]
    for columns in (40, 60, 80, 120):
        explain = [sys.executable, "-m", "lifecycle", "explain", "anna"]
        seen = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal(explain, home, columns)).splitlines()
        assert len([line for line in seen if line[:3] in {"200", "201"}]) == len(entries)
        assert max(map(len, seen)) <= columns


@pytest.mark.parametrize("columns", [60, 80])
def test_a_report_is_read_line_by_line_on_a_small_terminal(
    lifecycle: Lifecycle, orders: Path, home: Path, columns: int
) -> None:
    """Each state is one line, with its names in every language; and no number is broken."""
    lifecycle("import", orders, "-m", "online-retail", "--clock", "2010-02-01T00:00:00Z")
    report = [sys.executable, "-m", "lifecycle", "report", "states"]
    seen = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal(report, home, columns))
    assert "reactivated   Reactivated · 唤醒客户" in seen
    assert "As of 2010-02-01 00:00:00 UTC." in seen
    months = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal([*report, "--monthly"], home, columns))
    assert re.search(r"^ 2010-01 .* 2 ", months, re.MULTILINE)
    assert ("reactivated" in months) == (columns == 80)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (30, "30 days since last_order_at (no rhythm yet)"),
        (9, "longer than usual since last_order_at"),
    ],
)
def test_the_log_tells_a_rhythm_from_the_default_of_the_rule(days: int, said: str) -> None:
    rhythm = OwnRhythm(
        fact="usual_gap",
        at_least=timedelta(days=5),
        at_most=timedelta(days=40),
        otherwise=timedelta(days=30),
    )
    policy = loads(SCENARIO_POLICY).policy
    rule = replace(
        next(rule for rule in policy.transitions if rule.name == "quiet"),
        trigger=After(wait=rhythm, since="last_order_at"),
    )
    anchor = datetime(2026, 1, 1, tzinfo=UTC)
    made = Step(
        "quiet",
        "deal",
        "dormant",
        "quiet",
        f"check:quiet@{instant_text(anchor)}#1",
        anchor + timedelta(days=days),
        None,
        {},
        1,
    )
    assert Palette(replace(policy, transitions=(rule,))).waited(made) == said


def test_the_log_tells_what_a_step_waited_for_as_the_version_says_that_judged_it() -> None:
    """However long the check waits by now; and also where it was published after the log began."""
    first = loads(SCENARIO_POLICY)
    second = loads(SCENARIO_POLICY.replace("after: 60d", "after: 45d"))
    versions = [
        PolicyVersion(number=number, hash=one.hash, effective_at=BEGINNING, policy=one.policy)
        for number, one in ((1, first), (2, second))
    ]
    at = datetime(2026, 3, 2, tzinfo=UTC)
    made = Step("quiet", "deal", "dormant", "quiet", "check:quiet@…#1", at, None, {}, 1)
    known = versions[:1]
    palette = Palette(first.policy, lambda: known)
    assert palette.waited(made) == "60 days since last_seen_at"
    known = versions
    assert palette.waited(made._replace(version=2)) == "45 days since last_seen_at"


@pytest.mark.parametrize(
    "command",
    [
        ["report", "states"],
        ["report", "states", "--monthly"],
        ["customer", "show", "anna"],
        ["log"],
        ["explain", "anna"],
        ["dead", "list"],
        ["policy", "check"],
    ],
)
def test_in_a_pipe_no_line_ends_in_blanks(
    lifecycle: Lifecycle, orders: Path, command: list[str]
) -> None:
    """A table fills its last column for the eye; in a file or a diff that is only noise."""
    imported = lifecycle("import", orders, "-m", "online-retail", "--clock", "2010-02-01T00:00:00Z")
    for ran in (imported, lifecycle(*command)):
        assert ran.out.endswith("\n")
        assert [line for line in ran.out.splitlines() if line != line.rstrip()] == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    at: datetime
    on: date
    gap: timedelta
    amount: Decimal
    colour: Enum
    names: tuple[str, ...]
    more: dict[str, object]


class Colour(Enum):
    RED = "red"


def test_values_are_written_the_same_way_everywhere_in_json() -> None:
    thing = Thing(
        at=datetime(2026, 1, 1, 8, tzinfo=UTC),
        on=date(2026, 1, 1),
        gap=timedelta(minutes=1, milliseconds=500),
        amount=Decimal("12.50"),
        colour=Colour.RED,
        names=("a", "b"),
        more={"none": None, "yes": True, "path": Path("x")},
    )
    assert output.plain(thing) == {
        "at": "2026-01-01T08:00:00Z",
        "on": "2026-01-01",
        "gap": 60.5,
        "amount": "12.50",
        "colour": "red",
        "names": ["a", "b"],
        "more": {"none": None, "yes": True, "path": "x"},
    }


def test_one_is_no_plural() -> None:
    assert output.count(1, "customer") == "1 customer"
    assert output.count(2000, "customer") == "2,000 customers"

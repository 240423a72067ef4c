"""Every way in which a command can end: the number, the words, and that nothing was half-done."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from lifecycle.cli import exits, output
from lifecycle.cli.exits import Code
from lifecycle.errors import (
    Finding,
    FoldBroken,
    LifecycleError,
    MappingRefused,
    NotFound,
    NotReady,
    PolicyRefused,
    Problem,
    TookTooLong,
    Unavailable,
    Unusable,
)
from tests.cli.conftest import Lifecycle

PYTHON = [sys.executable, "-m", "lifecycle"]


def one_line(text: str) -> str:
    """What is said to be one line is one."""
    assert text.count("\n") == 1, text
    return text.rstrip("\n")


# -- the command line itself


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify", "--jsno"], "No such option: --jsno. Did you mean --json?"),
        (["verfy"], "No such command 'verfy'. Did you mean 'verify'?"),
        (["import"], "Missing argument 'FILE'"),
        (["import", "x.csv"], "Missing option '--mapping'"),
        (
            ["import", "x.csv", "-m", "m", "--effects", "maybe"],
            "for '--effects': 'maybe' is not one of 'on', 'off'.",
        ),
        (["outreach", "show", "abc"], "Invalid value for 'NUMBER': it should be a whole number"),
        (
            ["explain", "caf\udce9"],
            r"caf\udce9 is not UTF-8, as everything on the command line must",
        ),
        (["import", "caf\udce9.csv", "-m", "online-retail"], "is not UTF-8"),
        (["customer", "move", "anna", "--to", "deal", "--why", "\udce9"], "is not UTF-8"),
        (["verify", "now"], "unexpected extra argument"),
        (["digest", "--at", "noon"], "'noon' is not an instant; write 2011-12-10T00:00:00Z"),
        (["digest", "--at", "2011-12-10T00:00:00"], "is not an instant"),  # whose midnight?
    ],
)
def test_a_wrong_command_line_is_told_with_what_was_meant(
    lifecycle: Lifecycle, home: Path, arguments: list[str], said: str
) -> None:
    ran = lifecycle(*arguments)
    assert ran.code == Code.USAGE
    assert said in ran.err
    assert ran.out == ""
    assert list(home.iterdir()) == []  # not even an empty database


def test_no_command_at_all_shows_the_help_and_is_still_wrong(lifecycle: Lifecycle) -> None:
    ran = lifecycle()
    assert ran.code == Code.USAGE
    assert "Usage: lifecycle" in ran.out
    assert ran.err == ""


def test_help_is_no_error(lifecycle: Lifecycle) -> None:
    ran = lifecycle("import", "-h")
    assert ran.code == 0
    assert "--accept-valid" in ran.out


def test_a_file_that_is_not_there_is_told_before_anything_is_opened(
    lifecycle: Lifecycle, home: Path
) -> None:
    ran = lifecycle("import", "nope.csv", "-m", "online-retail")
    assert ran.code == Code.NO_INPUT
    assert one_line(ran.err) == "error: there is no file nope.csv; nothing was changed"
    assert list(home.iterdir()) == []


def test_a_file_that_cannot_be_read_is_told(lifecycle: Lifecycle, home: Path) -> None:
    ran = lifecycle("import", home, "-m", "online-retail")
    assert ran.code == Code.NO_INPUT
    assert "Is a directory; nothing was changed" in one_line(ran.err)


def test_a_mapping_that_is_not_there_is_told_with_the_ones_that_are(
    lifecycle: Lifecycle, home: Path, orders: Path
) -> None:
    ran = lifecycle("import", orders, "-m", "online-retial")
    assert ran.code == Code.NO_INPUT
    assert 'did you mean "online-retail"' in one_line(ran.err)
    assert list(home.iterdir()) == [orders]


def test_a_file_that_cannot_be_written_is_told_before_anything_is_stored(
    lifecycle: Lifecycle, home: Path, orders: Path
) -> None:
    ran = lifecycle("import", orders, "-m", "online-retail", "--rejects", "no/such/folder.csv")
    assert ran.code == Code.CANNOT_WRITE
    assert one_line(ran.err).startswith("error: --rejects no/such/folder.csv: No such file")
    assert list(home.iterdir()) == [orders]


# -- configuration: row 43


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("mysql://me:secret@h/db", 78, "mysql://me:***@h/db': 'mysql' is not a database that"),
        ("postgresql+psycopg://me:secret@h/db", 78, "drivers are not named; use"),
        ("lifecycle.db", 78, "no scheme; use sqlite:///path"),
        ("sqlite:///", 78, "no file is named"),
        ("sqlite:///:memory:", 78, "no file is named"),
        ("sqlite:///.", 78, "is a directory; name a file in it"),
        ("sqlite:////no/such/folder/a.db", 78, "does not exist; create it first"),
        ("postgresql://me:secret@127.0.0.1:1/db", 69, "PostgreSQL does not answer"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line_without_its_password(
    lifecycle: Lifecycle, url: str, code: int, said: str
) -> None:
    ran = lifecycle("migrate", "--database", url)
    assert ran.code == code
    assert said in one_line(ran.err)
    assert "secret" not in ran.err


def test_a_schema_newer_than_the_program_is_told(lifecycle: Lifecycle, home: Path) -> None:
    assert lifecycle("migrate").code == 0
    with sqlite3.connect(home / "lifecycle.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for command in ("migrate", "verify"):
        ran = lifecycle(command)
        assert ran.code == Code.CONFIGURATION
        assert "newer than this program" in one_line(ran.err)


def test_a_command_that_only_looks_makes_no_database(lifecycle: Lifecycle, home: Path) -> None:
    ran = lifecycle("verify")
    assert ran.code == Code.CONFIGURATION
    assert "there is no such file yet; `lifecycle up` or `lifecycle import` makes it" in ran.err
    assert list(home.iterdir()) == []


def test_a_clock_that_is_none_is_told_by_the_flag_that_said_it(lifecycle: Lifecycle) -> None:
    ran = lifecycle("migrate", "--clock", "noon")
    assert ran.code == Code.CONFIGURATION
    assert one_line(ran.err).startswith("error: --clock: 'noon' is not a clock; allowed: ")


@pytest.mark.parametrize(
    "command",
    [
        ["import", "orders.csv", "-m", "online-retail"],
        ["import", "orders.csv", "-m", "online-retail", "--dry-run"],
        ["simulate"],
        ["up", "--port", "0"],
    ],
)
def test_a_broken_policy_file_is_told_whole_and_nothing_is_made_of_it(
    lifecycle: Lifecycle, home: Path, orders: Path, command: list[str]
) -> None:
    config = home / "config"
    config.mkdir()
    (config / "policy.yaml").write_text("version: 1\nstaets: {}\n", "utf-8")
    ran = lifecycle(*command, "--config-dir", config)
    assert ran.code == Code.CONFIGURATION
    assert re.search(r"policy\.yaml:2:1: error unknown_key: .*staets.*states", ran.err)
    assert sorted(home.iterdir()) == [config, orders]


# -- the end of every other way


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Problem("ambiguous_date", "which date is 1/2/26?"), 65),
        (MappingRefused([Finding(file="m", line=1, column=1, code="c", message="m")]), 65),
        (PolicyRefused([Finding(file="p", line=1, column=1, code="c", message="m")]), 78),
        (Unusable("no"), 78),
        (Unavailable("not now"), 69),
        (TookTooLong("not in this time"), 69),
        (NotFound("nobody"), 1),
        (NotReady("not yet"), 1),
        (FoldBroken("never expected"), 70),
        (KeyError("facts"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_kind_of_error_has_its_number(error: BaseException, code: int) -> None:
    assert exits.of(error) == code


def test_every_kind_of_refusal_has_been_given_a_number_of_its_own() -> None:
    """A class that is added to the tree must not end as a defect by oversight."""
    listed = {kind for kind, _ in exits._CODES}

    def kinds(root: type[LifecycleError]) -> set[type[LifecycleError]]:
        return {root}.union(*map(kinds, root.__subclasses__()))

    unlisted = {kind for kind in kinds(LifecycleError) if not set(kind.__mro__) & listed}
    assert unlisted == {LifecycleError}


def test_the_numbers_are_those_that_scripts_rely_on_and_each_has_its_meaning() -> None:
    assert {code.name: code.value for code in Code} == {
        "OK": 0,
        "REFUSED": 1,
        "USAGE": 64,
        "BAD_INPUT": 65,
        "NO_INPUT": 66,
        "UNAVAILABLE": 69,
        "BUG": 70,
        "CANNOT_WRITE": 73,
        "CONFIGURATION": 78,
        "INTERRUPTED": 130,
    }
    assert set(exits.MEANING) == set(Code)


def break_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("facts")

    monkeypatch.setattr("lifecycle.engine.verify.verify", broken)


def test_a_defect_shows_no_traceback_but_how_to_get_one(
    lifecycle: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle("migrate")
    break_verify(monkeypatch)
    ran = lifecycle("verify")
    assert ran.code == Code.BUG
    assert "Traceback" not in ran.err
    assert ran.err.startswith("error: KeyError: 'facts'\n")
    assert "LIFECYCLE_DEBUG=1" in ran.err


def test_a_defect_shows_its_traceback_to_those_who_ask(
    lifecycle: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle("migrate")
    break_verify(monkeypatch)
    monkeypatch.setenv("LIFECYCLE_DEBUG", "1")
    ran = lifecycle("verify")
    assert ran.code == Code.BUG
    assert "Traceback (most recent call last)" in ran.err


def test_the_end_is_told_even_on_a_terminal_that_knows_no_arrows(orders: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ran = subprocess.run(
        [*PYTHON, "import", str(orders), "-m", "online-retail", "--dry-run"],
        capture_output=True,
        env=environment,
        cwd=orders.parent,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert b"A dry run: nothing was stored." in ran.stdout


# -- signals and pipes


def test_whoever_closes_our_output_early_is_no_error(lifecycle: Lifecycle, orders: Path) -> None:
    """As `lifecycle … | head -0` does: stdout is closed before the first line is written."""
    assert lifecycle("import", orders, "-m", "online-retail").code == 0
    for command in (["verify"], ["verify", "--json"], ["import", "--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        ran = subprocess.run(
            [*PYTHON, *command], stdout=writer, stderr=subprocess.PIPE, check=False
        )
        os.close(writer)
        assert (ran.returncode, ran.stderr) == (0, b"")


def test_output_that_is_closed_on_the_way_ends_the_command_in_silence(
    lifecycle: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle("migrate")

    def closed(*_: object) -> None:
        raise exits.OutputClosed

    monkeypatch.setattr(output, "show", closed)
    ran = lifecycle("verify")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


INTERRUPTED = """
import os, signal, sys
from lifecycle import cli
import {module} as module

function = module.{name}

def interrupted(*arguments, **named):
    function(*arguments, **named)
    os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C, right after the first batch was committed

module.{name} = interrupted
sys.exit(cli.run(sys.argv[1:]))
"""


def interrupt(module: str, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command, interrupted when that function returns for the first time."""
    program = INTERRUPTED.format(module=module, name=name)
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_import_that_is_interrupted_says_what_is_done_and_goes_on_when_run_again(
    lifecycle: Lifecycle, orders: Path
) -> None:
    command = ("import", orders, "-m", "online-retail")
    ran = interrupt("lifecycle.engine.imports", "accept", *command)
    assert ran.returncode == Code.INTERRUPTED, ran.stderr
    assert ran.stderr.startswith("error: interrupted: the import has not ended.\n")
    assert "Run the same command again" in ran.stderr
    assert "Traceback" not in ran.stderr
    told = lifecycle("verify", "--json").json["violations"]
    assert [violation["code"] for violation in told] == ["import_open"]
    assert lifecycle("log", "--json").json["transitions"] == []  # nothing half-done
    again = lifecycle(*command, "--json").json
    assert (again["duplicates"], again["applied"]["customers"]) == (3, 2)


def test_an_import_interrupted_while_folding_goes_on_when_run_again(
    lifecycle: Lifecycle, orders: Path
) -> None:
    command = ("import", orders, "-m", "online-retail")
    ran = interrupt("lifecycle.cli.output", "Ticker.now", *command)
    assert ran.returncode == Code.INTERRUPTED, ran.stderr
    assert ran.stderr.startswith("error: interrupted: every row is stored, and 2 customers folded")
    assert lifecycle(*command).code == Code.OK
    assert lifecycle("verify", "--json").json == {"customers": 2, "violations": []}


def test_a_rebuild_that_is_interrupted_says_so_and_is_whole_when_run_again(
    lifecycle: Lifecycle, orders: Path
) -> None:
    lifecycle("import", orders, "-m", "online-retail", "--clock", "2010-02-01T00:00:00Z")
    before = lifecycle("digest", "--json").json
    ran = interrupt("lifecycle.engine.rebuild", "apply_customers", "rebuild")
    assert ran.returncode == Code.INTERRUPTED, ran.stderr
    assert ran.stderr.startswith("error: interrupted after 0 customers; the others are as they")
    assert lifecycle("rebuild").code == Code.OK
    assert lifecycle("digest", "--json").json == before


def test_a_simulation_that_is_interrupted_goes_on_when_run_again(lifecycle: Lifecycle) -> None:
    command = ("simulate", "--customers", "5", "--days", "20", "--start", "2020-01-01T00:00:00Z")
    ran = interrupt("lifecycle.engine.imports", "accept", *command)
    assert ran.returncode == Code.INTERRUPTED, ran.stderr
    assert ran.stderr.startswith("error: interrupted: the simulation has not ended")
    again = lifecycle(*command, "--json").json["report"]
    assert again["duplicates"] > 0
    assert again["applied"]["customers"] > 0


def test_following_the_log_is_meant_to_end_with_ctrl_c(lifecycle: Lifecycle, orders: Path) -> None:
    """The table of exit codes says so, and it is what happens."""
    assert "`up` and `log --follow` are meant to end so: with 0" in exits.MEANING[Code.INTERRUPTED]
    assert lifecycle("import", orders, "-m", "online-retail").code == Code.OK
    ran = interrupt("lifecycle.cli.transitions", "_print_each", "log", "--follow")
    assert (ran.returncode, ran.stderr) == (Code.OK, "")


def test_the_version_is_told(lifecycle: Lifecycle) -> None:
    ran = lifecycle("--version")
    assert (ran.code, ran.out) == (Code.OK, f"lifecycle {version('lifecycle-engine')}\n")


def test_ctrl_c_ends_a_real_process_with_130(lifecycle: Lifecycle, home: Path) -> None:
    """A named pipe stands for a file that takes for ever to read."""
    assert lifecycle("migrate").code == 0
    pipe = home / "endless.csv"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [*PYTHON, "import", str(pipe), "-m", "online-retail"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with pipe.open("wb", buffering=0) as feed:  # returns when the command has opened its file
        feed.write(b"Invoice,")
        while process.poll() is None:  # a signal just before a blocking read is seen after it
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
    _, err = process.communicate()
    assert process.returncode == Code.INTERRUPTED
    assert "Traceback" not in err
    assert err.startswith("error: interrupted")

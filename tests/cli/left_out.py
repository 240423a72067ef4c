"""What does a command's report say of rows of its file that were refused?"""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Lifecycle


def assert_it_says_how_many_rows_were_left_out(
    lifecycle: Lifecycle, command: tuple[str | Path, ...], invoices: Path
) -> None:
    """`command` reads `invoices`, all of whose rows are right until now."""
    assert lifecycle(*command, "--json").json["rows_left_out"] == 0
    assert "of the file" not in lifecycle(*command).out
    with invoices.open("a", encoding="utf-8") as file:
        file.write("bad,yesterday,c1,10.00,False\n")
    assert "1 row of the file was refused and left out" in lifecycle(*command, "--accept-valid").out
    assert lifecycle(*command, "--accept-valid", "--json").json["rows_left_out"] == 1

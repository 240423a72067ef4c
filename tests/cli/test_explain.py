"""`lifecycle explain` of a past moment and under another policy: what is asked, refused and shown."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from lifecycle import resources
from lifecycle.cli.exits import Code
from tests.cli.conftest import Lifecycle
from tests.cli.test_output import on_a_terminal

CLOCK = "2010-04-01T00:00:00Z"
MOMENT = "2010-01-06T00:00:00Z"


@pytest.fixture
def shop(lifecycle: Lifecycle, orders: Path) -> Lifecycle:
    """Anna bought on 1 and 5 January, which was imported on 1 April."""
    assert lifecycle("import", orders, "-m", "online-retail", "--clock", CLOCK).code == 0
    return lifecycle


@pytest.fixture
def quicker(home: Path) -> Path:
    """The default policy, but whoever is silent for three days is dormant."""
    text = (resources.config_dir() / "policy.yaml").read_text("utf-8")
    assert text.count("after: 60d ") == 1
    file = home / "quicker.yaml"
    file.write_text(text.replace("after: 60d ", "after: 3d "), "utf-8")
    return file


def test_a_what_if_says_so_in_its_first_line_with_the_file_and_its_hash(
    shop: Lifecycle, quicker: Path
) -> None:
    shown = shop("policy", "check", quicker).out
    [hash_] = re.findall(r"hash ([0-9a-f]{12})", shown)
    ran = shop("explain", "anna", "--policy", quicker)
    assert (ran.code, ran.err) == (Code.OK, "")
    first = f"This is a what-if: anna as if {quicker} (hash {hash_}) had been in force"
    assert ran.out.startswith(first)
    assert "Nothing of it is recorded." in ran.out.splitlines()[0]
    assert "How that differs from what is recorded\n" in ran.out


def test_the_json_of_a_what_if_says_what_was_asked(shop: Lifecycle, quicker: Path) -> None:
    told = shop("explain", "anna", "--policy", quicker, "--json").json
    assert told["asked"]["policy"]["name"] == str(quicker)
    assert told["asked"]["policy"]["version"] is None
    assert told["what_if"]["recorded"] is False
    assert told["what_if"]["difference"]["shifted"]


def test_a_number_names_a_published_version(shop: Lifecycle) -> None:
    assert shop("explain", "anna", "--policy", "1").out.startswith(
        "This is a what-if: anna as if policy version 1 (hash "
    )
    ran = shop("explain", "anna", "--policy", "4")
    assert (ran.code, ran.err) == (
        Code.REFUSED,
        "error: there is no version 4 of the policy; there is only version 1\n",
    )


def test_of_a_past_moment_it_says_which_telling_it_is(shop: Lifecycle) -> None:
    then = shop("explain", "anna", "--at", MOMENT).out
    assert then.startswith("This is anna at 2010-01-06 00:00 UTC")
    assert "as it was known then: from the 0 events" in then
    assert "Left out: 2 events" in then
    today = shop("explain", "anna", "--at", MOMENT, "--late-events", "included").out
    assert "as it is known today: from the 2 events" in today
    assert "What had happened\n" in today
    told = shop("explain", "anna", "--at", "2010-01-06T08:00:00+08:00", "--json").json
    assert told["asked"] == {"at": MOMENT, "late_events": "excluded", "policy": None}


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--at", "2010-01-06T00:00:00"], Code.USAGE, "'2010-01-06T00:00:00' is not an instant"),
        (["--at", "yesterday"], Code.USAGE, "'yesterday' is not an instant"),
        (["--at", "2010-04-02T00:00:00Z"], Code.BAD_INPUT, "has not come yet"),
        (["--at", "2010-01-01T09:59:59Z"], Code.BAD_INPUT, "before the first event of anna"),
        (["--late-events", "included"], Code.USAGE, "name it with --at"),
        (["--policy", "missing.yaml"], Code.NO_INPUT, "there is no policy file 'missing.yaml'"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_reason(
    shop: Lifecycle, flags: list[str], code: Code, said: str
) -> None:
    ran = shop("explain", "anna", *flags)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def test_an_instant_out_of_range_is_told_by_its_flag_with_the_range(shop: Lifecycle) -> None:
    ran = shop("explain", "anna", "--at", "2010-01-01T00:00:00Z")
    assert "where: --at\n" in ran.err
    assert "expected: an instant from 2010-01-01T10:00:00Z on\n" in ran.err


def test_a_policy_with_errors_is_refused_with_all_of_them_and_their_lines(
    shop: Lifecycle, quicker: Path
) -> None:
    quicker.write_text(quicker.read_text("utf-8").replace("after: 3d", "after: 3x"), "utf-8")
    ran = shop("explain", "anna", "--policy", quicker)
    assert (ran.code, ran.out) == (Code.CONFIGURATION, "")
    assert re.search(r"quicker\.yaml:\d+:\d+: error wrong_duration: found \"3x\"", ran.err)


def test_on_a_terminal_the_titles_of_each_telling_are_bold(
    shop: Lifecycle, quicker: Path, home: Path
) -> None:
    assert shop("explain", "anna").code == Code.OK
    for flags, titles in (
        (
            ["--policy", str(quicker)],
            ["How that differs from what is recorded", "What would happen next"],
        ),
        (["--at", MOMENT, "--late-events", "included"], ["What had happened", "What was known"]),
    ):
        command = [sys.executable, "-m", "lifecycle", "explain", "anna", *flags]
        seen = on_a_terminal(command, home, columns=80)
        for title in titles:
            assert f"\x1b[1m{title}" in seen

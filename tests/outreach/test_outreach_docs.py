"""What docs/outreach.md says of verdicts, groups and staff is what happens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from lifecycle.domain.policy import Cap, Period, QuietHours, Sending, WorkingDays
from lifecycle.outreach.assignment import share
from lifecycle.outreach.channels.settings import read_channels
from lifecycle.outreach.channels.task import KIND
from lifecycle.outreach.reasons import told
from lifecycle.outreach.staff import owner_for, staff_of
from lifecycle.outreach.verdict import Defer, Reason, Send, Spent
from tests.outreach.cases import case, judged, local, sent
from tests.outreach.letters import letter

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "outreach.md").read_text("utf-8")


def rows(first_heading: str) -> list[list[str]]:
    """The cells of the table that begins with this heading."""
    table = DOCUMENT.partition(f"| {first_heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]


def test_every_reason_is_documented_in_the_order_in_which_it_is_asked() -> None:
    documented = rows("reason")
    assert [row[0] for row in documented] == [f"`{reason}`" for reason in Reason]
    assert [row[2] for row in documented] == [told(reason) for reason in Reason]
    ends = [row[1].startswith("never") for row in documented]
    assert ends == [list(Reason).index(one) < list(Reason).index(Reason.CAP) for one in Reason]


def test_the_share_of_the_example_is_the_one_that_is_told() -> None:
    what, customer = re.findall(r"printf '%s' '(.*):(.*)' \| sha256sum", DOCUMENT)[0]
    assert f"here {share(customer, what):.4f}." in DOCUMENT


def instant(text: str) -> datetime:
    """`Wed 13 May 2026 12:00`, in Shanghai; the day of the week must be right."""
    found = datetime.strptime(text, "%a %d %b %Y %H:%M")  # noqa: DTZ007 - made aware below
    assert f"{found:%a}" == text[:3]
    return local(found.isoformat())


def parts(obstacles: str) -> Iterator[tuple[str, Any]]:
    """What the words of the second column stand for."""
    days: dict[str, Any] = {}
    for words in obstacles.split("; "):
        if quiet := re.fullmatch(r"quiet from (\S+) to (\S+)", words):
            since, until = map(time.fromisoformat, quiet.groups())
            yield "quiet", QuietHours(since=since, until=until)
        elif cap := re.fullmatch(r"1 (within|per) (\w+), sent on (.*)", words):
            window = timedelta(days=7) if cap[2] == "7d" else Period(cap[2])
            yield "caps", (Cap(most=1, window=window),)
            yield "spent", sent(instant(cap[3]))
        elif words == "Monday to Friday":
            days["weekdays"] = frozenset(range(5))
        elif holidays := re.fullmatch(r"holidays of (\w\w)", words):
            days["holidays"] = holidays[1]
        elif opened := re.fullmatch(r"open (\S+)", words):
            days["open"] = frozenset({date.fromisoformat(opened[1])})
        else:
            assert words == "nothing"
    if days:
        yield "working_days", WorkingDays(**days)


@pytest.mark.parametrize("row", rows("now, in Shanghai"), ids=lambda row: " / ".join(row[:2]))
def test_the_examples_go_when_it_is_said(row: list[str]) -> None:
    said = dict(parts(row[1]))
    spent: list[Spent] = [said.pop("spent")] if "spent" in said else []
    found = judged(case(), Sending(**said), *spent, at=instant(row[0]))
    if row[2] == "at once":
        assert found == Send(channel="email")
    else:
        assert found == Defer(until=instant(row[2]), reason=Reason(row[3].strip("`")))


def test_there_are_examples_of_every_kind() -> None:
    reasons = {row[3] for row in rows("now, in Shanghai")}
    assert reasons == {"", "`cap`", "`quiet_hours`", "`closed_day`"}


def test_the_staff_of_the_example_is_read_and_chosen_from(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    (tmp_path / "channels.yaml").write_text(example, "utf-8")
    (channel,) = read_channels(tmp_path, {}, {"task": KIND}).channels or ()
    staff = staff_of(channel.fields)
    assert owner_for(staff, letter(tier="gold")) == "olga"
    assert owner_for(staff, letter(language="zh")) == "wei"
    assert owner_for(staff, letter(language="de")) == "tom"
    others = {owner_for(staff, letter(customer=f"c{n}", language="en")) for n in range(100)}
    assert others == {"wei", "tom"}

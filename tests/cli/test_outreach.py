"""`lifecycle outreach …`: what is shown of messages, what a person asks for, and what comes back."""

from __future__ import annotations

import io
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lifecycle import resources
from lifecycle.bootstrap import Engine, build
from lifecycle.cli.exits import Code
from lifecycle.clock import ClockSpec
from lifecycle.domain.builtin import CONSENT_GIVEN, PROFILE_CHANGED
from lifecycle.domain.event import Event
from lifecycle.domain.instant import instant_text
from lifecycle.settings import Settings
from tests.cli.conftest import Lifecycle, Ran
from tests.outreach import test_dsn
from tests.support.engine import draft

NOW = datetime(2026, 3, 3, 2, 30, tzinfo=UTC)  # a Tuesday, half past ten in Shanghai
SECRET = "a secret of the tests, not of any shop"
FILES = """
company: {name: Example Tea, address: "1 Example Road, 200000 Shanghai, China"}
channels:
  email:
    kind: file
    folder: letters
    senders: {care: {name: Example Tea, address: care@mail.example.com}}
  sms: {kind: outbox}
  task: {kind: outbox}
"""


def event(customer: str, kind: str, minutes_ago: int, /, **properties: object) -> Event:
    at = NOW - timedelta(minutes=minutes_ago)
    return Event("shop", f"{customer}-{kind}", customer, kind, at, at, properties)


def known(customer: str, name: str) -> list[Event]:
    attributes = {"name": name, "email": f"{customer}@example.org", "language": "en"}
    return [
        event(customer, PROFILE_CHANGED, 200, attributes=attributes),
        event(customer, CONSENT_GIVEN, 190, purpose="marketing", channel="email"),
    ]


HISTORY = (
    *known("anna", "Anna Fields"),
    event("anna", "lead_captured", 120),
    event("anna", "enquiry_made", 30, topic="delivery", product="Teapot 800 ml"),
    *known("bert", "Bert"),
    event("carl", "lead_captured", 120),
)


@pytest.fixture
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With the policy and the texts that ship; every channel is an outbox."""
    (home / "config").mkdir()
    shutil.copy(resources.config_dir() / "policy.yaml", home / "config")
    monkeypatch.setenv("LIFECYCLE_CONFIG_DIR", str(home / "config"))
    monkeypatch.setenv("LIFECYCLE_SECRET", SECRET)
    return Settings(
        database_url=f"sqlite:///{home / 'lifecycle.db'}",
        config_dir=home / "config",
        secret=SECRET.encode(),
        clock=ClockSpec.parse(instant_text(NOW)),
    )


def live(settings: Settings) -> None:
    """All that has happened is applied, and everything that is due leaves."""
    with build(settings, sends=True) as engine:
        engine.accept([draft(each) for each in HISTORY])
        go_on(engine)


def go_on(engine: Engine) -> None:
    engine.apply_pending()
    engine.fire_due()
    assert engine.send_due()
    engine.stop_sending()


@pytest.fixture
def shop(lifecycle: Lifecycle, settings: Settings) -> Lifecycle:
    live(settings)
    return lifecycle


@pytest.fixture
def filing(lifecycle: Lifecycle, settings: Settings) -> Lifecycle:
    """A shop whose e-mails are written into a folder."""
    (settings.config_dir / "channels.yaml").write_text(FILES, encoding="utf-8")
    live(settings)
    assert lifecycle("outreach", "resume", "real").code == Code.OK
    return lifecycle


def listed(shop: Lifecycle, *flags: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = shop("outreach", "list", *flags, "--json").json["messages"]
    return messages


def number_of(shop: Lifecycle, rule: str, customer: str = "anna") -> str:
    (found,) = [
        each for each in listed(shop, "--rule", rule, "--customer", customer) if each["number"] == 1
    ]
    return str(found["id"])


# -- looking ---------------------------------------------------------------------------------


def test_every_message_is_listed_with_what_became_of_it(shop: Lifecycle) -> None:
    fates = {
        (m["customer"], m["rule"], m["number"]): (m["fate"], m["reason"]) for m in listed(shop)
    }
    assert fates == {
        ("anna", "nurture", 1): ("sent", None),
        ("anna", "nurture", 2): ("queued", None),
        ("anna", "nurture", 3): ("queued", None),
        ("anna", "answer-enquiry", 1): ("sent", None),
        ("anna", "enquiry-received", 1): ("sent", None),
        ("carl", "nurture", 1): ("suppressed", "no_address"),
        ("carl", "nurture", 2): ("queued", None),
        ("carl", "nurture", 3): ("queued", None),
    }
    rows = [
        line.split() for line in shop("outreach", "list", "--customer", "carl").out.splitlines()
    ]
    assert [row[3:] for row in rows if "nurture" in row] == [
        ["nurture", "3", "carl", "queued,", "from", "2026-03-10", "00:30:00"],
        ["nurture", "2", "carl", "queued,", "from", "2026-03-06", "00:30:00"],
        ["nurture", "carl", "suppressed:", "no_address"],
    ]


def test_the_list_is_narrowed(shop: Lifecycle) -> None:
    assert {m["fate"] for m in listed(shop, "--fate", "queued")} == {"queued"}
    assert {m["rule"] for m in listed(shop, "--rule", "nurture")} == {"nurture"}
    assert {m["customer"] for m in listed(shop, "--customer", "carl")} == {"carl"}
    assert len(listed(shop, "--limit", "2")) == 2
    misspelt = shop("outreach", "list", "--rule", "nurtur")
    assert misspelt.code == Code.BAD_INPUT
    assert 'did you mean "nurture"?' in misspelt.err
    told = misspelt.err.replace("--rule", "RULE")
    assert shop("outreach", "again", "nurtur").err == told, "the same words, wherever it is named"
    assert listed(shop, "--rule", "early-access") == []


def test_whom_nobody_knows_and_what_no_message_becomes_are_refused(shop: Lifecycle) -> None:
    nobody = shop("outreach", "list", "--customer", "zoe")
    assert (nobody.code, nobody.err) == (Code.REFUSED, "error: no customer is known as 'zoe'\n")
    assert shop("outreach", "list", "--fate", "lost").code == Code.USAGE


def test_on_a_narrow_terminal_no_name_of_a_rule_is_broken(
    shop: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = shop("outreach", "list").out.splitlines()
    assert max(map(len, lines)) <= 80
    for name in ("enquiry-received", "answer-enquiry"):
        assert any(name in line.split() for line in lines)


def test_a_message_is_shown_with_its_text_as_it_would_be_read(shop: Lifecycle) -> None:
    ran = shop("outreach", "show", number_of(shop, "nurture"))
    about, _, letter = ran.out.partition("\n\nYour company\n")
    rows = [line.split(maxsplit=1) for line in about.splitlines()[2:]]
    assert [
        row for row in rows if row and row[0] in {"customer", "message", "fate", "to", "subject"}
    ] == [
        ["customer", "anna"],
        ["message", "nurture by email"],
        ["fate", "sent"],
        ["to", "anna@example.org"],
        ["subject", "Nice to meet you"],
    ]
    assert "Dear Anna,\n\nThank you for getting in touch." in letter
    assert "\\n" not in ran.out


def test_no_text_of_a_letter_commands_the_terminal(shop: Lifecycle, settings: Settings) -> None:
    """Whatever the outbox holds: in e-mails there are such characters, to keep a preview clean."""
    number = number_of(shop, "nurture")
    with build(settings) as engine:
        engine.db.run(
            lambda tx: tx.connection.execute(
                "UPDATE shown_letter SET content = json_set(content, '$.text',"
                " 'Hello' || char(27) || '[2J' || char(10) || char(8238) || 'you')"
            )
        )
    assert shop("outreach", "show", number).out.endswith("\nHello\\u001b[2J\n\\u202eyou\n")


def test_the_e_mail_itself_is_handed_on(shop: Lifecycle) -> None:
    html = shop("outreach", "show", number_of(shop, "nurture"), "--html").out
    assert html.startswith("<!doctype html>")
    assert "Dear Anna," in html


def test_what_the_outbox_does_not_have_is_told(filing: Lifecycle) -> None:
    number = number_of(filing, "nurture")
    ran = filing("outreach", "show", number, "--html")
    assert (ran.code, ran.out) == (Code.REFUSED, "")
    assert f"the outbox shows no e-mail of message {number}" in ran.err
    gone = filing("outreach", "show", "4711")
    assert (gone.code, gone.err) == (
        Code.REFUSED,
        "error: there is no message of the number 4711\n",
    )


def test_one_message_as_a_document(shop: Lifecycle) -> None:
    found = shop("outreach", "show", number_of(shop, "enquiry-received"), "--json").json
    assert (found["customer"], found["fate"], found["channel"]) == ("anna", "sent", "email")
    (tried,) = found["tried"]
    assert (tried["number"], tried["outcome"], tried["language"]) == (1, "accepted", "en")
    assert found["letter"]["subject"] == "Your question about Teapot 800 ml has arrived"


# -- pausing ---------------------------------------------------------------------------------


def test_what_is_paused_is_shown_until_it_is_resumed(shop: Lifecycle) -> None:
    pausing = ("outreach", "pause", "rule:nurture", "--why", "look\x1b[2J first", "--by", "olga")
    assert shop(*pausing).out == "rule:nurture is paused.\n"
    assert shop(*pausing).out == "rule:nurture is paused already.\n"
    assert shop(*pausing, "--json").json == {"done": None}
    told = "⏸ rule:nurture is paused since 2026-03-03 02:30:00 UTC by olga: look\\u001b[2J first\n"
    assert told in shop("outreach", "list").out
    (paused,) = [
        each
        for each in shop("outreach", "list", "--json").json["paused"]
        if each["scope"] == "rule:nurture"
    ]
    assert (paused["by"], paused["why"]) == ("olga", "look\x1b[2J first")
    assert shop("outreach", "resume", "rule:nurture").out == "rule:nurture is sent again.\n"
    assert shop("outreach", "resume", "rule:nurture").out == "rule:nurture was not paused.\n"
    assert "rule:nurture" not in shop("outreach", "list").out


@pytest.mark.parametrize(
    ("scope", "hint"),
    [
        ("nurture", 'did you mean "rule:nurture"?'),
        ("rule:nurtur", 'did you mean "rule:nurture"?'),
        ("channel:emial", 'did you mean "channel:email"?'),
        ("everything", None),
    ],
)
@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_scope_that_is_none_is_refused(
    shop: Lifecycle, command: str, scope: str, hint: str | None
) -> None:
    ran = shop("outreach", command, scope)
    assert ran.code == Code.BAD_INPUT
    assert f"called '{scope}'; nothing was changed" in ran.err
    assert "expected: all, real, rule:<name>, channel:<name> or marketing:<channel>" in ran.err
    assert hint is None or hint in ran.err


def test_what_was_paused_leaves_once_it_is_resumed(
    lifecycle: Lifecycle, settings: Settings
) -> None:
    build(settings).close()
    lifecycle("outreach", "pause", "all")
    live(settings)
    assert {m["fate"] for m in listed(lifecycle)} == {"queued"}
    lifecycle("outreach", "resume", "all")
    with build(settings, sends=True) as engine:
        go_on(engine)
    assert [m["fate"] for m in listed(lifecycle, "--rule", "enquiry-received")] == ["sent"]


def test_pausing_does_not_wait_for_whoever_runs(shop: Lifecycle, settings: Settings) -> None:
    with build(settings):
        assert shop("outreach", "pause", "channel:email").code == Code.OK
        assert shop("outreach", "list").code == Code.OK


# -- asking ----------------------------------------------------------------------------------


def test_whoever_is_named_twice_under_one_name_gets_it_once(
    shop: Lifecycle, settings: Settings, home: Path
) -> None:
    (home / "to.txt").write_text("\ufeffanna\n\n  bert \nanna\nzoe\x1b[2J\n", encoding="utf-8")
    asking = ("outreach", "send", "product-news", "--to", "to.txt", "--name", "march")
    assert shop(*asking).out == (
        "2 messages of product-news asked for; 1 named more than once.\n"
        "Nobody is known as “zoe\\u001b[2J”: nothing is asked for there.\n"
        "Each leaves when its rule, consent, caps and quiet hours allow it: `lifecycle outreach list"
        " --rule product-news` shows when, or why not.\n"
    )
    assert shop(*asking).out.startswith(
        "0 messages of product-news asked for; 2 had been asked for before; 1 named more than once.\n"
    )
    more = shop(*asking, "--customer", "carl", "--json").json
    counts = {"new": 1, "before": 2, "repeated": 1}
    assert more == {**counts, "unknown": ["zoe\x1b[2J"], "paused": []}
    with build(settings) as engine:
        engine.apply_pending()
    assert len(listed(shop, "--rule", "product-news")) == 3


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_who_asks_for_somebody_unknown_is_told_by_the_exit_code(
    shop: Lifecycle, more: tuple[str, ...]
) -> None:
    """The others are asked for all the same, and a second time all the same tells of the unknown one."""
    asking = ("outreach", "send", "product-news", "--name", "march", "--customer", "anna", *more)
    for _ in range(2):
        ran = shop(*asking, "--customer", "nobody")
        assert (ran.code, ran.err) == (Code.REFUSED, "")
        assert "nobody" in ran.out
    ran = shop(*asking)
    assert ran.code == Code.OK
    assert "had been asked for before" in ran.out or ran.json["before"] == 1


def test_who_asks_while_it_is_paused_is_told_what_keeps_it(shop: Lifecycle) -> None:
    for scope in ("rule:product-news", "channel:email", "channel:sms", "rule:nurture"):
        assert shop("outreach", "pause", scope, "--by", "olga").code == Code.OK
    asking = ("outreach", "send", "product-news", "--customer", "anna", "--name", "march")
    told = shop(*asking).out
    assert told.count("is paused since") == 2
    assert "rule:product-news is paused since" in told
    paused = shop(*asking, "--json").json["paused"]
    assert [one["scope"] for one in paused] == ["channel:email", "rule:product-news"]


def test_of_a_message_that_waits_the_text_it_would_have_is_named(
    shop: Lifecycle, settings: Settings
) -> None:
    """It is written by who sends it; how it reads so far is shown by the command that is told."""
    assert shop("outreach", "pause", "all").code == Code.OK
    shop("outreach", "send", "product-news", "--customer", "anna", "--name", "march")
    with build(settings) as engine:
        engine.apply_pending()
    number = number_of(shop, "product-news")
    waits = shop("outreach", "show", number, "--json").json["waits"]
    assert waits == {
        "template": "product-news/email.en.mjml",
        "language": "en",
        "preview": "lifecycle template preview product-news --customer anna --channel email --step 1",
    }
    told = shop("outreach", "show", number).out
    assert f"from {waits['template']} as of now:\n  {waits['preview']}\n" in told
    assert "Anna" in shop(*waits["preview"].split()[1:]).out
    assert shop("outreach", "show", number_of(shop, "nurture"), "--json").json["waits"] is None


def test_of_many_whom_nobody_knows_ten_are_named(shop: Lifecycle, home: Path) -> None:
    (home / "to.txt").write_text("".join(f"nobody-{n}\n" for n in range(1_012)))
    asked = shop("outreach", "send", "product-news", "--to", "to.txt", "--name", "march")
    assert asked.code == Code.REFUSED
    assert asked.out.endswith("“nobody-9” and 1,002 more: nothing is asked for there.\n")


def test_keys_may_come_through_a_pipe(shop: Lifecycle, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = piped(
        monkeypatch, shop, b"bert\n", "send", "product-news", "--to", "-", "--name", "march"
    )
    assert ran.out.startswith("1 message of product-news asked for.\nEach leaves when")


@pytest.mark.parametrize("rule", ["nurture", "product-new"])
def test_only_what_can_be_asked_for_is_sent(shop: Lifecycle, rule: str) -> None:
    ran = shop("outreach", "send", rule, "--customer", "anna", "--name", "march")
    assert ran.code == Code.BAD_INPUT
    assert f"no rule '{rule}' that can be asked for (`on: request`); nothing was changed" in ran.err
    assert "expected: early-access, product-news" in ran.err


def test_a_list_that_cannot_be_read_changes_nothing(shop: Lifecycle, home: Path) -> None:
    (home / "utf-16.txt").write_text("anna\nbert\n", encoding="utf-16")
    (home / "gbk.txt").write_bytes("anna\n王芳\n".encode("gbk"))
    asking = ("outreach", "send", "product-news", "--name", "march")
    for flags, code, told in (
        ((), Code.USAGE, "name customers by --to FILE or --customer KEY"),
        (("--to", "gone.txt"), Code.NO_INPUT, "gone.txt: No such file or directory; nothing was"),
        (("--to", "."), Code.NO_INPUT, ".: Is a directory; nothing was changed"),
        (("--to", "utf-16.txt"), Code.BAD_INPUT, "utf-16.txt:1: this is not UTF-8 text; nothing"),
        (("--to", "gbk.txt"), Code.BAD_INPUT, "gbk.txt:2: this is not UTF-8 text; nothing was"),
    ):
        ran = shop(*asking, *flags)
        assert (ran.code, told in ran.err) == (code, True), ran.err
    assert shop(*asking, "--customer", "anna", "--json").json["before"] == 0


# -- what comes back -------------------------------------------------------------------------


def piped(monkeypatch: pytest.MonkeyPatch, shop: Lifecycle, told: bytes, *command: str) -> Ran:
    """As at the end of a pipe."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(told), encoding="utf-8"))
    return shop("outreach", *command)


def returned(shop: Lifecycle, **about: str) -> bytes:
    """Of the letter that anna got."""
    tried = shop("outreach", "show", number_of(shop, "nurture"), "--json").json["tried"]
    return test_dsn.bounce(**about).replace(test_dsn.KEY.encode(), tried[0]["letter"].encode())


def test_a_letter_that_bounced_silences_its_address_until_a_person_lifts_that(
    filing: Lifecycle, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "✓ it may be written to" in filing("outreach", "suppressed", "anna@example.org").out
    mail = returned(filing)
    ran = piped(monkeypatch, filing, mail, "bounce")
    assert (ran.code, ran.out) == (Code.OK, "Hard bounce: nurture by email (5.1.1).\n")
    ran = piped(monkeypatch, filing, mail, "bounce", "--json")
    assert ran.json == {"status": "duplicate", "news": "hard", "code": "5.1.1"}
    told = filing("outreach", "suppressed", "Anna@Example.org").out
    assert told.startswith("all since ")
    assert told.endswith(" UTC: hard_bounce\n")
    lifting = ("outreach", "suppressed", "anna@example.org", "--lift")
    assert filing(*lifting, "marketing").out.startswith("It was not suppressed in marketing.\nall")
    assert filing(*lifting, "all").out == "all is lifted.\n✓ it may be written to\n"
    assert filing(*lifting, "all", "--json").json == {"suppressed": [], "lifted": None}
    with build(settings) as engine:
        engine.apply_pending()
    story = filing("explain", "anna").out
    assert "nurture (email) came back for good (5.1.1, a hard bounce)." in story


def test_a_bounce_is_told_as_a_document(filing: Lifecycle, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = piped(monkeypatch, filing, returned(filing), "bounce", "--json")
    said = {"news": "hard", "rule": "nurture", "channel": "email", "code": "5.1.1"}
    assert ran.json == {"status": "recorded", **said}


@pytest.mark.parametrize(
    ("mail", "why"),
    [
        (b"Auto-Submitted: auto-replied\nSubject: I am away\n\nUntil Monday.\n", "auto_reply"),
        (b"Subject: hello\n\nhello\n", "no_report"),
        (b"", "no_report"),
        (bytes(range(256)) * 40, "no_report"),
        (b"x" * 1_100_000, "too_large"),
    ],
)
def test_a_mail_that_reports_nothing_changes_nothing(
    filing: Lifecycle, monkeypatch: pytest.MonkeyPatch, mail: bytes, why: str
) -> None:
    ran = piped(monkeypatch, filing, mail, "bounce")
    assert (ran.code, ran.out) == (Code.OK, f"Nothing was changed: {why}.\n")
    ran = piped(monkeypatch, filing, mail, "bounce", "--json")
    assert ran.json == {"status": "ignored", "why": why}


def test_a_report_of_a_letter_that_is_not_ours_changes_nothing(
    filing: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = piped(monkeypatch, filing, test_dsn.bounce(), "bounce")
    assert (ran.code, ran.out) == (Code.OK, "Nothing was changed: it names no letter of ours.\n")
    ran = piped(monkeypatch, filing, test_dsn.bounce(), "bounce", "--json")
    assert ran.json == {"status": "unmatched", "news": "hard", "code": "5.1.1"}
    assert "it may be written to" in filing("outreach", "suppressed", "anna@example.org").out


def test_bounces_of_letters_that_are_not_ours_are_shown(
    monkeypatch: pytest.MonkeyPatch, filing: Lifecycle
) -> None:
    assert filing("outreach", "unmatched").out == "no bounce or complaint is kept\n"
    piped(monkeypatch, filing, test_dsn.bounce(), "bounce")
    shown = filing("outreach", "unmatched").out
    assert "it names" in shown
    assert all(word in shown for word in ("hard", "5.1.1", "email", test_dsn.KEY))
    (found,) = filing("outreach", "unmatched", "--json").json["unmatched"]
    assert (found["news"], found["code"], found["channel"]) == ("hard", "5.1.1", "email")
    assert found["named"] == [test_dsn.KEY]


def test_without_a_secret_no_address_is_known(
    lifecycle: Lifecycle, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIFECYCLE_SECRET")
    ran = lifecycle("outreach", "suppressed", "anna@example.org")
    assert ran.code == Code.CONFIGURATION
    assert "LIFECYCLE_SECRET names it" in ran.err


# -- channels that are not ready -------------------------------------------------------------

BARE = """
channels:
  email:
    kind: smtp
    host: smtp.example.com
    password: {env: SMTP_PASSWORD}
    username: mailer
    senders: {care: {name: Example Tea, address: care@mail.example.com}}
"""


def test_whoever_starts_and_whoever_looks_is_told_which_channel_is_not_ready(
    lifecycle: Lifecycle,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (settings.config_dir / "channels.yaml").write_text(BARE, encoding="utf-8")
    monkeypatch.setenv("SMTP_PASSWORD", "unknown")
    live(settings)
    told = "channel email not ready: marketing needs a postal address; set company: address in"
    warned, undescribed = [each for each in caplog.messages if "not ready" in each]
    assert warned.startswith(told)
    assert warned.endswith("(marketing waits)")
    missing = "channel task not ready: channels.yaml does not describe it (everything waits)"
    assert undescribed == missing
    assert f"! {told}" in lifecycle("outreach", "list").out
    unready, _ = lifecycle("outreach", "list", "--json").json["not_ready"]
    assert (unready["channel"], unready["only_marketing"]) == ("email", True)
    assert any("nobody signs its letters" in each for each in unready["lacking"])
    held = listed(lifecycle, "--rule", "nurture", "--fate", "deferred")
    assert {m["reason"] for m in held} == {"paused"}


def test_whoever_looks_without_the_secrets_of_whoever_sends_sees_the_messages_all_the_same(
    shop: Lifecycle, settings: Settings
) -> None:
    (settings.config_dir / "channels.yaml").write_text(BARE, encoding="utf-8")
    ran = shop("outreach", "list")
    assert ran.code == Code.OK
    assert "! as this command is set up, no channel could be opened:" in ran.out
    assert "the environment variable SMTP_PASSWORD is not set" in ran.out
    assert "enquiry-received" in ran.out
    assert shop("outreach", "list", "--json").json["not_ready"] is None


def test_a_shop_that_only_shows_lacks_nothing(shop: Lifecycle) -> None:
    assert shop("outreach", "list", "--json").json["not_ready"] == []

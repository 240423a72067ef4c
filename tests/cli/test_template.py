"""`lifecycle template …`: what whoever writes messages is told, and shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lifecycle import resources
from lifecycle.cli import picture
from lifecycle.cli.exits import Code
from tests.cli.conftest import Lifecycle

DB = "sqlite:///x.db"
POLICY = """
version: 1
timezone: Asia/Shanghai
currency: CNY
rates: {GBP: {1994-01-01: 10}}
attributes: {name: text}
states:
  new: {initial: true}
  deal: {final: true}
events:
  order_paid:
    properties: {amount: {type: money, required: true}, order_id: text, currency: currency}
  order_refunded:
    properties: {amount: {type: money, required: true}, order_id: text, currency: currency}
facts:
  orders: {count: order_paid}
transitions:
  - {name: buys, from: new, on: order_paid, to: deal}
outreach:
  - {name: thanks, on: {transition: buys}, channels: [email, sms], class: service}
"""
MAIL = """---
subject: Hello {{ customer | name }}
---
<mj-section><mj-column><mj-text>You paid {{ cause.event.amount | money(cause.event.currency) }}.</mj-text></mj-column></mj-section>
"""


@pytest.fixture
def shop(lifecycle: Lifecycle, home: Path) -> Lifecycle:
    for name, text in {
        "config/policy.yaml": POLICY,
        "templates/_layouts/brand.mjml": "<mjml><mj-body>{{ body }}</mj-body></mjml>",
        "templates/thanks/email.en.mjml": MAIL,
        "templates/thanks/sms.en.txt": "Thank you",
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")

    def run(*arguments: str | Path) -> object:
        return lifecycle(*arguments, "--config-dir", "config", "--templates-dir", "templates")

    return run  # type: ignore[return-value]


def test_good_templates_are_fine(shop: Lifecycle) -> None:
    ran = shop("template", "check")
    assert ran.code == Code.OK
    assert "thanks/sms.en.txt: 1 short message (GSM-7, 9 places)" in ran.out
    assert "templates: fine: 0 errors, 0 warnings; 2 templates filled in" in ran.out


def test_every_problem_is_told_with_its_line_and_a_caret(shop: Lifecycle, home: Path) -> None:
    (home / "templates/thanks/sms.en.txt").write_text("Hi\n{{ custmer.name }} {{ facts.order }}")
    (home / "templates/thanks/email.en.mjml").write_text(
        MAIL.replace("</mj-text>", "<b></mj-text>")
    )
    ran = shop("template", "check")
    assert ran.code == Code.REFUSED
    assert (
        "thanks/sms.en.txt:2:4: error unknown_variable: custmer: nothing has this name;"
        " did you mean customer.name?\n    {{ custmer.name }} {{ facts.order }}\n       ^\n"
    ) in ran.out
    assert "thanks/email.en.mjml:4:" in ran.out
    assert "error tag_not_closed: <b> is closed nowhere" in ran.out
    found = shop("template", "check", "--json").json
    assert found["accepted"] is False
    assert {each["code"] for each in found["findings"]} >= {"unknown_variable", "tag_not_closed"}


def test_a_message_that_no_rule_has_is_refused(shop: Lifecycle) -> None:
    for command in (("check", "thnaks"), ("preview", "thnaks")):
        ran = shop("template", *command)
        assert ran.code == Code.REFUSED
        assert 'did you mean "thanks"?' in ran.err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--step", "9"), "step of thanks: found 9; allowed: 1 to 1"),
        (("--variant", "nope"), 'variant of thanks: found "nope"; none is declared'),
    ],
)
def test_a_step_or_a_variant_that_the_rule_does_not_have_is_refused(
    shop: Lifecycle, flags: tuple[str, str], told: str
) -> None:
    ran = shop("template", "preview", "thanks", *flags)
    assert ran.code == Code.REFUSED
    assert told in ran.err


def test_a_preview_shows_what_a_made_up_customer_would_get(shop: Lifecycle, home: Path) -> None:
    ran = shop("template", "preview", "thanks")
    assert ran.code == Code.OK
    assert ran.out == "Subject: Hello Anna\n\nYou paid CN¥1,280.00.\n\n"
    assert shop("template", "preview", "thanks", "--channel", "sms").out == "Thank you\n\n"
    assert shop("template", "preview", "thanks", "--to", "html", "--out", "x.html").code == Code.OK
    assert "You paid CN¥1,280.00." in (home / "x.html").read_text(encoding="utf-8")


def test_a_preview_for_a_customer_says_what_she_would_read(
    lifecycle: Lifecycle, shop: Lifecycle, orders: Path
) -> None:
    mapping = resources.config_dir() / "mappings" / "online-retail.yaml"
    stored = lifecycle("import", orders, "-m", mapping, "--config-dir", "config", "--database", DB)
    assert stored.code == Code.OK, stored.err
    ran = shop("template", "preview", "thanks", "--customer", "anna", "--database", DB)
    assert ran.out == "Subject: Hello customer\n\nYou paid £12.50.\n\n", ran.err
    gone = shop("template", "preview", "thanks", "--customer", "zoe", "--database", DB)
    assert gone.code == Code.REFUSED


def test_it_is_counted_for_how_many_customers_a_variable_is_missing(
    lifecycle: Lifecycle, shop: Lifecycle, orders: Path, home: Path
) -> None:
    (home / "templates/thanks/sms.en.txt").write_text("Hi {{ customer.name }} {{ facts.orders }}")
    mapping = resources.config_dir() / "mappings" / "online-retail.yaml"
    lifecycle("import", orders, "-m", mapping, "--config-dir", "config", "--database", DB)
    told = "sms.en.txt:1:7: warning may_be_missing: customer.name: "
    assert f"{told}some customers have no value" in shop("template", "check").out
    ran = shop("template", "check", "--customers", "--database", DB)
    assert ran.code == Code.OK, ran.err
    assert f"{told}missing for 2 of 2 customers, who would get no message; write" in ran.out
    assert "fine: 0 errors, 1 warning" in ran.out


def test_a_preview_that_cannot_be_filled_in_says_where(shop: Lifecycle, home: Path) -> None:
    (home / "templates/thanks/sms.en.txt").write_text("Hi\n{{ customer.gone }}")
    ran = shop("template", "preview", "thanks", "--channel", "sms")
    assert ran.code == Code.BAD_INPUT
    assert "customer.gone has no value here" in ran.err
    assert "thanks/sms.en.txt:2" in ran.err


def test_a_message_without_html_has_no_picture(shop: Lifecycle) -> None:
    ran = shop("template", "preview", "thanks", "--channel", "sms", "--to", "png")
    assert ran.code == Code.BAD_INPUT
    assert "use --to text" in ran.err


def test_without_a_browser_it_is_said_what_to_install(
    shop: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture, "BROWSERS", ("no-such-browser",))
    ran = shop("template", "preview", "thanks", "--to", "png")
    assert ran.code == Code.CONFIGURATION
    assert "install Chromium" in ran.err


@pytest.mark.skipif(
    not any(map(shutil.which, picture.BROWSERS)), reason="no browser on this machine"
)
def test_a_picture_is_as_wide_as_it_is_asked_for(shop: Lifecycle, home: Path) -> None:
    ran = shop("template", "preview", "thanks", "--to", "png", "--width", "375", "--dark")
    assert ran.code == Code.OK, ran.err
    drawn = (home / "thanks.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert int.from_bytes(drawn[16:20]) == 375 * picture.SHARPNESS

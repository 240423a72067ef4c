"""Rows 41–42, 46–55 and 74–77 of the bad inputs, in their order: each gets its error where it is put in.

Every row goes through the outermost interface: the command line, HTTP, or the opening of channels.
What is behind a row is proven at length elsewhere; this is the list.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from lifecycle import cli
from lifecycle.bootstrap import Engine, build
from lifecycle.cli.exits import Code
from lifecycle.domain.builtin import PROFILE_CHANGED
from lifecycle.domain.event import Event
from lifecycle.outreach.hooks import TwilioHook
from lifecycle.settings import Settings
from tests.cli.conftest import Ran
from tests.intake.bad_input import event
from tests.outreach import test_dsn, test_hooks
from tests.support.engine import draft
from tests.support.logs import as_it_was
from tests.web.conftest import running, serving
from tests.web.letters import Sent, leaving, scopes, send
from tests.web.test_feedback_reports import MAIL, twilio

POLICY = """\
version: 1
timezone: Asia/Shanghai
currency: CNY
attributes: {name: text, email: text, phone: text, language: text, tier: text}
states:
  new: {initial: true}
  deal: {final: true}
events:
  order_paid: {properties: {amount: money, product: text}}
  news: {properties: {product: text}}
transitions:
  - {name: buys, from: new, on: order_paid, to: deal}
outreach:
  - {name: thanks, on: {event: news}, channels: [email, sms], class: service}
  - {name: offer, on: {event: order_paid}, channels: [email, sms]}
"""
LAYOUT = '<mjml><mj-body>{{ body }}<mj-section><mj-column><mj-text><a href="{{ links.unsubscribe }}">Leave</a></mj-text></mj-column></mj-section></mj-body></mjml>'
HELLO = 'Hello {{ customer.name | default("you") }}'
MAIL_TEXT = """\
---
subject: Hello {{ customer.name | default("you") }}
---
<mj-section><mj-column><mj-text>
Good day
</mj-text></mj-column></mj-section>
"""


class Shop(Protocol):
    def __call__(self, *arguments: str) -> Ran: ...


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shop]:
    """`lifecycle …` in a folder with a policy, and with a text for each of its messages."""
    for name, text in {
        "policy.yaml": POLICY,
        "templates/_layouts/brand.mjml": LAYOUT,
        "templates/thanks/email.en.mjml": MAIL_TEXT,
        "templates/thanks/sms.en.txt": "Thank you\n",
        "templates/offer/email.en.mjml": MAIL_TEXT,
        "templates/offer/sms.en.txt": "An offer\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("LIFECYCLE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("LIFECYCLE_TEMPLATES_DIR", str(tmp_path / "templates"))

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = cli.run(list(arguments))
        told = capsys.readouterr()
        return Ran(code=code, out=told.out, err=told.err)

    with as_it_was():
        yield run


def written(name: str, text: str) -> None:
    Path("templates", name).write_text(text, encoding="utf-8")


def refused(ran: Ran, place: str, code: str, words: str) -> None:
    """A command that looks at files ends with 1, and tells the place, the code and what to do."""
    assert ran.code == Code.REFUSED, ran.out + ran.err
    assert f"{place}: error {code}: " in ran.out
    assert words in ran.out


# -- 41 and 42: the policy -------------------------------------------------------------------

SENDING = [
    (41, "timezone: Asia/Shanghai", "timezone: CST", "2:11", "unknown_zone", "use an IANA name such as Asia/Shanghai"),
    (41, "timezone: Asia/Shanghai", "timezone: UTC+8", "2:11", "unknown_zone", "use an IANA name such as Asia/Shanghai"),
    (41, "timezone: Asia/Shanghai", "timezone: Asia/Peking", "2:11", "unknown_zone", "Asia/Shanghai"),
    (41, "version: 1", 'version: 1\nsending: {quiet: {since: "22:00", until: "22:00"}}', "2:42", "empty_or_full_day", "an empty or a full-day window, say which"),
    (42, "version: 1", "version: 1\nsending: {caps: [{most: 0, class: marketing}]}", "2:25", "block_not_said", "block: true, to say so"),
    (42, "class: service}", "class: service, cap: }", "14:79", "wrong_value", "null (no cap holds for this rule"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "before", "after", "place", "code", "words"), SENDING)
def test_rows_41_and_42_of_a_policy(
    shop: Shop, row: int, before: str, after: str, place: str, code: str, words: str
) -> None:
    policy = Path("policy.yaml")
    policy.write_text(POLICY.replace(before, after, 1), encoding="utf-8")
    refused(shop("policy", "check", "policy.yaml"), f"policy.yaml:{place}", code, words)


@pytest.mark.parametrize(
    "sending",
    [
        'sending: {quiet: {since: "21:00", until: "09:00"}}',  # over midnight
        "sending: {caps: [{most: 0, block: true, class: marketing}]}",
        "sending: {}",
    ],
)
def test_what_rows_41_and_42_allow(shop: Shop, sending: str) -> None:
    Path("policy.yaml").write_text(f"{sending}\n{POLICY}", encoding="utf-8")
    ran = shop("policy", "check", "policy.yaml")
    assert ran.code == Code.OK, ran.out


# -- 46: the channel -------------------------------------------------------------------------


def test_row_46_marketing_waits_for_a_channel_that_is_not_ready_and_ops_see_why(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("channels.yaml").write_text(
        "channels:\n  email:\n    kind: smtp\n    host: 127.0.0.1\n    signed_by: ample.org\n"
        "    senders: {care: {name: Care, address: care@mail.example.com}}\n"
    )
    monkeypatch.setenv("LIFECYCLE_PUBLIC_URL", "http://localhost:8000")
    build(Settings(database_url="sqlite:///lifecycle.db", config_dir=Path.cwd())).close()
    told = shop("outreach", "list").out
    assert "channel email not ready: " in told
    for lacking in (
        "marketing needs a postal address",
        "marketing needs a link to unsubscribe",
        "letters are signed for ample.org",
        "(marketing waits)",
    ):
        assert lacking in told


# -- 47 to 55: templates ---------------------------------------------------------------------

HOSTILE = [
    (47, "Hi\n{{ customer.name", "2:1", "syntax_error", "\n    {{ customer.name\n    ^\n"),
    (47, "Hi {% if %}", "1:4", "syntax_error", "^"),
    (48, "Hi {{ custmer.name }}", "1:7", "unknown_variable", "did you mean customer.name?"),
    (48, "Hi {{ customer.nmae }}", "1:7", "unknown_variable", "did you mean customer.name?"),
    (50, "{{ ''.__class__ }}", "1:7", "not_allowed", "not allowed in templates: "),
    (50, "{{ customer | attr('name') }}", "1:15", "not_allowed", "not allowed in templates: "),
    (50, "{{ cycler.__init__ }}", "1:11", "not_allowed", "not allowed in templates: "),
    (50, "{{ '{0.__class__}'.format(now) }}", "1:20", "not_allowed", "not allowed in templates: "),
    (50, "{% set n = namespace() %}", "1:12", "not_allowed", "not allowed in templates: "),
    (50, "{% macro m() %}{% endmacro %}", "1:4", "not_allowed", "not allowed in templates: "),
    (50, "{% import 'x' as x %}", "1:4", "not_allowed", "not allowed in templates: "),
    (50, "{% extends 'x' %}", "1:4", "not_allowed", "not allowed in templates: "),
    (51, "{{ 'a' * 10**9 }}", "1:8", "not_allowed", "not allowed in templates: "),
    (51, "{{ 10**10**7 }}", "1:6", "not_allowed", "not allowed in templates: "),
    (51, "{{ 'a' | center(10**9) }}", "1:10", "not_allowed", "not allowed in templates: "),
    (51, "{{ lipsum(5) }}", "1:4", "not_allowed", "not allowed in templates: "),
]


@pytest.mark.parametrize(("row", "text", "place", "code", "words"), HOSTILE)
def test_rows_47_to_51_of_a_text(
    shop: Shop, row: int, text: str, place: str, code: str, words: str
) -> None:
    written("thanks/sms.en.txt", text)
    refused(shop("template", "check", "thanks"), f"thanks/sms.en.txt:{place}", code, words)


def test_row_48_what_has_no_value_for_her_is_never_sent_blank(shop: Shop) -> None:
    written("thanks/sms.en.txt", "For {{ customer.tier }}")
    live(known("anna", phone="+8613800138000"), news("anna"))
    (message,) = shop("outreach", "list", "--json").json["messages"]
    said = "template_error: missing_variable: thanks/sms.en.txt:1: customer.tier has no value here"
    assert (message["fate"], message["reason"]) == ("failed", said)


def test_row_49_it_is_counted_for_how_many_customers_a_variable_is_missing(shop: Shop) -> None:
    written("thanks/sms.en.txt", "For {{ customer.tier }}")
    live(known("anna", tier="gold"), known("bert"), known("carl"))
    ran = shop("template", "check", "thanks", "--customers")
    assert (
        "thanks/sms.en.txt:1:8: warning may_be_missing: customer.tier: missing for 2 of 3 customers,"
        ' who would get no message; write {{ customer.tier | default("…") }}'
    ) in ran.out
    written("thanks/sms.en.txt", "For {{ customer.tier | default('you') }}")
    assert "missing" not in shop("template", "check", "thanks", "--customers").out


def test_row_50_while_it_runs_the_last_good_text_stays_and_the_log_has_the_line(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """The folder is looked at again within a second, so she is written to until the log tells of it."""
    with build(settings(), sends=True) as engine:
        go_on(engine, known("anna", email="anna@example.org"), news("anna", 0))
        written("thanks/email.en.mjml", MAIL_TEXT.replace("Good day", "{{ ''.__class__ }}"))
        told: list[str] = []
        for number in range(1, 10_000):
            go_on(engine, news("anna", number))
            if told := [each for each in caplog.messages if "the last good one" in each]:
                break
        go_on(engine, news("anna", 10_000))
        engine.stop_sending()
    assert "thanks/email.en.mjml:5:7: error not_allowed: not allowed in templates: " in told[0]
    listed = shop("outreach", "list", "--json", "--limit", "10000").json["messages"]
    assert {message["fate"] for message in listed} == {"sent"}
    assert "Good day" in shop("outreach", "show", str(listed[0]["id"])).out


def test_row_50_after_a_restart_whoever_has_no_good_text_waits_for_one(shop: Shop) -> None:
    """And gets it in her language, not in the one that happens to be right."""
    written("thanks/email.zh.mjml", MAIL_TEXT.replace("Good day", "你好"))
    written("thanks/email.en.mjml", MAIL_TEXT.replace("Good day", "{{ ''.__class__ }}"))
    with build(settings(), sends=True) as engine:
        for name, language in (("anna", "en"), ("mei", "zh")):
            go_on(
                engine, known(name, email=f"{name}@example.org", language=language), news(name, 0)
            )
        engine.stop_sending()
    listed = shop("outreach", "list", "--json").json["messages"]
    assert {each["customer"]: (each["fate"], each["reason"]) for each in listed} == {
        "anna": ("deferred", "not_ready"),
        "mei": ("sent", None),
    }
    preview = shop("template", "preview", "thanks", "--language", "en")
    assert preview.code == Code.BAD_INPUT
    assert "thanks/email.en.mjml:5:7: error not_allowed" in preview.err
    assert "nothing is shown in its place" in preview.err
    assert "你好" in shop("template", "preview", "thanks", "--language", "zh").out
    checked = shop("template", "check", "thanks").out
    assert "not_allowed" in checked
    assert "language en missing" not in checked


LOOPS = (
    "{% for i in [1] %}{% for j in [1] %}{% for k in [1] %}x{% endfor %}{% endfor %}{% endfor %}"
)
DOUBLED = "{% set a = 'aaaaaaaaaa' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}"
LIMIT = "exceeded 1 s / 256 KiB / 50,000 steps"


@pytest.mark.parametrize(
    ("text", "place", "code", "words"),
    [
        (LOOPS, "1:4", "not_allowed", "more than 2 loops within each other"),
        ("{{ 999999999999999 * 9999 }}", "1:1", "wrong_value", "a number beyond 1,000,000"),
        (DOUBLED, "1:1", "template_limit", LIMIT),
    ],
)
def test_row_51_what_can_be_compiled_ends_by_a_bound(
    shop: Shop, text: str, place: str, code: str, words: str
) -> None:
    written("thanks/sms.en.txt", text)
    refused(shop("template", "check", "thanks"), f"thanks/sms.en.txt:{place}", code, words)


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        ('"Hello\\r\\nBcc: eve@example.com"', "subject_line_break"),
        ('"Hello\\0"', "subject_control_character"),
        ("=?UTF-8?Q?=0A?=", "encoded_word_in_subject"),
        ("' '", "subject_empty"),
        ("x" * 201, "subject_too_long"),
    ],
)
def test_row_52_a_subject_that_is_none(shop: Shop, subject: str, code: str) -> None:
    written("thanks/email.en.mjml", MAIL_TEXT.replace(HELLO, subject))
    ran = shop("template", "check", "thanks")
    refused(ran, "thanks/email.en.mjml:2:1", code, "subject")


MARKUP = [
    ("<script>alert(1)</script>", "error tag_not_allowed: "),
    ('<a href="javascript:alert(1)">x</a>', "error unsafe_link: "),
    ("<b>", "error tag_not_closed: "),
    ("{% for i in [1, 2] %}" + "x" * 60_000 + "{% endfor %}", "warning clipped: "),
]


@pytest.mark.parametrize(("text", "told"), MARKUP)
def test_row_53_html_that_is_dangerous_broken_or_too_long(shop: Shop, text: str, told: str) -> None:
    written("offer/email.en.mjml", MAIL_TEXT.replace("Good day", text))
    ran = shop("template", "check", "offer")
    assert ran.code == (Code.REFUSED if told.startswith("error") else Code.OK), ran.out
    assert any(
        line.startswith("offer/email.en.mjml:") and f": {told}" in line
        for line in ran.out.splitlines()
    ), ran.out


def test_row_53_marketing_without_a_way_to_leave(shop: Shop) -> None:
    written("_layouts/brand.mjml", "<mjml><mj-body>{{ body }}</mj-body></mjml>")
    ran = shop("template", "check")
    refused(ran, "offer/email.en.mjml:1:1", "no_unsubscribe", "{{ links.unsubscribe }}")
    assert "thanks/email" not in ran.out


def test_row_54_a_name_that_looks_like_a_template_is_text(shop: Shop) -> None:
    live(known("anna", name="{{7*7}}<b>&"))
    looking = ("template", "preview", "thanks", "--customer", "anna")
    written("thanks/email.en.mjml", MAIL_TEXT.replace("Good day", "Hi {{ customer.name }}"))
    assert "Subject: Hello {{7*7}}<b>&\n" in shop(*looking).out
    assert "Hi {{7*7}}&lt;b&gt;&amp;" in shop(*looking, "--to", "html").out


def test_row_55_languages_directions_and_lengths(shop: Shop) -> None:
    written("thanks/sms.zh.txt", "谢谢")
    written("offer/sms.en.txt", "Thank you very much 🙂" + "x" * 60)
    ran = shop("template", "check")
    assert "language zh missing for email → falls back to en" in ran.out
    assert "🙂 is not in GSM-7: 2 short messages (UCS-2, " in ran.out
    assert "without it 1" in ran.out
    assert 'dir="auto"' in shop("template", "preview", "thanks", "--to", "html").out


# -- 74: links -------------------------------------------------------------------------------


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An installation whose customer c1 was written to, and to which one provider reports."""
    (tmp_path / "web").mkdir()
    with running(f"sqlite:///{tmp_path / 'web.db'}", tmp_path / "web") as engine:
        hooks = {"twilio": TwilioHook(account="AC1", auth_token="12345")}
        engine.feedback = replace(engine.feedback, hooks=hooks)
        yield engine


@pytest.fixture
def client(engine: Engine) -> Iterator[httpx.Client]:
    with serving(engine) as client:
        client.post("/v1/events", json={"events": [event(id="1")]})
        engine.apply_pending()
        yield client


@pytest.fixture
def sent(engine: Engine, client: httpx.Client) -> Sent:
    return send(engine)


def test_row_74_a_link_that_is_not_ours(engine: Engine, client: httpx.Client, sent: Sent) -> None:
    link = leaving(engine, sent)
    altered = link[:-1] + ("A" if link[-1] != "A" else "B")
    expired_key = f"/u/v1.00000000.{link.rpartition('.')[2]}"
    for path in (altered, expired_key, link.replace("/u/", "/s/")):
        for method in ("GET", "POST"):
            answer = client.request(method, path)
            assert answer.status_code == 400
            assert "This link does not work" in answer.text
            assert '<form method="post"' in answer.text  # by hand
    assert scopes(engine, sent.address_hash) == {}


def test_row_74_looking_changes_nothing_and_posting_twice_is_once(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    link = leaving(engine, sent)
    assert client.get(link).status_code == 200
    assert scopes(engine, sent.address_hash) == {}
    pages = [client.post(link, data={"List-Unsubscribe": "One-Click"}) for _ in range(2)]
    assert {page.status_code for page in pages} == {200}
    assert pages[0].text == pages[1].text
    assert scopes(engine, sent.address_hash) == {sent.address_hash: {"list:marketing"}}


# -- 75 and 76: what comes back --------------------------------------------------------------


def test_row_75_a_forged_a_foreign_and_an_unknown_report(
    engine: Engine, client: httpx.Client, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    said = test_hooks.callback("failed", ErrorCode="30005")
    forged = client.post(f"/v1/hooks/twilio?letter={sent.key}", data=said)
    assert (forged.status_code, forged.json()["code"]) == (401, "signature_invalid")
    foreign = twilio(client, sent.key, said | {"AccountSid": "AC2"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "account_foreign")
    unknown = twilio(client, "m1-00000000000000000000", said)
    assert (unknown.status_code, unknown.json()) == (200, {"status": "unmatched"})
    assert any("names no letter of ours" in each for each in caplog.messages)
    assert scopes(engine, sent.address_hash) == {}


def posted(client: httpx.Client, mail: bytes, sent: Sent) -> dict[str, str]:
    ours = mail.replace(test_dsn.KEY.encode(), sent.key.encode())
    answer = client.post("/v1/feedback/mail", content=ours, headers=MAIL)
    assert answer.status_code == 200
    told: dict[str, str] = answer.json()
    return told


def test_row_75_soft_bounces_auto_replies_and_forwarded_addresses(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    full = test_dsn.bounce(status="Status: 5.2.2")
    assert posted(client, full, sent)["status"] == "recorded"
    away = b"Auto-Submitted: auto-replied\nSubject: I am away\n\nUntil Monday.\n"
    assert posted(client, away, sent) == {"status": "ignored", "why": "auto_reply"}
    assert scopes(engine, sent.address_hash) == {}
    assert b"someone.else@forwarded.example" in test_dsn.bounce()
    posted(client, test_dsn.bounce(), sent)
    with engine.db.read() as tx:
        silenced = tx.connection.execute("SELECT address_hash FROM suppression").fetchall()
    assert [tuple(row) for row in silenced] == [(sent.address_hash,)]


def test_row_76_a_complaint_silences_marketing_only_and_the_list_shows_the_scope(
    engine: Engine,
    client: httpx.Client,
    sent: Sent,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert posted(client, test_dsn.complaint(), sent)["status"] == "recorded"
    assert scopes(engine, sent.address_hash) == {sent.address_hash: {"marketing"}}
    monkeypatch.delenv("COLUMNS", raising=False)
    capsys.readouterr()
    cli.run(["outreach", "suppressed", "ann@example.com", "--database", engine.db.shown])
    told = capsys.readouterr().out
    assert told.startswith("marketing since ")
    assert told.endswith(": complaint\n")


# -- 77: where we are told to post -----------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://93.184.216.34/",
        "https://localhost/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://[::ffff:7f00:1]/",
        "https://hooks.example.com:22/",
        "https://user:secret@hooks.example.com/",
        "https://inside.example.com/",
    ],
)
def test_row_77_a_target_that_is_not_allowed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Of a name that leads inside, the address is told."""

    def resolve(host: str, port: int, **_: object) -> list[Any]:
        address = "10.1.2.3" if host == "inside.example.com" else "93.184.216.34"
        return [(None, None, None, None, (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setenv("WHSEC", "whsec_" + "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0" * 1)
    Path("channels.yaml").write_text(
        f'channels:\n  crm: {{kind: webhook, secrets: [{{env: WHSEC}}], url: "{url}"}}\n'
    )
    ran = shop("template", "send-test", "thanks", "--channel", "sms", "--to", "x")
    assert ran.code == Code.CONFIGURATION
    assert "channels.yaml:2:" in ran.err
    assert "error target_not_allowed: " in ran.err
    assert "secret" not in ran.err.replace("secrets", "")
    assert ("10.1.2.3" in ran.err) is ("inside" in url)


# -- what has happened -----------------------------------------------------------------------


def settings() -> Settings:
    here = Path.cwd()
    return Settings(
        database_url=f"sqlite:///{here / 'lifecycle.db'}",
        config_dir=here,
        templates_dir=here / "templates",
    )


def known(customer: str, **attributes: str) -> Event:
    return happened(customer, PROFILE_CHANGED, attributes=attributes)


def news(customer: str, number: int = 0) -> Event:
    told = happened(customer, "news", product="Teapot")
    return told._replace(id=f"{customer}-news-{number}")


def happened(customer: str, kind: str, **properties: object) -> Event:
    at = datetime.now(UTC)
    return Event("shop", f"{customer}-{kind}", customer, kind, at, at, properties)


def go_on(engine: Engine, *events: Event) -> None:
    engine.accept([draft(each) for each in events])
    engine.apply_pending()
    assert engine.send_due()


def live(*events: Event) -> None:
    with build(settings(), sends=True) as engine:
        go_on(engine, *events)
        engine.stop_sending()

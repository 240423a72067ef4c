"""`channels.yaml` is read whole: every problem with its line, and never a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lifecycle.cli import exits
from lifecycle.errors import ChannelsRefused, Finding, Unusable
from lifecycle.outreach.channels import reference
from lifecycle.outreach.channels.measuring import Measure, may_measure
from lifecycle.outreach.channels.opening import KINDS, UNDESCRIBED
from lifecycle.outreach.channels.settings import CHANNELS_FILE, read_channels
from tests.conftest import ROOT
from tests.support.letters import a_letter, channels_of

WHOLE = """\
company:
  name: Example Ltd
  address: 1 Example Road, 200000 Shanghai, China
channels:
  email:
    kind: smtp
    host: smtp.example.com
    username: mailer
    password: {env: SMTP_PASSWORD}
    senders:
      care: {name: Example Care, address: care@mail.example.com}
    signed_by: example.com
    rate: 120/min
    burst: 5
    timeout: 10s
    breaker: {faults: 3, pause: 10s, longest: 1min}
"""
ENVIRONMENT = {"SMTP_PASSWORD": "open sesame"}


def changed(old: str, new: str) -> str:
    """The whole file with one passage changed; ¦ marks where the finding is expected."""
    assert WHOLE.count(old) == 1
    return WHOLE.replace(old, new)


def findings(
    folder: Path, text: str, environment: Mapping[str, str] = ENVIRONMENT
) -> tuple[Finding, ...]:
    with pytest.raises(ChannelsRefused) as refused:
        channels_of(folder, text, environment)
    return refused.value.findings


WRONG = [
    ("unknown_key", changed("    rate:", "    ¦rates:"), 'unknown setting "rates" of a channel of kind smtp; did you mean "rate"?'),
    ("unknown_key", changed("company:", "¦compny:"), 'did you mean "company"?'),
    ("unknown_key", changed("{name: Example Care", "{¦nmae: Example Care"), 'unknown setting "nmae" of a sender'),
    ("unknown_key", changed("host: smtp.example.com", "host: smtp.example.com\n    ¦hook: x"), "(allowed: kind,"),
    ("wrong_word", changed("kind: smtp", "kind: ¦smpt"), 'found "smpt"; allowed: outbox, file, smtp'),
    ("missing_key", changed("    kind: smtp\n    host", "    ¦host"), "a channel needs a kind: outbox, file, smtp"),
    ("missing_key", changed("    host: smtp.example.com\n", "").replace("    kind:", "    ¦kind:"), 'needs "host"'),
    ("duplicate_key", changed("    burst: 5", "    burst: 5\n    ¦burst: 6"), "a second time"),
    ("wrong_host", changed("host: smtp.example.com", "host: ¦https://smtp.example.com/"), "the name or address of a server"),
    ("wrong_number", changed("host: smtp.example.com", "host: smtp.example.com\n    port: ¦70000"), "a port, 1 to 65535"),
    ("missing_key", changed("host: smtp.example.com", "host: smtp.example.com\n    reports: ¦{}"), 'needs "sns"'),
    ("missing_key", changed("host: smtp.example.com", "host: smtp.example.com\n    reports: {sns: ¦{}}"), 'needs "topics"'),
    ("unknown_key", changed("host: smtp.example.com", "host: smtp.example.com\n    reports: {¦sqs: x}"), 'unknown setting "sqs" of the reports of a mail server'),
    ("wrong_value", changed("host: smtp.example.com", "host: smtp.example.com\n    reports: {sns: {topics: ¦[]}}"), "a list of at least one"),
    ("wrong_topic", changed("host: smtp.example.com", "host: smtp.example.com\n    reports: {sns: {topics: [¦ses-feedback]}}"), 'found "ses-feedback"; allowed: the ARN of a standard topic'),
    ("wrong_topic", changed("host: smtp.example.com", 'host: smtp.example.com\n    reports: {sns: {topics: [¦"arn:aws:sns:eu-west-1:1234:ses"]}}'), "the ARN of a standard topic"),
    ("wrong_topic", changed("host: smtp.example.com", 'host: smtp.example.com\n    reports: {sns: {topics: [¦"arn:aws:sns:cn-north-1:123456789012:ses"]}}'), "the ARN of a standard topic"),
    ("wrong_topic", changed("host: smtp.example.com", 'host: smtp.example.com\n    reports: {sns: {topics: [¦"arn:aws:sns:eu-west-1:123456789012:ses.fifo"]}}'), "the ARN of a standard topic"),
    ("wrong_topic", changed("host: smtp.example.com", 'host: smtp.example.com\n    reports: {sns: {topics: [¦"arn:aws:ses:eu-west-1:123456789012:identity"]}}'), "the ARN of a standard topic"),
    ("wrong_rate", changed("120/min", "¦120"), "such as 10/s or 500/h"),
    ("wrong_rate", changed("120/min", "¦0/s"), "such as 10/s or 500/h"),
    ("wrong_duration", changed("timeout: 10s", "timeout: ¦10"), "a duration needs a whole number with a unit"),
    ("wrong_duration", changed("timeout: 10s", "timeout: ¦2min"), "allowed: at most 90s"),
    ("wrong_duration", changed("longest: 1min", "longest: ¦1s"), "shorter than the first one"),
    ("missing_key", changed("    rate: 120/min\n", "").replace("burst: 5", "burst: ¦5"), "a burst needs a rate"),
    ("missing_key", changed("    password: {env: SMTP_PASSWORD}\n", "").replace("username: mailer", "username: ¦mailer"), "a username needs a password"),
    ("secret_missing", changed("{env: SMTP_PASSWORD}", "¦{env: SMTP_PASSWROD}"), "the environment variable SMTP_PASSWROD is not set"),
    ("secret_missing", changed("{env: SMTP_PASSWORD}", "¦{file: nowhere}"), "nowhere cannot be read: No such file or directory"),
    ("wrong_secret", changed("{env: SMTP_PASSWORD}", "¦{env: SMTP_PASSWORD, file: x}"), "{env: NAME} for an environment variable"),
    ("wrong_address", changed("care@mail.example.com", "¦care@mail@example.com"), "this is no e-mail address"),
    ("wrong_address", changed("care@mail.example.com", '¦"a@example.com\\r\\nBcc: b@example.com"'), "a line break"),
    ("wrong_value", changed("name: Example Care", 'name: ¦"Care\\nBcc: b@example.com"'), "line break"),
    ("wrong_value", changed("name: Example Ltd", 'name: ¦"Example\\0Ltd"'), "control character"),
    ("wrong_address", changed("company:", "company:\n  website: ¦javascript:alert(1)"), "such as https://www.example.com"),
    ("wrong_address", changed("    burst: 5", "    burst: 5\n    return_path: ¦b+{kee}@example.com"), "bounces+{key}@example.com"),
    ("wrong_address", changed("    burst: 5", f"    burst: 5\n    return_path: ¦{'b' * 30}{{key}}@example.com"), "this is no e-mail address"),
    ("password_in_clear", changed("    burst: 5", "    burst: 5\n    security: ¦none"), "would travel in clear"),
    ("two_kinds", changed("signed_by: example.com", "signed_by: ¦example.com\n    dkim: {domain: example.com, selector: s1, key: {env: SMTP_PASSWORD}}"), "found dkim and signed_by"),
    ("missing_key", changed("    burst: 5", "    burst: 5\n    measure: ¦{opens: true}"), 'what is measured needs "consent"'),
    ("nothing_measured", changed("    burst: 5", "    burst: 5\n    measure: ¦{opens: false, consent: none}"), "found neither opens nor clicks"),
    ("wrong_value", changed("    burst: 5", "    burst: 5\n    measure: ¦true"), "a map with the keys opens, clicks, consent"),
    ("wrong_word", changed("    burst: 5", "    burst: 5\n    measure: {clicks: ¦yes, consent: none}"), "did you mean true?"),
    ("wrong_name", changed("    burst: 5", "    burst: 5\n    measure: {clicks: true, consent: ¦Mail-Reading}"), "a purpose"),
    ("unknown_key", changed("    burst: 5", "    burst: 5\n    measure: {¦click: true, opens: true, consent: none}"), 'did you mean "clicks"?'),
    ("unreadable_file", changed("    burst: 5", "    burst: 5\n    ca_file: ¦nowhere.pem"), "No such file"),
    ("anchor_refused", changed("host: smtp.example.com", "host: ¦&a smtp.example.com"), "not allowed here"),
    ("not_yaml", changed("    rate: 120/min", "    rate¦:120/min"), "no blank behind the colon"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "marked", "words"), WRONG)
def test_each_problem_is_told_where_it_stands(
    code: str, marked: str, words: str, tmp_path: Path
) -> None:
    before = marked.partition("¦")[0]
    told = findings(tmp_path, marked.replace("¦", ""))
    of_code = [finding for finding in told if finding.code == code]
    assert len(of_code) == 1, told
    assert words in of_code[0].message
    line = before.count("\n") + 1
    assert (of_code[0].line, of_code[0].column) == (line, len(before.split("\n")[-1]) + 1)
    assert of_code[0].file == str(tmp_path / CHANNELS_FILE)


def test_all_problems_are_told_at_once_and_the_start_is_refused(tmp_path: Path) -> None:
    text = changed("rate: 120/min", "rate: fast").replace("timeout: 10s", "timeout: soon")
    with pytest.raises(Unusable) as refused:
        channels_of(tmp_path, text, {})
    assert exits.of(refused.value) == exits.Code.CONFIGURATION
    told = str(refused.value).splitlines()
    assert len(told) == 3, "the rate, the timeout, and the password that is not set"
    assert all(line.startswith(f"{tmp_path / CHANNELS_FILE}:") for line in told)


CANARY = "hunter2-canary"
LEAKS = [
    changed("{env: SMTP_PASSWORD}", CANARY),
    changed("{env: SMTP_PASSWORD}", f"[{CANARY}]"),
    changed("{env: SMTP_PASSWORD}", f"{{text: {CANARY}}}"),
    changed("{env: SMTP_PASSWORD}", f"{{env: {CANARY}}}"),
    changed("{env: SMTP_PASSWORD}", f"!{CANARY}"),
    changed("{env: SMTP_PASSWORD}", f"&{CANARY}"),
    changed("{env: SMTP_PASSWORD}", f"*{CANARY}"),
    changed("password: {env: SMTP_PASSWORD}", f"passwort: {CANARY}"),
    changed("password: {env: SMTP_PASSWORD}", f"password:{CANARY}"),
    changed("care: {name:", f"care: {{password:{CANARY}, name:"),
]


@pytest.mark.parametrize("text", LEAKS)
def test_a_secret_that_stands_in_the_file_is_refused_and_never_repeated(
    text: str, tmp_path: Path
) -> None:
    told = findings(tmp_path, text)
    assert told
    assert CANARY not in "\n".join(map(str, told))


def test_a_secret_is_never_shown_by_what_holds_it(tmp_path: Path) -> None:
    tmp_path.joinpath("channels.yaml").write_text(WHOLE)
    described = read_channels(tmp_path, ENVIRONMENT, KINDS)
    assert described.channels is not None
    password = described.channels[0].fields.value("password")
    assert password.text == "open sesame"
    assert repr(password) == "Secret(source='the environment variable SMTP_PASSWORD')"
    assert "sesame" not in f"{described!r} {password} {described.channels[0].fields!r}"


def test_a_secret_may_lie_in_a_file_that_not_everybody_reads(tmp_path: Path) -> None:
    secret = tmp_path / "smtp-password"
    secret.write_text(f"{CANARY}\n")
    text = changed("{env: SMTP_PASSWORD}", "{file: smtp-password}")
    secret.chmod(0o640)
    channels_of(tmp_path, text)
    secret.chmod(0o644)
    (finding,) = findings(tmp_path, text)
    assert finding.code == "secret_open"
    assert f"do: chmod o= {secret}" in finding.message
    assert CANARY not in str(finding)


def test_a_file_that_holds_no_signing_key_is_refused_at_once(tmp_path: Path) -> None:
    dkim = "dkim: {domain: example.com, selector: s1, key: {env: KEY}}"
    text = changed("signed_by: example.com", dkim)
    (finding,) = findings(tmp_path, text, ENVIRONMENT | {"KEY": CANARY})
    assert (finding.code, finding.line) == ("wrong_secret", 12)
    assert "the environment variable KEY holds no RSA key in PEM" in finding.message
    assert CANARY not in str(finding)


@pytest.mark.parametrize("text", [None, "", "# nothing\n", "company: {name: Example Ltd}\n"])
def test_channels_that_nobody_described_show_their_letters(
    text: str | None, tmp_path: Path
) -> None:
    kept: list[str] = []
    channels = channels_of(tmp_path, text, keep=lambda letter: kept.append(letter.key))
    assert tuple(channels) == UNDESCRIBED
    for name, channel in channels.items():
        assert channel.name == name
        assert not channel.is_real
        assert channel.unready(marketing=True) == ()
        channel.send(a_letter(f"to-{name}", channel=name))
    assert kept == [f"to-{name}" for name in UNDESCRIBED]
    assert (channels["email"].address, channels["sms"].address) == ("email", "phone")
    assert channels["webhook"].address is None


def test_once_one_channel_is_described_only_those_are_there(tmp_path: Path) -> None:
    channels = channels_of(
        tmp_path, WHOLE + "  chat: {kind: outbox, address: wechat}\n", ENVIRONMENT
    )
    assert list(channels) == ["email", "chat"]
    assert channels["chat"].address == "wechat"
    assert channels.company.address == "1 Example Road, 200000 Shanghai, China"
    channels.close()


def test_rate_and_breaker_are_those_of_the_file(tmp_path: Path) -> None:
    channels = channels_of(tmp_path, WHOLE, ENVIRONMENT)
    throttle = channels.throttle("email")
    assert [throttle.take() for _ in range(5)] == [0.0] * 5
    assert 0.4 < throttle.take() <= 0.5, "two a second"
    assert channels.breaker("email").wait() == 0.0


def test_the_file_that_ships_says_nothing_yet_and_its_examples_are_right(tmp_path: Path) -> None:
    shipped = (ROOT / "config" / "channels.yaml").read_text("utf-8")
    assert tuple(channels_of(tmp_path, shipped)) == UNDESCRIBED
    taken_in = re.sub(r"^# ?(company:|channels:|  .*)$", r"\1", shipped, flags=re.MULTILINE)
    channels = channels_of(tmp_path, taken_in, ENVIRONMENT)
    assert {"email", "letters", "sms"} <= set(channels)
    assert channels["email"].unready(marketing=True) == []


def test_the_example_of_the_documentation_is_right(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "channels.md").read_text("utf-8")
    example = re.search("```yaml\n(.*?)```", document, re.DOTALL)
    assert example is not None
    channels = channels_of(tmp_path, example[1], ENVIRONMENT)
    assert channels["email"].unready(marketing=True) == []


def test_the_documentation_has_every_key_and_is_not_stale() -> None:
    document = (ROOT / "docs" / "channels.md").read_text("utf-8")
    assert reference.refreshed(document) == document
    for record in reference.every_record():
        assert f"<!-- keys: {record.what} -->" in document


BARE = "    kind: smtp\n    host: smtp.example.com\n    senders: {news: {address: news@shop.example.org}}\n"
LACKING = [
    ("", {}, "marketing needs a postal address; set company: address in channels.yaml"),
    ("", {"public_url": None}, "marketing needs a link to unsubscribe; set LIFECYCLE_PUBLIC_URL to the https address where customers reach us"),
    ("", {"public_url": "http://localhost:8000"}, "marketing needs a link to unsubscribe; set LIFECYCLE_PUBLIC_URL to the https address where customers reach us"),
    ("", {"signs": False}, "links to unsubscribe need a secret to be signed with; set LIFECYCLE_SECRET"),
    ("", {}, "nobody signs its letters; set dkim, or signed_by: the domain for which the server signs"),
    ("    signed_by: example.com\n", {}, "the sender news writes from shop.example.org, but letters are signed for example.com; mailboxes want one domain, or one below the other"),
    ("    signed_by: ample.org\n", {}, "the sender news writes from shop.example.org, but letters are signed for ample.org; mailboxes want one domain, or one below the other"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "around", "sentence"), LACKING)
def test_marketing_is_held_until_law_and_mailboxes_have_what_they_want(
    more: str, around: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    channel = channels_of(tmp_path, f"channels:\n  email:\n{BARE}{more}", **around)["email"]
    assert sentence in channel.unready(marketing=True)
    assert channel.unready(marketing=False) == []


@pytest.mark.parametrize("domain", ["shop.example.org", "example.org", "mail.shop.example.org"])
def test_a_signature_of_the_same_organisation_is_the_senders(domain: str, tmp_path: Path) -> None:
    company = "company: {address: 1 Example Road}\n"
    text = f"{company}channels:\n  email:\n{BARE}    signed_by: {domain}\n"
    assert channels_of(tmp_path, text)["email"].unready(marketing=True) == []


MEASURED = """\
channels:
  email: {kind: file, folder: letters, measure: {clicks: true, consent: none}}
"""
NEEDED = [
    ({}, ()),
    ({"public_url": None}, ("LIFECYCLE_PUBLIC_URL",)),
    ({"signs": False}, ("LIFECYCLE_SECRET",)),
    ({"public_url": None, "signs": False}, ("LIFECYCLE_PUBLIC_URL", "LIFECYCLE_SECRET")),
]


@pytest.mark.parametrize(("around", "named"), NEEDED)
def test_what_is_to_be_measured_waits_until_it_can_be(
    around: dict[str, Any], named: tuple[str, ...], tmp_path: Path
) -> None:
    smtp = WHOLE.replace(
        "rate: 120/min", "rate: 120/min\n    measure: {opens: true, consent: none}"
    )
    for text in (MEASURED, smtp):
        channel = channels_of(tmp_path, text, ENVIRONMENT, **around)["email"]
        lacking = [one for one in channel.unready(marketing=True) if "measured" in one]
        assert len(lacking) == len(named)
        assert all(name in one for name, one in zip(named, lacking, strict=True))
        assert not channel.unready(marketing=False)


def test_nothing_is_measured_unless_it_is_said(tmp_path: Path) -> None:
    assert channels_of(tmp_path, WHOLE, ENVIRONMENT).measure("email") is None
    undescribed = tmp_path / "undescribed"
    undescribed.mkdir()
    assert channels_of(undescribed, None).measure("email") is None
    found = channels_of(tmp_path, MEASURED).measure("email")
    assert found == Measure(opens=False, clicks=True, consent=None)
    asked = channels_of(tmp_path, MEASURED.replace("none", "measurement")).measure("email")
    assert asked == Measure(opens=False, clicks=True, consent="measurement")


def test_other_kinds_cannot_be_measured(tmp_path: Path) -> None:
    text = "channels:\n  email: {kind: outbox, measure: {opens: true, consent: none}}\n"
    (found,) = findings(tmp_path, text)
    assert found.code == "unknown_key"


@pytest.mark.parametrize(
    ("purpose", "consents", "may"),
    [
        (None, {}, True),
        ("measurement", {}, False),
        ("measurement", {"marketing/email": True}, False),
        ("measurement", {"measurement/sms": True}, False),
        ("measurement", {"measurement/email": True}, True),
        ("measurement", {"measurement/all": True}, True),
        ("measurement", {"measurement/all": True, "measurement/email": False}, False),
    ],
)
def test_she_is_measured_where_she_agreed_to_it(
    purpose: str | None, consents: dict[str, bool], may: bool
) -> None:
    assert may_measure(purpose, "email", consents) is may

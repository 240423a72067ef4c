"""Whoever writes a message is told everything that would go wrong with it before anybody gets it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle.domain.policy import Policy
from lifecycle.errors import Finding
from lifecycle.outreach.templates.catalogue import Catalogue
from lifecycle.outreach.templates.check import Checked, check, unwritten
from lifecycle.outreach.templates.renderer import Renderer
from lifecycle.outreach.templates.sms import segments_of
from lifecycle.policy.load import loads

POLICY = """
version: 1
timezone: Asia/Shanghai
currency: CNY
attributes: {name: text, tier: text, language: text}
states:
  new: {initial: true}
  deal: {final: true}
events:
  order_paid:
    properties: {amount: {type: money, required: true}, product: text}
facts:
  orders: {count: order_paid}
  last_order_at: {last: order_paid}
transitions:
  - {name: buys, from: new, on: order_paid, to: deal}
outreach:
  - {name: thanks, on: {transition: buys}, channels: [email, sms], class: marketing}
  - {name: later, on: {after: 30d, since: last_order_at}, channels: [sms], class: service}
"""
LAYOUT = """<mjml><mj-head><mj-preview>{{ preheader }}</mj-preview></mj-head><mj-body>
{{ body }}
<mj-section><mj-column><mj-text><a href="{{ links.unsubscribe }}">x</a></mj-text></mj-column></mj-section>
</mj-body></mjml>"""
MAIL = """---
subject: Thank you
---
<mj-section><mj-column><mj-text>
Hello {{ customer | name }}
</mj-text></mj-column></mj-section>
"""
GOOD = {
    "_layouts/brand.mjml": LAYOUT,
    "thanks/email.en.mjml": MAIL,
    "thanks/sms.en.txt": "Thank you",
    "later/sms.en.txt": "How is it?",
}


@pytest.fixture(scope="module")
def policy() -> Policy:
    return loads(POLICY).policy


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with Renderer(children=1) as made:
        yield made


def _checked(tmp_path: Path, policy: Policy, renderer: Renderer, **changed: str | None) -> Checked:
    files: dict[str, str | None] = {
        **GOOD,
        **{name.replace("__", "/"): text for name, text in changed.items()},
    }
    for name, text in files.items():
        if text is not None:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
    return check(Catalogue(tmp_path), policy, renderer)


def _told(findings: tuple[Finding, ...]) -> list[str]:
    return [str(each) for each in findings]


def test_templates_in_order_have_no_findings(
    tmp_path: Path, policy: Policy, renderer: Renderer
) -> None:
    checked = _checked(tmp_path, policy, renderer)
    assert _told(checked.findings) == []
    assert [each.path for each in checked.sizes] == [
        "thanks/email.en.mjml", "thanks/sms.en.txt", "later/sms.en.txt",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{ customer.teir }}", "unknown_variable: customer.teir: nothing has this name; did you mean customer.tier?"),
        ("{{ facts.order }}", "unknown_variable: facts.order: nothing has this name; did you mean facts.orders?"),
        ("{{ cause.event.amonut }}", "not_supplied: cause.event.amonut: what triggers this message does not supply it; did you mean cause.event.amount?"),
        ("{{ facts.orders.x }}", "unknown_variable: facts.orders has no fields"),
        ("{{ customer.tier }}", "warning may_be_missing: customer.tier: some customers have no value"),
        ("{{ cause.event.product }}", "warning may_be_missing: cause.event.product"),
        ("{{ owner.name }}", "warning may_be_missing: owner.name"),
    ],
)  # fmt: skip
def test_a_variable_that_the_policy_or_the_trigger_does_not_supply_is_told_with_its_line(
    tmp_path: Path, policy: Policy, renderer: Renderer, text: str, told: str
) -> None:
    checked = _checked(tmp_path, policy, renderer, **{"thanks/sms.en.txt": f"Hello\n{text}"})
    assert any(told in each for each in _told(checked.findings)), _told(checked.findings)
    assert all(each.startswith("thanks/sms.en.txt:2:") for each in _told(checked.findings))


def test_what_a_check_of_time_has_no_event_for_is_not_supplied(
    tmp_path: Path, policy: Policy, renderer: Renderer
) -> None:
    checked = _checked(
        tmp_path, policy, renderer, **{"later/sms.en.txt": "{{ cause.event.amount }}"}
    )
    assert any(
        "not_supplied: cause.event: what triggers" in each for each in _told(checked.findings)
    )


@pytest.mark.parametrize(
    "text",
    [
        "{{ customer.tier | default('x') }}",
        "{% if customer.tier is defined %}{{ customer.tier }}{% endif %}",
        "{{ customer.tier if customer.tier is defined else 'x' }}",
        "{% if customer.tier is defined and customer.tier == 'gold' %}a{% else %}b{% endif %}",
        "{{ facts.orders }}{{ cause.event.amount | money }}{{ cause.to }}",
        "{% set t = customer.tags %}{% for x in t %}{{ x }}{{ loop.index }}{% endfor %}x",
    ],
)
def test_what_is_asked_for_before_it_is_used_is_fine(
    tmp_path: Path, policy: Policy, renderer: Renderer, text: str
) -> None:
    checked = _checked(tmp_path, policy, renderer, **{"thanks/sms.en.txt": text})
    assert _told(checked.findings) == []


@pytest.mark.parametrize(
    ("inside", "line", "code"),
    [
        ("<p>never closed", 5, "tag_not_closed"),
        ("</b>", 5, "tag_not_open"),
        ("<script>alert(1)</script>", 5, "tag_not_allowed"),
        ("\n<a onclick='x()'>x</a>", 6, "tag_not_allowed"),
        ('<a href="javascript:alert(1)">x</a>', 5, "unsafe_link"),
        ("<iframe></iframe>", 5, "tag_not_allowed"),
    ],
)
def test_tags_out_of_order_are_told_with_their_line(
    tmp_path: Path, policy: Policy, renderer: Renderer, inside: str, line: int, code: str
) -> None:
    mail = MAIL.replace("Hello {{ customer | name }}", inside)
    checked = _checked(tmp_path, policy, renderer, **{"thanks/email.en.mjml": mail})
    assert (line, code) in [(each.line, each.code) for each in checked.findings]


def test_marketing_by_mail_needs_a_way_out_and_service_does_not(
    tmp_path: Path, policy: Policy, renderer: Renderer
) -> None:
    layout = LAYOUT.replace("{{ links.unsubscribe }}", "https://example.com/")
    checked = _checked(tmp_path, policy, renderer, **{"_layouts/brand.mjml": layout})
    assert [each.code for each in checked.findings] == ["no_unsubscribe"]


def test_a_mail_that_is_cut_off_is_warned_of(
    tmp_path: Path, policy: Policy, renderer: Renderer
) -> None:
    filler = "<p>" + "x" * 50 + "</p>"
    mail = MAIL.replace(
        "Hello", "{% for i in [" + ",".join("1" * 100) + "] %}" + filler * 25 + "{% endfor %}"
    )
    checked = _checked(tmp_path, policy, renderer, **{"thanks/email.en.mjml": mail})
    assert [(each.code, each.warning) for each in checked.findings] == [("clipped", True)]


def test_a_channel_without_a_text_is_an_error_and_a_language_without_one_a_warning(
    tmp_path: Path, policy: Policy, renderer: Renderer
) -> None:
    checked = _checked(
        tmp_path, policy, renderer, **{"thanks/sms.en.txt": None, "later/sms.zh.txt": "好吗？"}
    )
    assert _told(checked.findings) == [
        "thanks/:1:1: warning no_language: language zh missing for email → falls back to en",
        "thanks/:1:1: error no_text: no text for sms: the message cannot go there",
    ]


def test_what_is_not_written_is_told_in_one_line_a_rule(tmp_path: Path) -> None:
    """Without anything filled in; a text that is wrong is one, and a language that is missing another."""
    series = "30d, since: last_order_at}, steps: [0d, 9d], channels: [sms, task]"
    policy = loads(POLICY.replace("30d, since: last_order_at}, channels: [sms]", series)).policy
    files = {"thanks/email.zh.mjml": "{{ wrong", "later/2/sms.en.txt": "How is it?"}
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text, "utf-8")
    found = unwritten(Catalogue(tmp_path), policy)
    assert {(each.code, each.warning) for each in found} == {("no_text", True)}
    assert [(each.file, each.message) for each in found] == [
        (f"{tmp_path}/thanks/", "no text for sms: the message cannot go there"),
        (f"{tmp_path}/later/", "no text for sms, step 1 or task: the message cannot go there"),
    ]


def test_a_folder_that_no_rule_names_is_told(
    tmp_path: Path, policy: Policy, renderer: Renderer
) -> None:
    checked = _checked(tmp_path, policy, renderer, **{"thnaks/sms.en.txt": "x"})
    assert [(each.file, each.code) for each in checked.findings] == [("thnaks/", "no_rule")]


def test_one_character_that_makes_a_short_message_dear_is_told(
    tmp_path: Path, policy: Policy, renderer: Renderer
) -> None:
    checked = _checked(tmp_path, policy, renderer, **{"later/sms.en.txt": "Hello 🎉 " + "x" * 70})
    (finding,) = checked.findings
    assert finding.code == "dear_sms"
    assert finding.message.startswith("🎉 is not in GSM-7")
    assert "2 short messages (UCS-2, 79 places); without it 1" in finding.message


@pytest.mark.parametrize(
    ("text", "encoding", "places", "count"),
    [
        ("", "GSM-7", 0, 1),
        ("x" * 160, "GSM-7", 160, 1),
        ("x" * 161, "GSM-7", 161, 2),
        ("x" * 306, "GSM-7", 306, 2),
        ("x" * 307, "GSM-7", 307, 3),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("好" * 70, "UCS-2", 70, 1),
        ("好" * 71, "UCS-2", 71, 2),
        ("好" * 134, "UCS-2", 134, 2),
        ("好" * 135, "UCS-2", 135, 3),
        ("🎉", "UCS-2", 2, 1),
    ],
)
def test_short_messages_are_counted_as_operators_count_them(
    text: str, encoding: str, places: int, count: int
) -> None:
    counted = segments_of(text)
    assert (counted.encoding, counted.places, counted.count) == (encoding, places, count)

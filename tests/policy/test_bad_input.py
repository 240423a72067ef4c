"""The catalogue of bad input, its rows about configuration: each gets the error that it states."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lifecycle.errors import PolicyRefused
from lifecycle.policy import load, loads
from lifecycle.policy.source import MOST_BYTES, MOST_NESTING
from tests.policy.said import MINIMAL, added, changed, marked, only, said

ANCHOR_BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}, *{before}, *{before}]\n"
    for before, name in zip("abcdefghijklmno", "bcdefghijklmnop", strict=True)
)
NEEDS_A_UNIT = "a duration needs a whole number with a unit of s, min (or m), h, d, w"

ROWS = [
    # 36: what YAML itself may not do
    (36, "not_yaml", changed("  deal: {}", "¦\tdeal: {}"), "a tab is not allowed"),
    (36, "not_yaml", changed("  deal: {}", "    ¦deal: {}"), "is the indentation of this line or of one before it off?"),
    (36, "not_yaml", changed("{initial: true}", "{initial: true").replace("deal: {}", "deal¦: {}"), "expected ',' or '}'"),
    (36, "not_yaml", changed("timezone: Asia", "timezone¦：Asia"), "found the full-width ：; allowed: a plain colon and a blank behind it"),
    (36, "not_yaml", changed("currency: CNY", "currency¦： CNY"), "found the full-width ："),
    (36, "not_yaml", changed("{name: buys, on: order_paid, from", "{name: buys¦，on: order_paid, from"), "found the full-width ，; allowed: a plain comma"),
    (36, "not_yaml", changed("  tier: text", "  tier¦:text"), "found no blank behind the colon"),
    (36, "not_yaml", changed("currency: CNY", "currency: ¦'CNY"), "found a quote that is opened here and never closed"),
    (36, "not_yaml", changed("[email]", '[¦"email]'), "found a quote that is opened here and never closed"),
    (36, "duplicate_key", changed("deal: {}", "deal: {}\n  ¦deal: {final: true}"), 'found "deal" a second time; the first is in line 10'),
    (36, "anchor_refused", changed("deal: {}", "deal: ¦&d {}"), 'found "&d"; anchors and aliases are not allowed'),
    (36, "tag_refused", changed("tier: text", "tier: ¦!!python/name:os.getcwd text"), 'found "!!python/name:os.getcwd"; tags are not allowed'),
    (36, "tag_refused", changed("version: 1", "version: ¦!!int 1"), "tags are not allowed"),
    (36, "wrong_word", changed("{initial: true}", "{initial: ¦on}"), 'found "on"; allowed: true, false (without quotes); did you mean true?'),
    (36, "wrong_word", changed("interaction: true", "interaction: ¦no"), 'found "no"; allowed: true, false (without quotes); did you mean false?'),
    (36, "wrong_value", changed("version: 1", "version: ¦1.10"), 'found "1.10"; allowed: 1'),
    (36, "wrong_duration", changed("60d", "¦08:30"), f'found "08:30"; {NEEDS_A_UNIT}'),
    # 37: a key that does not exist
    (37, "unknown_key", changed("[email]", "[email], ¦expire: 3d"), 'unknown setting "expire" of an outreach rule; did you mean "expires"?'),
    (37, "unknown_key", changed("[email]", "[email], ¦expires:3d"), 'unknown setting "expires:3d" of an outreach rule; did you mean "expires: 3d", with a blank behind the colon?'),
    # 38: states and rules
    (38, "undeclared_state", changed("to: deal", "to: ¦dael"), 'undeclared state: found "dael"; allowed: potential, deal; did you mean "deal"?'),
    (38, "duplicate_key", changed("  deal: {}", "  deal: {}\n  ¦potential: {}"), 'found "potential" a second time'),
    (38, "unreachable_state", added("transitions", "- {name: x, on: order_paid, from: far, to: deal}", changed("deal: {}", "deal: {}\n  ¦far: {}")), 'no transition leads to "far"'),
    (38, "dead_end", added("transitions", "- {name: x, on: page_viewed, from: deal, to: far}", changed("deal: {}", "deal: {}\n  ¦far: {}")), 'no transition leaves "far"; add one, or say final: true'),
    (38, "shadowed_rule", added("transitions", "- {name: ¦x, on: order_paid, from: potential, to: far}", changed("deal: {}", "deal: {}\n  far: {final: true}")).replace("from: deal, to: potential", "from: deal, to: far").replace("{name: buys", "{name: buys"), '"x" can never fire from potential on order_paid: "buys" in line'),
    (38, "loop_without_time", added("transitions", "- {name: x, after: ¦1d, since: last_order_at, from: potential, to: deal}"), "closes a loop of timed checks"),
    (38, "wrong_duration", changed("60d", "¦0s"), 'found "0s"; allowed: more than nothing'),
    # 39: code named in a file
    (39, "function_named", changed("to: deal", "to: deal, when: ¦os.getcwd"), "guards are CEL over facts and attributes; functions cannot be named here"),
    (39, "function_named", changed("to: deal", "to: deal, when: ¦subprocess.run('ls')"), "nothing that a file names is ever imported or called"),
    (39, "unknown_key", changed("to: deal", "to: deal, ¦conditions: [os.getcwd]"), "functions cannot be named here"),
    (39, "unknown_key", changed("to: deal", "to: deal, ¦callback: shop.rules.pay"), "functions cannot be named here"),
    # 40: durations
    *[
        (40, "wrong_duration", changed("60d", f"¦{written}"), f'found "{written}"; {NEEDS_A_UNIT}, such as 10min or 60d; months only as a calendar rule')
        for written in ("30", "-1d", "1.5M", "1.5d", "2mo", "1month", "1y", "30M", "P30D", "d", "1 d", "1d12h", "１d")
    ],
    (40, "wrong_duration", changed("60d", "¦0d"), "allowed: more than nothing"),
    (40, "wrong_duration", changed("60d", "¦36526d"), "allowed: at most 100 years (36525d)"),
    (40, "wrong_duration", changed("60d", "¦9999999999d"), NEEDS_A_UNIT),
    # 41: zones
    (41, "unknown_zone", changed("Asia/Shanghai", "¦CST"), "use an IANA name such as Asia/Shanghai"),
    (41, "unknown_zone", changed("Asia/Shanghai", "¦UTC+8"), "use an IANA name such as Asia/Shanghai"),
    (41, "unknown_zone", changed("Asia/Shanghai", "¦Asia/Peking"), 'did you mean "Asia/Shanghai"?'),
]  # fmt: skip


@pytest.mark.parametrize(("row", "code", "text", "words"), ROWS)
def test_bad_configuration_gets_its_stated_error_at_its_place(
    row: int, code: str, text: str, words: str
) -> None:
    finding = only(text)
    assert (finding.code, finding.warning) == (code, False), str(finding)
    assert words in finding.message


def test_the_faults_of_states_and_rules_are_listed_all_at_once() -> None:
    """Row 38: with file and line each, before anything starts."""
    text = changed("deal: {}", "deal: {}\n  deal: {}\n  island: {}\n  trap: {}")
    text = added("transitions", "- {name: a, on: account_closed, from: deal, to: trap}", text)
    text = added("transitions", "- {name: b, on: order_paid, from: potential, to: trapp}", text)
    text = added("transitions", "- {name: c, on: order_paid, from: island, to: deal}", text)
    text = added(
        "transitions", "- {name: d, after: 0s, since: last_order_at, from: deal, to: trap}", text
    )
    codes = [finding.code for finding in said(text)]
    assert codes == [
        "duplicate_key",
        "unreachable_state",
        "dead_end",
        "shadowed_rule",
        "undeclared_state",
        "wrong_duration",
    ]


def test_an_anchor_bomb_is_refused_without_going_off() -> None:
    """Row 36: an alias never stands for what it names; were it so, this would take for ever."""
    codes = {finding.code for finding in said(ANCHOR_BOMB)}
    assert "anchor_refused" in codes


def test_nothing_that_a_file_names_is_imported() -> None:
    """Row 39: the module would leave a trace in what is loaded."""
    only(changed("to: deal", "to: deal, when: ¦antigravity.fly"))
    only(changed("to: deal", "to: deal, ¦conditions: antigravity.fly"))
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("content", "code", "place", "words"),
    [
        (b"", "empty_file", (1, 1), "found nothing"),
        (b"# only a comment\n", "empty_file", (1, 1), "found nothing"),
        (b"version: 1\ncurrency: \xff\n", "not_utf8", (2, 11), "found the byte 0xFF"),
        ("version: 1\nname: \u6f5c\u5728".encode("gbk"), "not_utf8", (2, 8), "save the file with that encoding"),
        (b"version: 1\n\x00", "not_text", (2, 1), "found the character U+0000"),
        (b"version: 1\n---\nversion: 1\n", "two_documents", (2, 1), "allowed: one document a file"),
        (b"just text\n", "wrong_value", (1, 1), 'found "just text"; allowed: the policy'),
        (b"- a\n- b\n", "wrong_value", (1, 1), "found a list; allowed: the policy"),
        (b"? [a, b]\n: c\n", "key_not_text", (1, 3), "found a list as a key; allowed: a word"),
        (b"a: " + b"[" * 30 + b"]" * 30, "too_deep", (1, 3 + MOST_NESTING), f"more than {MOST_NESTING} levels"),
        (b"#" * (MOST_BYTES + 1), "file_too_large", (1, 1), "allowed: at most 1,048,576"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_policy_is_refused_with_its_reason(
    tmp_path: Path, content: bytes, code: str, place: tuple[int, int], words: str
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(content)
    with pytest.raises(PolicyRefused) as refused:
        load(path)
    finding = next(f for f in refused.value.findings if f.code == code)
    assert (finding.line, finding.column) == place
    assert finding.file == str(path)
    assert words in finding.message


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(PolicyRefused, match="unreadable_file") as refused:
            load(path)
        assert "no policy was read" in refused.value.findings[0].message


def test_the_refusal_reads_like_a_compilers() -> None:
    text = changed("60d", "¦60")
    line, column = marked(text)
    with pytest.raises(PolicyRefused) as refused:
        loads(text.replace("¦", ""), "my.yaml")
    assert str(refused.value).startswith(
        f'my.yaml:{line}:{column}: error wrong_duration: found "60"'
    )


def test_the_minimal_policy_is_what_the_rows_change() -> None:
    """Were it faulty itself, a row could pass for the wrong reason."""
    assert said(MINIMAL) == ()

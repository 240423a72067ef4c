"""The picture of a policy: complete, legible, the same every time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.domain.policy import After, OnEvent, Policy, State, TransitionRule
from lifecycle.policy import load, loads
from lifecycle.policy.diagram import mermaid, svg
from lifecycle.policy.diagram.layout import PILL, PILL_HEIGHT, UP, Layout, Track, laid_out
from lifecycle.policy.diagram.meaning import Meaning, meanings
from lifecycle.resources import config_dir
from tests.policies import SCENARIO_POLICY, scenario_policy
from tests.policy.said import MINIMAL, changed

SHIPPED = load(config_dir() / "policy.yaml").policy
DRAWN = Path(__file__).resolve().parents[2] / "docs" / "default-policy.svg"
SVG = "{http://www.w3.org/2000/svg}"

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom


def label(track: Track) -> Rectangle:
    top = track.y - track.label_height - 3 if track.side == UP else track.y + 5
    return (
        track.label_x, top, track.label_x + track.label_width, top + track.label_height,
    )  # fmt: skip


def rectangles(layout: Layout) -> list[Rectangle]:
    """Everything that has text on it."""
    held = [label(track) for track in layout.tracks]
    half = PILL_HEIGHT / 2
    held += [(t.pill_x, t.y - half, t.pill_x + PILL, t.y + half) for t in layout.tracks if t.pill]
    held += [
        (box.x, layout.row, box.x + box.width, layout.row + layout.box_height)
        for box in layout.boxes
    ]
    return held


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return (
        one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
    )  # fmt: skip


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any graph of states and rules, sensible or not, with names short and long."""
    names = [f"state_{n}" * draw(st.integers(1, 3)) for n in range(draw(st.integers(2, 8)))]
    rules = []
    for number in range(draw(st.integers(1, 14))):
        to = draw(st.sampled_from(names))
        sources = draw(
            st.lists(st.sampled_from([n for n in names if n != to]), min_size=1, unique=True)
        )
        timed = draw(st.booleans())
        types = tuple(f"event_number_{n}" for n in range(draw(st.integers(1, 4))))
        rules.append(
            TransitionRule(
                name="rule-" * draw(st.integers(0, 5)) + str(number),
                trigger=After(wait=timedelta(days=30), since="last_order_at")
                if timed
                else OnEvent(types=types),
                sources=tuple(sources),
                to=to,
                guard=draw(st.sampled_from([None, "n > 3", "n > 3 && m < 4.5 && text == 'gold'"])),
                labels={"zh": "首次成交" * draw(st.integers(0, 3))},
            )
        )
    return Policy(
        timezone="UTC",
        currency="CNY",
        attributes={},
        states=tuple(
            State(name=name, labels={}, initial=not n) for n, name in enumerate(names)
        ),
        events={},
        facts=(),
        transitions=tuple(rules),
        outreach=(),
    )  # fmt: skip


@given(policies())
def test_no_text_ever_overlaps_another_and_all_of_it_is_on_the_paper(policy: Policy) -> None:
    layout = laid_out(policy)
    held = rectangles(layout)
    for number, one in enumerate(held):
        assert one[0] >= 0
        assert one[1] >= 0
        assert one[2] <= layout.width
        assert one[3] <= layout.height
        for other in held[:number]:
            assert not overlap(one, other)


@given(policies())
def test_every_policy_gives_a_well_formed_picture(policy: Policy) -> None:
    root = ET.fromstring(svg(policy))
    lines = [path for path in root.iter(f"{SVG}path") if "tip" in path.get("class", "").split()]
    assert len(lines) == len(policy.transitions)


def test_no_line_passes_through_a_label_of_the_default_policy() -> None:
    layout = laid_out(SHIPPED)
    for track in layout.tracks:
        left, top, right, bottom = label(track)
        for other in layout.tracks:
            reach = sorted((other.y, layout.row))
            for x in other.ports.values():
                meets = left < x < right and reach[0] < bottom and top < reach[1]
                assert not (meets and other.side == track.side), (track.head, other.head)
            ends = sorted(other.ports.values())
            if top < other.y < bottom:
                assert right < ends[0] or left > ends[-1]


def test_the_drawing_of_the_default_policy_is_not_stale() -> None:
    """Made by `lifecycle policy diagram config/policy.yaml --out docs/default-policy.svg`."""
    assert DRAWN.read_text(encoding="utf-8") == svg(SHIPPED)


def texts(drawing: str) -> str:
    return " ".join("".join(text.itertext()) for text in ET.fromstring(drawing).iter(f"{SVG}text"))


def test_states_are_told_in_both_languages_and_rules_with_trigger_and_guard() -> None:
    """Text stays text: it can be searched, copied and read aloud."""
    told = texts(svg(SHIPPED))
    for state in SHIPPED.states:
        assert state.labels["en"] in told
        assert state.labels["zh"] in told
    for rule in SHIPPED.transitions:
        assert rule.name in told
        assert rule.labels["zh"] in told
    for words in (
        "after 60d since last_seen_at",
        "after 180d",
        "when orders_365d >= 3",
        "any stage",
    ):
        assert words in told


def test_events_are_solid_and_timed_checks_dashed() -> None:
    root = ET.fromstring(svg(loads(MINIMAL).policy))
    classes = [path.get("class", "").split() for path in root.iter(f"{SVG}path")]
    lines = [names for names in classes if "line" in names and "plain" not in names]
    assert [("timed" in names, "event" in names) for names in lines] in (
        [(False, True), (True, False)],
        [(True, False), (False, True)],
    )
    assert ".timed{stroke-dasharray" in svg(SHIPPED)


def test_the_drawing_knows_the_dark() -> None:
    assert "@media (prefers-color-scheme:dark)" in svg(SHIPPED)


def test_what_a_policy_writes_cannot_break_the_drawing() -> None:
    text = changed("deal: {}", 'deal: {label: {en: "<script>&</script>"}}')
    text = changed("to: deal}", "to: deal, when: 'orders < 3 && orders > 1'}", text)
    told = texts(svg(loads(text).policy))
    assert "<script>&</script>" in told
    assert "orders < 3 && orders > 1" in told


def test_mermaid_has_an_arrow_from_each_source_of_each_rule() -> None:
    drawn = mermaid(SHIPPED)
    assert drawn.startswith("stateDiagram-v2\n")
    assert "    [*] --> s_potential\n" in drawn
    assert '    state "Potential · 潜在客户" as s_potential\n' in drawn
    for rule in SHIPPED.transitions:
        for source in rule.sources:
            assert f"    s_{source} --> s_{rule.to} : {rule.name} (" in drawn
    assert drawn.count("-->") == 1 + sum(len(rule.sources) for rule in SHIPPED.transitions)


def test_mermaid_says_its_own_characters_as_entities() -> None:
    text = changed("to: deal}", "to: deal, when: 'orders < 3 && orders > 1 ? true : false'}")
    drawn = mermaid(loads(text).policy)
    assert "when orders #lt; 3 && orders #gt; 1 ? true #58; false)" in drawn


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (
            SHIPPED,
            {
                "potential": Meaning.START,
                "intent": Meaning.NEAR,
                "deal": Meaning.GOOD,
                "loyal": Meaning.BEST,
                "dormant": Meaning.QUIET,
                "churned": Meaning.LOST,
                "reactivated": Meaning.BACK,
            },
        ),
        (
            loads(scenario_policy(less=True)).policy,
            {
                "potential": Meaning.START,
                "deal": Meaning.GOOD,
                "loyal": Meaning.BEST,
                "dormant": Meaning.QUIET,
                "churned": Meaning.LOST,
                "reactivated": Meaning.BACK,
            },
        ),
    ],
)
def test_colours_follow_how_customers_get_to_a_state_and_not_its_name(
    policy: Policy, told: dict[str, Meaning]
) -> None:
    assert meanings(policy) == told
    renamed = SCENARIO_POLICY.replace("dormant", "zzz").replace("churned", "yyy")
    assert meanings(loads(renamed).policy)["zzz"] is Meaning.QUIET
    assert meanings(loads(renamed).policy)["yyy"] is Meaning.LOST


def test_a_transition_shows_what_is_sent_because_of_where_it_leads() -> None:
    """Entering a state is caused by each way into it; staying there by none of them."""
    text = scenario_policy(
        outreach=[
            "{name: asleep, on: {state: dormant}, channels: [email]}",
            "{name: still, on: {state: dormant, stayed: 9d}, channels: [email]}",
        ]
    )
    drawn = svg(loads(text).policy)
    assert "from deal, loyal, reactivated to dormant; plans win-back, asleep<" in drawn
    assert "still" not in drawn

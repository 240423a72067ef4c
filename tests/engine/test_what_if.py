"""What `explain` tells of a customer under a policy that was not in force, and how that differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lifecycle.domain.event import CLICKED, OUR_SOURCE, PREFETCHED, SENT, Event
from lifecycle.engine.explain.asked import (
    NO_VERSION,
    Asked,
    Difference,
    Hypothesis,
    of_file,
    of_version,
)
from lifecycle.engine.explain.chapters import Happened
from lifecycle.engine.explain.explanation import Explanation
from lifecycle.engine.explain.gather import explain
from lifecycle.engine.installation import Installation
from lifecycle.errors import NotFound, PolicyRefused
from lifecycle.policy import loads
from tests.policies import SCENARIO_POLICY, scenario_policy
from tests.scenarios.driver import ANNA, day, happened, moved, number_of, order, page
from tests.support.engine import arrive, installation, made, post, publish, reach, send, set_clock

Install = Callable[[str], Installation]

QUICKER = SCENARIO_POLICY.replace("after: 60d", "after: 45d")


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """An installation on a fresh SQLite file, under a policy."""
    with ExitStack() as stack:
        yield lambda policy: stack.enter_context(
            installation(f"sqlite:///{tmp_path / 'supposed.db'}", policy)
        )


def under(text: str, name: str = "b.yaml") -> Hypothesis:
    loaded = loads(text)
    return Hypothesis(name=name, number=NO_VERSION, hash=loaded.hash, policy=loaded.policy)


def what_if(inst: Installation, text: str, at: float | None = None) -> Explanation:
    asked = Asked(policy=under(text), at=None if at is None else day(at))
    return explain(inst, ANNA, asked)


def difference(inst: Installation, text: str) -> Difference:
    supposed = what_if(inst, text).supposed
    assert supposed is not None
    return supposed.difference


def section(told: Explanation, title: str) -> list[str]:
    lines = told.lines()
    start = lines.index(title) + 1
    return lines[start : lines.index("", start)]


def about(type_: str, on: float, **more: object) -> Event:
    """What is recorded of a letter that left."""
    said = {"rule": "win-back", "step": 1, "channel": "email", "message": "1-2-3", **more}
    return happened(type_, on, **said)._replace(source=OUR_SOURCE)


def test_a_shorter_threshold_moves_her_earlier_and_says_by_how_much(install: Install) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(61))
    told = what_if(inst, QUICKER)
    assert told.lines() == [
        f"This is a what-if: anna as if b.yaml (hash {under(QUICKER).hash[:12]}) had been in force from the beginning of time. Nothing of it is recorded.",
        "Of messages it is told that they would be planned, and not whether they would be sent.",
        "",
        "anna would have been in dormant since 2026-02-15 00:00, for 16 days.",
        "Told at 2026-03-03 00:00 UTC; other times are UTC.",
        "",
        "How that differs from what is recorded",
        "She would be in dormant, as is recorded.",
        "1 step would be the same.",
        "2026-02-15 00:00  From deal to dormant (quiet), 15 days earlier than recorded (2026-03-02 00:00).",
        "Messages of win-back: as many (1), planned for other times.",
        "",
        "What would have happened",
        "2026-01-01 00:00  order_paid order_paid-0 of shop, with amount 10.",
        "    It changed orders from 0 to 1, and set last_order_at and last_seen_at to its own time.",
        "    She moved from potential to deal (first).",
        "2026-02-15 00:00  quiet came due: no interaction for 45 days since 2026-01-01 00:00.",
        "    She moved from deal to dormant (quiet).",
        "    win-back (email) would be planned for 2026-02-15 00:00.",
        "",
        "What would happen next",
        "2026-05-01 00:00 UTC  lost, 120 days after last_order_at = 2026-01-01 00:00.",
        "    If nothing arrives before, it moves her to churned.",
        "    A new order_paid would move it.",
        "    Leaving dormant, as by order_paid (back, to reactivated) or account_closed (left, to churned), would disarm it.",
        "",
        "What would be known",
        "last_order_at = 2026-01-01 00:00",
        "last_seen_at = 2026-01-01 00:00",
        "orders = 1",
    ]


def test_her_checks_fire_up_to_now_though_she_was_last_folded_long_ago(install: Install) -> None:
    """Nothing woke her on day 45, as the policy in force had nothing due."""
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    set_clock(inst, day(50))
    told = what_if(inst, QUICKER)
    assert told.standing.state == "dormant"
    assert not any(one.overdue for one in told.ahead)
    assert "She would be in dormant, and is recorded in deal." in told.lines()
    assert "2026-02-15 00:00  From deal to dormant (quiet): only in the what-if." in told.lines()
    assert "Messages of win-back: 1 would be planned, 0 recorded." in told.lines()


def test_a_threshold_that_is_never_reached_leaves_a_step_only_in_the_record(
    install: Install,
) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(61))
    told = what_if(inst, SCENARIO_POLICY.replace("after: 60d", "after: 90d"))
    assert section(told, "How that differs from what is recorded") == [
        "She would be in deal, and is recorded in dormant.",
        "1 step would be the same.",
        "2026-03-02 00:00  From deal to dormant (quiet): only recorded.",
        "Messages of win-back: 0 would be planned, 1 recorded.",
    ]


def test_coming_to_the_same_state_from_another_by_another_rule_says_both(install: Install) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(70))
    easier = SCENARIO_POLICY.replace("name: quiet, after: 60d", "name: silent, after: 70d")
    easier = easier.replace("to: deal}\n  - {name: loyal", "to: loyal}\n  - {name: loyal", 1)
    easier = easier.replace("{transition: quiet}", "{transition: silent}")
    lines = section(what_if(inst, easier), "How that differs from what is recorded")
    assert (
        "2026-03-12 00:00  From loyal to dormant (silent), 10 days later than recorded"
        " (from deal, by quiet, 2026-03-02 00:00)."
    ) in lines


def test_a_step_is_compared_with_that_of_the_same_occasion(install: Install) -> None:
    """Three gaps after three orders: of a threshold that the second does not reach, no step is told late."""
    inst = install(SCENARIO_POLICY)
    set_clock(inst, day(300))
    arrive(inst, order(0), order(100), order(110), order(200))
    assert shifts(inst, 85) == [(60, 85), (170, 195), (260, 285)]
    assert shifts(inst, 95) == [(60, 95), (260, 295)]
    differs = difference(inst, SCENARIO_POLICY.replace("after: 60d", "after: 95d"))
    assert [(step.rule, number_of(step.at)) for step in differs.only_recorded] == [
        ("quiet", 170),
        ("back", 200),
    ]
    assert [(step.rule, number_of(step.at)) for step in differs.only_supposed] == [("loyal", 200)]


def shifts(inst: Installation, days: int) -> list[tuple[float, float]]:
    differs = difference(inst, SCENARIO_POLICY.replace("after: 60d", f"after: {days}d"))
    return [(number_of(s.recorded.at), number_of(s.supposed.at)) for s in differs.shifted]


def test_nothing_can_differ_under_the_policy_that_was_in_force(install: Install) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(61))
    arrive(inst, about(SENT, 61))
    told = what_if(inst, f"# the same, with a remark\n{SCENARIO_POLICY}")
    assert "No other policy was in force, so nothing can differ." in told.lines()
    assert section(told, "How that differs from what is recorded") == [
        "She would be in dormant, as is recorded.",
        "2 steps would be the same, and no other.",
        "The same messages would be planned, for the same times.",
    ]
    assert not any(line.startswith("Left out") for line in told.lines())


def test_what_became_of_real_letters_is_left_out_and_counted(install: Install) -> None:
    """A click that only the policy in force can have caused must not keep her from going quiet."""
    clicks = "clicks: {count: lifecycle.clicked}"
    inst = install(scenario_policy(facts=[clicks], quiet_when="clicks > 0"))
    arrive(inst, order(0))
    reach(inst, day(10))
    arrive(
        inst,
        about(SENT, 10, variant=None),
        about(CLICKED, 10, link=1, url="https://shop.example.com/"),
        about(PREFETCHED, 10, what="open", why="too_soon"),
    )
    reach(inst, day(61))
    assert made(inst)[-1].name == "quiet"
    told = what_if(inst, scenario_policy(facts=[clicks], quiet_when="clicks > 1"))
    assert (told.standing.state, told.standing.facts["clicks"]) == ("deal", 0)
    assert (
        "Left out: 3 events about what became of letters (1 lifecycle.clicked, 1 lifecycle.prefetched"
        " and 1 lifecycle.sent), as this policy may not have sent them."
    ) in told.lines()
    assert told.to_json()["what_if"]["events_about_letters_left_out"] == {
        "lifecycle.clicked": 1,
        "lifecycle.prefetched": 1,
        "lifecycle.sent": 1,
    }


def test_what_people_did_by_hand_still_counts(install: Install) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(10))
    arrive(inst, moved("loyal", 10))
    assert what_if(inst, QUICKER).standing.state == "loyal"


def test_no_fate_of_a_real_message_is_told_of_one_of_the_what_if(install: Install) -> None:
    """Not of the message that both have by the same cause, nor of one that was overturned."""
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(61))
    send(inst, day(61))
    reach(inst, day(70))
    arrive(inst, page(2)._replace(received_at=day(70)))
    form = what_if(inst, QUICKER).to_json()
    messages = [m for chapter in form["chapters"] for m in chapter["messages"]]
    assert [(m["rule"], m["fate"], m["version"]) for m in messages] == [("win-back", None, None)]
    assert {chapter["kind"] for chapter in form["chapters"]} == {"event", "due"}
    assert [chapter["step"] for chapter in form["chapters"]] == [None] * len(form["chapters"])
    text = "\n".join(what_if(inst, QUICKER).lines())
    assert "sent on" not in text
    assert "overt" not in text


def test_an_event_that_the_policy_cannot_fold_is_left_out_and_named(install: Install) -> None:
    """In life it would be quarantined, and her other events would go on."""
    inst = install(SCENARIO_POLICY)
    set_clock(inst, day(2))
    arrive(inst, order(0), happened("order_paid", 1, "odd", amount="10", pieces="many"))
    summing = scenario_policy(facts=["pieces: {sum: order_paid.pieces}"]).replace(
        "amount: money, currency: currency}, interaction",
        "amount: money, currency: currency, pieces: int}, interaction",
    )
    told = what_if(inst, summing)
    assert [
        chapter.happening.cause for chapter in told.chapters if isinstance(chapter, Happened)
    ] == ["event:shop|order_paid-0"]
    assert told.lines()[2].startswith("Left out: 1 event that this policy cannot fold: odd of shop")
    assert [e["id"] for e in told.to_json()["what_if"]["events_that_cannot_be_folded"]] == ["odd"]


def test_what_has_not_been_applied_waits_in_the_what_if_too(install: Install) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    post(inst, order(0, "new"))
    told = what_if(inst, QUICKER)
    assert [stored.event.id for stored in told.pending] == ["new"]
    assert told.standing.facts["orders"] == 1


def test_a_what_if_of_a_moment_stops_there_and_knows_what_was_known(install: Install) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(70))
    arrive(inst, order(40)._replace(received_at=day(70)))
    told = what_if(inst, QUICKER, at=50)
    assert (told.standing.state, told.now) == ("dormant", day(50))
    assert told.lines()[2:4] == [
        "Told of 2026-02-20 00:00 UTC, as was known then: from the 1 event that had occurred and arrived by then.",
        "Left out: 1 event that had occurred by then and arrived later: order_paid order_paid-40 of 2026-02-10 00:00 (known since 2026-03-12 00:00).",
    ]
    assert "She would be in dormant, and is recorded in deal." in told.lines()
    asked = Asked(policy=under(QUICKER), at=day(50), late_events=True)
    assert explain(inst, ANNA, asked).standing.state == "deal"


def test_a_published_version_is_supposed_to_have_been_in_force_from_the_beginning(
    install: Install,
) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(61))
    publish(inst, loads(QUICKER).policy, number=2, effective_at=day(61))
    with inst.db.read() as tx:
        policy = of_version(tx, "2", inst.now(tx))
        assert of_version(tx, "current", inst.now(tx)) == policy
    told = explain(inst, ANNA, Asked(policy=policy))
    assert told.lines()[0].startswith("This is a what-if: anna as if policy version 2 (hash ")
    assert told.standing.since == day(45)
    assert told.to_json()["asked"]["policy"] == {
        "name": "version 2",
        "version": 2,
        "hash": policy.hash,
    }


def test_a_version_that_was_never_published_is_refused_with_those_that_were(
    install: Install,
) -> None:
    inst = install(SCENARIO_POLICY)
    with (
        inst.db.read() as tx,
        pytest.raises(NotFound, match=r"no version 3 of the policy; there is only version 1$"),
    ):
        of_version(tx, "3", inst.now(tx))


def test_a_file_with_errors_is_refused_with_all_of_them(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    bad = SCENARIO_POLICY.replace("60d", "60x").replace("to: churned", "to: chruned")
    file.write_text(bad, "utf-8")
    with pytest.raises(PolicyRefused) as caught:
        of_file(file)
    assert {finding.code for finding in caught.value.findings} == {
        "wrong_duration",
        "undeclared_state",
    }


def test_a_what_if_changes_nothing(install: Install) -> None:
    inst = install(SCENARIO_POLICY)
    arrive(inst, order(0))
    reach(inst, day(61))
    before = explain(inst, ANNA).to_json()
    what_if(inst, QUICKER)
    assert explain(inst, ANNA).to_json() == before
    assert (before["what_if"], before["asked"]["policy"]) == (None, None)

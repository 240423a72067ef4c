"""A policy comes into force measured, within what may be changed, or by somebody's approval."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import Policy, PolicyVersion
from lifecycle.engine.installation import Installation
from lifecycle.engine.policies import versions
from lifecycle.engine.publishing.history import Standing, history, policy_of
from lifecycle.engine.publishing.measured import Measured
from lifecycle.engine.publishing.publish import (
    ONLY_LABELS,
    InForce,
    Proposal,
    Published,
    Waits,
    Weighed,
    approve,
    discard,
    publish,
    roll_back,
    weigh,
)
from lifecycle.engine.publishing.rules import Rules, Threshold, exceeded, read_rules
from lifecycle.errors import NotFound, NotPublished, Problem, PublishingRefused
from lifecycle.policy import loads
from lifecycle.store import publications
from tests.policies import SCENARIO_POLICY
from tests.scenarios.driver import day, number_of, order
from tests.support.engine import arrive, installation, of, set_clock
from tests.support.publishing import measured, published, put_forward, weighed_at, words

PATIENT = SCENARIO_POLICY.replace("after: 60d", "after: 90d")
HASTY = SCENARIO_POLICY.replace("after: 60d", "after: 45d")


def numbers(url_inst: object) -> list[int]:
    with url_inst.db.read() as tx:  # type: ignore[attr-defined]
        return [version.number for version in versions(tx)]


def test_within_the_thresholds_it_judges_from_now_on(database_url: str) -> None:
    with installation(database_url) as inst:
        set_clock(inst, day(10))
        outcome = published(inst, PATIENT, why="people are away in summer")
        assert (outcome.version.number, outcome.version.effective_at) == (2, day(10))
        assert inst.policy() == loads(PATIENT).policy
        first, second = history(inst)
        assert (first.standing, second.standing) == (Standing.PAST, Standing.JUDGES)
        assert (second.changes, second.measured) == (("quiet",), measured())
        assert (second.by, second.why) == ("olga", "people are away in summer")
        assert (second.exceeded, second.approval) == ((), None)


def test_beyond_a_threshold_it_waits_and_judges_nothing(database_url: str) -> None:
    with installation(database_url) as inst:
        before = inst.policy()
        outcome = put_forward(inst, PATIENT, messages_after=131)
        assert isinstance(outcome, Waits)
        assert outcome.draft.exceeded == (
            "messages: 100 → 131 (+31.0 %) messages would be sent; allowed: at most 5 % more",
        )
        assert (inst.policy(), numbers(inst)) == (before, [1])
        assert history(inst)[-1].standing is Standing.WAITING
        assert policy_of(inst, outcome.draft.number) == loads(PATIENT).policy


def test_the_same_waits_once(database_url: str) -> None:
    """What another history would give now is not what whoever approves decides about."""
    with installation(database_url) as inst:
        first = put_forward(inst, PATIENT, messages_after=131)
        assert isinstance(first, Waits)
        assert not first.already
        again = put_forward(inst, PATIENT, messages_after=132, by="bo", why="summer")
        assert again == Waits(draft=first.draft, already=True)
        assert len(history(inst)) == 2


def test_what_another_approval_would_do_waits_beside_it(database_url: str) -> None:
    with installation(database_url) as inst:
        ways: list[dict[str, Any]] = [
            {},
            {"wanted_at": day(20)},
            {"wanted_at": day(21)},
            {"restates": True},
            {"restates": True, "effects": True},
        ]
        for expected in ([2, 3, 4, 5, 6], [2, 3, 4, 5, 6]):
            made = [put_forward(inst, PATIENT, moved=11, **way) for way in ways]
            assert [one.draft.number for one in made if isinstance(one, Waits)] == expected
        other = put_forward(inst, HASTY, moved=11)
        assert isinstance(other, Waits)
        assert other.draft.number == 7
        discard(inst, 2, by="bo", why="no")
        anew = put_forward(inst, PATIENT, moved=11)
        assert isinstance(anew, Waits)
        assert (anew.draft.number, anew.already) == (8, False)


def test_a_draft_of_an_older_version_is_put_forward_anew(database_url: str) -> None:
    """It can never be approved, and so is no answer to whoever publishes it again."""
    with installation(database_url) as inst:
        put_forward(inst, PATIENT, moved=11)
        assert published(inst, HASTY).version.number == 3
        anew = put_forward(inst, PATIENT, moved=11)
        assert isinstance(anew, Waits)
        assert (anew.draft.number, anew.draft.base, anew.already) == (4, 3, False)


def test_what_is_within_the_thresholds_by_now_is_published_although_it_waits(
    database_url: str,
) -> None:
    with installation(database_url) as inst:
        put_forward(inst, PATIENT, moved=11)
        assert published(inst, PATIENT).version.number == 3


def test_an_approval_says_who_and_why_and_publishes(database_url: str) -> None:
    with installation(database_url) as inst:
        waiting = put_forward(inst, PATIENT, moved=11)
        assert isinstance(waiting, Waits)
        set_clock(inst, day(3))
        done = approve(inst, waiting.draft.number, Rules(), by="bo", why="agreed in the round")
        assert (done.version.number, done.version.effective_at) == (2, day(3))
        entry = history(inst)[-1]
        assert entry.standing is Standing.JUDGES
        assert entry.approval is not None
        assert (entry.approval.by, entry.approval.why) == ("bo", "agreed in the round")
        with pytest.raises(NotPublished, match=r"draft 2 .* was published by bo; nothing was"):
            approve(inst, 2, Rules(), by="eve", why="me too")
        again = approve(inst, 2, Rules(), by="bo", why="agreed in the round")
        assert again.version == done.version  # whoever repeats it, as its answer was lost


@pytest.mark.parametrize(
    ("rules", "by", "told"),
    [
        (Rules(approvers=("bo", "eve")), "olga", r"olga may not approve; .* bo, eve"),
        (Rules(four_eyes=True), "olga", r"somebody else has to approve it"),
    ],
)
def test_who_may_not_approve_changes_nothing(
    database_url: str, rules: Rules, by: str, told: str
) -> None:
    with installation(database_url) as inst:
        put_forward(inst, PATIENT, moved=11)
        with pytest.raises(NotPublished, match=told):
            approve(inst, 2, rules, by=by, why="I like it")
        assert numbers(inst) == [1]
        assert approve(inst, 2, rules, by="bo", why="so do I").version.number == 2


def test_a_draft_that_was_measured_beside_an_older_version_is_refused(database_url: str) -> None:
    """Its figures say nothing about what it would change now."""
    with installation(database_url) as inst:
        put_forward(inst, PATIENT, moved=11)
        assert published(inst, HASTY).version.number == 3
        with pytest.raises(NotPublished, match=r"beside version 1, and version 3 .* anew"):
            approve(inst, 2, Rules(), by="bo", why="agreed")
        assert numbers(inst) == [1, 3]
        assert discard(inst, 2, by="bo", why="too late").status is publications.Status.DISCARDED
        assert history(inst)[1].standing is Standing.DISCARDED


def test_of_two_who_publish_at_once_one_is_told(database_url: str) -> None:
    with installation(database_url) as inst:
        mine, theirs = weighed_at(inst, PATIENT), weighed_at(inst, HASTY)
        assert isinstance(publish(inst, *theirs), Published)
        with pytest.raises(NotPublished, match=r"beside version 1, and version 2 has been publ"):
            publish(inst, *mine)
        assert (numbers(inst), len(history(inst))) == ([1, 2], 2)


def test_a_draft_that_is_approved_while_another_is_published_is_told_or_tells(
    database_url: str,
) -> None:
    """Both were measured beside version 1; whoever comes second learns that it is not the newest."""
    with installation(database_url) as inst:
        put_forward(inst, PATIENT, moved=11)
        mine, ready = weighed_at(inst, HASTY), threading.Barrier(2)
        came: list[str] = []
        refused: list[str] = []

        def go(what: Callable[[], object], name: str) -> None:
            ready.wait()
            try:
                what()
            except NotPublished as told:
                refused.append(str(told))
            else:
                came.append(name)

        ways = {
            "approved": lambda: approve(inst, 2, Rules(), by="bo", why="agreed"),
            "published": lambda: publish(inst, *mine),
        }
        threads = [threading.Thread(target=go, args=(do, name)) for name, do in ways.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(came), len(refused), len(numbers(inst))) == (1, 1, 2)
        assert "has been published since" in refused[0]


def test_what_says_the_same_is_not_published_again(database_url: str) -> None:
    with installation(database_url) as inst:
        proposal = Proposal(policy=loads(SCENARIO_POLICY).policy, by="olga")
        found = weigh(inst, proposal, Rules(), words, lambda _, __: measured())
        assert isinstance(found, InForce)
        assert found.version.number == 1


def test_labels_alone_are_published_too(database_url: str) -> None:
    with installation(database_url) as inst:
        labelled = SCENARIO_POLICY.replace("deal: {}", "deal: {label: {zh: 成交}}")
        if labelled == SCENARIO_POLICY:
            labelled = SCENARIO_POLICY.replace("deal:", "deal: {label: {zh: 成交}} #")
        outcome = published(inst, labelled)
        assert outcome.publication.changes == (ONLY_LABELS,)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"wanted_at": day(9)}, "effective_in_the_past"),
        ({"wanted_at": day(20), "restates": True}, "effective_and_restate"),
        ({"effects": True}, "effects_without_restate"),
    ],
)
def test_what_contradicts_itself_or_the_clock_is_refused(
    database_url: str, more: dict[str, Any], code: str
) -> None:
    with installation(database_url) as inst:
        set_clock(inst, day(10))
        with pytest.raises(Problem) as raised:
            put_forward(inst, PATIENT, **more)
        assert raised.value.code == code
        assert "nothing was changed" in raised.value.detail
        assert numbers(inst) == [1]


def test_what_is_scheduled_is_replaced_by_what_is_published_later(database_url: str) -> None:
    """Or a wrong version that waits for its day could not be kept from judging."""
    with installation(database_url) as inst:
        published(inst, PATIENT, wanted_at=day(30))
        assert history(inst)[-1].standing is Standing.SCHEDULED
        back = roll_back(inst, 1, by="olga", why="a slip")
        weighed = weigh(inst, back, Rules(), words, lambda _, __: measured())
        assert not isinstance(weighed, InForce)
        assert isinstance(publish(inst, back, weighed), Published)
        set_clock(inst, day(31))
        assert inst.policy() == loads(SCENARIO_POLICY).policy
        entries = history(inst)
        standings = [entry.standing for entry in entries]
        assert standings == [Standing.PAST, Standing.REPLACED, Standing.JUDGES]
        assert (entries[-1].content_of, entries[-1].hash) == (1, entries[0].hash)


def beside(inst: Installation, text: str, **more: Any) -> list[tuple[int, float | None]]:
    """What a policy would be measured beside: numbers, and the day from which each judges."""
    found: list[tuple[int, float | None]] = []

    def measure(before: Sequence[PolicyVersion], _: Policy) -> Measured:
        found.extend(
            (one.number, None if one.effective_at == BEGINNING else number_of(one.effective_at))
            for one in before
        )
        return measured()

    proposal = Proposal(policy=loads(text).policy, by="olga", **more)
    assert isinstance(weigh(inst, proposal, Rules(), words, measure), Weighed)
    return found


def test_a_policy_is_measured_beside_what_judges_at_its_instant(database_url: str) -> None:
    """Not beside what is scheduled: or that would let its content in before its day, unmeasured."""
    with installation(database_url) as inst:
        published(inst, PATIENT, wanted_at=day(30))
        assert beside(inst, PATIENT) == [(1, None)]
        assert beside(inst, HASTY, wanted_at=day(20)) == [(1, None)]
        assert beside(inst, HASTY, wanted_at=day(40)) == [(2, None)]


def test_what_restates_history_is_measured_beside_what_judged_it(database_url: str) -> None:
    """Each version from its instant: or it would seem to change nothing where it says what the newest says."""
    with installation(database_url) as inst:
        set_clock(inst, day(10))
        published(inst, PATIENT)
        set_clock(inst, day(20))
        published(inst, HASTY, wanted_at=day(30))
        assert beside(inst, PATIENT, restates=True) == [(1, None), (2, 10)]


def test_customers_in_a_state_that_is_gone_need_somebody_s_approval(database_url: str) -> None:
    """No rule would ever move them; where history is restated, they were never there."""
    renamed = SCENARIO_POLICY.replace("deal", "bought")
    with installation(database_url) as inst:
        arrive(inst, order(0), *of("berta", order(0)))
        waits = put_forward(inst, renamed)
        assert isinstance(waits, Waits)
        (why,) = waits.draft.exceeded
        assert why.startswith("stranded_customers: 2 customers are in states that it does not have")
        stored = history(inst)[-1].measured
        assert stored is not None
        assert stored.stranded == 2
        assert isinstance(put_forward(inst, renamed, restates=True), Published)


def test_a_draft_that_was_wanted_for_a_day_since_passed_judges_from_its_approval(
    database_url: str,
) -> None:
    with installation(database_url) as inst:
        put_forward(inst, PATIENT, moved=11, wanted_at=day(5))
        set_clock(inst, day(7))
        done = approve(inst, 2, Rules(), by="bo", why="agreed")
        assert (done.version.effective_at, done.late) == (day(7), True)


def test_what_is_not_there_is_told_with_what_is(database_url: str) -> None:
    with installation(database_url) as inst:
        put_forward(inst, PATIENT, moved=11)
        with pytest.raises(NotFound, match="no draft 7; waiting: 2"):
            approve(inst, 7, Rules(), by="bo", why="agreed")
        with pytest.raises(NotFound, match="no version 2 of the policy; there is only version 1"):
            roll_back(inst, 2, by="bo", why="agreed")
        with pytest.raises(NotFound, match="no policy version or draft 9"):
            policy_of(inst, 9)


# -- thresholds --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ({"messages_after": 105}, []),
        ({"messages_after": 106}, ["messages"]),
        ({"messages_before": 0, "messages_after": 1}, ["messages"]),
        ({"messages_before": 0, "messages_after": 0}, []),
        ({"capped_after": 11}, ["capped_customers"]),
        ({"moved": 10}, []),
        ({"moved": 11}, ["moved_customers"]),
        ({"unfolded_after": 4}, ["unfolded_events"]),
        ({"unfolded_after": 2}, []),
        ({"peak_day_after": 24}, []),
        ({"peak_day_after": 25}, ["peak_day"]),
        ({"most_in_a_week_after": 7}, []),
        ({"most_in_a_week_before": 9, "most_in_a_week_after": 8}, ["most_in_a_week"]),
    ],
)
def test_a_threshold_is_passed_by_more_than_it_says(
    figures: dict[str, int], told: list[str]
) -> None:
    found = exceeded(Rules(), measured(**figures))
    assert [one.threshold for one in found] == told


def test_the_shipped_file_says_what_is_so_without_it(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    assert read_rules(root / "config") == read_rules(tmp_path) == Rules()


def test_a_threshold_that_is_left_out_stops_nothing(tmp_path: Path) -> None:
    text = (
        "version: 1\nthresholds:\n  messages: {above: 5}\napprovers: [olga, bo]\nfour_eyes: true\n"
    )
    (tmp_path / "publishing.yaml").write_text(text)
    rules = read_rules(tmp_path)
    assert (rules.messages, rules.peak_day) == (Threshold(above=5), Threshold())
    assert (rules.approvers, rules.four_eyes) == (("olga", "bo"), True)
    assert [str(one) for one in exceeded(rules, measured())] == [
        "messages: 100 → 100 (+0.0 %) messages would be sent; allowed: at most 5"
    ]


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("version: 1\nthreshold: {}\n", 2, "unknown_key"),
        ("version: 1\nthresholds:\n  mesages: {more_than: 5%}\n", 3, "unknown_key"),
        ("version: 1\nthresholds:\n  messages: {more_than: 5}\n", 3, "wrong_share"),
        ("version: 1\nthresholds:\n  messages: {}\n", 3, "missing_key"),
        ("version: 1\nthresholds:\n  peak_day: {above: -1}\n", 3, "wrong_number"),
        ("version: 1\napprovers: []\n", 2, "wrong_value"),
        ("version: 1\nfour_eyes: ja\n", 2, "wrong_word"),
        ("version: 2\n", 1, "wrong_value"),
        ("", 1, "empty_file"),
    ],
)
def test_every_slip_in_the_file_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, code: str
) -> None:
    (tmp_path / "publishing.yaml").write_text(text)
    with pytest.raises(PublishingRefused) as raised:
        read_rules(tmp_path)
    (finding,) = raised.value.findings
    assert (finding.line, finding.code) == (line, code)
    assert "allowed" in finding.message or "needs" in finding.message

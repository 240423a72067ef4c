"""The instants at which a threshold calls a customer dormant are those at which the fold does."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from lifecycle.domain.event import Event
from lifecycle.domain.fold import fold
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.backtest.dormancy import listening
from lifecycle.engine.backtest.dormancy_grid import Question, dormancy_check, grid_of
from lifecycle.insight.silences import Listener
from tests.insight.listening import version
from tests.scenarios.driver import day, order, page, refund

# Whoever is dormant wakes up at any interaction, so that the fold sees every silence as well.
WAKING = """\
version: 1
timezone: UTC
currency: CNY
states: {{new: {{initial: true}}, deal: {{}}, away: {{}}, dormant: {{}}}}
events:
  order_paid: {{properties: {{amount: money}}, interaction: true}}
  order_refunded: {{properties: {{amount: money}}}}
facts:
  last_seen_at: {{last: interaction}}
  usual_gap: {{gap: order_paid, quantile: 0.8}}
transitions:
  - {{name: first, on: order_paid, from: new, to: deal}}
  - {{name: goes, on: order_refunded, from: deal, to: away}}
  - {{name: comes, on: order_paid, from: away, to: deal}}
  - {{name: wakes, on: [order_paid, page_viewed], from: dormant, to: deal}}
  - {{name: quiet, after: {after}, since: last_seen_at, from: deal, to: dormant}}
"""
UNTIL = day(600)


@pytest.mark.parametrize(
    "after",
    ["45d", "{fact: usual_gap, at_least: 10d, at_most: 80d, otherwise: 33d}"],
)
def test_every_alarm_is_a_step_of_the_fold_and_every_such_step_an_alarm(after: str) -> None:
    made = version(WAKING.format(after=after))
    check = dormancy_check(made.policy)
    asked = Question(days=(20,), quantiles=())
    work = listening(made, check, grid_of(made.policy, check, asked, UNTIL))
    listener = Listener(
        since=work.since,
        gap=work.gap,
        states=work.states,
        thresholds=work.grid.thresholds,
        until=UNTIL,
    )
    plain, alone = Timeline([made]), work.policies.timeline()
    alarms = 0
    for seed in range(200):
        history = _history(random.Random(seed))
        whole = fold(plain, None, history, UNTIL)
        without = fold(alone, None, history, UNTIL)
        found = [
            silence.began_at + silence.waits[0]
            for silence in listener.silences(history, "new", without.steps)
            if silence is not None and silence.waits[0] <= silence.open_for
        ]
        assert found == [step.at for step in whole.steps if step.rule == "quiet"], seed
        alarms += len(found)
    assert alarms > 200


def _history(chance: random.Random) -> list[Event]:
    """Refunds come before any check: of one who is dormant they would change nothing in the fold."""
    on, told = 0.0, []
    for number in range(chance.randrange(1, 15)):
        what = chance.choices([order, page, refund], [6, 2, 1])[0]
        if what is refund:
            on += chance.uniform(0, 3)
        else:
            on += chance.choice([0.0, 45.0, 10.0, chance.expovariate(1 / 40)])
        told.append(what(on)._replace(id=f"{number:02}"))
    return [event for event in told if event.occurred_at <= UNTIL - timedelta(days=1)]

"""Reports of backtests for the pages: a usual one, one of almost nothing, a huge one, a hostile one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from lifecycle.engine.backtest.report import (
    DayLetters,
    EdgeWeeks,
    FlipFlop,
    Judged,
    Letters,
    Report,
    RuleLetters,
    StateWeeks,
    Stays,
)

MONDAY = date(2024, 1, 1)
WEEK = timedelta(weeks=1)
JUDGED = Judged(
    number=3,
    hash="0123456789abcdef" * 4,
    effective_at=datetime(2024, 1, 1, tzinfo=UTC),
    source="p.yaml",
)
FATES = ("sent", "held_out", "suppressed", "cancelled", "expired", "waiting")


def usual(
    *,
    states: tuple[str, ...] = ("potential", "deal", "dormant", "never"),
    rules: tuple[str, ...] = ("thanks", "win-back", "idle"),
    weeks: int = 30,
    cost: Decimal | None = Decimal("12.345"),
    everybody: bool = True,
) -> Report:
    """Figures that add up, different wherever they could be mistaken for each other."""
    mondays = tuple(MONDAY + n * WEEK for n in range(weeks))
    living = states[:-1]
    told = [_rule(name, n) for n, name in enumerate(rules[:-1])]
    days = _days(told, weeks)
    sent = sum(rule.sent for rule in told)
    return Report(
        policies=(JUDGED,),
        currency="CNY",
        since=None,
        until=datetime.combine(mondays[-1] + timedelta(days=4), datetime.min.time(), UTC),
        sample=0.125,
        customers=1_200,
        events=34_567,
        rows_left_out=0,
        unfolded={"order_paid": 3},
        everybody=everybody,
        weeks=mondays,
        states=(
            *(
                StateWeeks(
                    state=state,
                    customers=tuple(100 * n + 7 * week for week in range(1, weeks + 1)),
                )
                for n, state in enumerate(living, 1)
            ),
            StateWeeks(state=states[-1], customers=(0,) * weeks),
        ),
        edges=tuple(
            _edge(rules[n % len(rules)], a, b, n, weeks)
            for n, (a, b) in enumerate(pairwise(living), 1)
        ),
        stays=(
            *(
                Stays(
                    state=state, ended=1_000 + n, going_on=n, median_days=10 * n, most_days=25 * n
                )
                for n, state in enumerate(living, 1)
            ),
            Stays(state=states[-1], ended=0, going_on=0, median_days=None, most_days=None),
        ),
        letters=Letters(
            planned=sum(rule.planned for rule in told),
            sent=sent,
            tasks=11,
            capped=2,
            cost=cost,
            peak=max(days, key=lambda one: one.sent),
            most_in_a_week=4,
            most_in_a_week_customers=5,
            a_customer={0: 200, 1: 300, 2: 400, 9: 300},
            unplanned=150,
            unreached=200,
            waiting=sum(rule.became["waiting"] for rule in told),
            unreachable=sum(rule.why["no_consent"] for rule in told),
        ),
        rules=(*told, _nothing(rules[-1])),
        days=days,
        flip_flop=timedelta(days=30),
        flip_flops=(FlipFlop(state=living[0], went_to=living[1], times=1_234),),
        flip_flopping=77,
        refused={rules[0]: 2_001, rules[1]: 17},
        digest="fedcba9876543210" * 4,
    )


def almost_nothing() -> Report:
    """One customer, one week, no step, no letter."""
    return Report(
        policies=(JUDGED,),
        currency="CNY",
        since=None,
        until=datetime(2024, 1, 3, tzinfo=UTC),
        sample=None,
        customers=1,
        events=1,
        rows_left_out=0,
        unfolded={},
        everybody=False,
        weeks=(MONDAY,),
        states=(StateWeeks(state="potential", customers=(1,)),),
        edges=(),
        stays=(Stays(state="potential", ended=0, going_on=1, median_days=None, most_days=None),),
        letters=Letters(
            planned=0,
            sent=0,
            tasks=0,
            capped=0,
            cost=None,
            peak=None,
            most_in_a_week=0,
            most_in_a_week_customers=0,
            a_customer={0: 1},
            unplanned=1,
            unreached=1,
            waiting=0,
            unreachable=0,
        ),
        rules=(),
        days=(),
        flip_flop=timedelta(days=30),
        flip_flops=(),
        flip_flopping=0,
        refused={},
        digest=None,
    )


def huge() -> Report:
    """Twelve years, eighty rules, forty states."""
    return usual(
        states=tuple(f"stage_number_{n}" for n in range(40)),
        rules=tuple(f"rule-with-a-name-that-goes-on-{n}" for n in range(81)),
        weeks=600,
    )


def hostile(text: str) -> Report:
    """`text` wherever a name may come from a file, or from an event."""
    return usual(
        states=(f"a{text}", f"b{text}", f"c{text}", f"d{text}"),
        rules=(f"x{text}", f"y{text}", f"z{text}"),
    )


def _rule(name: str, n: int) -> RuleLetters:
    became = {fate: (n + 2) * 10 ** (len(FATES) - place) // 50 for place, fate in enumerate(FATES)}
    return RuleLetters(
        rule=name,
        planned=sum(became.values()),
        sent=became["sent"],
        sent_by_channel={"email": became["sent"]},
        became=became,
        why={
            "holdout": became["held_out"],
            "no_consent": became["suppressed"],
            "wrong_state": became["cancelled"],
            "expired": became["expired"],
        },
        put_off={"quiet_hours": 40 + n, "cap": 3},
        cost=Decimal("1.25") * (n + 1),
    )


def _nothing(name: str) -> RuleLetters:
    return RuleLetters(
        rule=name,
        planned=0,
        sent=0,
        sent_by_channel={},
        became={},
        why={},
        put_off={},
        cost=None,
    )


def _days(rules: list[RuleLetters], weeks: int) -> tuple[DayLetters, ...]:
    """All that was sent, on every other day, most of it on one."""
    count = weeks * 3
    days = []
    for n in range(count):
        by_rule = {}
        for rule in rules:
            usual_day = rule.sent // (2 * count)
            rest = rule.sent - usual_day * (count - 1)
            by_rule[rule.rule] = {"email": rest if n == count // 2 else usual_day}
        sent = sum(channels["email"] for channels in by_rule.values())
        days.append(DayLetters(day=MONDAY + timedelta(days=2 * n), sent=sent, by_rule=by_rule))
    return tuple(day for day in days if day.sent)


def _edge(rule: str, from_state: str, to_state: str, n: int, weeks: int) -> EdgeWeeks:
    by_week = tuple((week * (n + 3)) % 17 for week in range(weeks))
    return EdgeWeeks(
        rule=rule, from_state=from_state, to_state=to_state, steps=sum(by_week), by_week=by_week
    )

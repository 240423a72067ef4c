"""A policy that is printed and read again is the same one, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifecycle.policy import load, loads, to_canonical
from lifecycle.policy.written import to_yaml
from tests.engine.histories import RICH_POLICY
from tests.policies import SCENARIO_POLICY, scenario_policy

ROOT = Path(__file__).resolve().parents[2]

EVERYTHING = scenario_policy(
    less=True,
    care=True,
    quiet_when="orders_30d >= 2",
    facts=[
        "spent: {sum: order_paid.amount, less: order_refunded.amount, within: 36h}",
        "usual_gap: {gap: order_paid, quantile: 0.9}",
        "biggest: {max: order_paid.amount}",
        "seen_first: {first: interaction}",
    ],
    transitions=[
        (
            "{name: own, after: {fact: usual_gap, at_least: 30d, at_most: 180d, otherwise: 60d},"
            " since: last_order_at, from: [loyal], to: dormant, label: {zh: '安静: “了”', en: 'a # b'}}"
        ),
    ],
    outreach=[
        (
            "{name: series, on: {event: [order_paid, page_viewed]}, channels: [email, sms],"
            " steps: [0d, 90min, 7d], variants: {plain: 50, coupon: 1}, holdout: 12.5%, priority: 0,"
            " goal: {event: order_paid, within: 30d}, cancel_on: [account_closed], unless: orders >= 9,"
            " while: [deal, loyal], spread: 2h, again_after: 1s, cap: {most: 1, per: week}}"
        ),
        "{name: noted, on: request, channels: [task], class: service, cap: null, purpose: advice}",
        "{name: stuck, on: {state: [deal], stayed: 14d}, channels: [email], holdout: 0%}",
        "{name: moon, on: {calendar: 'lunar 08-15', at: '07:30'}, channels: [email]}",
        "{name: xmas, on: {calendar: 12-25}, channels: [email], cap: {most: 0, block: true}}",
        "{name: born, on: {calendar: birthday}, channels: [email], cap: {most: 2, within: 10d}}",
    ],
).replace(
    "currency: CNY\n",
    "currency: CNY\nlateness: 400d\nskew: 1h\nunknown_events: keep\n"
    "rates: {USD: {2020-01-01: 7.1, 2021-03-05: 6.5}}\n",
) + (
    "sending:\n  caps: [{most: 3, within: 7d}, {most: 0, block: true, channel: sms, class: service}]\n"
    "  quiet: {since: '21:00', until: '08:00'}\n"
    "  working_days: {days: [mon, sat], holidays: CN, closed: [2026-01-02], open: [2026-02-01]}\n"
    "  surge: {within: 5min, least: 10, times: 3}\nholdout: {all: 2%}\n"
)


@pytest.mark.parametrize(
    "text",
    [
        SCENARIO_POLICY,
        RICH_POLICY,
        EVERYTHING,
        EVERYTHING.replace("timezone: UTC", "timezone: Asia/Shanghai"),
        (ROOT / "config" / "policy.yaml").read_text(encoding="utf-8"),
    ],
    ids=["scenario", "rich", "everything", "shanghai", "default"],
)
def test_what_is_printed_loads_to_the_same_policy(text: str) -> None:
    loaded = loads(text)
    printed = to_yaml(loaded.policy)
    again = loads(printed)
    assert to_canonical(again.policy) == to_canonical(loaded.policy)
    assert again.hash == loaded.hash
    assert to_yaml(again.policy) == printed


def test_it_is_written_as_people_write_it(tmp_path: Path) -> None:
    printed = to_yaml(loads(SCENARIO_POLICY).policy)
    assert "  - {name: first, on: order_paid, from: potential, to: deal}\n" in printed
    assert (
        "  - {name: win-back, on: {transition: quiet}, channels: [email], settle: 10min, expires: 7d}\n"
        in printed
    )
    file = tmp_path / "policy.yaml"
    file.write_text(printed, encoding="utf-8")
    assert load(file).hash == loads(SCENARIO_POLICY).hash

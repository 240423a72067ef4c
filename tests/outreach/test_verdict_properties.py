"""What holds of verdicts whatever the policy, the customer's zone and what was sent before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from lifecycle.domain.policy import Cap, MessageClass, Period, QuietHours, Sending, WorkingDays
from lifecycle.outreach.caps import period_of
from lifecycle.outreach.hours import day_of, is_open
from lifecycle.outreach.verdict import (
    Case,
    Defer,
    Option,
    Reason,
    Send,
    Spent,
    Suppress,
    order,
    verdict,
)
from tests.calendar.test_slots import distinct_zones
from tests.outreach.cases import DAY, NOON, SERVICE, case, rule

ZONES = st.sampled_from([ZoneInfo(name) for name in distinct_zones()])
MONTHS = timedelta(days=90)
SOON = st.timedeltas(timedelta(0), timedelta(days=5))

CHANNELS = ("email", "sms")
WINDOWS = st.one_of(
    st.sampled_from(Period), st.timedeltas(timedelta(minutes=10), timedelta(days=9))
)
CAPS = st.builds(
    Cap,
    most=st.integers(1, 3),
    window=WINDOWS,
    channel=st.sampled_from([None, *CHANNELS]),
    message_class=st.sampled_from([None, *MessageClass]),
)
CLOCK = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
QUIET = st.builds(QuietHours, since=CLOCK, until=CLOCK).filter(lambda q: q.since != q.until)
OPEN_DAYS = st.builds(
    WorkingDays,
    weekdays=st.frozensets(st.integers(0, 6), min_size=1),
    holidays=st.sampled_from([None, "CN", "US", "DE"]),
    closed=st.frozensets(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=5),
    open=st.frozensets(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=5),
)
SENDINGS = st.builds(
    Sending,
    caps=st.lists(CAPS, max_size=3).map(tuple),
    quiet=st.none() | QUIET,
    working_days=st.none() | OPEN_DAYS,
)
OPTIONS = st.lists(
    st.builds(
        Option,
        channel=st.sampled_from(CHANNELS),
        ready=st.sampled_from([True, True, True, False]),
        open_at=st.none() | SOON.map(lambda wait: NOON + wait),
    ),
    min_size=1,
    max_size=2,
)
INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2037, 12, 31)).map(  # noqa: DTZ001 - made aware here
    lambda at: at.replace(tzinfo=UTC)
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A message of one of a few rules, some of which have caps of their own."""
    name = draw(st.sampled_from(["a", "b", "c"]))
    about = rule(
        name,
        message_class=draw(st.sampled_from([*MessageClass, MessageClass.MARKETING])),
        cap=Cap(most=1, window=timedelta(hours=30)) if name == "a" else None,
        capped=name != "c",
        priority=draw(st.integers(0, 100)),
        holdout=Decimal(0),
        purpose=None,
    )
    return case(about, options=draw(OPTIONS), number=draw(st.integers(1, 99)))


class Sent(NamedTuple):
    case: Case
    spent: Spent


def act(due: Sequence[tuple[datetime, Case]], policy: Sending, zone: ZoneInfo) -> list[Sent]:
    """A sender that judges each message when it is due, and again when it was put off until."""
    waiting = [(at, one) for at, one in due]
    done: list[Sent] = []
    looks = 0
    while waiting:
        now = min(at for at, _ in waiting)
        ready = order(one for at, one in waiting if at == now)
        waiting = [(at, one) for at, one in waiting if at != now]
        for one in ready:
            looks += 1
            assert looks < 40 * len(due) ** 2, "it is put off again and again"
            found = verdict(one, policy, [sent.spent for sent in done], now)
            match found:
                case Send(channel=channel):
                    about = one.rule
                    left = Spent(
                        at=now,
                        channel=channel,
                        message_class=about.message_class,
                        rule=about.name,
                    )
                    done.append(Sent(one, left))
                case Defer(until=until):
                    assert until > now
                    waiting.append((until, one))
    return done


def crowded(cap: Cap, done: Sequence[datetime], zone: ZoneInfo) -> bool:
    """Whether any window holds more than the cap allows; each begins or ends with a message."""
    if isinstance(cap.window, Period):
        windows = [period_of(at, cap.window, zone) for at in done]
        return any(sum(a <= at < b for at in done) > cap.most for a, b in windows)
    return any(sum(end - cap.window < at <= end for at in done) > cap.most for end in done)


@given(
    st.lists(st.tuples(SOON.map(lambda wait: NOON + wait), cases()), max_size=12), SENDINGS, ZONES
)
def test_no_window_of_any_cap_ever_holds_more_than_it_allows(
    due: list[tuple[datetime, Case]], policy: Sending, zone: ZoneInfo
) -> None:
    """Whatever is due, in whatever order, as long as each verdict is acted on before the next."""
    done = act([(at, one._replace(zone=zone)) for at, one in due], policy, zone)
    for cap in policy.caps:
        about = cap.message_class or MessageClass.MARKETING
        counted = [
            spent.at
            for one, spent in done
            if spent.message_class is about
            and one.rule.capped
            and cap.channel in {None, spent.channel}
        ]
        assert not crowded(cap, counted, zone)
    mine = [spent.at for one, spent in done if spent.rule == "a"]
    assert not crowded(Cap(most=1, window=timedelta(hours=30)), mine, zone)


@given(cases(), SENDINGS, ZONES, st.lists(SOON, max_size=6), INSTANTS)
def test_what_is_put_off_goes_at_that_instant_and_no_earlier(
    made: Case, policy: Sending, zone: ZoneInfo, ago: list[timedelta], now: datetime
) -> None:
    """One look is enough: at the instant it was put off to nothing puts it off again, and just
    before it something still does. Unless a year holds no open moment at all."""
    options = [replace(one, open_at=None) for one in made.options]
    made = made._replace(zone=zone, options=options)
    spent = [
        Spent(at=now - wait, channel=channel, message_class=made.rule.message_class, rule="a")
        for wait, channel in zip(ago, CHANNELS * 3, strict=False)
    ]
    first = verdict(made, policy, spent, now)
    if isinstance(first, Defer) and first.until < now + 390 * DAY:
        assert isinstance(verdict(made, policy, spent, first.until), Send)
        tick = timedelta(microseconds=1)
        assert isinstance(verdict(made, policy, spent, first.until - tick), Defer)
        if first.until > now + DAY:
            halfway = verdict(made, policy, spent, now + (first.until - now) / 2)
            assert isinstance(halfway, Send | Defer)


@given(cases(), QUIET, OPEN_DAYS, ZONES, INSTANTS)
def test_marketing_never_leaves_in_a_quiet_hour_nor_on_a_closed_day(
    made: Case, quiet: QuietHours, calendar: WorkingDays, zone: ZoneInfo, now: datetime
) -> None:
    """By what the customer's own clock and calendar show at that moment."""
    made = made._replace(zone=zone, options=[Option(channel="email")])
    policy = Sending(quiet=quiet, working_days=calendar)
    found = verdict(made, policy, [], now)
    if made.rule.message_class is SERVICE:
        assert isinstance(found, Send)
        return
    at = found.until if isinstance(found, Defer) else now
    if at > now + 390 * DAY:
        return
    shown = at.astimezone(zone).time()
    inside = (
        quiet.since <= shown < quiet.until
        if quiet.since < quiet.until
        else not quiet.until <= shown < quiet.since
    )
    assert not inside
    assert is_open(day_of(at, zone), calendar)


@given(cases(), SENDINGS, ZONES, SOON)
def test_every_message_that_expires_ends_sent_or_suppressed(
    made: Case, policy: Sending, zone: ZoneInfo, lasts: timedelta
) -> None:
    """Also where every rule stands in its way: what is put off is judged again, or expires."""
    made = made._replace(zone=zone, expires_at=NOON + lasts)
    full = [
        Spent(at=NOON, channel=c, message_class=m, rule="a") for c in CHANNELS for m in MessageClass
    ]
    now, found = NOON, verdict(made, policy, full, NOON)
    for _ in range(20):
        if not isinstance(found, Defer):
            break
        assert found.until > now
        now = found.until
        found = verdict(made, policy, full, now)
    assert isinstance(found, Send | Suppress)
    if now >= NOON + lasts and any(one.ready for one in made.options):
        assert found == Suppress(reason=Reason.EXPIRED)

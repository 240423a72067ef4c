"""Days of the Chinese calendar, held against its own inverse, against another table, and by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from holidays.calendars.chinese import _ChineseLunisolar
from lunar_python import Solar

from lifecycle.domain.calendar import next_slot, zone
from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.lunar import gregorian

YEARS = range(1970, 2101)
SHANGHAI = zone("Asia/Shanghai", "UTC")


def named(day: date) -> tuple[int, int, int]:
    """Year, month (negative in a leap month) and day, asked the other way round."""
    lunar = Solar.fromYmd(day.year, day.month, day.day).getLunar()
    return lunar.getYear(), lunar.getMonth(), lunar.getDay()


def fallen(month: int, day: int, year: int) -> date:
    found = gregorian(month, day, year)
    assert found is not None
    return found


def test_every_date_is_called_by_the_name_that_was_asked_for() -> None:
    for year in YEARS:
        for month in range(1, 13):
            assert named(fallen(month, 15, year)) == (year, month, 15)


def test_day_thirty_is_the_last_day_of_its_month_and_never_of_a_leap_month() -> None:
    lengths = set()
    for year in YEARS:
        for month in range(1, 13):
            last = fallen(month, 30, year)
            assert named(last)[:2] == (year, month)
            assert named(last + timedelta(days=1))[2] == 1
            lengths.add(named(last)[2])
    assert lengths == {29, 30}


@pytest.mark.parametrize(
    ("festival", "month_day", "date_"),
    [
        ("Spring Festival", (1, 1), "2023-01-22"),
        ("Spring Festival", (1, 1), "2024-02-10"),
        ("Spring Festival", (1, 1), "2025-01-29"),
        ("Spring Festival", (1, 1), "2026-02-17"),
        ("Lantern Festival", (1, 15), "2024-02-24"),
        ("Dragon Boat Festival", (5, 5), "2025-05-31"),
        ("Qixi", (7, 7), "2025-08-29"),  # before the leap month of that year, which is its sixth
        ("Mid-Autumn Festival", (8, 15), "2024-09-17"),
        ("Mid-Autumn Festival", (8, 15), "2025-10-06"),
        ("Mid-Autumn Festival", (8, 15), "2026-09-25"),
        ("Double Ninth", (9, 9), "2023-10-23"),
    ],
)
def test_festivals_fall_on_the_dates_that_people_know(
    festival: str, month_day: tuple[int, int], date_: str
) -> None:
    wanted = date.fromisoformat(date_)
    assert fallen(*month_day, wanted.year) == wanted, festival


def test_festivals_are_those_of_another_table() -> None:
    """The library of public holidays has a table of its own, from the observatory of Hong Kong."""
    table = _ChineseLunisolar()
    known = {
        (1, 1): table.lunar_new_year_date,
        (5, 5): table.dragon_boat_date,
        (8, 15): table.mid_autumn_date,
        (9, 9): table.double_ninth_date,
    }
    for month_day, asked in known.items():
        for year in YEARS[:-1]:  # the table ends in 2099
            assert fallen(*month_day, year) == asked(year)[0]


def test_a_month_that_a_year_did_not_have_has_no_days() -> None:
    """In 239 the calendar was put back, and the twelfth month came twice; in 237 one was left out."""
    missing = [
        (year, month)
        for year in range(1, 300)
        for month in range(1, 13)
        if gregorian(month, 1, year) is None
    ]
    assert missing
    assert all(year < 240 for year, _ in missing)


def following(after: datetime, month_day: tuple[int, int], fired: date | None = None) -> datetime:
    found = next_slot(
        month_day,
        time(9),
        SHANGHAI,
        after=after,
        not_before=BEGINNING,
        fired=fired,
        lunar=True,
    )
    assert found is not None
    return found[0]


def test_the_last_day_of_a_lunar_year_comes_in_the_next_year_of_ours() -> None:
    """New Year's Eve of the year that began in 2025 is 16 February 2026."""
    nine = datetime(2026, 2, 16, 1, tzinfo=UTC)  # in Shanghai
    assert following(datetime(2026, 1, 1, tzinfo=UTC), (12, 30)) == nine
    assert following(nine - timedelta(seconds=1), (12, 30)) == nine
    assert following(nine, (12, 30)) == datetime(2027, 2, 5, 1, tzinfo=UTC)


def test_a_day_that_was_spent_is_followed_by_that_of_the_next_lunar_year() -> None:
    spent = date(2026, 2, 16)
    after = datetime(2025, 12, 1, tzinfo=UTC)
    assert following(after, (12, 30), fired=spent) == datetime(2027, 2, 5, 1, tzinfo=UTC)


def test_no_festival_is_left_out_in_a_century() -> None:
    """Walking from slot to slot meets every date of the years, once."""
    at, met = datetime(1999, 12, 31, tzinfo=UTC), []
    for _ in range(100):
        at = following(at, (1, 1))
        met.append(at.astimezone(SHANGHAI).date())
    assert met == [fallen(1, 1, year) for year in range(2000, 2100)]

"""Which slot of a yearly date comes next, where the year of the clock is not the year of the date."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from lifecycle.domain.calendar import next_slot, zone
from lifecycle.domain.instant import BEGINNING, instant_from, instant_text

LATE, EARLY = time(23), time(1)


def following(
    date_: str,
    at: time,
    zone: str,
    after: str,
    *,
    not_before: datetime = BEGINNING,
    fired: date | None = None,
) -> tuple[str, str]:
    """The next slot after an instant: its own instant, and its local date."""
    month, day = map(int, date_.split("-"))
    found = next_slot(
        (month, day),
        at,
        ZoneInfo(zone),
        after=instant_from(after),
        not_before=not_before,
        fired=fired,
    )
    assert found is not None
    return instant_text(found[0]), found[1].isoformat()


@pytest.mark.parametrize(
    ("date_", "at", "zone", "after", "slot"),
    [
        # the old year still lasts in New York when it is over in Greenwich
        (
            *("12-31", LATE, "America/New_York", "2026-01-01T02:00:00Z"),
            ("2026-01-01T04:00:00Z", "2025-12-31"),
        ),
        (
            *("12-31", LATE, "America/New_York", "2026-01-01T04:00:00Z"),
            ("2027-01-01T04:00:00Z", "2026-12-31"),
        ),
        # and the new one has begun in Auckland
        (
            *("01-01", EARLY, "Pacific/Auckland", "2025-12-31T11:59:59Z"),
            ("2025-12-31T12:00:00Z", "2026-01-01"),
        ),
        (
            *("01-01", EARLY, "Pacific/Auckland", "2025-12-31T12:00:00Z"),
            ("2026-12-31T12:00:00Z", "2027-01-01"),
        ),
    ],
)
def test_years_end_where_she_lives(
    date_: str, at: time, zone: str, after: str, slot: tuple[str, str]
) -> None:
    assert following(date_, at, zone, after) == slot


def test_a_slot_at_the_very_instant_is_over_for_her_but_not_for_a_version_that_begins() -> None:
    """Strictly after what she lived through; at or after what takes effect."""
    nine = "2026-05-17T09:00:00Z"
    assert following("05-17", time(9), "UTC", nine)[1] == "2027-05-17"
    begins = datetime(2026, 5, 17, 9, tzinfo=UTC)
    assert following("05-17", time(9), "UTC", "2026-01-01T00:00:00Z", not_before=begins) == (
        *(nine, "2026-05-17"),
    )


def test_a_date_that_fired_is_not_looked_at_again() -> None:
    fired = date(2028, 5, 17)
    found = following("05-17", time(9), "UTC", "2026-01-01T00:00:00Z", fired=fired)
    assert found == ("2029-05-17T09:00:00Z", "2029-05-17")


@pytest.mark.parametrize(
    ("after", "day"),
    [
        ("1999-06-01T00:00:00Z", "2000-02-29"),
        ("2026-06-01T00:00:00Z", "2027-02-28"),
        ("2027-06-01T00:00:00Z", "2028-02-29"),
        ("2099-06-01T00:00:00Z", "2100-02-28"),  # a century is no leap year
    ],
)
def test_the_29th_of_february_is_the_28th_in_other_years(after: str, day: str) -> None:
    assert following("02-29", time(9), "UTC", after)[1] == day


@pytest.mark.parametrize("name", [None, "", "America", "Mars/Olympus", "../etc", "x" * 300, "a\0b"])
def test_what_is_no_zone_gives_way_to_the_policy_s(name: str | None) -> None:
    """A customer whose zone is a folder, or nothing at all, is folded like any other."""
    assert zone(name, "Asia/Shanghai") == ZoneInfo("Asia/Shanghai")

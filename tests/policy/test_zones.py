"""Which time zone names mean one place?"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from lifecycle.domain.money import CURRENCIES, minor_units
from lifecycle.policy.zones import zone, zone_names


@pytest.mark.parametrize(
    "name", ["Asia/Shanghai", "Europe/London", "America/Argentina/Buenos_Aires", "UTC", "Etc/UTC"]
)
def test_a_name_that_a_country_goes_by_is_taken(name: str) -> None:
    assert zone(name) == name


def test_every_name_that_is_taken_is_known_to_the_clock() -> None:
    assert len(zone_names()) > 300
    for name in zone_names():
        assert ZoneInfo(name).key == name


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CST", "Asia/Shanghai or America/Chicago"),
        ("UTC+8", "Asia/Shanghai, Asia/Singapore or Australia/Perth"),
        ("Etc/GMT-8", "Asia/Shanghai, Asia/Singapore or Australia/Perth"),
        ("Asia/Peking", "Asia/Shanghai"),
        ("Asia/Chongqing", "Asia/Shanghai"),
        ("PRC", "Asia/Shanghai"),
        ("asia/shanghai", "Asia/Shanghai"),
        ("Asia/Shangai", "Asia/Shanghai"),
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("US/Pacific", "America/Los_Angeles"),
        ("EST", "America/New_York"),
    ],
)
def test_abbreviations_offsets_and_retired_names_are_refused_with_the_name_to_write(
    name: str, meant: str
) -> None:
    with pytest.raises(ValueError, match="use an IANA name such as Asia/Shanghai") as refused:
        zone(name)
    assert f'did you mean "{meant}"?' in str(refused.value)


@pytest.mark.parametrize(
    ("code", "units"),
    [("CNY", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("cny", None), ("RMB", None), ("XXX", None)],
)
def test_a_currency_has_as_many_decimals_as_iso_4217_says(code: str, units: int | None) -> None:
    assert minor_units(code) == units


def test_currency_codes_are_three_capital_letters_and_none_stands_twice() -> None:
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in CURRENCIES)
    assert len(set(CURRENCIES)) == len(CURRENCIES) > 160

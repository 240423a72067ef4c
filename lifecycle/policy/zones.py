"""Is this the name of a time zone that means one place, today and in the past?

Abbreviations (`CST` is three zones), offsets (`UTC+8` has no summer time and no history) and names
that were retired are refused, each with the name to write instead.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from lifecycle.policy.report import did_you_mean, found

_UTC = ("UTC", "Etc/UTC")
_EXAMPLE = "use an IANA name such as Asia/Shanghai or Europe/London, or UTC"
# What people write that the tables of IANA do not know: mostly one zone a country, by its capital.
_MEANT = {
    "asia/peking": "Asia/Shanghai",
    "asia/beijing": "Asia/Shanghai",
    "asia/shenzhen": "Asia/Shanghai",
    "asia/guangzhou": "Asia/Shanghai",
    "beijing": "Asia/Shanghai",
    "china": "Asia/Shanghai",
    "cst": "Asia/Shanghai or America/Chicago",
    "utc+8": "Asia/Shanghai, Asia/Singapore or Australia/Perth",
    "utc+08:00": "Asia/Shanghai, Asia/Singapore or Australia/Perth",
    "gmt+8": "Asia/Shanghai, Asia/Singapore or Australia/Perth",
    "etc/gmt-8": "Asia/Shanghai, Asia/Singapore or Australia/Perth",
    "+08:00": "Asia/Shanghai, Asia/Singapore or Australia/Perth",
    "ist": "Asia/Kolkata, Europe/Dublin or Asia/Jerusalem",
    "bst": "Europe/London or Asia/Dhaka",
    "est": "America/New_York",
    "pst": "America/Los_Angeles",
    "gmt": "UTC or Europe/London",
    "z": "UTC",
}


@cache
def zone_names() -> tuple[str, ...]:
    """Every name in use: those that a country goes by, and UTC."""
    table = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="ascii")
    rows = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    return tuple(sorted({row[2] for row in rows} | set(_UTC)))


@cache
def _retired() -> dict[str, str]:
    """Names of old that IANA keeps as links, in lower case, with the name in use."""
    table = (files("tzdata") / "zoneinfo" / "tzdata.zi").read_text(encoding="ascii")
    links = (line.split() for line in table.splitlines() if line.startswith("L "))
    return {link[2].lower(): link[1] for link in links}


def zone(name: str) -> str:
    """The name itself; raises ValueError with the sentence to tell its author."""
    if name in zone_names():
        return name
    meant = _MEANT.get(name.lower())
    if meant is None:
        link = _retired().get(name.lower())
        meant = link if link in zone_names() else None
    hint = f'; did you mean "{meant}"?' if meant else did_you_mean(name, zone_names())
    raise ValueError(f"{found(name)}; {_EXAMPLE}{hint}")

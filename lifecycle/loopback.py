"""Is it only this machine that can reach us, and were we asked by a name of its own?

A page of the web that makes its own name point here is stopped by the second: its browser asks by that name.
"""

from __future__ import annotations

import ipaddress

LOOPBACK = "127.0.0.1"
NAMES = frozenset({"localhost", LOOPBACK, "[::1]"})  # as a Host header has them


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach an address; of names, localhost alone is trusted.

    `::ffff:127.0.0.1` is 127.0.0.1, which not every Python knows.
    """
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def host_of(header: str) -> str:
    """The name or address of a Host header, in lower case and without its port."""
    named = header.lower()
    return named if named.endswith("]") else named.rpartition(":")[0] or named

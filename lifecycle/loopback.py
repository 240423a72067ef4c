"""Is it only this machine that can reach us, and were we asked by a name of its own?

A page of the web that makes its own name point here is stopped by the second: its browser asks by that name.
"""

from __future__ import annotations

import ipaddress

LOOPBACK = "127.0.0.1"
NAMES = frozenset({"localhost", LOOPBACK, "[::1]"})  # as a Host header has them


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach an address; of names, localhost alone is trusted."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(header: str) -> str:
    """The name or address of a Host header, in lower case and without its port."""
    named = header.lower()
    return named if named.endswith("]") else named.rpartition(":")[0] or named

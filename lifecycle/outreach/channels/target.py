"""Where may a request of ours go? To public addresses alone, each checked before it is connected to.

A name is resolved once, every address that it has is judged, and exactly those addresses are what the
client connects to: no later answer of the resolver can lead it elsewhere.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from lifecycle.errors import UNCHANGED, Problem

CODE = "target_not_allowed"
ALLOWED_PORTS = (443, 8443)
LONGEST_URL = 2048
_USUAL = {"https": 443, "http": 80}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(
    r"[0-9]+|0x[0-9a-f]*"
)  # a last label that makes the whole host an IPv4 address
_PLAIN = re.compile(r"[\x21-\x7e]+")

# What is reserved, or answers inside of a cloud, although not every Python knows it.
_NEVER = tuple(
    ipaddress.ip_network(each)
    for each in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "3fff::/20")
)
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")  # all of IPv6 that is routed between networks
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL that may be asked, and the addresses at which it may be."""

    scheme: str
    host: str  # in lower case, as it goes into Host and SNI
    port: int
    path: str  # with the query
    addresses: tuple[str, ...]  # in the order of the resolver; not one that was not judged

    @property
    def authority(self) -> str:
        """As a Host header has it."""
        return _authority(self.scheme, self.host, self.port)


def authority(url: str) -> str:
    """What the Host header of a request to it will be, for those who sign it."""
    scheme, host, port, _ = _taken_apart(url)
    return _authority(scheme, host, port)


def resolve(host: str, port: int) -> Sequence[str]:
    """What the system's resolver says now; raises OSError where it says nothing."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Targets:
    """The rule of where requests go.

    `only` narrows it to hosts: `hooks.example.com`, or `.example.com` for all under it.
    `loopback` is for tests: what resolves to this machine alone may then be asked, over plain http and
    on any port too. No setting reaches it.
    """

    def __init__(
        self, *, only: Sequence[str] = (), loopback: bool = False, resolve: Resolve = resolve
    ) -> None:
        self._only = tuple(each.lower() for each in only)
        self._loopback = loopback
        self._resolve = resolve

    def find(self, url: str) -> Target:
        """Raises Problem where it must not be asked, and OSError where its name does not resolve."""
        scheme, host, port, path = _taken_apart(url)
        wrong = self._wrong_form(scheme, host, port)
        if wrong and not self._loopback:
            raise _refused(wrong, got=host)
        addresses = tuple(self._resolve(host, port))
        if self._loopback and addresses and all(map(_is_loopback, addresses)):
            wrong = None
        else:
            wrong = wrong or _wrong_addresses(host, addresses)
        if wrong:
            raise _refused(wrong, got=host)
        return Target(scheme=scheme, host=host, port=port, path=path, addresses=addresses)

    def check(self, url: str) -> None:
        """Raises Problem for what is wrong with a URL whoever resolves it; asks nobody."""
        scheme, host, port, _ = _taken_apart(url)
        if not self._loopback and (wrong := self._wrong_form(scheme, host, port)):
            raise _refused(wrong, got=host)

    def _wrong_form(self, scheme: str, host: str, port: int) -> str | None:
        """What is wrong with it before anybody is asked where it is."""
        if scheme != "https":
            return f"{scheme}:// is not allowed; write https://"
        if port not in ALLOWED_PORTS:
            return f"port {port} is not allowed; allowed: 443 and 8443"
        if _is_literal(host):
            return f"{host!r} is an address; write the name of a host"
        if not _is_name(host):
            return f"{host!r} is not the full name of a host"
        if self._only and not any(_covers(each, host) for each in self._only):
            return f"{host!r} is not among the hosts that may be asked"
        return None


def is_public(text: str) -> bool:
    """Whether an address is out in the world, as is every address that is wrapped in it."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:  # such as one with a zone
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if mapped is not None:
        return _is_global(mapped)
    return _is_global(address) and all(_is_global(each) for each in _wrapped(address))


def _taken_apart(url: str) -> tuple[str, str, int, str]:
    if len(url) > LONGEST_URL or not _PLAIN.fullmatch(url) or "\\" in url:
        raise _refused("a URL is up to 2,048 plain characters, without spaces and backslashes")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _refused("its host or port cannot be read") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise _refused("it is not a URL of the form https://host/path")
    if "@" in parts.netloc:
        raise _refused("a user and password must not be in it", got=host)
    if parts.fragment or "#" in url:
        raise _refused("a fragment (#…) is never sent, so it must not be in it", got=host)
    if port is None:
        port = _USUAL[parts.scheme]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, host.lower(), port, path


def _authority(scheme: str, host: str, port: int) -> str:
    return host if port == _USUAL[scheme] else f"{host}:{port}"


def _refused(why: str, *, got: str | None = None) -> Problem:
    return Problem(
        CODE,
        f"this target is not allowed: {why}; {UNCHANGED}",
        got=got,
        expected="https://, a public host, port 443 or 8443",
    )


def _is_literal(host: str) -> bool:
    """Whether it is an address, in any spelling that some program takes for one."""
    labels = host.rstrip(".").split(".")
    return ":" in host or "%" in host or bool(_NUMBER.fullmatch(labels[-1]))


def _is_name(host: str) -> bool:
    labels = host.split(".")
    return len(host) <= 253 and len(labels) > 1 and all(map(_LABEL.fullmatch, labels))


def _covers(allowed: str, host: str) -> bool:
    return host.endswith(allowed) if allowed.startswith(".") else host == allowed


def _wrong_addresses(host: str, addresses: Sequence[str]) -> str | None:
    if not addresses:
        return f"{host!r} has no address"
    private = [each for each in addresses if not is_public(each)]
    return f"{host!r} is at {private[0]}, which is not a public address" if private else None


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def _is_global(address: Address) -> bool:
    if address.is_multicast or any(address in each for each in _NEVER if _same(each, address)):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_reserved
    return address in _NAT64 or (address in _GLOBAL_6 and address.is_global)


def _same(network: ipaddress.IPv4Network | ipaddress.IPv6Network, address: Address) -> bool:
    return network.version == address.version


def _wrapped(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """The addresses of IPv4 to which a tunnel or translator would take it."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo

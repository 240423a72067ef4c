"""Row 77 of the bad inputs: what may never be asked, however it is written or resolved."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lifecycle.errors import Problem
from lifecycle.outreach.channels.target import Targets, is_public

PUBLIC = "93.184.216.34"


def resolves_to(*addresses: str) -> Targets:
    return Targets(resolve=lambda host, port: addresses)


def refusal(targets: Targets, url: str) -> Problem:
    with pytest.raises(Problem) as caught:
        targets.find(url)
    assert caught.value.code == "target_not_allowed"
    assert caught.value.status == 422
    return caught.value


def test_a_public_name_is_found_with_every_address_that_was_judged() -> None:
    target = resolves_to(PUBLIC, "2606:4700::6810:84e5").find("https://Hooks.Example.com/in?a=1")
    assert target.addresses == (PUBLIC, "2606:4700::6810:84e5")
    assert (target.host, target.port, target.path) == ("hooks.example.com", 443, "/in?a=1")
    assert target.authority == "hooks.example.com"


def test_a_port_that_is_not_the_usual_one_is_part_of_the_host_header() -> None:
    assert resolves_to(PUBLIC).find("https://a.example:8443").authority == "a.example:8443"


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "//hooks.example.com/",
        "hooks.example.com",
        "",
        "https://",
        "https:///in",
        "https://hooks.example.com:22/",
        "https://hooks.example.com:80/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com:٤٤٣/",
        "https://user:pass@hooks.example.com/",
        "https://user@hooks.example.com/",
        "https://@hooks.example.com/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/#x",
        "https://hooks.example.com/#",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nHost: evil",
        "https://hooks.example.com\t/",
        " https://hooks.example.com/",
        "https://hooks.example.com/" + "a" * 2048,
        "https://localhost/",
        "https://LOCALHOST/",
        "https://metadata/",
        "https://-a.example/",
        "https://a..example/",
        "https://例子.example/",
        "https://１２７.０.０.１/",
        "https://127。0。0。1/",
    ],
)
def test_what_is_not_an_https_url_of_a_full_host_name_is_refused_before_it_is_resolved(
    url: str,
) -> None:
    def never(host: str, port: int) -> Sequence[str]:
        raise AssertionError(host)

    assert refusal(Targets(resolve=never), url).expected is not None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.0.1.",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "a.0x",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[fe80::1%25eth0]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "93.184.216.34",
        "[2606:4700::1]",
    ],
)
def test_an_address_is_refused_in_every_spelling_even_a_public_one(host: str) -> None:
    assert "is an address" in refusal(resolves_to(PUBLIC), f"https://{host}/").detail


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # metadata of most clouds
        "100.100.100.200",  # of Alibaba's
        "168.63.129.16",  # of Azure's
        "192.0.0.192",  # of Oracle's
        "100.64.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2001:0:5db8:d822::1",
        "2001:db8::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "100::1",
        "5f00::1",
        "not an address",
    ],
)
def test_a_name_that_resolves_to_a_private_address_is_refused_with_that_address(
    address: str,
) -> None:
    assert address in refusal(resolves_to(address), "https://hooks.example.com/").detail


@pytest.mark.parametrize(
    "address",
    [PUBLIC, "8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700::1111", "2002:808:808::1"],
)
def test_an_address_of_the_world_is_public(address: str) -> None:
    assert is_public(address)


def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    assert "10.0.0.5" in refusal(resolves_to(PUBLIC, "10.0.0.5"), "https://a.example/").detail


def test_a_name_without_an_address_is_refused() -> None:
    assert "no address" in refusal(resolves_to(), "https://a.example/").detail


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://hooks.example.com/", True),
        ("https://a.b.partner.example/", True),
        ("https://partner.example/", False),
        ("https://evilpartner.example/", False),
        ("https://hooks.example.com.evil.example/", False),
    ],
)
def test_an_allow_list_narrows_it_to_its_hosts(url: str, allowed: bool) -> None:
    targets = Targets(
        only=["Hooks.example.com", ".partner.example"], resolve=lambda host, port: [PUBLIC]
    )
    if allowed:
        assert targets.find(url).addresses == (PUBLIC,)
    else:
        assert "not among" in refusal(targets, url).detail


def test_loopback_is_allowed_only_to_whoever_says_so_and_opens_nothing_else() -> None:
    assert Targets(loopback=True).find("http://127.0.0.1:1234/").addresses == ("127.0.0.1",)
    for url in ("http://10.0.0.1/", "http://hooks.example.com/", "https://hooks.example.com:22/"):
        refusal(Targets(loopback=True, resolve=lambda host, port: ["10.0.0.1"]), url)
        refusal(Targets(loopback=True, resolve=lambda host, port: [PUBLIC]), url)
    mixed = Targets(loopback=True, resolve=lambda host, port: ["127.0.0.1", "10.0.0.1"])
    assert "127.0.0.1" in refusal(mixed, "https://hooks.example.com/").detail

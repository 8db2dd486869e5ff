"""Where Drydock never connects to, however it is written and whoever says it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.addresses import AddressRefused, GuardedResolver, check_literal, is_loopback, is_refused
from tests.builders.images import FixedNames


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.0.1",
        "0.0.0.0",  # noqa: S104 - nobody binds to it here
        "224.0.0.1",
        "255.255.255.255",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "2852039166",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "fe80::1",
        "febf::1",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
        "::",
        "ff02::1",
        "fd00:ec2::254",
    ],
)
def test_link_local_metadata_and_multicast_addresses_are_refused(host: str) -> None:
    assert is_refused(host)
    with pytest.raises(AddressRefused):
        check_literal(host)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "8.8.8.8", "::1", "fd00::1", "localhost", "hooks.example", ""]
)
def test_loopback_private_and_public_addresses_and_names_are_allowed(host: str) -> None:
    assert not is_refused(host)
    check_literal(host)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("[::1]", True), ("localhost", True)]
    + [(host, False) for host in ("0.0.0.0", "[::]", "", "10.0.0.1", "drydock.example")],  # noqa: S104
)
def test_what_only_this_machine_reaches_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@given(st.ip_addresses(v=4))
def test_an_address_is_judged_alike_in_every_spelling(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    spellings = (
        str(number),
        hex(number),
        f"{number >> 24}.{number & 0xFFFFFF}",
        f"::ffff:{address}",
        str(ipaddress.IPv6Address((0x64FF9B << 96) | number)),
    )
    assert {is_refused(spelling) for spelling in spellings} == {is_refused(str(address))}


@pytest.mark.parametrize("address", ["100.100.100.200", "fe80::1%eth0", "64:ff9b::a9fe:a9fe"])
async def test_a_name_that_leads_to_a_refused_address_has_none(address: str) -> None:
    with pytest.raises(AddressRefused):
        await GuardedResolver(FixedNames(address)).resolve("innocent.invalid")


async def test_a_name_that_leads_elsewhere_is_resolved() -> None:
    [found] = await GuardedResolver(FixedNames("10.0.0.1")).resolve("registry.invalid")
    assert found["host"] == "10.0.0.1"

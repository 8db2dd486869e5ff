"""Where nothing is sent, however it is written, and what an operator may allow."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.egress import Egress, EgressRefused, parse_networks, parse_ports
from tests.builders.images import FixedNames


class Lost(AbstractResolver):
    """Knows no name."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    async def close(self) -> None:
        """Holds nothing."""


NOBODY = Egress(names=Lost())
THIS_MACHINE = Egress(networks=parse_networks("127.0.0.0/8, ::1/128"), names=Lost())
EVERYWHERE = Egress(networks=parse_networks("0.0.0.0/0,::/0"), names=Lost())

METADATA = (
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "00000251.0376.0251.0376",
    "169.254.43518",
    "169.254.169.254.",
    "169.16689662",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "0:0:0:0:0:ffff:a9fe:a9fe",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "0.0.0.0",  # noqa: S104 - nobody binds to it here
    "::",
    "255.255.255.255",
)
PRIVATE = (
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.1",
    "017700000001",
    "::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "fc00::1",
    "fd12::1",
    "fec0::1",
    "64:ff9b:1::1",
    "2001:db8::1",
)


def refusal(egress: Egress, host: str) -> str:
    try:
        egress.check_address(host)
    except EgressRefused as error:
        assert error.message
        assert error.hint
        return error.reason
    return ""


@pytest.mark.parametrize("host", METADATA)
def test_metadata_and_link_local_addresses_are_refused_whatever_is_allowed(host: str) -> None:
    assert refusal(EVERYWHERE, host) == "ADDRESS_REFUSED"
    assert refusal(NOBODY, host) == "ADDRESS_REFUSED"


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_want_an_allowed_network(host: str) -> None:
    assert refusal(NOBODY, host) == "ADDRESS_NOT_ALLOWED"
    assert refusal(EVERYWHERE, host) == ""


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "2606:4700::1111", "134744072", "::ffff:8.8.8.8", "hooks.example", ""]
)
def test_public_addresses_and_names_pass(host: str) -> None:
    assert refusal(NOBODY, host) == ""


@given(st.ip_addresses(v=4))
def test_every_spelling_of_an_address_is_judged_alike(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    spellings = (
        str(number),
        hex(number),
        f"{number >> 24}.{number & 0xFFFFFF}",
        ".".join(f"0{octet:o}" for octet in address.packed),
        f"::ffff:{address}",
        str(ipaddress.IPv6Address((0x64FF9B << 96) | number)),
        str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80))),
    )
    for egress in (NOBODY, THIS_MACHINE):
        assert {refusal(egress, spelling) for spelling in spellings} == {refusal(egress, str(address))}


@pytest.mark.parametrize("port", [22, 25, 53, 465, 587, 2375, 5432, 6379, 7070, 9092, 10250, 11211])
def test_the_doors_of_other_services_are_refused_unless_allowed(port: int) -> None:
    with pytest.raises(EgressRefused) as caught:
        NOBODY.check_port(port)
    assert caught.value.reason == "PORT_REFUSED"
    Egress(ports=parse_ports(f"1, {port}"), names=Lost()).check_port(port)


@pytest.mark.parametrize("port", [80, 443, 8080, 8443, 3000, 45_000])
def test_other_ports_pass(port: int) -> None:
    NOBODY.check_port(port)


def test_mail_may_go_to_the_ports_of_mail() -> None:
    NOBODY.check_port(587, refused=())


@pytest.mark.parametrize("addresses", [("169.254.169.254",), ("8.8.8.8", "10.0.0.1"), ("8.8.8.8", "fe80::1%eth0")])
async def test_a_name_with_one_refused_address_has_none(addresses: tuple[str, ...]) -> None:
    egress = Egress(names=FixedNames(*addresses))
    with pytest.raises(EgressRefused):
        await egress.resolver.resolve("innocent.invalid")
    with pytest.raises(EgressRefused):
        await egress.check_host("innocent.invalid")


async def test_a_name_that_cannot_be_looked_up_yet_passes_when_it_is_saved() -> None:
    async with asyncio.timeout(5):
        await Egress(names=Lost()).check_host("later.invalid")


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "private", "10.0.0.0/8;::1"])
def test_networks_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_networks(text)


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "9" * 30])
def test_ports_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_ports(text)

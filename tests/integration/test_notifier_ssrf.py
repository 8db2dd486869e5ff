"""Whatever a target's URL says, nothing is reached that was not allowed: neither saved nor told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from services.kernel.egress import Egress, parse_networks
from services.kernel.errors import ServiceError
from services.notifier.channels.interface import Outcome, Parcel, Verdict
from services.notifier.channels.open import open_channels
from tests.builders.images import FixedNames
from tests.builders.notifier import answering, notifier_bench, scan_event, serve_site, way_out
from tests.fakes.clock import ManualClock

LOOPBACK = ("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "[::ffff:127.0.0.1]")
NAMES = ("localhost", "internal.example", "%31%32%37.0.0.1", "127.0.0.1.", "LOCALHOST")
PLACES = pytest.mark.parametrize("host", [*LOOPBACK, *NAMES])


@contextlib.asynccontextmanager
async def listener() -> AsyncIterator[tuple[int, list[object]]]:
    """A port of this machine, and every connection that reached it."""
    reached: list[object] = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], reached


async def send(egress: Egress, url: str) -> Outcome:
    async with open_channels(egress, ManualClock(), attempt_seconds=5.0) as channels, asyncio.timeout(20):
        return await channels.any.send(Parcel(delivery_id="d-1", event_type="scan.completed", url=url, body=b"{}"))


@PLACES
async def test_this_machine_is_not_reached_where_it_is_not_allowed(host: str) -> None:
    async with listener() as (port, reached):
        outcome = await send(Egress(names=FixedNames("127.0.0.1")), f"http://{host}:{port}/")
        assert (outcome.verdict, outcome.reason) == (Verdict.GIVE_UP, "ADDRESS_NOT_ALLOWED")
        assert reached == []


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f.1", "[::ffff:127.0.0.1]", "localhost", "internal.example"])
async def test_the_same_places_are_reached_where_it_is(host: str) -> None:
    async with listener() as (port, reached):
        await send(way_out(FixedNames("127.0.0.1")), f"http://{host}:{port}/")
        assert len(reached) == 1


class Rebinding(AbstractResolver):
    """Leads a name to an allowed address the first time, and to another one ever after."""

    def __init__(self, first: str, then: str) -> None:
        self._first = first
        self._then = then
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        address = self._first if self.asked == 1 else self._then
        return [ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        """Holds nothing."""


async def test_a_name_that_leads_elsewhere_after_it_was_saved_is_not_followed(database: str) -> None:
    egress = Egress(names=Rebinding("8.8.8.8", "127.0.0.1"))
    async with listener() as (port, reached), notifier_bench(database, egress=egress) as bench:
        target = await bench.target(f"http://rebinding.example:{port}/")
        await bench.tell(scan_event(target.target_id))
        await bench.deliver_due()
        (row,) = await bench.deliveries()
        assert (row["state"], row["reason"]) == ("DEAD", "ADDRESS_NOT_ALLOWED")
        assert reached == []


async def test_a_name_is_not_asked_again_between_the_check_and_the_connection() -> None:
    names = Rebinding("127.0.0.1", "127.0.0.2")
    egress = Egress(networks=parse_networks("127.0.0.1/32"), names=names)
    async with serve_site() as site:
        outcome = await send(egress, site.url.replace("127.0.0.1", "rebinding.example"))
        assert (outcome.verdict, names.asked, len(site.hits)) == (Verdict.DELIVERED, 1, 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_reaches_nothing(status: int) -> None:
    async with listener() as (port, reached):
        elsewhere = {"Location": f"http://127.0.0.1:{port}/"}
        async with serve_site(answering(status, headers=elsewhere)) as site:
            outcome = await send(way_out(), site.url)
        assert (outcome.verdict, outcome.reason) == (Verdict.GIVE_UP, "TARGET_REDIRECTS")
        assert reached == []


@PLACES
async def test_what_is_not_reached_is_not_saved_either(database: str, host: str) -> None:
    egress = Egress(names=FixedNames("127.0.0.1"))
    async with notifier_bench(database, egress=egress) as bench:
        with pytest.raises(ServiceError) as caught:
            await bench.target(f"http://{host}:8080/")
        assert (caught.value.reason, caught.value.field) == ("ADDRESS_NOT_ALLOWED", "url")
        assert "DRYDOCK_NOTIFIER_ALLOWED_NETWORKS" in caught.value.hint


@pytest.mark.parametrize("scheme", ["file", "gopher", "ftp", "dict", "ldap", "unix", "javascript"])
async def test_other_schemes_are_not_saved(database: str, scheme: str) -> None:
    async with notifier_bench(database) as bench:
        with pytest.raises(ServiceError) as caught:
            await bench.target(f"{scheme}://127.0.0.1:8080/")
        assert caught.value.reason == "INVALID_URL"


async def test_the_port_of_another_service_is_neither_saved_nor_called(database: str) -> None:
    async with notifier_bench(database) as bench:
        with pytest.raises(ServiceError) as caught:
            await bench.target("http://127.0.0.1:6379/")
        assert caught.value.reason == "PORT_REFUSED"
    outcome = await send(way_out(), "http://127.0.0.1:6379/")
    assert (outcome.verdict, outcome.reason) == (Verdict.GIVE_UP, "PORT_REFUSED")

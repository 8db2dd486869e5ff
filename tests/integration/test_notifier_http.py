"""One attempt over HTTP against a real server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import web

from services.notifier.channels.interface import Channel, Outcome, Parcel, Verdict
from services.notifier.channels.open import open_channels
from tests.builders.images import FixedNames
from tests.builders.notifier import answering, serve_site, way_out
from tests.fakes.clock import ManualClock

CLOCK = ManualClock()


@pytest.fixture
async def channel() -> AsyncIterator[Channel]:
    async with open_channels(way_out(), CLOCK, attempt_seconds=5.0) as opened:
        yield opened.any


def parcel(url: str) -> Parcel:
    return Parcel(delivery_id="d-1", event_type="scan.completed", url=url, body=b'{"a":1}')


async def send(channel: Channel, url: str) -> Outcome:
    async with asyncio.timeout(20):
        return await channel.send(parcel(url))


async def test_a_delivery_is_a_post_with_its_id_and_event(channel: Channel) -> None:
    async with serve_site() as site:
        outcome = await send(channel, site.url)
        assert (outcome.verdict, outcome.http_status) == (Verdict.DELIVERED, 204)
        (hit,) = site.hits
        assert hit.body == b'{"a":1}'
        assert hit.headers["Drydock-Delivery"] == "d-1"
        assert hit.headers["Drydock-Event"] == "scan.completed"
        assert hit.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "verdict", "reason"),
    [
        (200, Verdict.DELIVERED, ""),
        (202, Verdict.DELIVERED, ""),
        (302, Verdict.GIVE_UP, "TARGET_REDIRECTS"),
        (400, Verdict.GIVE_UP, "TARGET_REFUSES"),
        (401, Verdict.GIVE_UP, "TARGET_REFUSES"),
        (404, Verdict.GIVE_UP, "TARGET_REFUSES"),
        (410, Verdict.GIVE_UP, "TARGET_REFUSES"),
        (408, Verdict.TRY_AGAIN, "TARGET_ERROR"),
        (425, Verdict.TRY_AGAIN, "TARGET_ERROR"),
        (429, Verdict.TRY_AGAIN, "TARGET_ERROR"),
        (500, Verdict.TRY_AGAIN, "TARGET_ERROR"),
        (503, Verdict.TRY_AGAIN, "TARGET_ERROR"),
    ],
)
async def test_the_status_decides(channel: Channel, status: int, verdict: Verdict, reason: str) -> None:
    headers = {"Location": "/elsewhere"} if status == 302 else {}
    async with serve_site(answering(status, text="so" if status != 204 else "", headers=headers)) as site:
        outcome = await send(channel, site.url)
        assert (outcome.verdict, outcome.reason, outcome.http_status) == (verdict, reason, status)
        assert len(site.hits) == 1
        if reason:
            assert str(status) in outcome.message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("0", 0.0), ("-1", None), ("soon", None), ("9" * 400, 86_400.0), ("\u0661", None)],
)
async def test_the_pause_that_the_target_asks_for_is_read(
    channel: Channel, text: str, seconds: float | None
) -> None:
    async with serve_site(answering(503, headers={"Retry-After": text})) as site:
        assert (await send(channel, site.url)).retry_after == seconds


async def test_the_pause_may_be_a_date(channel: Channel) -> None:
    later = (CLOCK.now() + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    async with serve_site(answering(429, headers={"Retry-After": later})) as site:
        assert (await send(channel, site.url)).retry_after == 90.0


async def test_an_endless_answer_is_read_only_at_its_beginning(channel: Channel) -> None:
    gone = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x\0\xff" * 10_000)
        gone.set()
        return response

    async with serve_site(endless) as site, asyncio.timeout(20):
        outcome = await send(channel, site.url)
        await gone.wait()
        assert outcome.verdict is Verdict.DELIVERED
        assert 0 < len(outcome.excerpt) <= 1024
        assert "\0" not in outcome.excerpt


async def test_an_answer_that_grows_when_unpacked_is_not_unpacked(channel: Channel) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with serve_site(answer) as site:
        outcome = await send(channel, site.url)
        assert outcome.verdict is Verdict.DELIVERED
        assert len(outcome.excerpt) <= 1024


async def test_a_target_that_stays_silent_runs_into_the_deadline() -> None:
    async def silent(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with serve_site(silent) as site, open_channels(way_out(), CLOCK, attempt_seconds=0.2) as channels:
        outcome = await send(channels.any, site.url)
        assert (outcome.verdict, outcome.reason) == (Verdict.TRY_AGAIN, "TARGET_TIMEOUT")


async def test_a_delivery_whose_answer_has_no_end_of_body_counts() -> None:
    async def headers_only(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=200)
        response.content_length = 10
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    async with (
        serve_site(headers_only) as site,
        open_channels(way_out(), CLOCK, attempt_seconds=5.0) as channels,
    ):
        assert (await send(channels.any, site.url)).verdict is Verdict.DELIVERED


async def test_a_port_where_nobody_listens_is_tried_again(channel: Channel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outcome = await send(channel, f"http://127.0.0.1:{port}/")
    assert (outcome.verdict, outcome.reason) == (Verdict.TRY_AGAIN, "TARGET_UNREACHABLE")


async def test_a_server_that_speaks_no_http_is_tried_again(channel: Channel) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"SSH-2.0-x\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        outcome = await send(channel, f"http://127.0.0.1:{port}/")
    assert (outcome.verdict, outcome.reason) == (Verdict.TRY_AGAIN, "TARGET_BROKE_OFF")


async def test_a_target_without_tls_where_tls_is_wanted_is_tried_again(channel: Channel) -> None:
    async with serve_site() as site:
        outcome = await send(channel, site.url.replace("http://", "https://"))
        assert (outcome.verdict, outcome.reason) == (Verdict.TRY_AGAIN, "TARGET_TLS")
        assert site.hits == []


@pytest.mark.parametrize("addresses", [("169.254.169.254",), ("127.0.0.1", "169.254.169.254")])
async def test_a_name_that_leads_to_a_metadata_address_is_given_up(addresses: tuple[str, ...]) -> None:
    async with open_channels(way_out(FixedNames(*addresses)), CLOCK, attempt_seconds=5.0) as channels:
        outcome = await send(channels.any, "http://innocent.example/")
        assert (outcome.verdict, outcome.reason) == (Verdict.GIVE_UP, "ADDRESS_REFUSED")


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166", "[fe80::1]"])
async def test_an_address_that_got_past_saving_is_given_up_without_a_call(host: str) -> None:
    names = FixedNames("127.0.0.1")
    async with open_channels(way_out(names), CLOCK, attempt_seconds=5.0) as channels:
        outcome = await send(channels.any, f"http://{host}/")
        assert (outcome.verdict, outcome.reason) == (Verdict.GIVE_UP, "ADDRESS_REFUSED")
        assert names.asked == []


async def test_a_name_is_looked_up_once_and_the_connection_goes_to_that_address() -> None:
    names = FixedNames("127.0.0.1")
    async with serve_site() as site, open_channels(way_out(names), CLOCK, attempt_seconds=5.0) as channels:
        outcome = await send(channels.any, site.url.replace("127.0.0.1", "hooks.example"))
        assert outcome.verdict is Verdict.DELIVERED
        assert names.asked == ["hooks.example"]
        assert site.hits[0].headers["Host"].startswith("hooks.example:")


async def test_a_proxy_of_the_environment_is_not_used(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with serve_site() as site:
        assert (await send(channel, site.url)).verdict is Verdict.DELIVERED

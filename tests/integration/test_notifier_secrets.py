"""The URL of a target is a secret: sealed at rest, opened to send and for the operator's list, told to nobody."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator

import pytest
import structlog
from aiohttp import web

from services.kernel.db import Pool
from services.kernel.errors import ServiceError
from services.kernel.log import configure_logs
from services.kernel.secrets import SecretBox
from services.notifier.sealing import TargetSeal, seal_plain_urls
from services.notifier.store import NotifierStore
from tests.builders.notifier import SEAL, NotifierBench, notifier_bench, parcel_of, scan_event, serve_site

TOKEN = "0123456789abcdef-robot"


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """Everything that is logged, down to debug."""
    stream = io.StringIO()
    configure_logs(level="debug", stream=stream, as_json=True)
    yield stream
    structlog.reset_defaults()


async def echo(request: web.Request) -> web.StreamResponse:
    """Refuses as many frameworks do: with the URL in the page."""
    raise web.HTTPNotFound(text=f"Cannot {request.method} {request.raw_path} or {request.query.get('token')}")


async def everything_kept(pool: Pool) -> str:
    """Returns every row of the notifier's schema as text, binary columns as what their bytes spell."""
    tables = await pool.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'notifier'"
        " AND table_type = 'BASE TABLE'"
    )
    rows = [row for (table,) in tables for row in await pool.fetch(f"TABLE notifier.{table}")]
    return "\n".join(repr(list(row.items())) for row in rows)


async def leave_plain(bench: NotifierBench, name: str, url: str) -> str:
    """Puts a target into the state in which an older release left it."""
    target = await bench.target("http://127.0.0.1:9/", name)
    await bench.pool.execute(
        "UPDATE notifier.target SET url = $2, sealed_url = NULL WHERE target_id = $1", target.target_id, url
    )
    return target.target_id


async def test_a_url_is_sealed_at_rest_and_open_in_the_list(database: str) -> None:
    async with notifier_bench(database) as bench:
        made = await bench.target(f"http://127.0.0.1:9/send?token={TOKEN}")
        assert TOKEN not in await everything_kept(bench.pool)
        assert (await bench.api.list_targets()).items == (made,)
        assert made.url.endswith(TOKEN)
        assert TOKEN not in repr(made)


@pytest.mark.parametrize("path", [f"/robot/{TOKEN}", f"/send?token={TOKEN}", f"/send?token=%30{TOKEN[1:]}"])
async def test_a_url_is_in_no_row_and_no_log_even_when_the_target_repeats_it(
    database: str, logs: io.StringIO, path: str
) -> None:
    async with notifier_bench(database) as bench, serve_site(echo) as site:
        target = await bench.target(site.url.replace("/hook", path))
        await bench.tell(scan_event(target.target_id))
        (claim,) = await bench.worker.claim(10)
        await bench.worker.deliver(claim)
        (receipt,) = await bench.receipts()
        kept = await everything_kept(bench.pool)
        assert (receipt["http_status"], receipt["excerpt"][:11]) == (404, "Cannot POST")
        assert "[hidden]" in receipt["excerpt"]
        for told in (kept, logs.getvalue(), repr(claim), repr(parcel_of(claim))):
            assert TOKEN[1:] not in told
        assert "delivery.died" in logs.getvalue()


async def test_a_sealed_url_moved_to_another_target_is_never_called(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site() as site:
        one, two = await bench.target(site.url, "one"), await bench.target(site.url + "/2", "two")
        await bench.pool.execute(
            "UPDATE notifier.target SET sealed_url = (SELECT sealed_url FROM notifier.target WHERE name = 'one')"
            " WHERE name = 'two'"
        )
        await bench.tell(scan_event(one.target_id, two.target_id))
        await bench.deliver_due()
        states = {row["target_id"]: (row["state"], row["reason"]) for row in await bench.deliveries()}
        assert states == {one.target_id: ("DELIVERED", ""), two.target_id: ("PENDING", "SECRET_UNREADABLE")}
        assert len(site.hits) == 1


async def test_with_another_key_a_delivery_waits_until_the_right_one_is_back(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site() as site:
        target = await bench.target(site.url)
        await bench.tell(scan_event(target.target_id))
        stranger = bench.another_worker(seal=TargetSeal(SecretBox(b"x" * 32)))
        (claim,) = await stranger.claim(10)
        await stranger.deliver(claim)
        (row,) = await bench.deliveries()
        assert (row["state"], row["reason"]) == ("PENDING", "SECRET_UNREADABLE")
        await bench.later(10)
        await bench.deliver_due()
        assert len(site.hits) == 1


async def test_what_is_plain_is_sealed_at_the_start_and_delivered_to(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site() as site:
        old = await leave_plain(bench, "old", f"{site.url}?token={TOKEN}")
        new = await bench.target(site.url, "new")
        assert await seal_plain_urls(bench.pool, bench.store, SEAL) == 1
        assert TOKEN not in await everything_kept(bench.pool)
        assert await bench.pool.fetchval("SELECT count(*) FROM notifier.target WHERE url <> ''") == 0
        urls = [target.url for target in (await bench.api.list_targets()).items]
        assert urls == [new.url, f"{site.url}?token={TOKEN}"]
        await bench.tell(scan_event(old))
        assert await bench.deliver_due() == 1
        assert len(site.hits) == 1


async def test_copies_that_start_together_seal_each_url_once(database: str) -> None:
    async with notifier_bench(database) as bench:
        for number in range(30):
            await leave_plain(bench, f"t{number:02}", f"http://127.0.0.1:9/{number}")
        copies = [seal_plain_urls(bench.pool, NotifierStore(), SEAL) for _ in range(4)]
        async with asyncio.timeout(20):
            counts = await asyncio.gather(*copies)
        assert sum(counts) == 30
        assert [target.url for target in (await bench.api.list_targets()).items] == [
            f"http://127.0.0.1:9/{number}" for number in range(30)
        ]
        assert await seal_plain_urls(bench.pool, bench.store, SEAL) == 0


async def test_a_refused_url_is_not_repeated(database: str) -> None:
    async with notifier_bench(database) as bench:
        with pytest.raises(ServiceError) as caught:
            await bench.target(f"http://127.0.0.1:9/{TOKEN}#fragment")
        assert TOKEN not in caught.value.sentence()

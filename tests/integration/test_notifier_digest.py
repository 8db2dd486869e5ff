"""Windows: what happens within one is told together, each news once, whoever dies in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import jsonschema
import pytest

from services.kernel.db import Connection
from services.kernel.ids import RandomIds
from services.notifier import digest
from services.notifier.api import DeliveryFilter, DeliveryState, Subscription
from services.notifier.digest import MOST_NEWS, Windows
from services.notifier.store import NotifierStore
from tests.builders.notifier import NotifierBench, Site, answering, notifier_bench, scan_event, serve_site
from tests.fakes.clock import ManualClock

DOCS = Path(__file__).parents[2] / "docs"
SCHEMAS = {
    name: jsonschema.Draft202012Validator(json.loads((DOCS / f"{name}.schema.json").read_text()))
    for name in ("digest", "notification")
}
HOUR = Subscription(window_seconds=3600)


def windows_of(bench: NotifierBench, store: NotifierStore | None = None) -> Windows:
    return Windows(
        pool=bench.pool, store=store or bench.store, clock=bench.clock, ids=RandomIds(), settings=bench.settings
    )


@asynccontextmanager
async def hourly(database: str, **settings: float) -> AsyncIterator[tuple[NotifierBench, Site, str]]:
    """A notifier with a target that is told every hour."""
    clock = ManualClock()
    async with notifier_bench(database, clock=clock, egress=None, **settings) as bench, serve_site() as site:
        target = await bench.target(site.url)
        await bench.api.set_subscription("chat", HOUR)
        yield bench, site, target.target_id


async def closed(bench: NotifierBench) -> None:
    """Closes all windows that are over."""
    async with asyncio.timeout(30):
        while await windows_of(bench).close_one():
            pass


def told(site: Site) -> list[list[str]]:
    """The events of each hit."""
    bodies: list[dict[str, Any]] = [json.loads(hit.body) for hit in site.hits]
    return [[each["event_id"] for each in body.get("notifications", [body])] for body in bodies]


async def test_what_happens_within_a_window_is_told_together_at_its_end(database: str) -> None:
    async with hourly(database) as (bench, site, target_id):
        await bench.tell(scan_event(target_id), scan_event(target_id, state="FAILED", reason="LAYER_TOO_LARGE"))
        await closed(bench)
        assert await bench.deliver_due() == 0  # the window lasts
        await bench.later(3600)
        await closed(bench)
        assert await bench.deliver_due() == 1
        (hit,) = site.hits
        body = json.loads(hit.body)
        SCHEMAS["digest"].validate(body)
        for each in body["notifications"]:
            SCHEMAS["notification"].validate(each)
        assert sorted(each["event"] for each in body["notifications"]) == ["scan.completed", "scan.failed"]
        assert (hit.headers["Drydock-Event"], body["count"]) == ("scan.digest", 2)
        assert hit.headers["Drydock-Delivery"] == body["delivery_id"]
        merged = await bench.api.list_deliveries(DeliveryFilter(state=DeliveryState.MERGED))
        assert {each.told_in for each in merged.items} == {body["delivery_id"]}
        assert {each.delivery_id for each in merged.items} == {n["delivery_id"] for n in body["notifications"]}


async def test_windows_are_laid_end_to_end_from_the_epoch_on(database: str) -> None:
    async with hourly(database) as (bench, _, target_id):
        await bench.tell(scan_event(target_id))
        (row,) = await bench.deliveries()
        now = await bench.pool.fetchval("SELECT now()")
        assert row["due_at"].timestamp() % 3600 == 0
        assert 0 <= (row["due_at"] - now).total_seconds() <= 3600


async def test_one_news_alone_is_told_as_it_is_and_is_as_young_as_a_new_one(database: str) -> None:
    async with hourly(database, age_seconds=60) as (bench, site, target_id):
        site.answer = answering(503)
        await bench.tell(scan_event(target_id))
        assert isinstance(bench.clock, ManualClock)
        bench.clock.advance(3600)
        await bench.later(3600)
        await closed(bench)
        await bench.deliver_due()
        (row,) = await bench.deliveries()
        assert row["state"] == "PENDING", row["reason"]  # it has waited for its window, not for its target
        assert "notifications" not in json.loads(site.hits[0].body)
        assert told(site) == [[str(row["event_id"])]]


async def test_more_than_a_digest_holds_goes_into_several_and_nothing_is_dropped(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hourly(database) as (bench, site, target_id):
        events = [scan_event(target_id) for _ in range(2 * MOST_NEWS + 1)]
        await bench.tell(*events)
        await bench.later(3600)
        await closed(bench)
        while await bench.deliver_due():
            pass
        assert sorted(map(len, told(site))) == [1, MOST_NEWS, MOST_NEWS]
        site.hits.clear()
        monkeypatch.setattr(digest, "MOST_BYTES", 3000)
        await bench.tell(*(scan_event(target_id) for _ in range(10)))
        await bench.later(3600)
        await closed(bench)
        while await bench.deliver_due():
            pass
        assert len(site.hits) > 1
        assert sum(map(len, told(site))) == 10
        assert all(len(hit.body) < 4096 for hit in site.hits)


async def test_a_repeated_event_is_told_once_before_and_after_its_window(database: str) -> None:
    async with hourly(database) as (bench, site, target_id):
        one, two = scan_event(target_id), scan_event(target_id)
        await bench.tell(one, two)
        await bench.tell(one)
        await bench.later(3600)
        await closed(bench)
        await bench.tell(one, two)
        await bench.api.set_subscription("chat", Subscription())  # and no windows any more
        await bench.tell(one, two)
        await closed(bench)
        await bench.deliver_due()
        assert [len(each) for each in told(site)] == [2]


class DyingStore(NotifierStore):
    """Dies with its process once the delivery is written, and nothing else is."""

    async def insert_deliveries(self, conn: Connection, *args: Any, **kwargs: Any) -> frozenset[str]:
        await super().insert_deliveries(conn, *args, **kwargs)
        await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        raise AssertionError


async def test_a_process_that_dies_while_it_closes_a_window_has_done_nothing(database: str) -> None:
    async with hourly(database) as (bench, site, target_id):
        await bench.tell(scan_event(target_id), scan_event(target_id))
        await bench.later(3600)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await windows_of(bench, DyingStore()).close_one()
        assert {row["state"] for row in await bench.deliveries()} == {"HELD"}
        await closed(bench)
        await bench.deliver_due()
        assert [len(each) for each in told(site)] == [2]


async def test_many_processes_close_windows_and_tell_each_news_once(database: str) -> None:
    async with hourly(database) as (bench, site, _):
        targets = [await bench.target(site.url, f"t{n}") for n in range(5)]
        for each in targets:
            await bench.api.set_subscription(each.name, HOUR)
        events = [scan_event(*(each.target_id for each in targets)) for _ in range(40)]
        await bench.tell(*events)
        await bench.later(3600)

        async def close_all() -> None:
            windows = windows_of(bench)
            while await windows.close_one():
                pass

        async with asyncio.timeout(30):
            await asyncio.gather(*(close_all() for _ in range(6)))
            await close_all()
        while await bench.deliver_due():
            pass
        heard = [event_id for each in told(site) for event_id in each]
        assert len(heard) == 5 * 40
        assert len(set(heard)) == 40


async def test_a_deleted_target_is_told_nothing_that_waited(database: str) -> None:
    async with hourly(database) as (bench, site, target_id):
        await bench.tell(scan_event(target_id), scan_event(target_id))
        await bench.api.delete_target("chat")
        await bench.later(3600)
        await closed(bench)
        assert await bench.deliver_due() == 0
        assert {row["state"] for row in await bench.deliveries()} == {"CANCELLED"}
        assert site.hits == []


async def test_a_dead_digest_is_replayed_with_all_that_it_tells(database: str) -> None:
    async with hourly(database) as (bench, site, target_id):
        await bench.tell(scan_event(target_id), scan_event(target_id))
        await bench.later(3600)
        await closed(bench)
        site.answer = answering(404)
        await bench.deliver_due()
        site.answer = answering(204)
        assert await bench.api.replay_deliveries("chat") == 1
        await bench.deliver_due()
        first, second = site.hits
        assert first.body == second.body


async def test_windows_are_closed_while_the_process_runs(database: str) -> None:
    async with hourly(database, look_seconds=0.05) as (bench, site, target_id):
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(windows_of(bench).run(stopping))
            tasks.create_task(bench.another_worker().run(stopping))
            await bench.tell(scan_event(target_id), scan_event(target_id))
            await bench.later(3600)
            async with asyncio.timeout(20):
                while not site.hits:
                    await asyncio.sleep(0.02)
            stopping.set()
        assert [len(each) for each in told(site)] == [2]

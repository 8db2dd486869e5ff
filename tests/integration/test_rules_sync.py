"""The switch of a sync, on a real database; what an instance that is deleted leaves to be told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from drydock.events.v1.image_event_pb2 import ImageEvent
from services.kernel.errors import ServiceError
from services.rules.api import Edition, InstanceChange, SyncState
from services.rules.sync.store import Place, Progress, SyncStore, Walk
from tests.builders.rules import RulesBench, new_instance, rules_bench

STORE = SyncStore()


@pytest.fixture
async def bench(database: str) -> AsyncIterator[RulesBench]:
    async with rules_bench(database) as opened:
        await opened.api.create_instance(new_instance())
        yield opened


async def claim(bench: RulesBench, lease_seconds: float = 60.0) -> Walk | None:
    async with bench.pool.acquire() as conn:
        return await STORE.claim(conn, lease_seconds)


async def claimed(bench: RulesBench, lease_seconds: float = 60.0) -> Walk:
    walk = await claim(bench, lease_seconds)
    assert walk is not None
    return walk


async def end(bench: RulesBench, walk: Walk) -> bool:
    async with bench.pool.acquire() as conn:
        return await STORE.end(conn, walk, 3600) is not None


async def advance(bench: RulesBench, walk: Walk, place: Place, progress: Progress) -> bool:
    async with bench.pool.acquire() as conn:
        return await STORE.advance(conn, walk, place, progress, 60)


async def test_a_new_instance_is_not_synced(bench: RulesBench) -> None:
    assert not (await bench.api.get_instance("prod")).sync
    sync = await bench.api.get_sync("prod")
    assert (sync.on, sync.state, sync.walk) == (False, SyncState.OFF, 0)
    assert await claim(bench) is None


async def test_a_sync_that_is_switched_on_begins_with_a_walk(bench: RulesBench) -> None:
    sync = await bench.api.set_sync("prod", on=True)
    assert (sync.on, sync.state) == (True, SyncState.RUNNING)
    assert (await bench.api.get_instance("prod")).sync
    walk = await claimed(bench)
    assert (walk.number, walk.place) == (1, Place())
    assert await claim(bench) is None


async def test_a_walk_that_is_over_is_followed_by_the_next_one_in_time(bench: RulesBench) -> None:
    await bench.api.set_sync("prod", on=True)
    walk = await claimed(bench)
    assert await advance(bench, walk, Place(cursor="n=2"), Progress(repositories=2, tags=7, skipped=1))
    assert await end(bench, walk)
    sync = await bench.api.get_sync("prod")
    assert (sync.state, sync.walk, sync.repositories, sync.tags, sync.skipped) == (SyncState.WAITING, 1, 2, 7, 1)
    assert sync.began_at is not None and sync.ended_at is not None and sync.next_at is not None
    assert await claim(bench) is None


async def test_a_walk_on_demand_begins_anew(bench: RulesBench) -> None:
    await bench.api.set_sync("prod", on=True)
    assert await end(bench, await claimed(bench))
    assert (await bench.api.sync_now("prod")).state is SyncState.RUNNING
    walk = await claimed(bench)
    assert (walk.number, walk.place) == (2, Place())


async def test_a_walk_on_demand_follows_one_that_is_under_way(bench: RulesBench) -> None:
    await bench.api.set_sync("prod", on=True)
    walk = await claimed(bench)
    await bench.api.sync_now("prod")
    assert await claim(bench) is None
    assert await end(bench, walk)
    assert (await bench.api.get_sync("prod")).state is SyncState.RUNNING
    assert (await claimed(bench)).number == 2


async def test_a_walk_whose_walker_died_is_gone_on_with_where_it_stopped(bench: RulesBench) -> None:
    await bench.api.set_sync("prod", on=True)
    dead = await claimed(bench)
    place = Place(cursor="n=100&last=b", repository="team/app")
    assert await advance(bench, dead, place, Progress(repositories=1))
    await bench.pool.execute("UPDATE rules.sync SET leased_until = now() - interval '1 second'")
    walk = await claimed(bench)
    assert (walk.number, walk.place, walk.fence) == (1, place, dead.fence + 1)
    assert not await advance(bench, dead, Place(), Progress(repositories=9))
    assert not await end(bench, dead)
    assert (await bench.api.get_sync("prod")).repositories == 1


async def test_a_walk_that_was_put_off_says_why_and_when_it_goes_on(bench: RulesBench) -> None:
    await bench.api.set_sync("prod", on=True)
    walk = await claimed(bench)
    async with bench.pool.acquire() as conn:
        assert await STORE.postpone(conn, walk, 60, "REGISTRY_ERROR", "It answers 500.")
    sync = await bench.api.get_sync("prod")
    assert (sync.state, sync.reason, sync.message) == (SyncState.DELAYED, "REGISTRY_ERROR", "It answers 500.")
    assert sync.next_at is not None
    assert await claim(bench) is None
    await bench.api.sync_now("prod")
    assert (await claimed(bench)).number == 1


async def test_a_sync_that_is_switched_off_ends_the_walk_under_way(bench: RulesBench) -> None:
    await bench.api.set_sync("prod", on=True)
    walk = await claimed(bench)
    sync = await bench.api.set_sync("prod", on=False)
    assert (sync.on, sync.state, sync.next_at) == (False, SyncState.OFF, None)
    assert not await advance(bench, walk, Place(), Progress())
    assert await claim(bench) is None
    with pytest.raises(ServiceError) as refused:
        await bench.api.sync_now("prod")
    assert refused.value.reason == "SYNC_OFF"
    await bench.api.set_sync("prod", on=True)
    assert (await claimed(bench)).number == 2


async def test_switching_to_what_it_is_changes_nothing(bench: RulesBench) -> None:
    await bench.api.set_sync("prod", on=True)
    walk = await claimed(bench)
    await bench.api.set_sync("prod", on=True)
    assert await advance(bench, walk, Place(), Progress())


async def test_a_personal_instance_is_not_synced(bench: RulesBench) -> None:
    await bench.api.set_sync("prod", on=True)
    await bench.api.update_instance("prod", InstanceChange(edition=Edition.PERSONAL))
    assert await claim(bench) is None
    sync = await bench.api.get_sync("prod")
    assert (sync.state, sync.next_at) == (SyncState.OFF, None)
    for call in (bench.api.sync_now("prod"), bench.api.set_sync("prod", on=True)):
        with pytest.raises(ServiceError) as refused:
            await call
        assert refused.value.reason == "EDITION_NOT_SUPPORTED"
    sync = await bench.api.set_sync("prod", on=False)
    assert (sync.on, sync.state) == (False, SyncState.OFF)
    with pytest.raises(ServiceError) as refused:
        await bench.api.sync_now("prod")
    assert refused.value.reason == "EDITION_NOT_SUPPORTED"


async def test_an_instance_that_is_deleted_is_told_of_in_the_same_transaction(bench: RulesBench) -> None:
    instance_id = (await bench.api.get_instance("prod")).instance_id
    await bench.api.delete_instance("prod")
    [row] = await bench.pool.fetch("SELECT topic, key, value FROM rules.outbox")
    event = ImageEvent.FromString(row["value"])
    assert (row["topic"], row["key"]) == ("drydock.image.events.v1", f"{instance_id}/".encode())
    assert (event.action, event.instance_id) == (ImageEvent.ACTION_DELETE, instance_id)
    assert (event.namespace, event.repository, event.tag, event.digest) == ("", "", "", "")
    with pytest.raises(ServiceError):
        await bench.api.delete_instance("prod")
    assert await bench.pool.fetchval("SELECT count(*) FROM rules.outbox") == 1

"""Walks over registries, honest and faulty: what is told of them, and that nothing that cannot be read is lost."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from drydock.events.v1.image_event_pb2 import ImageEvent
from services.kernel.clock import SystemClock
from services.kernel.ids import RandomIds
from services.kernel.model.reference import RepositoryName, parse_repository
from services.kernel.model.repository_id import repository_id
from services.kernel.outbox import Outbox
from services.lab.faults import CutOff, Delay, Disconnect, Fault, Status, WithHeader
from services.lab.image import Built, build_image
from services.lab.layer import LayerBuilder
from services.lab.push import push_image
from services.registry.catalog import open_catalog
from services.registry.limits import ImageLimits, RetryPolicy, SourceSettings, Timeouts
from services.rules import repositories
from services.rules.api import Sync, SyncState
from services.rules.settings import RulesSettings
from services.rules.sync.metrics import End, WalkMetrics
from services.rules.sync.pace import Pace
from services.rules.sync.reconcile import Reconciler
from services.rules.sync.store import Place, Progress, SyncStore, Walk
from tests.builders.rules import RulesBench, new_instance, rules_bench
from tests.fakes.clock import ManualClock
from tests.fakes.lying_registry import LyingRegistry, Pages, lying_registry, only
from tests.registries import RunningRegistry, StartRegistry, lab_registry, real_registry, registry_program

PAGE = 2
UNKNOWN = Status(code=404, body=b'{"errors":[{"code":"NAME_UNKNOWN"}]}')


@dataclasses.dataclass
class Scene:
    """Rules beside a registry whose lists come in pages of two."""

    bench: RulesBench
    registry: RunningRegistry
    instance_id: str
    reconciler: Reconciler
    counted: CollectorRegistry
    stopping: asyncio.Event

    async def push(self, repository: str, *tags: str) -> None:
        for tag in tags:
            await push_image(self.registry.access, repository, tag, an_image(tag))

    async def claim(self) -> Walk:
        [walk] = await self.reconciler.claim(1)
        return walk

    async def walk(self) -> End:
        """Walks once, whatever is due."""
        return await self.reconciler.reconcile(await self.claim(), self.stopping)

    async def again(self) -> End:
        """Walks on demand; or on, if the last one was put off."""
        await self.bench.api.sync_now(self.instance_id)
        return await self.walk()

    async def later(self) -> End:
        """Walks on after the pause."""
        await self.bench.pool.execute("UPDATE rules.sync SET due_at = now()")
        return await self.walk()

    async def told(self) -> list[ImageEvent]:
        """What was told since the last time."""
        rows = await self.bench.pool.fetch("DELETE FROM rules.outbox RETURNING id, value")
        return [ImageEvent.FromString(row["value"]) for row in sorted(rows, key=lambda row: row["id"])]

    async def listed(self) -> dict[str, list[str]]:
        """Tags by repository, as told since the last time."""
        found: dict[str, list[str]] = {}
        for event in await self.told():
            assert event.action == ImageEvent.ACTION_LIST, event
            found.setdefault(f"{event.namespace}/{event.repository}", []).extend(tag.tag for tag in event.tags)
        return found

    async def sync(self) -> Sync:
        return await self.bench.api.get_sync(self.instance_id)

    async def known(self) -> list[str]:
        page = await self.bench.api.list_repositories(self.instance_id)
        return [f"{repository.namespace}/{repository.name}" for repository in page.items]

    def fault(self, pattern: str, fault: Fault, *, times: int | None = None) -> None:
        assert self.registry.lab is not None
        self.registry.lab.faults.add(pattern, fault, times=times)

    def mend(self) -> None:
        assert self.registry.lab is not None
        self.registry.lab.faults.clear()

    def seen(self, method: str, pattern: str) -> int:
        """How many requests there were whose path ends so."""
        assert self.registry.lab is not None
        return sum(one.method == method and one.path.endswith(pattern) for one in self.registry.lab.seen)


def an_image(content: str) -> Built:
    return build_image([LayerBuilder().file("content", content).build()])


@asynccontextmanager
async def a_scene(database: str, registry: RunningRegistry, **changed: object) -> AsyncIterator[Scene]:
    limits = ImageLimits(page_names=PAGE)
    timeouts = Timeouts(connect_seconds=30, idle_seconds=30, request_seconds=30)
    source = SourceSettings(limits=limits, retry=RetryPolicy(attempts=1), timeouts=timeouts)
    settings = RulesSettings(sync_requests_per_second=10_000).model_copy(update=changed)
    counted = CollectorRegistry()
    async with rules_bench(database, clock=SystemClock()) as bench:
        access = registry.access
        new = new_instance(address=access.address, plain_http=True, username=access.username)
        password = access.password.get_secret_value()
        instance = await bench.api.create_instance(dataclasses.replace(new, password=password))
        await bench.api.set_sync("prod", on=True)
        reconciler = Reconciler(
            pool=bench.pool,
            store=bench.store,
            sync=SyncStore(),
            outbox=Outbox("rules"),
            access=bench.api.registry_access,
            open_catalog=partial(open_catalog, source),
            clock=SystemClock(),
            ids=RandomIds(),
            metrics=WalkMetrics(counted),
            settings=settings,
        )
        yield Scene(bench, registry, instance.instance_id, reconciler, counted, asyncio.Event())


@pytest.fixture
async def scene(database: str) -> AsyncIterator[Scene]:
    async with lab_registry() as registry, a_scene(database, registry) as opened:
        yield opened


async def test_a_walk_tells_of_every_tag_of_every_repository(database: str, each_registry: StartRegistry) -> None:
    async with each_registry(basic_auth=True) as registry, a_scene(database, registry) as scene:
        for repository in ("a", "team/b", "team/c", "x/y/z"):
            await scene.push(repository, "1", "2", "3")
        assert await scene.walk() is End.COMPLETE
        events = await scene.told()
        assert {(event.namespace, event.repository) for event in events} == {
            ("_", "a"),
            ("team", "b"),
            ("team", "c"),
            ("x/y", "z"),
        }
        for event in events:
            assert (event.action, event.last, event.walk) == (ImageEvent.ACTION_LIST, True, 1)
            assert {tag.tag: tag.digest for tag in event.tags} == {t: an_image(t).digest for t in ("1", "2", "3")}
        assert await scene.known() == ["_/a", "team/b", "team/c", "x/y/z"]
        sync = await scene.sync()
        assert (sync.state, sync.repositories, sync.tags, sync.skipped) == (SyncState.WAITING, 4, 12, 0)
        assert await scene.again() is End.COMPLETE
        assert {event.walk for event in await scene.told()} == {2}


async def test_a_large_repository_is_told_of_in_parts(scene: Scene) -> None:
    tags = [f"t{number:03}" for number in range(205)]
    await scene.push("team/app", *tags)
    await scene.walk()
    events = await scene.told()
    assert [(len(event.tags), event.last) for event in events] == [(100, False), (100, False), (5, True)]
    assert [tag.tag for event in events for tag in event.tags] == tags


async def test_a_repository_without_tags_is_told_of_and_stays_known(scene: Scene) -> None:
    await scene.push("team/app", "1")
    await scene.walk()
    await scene.told()
    await delete(scene, "team/app", "1")
    await scene.again()
    [event] = await scene.told()
    assert (event.action, event.repository, len(event.tags), event.last) == (
        ImageEvent.ACTION_LIST,
        "app",
        0,
        True,
    )
    assert await scene.known() == ["team/app"]


async def delete(scene: Scene, repository: str, reference: str) -> None:
    url = f"http://{scene.registry.access.address}/v2/{repository}/manifests/{reference}"
    async with aiohttp.ClientSession() as session, session.delete(url) as answer:
        assert answer.status == 202


@pytest.mark.slow
@pytest.mark.real_registry
async def test_a_repository_that_the_real_registry_lost_is_told_to_be_deleted(
    database: str, tmp_path: Path
) -> None:
    async with real_registry(registry_program(), tmp_path) as registry, a_scene(database, registry) as scene:
        await scene.push("team/app", "1")
        await scene.push("team/other", "1")
        await scene.walk()
        await scene.told()
        shutil.rmtree(tmp_path / "data/docker/registry/v2/repositories/team/app")
        assert await scene.again() is End.COMPLETE
        deleted, listed = sorted(await scene.told(), key=lambda event: event.action)
        assert (deleted.action, deleted.namespace, deleted.repository) == (ImageEvent.ACTION_DELETE, "team", "app")
        assert (deleted.tag, deleted.digest) == ("", "")
        assert (listed.action, listed.repository) == (ImageEvent.ACTION_LIST, "other")
        assert await scene.known() == ["team/other"]
        assert (await scene.sync()).repositories_gone == 1
        await scene.again()
        assert await scene.listed() == {"team/other": ["1"]}


# faults


async def three(scene: Scene) -> None:
    """Three repositories, walked over once; the catalogue has two pages."""
    for repository in ("team/a", "team/b", "team/c"):
        await scene.push(repository, "1")
    assert await scene.walk() is End.COMPLETE
    await scene.told()


@pytest.mark.parametrize(
    "fault", [Status(code=500), Status(code=503), CutOff(after_bytes=20), Disconnect(), Delay(seconds=30)]
)
async def test_a_catalogue_that_breaks_off_is_gone_on_with_and_nothing_is_deleted(
    database: str, fault: Fault
) -> None:
    lease = 6.0 if isinstance(fault, Delay) else 120.0  # a step ends before its lease does
    async with lab_registry() as registry, a_scene(database, registry, sync_lease_seconds=lease) as scene:
        await three(scene)
        scene.fault("/v2/_catalog", WithHeader(name="x", value="y"), times=1)
        scene.fault("/v2/_catalog", fault)
        assert await scene.again() is End.POSTPONED
        assert await scene.listed() == {"team/a": ["1"], "team/b": ["1"]}
        sync = await scene.sync()
        assert (sync.state, sync.ended_at) == (SyncState.DELAYED, None)
        assert sync.reason.startswith(("REGISTRY_", "TRANSFER_"))
        assert sync.message
        assert await scene.later() is End.POSTPONED
        assert await scene.told() == []
        scene.mend()
        assert await scene.later() is End.COMPLETE
        assert await scene.listed() == {"team/c": ["1"]}
        assert await scene.known() == ["team/a", "team/b", "team/c"]


@pytest.mark.parametrize("code", [401, 403, 404, 405])
async def test_where_the_catalogue_is_refused_known_repositories_are_read(scene: Scene, code: int) -> None:
    await three(scene)
    scene.fault("/v2/_catalog", Status(code=code))
    assert await scene.again() is End.PARTIAL
    assert await scene.listed() == {"team/a": ["1"], "team/b": ["1"], "team/c": ["1"]}
    sync = await scene.sync()
    assert (sync.state, sync.reason, sync.repositories) == (SyncState.WAITING, "REGISTRY_CATALOG_REFUSED", 3)


async def test_half_a_catalogue_that_is_called_the_whole_deletes_nothing(scene: Scene) -> None:
    await three(scene)
    scene.fault("/v2/_catalog", Status(code=200, body=b'{"repositories":["team/a"]}'))
    assert await scene.again() is End.COMPLETE
    assert await scene.listed() == {"team/a": ["1"], "team/b": ["1"], "team/c": ["1"]}
    scene.mend()
    scene.fault("/v2/_catalog", Status(code=200, body=b"{}"))
    assert await scene.again() is End.COMPLETE
    assert len(await scene.listed()) == 3
    assert await scene.known() == ["team/a", "team/b", "team/c"]


@pytest.mark.parametrize("code", [401, 403, 404, 410, 400])
async def test_a_repository_that_we_may_not_read_is_skipped_and_is_not_deleted(scene: Scene, code: int) -> None:
    await three(scene)
    scene.fault("/v2/team/b/*", Status(code=code))
    if code == 400:  # one that may pass: it is tried again, and only then skipped
        for _ in range(4):
            assert await scene.later() is End.POSTPONED
    assert await scene.later() is End.PARTIAL
    assert set(await scene.listed()) == {"team/a", "team/c"}
    assert await scene.known() == ["team/a", "team/b", "team/c"]
    sync = await scene.sync()
    assert (sync.skipped, sync.repositories, sync.repositories_gone) == (1, 2, 0)
    assert sync.reason
    assert "team/b" in sync.message


async def test_credentials_that_were_revoked_delete_nothing(database: str) -> None:
    async with lab_registry(basic_auth=True) as registry, a_scene(database, registry) as scene:
        await three(scene)
        await scene.bench.pool.execute("UPDATE rules.instance SET username = '', sealed_password = ''")
        assert await scene.again() is End.PARTIAL
        assert await scene.told() == []
        assert await scene.known() == ["team/a", "team/b", "team/c"]
        sync = await scene.sync()
        assert (sync.skipped, sync.reason) == (3, "REGISTRY_UNAUTHORIZED")


async def test_a_tag_page_that_is_cut_off_is_read_again_and_not_taken_for_the_whole(scene: Scene) -> None:
    await scene.push("team/app", "1", "2", "3", "4", "5")
    scene.fault("/v2/team/app/tags/list", WithHeader(name="x", value="y"), times=1)
    scene.fault("/v2/team/app/tags/list", CutOff(after_bytes=10), times=1)
    assert await scene.walk() is End.POSTPONED
    assert await scene.told() == []
    assert await scene.later() is End.COMPLETE
    assert await scene.listed() == {"team/app": ["1", "2", "3", "4", "5"]}


async def test_a_tag_that_cannot_be_read_puts_the_walk_off(scene: Scene) -> None:
    await scene.push("team/app", "1", "2")
    scene.fault("/v2/team/app/manifests/2", Status(code=500))
    assert await scene.walk() is End.POSTPONED
    assert await scene.told() == []


async def test_a_tag_that_is_not_there_after_all_is_left_out(scene: Scene) -> None:
    await scene.push("team/app", "1", "2")
    scene.fault("/v2/team/app/manifests/2", Status(code=404))
    assert await scene.walk() is End.COMPLETE
    assert await scene.listed() == {"team/app": ["1"]}


async def test_a_known_repository_is_gone_by_the_registrys_own_word_only(scene: Scene) -> None:
    await three(scene)
    scene.fault("/v2/team/b/*", UNKNOWN)
    assert await scene.again() is End.COMPLETE
    events = await scene.told()
    assert [(e.repository, e.action) for e in events if e.action != ImageEvent.ACTION_LIST] == [
        ("b", ImageEvent.ACTION_DELETE)
    ]
    assert await scene.known() == ["team/a", "team/c"]


async def test_a_registry_that_the_wire_does_not_reach_is_tried_again(scene: Scene) -> None:
    await scene.bench.pool.execute("UPDATE rules.instance SET address = '127.0.0.1:1'")
    assert await scene.walk() is End.POSTPONED
    assert (await scene.sync()).reason == "REGISTRY_UNREACHABLE"
    assert scene.counted.get_sample_value("drydock_rules_sync_walks_total", {"end": "postponed"}) == 1


async def test_a_catalogue_that_never_ends_is_bounded(database: str) -> None:
    async with lab_registry() as registry, a_scene(database, registry, sync_repositories=3) as scene:
        for number in range(5):
            await scene.push(f"team/r{number}", "1")
        assert await scene.walk() is End.PARTIAL
        assert len(await scene.listed()) == 3
        assert (await scene.sync()).reason == "TOO_MANY_REPOSITORIES"


# lies


def an_endless_list(number: int) -> tuple[list[str], int | None]:
    """Pages of nothing, and always one more."""
    return [], number + 1


async def test_a_catalogue_of_empty_pages_without_end_ends_with_a_reason(database: str) -> None:
    lies = LyingRegistry(catalogue=an_endless_list)
    async with lying_registry(lies) as registry, a_scene(database, registry, sync_pages=20) as scene:
        assert await scene.walk() is End.PARTIAL
        sync = await scene.sync()
        assert (sync.state, sync.reason) == (SyncState.WAITING, "REGISTRY_ERROR")
        assert "catalogue has no end" in sync.message
        assert lies.asked["/v2/_catalog"] == 20


async def test_pages_of_a_catalogue_are_counted_over_leases_and_new_beginnings(database: str) -> None:
    lies = LyingRegistry(catalogue=an_endless_list)
    async with lying_registry(lies) as registry, a_scene(database, registry, sync_pages=20) as scene:
        walk = await scene.claim()
        async with scene.bench.pool.acquire() as conn:
            assert await SyncStore().advance(conn, walk, Place(cursor="page=7"), Progress(pages=15), 60)
            assert await SyncStore().advance(conn, walk, Place(), Progress(), 60)
            await SyncStore().release(conn, walk)
        assert await scene.walk() is End.PARTIAL
        assert lies.asked["/v2/_catalog"] == 5
        await scene.again()
        assert lies.asked["/v2/_catalog"] == 5 + 20


async def test_a_repository_on_many_pages_is_read_once_and_counts_once(database: str) -> None:
    lies = LyingRegistry(
        catalogue=lambda number: (["evil/a", "evil/a", "evil/lost"] if number else ["evil/b"], 1 - number),
        unknown=frozenset({"evil/lost"}),
    )
    async with lying_registry(lies) as registry, a_scene(database, registry, sync_pages=20) as scene:
        assert await scene.walk() is End.PARTIAL
        assert (await scene.sync()).repositories == 2
        assert {lies.asked[f"/v2/evil/{name}/tags/list"] for name in ("a", "b", "lost")} == {1}
        assert await scene.listed() == {"evil/a": ["1"], "evil/b": ["1"]}


async def test_a_repository_that_another_walker_read_is_not_read_again(database: str) -> None:
    lies = LyingRegistry(
        catalogue=lambda number: (["evil/a"] if number < 2 else ["evil/b"], number + 1 if number < 2 else None)
    )
    async with lying_registry(lies) as registry, a_scene(database, registry) as scene:
        walk = await scene.claim()
        async with scene.bench.pool.acquire() as conn:
            name = parse_repository("evil/a")
            await repositories.see(conn, scene.bench.store, [(scene.instance_id, name)], walk.began_at)
            await SyncStore().mark(conn, repository_id(scene.instance_id, name), walk.number)
            await SyncStore().release(conn, walk)
        assert await scene.walk() is End.COMPLETE
        assert await scene.listed() == {"evil/b": ["1"]}


@pytest.mark.parametrize(
    "tags", [an_endless_list, lambda number: (["a", "b"], 1 - number)], ids=["empty pages", "a circle"]
)
async def test_a_list_of_tags_without_end_is_skipped_at_once(database: str, tags: Pages) -> None:
    lies = LyingRegistry(catalogue=only("evil/a"), tags=tags)
    async with lying_registry(lies) as registry, a_scene(database, registry, sync_pages=20) as scene:
        assert await scene.walk() is End.PARTIAL
        sync = await scene.sync()
        assert (sync.state, sync.skipped, sync.reason) == (SyncState.WAITING, 1, "REGISTRY_ERROR")
        assert "more than 20 pages" in sync.message
        assert lies.asked["/v2/evil/a/tags/list"] == 20
        assert lies.asked["/v2/evil/a/manifests/a"] <= 1
        assert await scene.told() == []


async def test_a_repository_with_too_many_tags_is_skipped(database: str) -> None:
    lies = LyingRegistry(
        catalogue=only("evil/a"), tags=lambda number: ([f"t{number}-{one}" for one in range(50)], number + 1)
    )
    async with lying_registry(lies) as registry, a_scene(database, registry, sync_tags=120) as scene:
        assert await scene.walk() is End.PARTIAL
        sync = await scene.sync()
        assert (sync.skipped, sync.reason) == (1, "TOO_MANY_TAGS")
        assert not any(event.last for event in await scene.told())


async def test_a_repository_that_is_always_too_slow_is_skipped_in_the_end(database: str) -> None:
    async with lab_registry() as registry, a_scene(database, registry, sync_lease_seconds=1.0) as scene:
        await scene.push("team/a", "1")
        await scene.push("team/b", "1")
        scene.fault("/v2/team/a/tags/list", Delay(seconds=30))
        for _ in range(4):
            assert await scene.later() is End.POSTPONED
            assert (await scene.sync()).reason == "REGISTRY_TIMEOUT"
        assert await scene.later() is End.PARTIAL
        assert (await scene.sync()).skipped == 1
        assert await scene.listed() == {"team/b": ["1"]}


async def test_a_walk_makes_room_for_another_registry_that_waits(database: str) -> None:
    lies = LyingRegistry(catalogue=lambda number: ([f"evil/r{number}"], number + 1))
    async with lying_registry(lies) as registry, a_scene(database, registry, sync_turn_seconds=0.0) as scene:
        await scene.bench.api.create_instance(
            new_instance("other", address=registry.access.address, plain_http=True)
        )
        other = await scene.bench.api.set_sync("other", on=True)
        assert await scene.walk() is End.PAUSED
        assert (await scene.claim()).instance_id == other.instance_id
        for _ in range(2):  # the end of a page, and the repository on the next
            assert await scene.walk() is End.PAUSED
        sync = await scene.sync()
        assert (sync.state, sync.walk, sync.repositories) == (SyncState.RUNNING, 1, 2)


# leases


async def test_a_walk_that_stops_with_its_process_is_gone_on_with_by_the_next(scene: Scene) -> None:
    for repository in ("team/a", "team/b", "team/c"):
        await scene.push(repository, "1")
    scene.fault("/v2/team/c/*", Status(code=503), times=1)
    assert await scene.walk() is End.POSTPONED
    assert set(await scene.listed()) == {"team/a", "team/b"}
    scene.stopping.set()
    assert await scene.later() is End.STOPPED
    scene.stopping.clear()
    assert await scene.walk() is End.COMPLETE
    assert await scene.listed() == {"team/c": ["1"]}
    assert (await scene.sync()).walk == 1


async def test_a_walker_that_lost_its_lease_writes_nothing(scene: Scene) -> None:
    await scene.push("team/app", "1")
    late = await scene.claim()
    await scene.bench.pool.execute("UPDATE rules.sync SET leased_until = now() - interval '1 second'")
    assert await scene.walk() is End.COMPLETE
    await scene.told()
    assert await scene.reconciler.reconcile(late, scene.stopping) is End.LOST
    assert await scene.told() == []
    assert (await scene.sync()).repositories == 1


async def test_a_walk_ends_where_sync_is_switched_off(scene: Scene) -> None:
    await scene.push("team/app", "1")
    walk = await scene.claim()
    await scene.bench.api.set_sync("prod", on=False)
    assert await scene.reconciler.reconcile(walk, scene.stopping) is End.LOST
    assert await scene.told() == []


async def test_two_processes_walk_over_one_registry_once(scene: Scene) -> None:
    await scene.push("team/app", "1")
    claims = await asyncio.gather(*(scene.reconciler.claim(1) for _ in range(4)))
    assert sum(map(len, claims)) == 1


async def test_requests_are_spaced_to_the_rate() -> None:
    clock, waited = ManualClock(), list[float]()

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        clock.advance(seconds)

    pace = Pace(clock, 10, sleep=sleep)
    for _ in range(11):
        await pace.turn()
    assert sum(waited) == pytest.approx(1.0)
    clock.advance(60)
    waited.clear()
    await pace.turn()
    await pace.turn()
    assert waited == [pytest.approx(0.1)]


async def test_a_walk_keeps_to_the_rate(database: str) -> None:
    async with lab_registry() as registry, a_scene(database, registry, sync_requests_per_second=20.0) as scene:
        await scene.push("team/app", *map(str, range(10)))
        began = asyncio.get_running_loop().time()
        assert await scene.walk() is End.COMPLETE
        # A catalogue, five pages of tags and ten tags.
        assert asyncio.get_running_loop().time() - began >= timedelta(seconds=15 / 20).total_seconds()


async def test_an_instance_that_is_deleted_in_the_middle_of_a_step_waits_for_it(database: str) -> None:
    async with lab_registry() as registry, a_scene(database, registry) as scene:
        walk, sync, bench = await scene.claim(), SyncStore(), scene.bench
        async with bench.pool.acquire() as conn, asyncio.timeout(20), asyncio.TaskGroup() as group:
            async with conn.transaction():
                assert await sync.advance(conn, walk, walk.place, Progress(), 30)
                deleting = group.create_task(bench.api.delete_instance("prod"))
                await bench.waits_for_a_lock()
                name = RepositoryName(namespace="team", name="app")
                assert await repositories.see(conn, bench.store, [(walk.instance_id, name)], walk.began_at)
            await deleting
            assert not await sync.advance(conn, walk, walk.place, Progress(), 30)

"""Inside a lane namespaces take turns; claiming costs the same however many wait; nothing is taken twice."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator

import pytest

from services.kernel.db import Connection
from services.kernel.sql import load_queries
from services.scanner.lanes import LANE_BULK, LANE_PERSON, LANE_PUSH, LANES
from services.scanner.records import Lease
from services.scanner.store import ScannerStore
from tests.builders.scanner import ScannerBench, scanner_bench

QUERIES = load_queries("services.scanner")


@pytest.fixture
async def queue(database: str) -> AsyncIterator[Queue]:
    async with scanner_bench(database) as bench, bench.pool.acquire() as db:
        yield Queue(bench, db)


class Queue:
    """The work that waits, without tasks and scans; names stand for scans."""

    def __init__(self, bench: ScannerBench, db: Connection) -> None:
        self.bench = bench
        self.db = db
        self.store = ScannerStore()
        self.names: dict[str, str] = {}
        self.leases: dict[str, Lease] = {}

    async def add(self, namespace: str, *names: str, lane: int = LANE_BULK) -> None:
        """Enqueues what belongs together, as an intake does: at once."""
        ids = {str(uuid.uuid5(uuid.NAMESPACE_OID, name)): name for name in names}
        self.names |= ids
        await self.store.enqueue(self.db, [(scan_id, lane, namespace) for scan_id in ids])

    async def take(self, *lanes: int) -> str | None:
        """Claims one, and returns its name."""
        lease = await self.store.claim(self.db, "test", 30.0, lanes or LANES)
        if lease is None:
            return None
        self.leases[self.names[lease.scan_id]] = lease
        return self.names[lease.scan_id]

    async def take_all(self) -> list[str]:
        taken = []
        while name := await self.take():
            taken.append(name)
        return taken

    async def end(self, name: str) -> None:
        assert await self.store.finish(self.db, self.leases.pop(name))


async def test_namespaces_take_turns_and_each_is_served_by_age(queue: Queue) -> None:
    await queue.add("large", *(f"large{number}" for number in range(5)))
    await queue.add("small", "small0", "small1")
    assert await queue.take_all() == ["large0", "small0", "large1", "small1", "large2", "large3", "large4"]


async def test_who_comes_late_is_in_the_next_round(queue: Queue) -> None:
    await queue.add("large", *(f"large{number}" for number in range(50)))
    for _ in range(20):
        await queue.take()
    await queue.add("late", "late0", "late1")
    assert [await queue.take() for _ in range(4)] == ["large20", "late0", "large21", "late1"]


async def test_who_always_comes_back_does_not_keep_others_waiting(queue: Queue) -> None:
    await queue.add("patient", *(f"patient{number}" for number in range(10)))
    await queue.add("busy", "busy0")
    await queue.add("eager", "eager0")
    taken: list[str] = []
    for number in range(1, 30):
        name = await queue.take()
        assert name is not None
        taken.append(name)
        await queue.end(name)
        namespace = name.rstrip("0123456789")
        if namespace != "patient":
            await queue.add(namespace, f"{namespace}{number}")
    counts = Counter(name.rstrip("0123456789") for name in taken[:27])
    assert counts == {"patient": 9, "busy": 9, "eager": 9}


@pytest.mark.parametrize("seed", range(8))
async def test_namespaces_with_work_get_equal_shares_whatever_arrives(queue: Queue, seed: int) -> None:
    chance = random.Random(seed)
    waiting: dict[str, list[str]] = defaultdict(list)
    behind: dict[str, Counter[str]] = defaultdict(Counter)  # starts of others while one had work, since its last
    number = 0
    for _ in range(400):
        if chance.random() < 0.55:
            namespace = chance.choice("abcdef")
            for _ in range(chance.choice((1, 1, 1, 12))):
                number += 1
                waiting[namespace].append(f"{namespace}-{number}")
                await queue.add(namespace, f"{namespace}-{number}")
        elif taken := await queue.take():
            namespace = taken[0]
            assert taken == waiting[namespace].pop(0)  # by age
            behind[namespace].clear()
            for other, names in waiting.items():
                if other != namespace and names:
                    behind[other][namespace] += 1
                    # One that is in the round already, and one of the round that began when `other` came.
                    assert behind[other][namespace] <= 2
            if chance.random() < 0.5:
                await queue.end(taken)
    assert sum(map(len, waiting.values())) == len(await queue.take_all())


async def test_the_lane_that_is_named_first_goes_first(queue: Queue) -> None:
    await queue.add("team", "bulk", lane=LANE_BULK)
    await queue.add("team", "push", lane=LANE_PUSH)
    await queue.add("team", "person", lane=LANE_PERSON)
    assert await queue.take(LANE_PERSON, LANE_PUSH, LANE_BULK) == "person"
    assert await queue.take(LANE_PUSH) == "push"
    assert await queue.take(LANE_PUSH, LANE_PERSON) is None
    assert await queue.take(LANE_PUSH, LANE_BULK) == "bulk"


async def test_what_was_lost_is_taken_first_but_in_its_lane(queue: Queue) -> None:
    await queue.add("team", "lost", "next", lane=LANE_BULK)
    assert await queue.store.claim(queue.db, "dead", -1.0, [LANE_BULK])
    await queue.add("team", "push", lane=LANE_PUSH)
    assert await queue.take(LANE_PUSH) == "push"
    assert await queue.take(LANE_PUSH, LANE_BULK) == "lost"
    assert await queue.take(LANE_PUSH, LANE_BULK) == "next"


async def test_a_scan_that_is_wanted_sooner_changes_lanes_and_waits_there_its_turn(queue: Queue) -> None:
    await queue.add("team", *(f"bulk{number}" for number in range(3)))
    await queue.add("other", "push0", "push1", lane=LANE_PUSH)
    await queue.add("team", "bulk2", lane=LANE_PUSH)
    assert [await queue.take() for _ in range(5)] == ["bulk2", "push0", "push1", "bulk0", "bulk1"]


async def test_what_is_put_off_waits_its_turn_again_when_it_is_due(queue: Queue) -> None:
    await queue.add("team", "first", "second", "third")
    assert await queue.take() == "first"
    assert await queue.store.postpone(queue.db, queue.leases["first"], 3600.0, counted=True)
    assert await queue.store.rouse(queue.db, 10) == 0
    assert await queue.take() == "second"
    await queue.db.execute("UPDATE scanner.work SET due_at = now() WHERE turn IS NULL")
    assert await queue.store.rouse(queue.db, 10) == 1
    assert await queue.take_all() == ["third", "first"]


async def test_what_is_given_back_is_the_next_again(queue: Queue) -> None:
    await queue.add("team", "first", "second")
    assert await queue.take() == "first"
    await queue.store.release(queue.db, queue.leases["first"])
    assert await queue.take_all() == ["first", "second"]


async def test_work_that_an_older_release_adds_is_done_too(queue: Queue) -> None:
    scan_id = str(uuid.uuid4())
    await queue.db.execute("INSERT INTO scanner.work (scan_id, lane) VALUES ($1, 0)", scan_id)
    queue.names[scan_id] = "old"
    assert await queue.store.rouse(queue.db, 10) == 1
    assert await queue.take() == "old"


async def test_several_scanners_take_every_scan_once(queue: Queue) -> None:
    names = [f"team{number % 7}-{number}" for number in range(300)]
    for name in names:
        await queue.add(name.partition("-")[0], name)
    taken: list[str] = []

    async def scanner(owner: str) -> None:
        async with queue.bench.pool.acquire() as db:
            while lease := await queue.store.claim(db, owner, 30.0, LANES):
                taken.append(queue.names[lease.scan_id])

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(scanner(f"scanner-{number}"))
    assert sorted(taken) == sorted(names)
    early = Counter(name.partition("-")[0] for name in taken[:140])
    assert max(early.values()) - min(early.values()) <= 6  # as many as claim at the same moment


async def test_claiming_reads_as_little_with_fifty_thousand_waiting_as_with_ten(queue: Queue) -> None:
    await queue.db.execute(f"PREPARE claim (text, float8, smallint[]) AS {QUERIES['claim']}")
    await queue.db.execute(f"PREPARE enqueue (uuid, smallint, text) AS {QUERIES['enqueue']}")
    claim, enqueue = "claim ('test', 30, '{0,1,2,3}')", "enqueue (gen_random_uuid(), 3, 'team3')"
    await fill(queue.db, 10)
    few = [await pages(queue.db, claim), await pages(queue.db, enqueue)]
    await fill(queue.db, 50_000)
    many = [await pages(queue.db, claim), await pages(queue.db, enqueue)]
    assert all(now <= before + 40 for before, now in zip(few, many, strict=True)), (few, many)


async def fill(db: Connection, count: int) -> None:
    await db.execute("TRUNCATE scanner.work CASCADE")
    await db.execute(
        "INSERT INTO scanner.work (scan_id, lane, namespace, turn) "
        "SELECT gen_random_uuid(), $2, 'team' || n % 20, n / 20 FROM generate_series(1, $1::int) AS n",
        count,
        LANE_BULK,
    )
    await db.execute(
        "INSERT INTO scanner.work (scan_id, lane, namespace, due_at) "
        "SELECT gen_random_uuid(), $2, 'team' || n % 20, now() + interval '1 h' "
        "FROM generate_series(1, $1::int) AS n",
        count,
        LANE_PUSH,
    )
    await db.execute("ANALYZE scanner.work")


async def pages(db: Connection, statement: str) -> int:
    """Runs a prepared statement in the plan that it always has, and returns how many pages it touched."""
    [plan] = json.loads(await db.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {statement}"))
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])

"""From a webhook to the begin of its scan, with nothing else to do and with 50,000 bulk scans waiting."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from drydock.events.v1.scan_request_pb2 import ScanRequest
from tests.benchmarks.commits import Commits, watched_commits
from tests.benchmarks.crowd import bus_of, publish, put_images, requests_for
from tests.benchmarks.figures import Figure, Result, percentile, ratio
from tests.benchmarks.memory import resident
from tests.benchmarks.pushes import Pushes, pushes_from
from tests.benchmarks.stage import Stage, whole_drydock
from tests.registries import real_registry, registry_program

PUSHES = 200
WAITING = 50_000
ROUNDS = 3
_SPACING_SECONDS = 0.1
_NAMESPACES = 8
_EACH = 500
_WARM_UP = 20
_PATIENCE_SECONDS = 600.0
# What an intake leaves behind; their images do not exist, so they have turns after all that do.
_MORE_WAITING = """
INSERT INTO scanner.scan
    (scan_id, instance_id, namespace, repository, digest, engine, engine_version, advisories_version, state)
SELECT md5('bench' || n)::uuid, $1, 'later' || n % 8, 'app', 'sha256:' || repeat(md5('d' || n), 2),
    'SECURITY_CENTER', 'bench', 'bench', 'PENDING'
FROM generate_series(1, $2::int) AS n
"""
_MORE_WORK = """
INSERT INTO scanner.work (scan_id, lane, namespace, turn)
SELECT md5('bench' || n)::uuid, 3, $1 || '/later' || n % 8, 1000000 + n / 8 FROM generate_series(1, $2::int) AS n
"""


async def measure() -> Result:
    """Idle, then beside bulk, in turn."""
    program = registry_program()
    idle, busy, done = [], [], []
    with tempfile.TemporaryDirectory(prefix="drydock-bench-") as folder:
        async with (
            real_registry(program, Path(folder)) as registry,
            whole_drydock() as stage,
            pushes_from(stage, registry.access) as pushes,
            watched_commits(stage.database_url) as commits,
        ):
            bulk = await put_images(registry.access, [f"team{n}/app" for n in range(_NAMESPACES)], _EACH)
            await _push(pushes, commits, "warm", _WARM_UP)
            memory_before = resident("drydock", "up")
            idle.append(await _push(pushes, commits, "idle", PUSHES))
            await _wait_in_bulk(stage, pushes.instance_id, WAITING - len(bulk))
            async with bus_of(stage) as bus:
                await publish(bus, requests_for(pushes.instance_id, bulk, ScanRequest.LANE_BULK))
            for number in range(ROUNDS):
                before, began = await _ended(stage), time.monotonic()
                busy.append(await _push(pushes, commits, f"busy{number}", PUSHES))
                done.append((await _ended(stage) - before) / (time.monotonic() - began) * 60)
            memory = resident("drydock", "up") - memory_before
            waiting = await _waiting(stage)
    assert waiting > WAITING * 0.9, waiting
    return _result(idle, busy, done, memory)


async def _push(pushes: Pushes, commits: Commits, name: str, count: int) -> Sequence[float]:
    """Pushes so many images that nobody has seen, well apart; returns the seconds from webhook to begin."""
    digests = {f"{name}-{number}": await pushes.put(f"{name}-{number}") for number in range(count)}

    async def push(tag: str) -> float:
        sent = time.monotonic()
        await pushes.tell(tag, digests[tag])
        return await commits.at(tag, "RUNNING") - sent

    tasks = []
    async with asyncio.timeout(_PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        for tag in digests:
            tasks.append(group.create_task(push(tag)))
            await asyncio.sleep(_SPACING_SECONDS)
    return [task.result() for task in tasks]


async def _wait_in_bulk(stage: Stage, instance_id: str, count: int) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        db = await asyncpg.connect(stage.database_url)
        await db.execute(_MORE_WAITING, instance_id, count, timeout=_PATIENCE_SECONDS)
        await db.execute(_MORE_WORK, instance_id, count, timeout=_PATIENCE_SECONDS)
        await db.close()


async def _waiting(stage: Stage) -> int:
    return await _count(stage, "SELECT count(*) FROM scanner.work WHERE lane = 3")


async def _ended(stage: Stage) -> int:
    return await _count(stage, "SELECT count(*) FROM scanner.scan WHERE ended_at IS NOT NULL")


async def _count(stage: Stage, query: str) -> int:
    db = await asyncpg.connect(stage.database_url)
    try:
        return int(await db.fetchval(query))
    finally:
        await db.close()


def _result(
    idle: Sequence[Sequence[float]], busy: Sequence[Sequence[float]], done: Sequence[float], memory: float
) -> Result:
    def percentiles(what: str, rounds: Sequence[Sequence[float]], percent: int) -> Figure:
        values = tuple(percentile(seconds, percent) * 1000 for seconds in rounds)
        return Figure(what=f"{what}: webhook to begin, p{percent}", rounds=values, unit="ms")

    alone = list(idle) * len(busy)
    figures: list[Figure] = []
    for percent, bar in ((50, ""), (99, "<= 2")):
        beside = percentiles("beside bulk", busy, percent)
        figures += [
            ratio(f"beside bulk / idle, p{percent}", beside, percentiles("idle", alone, percent), bar=bar),
            percentiles("idle", idle, percent),
            beside,
        ]
    return Result(
        question=(
            f"{PUSHES} pushes, one every {_SPACING_SECONDS * 1000:.0f} ms, each of an image not seen before: time "
            f"from sending the webhook until its scan has begun, idle and with {WAITING:,} bulk scans waiting, "
            "which are worked on meanwhile."
        ),
        figures=(
            *figures,
            Figure(what="scans that ended meanwhile, pushes among them", rounds=tuple(done), unit="1/min"),
            Figure(what="memory that the main process grew by", rounds=(memory / 1e6,), unit="MB"),
        ),
    )

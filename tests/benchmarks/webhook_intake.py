"""How many pushes a second the webhook takes, sent one by one and many at a time."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os

import asyncpg

from services.lab.events import Endpoint
from tests.benchmarks.figures import Figure, Result, percentile
from tests.benchmarks.machine import cpu_seconds_below
from tests.benchmarks.posts import Posted, post_all
from tests.benchmarks.pushes import an_envelope, pushes_to
from tests.benchmarks.stage import whole_drydock

ROUNDS = 3
_REPOSITORIES = 50
_WARM_UP = 500
_MEDIA_TYPE = "application/vnd.docker.distribution.events.v2+json"
_RATE = "50000"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """A way of sending pushes."""

    name: str
    pushes: int
    together: int
    senders: int
    keep_alive: bool
    bar: str = ""


_WAYS = (
    _Way(name="one by one", pushes=6000, together=1, senders=64, keep_alive=True, bar=">= 2,000"),
    _Way(name="one by one, a connection for each", pushes=6000, together=1, senders=64, keep_alive=False),
    _Way(name="50 in an envelope", pushes=20000, together=50, senders=16, keep_alive=True, bar=">= 2,000"),
)


async def measure() -> Result:
    """Sends pushes in each way in turn, round after round, and counts what lies on the bus."""
    figures: list[Figure] = []
    async with (
        whole_drydock(environment={"DRYDOCK_GATEWAY_WEBHOOK_EVENTS_PER_SECOND": _RATE}) as stage,
        pushes_to(stage, default_rule=False) as pushes,
    ):
        headers = {"content-type": _MEDIA_TYPE, **pushes.endpoint.headers}
        endpoint = dataclasses.replace(pushes.endpoint, headers=headers)
        await post_all(endpoint, _bodies("w", _WARM_UP, 1), senders=8, keep_alive=True)
        rounds: dict[str, list[tuple[Posted, float]]] = {way.name: [] for way in _WAYS}
        for number in range(ROUNDS):
            for way in _WAYS:
                rounds[way.name].append(await _send(endpoint, way, f"{number}-{way.together}{way.keep_alive}"))
                await _consumed(stage.database_url)
        await _all_there(stage.database_url, _WARM_UP + ROUNDS * sum(way.pushes for way in _WAYS))
    for way in _WAYS:
        figures += _figures(way, rounds[way.name])
    return Result(
        question=(
            "Pushes that no rule wants, each a recorded envelope of a real registry with names of its own, sent "
            "to `drydock up` on PostgreSQL; the sender takes a part of the same machine, and what consumes the "
            "events goes on meanwhile. Taken means answered 202, and found on the bus."
        ),
        figures=tuple(figures),
    )


async def _send(endpoint: Endpoint, way: _Way, salt: str) -> tuple[Posted, float]:
    bodies = _bodies(salt, way.pushes, way.together)
    before = cpu_seconds_below(os.getpid())
    posted = await post_all(endpoint, bodies, senders=way.senders, keep_alive=way.keep_alive)
    assert set(posted.statuses) == {202}, posted.statuses
    return posted, (cpu_seconds_below(os.getpid()) - before) / way.pushes * 1e6


def _bodies(salt: str, pushes: int, together: int) -> list[bytes]:
    events = []
    for number in range(pushes):
        envelope = an_envelope(f"{salt}-{number}", f"sha256:{number:064x}", f"team/app{number % _REPOSITORIES}")
        events += envelope["events"]
    return [
        json.dumps({"events": events[first : first + together]}, indent=3).encode()
        for first in range(0, pushes, together)
    ]


async def _consumed(database_url: str) -> None:
    """Waits until nobody has anything left to read: the next way begins as the last one did."""
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(120):
            while await connection.fetchval(
                "SELECT (SELECT count(DISTINCT value) FROM bus.message WHERE topic = 'drydock.image.events.v1')"
                " > (SELECT count(*) FROM rules.seen_event)"
            ):
                await asyncio.sleep(0.2)
    finally:
        await connection.close()


async def _all_there(database_url: str, pushes: int) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        found = await connection.fetchval(
            "SELECT count(*) FROM bus.message WHERE topic = 'drydock.image.events.v1'"
        )
        assert found == pushes, (found, pushes)
    finally:
        await connection.close()


def _figures(way: _Way, rounds: list[tuple[Posted, float]]) -> list[Figure]:
    rates = tuple(way.pushes / posted.seconds for posted, _ in rounds)
    latencies = tuple(percentile(posted.milliseconds, 99) for posted, _ in rounds)
    return [
        Figure(what=f"{way.name}: taken", rounds=rates, unit="pushes/s", bar=way.bar),
        Figure(what=f"{way.name}: answered, p99", rounds=latencies, unit="ms"),
        Figure(what=f"{way.name}: CPU of a push, of all processes", rounds=tuple(c for _, c in rounds), unit="µs"),
    ]

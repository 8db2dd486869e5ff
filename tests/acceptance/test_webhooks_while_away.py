"""Database or bus away for ten seconds under load: what was answered 2xx is scanned once, the rest is told 503."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import asyncpg
import pytest

from services.kernel.model import media
from services.kernel.model.access import RegistryAccess
from services.lab.events import CONTENT_TYPE, Endpoint
from services.standalone import Running
from tests.buses import SessionBroker, session_broker
from tests.chaos.database import Database, killable_database
from tests.processes import Fleet, fleet
from tests.running import client_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AWAY_SECONDS = 10.0
SENDERS = 8
_PATIENCE_SECONDS = 90.0
_MOST_RETRY_SECONDS = 10

Outage = Callable[[], Awaitable[None]]


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """Two gateways, what lies behind them, and something that can go away."""

    endpoints: tuple[Endpoint, Endpoint]
    database: Database
    take_away: Outage
    bring_back: Outage


@dataclasses.dataclass(slots=True)
class Tally:
    """What the senders heard."""

    taken: list[str] = dataclasses.field(default_factory=list)
    """Tags whose push was answered 202, each as often as it was."""
    statuses: Counter[int] = dataclasses.field(default_factory=Counter)


@asynccontextmanager
async def the_scene(folder: Path, what: str) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(killable_database(folder / "pg"))
        settings: dict[str, str] = {}
        take_away, bring_back = _killing(database), database.start
        if what == "broker":
            broker = stack.enter_context(session_broker(folder / "kafka"))
            await broker.ready()
            settings = {
                "kafka": broker.servers,
                "kafka_security": broker.settings.security,
                "kafka_sasl_mechanism": broker.settings.sasl_mechanism,
                "kafka_username": broker.settings.username,
                "kafka_password": broker.settings.password.get_secret_value(),
            }
            take_away, bring_back = _killing(broker), broker.ready
        roles = ("rules", "scanner", "notifier", "gateway", "gateway")
        started = await stack.enter_async_context(fleet(folder, database.url, *roles, **settings))
        await started.migrate()
        await started.start_all()
        first, second = _gateways(started)
        async with client_of(first) as client:
            # Nobody answers there: a task is made of each push, and its scan is tried again and again.
            instance_id = await client.instance(RegistryAccess(address="127.0.0.1:1", plain_http=True))
            endpoint = await client.webhook(instance_id)
        other = urlunsplit(urlsplit(endpoint.url)._replace(netloc=second.http))
        yield Scene((endpoint, dataclasses.replace(endpoint, url=other)), database, take_away, bring_back)


def _killing(thing: Database | SessionBroker) -> Outage:
    async def kill() -> None:
        await asyncio.to_thread(thing.kill)

    return kill


def _gateways(started: Fleet) -> list[Running]:
    return [
        Running(
            grpc=served.grpc,
            http=served.http,
            monitoring=served.monitoring,
            admin_token_file=started.admin_token_file,
        )
        for served in started.served
        if served.role == "gateway"
    ]


def a_push(tag: str) -> bytes:
    target = {
        "repository": f"team/app{len(tag) % 3}",
        "tag": tag,
        "digest": f"sha256:{sum(tag.encode()):064x}",
        "mediaType": media.OCI_MANIFEST,
    }
    return json.dumps({"events": [{"id": tag, "action": "push", "target": target}]}).encode()


async def deliver(http: aiohttp.ClientSession, endpoint: Endpoint, tag: str, tally: Tally) -> None:
    """Sends a push until it is taken, as a registry does; whatever is no 2xx must say when to come again."""
    headers = {"content-type": CONTENT_TYPE, **endpoint.headers}
    while True:
        async with http.post(endpoint.url, data=a_push(tag), headers=headers) as answer:
            tally.statuses[answer.status] += 1
            if answer.status == 202:
                assert (await answer.json())["accepted"] == 1
                tally.taken.append(tag)
                return
            assert answer.status == 503, await answer.text()
            assert 1 <= int(answer.headers["retry-after"]) <= _MOST_RETRY_SECONDS
        await asyncio.sleep(0.2)


async def send(scene: Scene, number: int, tally: Tally, enough: asyncio.Event) -> None:
    """Pushes one tag after the other; every fifth is told to both gateways at once."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        push = 0
        while not enough.is_set():
            tag = f"s{number}-{push}"
            chosen = scene.endpoints if push % 5 == 0 else (scene.endpoints[push % 2],)
            await asyncio.gather(*(deliver(http, endpoint, tag, tally) for endpoint in chosen))
            push += 1
            await asyncio.sleep(0.02)


async def tasks_of_tags(database: Database) -> Counter[str]:
    connection = await asyncpg.connect(database.url)
    try:
        return Counter(row["tag"] for row in await connection.fetch("SELECT tag FROM scanner.task"))
    finally:
        await connection.close()


@pytest.mark.parametrize("what", ["database", "broker"])
async def test_what_was_answered_2xx_is_scanned_once_and_the_rest_is_told_503(tmp_path: Path, what: str) -> None:
    tally, enough = Tally(), asyncio.Event()
    async with the_scene(tmp_path, what) as scene:
        async with asyncio.timeout(_PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            for number in range(SENDERS):
                group.create_task(send(scene, number, tally, enough))
            await asyncio.sleep(3)
            before = len(tally.taken)
            await scene.take_away()
            await asyncio.sleep(AWAY_SECONDS)
            during = Counter(tally.statuses)
            await scene.bring_back()
            await asyncio.sleep(5)
            enough.set()
        sent = set(tally.taken)
        assert before > 0
        assert during[503] > 0
        assert set(tally.statuses) == {202, 503}
        assert len(tally.taken) > before + SENDERS
        found: Counter[str] = Counter()
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while set(found) != sent:
                assert set(found) <= sent
                await asyncio.sleep(0.2)
                found = await tasks_of_tags(scene.database)
        assert set(found.values()) == {1}

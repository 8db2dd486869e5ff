"""A machine whose clock is wrong for a while: what it wrote down meanwhile holds nothing up afterwards."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import asyncpg
import pytest

from services.kernel.model.access import RegistryAccess
from services.lab.push import push_image
from services.lab.receiver import serve_receiver
from tests.acceptance.test_push_to_verdict import an_image
from tests.chaos.crew import with_clock
from tests.processes import fleet
from tests.registries import lab_registry
from tests.running import client_of

NOWHERE = RegistryAccess(address="127.0.0.1:1", plain_http=True)
TWO_DAYS = 172_800


@pytest.mark.slow
@pytest.mark.parametrize("jump", [TWO_DAYS, -TWO_DAYS])
async def test_a_notification_that_was_put_off_by_a_wrong_clock_still_comes_soon(
    tmp_path: Path, database: str, jump: int
) -> None:
    clock = tmp_path / "clock"
    clock.write_text(str(jump))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    roles = ("rules", "scanner", "gateway", "notifier")
    async with fleet(tmp_path, database, *roles, notifier_retry_longest_seconds="2") as started:
        for served in started.served:
            served.environment = with_clock(started.environment(), clock)
            await served.start()
        for served in started.served:
            await served.until_ready()
        async with client_of(started.running) as client:
            instance_id = await client.instance(NOWHERE, default_rule=False)
            await client.rule(instance_id, await client.target(f"http://127.0.0.1:{port}/notifications"))
            async with lab_registry(notify=await client.webhook(instance_id)) as registry:
                await client.move(instance_id, registry.access.address)
                digest = await push_image(registry.access, "team/app", "1.0", an_image())
                await client.wait(instance_id, "team/app", "1.0", digest=digest)
                await until_tried(database)
        clock.write_text("0")
        async with serve_receiver(port=port) as receiver:
            await receiver.wait_for(lambda got: True, 20)
        connection = await asyncpg.connect(database)
        try:
            wrong = (
                "SELECT count(*) FROM notifier.delivery WHERE abs(extract(epoch FROM now() - created_at)) > 3600"
            )
            assert await connection.fetchval(wrong) == 0
        finally:
            await connection.close()


async def until_tried(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        async with asyncio.timeout(30):
            while not await connection.fetchval("SELECT count(*) FROM notifier.receipt"):
                await asyncio.sleep(0.1)
    finally:
        await connection.close()

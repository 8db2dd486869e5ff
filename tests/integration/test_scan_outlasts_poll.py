"""A scan that takes longer than a Kafka consumer may stay away: it is no work of the consumer's."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.kernel.bus.dispatch import consume
from services.kernel.bus.interface import TOPICS, Message, Record
from services.kernel.bus.kafka_consumer import Membership
from services.kernel.db import Pool
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.reference import RepositoryName
from services.kernel.model.repository_id import repository_id
from services.lab.faults import Delay
from services.lab.push import push_image
from services.rules.api import NewInstance
from services.rules.convert_events import to_message
from services.rules.events import ScanRequest
from services.scanner.api import State, Task
from services.scanner.settings import ScannerSettings
from services.scanner.wiring.server import server
from tests.acceptance.test_push_to_verdict import an_image
from tests.builders.edge import real_rules
from tests.builders.ground import a_ground, end
from tests.builders.rules import BOX
from tests.buses import SessionBroker
from tests.registries import lab_registry

pytestmark = pytest.mark.slow
SCHEMAS = (("rules", "services.rules"), ("scanner", "services.scanner"))
POLL_SECONDS = 2.0
IMPATIENT = Membership(session_seconds=6.0, yield_seconds=1.0, poll_seconds=POLL_SECONDS)
SCAN_SECONDS = 4 * POLL_SECONDS


async def test_a_scan_longer_than_the_poll_interval_moves_no_partition_and_ends_once(
    kafka: SessionBroker, database: str, tmp_path: Path
) -> None:
    async with (
        lab_registry() as registry,
        kafka.bus(*TOPICS, membership=IMPATIENT) as bus,
        a_ground(database, *SCHEMAS) as ground,
    ):
        digest = await push_image(registry.access, "team/app", "1.0", an_image())
        assert registry.lab is not None
        registry.lab.faults.add("/v2/team/app/blobs/*", Delay(SCAN_SECONDS), times=1)
        rules = real_rules(ground.pool, ground.clock)
        instance = await rules.create_instance(
            NewInstance(name="lab", address=registry.access.address, plain_http=True)
        )
        request = a_request(instance.instance_id, digest)
        with capture_logs() as logs:
            on_kafka = dataclasses.replace(ground, bus=bus)
            async with server(on_kafka, rules=rules, box=BOX, data=tmp_path, settings=ScannerSettings()) as api:
                await bus.publish([to_message(request)])
                async with asyncio.timeout(60):
                    while await ended(ground.pool, request.task_id) is None:
                        await asyncio.sleep(0.1)
                task = await api.get_task(request.task_id)
                await end(ground)
    assert isinstance(task, Task)
    assert task.state is State.COMPLETE, task
    assert task.ended_at is not None
    assert (task.ended_at - task.created_at).total_seconds() > SCAN_SECONDS
    events = [entry["event"] for entry in logs]
    # Every rebalance assigns partitions again; the scanner reads three topics.
    assert events.count("partitions.assigned") == 3
    assert events.count("scan.started") == events.count("scan.finished") == 1


async def test_a_handler_longer_than_the_poll_interval_does_lose_its_partitions(
    kafka: SessionBroker, topic: str
) -> None:
    stopping, done = asyncio.Event(), asyncio.Event()

    async def work(records: Sequence[Record]) -> None:
        if not done.is_set():
            done.set()
            await asyncio.sleep(3 * POLL_SECONDS)
        else:
            stopping.set()

    async with kafka.bus(topic, membership=IMPATIENT) as bus:
        await bus.publish([Message(topic=topic, key=b"k", value=b"v")])
        with capture_logs() as logs:
            async with asyncio.timeout(60):
                await consume(bus, group="slow", topic=topic, handler=work, stopping=stopping)
    assert [entry["event"] for entry in logs].count("partitions.assigned") > 1


async def ended(pool: Pool, task_id: str) -> datetime | None:
    moment: datetime | None = await pool.fetchval("SELECT ended_at FROM scanner.task WHERE task_id = $1", task_id)
    return moment


def a_request(instance_id: str, digest: Digest) -> ScanRequest:
    name = RepositoryName(namespace="team", name="app")
    return ScanRequest(
        task_id=str(uuid.uuid4()),
        instance_id=instance_id,
        repo_id=repository_id(instance_id, name),
        repository=name,
        tag="1.0",
        digest=digest,
        revision=1,
        engine=Engine.SECURITY_CENTER,
        rule_ids=(),
        target_ids=(),
        requested_at=datetime.now(UTC),
    )

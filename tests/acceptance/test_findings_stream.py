"""The stream of findings through real doors: on Kafka a stranger rebuilds it, elsewhere `drydock` tells it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from pathlib import Path

import asyncpg
import pytest

from drydock.scanner.v1 import scan_pb2
from services.kernel.bus.interface import FINDINGS, FINDINGS_STATE
from services.kernel.db import open_pool
from services.kernel.embedded.kafka_files import load_node
from services.kernel.model.access import RegistryAccess
from services.lab.image import build_index
from services.lab.push import push_image
from tests.acceptance.test_push_to_verdict import ARM64, an_image
from tests.buses import JARS
from tests.chaos.evidence import Words, reported
from tests.commandline import drydock
from tests.ocsf import judge
from tests.plain_consumer import compacted, disorder, read_topic, rebuilt, words_of
from tests.registries import lab_registry
from tests.running import client_of, running_drydock

pytestmark = pytest.mark.slow


async def test_a_plain_consumer_rebuilds_from_offset_0_what_the_database_has(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRYDOCK_KAFKA_JARS_DIR", str(JARS))
    async with running_drydock(tmp_path, database, kafka="embedded") as running, client_of(running) as client:
        instance_id = await client.instance(RegistryAccess(address="127.0.0.1:1", plain_http=True))
        async with lab_registry(notify=await client.webhook(instance_id)) as registry:
            await client.move(instance_id, registry.access.address)
            index = build_index([an_image(), an_image(ARM64, salt="arm")])
            for repository in ("shop/web", "shop/other"):
                digest = await push_image(registry.access, repository, "1.0", index)
                task = await client.wait(instance_id, repository, "1.0", digest=digest)
                assert task.state == scan_pb2.STATE_COMPLETE
            await told(database)
        wanted = await in_reports(database)
        assert len(wanted) > 3
        node = load_node(tmp_path / "kafka")
        log = await asyncio.to_thread(read_topic, node.servers, node.settings, FINDINGS)
        state = await asyncio.to_thread(read_topic, node.servers, node.settings, FINDINGS_STATE)
    for one in log:
        judge(one.event)
        assert one.headers["content-type"] == "application/json"
        assert one.key == one.headers["ce_partitionkey"] == one.event["unmapped"]["digest"]
    assert all(one.key == one.headers["ce_subject"] for one in state)
    assert len({one.partition for one in log}) == 1  # one digest, so one order
    assert {words_of(event) for event in rebuilt(log).values()} == wanted
    assert disorder(log) == []
    assert compacted(state) == rebuilt(log)


async def test_the_command_line_follows_and_exports_the_same_on_the_bus_of_postgresql(
    tmp_path: Path, database: str
) -> None:
    async with running_drydock(tmp_path, database) as running, client_of(running) as client:
        instance_id = await client.instance(RegistryAccess(address="127.0.0.1:1", plain_http=True))
        async with lab_registry(notify=await client.webhook(instance_id)) as registry:
            await client.move(instance_id, registry.access.address)
            digest = await push_image(registry.access, "shop/web", "1.0", an_image())
            await client.wait(instance_id, "shop/web", "1.0", digest=digest)
            await told(database)
        wanted = await in_reports(database)
        server = ("--server", running.grpc, "--data", str(tmp_path))
        follow = await drydock(
            "findings", "follow", "--from", "beginning", "--once", "--output", "ndjson", *server
        )
        export = await drydock("findings", "export", *server)
        people = await drydock("findings", "follow", "--from", "1h", "--once", *server)
        nothing = await drydock("findings", "follow", "--from", "now", "--once", *server)
    assert wanted
    for said in (follow, export):
        events = [json.loads(line) for line in said.stdout.splitlines()]
        for event in events:
            judge(event["data"])
            assert event["specversion"] == "1.0"
            assert event["subject"] == event["data"]["finding_info"]["uid"]
        assert {words_of(event["data"]) for event in events} == wanted
        assert len(events) == len(wanted)
    assert len(people.stdout.splitlines()) == len(wanted)
    assert "found: shop/web@sha256:" in people.stdout
    assert nothing.stdout == ""


async def told(database: str) -> None:
    """Waits until all is told and published."""
    connection = await asyncpg.connect(database)
    try:
        async with asyncio.timeout(60):
            while await connection.fetchval(
                "SELECT (SELECT count(*) FROM scanner.stream_mark)"
                " + (SELECT count(*) FROM scanner.stream_image WHERE heard > told)"
                " + (SELECT count(*) FROM scanner.finding_outbox)"
            ):
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def in_reports(database: str) -> Collection[Words]:
    async with open_pool(database, application_name="test", max_size=1) as pool:
        return await reported(pool)

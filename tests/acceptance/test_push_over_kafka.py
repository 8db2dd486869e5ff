"""From a push to a verdict with `--kafka embedded`: every event goes over a real broker, and keeps its trace."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import asyncpg
import pytest

from drydock.scanner.v1 import scan_pb2
from services.kernel import trace
from services.kernel.bus.interface import IMAGE_EVENTS, SCAN_EVENTS, SCAN_REQUESTS
from services.kernel.bus.kafka import open_kafka_bus
from services.kernel.embedded.kafka_files import load_node
from services.kernel.model.access import RegistryAccess
from services.kernel.model.platform import Platform
from services.lab.image import build_image
from services.lab.layer import LayerBuilder
from services.lab.push import push_image
from tests.buses import JARS
from tests.registries import lab_registry
from tests.running import client_of, running_drydock

pytestmark = pytest.mark.slow

OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_a_push_is_scanned_over_kafka_and_every_event_names_the_registrys_trace(
    tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRYDOCK_KAFKA_JARS_DIR", str(JARS))
    built = build_image(
        [LayerBuilder().file("etc/os-release", OS_RELEASE).build()],
        platform=Platform(os="linux", architecture="amd64"),
    )
    async with (
        running_drydock(tmp_path, empty_database, kafka="embedded") as running,
        client_of(running) as client,
    ):
        instance_id = await client.instance(RegistryAccess(address="127.0.0.1:1", plain_http=True))
        endpoint = await client.webhook(instance_id)
        traced = {**endpoint.headers, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        async with lab_registry(notify=dataclasses.replace(endpoint, headers=traced)) as registry:
            await client.move(instance_id, registry.access.address)
            digest = await push_image(registry.access, "shop/web", "1.0", built)
            task = await client.wait(instance_id, "shop/web", "1.0", digest=digest)
        assert task.state == scan_pb2.STATE_COMPLETE
        node = load_node(tmp_path / "kafka")
        async with open_kafka_bus(node.servers, node.settings, keep_days=1) as bus:
            for topic in (IMAGE_EVENTS, SCAN_REQUESTS, SCAN_EVENTS):
                kept = (await bus.browse(topic, limit=100)).kept
                assert kept, topic
                spans = {each.record.traceparent for each in kept}
                assert {trace.trace_id_of(span) for span in spans} == {TRACE}
                assert len(spans) == len(kept)
    connection = await asyncpg.connect(empty_database)
    try:
        assert await connection.fetchval("SELECT to_regnamespace('bus')") is None
    finally:
        await connection.close()

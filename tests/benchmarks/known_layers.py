"""Scans of images whose layers are known, from the requests on the bus to the events of their ends."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from drydock.events.v1.scan_event_pb2 import ScanEvent
from drydock.events.v1.scan_request_pb2 import ScanRequest
from services.kernel.bus.interface import SCAN_EVENTS, Message
from services.kernel.bus.postgres import PostgresBus
from tests.benchmarks.crowd import bus_of, publish, put_images, requests_for
from tests.benchmarks.figures import Figure, Result
from tests.benchmarks.machine import cpu_seconds_below
from tests.benchmarks.stage import whole_drydock
from tests.registries import real_registry, registry_program

NAMESPACES = 8
EACH = 250
_PATIENCE_SECONDS = 600.0


async def measure() -> Result:
    """Scans all, once."""
    program, count = registry_program(), NAMESPACES * EACH
    with tempfile.TemporaryDirectory(prefix="drydock-bench-") as folder:
        async with (
            real_registry(program, Path(folder)) as registry,
            whole_drydock() as stage,
            bus_of(stage) as bus,
        ):
            instance_id = await stage.client.instance(registry.access, default_rule=False)
            first = await put_images(registry.access, ["team0/first"], 1)
            await _scanned(bus, requests_for(instance_id, first, ScanRequest.LANE_BULK))
            digests = await put_images(registry.access, [f"team{n}/app" for n in range(NAMESPACES)], EACH)
            before = cpu_seconds_below(os.getpid())
            seconds = await _scanned(bus, requests_for(instance_id, digests, ScanRequest.LANE_BULK))
            cpu = cpu_seconds_below(os.getpid()) - before
    return Result(
        question=(
            f"{count:,} bulk requests for images of {NAMESPACES} namespaces in a real registry, on layers that "
            "were read before: from publishing the first request until the event of the last COMPLETE was read."
        ),
        figures=(
            Figure(what="scans", rounds=(count / seconds * 60,), unit="1/min", bar=">= 1,500"),
            Figure(what="CPU of a scan, registry and database included", rounds=(cpu / count * 1000,), unit="ms"),
        ),
    )


async def _scanned(bus: PostgresBus, requests: Sequence[Message]) -> float:
    """Publishes the requests and returns the seconds until all their tasks were told complete."""
    ended: set[str] = set()
    began = time.monotonic()
    async with asyncio.timeout(_PATIENCE_SECONDS), bus.subscribe(group="bench", topic=SCAN_EVENTS) as events:
        await publish(bus, requests)
        while len(ended) < len(requests):
            batch = await events.next(1.0)
            for record in batch.records if batch else ():
                event = ScanEvent.FromString(record.message.value)
                assert event.state != ScanEvent.STATE_FAILED, event
                if event.state == ScanEvent.STATE_COMPLETE:
                    ended.add(event.task_id)
            if batch:
                await events.commit(batch)
    return time.monotonic() - began

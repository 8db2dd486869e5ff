"""The fixer as a server: a task is worked on, its end is on the bus, and peers meet the same over gRPC."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from drydock.events.v1 import fix_event_pb2
from services.fixer.api import FixerApi, FixFilter, FixState
from services.fixer.client import FixerClient
from services.fixer.order import FixOrder
from services.fixer.servicer import inner_services
from services.fixer.settings import FixerSettings
from services.fixer.wiring import open_work, server
from services.kernel.bus.interface import FIX_EVENTS, Bus
from services.kernel.errors import ServiceError
from services.kernel.ground import Ground
from services.rules.api import NewInstance
from services.rules.application import Rules
from tests.builders.edge import real_rules
from tests.builders.fixer import WANTED
from tests.builders.ground import a_ground, end
from tests.builders.peers import inner_door, peer_at
from tests.fakes.clock import ManualClock
from tests.fakes.fixer import FakeWork
from tests.fakes.scanner import FakeScanner, a_finding, a_task


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    api: FixerApi
    """As a peer meets it."""
    own: FixerApi
    work: FakeWork
    bus: Bus


async def a_house(ground: Ground) -> tuple[Rules, FakeScanner]:
    rules, scanner = real_rules(ground.pool, ManualClock()), FakeScanner()
    await rules.create_instance(NewInstance(name="lab", address="127.0.0.1:5000", default_rule=False))
    scanner.task, scanner.result = a_task(), (a_finding(),)
    return rules, scanner


@asynccontextmanager
async def running_fixer(url: str) -> AsyncIterator[Running]:
    async with a_ground(url, ("rules", "services.rules"), ("fixer", "services.fixer")) as ground:
        rules, scanner = await a_house(ground)
        work = FakeWork()
        async with (
            server(ground, rules=rules, scanner=scanner, work=work, settings=FixerSettings()) as own,
            inner_door(inner_services(own)) as door,
            peer_at(door.address) as peer,
        ):
            yield Running(api=FixerClient(peer), own=own, work=work, bus=ground.bus)
            await end(ground)


async def ended(api: FixerApi, task_id: str, *states: FixState) -> None:
    async with asyncio.timeout(30):
        while (await api.get_fix(task_id)).state not in states:
            await asyncio.sleep(0.02)


async def test_a_task_is_worked_on_and_its_end_is_on_the_bus(database: str) -> None:
    async with running_fixer(database) as running, asyncio.timeout(60):
        task = await running.api.create_fix(WANTED, target_ids=("tgt-1",), request_id=str(uuid.uuid4()))
        await ended(running.api, task.task_id, FixState.SUCCEEDED)
        async with running.bus.subscribe(group="test", topic=FIX_EVENTS) as subscription:
            batch = None
            while batch is None:
                batch = await subscription.next(1.0)
        [record] = batch.records
        event = fix_event_pb2.FixEvent.FromString(record.message.value)
        assert (event.task_id, event.state, list(event.target_ids)) == (
            task.task_id,
            event.STATE_SUCCEEDED,
            ["tgt-1"],
        )
        assert record.message.key == task.digest.encode()


async def test_a_peer_meets_what_the_application_says(database: str) -> None:
    async with running_fixer(database) as running, asyncio.timeout(60):
        gate = asyncio.Event()

        async def wait(order: FixOrder) -> None:
            del order
            await gate.wait()

        running.work.after_push = wait
        assert await running.api.preview_fix(WANTED) == await running.own.preview_fix(WANTED)
        task = await running.api.create_fix(WANTED)
        async with asyncio.timeout(30):
            while not (await running.api.get_fix(task.task_id)).fixed_tag:
                await asyncio.sleep(0.02)
        with pytest.raises(ServiceError) as caught:
            await running.api.cancel_fix(task.task_id)
        assert (caught.value.reason, bool(caught.value.hint)) == ("FIX_PUSHING", True)
        gate.set()
        await ended(running.api, task.task_id, FixState.SUCCEEDED)
        assert await running.api.get_fix(task.task_id) == await running.own.get_fix(task.task_id)
        wanted = FixFilter(instance="lab", state=FixState.SUCCEEDED)
        assert await running.api.list_fixes(wanted) == await running.own.list_fixes(wanted)
        await running.api.revert_fix(task.task_id)
        await ended(running.api, task.task_id, FixState.REVERTED)
        with pytest.raises(ServiceError) as caught:
            await running.api.create_fix(dataclasses.replace(WANTED, tag=""))
        assert (caught.value.reason, caught.value.field) == ("TAG_REQUIRED", "order.tag")


async def test_a_registry_that_is_away_ends_a_fix_with_its_own_reason(database: str, tmp_path: Path) -> None:
    async with a_ground(database, ("rules", "services.rules"), ("fixer", "services.fixer")) as ground:
        rules, scanner = await a_house(ground)
        settings = FixerSettings(attempts=1)
        async with (
            open_work(ground, rules=rules, scanner=scanner, data=tmp_path, settings=settings) as work,
            server(ground, rules=rules, scanner=scanner, work=work, settings=settings) as api,
        ):
            task = await api.create_fix(WANTED)
            await ended(api, task.task_id, FixState.FAILED)
            assert (await api.get_fix(task.task_id)).reason == "REGISTRY_UNREACHABLE"
            await end(ground)

"""Deliveries that wait at the same moment go on the bus together, and each is told the truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from drydock.events.v1 import image_event_pb2 as pb
from services.gateway.convert_events import Draft, to_draft
from services.gateway.webhooks import convoy
from services.gateway.webhooks.convoy import Convoys, open_convoys
from services.gateway.webhooks.envelope import read_event
from services.gateway.webhooks.notice import Notice
from services.kernel.bus.interface import Message, bus_unavailable
from services.kernel.bus.postgres import PostgresBus
from services.kernel.errors import ServiceError
from services.kernel.ids import RandomIds
from services.kernel.wakeup import Wakeups
from tests.builders.gateway import INSTANCE_ID, key_ring
from tests.builders.senders import DIGEST
from tests.databases import migrated_pool
from tests.fakes.bus import UnreliableBus
from tests.fakes.clock import ManualClock


class Gate(UnreliableBus):
    """Lets a publication begin, and go on when it is told to."""

    def __init__(self, bus: PostgresBus) -> None:
        super().__init__(bus)
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.published: list[int] = []

    async def publish(self, messages: Sequence[Message]) -> None:
        self.begun.set()
        await self.open.wait()
        await super().publish(messages)
        self.published.append(len(messages))


class Road:
    def __init__(self, convoys: Convoys, gate: Gate) -> None:
        self.convoys = convoys
        self.gate = gate


@pytest.fixture
async def road(database: str) -> AsyncIterator[Road]:
    schemas = (("gateway", "services.gateway"), ("bus", "services.kernel.bus"))
    async with migrated_pool(database, *schemas) as pool:
        gate = Gate(PostgresBus(pool, database, Wakeups(database), RandomIds()))
        async with open_convoys(pool=pool, store=key_ring(pool).store, bus=gate) as convoys:
            yield Road(convoys, gate)


def draft(number: int) -> Draft:
    event = (
        f'{{"id": "e-{number}", "action": "push", "target": {{"repository": "team/app", "tag": "t{number}", '
        f'"digest": "{DIGEST}", "mediaType": "application/vnd.oci.image.manifest.v1+json"}}}}'
    )
    notice = read_event(INSTANCE_ID, event.encode())
    assert isinstance(notice, Notice)
    return to_draft(INSTANCE_ID, notice, ManualClock().now())


async def events(road: Road) -> list[pb.ImageEvent]:
    kept = (await road.gate.browse("drydock.image.events.v1", limit=10_000)).kept
    return [pb.ImageEvent.FromString(entry.record.message.value) for entry in kept]


async def test_who_comes_alone_does_not_wait_for_others(road: Road) -> None:
    road.gate.open.set()
    await road.convoys.publish([draft(1)])
    await road.convoys.publish([draft(2)])

    assert road.gate.published == [1, 1]


async def test_who_comes_while_one_is_under_way_shares_the_next(road: Road) -> None:
    first = asyncio.create_task(road.convoys.publish([draft(0)]))
    await road.gate.begun.wait()
    others = [asyncio.create_task(road.convoys.publish([draft(number)])) for number in range(1, 50)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in (first, *others))
    road.gate.open.set()
    await asyncio.gather(first, *others)

    assert road.gate.published == [1, 49]
    found = await events(road)
    assert [event.tag for event in found] == [f"t{number}" for number in range(50)]
    assert [event.revision for event in found] == sorted({event.revision for event in found})


async def test_a_convoy_that_fails_fails_for_all_who_share_it_and_for_nobody_else(road: Road) -> None:
    road.gate.down = True
    first = asyncio.create_task(road.convoys.publish([draft(0)]))
    await road.gate.begun.wait()
    others = [asyncio.create_task(road.convoys.publish([draft(number)])) for number in (1, 2)]
    await asyncio.sleep(0)
    road.gate.open.set()
    ends = await asyncio.gather(first, *others, return_exceptions=True)
    assert [type(end) for end in ends] == [ServiceError] * 3
    assert {end.reason for end in ends if isinstance(end, ServiceError)} == {bus_unavailable().reason}
    road.gate.down = False

    await road.convoys.publish([draft(3)])
    assert [event.tag for event in await events(road)] == ["t3"]


async def test_who_gave_up_while_waiting_has_brought_nothing(road: Road) -> None:
    first = asyncio.create_task(road.convoys.publish([draft(0)]))
    await road.gate.begun.wait()
    given_up = asyncio.create_task(road.convoys.publish([draft(1)]))
    stays = asyncio.create_task(road.convoys.publish([draft(2)]))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.sleep(0)
    road.gate.open.set()
    await asyncio.gather(first, stays)

    assert [event.tag for event in await events(road)] == ["t0", "t2"]


async def test_a_caller_who_gives_up_takes_nobody_along(road: Road) -> None:
    first = asyncio.create_task(road.convoys.publish([draft(0)]))
    await road.gate.begun.wait()
    stays = asyncio.create_task(road.convoys.publish([draft(1)]))
    await asyncio.sleep(0)
    first.cancel()
    road.gate.open.set()
    await stays

    assert [event.tag for event in await events(road)] == ["t0", "t1"]


async def test_more_than_fit_are_sent_away(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convoy, "_MOST_WAITING", 10)
    first = asyncio.create_task(road.convoys.publish([draft(0)]))
    await road.gate.begun.wait()
    waiting = asyncio.create_task(road.convoys.publish([draft(number) for number in range(1, 9)]))
    await asyncio.sleep(0)
    with pytest.raises(ServiceError) as refused:
        await road.convoys.publish([draft(number) for number in range(9, 12)])
    assert refused.value.reason == "WEBHOOK_BUSY"
    road.gate.open.set()
    await asyncio.gather(first, waiting)

    assert len(await events(road)) == 9


async def test_a_large_delivery_is_not_split(road: Road) -> None:
    road.gate.open.set()
    await road.convoys.publish([draft(number) for number in range(900)])

    assert road.gate.published == [900]


async def test_a_bus_that_hangs_keeps_nobody_from_ending(database: str) -> None:
    schemas = (("gateway", "services.gateway"), ("bus", "services.kernel.bus"))
    async with migrated_pool(database, *schemas) as pool:
        gate = Gate(PostgresBus(pool, database, Wakeups(database), RandomIds()))
        async with asyncio.timeout(5), open_convoys(pool=pool, store=key_ring(pool).store, bus=gate) as convoys:
            caller = asyncio.create_task(convoys.publish([draft(0)]))
            await gate.begun.wait()
            caller.cancel()

    assert gate.published == []

"""Ends of fixes reach the targets that the order or a rule names, each once and at once."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator

import pytest

from services.kernel.bus.interface import FIX_EVENTS, Message
from services.kernel.secrets import SecretBox
from services.notifier.api import NewTarget, Occasion, Subscription, TargetKind
from services.notifier.settings import NotifierSettings
from services.notifier.wiring import server
from tests.builders.ground import a_ground, end
from tests.builders.notifier import NotifierBench, fix_event, notifier_bench, serve_site


@pytest.fixture
async def bench(database: str) -> AsyncIterator[NotifierBench]:
    async with notifier_bench(database) as opened:
        yield opened


async def test_whoever_is_named_is_told_once_however_often_the_event_comes(bench: NotifierBench) -> None:
    async with serve_site() as site:
        ordered, ruled = await bench.target(site.url, "ordered"), await bench.target(site.url, "ruled")
        told = fix_event(
            ordered.target_id, by_rule=(ruled.target_id, ordered.target_id, "tgt-gone"), event_id=str(uuid.uuid4())
        )
        await bench.fixes.handle([told, told])
        await bench.fixes.handle([told])
        assert await bench.deliver_due() == 2
        assert await bench.deliver_due() == 0
        bodies = [json.loads(hit.body) for hit in site.hits]
    assert {body["event"] for body in bodies} == {"fix.finished"}
    assert {hit.headers["Drydock-Event"] for hit in site.hits} == {"fix.finished"}
    assert len({body["delivery_id"] for body in bodies}) == 2
    assert {row["event_type"] for row in await bench.deliveries()} == {"fix.finished"}


async def test_the_end_of_a_fix_waits_for_no_window(bench: NotifierBench) -> None:
    async with serve_site() as site:
        target = await bench.target(site.url)
        await bench.api.set_subscription(
            target.target_id, Subscription(occasions=frozenset({Occasion.COMPLETED}), window_seconds=3600)
        )
        await bench.fixes.handle([fix_event(by_rule=(target.target_id,))])
        assert await bench.deliver_due() == 1


async def test_whoever_called_it_off_is_not_told_and_who_wants_no_failures_neither(bench: NotifierBench) -> None:
    target = await bench.target("http://127.0.0.1:9/")
    await bench.api.set_subscription(target.target_id, Subscription(occasions=frozenset({Occasion.COMPLETED})))
    await bench.fixes.handle(
        [
            fix_event(target.target_id, state="FAILED", reason="CANCELLED"),
            fix_event(by_rule=(target.target_id,), state="FAILED", reason="DISK_FULL"),
        ]
    )
    assert await bench.deliveries() == []
    passed = bench.registry.get_sample_value("drydock_notifier_decisions_total", {"decision": "PASSED"})
    assert passed == 1


async def test_over_the_bus_it_reaches_its_target(database: str) -> None:
    async with (
        a_ground(database, ("notifier", "services.notifier")) as ground,
        server(ground, box=SecretBox(b"k" * 32), settings=NotifierSettings()) as api,
        serve_site() as site,
        asyncio.timeout(30),
    ):
        target = await api.create_target(NewTarget(name="chat", kind=TargetKind.HTTP, url=site.url))
        event = fix_event(target.target_id).message
        await ground.bus.publish([Message(topic=FIX_EVENTS, key=event.key, value=event.value)])
        while not site.hits:
            await asyncio.sleep(0.02)
        await end(ground)
    assert json.loads(site.hits[0].body)["fix"]["fixed"] == 6

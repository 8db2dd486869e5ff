"""Deliveries that were given up: they are listed with their reasons, and sent again under their ids."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from services.kernel.errors import ServiceError
from services.notifier.api import Delivery, DeliveryFilter, DeliveryState
from services.notifier.retention import agings
from tests.builders.notifier import NotifierBench, answering, notifier_bench, scan_event, serve_site
from tests.builders.retention import retention_of
from tests.fakes.clock import ManualClock

DEAD = DeliveryFilter(state=DeliveryState.DEAD)


class TickingClock(ManualClock):
    """Moves on a little whenever somebody looks."""

    def now(self) -> datetime:
        self.advance(0.001)
        return super().now()


async def reason(call: object) -> str:
    with pytest.raises(ServiceError) as caught:
        await call  # type: ignore[misc] # a coroutine of any result
    return caught.value.reason


async def dead_one(bench: NotifierBench, target_id: str) -> Delivery:
    """Lets one delivery be refused."""
    await bench.tell(scan_event(target_id))
    await bench.deliver_due()
    (dead, *_) = (await bench.api.list_deliveries(DEAD)).items
    return dead


async def test_a_dead_delivery_is_shown_with_its_body_and_what_the_target_said(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site(answering(410, text="gone")) as site:
        target = await bench.target(site.url)
        dead = await dead_one(bench, target.target_id)
        assert (dead.target, dead.event, dead.reason, dead.attempts) == (
            "chat",
            "scan.completed",
            "TARGET_REFUSES",
            1,
        )
        assert dead.ended_at is not None
        account = await bench.api.get_delivery(dead.delivery_id)
        assert account.delivery == dead
        assert account.body == site.hits[0].body
        (attempt,) = account.attempts
        assert (attempt.outcome, attempt.http_status, attempt.excerpt) == ("GIVE_UP", 410, "gone")


async def test_a_replayed_delivery_has_its_id_and_its_body(database: str) -> None:
    async with notifier_bench(database, clock=TickingClock()) as bench, serve_site(answering(404)) as site:
        target = await bench.target(site.url)
        dead = await dead_one(bench, target.target_id)
        site.answer = answering(204)
        replayed = await bench.api.replay_delivery(dead.delivery_id)
        assert (replayed.state, replayed.replays, replayed.attempts) == (DeliveryState.PENDING, 1, 0)
        assert await bench.deliver_due() == 1
        first, second = site.hits
        assert first.body == second.body
        assert first.headers["Drydock-Delivery"] == second.headers["Drydock-Delivery"] == dead.delivery_id
        account = await bench.api.get_delivery(dead.delivery_id)
        assert account.delivery.state is DeliveryState.DELIVERED
        assert [each.outcome for each in account.attempts] == ["GIVE_UP", "DELIVERED"]


async def test_what_has_arrived_or_is_under_way_is_not_sent_again(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site() as site:
        target = await bench.target(site.url)
        await bench.tell(scan_event(target.target_id))
        [pending] = (await bench.api.list_deliveries()).items
        assert await reason(bench.api.replay_delivery(pending.delivery_id)) == "DELIVERY_NOT_DEAD"
        await bench.deliver_due()
        assert await reason(bench.api.replay_delivery(pending.delivery_id)) == "DELIVERY_NOT_DEAD"
        assert await bench.api.replay_deliveries("chat") == 0
        assert await bench.deliver_due() == 0
        assert len(site.hits) == 1


async def test_two_that_replay_at_once_send_once(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site(answering(404)) as site:
        target = await bench.target(site.url)
        dead = await dead_one(bench, target.target_id)
        site.answer = answering(204)
        calls = [bench.api.replay_delivery(dead.delivery_id) for _ in range(3)]
        calls_of_target = [bench.api.replay_deliveries("chat") for _ in range(3)]
        ends = await asyncio.gather(*calls, *calls_of_target, return_exceptions=True)
        done = [each for each in ends if isinstance(each, Delivery) or each == 1]
        assert len(done) == 1, ends
        await bench.deliver_due()
        assert len(site.hits) == 2


async def test_a_replayed_delivery_is_tried_as_often_and_as_long_as_a_new_one(database: str) -> None:
    clock = ManualClock()
    async with (
        notifier_bench(database, clock=clock, attempts=2, age_seconds=3600) as bench,
        serve_site(answering(503)) as site,
    ):
        target = await bench.target(site.url)
        await bench.tell(scan_event(target.target_id))
        for _ in range(2):
            await bench.deliver_due()
            await bench.later(60)
        [dead] = (await bench.api.list_deliveries(DEAD)).items
        assert dead.reason == "ATTEMPTS_EXHAUSTED"
        clock.advance(2 * 3600)  # older than a delivery may become
        await bench.api.replay_delivery(dead.delivery_id)
        await bench.deliver_due()
        [again] = (await bench.api.list_deliveries()).items
        assert (again.state, again.attempts) == (DeliveryState.PENDING, 1)
        await bench.later(60)
        await bench.deliver_due()
        assert len(site.hits) == 4
        [again] = (await bench.api.list_deliveries(DEAD)).items
        assert (again.reason, again.replays) == ("ATTEMPTS_EXHAUSTED", 1)


async def test_all_dead_deliveries_of_a_target_are_replayed_oldest_first_and_no_others(database: str) -> None:
    clock = ManualClock()
    async with notifier_bench(database, clock=clock) as bench, serve_site(answering(404)) as site:
        chat, board = await bench.target(site.url), await bench.target(site.url, "board")
        for _ in range(3):
            clock.advance(1)
            await bench.tell(scan_event(chat.target_id, board.target_id))
        while await bench.deliver_due():
            pass
        came = [
            each.delivery_id for each in (await bench.api.list_deliveries(DeliveryFilter(target="chat"))).items
        ]
        site.hits.clear()
        site.answer = answering(204)
        assert await bench.api.replay_deliveries("chat") == 3
        while claims := await bench.worker.claim(1):
            await bench.worker.deliver(claims[0])
        assert [hit.headers["Drydock-Delivery"] for hit in site.hits] == came[::-1]
        assert {each.target for each in (await bench.api.list_deliveries(DEAD)).items} == {"board"}


async def test_dead_deliveries_of_a_deleted_target_can_be_read_and_not_replayed(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site(answering(404)) as site:
        target = await bench.target(site.url)
        dead = await dead_one(bench, target.target_id)
        await bench.api.delete_target("chat")
        [known] = (await bench.api.list_deliveries(DeliveryFilter(target=target.target_id))).items
        assert (known.target, known.state) == ("", DeliveryState.DEAD)
        assert await reason(bench.api.replay_delivery(dead.delivery_id)) == "TARGET_NOT_EXIST"
        assert await reason(bench.api.replay_deliveries("chat")) == "TARGET_NOT_EXIST"


async def test_a_worker_that_dies_with_a_replayed_delivery_leaves_it_to_another(database: str) -> None:
    async with notifier_bench(database, clock=TickingClock()) as bench, serve_site(answering(404)) as site:
        target = await bench.target(site.url)
        dead = await dead_one(bench, target.target_id)
        site.answer = answering(204)
        await bench.api.replay_delivery(dead.delivery_id)
        assert len(await bench.another_worker().claim(10)) == 1  # and it dies
        await bench.later(60)
        assert await bench.deliver_due() == 1
        account = await bench.api.get_delivery(dead.delivery_id)
        assert [each.outcome for each in account.attempts] == ["GIVE_UP", "UNKNOWN", "DELIVERED"]


async def test_deliveries_are_listed_newest_first_page_by_page(database: str) -> None:
    clock = ManualClock()
    async with notifier_bench(database, clock=clock) as bench:
        target = await bench.target("http://127.0.0.1:9/")
        began = clock.now()
        for _ in range(5):
            clock.advance(1)
            await bench.tell(scan_event(target.target_id))
        all_of_them = (await bench.api.list_deliveries()).items
        assert [each.created_at for each in all_of_them] == sorted(
            (each.created_at for each in all_of_them), reverse=True
        )
        found: list[Delivery] = []
        page = await bench.api.list_deliveries(page_size=2)
        while True:
            found += page.items
            if not page.next_token:
                break
            page = await bench.api.list_deliveries(page_size=2, page_token=page.next_token)
        assert tuple(found) == all_of_them
        assert (await bench.api.list_deliveries(DEAD)).items == ()
        assert (await bench.api.list_deliveries(DeliveryFilter(until=began))).items == ()
        assert len((await bench.api.list_deliveries(DeliveryFilter(since=clock.now()))).items) == 1


async def test_unknown_ids_and_targets_are_said_to_be_unknown(database: str) -> None:
    async with notifier_bench(database) as bench:
        for wrong in ("", "x", "\0", "00000000-0000-0000-0000-000000000000"):
            assert await reason(bench.api.get_delivery(wrong)) == "DELIVERY_NOT_EXIST"
            assert await reason(bench.api.replay_delivery(wrong)) == "DELIVERY_NOT_EXIST"
        for name in ("none", "\0", "NO"):
            assert await reason(bench.api.list_deliveries(DeliveryFilter(target=name))) == "TARGET_NOT_EXIST"


async def test_a_replayed_delivery_does_not_age_as_an_ended_one(database: str) -> None:
    clock = ManualClock()
    async with notifier_bench(database, clock=clock, receipt_days=2) as bench, serve_site(answering(404)) as site:
        target = await bench.target(site.url)
        dead = await dead_one(bench, target.target_id)
        clock.advance(3 * 86_400)
        await bench.api.replay_delivery(dead.delivery_id)
        await retention_of("notifier", agings(bench.settings), bench.pool, clock).clean(asyncio.Event())
        assert len((await bench.api.list_deliveries()).items) == 1

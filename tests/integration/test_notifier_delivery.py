"""From scan events to receivers: once each, again after failures, never past a newer worker."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from aiohttp import web

from services.kernel.clock import SystemClock
from services.kernel.errors import ServiceError
from services.kernel.wakeup import wait
from services.notifier.channels.interface import Channel, Outcome, Parcel, Verdict
from services.notifier.retention import agings, keep_receipts
from tests.builders.notifier import answering, notifier_bench, parcel_of, record, scan_event, serve_site
from tests.builders.retention import retention_of
from tests.fakes.clock import ManualClock

NOWHERE = "http://127.0.0.1:9/"


async def test_a_target_is_told_what_was_found(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site() as site:
        target = await bench.target(site.url)
        await bench.tell(scan_event(target.target_id))
        assert await bench.deliver_due() == 1
        (hit,) = site.hits
        (row,) = await bench.deliveries()
        assert json.loads(hit.body)["delivery_id"] == str(row["delivery_id"]) == hit.headers["Drydock-Delivery"]
        assert (row["state"], row["attempts"], row["lease_owner"]) == ("DELIVERED", 1, None)
        (receipt,) = await bench.receipts()
        assert (receipt["outcome"], receipt["http_status"], receipt["attempt"]) == ("DELIVERED", 204, 1)
        assert await bench.deliver_due() == 0


async def test_an_event_that_comes_again_makes_no_second_delivery(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site() as site:
        one, two = await bench.target(site.url, "one"), await bench.target(site.url, "two")
        event = scan_event(one.target_id, two.target_id)
        await asyncio.gather(bench.tell(event, event), bench.tell(event))
        await bench.deliver_due()
        await bench.tell(event)
        await bench.deliver_due()
        assert len(site.hits) == len(await bench.deliveries()) == 2


async def test_unknown_targets_are_passed_over_and_the_others_told(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site() as site:
        target = await bench.target(site.url)
        await bench.tell(scan_event("tgt-unknown", target.target_id, "tgt-\0"))
        await bench.deliver_due()
        assert len(site.hits) == 1


async def test_clean_images_and_tasks_under_way_are_not_told(database: str) -> None:
    async with notifier_bench(database) as bench:
        target = await bench.target(NOWHERE)
        await bench.tell(
            scan_event(target.target_id, findings={}),
            scan_event(target.target_id, state="SCANNING"),
            scan_event(target.target_id, state="RETRYING"),
        )
        assert await bench.deliveries() == []


async def test_an_event_that_cannot_be_read_takes_nothing_of_its_batch(database: str) -> None:
    async with notifier_bench(database) as bench:
        target = await bench.target(NOWHERE)
        with pytest.raises(ServiceError):
            await bench.tell(scan_event(target.target_id), record(b"\xff"))
        assert await bench.deliveries() == []


async def test_a_failing_target_is_tried_again_with_the_same_body_and_id(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site(answering(503, text="busy")) as site:
        target = await bench.target(site.url)
        await bench.tell(scan_event(target.target_id))
        await bench.deliver_due()
        (row,) = await bench.deliveries()
        assert (row["state"], row["reason"]) == ("PENDING", "TARGET_ERROR")
        assert await bench.pool.fetchval("SELECT due_at - now() FROM notifier.delivery") <= timedelta(seconds=2)
        await bench.later(2)
        site.answer = answering(200)
        await bench.deliver_due()
        first, second = site.hits
        assert first.body == second.body
        assert first.headers["Drydock-Delivery"] == second.headers["Drydock-Delivery"]
        receipts = [(r["attempt"], r["outcome"], r["http_status"], r["excerpt"]) for r in await bench.receipts()]
        assert receipts == [(1, "TRY_AGAIN", 503, "busy"), (2, "DELIVERED", 200, "")]


async def test_nothing_is_sent_before_the_time_that_the_target_asked_for(database: str) -> None:
    slow_down = answering(429, headers={"Retry-After": "100"})
    async with notifier_bench(database) as bench, serve_site(slow_down) as site:
        target = await bench.target(site.url)
        await bench.tell(scan_event(target.target_id))
        await bench.deliver_due()
        await bench.later(60)
        assert await bench.deliver_due() == 0
        await bench.later(40)
        assert await bench.deliver_due() == 1
        assert len(site.hits) == 2


async def test_a_refusal_kills_the_delivery_at_once(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site(answering(404)) as site:
        target = await bench.target(site.url)
        await bench.tell(scan_event(target.target_id))
        await bench.deliver_due()
        (row,) = await bench.deliveries()
        assert (row["state"], row["reason"]) == ("DEAD", "TARGET_REFUSES")
        assert "404" in row["message"]


async def test_a_redirect_is_not_followed(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site() as other:
        async with serve_site(answering(307, headers={"Location": other.url})) as site:
            target = await bench.target(site.url)
            await bench.tell(scan_event(target.target_id))
            await bench.deliver_due()
        (row,) = await bench.deliveries()
        assert (row["state"], row["reason"]) == ("DEAD", "TARGET_REDIRECTS")
        assert other.hits == []


async def test_a_delivery_dies_after_its_last_attempt(database: str) -> None:
    async with notifier_bench(database, attempts=3) as bench, serve_site(answering(500)) as site:
        target = await bench.target(site.url)
        await bench.tell(scan_event(target.target_id))
        for _ in range(5):
            await bench.deliver_due()
            await bench.later(60)
        (row,) = await bench.deliveries()
        assert len(site.hits) == 3
        assert (row["state"], row["reason"]) == ("DEAD", "ATTEMPTS_EXHAUSTED")


async def test_a_dead_workers_delivery_is_repeated_and_its_attempt_is_on_record(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site() as site:
        target = await bench.target(site.url)
        await bench.tell(scan_event(target.target_id))
        (lost,) = await bench.another_worker().claim(10)
        await bench.channel.send(parcel_of(lost))  # sent, and dead before the receipt
        assert await bench.deliver_due() == 0
        await bench.later(60)
        assert await bench.deliver_due() == 1
        first, second = site.hits
        assert first.headers["Drydock-Delivery"] == second.headers["Drydock-Delivery"]
        receipts = [(r["attempt"], r["outcome"], r["reason"]) for r in await bench.receipts()]
        assert receipts == [(1, "UNKNOWN", "WORKER_DIED"), (2, "DELIVERED", "")]


async def test_a_process_whose_clock_is_wrong_takes_no_living_lease_and_delays_nothing(database: str) -> None:
    right, ahead = ManualClock(), ManualClock()
    ahead.advance(60)
    async with notifier_bench(database, clock=ahead) as bench, serve_site(answering(503)) as site:
        target = await bench.target(site.url)
        await bench.tell(scan_event(target.target_id))
        other = bench.another_worker(clock=right)
        (claim,) = await other.claim(10)
        assert await bench.worker.claim(10) == ()
        await other.deliver(claim)
        await bench.later(2)
        (again,) = await bench.worker.claim(10)
        assert again.attempt == 2


async def test_a_delivery_that_kills_its_workers_ends(database: str) -> None:
    async with notifier_bench(database, attempts=2) as bench, serve_site() as site:
        target = await bench.target(site.url)
        await bench.tell(scan_event(target.target_id))
        for _ in range(2):
            await bench.worker.claim(10)
            await bench.later(60)
        assert await bench.deliver_due() == 1
        (row,) = await bench.deliveries()
        assert (row["state"], row["reason"]) == ("DEAD", "ATTEMPTS_EXHAUSTED")
        assert site.hits == []


async def test_a_worker_whose_lease_passed_on_writes_nothing(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site(answering(404)) as site:
        target = await bench.target(site.url)
        await bench.tell(scan_event(target.target_id))
        slow = bench.another_worker("slow")
        (late,) = await slow.claim(10)
        await bench.later(60)
        (mine,) = await bench.worker.claim(10)
        await slow.deliver(late)
        (row,) = await bench.deliveries()
        assert (row["state"], row["lease_owner"], row["fence"]) == ("PENDING", "worker", 2)
        site.answer = answering(200)
        await bench.worker.deliver(mine)
        (row,) = await bench.deliveries()
        assert row["state"] == "DELIVERED"
        assert [r["outcome"] for r in await bench.receipts()] == ["UNKNOWN", "DELIVERED"]


async def test_a_target_deleted_while_it_is_told_stays_cancelled(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site() as site:
        target = await bench.target(site.url)
        await bench.tell(scan_event(target.target_id))
        (claim,) = await bench.worker.claim(10)
        await bench.api.delete_target("chat")
        await bench.worker.deliver(claim)
        (row,) = await bench.deliveries()
        assert row["state"] == "CANCELLED"
        assert await bench.receipts() == []


async def test_two_workers_never_take_the_same_delivery(database: str) -> None:
    async with notifier_bench(database) as bench:
        targets = [await bench.target(NOWHERE, f"t{n}") for n in range(20)]
        await bench.tell(*(scan_event(*(t.target_id for t in targets)) for _ in range(3)))
        workers = [bench.another_worker(f"w{n}") for n in range(4)]
        claims = [
            claim.delivery_id
            for taken in await asyncio.gather(*(worker.claim(100) for worker in workers))
            for claim in taken
        ]
        assert len(claims) == len(set(claims)) > 0


async def test_a_target_has_few_deliveries_under_way_and_the_rest_wait(database: str) -> None:
    async with notifier_bench(database, concurrent_per_target=2) as bench:
        busy, other = (
            await bench.target(NOWHERE, "a"),
            await bench.target(NOWHERE, "b"),
        )
        await bench.tell(*(scan_event(busy.target_id) for _ in range(5)), scan_event(other.target_id))
        claims = await bench.worker.claim(100)
        assert sorted(claim.target_id for claim in claims) == sorted(
            [busy.target_id, busy.target_id, other.target_id]
        )
        assert await bench.another_worker().claim(100) == ()


async def test_the_target_that_waited_longest_is_served_first(database: str) -> None:
    async with notifier_bench(database, concurrent_per_target=1) as bench, serve_site() as site:
        targets = [await bench.target(site.url, f"t{n}") for n in range(3)]
        await bench.tell(*(scan_event(*(t.target_id for t in targets)) for _ in range(2)))
        order = []
        for _ in range(6):
            (claim,) = await bench.worker.claim(1)
            await bench.worker.deliver(claim)
            order.append(claim.target_id)
        assert len(set(order[:3])) == 3
        assert order[:3] == order[3:]


async def test_a_slow_target_delays_no_other(database: str) -> None:
    release, stopping = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response(status=204)

    async with notifier_bench(database, concurrent_deliveries=4) as bench:
        async with serve_site(slow) as tar, serve_site() as quick, asyncio.TaskGroup() as tasks:
            held, fast = await bench.target(tar.url, "held"), await bench.target(quick.url, "fast")
            await bench.tell(*(scan_event(held.target_id) for _ in range(10)))
            await bench.tell(*(scan_event(fast.target_id) for _ in range(10)))
            tasks.create_task(bench.worker.run(stopping))
            async with asyncio.timeout(20):
                while len(quick.hits) < 10:
                    await wait(stopping, 0.02)
            assert len(tar.hits) == 2
            stopping.set()
            release.set()
        states = [row["state"] for row in await bench.deliveries()]
        assert states.count("DELIVERED") == 12


async def test_many_slow_targets_delay_none_that_answers(database: str) -> None:
    release, stopping = asyncio.Event(), asyncio.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response(status=204)

    async with (
        notifier_bench(database, concurrent_deliveries=8, attempt_seconds=60) as bench,
        serve_site(silent) as tar,
        serve_site() as quick,
        asyncio.TaskGroup() as tasks,
    ):
        held = [await bench.target(tar.url, f"held{n}") for n in range(12)]
        fast = await bench.target(quick.url, "fast")
        await bench.pool.execute("UPDATE notifier.target SET slow = true WHERE name LIKE 'held%'")
        for _ in range(3):
            await bench.tell(*(scan_event(target.target_id) for target in held))
        tasks.create_task(bench.worker.run(stopping))
        async with asyncio.timeout(60):
            while len(tar.hits) < 4:
                await wait(stopping, 0.02)
            for _ in range(10):
                await bench.tell(scan_event(fast.target_id))
            while len(quick.hits) < 10:
                await wait(stopping, 0.02)
        assert len(tar.hits) == 4
        stopping.set()
        release.set()


async def test_a_target_that_answers_again_is_slow_no_more(database: str) -> None:
    async with notifier_bench(database, clock=SystemClock(), slow_seconds=0.2, attempt_seconds=0.4) as bench:

        async def late(_: web.Request) -> web.StreamResponse:
            await wait(asyncio.Event(), 0.3)
            return web.Response(status=204)

        async with serve_site(late) as site:
            target = await bench.target(site.url)
            for answer, slow in ((late, True), (answering(204), False)):
                site.answer = answer
                await bench.tell(scan_event(target.target_id))
                await bench.deliver_due()
                assert await bench.pool.fetchval("SELECT slow FROM notifier.target") is slow


class Exploding(Channel):
    """A channel with a fault of its own."""

    def __init__(self) -> None:
        self.tried = asyncio.Event()

    async def send(self, parcel: Parcel) -> Outcome:
        if not self.tried.is_set():
            self.tried.set()
            raise RuntimeError(parcel.delivery_id)
        return Outcome(verdict=Verdict.DELIVERED)


async def test_a_fault_in_one_delivery_does_not_end_the_worker(database: str) -> None:
    stopping = asyncio.Event()
    async with notifier_bench(database) as bench, asyncio.TaskGroup() as tasks:
        one, two = await bench.target(NOWHERE, "a"), await bench.target(NOWHERE, "b")
        await bench.tell(scan_event(one.target_id, two.target_id))
        tasks.create_task(bench.another_worker(channel=Exploding()).run(stopping))
        async with asyncio.timeout(20):
            while "DELIVERED" not in {row["state"] for row in await bench.deliveries()}:
                await wait(stopping, 0.02)
        stopping.set()


async def test_old_deliveries_and_receipts_go_after_their_days(database: str) -> None:
    clock = ManualClock()
    async with notifier_bench(database, clock=clock, receipt_days=2) as bench, serve_site() as site:
        target = await bench.target(site.url)
        retention = retention_of("notifier", agings(bench.settings), bench.pool, clock)
        await keep_receipts(bench.pool, clock, bench.settings, asyncio.Event())
        await bench.tell(scan_event(target.target_id))
        await bench.deliver_due()
        assert await bench.pool.fetchval("SELECT count(*) FROM ONLY notifier.receipt_default") == 0
        clock.advance(4 * 86_400)
        await bench.tell(scan_event(target.target_id))
        await keep_receipts(bench.pool, clock, bench.settings, asyncio.Event())
        assert await retention.clean(asyncio.Event()) == 1
        assert [row["state"] for row in await bench.deliveries()] == ["PENDING"]
        assert await bench.receipts() == []

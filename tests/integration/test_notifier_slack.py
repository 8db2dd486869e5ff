"""Webhooks of Slack's kind: text, merged when many wait, one in a second, judged by status."""

from __future__ import annotations

import asyncio
import json

import pytest

from services.kernel.errors import ServiceError
from services.notifier.api import TargetKind
from tests.builders.notifier import NotifierBench, answering, notifier_bench, scan_event, serve_site


async def call(bench: NotifierBench) -> int:
    worker = bench.robot_worker()
    calls = await worker.claim(10)
    await asyncio.gather(*(worker.deliver(one) for one in calls))
    return len(calls)


async def test_a_channel_reads_what_happened(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site(answering(200, text="ok")) as site:
        target = await bench.target(site.url, kind=TargetKind.SLACK)
        await bench.tell(scan_event(target.target_id))
        assert await call(bench) == 1
        (hit,) = site.hits
        assert json.loads(hit.body)["text"].startswith("Drydock: *team/app:1.0*: 2 high, 1 low\n")
        (row,) = await bench.deliveries()
        assert row["state"] == "DELIVERED"


async def test_what_waits_is_one_message_and_calls_keep_their_distance(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site(answering(200, text="ok")) as site:
        target = await bench.target(site.url, kind=TargetKind.SLACK)
        for _ in range(6):
            await bench.tell(*(scan_event(target.target_id) for _ in range(30)))
            await call(bench)
        assert len(site.hits) == 3
        for _ in range(20):
            await bench.later(1.2)
            await call(bench)
        rows = await bench.deliveries()
        assert {row["state"] for row in rows} == {"DELIVERED"}
        told = "".join(json.loads(hit.body)["text"] for hit in site.hits)
        assert all(told.count(str(row["delivery_id"])) == 1 for row in rows)
        assert all(len(hit.body) <= 12_000 for hit in site.hits)


@pytest.mark.parametrize(
    ("status", "text", "state"),
    [
        (400, "invalid_payload", "DEAD"),
        (403, "action_prohibited", "DEAD"),
        (404, "no_service", "DEAD"),
        (410, "channel_is_archived", "DEAD"),
        (429, "slow down", "PENDING"),
        (500, "rollup_error", "PENDING"),
    ],
)
async def test_the_status_decides(database: str, status: int, text: str, state: str) -> None:
    async with notifier_bench(database) as bench, serve_site(answering(status, text=text)) as site:
        target = await bench.target(site.url, kind=TargetKind.SLACK)
        await bench.tell(scan_event(target.target_id))
        await call(bench)
        (row,) = await bench.deliveries()
        assert row["state"] == state
        (receipt,) = await bench.receipts()
        assert (receipt["http_status"], receipt["excerpt"]) == (status, text)


async def test_nobody_is_called_before_the_webhook_wants_to_be(database: str) -> None:
    busy = answering(429, headers={"Retry-After": "90"})
    async with notifier_bench(database) as bench, serve_site(busy) as site:
        target = await bench.target(site.url, kind=TargetKind.SLACK)
        await bench.tell(scan_event(target.target_id))
        await call(bench)
        await bench.tell(scan_event(target.target_id))
        await bench.later(85)
        assert await call(bench) == 0
        await bench.later(10)
        assert await call(bench) == 1
        assert len(site.hits) == 2


async def test_a_text_that_is_refused_takes_no_other_with_it(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site(answering(400, text="invalid_payload")) as site:
        target = await bench.target(site.url, kind=TargetKind.SLACK)
        await bench.tell(*(scan_event(target.target_id) for _ in range(3)))
        await call(bench)
        site.answer = answering(200)
        for _ in range(5):
            await bench.later(10)
            await call(bench)
        assert {row["state"] for row in await bench.deliveries()} == {"DELIVERED"}
        assert len(site.hits) == 4


async def test_markup_in_somebodys_text_is_no_markup(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site() as site:
        target = await bench.target(site.url, kind=TargetKind.SLACK)
        hostile = "<!channel> <https://evil.example|pay> *now* @here"
        await bench.tell(scan_event(target.target_id, state="FAILED", reason="BAD", message=hostile))
        await call(bench)
        text = json.loads(site.hits[0].body)["text"]
        for piece in ("<!", "<https", "https://evil", "*now*", "@here"):
            assert piece not in text


async def test_a_webhook_has_no_secret_but_its_url(database: str) -> None:
    async with notifier_bench(database) as bench:
        with pytest.raises(ServiceError) as caught:
            await bench.target("https://hooks.example/T/B/x", kind=TargetKind.SLACK, secret="s")
        assert caught.value.reason == "INVALID_SECRET"

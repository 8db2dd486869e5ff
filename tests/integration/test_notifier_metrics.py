"""What the notifier counts, and the trace that leads from the push to the receipt."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import structlog
from prometheus_client import CollectorRegistry

from services.kernel import trace
from services.kernel.bus.interface import Record
from services.notifier.api import Occasion, Subscription
from services.notifier.backlog import Backlog
from tests.builders.notifier import (
    MOMENT,
    NotifierBench,
    answering,
    notifier_bench,
    record,
    scan_event,
    serve_site,
)
from tests.fakes.clock import ManualClock

PUSH = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def traced(event: Record) -> Record:
    """The event as it comes off the bus when its push began a trace."""
    return record(event.message.value, headers={trace.HEADER: PUSH})


def decisions(bench: NotifierBench) -> dict[str, float]:
    """How often what was decided."""
    words = ("TOLD", "HELD", "ASKED", "PASSED", "REPEATED")
    counted = {
        word: bench.registry.get_sample_value("drydock_notifier_decisions_total", {"decision": word}) or 0.0
        for word in words
    }
    return {word: count for word, count in counted.items() if count}


async def test_one_trace_leads_from_the_push_to_the_receiver_and_the_receipt(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site() as site:
        target = await bench.target(site.url)
        await bench.tell(traced(scan_event(target.target_id)), scan_event(target.target_id))
        with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
            await bench.deliver_due()
        sent = [hit.headers.get("traceparent", "") for hit in site.hits]
        [of_push] = [each for each in sent if each]
        assert trace.trace_id_of(of_push) == trace.trace_id_of(PUSH)
        assert of_push != PUSH  # a span of its own
        told = (await bench.api.list_deliveries()).items
        assert sorted(each.trace_id for each in told) == ["", trace.trace_id_of(PUSH)]
        finished = [each for each in logs if each["event"] == "delivery.finished"]
        assert {each.get("trace_id") for each in finished} == {None, trace.trace_id_of(PUSH)}


async def test_a_trace_outlives_a_question_to_the_scanner(database: str) -> None:
    async with notifier_bench(database) as bench:
        target = await bench.target("http://127.0.0.1:9/")
        await bench.api.set_subscription(
            "chat", Subscription(occasions=frozenset({Occasion.FINDINGS}), new_only=True)
        )
        await bench.tell(traced(scan_event(target.target_id)))
        assert await bench.pool.fetchval("SELECT traceparent FROM notifier.inquiry") == PUSH


async def test_what_becomes_of_events_is_counted(database: str) -> None:
    async with notifier_bench(database, clock=ManualClock()) as bench:
        targets = [await bench.target("http://127.0.0.1:9/", name) for name in ("a", "b", "c", "d")]
        await bench.api.set_subscription("b", Subscription(window_seconds=3600))
        await bench.api.set_subscription("c", Subscription(namespaces=("other",)))
        await bench.api.set_subscription(
            "d", Subscription(occasions=frozenset({Occasion.FINDINGS}), new_only=True)
        )
        event = scan_event(*(each.target_id for each in targets))
        await bench.tell(event)
        assert decisions(bench) == {"TOLD": 1, "HELD": 1, "PASSED": 1, "ASKED": 1}
        await bench.tell(event)
        assert decisions(bench) == {"TOLD": 1, "HELD": 1, "PASSED": 2, "ASKED": 1, "REPEATED": 3}


async def test_how_late_events_are_heard_of_is_measured(database: str) -> None:
    clock = ManualClock()
    async with notifier_bench(database, clock=clock) as bench:
        target = await bench.target("http://127.0.0.1:9/")
        clock.advance((MOMENT - clock.now() + timedelta(seconds=3)).total_seconds())
        await bench.tell(scan_event(target.target_id))
        assert bench.registry.get_sample_value("drydock_notifier_event_lag_seconds_sum") == pytest.approx(3.0)


async def test_what_waits_and_what_is_dead_is_told(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site(answering(404)) as site:
        dead, slow = await bench.target(site.url, "dead"), await bench.target("http://127.0.0.1:9/", "slow")
        held = await bench.target("http://127.0.0.1:9/", "held")
        await bench.api.set_subscription("held", Subscription(window_seconds=3600))
        await bench.tell(scan_event(dead.target_id))
        await bench.deliver_due()
        await bench.tell(scan_event(slow.target_id), scan_event(slow.target_id), scan_event(held.target_id))
        await bench.later(30)
        registry = CollectorRegistry()
        await Backlog(bench.pool, registry).look(asyncio.Event())
        counts = {
            state: registry.get_sample_value("drydock_notifier_deliveries", {"state": state})
            for state in ("PENDING", "HELD", "DEAD")
        }
        assert counts == {"PENDING": 2, "HELD": 1, "DEAD": 1}
        overdue = registry.get_sample_value("drydock_notifier_overdue_seconds")
        assert overdue is not None
        assert 30 <= overdue < 300
        assert registry.get_sample_value("drydock_notifier_open_inquiries") == 0

"""Who is told of what: by the scope of targets, by what is new, and through restarts in the middle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from drydock.events.v1.scan_event_pb2 import Reevaluation
from services.kernel.errors import Kind, ServiceError
from services.kernel.model.finding import FindingKind
from services.kernel.model.severity import Severity
from services.kernel.wakeup import Wakeups
from services.notifier.api import Occasion, Subscription
from services.notifier.desk import Desk
from services.notifier.inquiry import Inquirer
from services.notifier.metrics import InquiryMetrics
from services.notifier.retention import agings
from services.notifier.settings import NotifierSettings
from services.notifier.subscription_store import SubscriptionStore
from services.scanner.api import Comparison
from tests.builders.notifier import NotifierBench, notifier_bench, scan_event
from tests.builders.reports import OPENSSL, vulnerability
from tests.builders.retention import retention_of
from tests.fakes.clock import ManualClock
from tests.fakes.scanner import FakeScanner

NOWHERE = "http://127.0.0.1:9/"
NEW = Subscription(occasions=frozenset({Occasion.FINDINGS}), new_only=True)
SYSTEM = FindingKind.SYSTEM_VULNERABILITY


class KnowingScanner(FakeScanner):
    """Answers what a test wants, and counts the questions."""

    def __init__(self, answer: Callable[[str], Comparison]) -> None:
        super().__init__()
        self.answer = answer
        self.compared: list[str] = []

    async def compare(self, task_id: str) -> Comparison:
        self.compared.append(task_id)
        return self.answer(task_id)


def knows(new: int, doubt: str = "") -> Callable[[str], Comparison]:
    def answer(task_id: str) -> Comparison:
        return Comparison(
            task_id=task_id,
            earlier_task_id="the-one-before",
            doubt=doubt,
            found={SYSTEM: {Severity.HIGH: 2}},
            new={SYSTEM: {Severity.HIGH: new}} if new else {},
            examples=(vulnerability(OPENSSL, "CVE-1"),) * new,
        )

    return answer


def fails(kind: Kind, reason: str) -> Callable[[str], Comparison]:
    def answer(_: str) -> Comparison:
        raise ServiceError(kind, reason, "It cannot be said.")

    return answer


def inquirer_of(bench: NotifierBench, scanner: FakeScanner, **settings: float) -> Inquirer:
    store = SubscriptionStore()
    return Inquirer(
        pool=bench.pool,
        store=store,
        desk=Desk(bench.store, store, bench.clock),
        scanner=scanner,
        wakeups=Wakeups(bench.url),
        clock=bench.clock,
        settings=NotifierSettings.model_validate(settings),
        metrics=InquiryMetrics(CollectorRegistry()),
    )


@asynccontextmanager
async def told_of_new(database: str) -> AsyncIterator[tuple[NotifierBench, str]]:
    """A notifier with a target that wants new findings only."""
    async with notifier_bench(database) as bench:
        target = await bench.target(NOWHERE)
        await bench.api.set_subscription(target.name, NEW)
        yield bench, target.target_id


async def bodies(bench: NotifierBench) -> list[dict[str, Any]]:
    return [json.loads(row["body"]) for row in await bench.deliveries()]


async def test_of_newer_advisories_targets_hear_what_they_found_and_nobody_of_the_first_load(
    database: str,
) -> None:
    async with notifier_bench(database) as bench:
        all_, high = await bench.target(NOWHERE, "all"), await bench.target(NOWHERE, "high")
        await bench.api.set_subscription("high", Subscription(min_severity=Severity.HIGH))
        both = (all_.target_id, high.target_id)
        found = {"HIGH": 2, "LOW": 1}
        first = Reevaluation(previous_version="sample", new_findings={"HIGH": 2}, first=True)
        later = Reevaluation(previous_version="a1", new_findings={"LOW": 1})
        await bench.tell(scan_event(*both, findings={"HIGH": 2}, reevaluation=first))
        assert await bench.deliveries() == []
        await bench.tell(scan_event(*both, findings=found, reevaluation=later))
        (row,) = await bench.deliveries()
        body = json.loads(row["body"])
        assert (row["target_id"], body["occasions"]) == (all_.target_id, ["FINDINGS"])
        assert body["reevaluation"]["new"]["total"] == body["reevaluation"]["new"]["LOW"] == 1
        assert body["findings"]["total"] == 3


async def test_each_target_hears_of_what_is_in_its_scope(database: str) -> None:
    async with notifier_bench(database) as bench:
        near, far = await bench.target(NOWHERE, "near"), await bench.target(NOWHERE, "far")
        await bench.api.set_subscription("near", Subscription(namespaces=("team",), tag_pattern="1[.].*"))
        await bench.api.set_subscription("far", Subscription(namespaces=("elsewhere",)))
        await bench.tell(scan_event(near.target_id, far.target_id))
        (row,) = await bench.deliveries()
        assert row["target_id"] == near.target_id
        assert json.loads(row["body"])["occasions"] == ["FINDINGS"]


async def test_a_subscription_is_kept_until_it_is_replaced_and_goes_with_its_target(database: str) -> None:
    async with notifier_bench(database) as bench:
        await bench.target(NOWHERE)
        assert await bench.api.get_subscription("chat") == Subscription()
        wanted = Subscription(
            occasions=frozenset(Occasion),
            min_severity=Severity.HIGH,
            new_only=True,
            instances=("cri-1",),
            namespaces=("team",),
            repositories=("team/app",),
            tag_pattern="v.*",
            window_seconds=600,
        )
        await bench.api.set_subscription("chat", NEW)
        assert await bench.api.set_subscription("chat", wanted) == wanted
        assert await bench.api.get_subscription("chat") == wanted
        await bench.api.delete_target("chat")
        for call in (bench.api.get_subscription("chat"), bench.api.set_subscription("chat", wanted)):
            with pytest.raises(ServiceError) as caught:
                await call
            assert caught.value.reason == "TARGET_NOT_EXIST"
        assert await bench.pool.fetchval("SELECT count(*) FROM notifier.subscription") == 0


async def test_who_wants_new_findings_only_is_told_what_is_new(database: str) -> None:
    async with told_of_new(database) as (bench, target_id):
        await bench.tell(scan_event(target_id))
        assert await bench.deliveries() == []
        assert await inquirer_of(bench, KnowingScanner(knows(1))).ask_due() == 1
        [body] = await bodies(bench)
        assert body["occasions"] == ["FINDINGS"]
        compared = body["comparison"]
        assert (compared["earlier_task_id"], compared["doubt"]) == ("the-one-before", "")
        assert (compared["new"]["HIGH"], compared["new"]["total"]) == (1, 1)
        assert compared["new_by_kind"] == {"SYSTEM_VULNERABILITY": 1}
        assert compared["examples"] == [
            {
                "kind": "APPLICATION_VULNERABILITY",
                "id": "CVE-1",
                "severity": "HIGH",
                "package": OPENSSL.name,
                "version": OPENSSL.version,
                "fixed_version": "9",
                "path": OPENSSL.path,
            }
        ]


async def test_who_wants_new_findings_only_is_not_told_when_nothing_is_new(database: str) -> None:
    async with told_of_new(database) as (bench, target_id):
        event = scan_event(target_id)
        await bench.tell(event)
        scanner = KnowingScanner(knows(0))
        await inquirer_of(bench, scanner).ask_due()
        await bench.tell(event)  # the bus brings it again
        assert await inquirer_of(bench, scanner).ask_due() == 0
        assert await bench.deliveries() == []
        assert len(scanner.compared) == 1


async def test_others_are_told_at_once_while_the_scanner_is_asked(database: str) -> None:
    async with told_of_new(database) as (bench, target_id):
        other = await bench.target(NOWHERE, "other")
        await bench.tell(scan_event(target_id, other.target_id))
        assert [row["target_id"] for row in await bench.deliveries()] == [other.target_id]
        await inquirer_of(bench, KnowingScanner(knows(1))).ask_due()
        assert {row["target_id"] for row in await bench.deliveries()} == {target_id, other.target_id}


async def test_while_the_scanner_is_away_the_question_waits(database: str) -> None:
    async with told_of_new(database) as (bench, target_id):
        await bench.tell(scan_event(target_id))
        scanner = KnowingScanner(fails(Kind.UNAVAILABLE, "PEER_UNAVAILABLE"))
        inquirer = inquirer_of(bench, scanner)
        assert await inquirer.ask_due() == 1
        assert await inquirer.ask_due() == 0  # not at once again
        assert await bench.deliveries() == []
        scanner.answer = knows(1)
        await bench.later(60)
        assert await inquirer.ask_due() == 1
        assert len(await bench.deliveries()) == 1


async def test_after_a_while_the_target_is_told_that_nobody_could_compare(database: str) -> None:
    async with told_of_new(database) as (bench, target_id):
        await bench.tell(scan_event(target_id))
        scanner = KnowingScanner(fails(Kind.UNAVAILABLE, "PEER_UNAVAILABLE"))
        await bench.later(601)
        await inquirer_of(bench, scanner, inquiry_patience_seconds=600).ask_due()
        [body] = await bodies(bench)
        assert body["comparison"]["doubt"] == "PEER_UNAVAILABLE"


async def test_what_can_never_be_compared_is_told_at_once(database: str) -> None:
    async with told_of_new(database) as (bench, target_id):
        await bench.tell(scan_event(target_id))
        await inquirer_of(bench, KnowingScanner(fails(Kind.NOT_FOUND, "REPORT_NOT_EXIST"))).ask_due()
        [body] = await bodies(bench)
        assert body["comparison"]["doubt"] == "REPORT_NOT_EXIST"


async def test_a_process_that_dies_while_it_asks_leaves_the_question_to_another_one(database: str) -> None:
    async with told_of_new(database) as (bench, target_id):
        await bench.tell(scan_event(target_id))
        begun = asyncio.Event()

        class DyingScanner(FakeScanner):
            async def compare(self, task_id: str) -> Comparison:
                begun.set()
                await asyncio.Event().wait()
                raise AssertionError

        dying = asyncio.create_task(inquirer_of(bench, DyingScanner()).ask_due())
        await begun.wait()
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        healthy = inquirer_of(bench, KnowingScanner(knows(1)))
        assert await healthy.ask_due() == 0  # the lease of the dead one lasts
        await bench.later(60)
        assert await healthy.ask_due() == 1
        assert len(await bench.deliveries()) == 1


async def test_two_that_ask_at_once_tell_once(database: str) -> None:
    async with told_of_new(database) as (bench, target_id):
        for _ in range(20):
            await bench.tell(scan_event(target_id))
        scanner = KnowingScanner(knows(1))
        inquirers = [inquirer_of(bench, scanner) for _ in range(3)]
        async with asyncio.timeout(30):
            while any(await asyncio.gather(*(each.ask_due() for each in inquirers))):
                pass
        rows = await bench.deliveries()
        assert len(rows) == len({row["event_id"] for row in rows}) == len(scanner.compared) == 20


async def test_answered_questions_are_forgotten_when_no_bus_can_bring_their_events(database: str) -> None:
    clock = ManualClock()
    async with notifier_bench(database, clock=clock, receipt_days=2) as bench:
        target = await bench.target(NOWHERE)
        await bench.api.set_subscription("chat", NEW)
        await bench.tell(scan_event(target.target_id))
        await inquirer_of(bench, KnowingScanner(knows(0))).ask_due()
        await bench.tell(scan_event(target.target_id))  # nobody has answered this one
        assert await bench.pool.fetchval("SELECT event FROM notifier.inquiry WHERE answer = 'ANSWERED'") == b""
        clock.advance(3 * 86_400)
        assert (
            await retention_of("notifier", agings(bench.settings), bench.pool, clock).clean(asyncio.Event()) == 1
        )
        assert await bench.pool.fetchval("SELECT count(*) FROM notifier.inquiry WHERE ended_at IS NULL") == 1

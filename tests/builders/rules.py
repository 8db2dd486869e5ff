"""Instances, rules and image events for tests."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from drydock.events.v1 import image_event_pb2
from services.gateway.webhooks.envelope import open_envelope, read_event
from services.gateway.webhooks.notice import Notice
from services.kernel.bus.interface import IMAGE_EVENTS, Message, Record
from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.ids import RandomIds
from services.kernel.model.digest import digest_of
from services.kernel.outbox import Outbox
from services.kernel.secrets import SecretBox
from services.rules.access import Passwords
from services.rules.api import NewInstance, NewScanRule, ScanRule, ScanType, Scope, Trigger
from services.rules.application import Rules
from services.rules.consumer import ImageEventConsumer
from services.rules.engines.lifecycle import Look
from services.rules.events import ScanRequest
from services.rules.matching import IndexCache
from services.rules.metrics import Fate, RulesMetrics
from services.rules.store import RulesStore
from services.rules.sync.store import SyncStore
from services.rules.sync.switch import SyncSwitch
from services.rules.targets import TargetCheck
from tests.builders.engines import some_engines
from tests.builders.requests import from_message
from tests.builders.runs_application import a_runs
from tests.databases import migrated_pool
from tests.fakes.clock import ManualClock
from tests.fakes.look import FakeLook
from tests.fakes.notifier import FakeNotifier

MOMENT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FIXTURES = Path(__file__).parents[1] / "fixtures" / "events"
BOX = SecretBox(b"k" * 32)
_numbers = itertools.count(1)


def new_instance(name: str = "prod", **fields: object) -> NewInstance:
    return dataclasses.replace(NewInstance(name=name, address="registry.example:5000"), **fields)  # type: ignore[arg-type] # the fields of NewInstance


def new_rule(name: str = "releases", **fields: object) -> NewScanRule:
    plain = NewScanRule(name=name, scope=Scope.INSTANCE, tag_pattern=".*")
    return dataclasses.replace(plain, **fields)  # type: ignore[arg-type] # the fields of NewScanRule


def saved_rule(
    rule_id: str = "crscnr-1",
    *,
    scope: Scope = Scope.INSTANCE,
    namespaces: tuple[str, ...] = (),
    repo_names: tuple[str, ...] = (),
    tag_pattern: str = ".*",
    trigger: Trigger = Trigger.AUTO,
) -> ScanRule:
    return ScanRule(
        rule_id=rule_id,
        instance_id="cri-1",
        name=rule_id,
        scope=scope,
        namespaces=namespaces,
        repo_names=repo_names,
        tag_pattern=tag_pattern,
        trigger=trigger,
        scan_type=ScanType.VUL,
        target_ids=(),
        created_at=MOMENT,
        updated_at=MOMENT,
    )


def image_event(
    instance_id: str,
    *,
    event_id: str = "",
    action: str = "PUSH",
    namespace: str = "team",
    repository: str = "app",
    tag: str = "1.0",
    digest: str = "",
) -> Record:
    event = image_event_pb2.ImageEvent(
        event_id=event_id or str(uuid.uuid4()),
        instance_id=instance_id,
        action=image_event_pb2.ImageEvent.Action.Value(f"ACTION_{action}"),
        namespace=namespace,
        repository=repository,
        tag=tag,
        digest=digest or digest_of(tag.encode()),
        revision=next(_numbers),
    )
    return record(event.SerializeToString())


def deletion_of_a_tag(instance_id: str) -> Record:
    """The event of a registry that was told to delete a tag: the digest is not in it."""
    [raw] = open_envelope((FIXTURES / "registry_delete_event.json").read_bytes())
    notice = read_event(instance_id, raw)
    assert isinstance(notice, Notice)
    event = image_event_pb2.ImageEvent(
        event_id=notice.event_id,
        instance_id=instance_id,
        action=image_event_pb2.ImageEvent.ACTION_DELETE,
        namespace=notice.repository.namespace,
        repository=notice.repository.name,
        tag=notice.tag,
        digest=notice.digest,
        revision=next(_numbers),
    )
    return record(event.SerializeToString())


def record(value: bytes) -> Record:
    message = Message(topic=IMAGE_EVENTS, key=b"k", value=value)
    return Record(message=message, partition=0, position=str(next(_numbers)))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RulesBench:
    """Rules on a database, without a bus: requests are read from the outbox."""

    api: Rules
    consumer: ImageEventConsumer
    store: RulesStore
    pool: Pool
    registry: CollectorRegistry
    notifier: FakeNotifier

    async def waits_for_a_lock(self) -> None:
        """Returns when somebody waits for another's transaction."""
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        while not await self.pool.fetchval(query):
            await asyncio.sleep(0.01)

    async def requests(self) -> list[ScanRequest]:
        """Returns what is waiting in the outbox, in order."""
        rows = await self.pool.fetch("SELECT topic, key, value FROM rules.outbox ORDER BY id")
        return [from_message(Message(topic=row["topic"], key=row["key"], value=row["value"])) for row in rows]

    def counted(self, fate: Fate) -> float:
        """Returns how many events had this fate."""
        return self.registry.get_sample_value("drydock_rules_image_events_total", {"fate": fate.value}) or 0.0

    async def handle(self, records: Iterable[Record]) -> None:
        """Hands one batch to the consumer."""
        async with asyncio.timeout(20):
            await self.consumer.handle(list(records))


@asynccontextmanager
async def rules_bench(
    url: str, *, max_rules: int = 20_000, clock: Clock | None = None, registry_look: Look | None = None
) -> AsyncIterator[RulesBench]:
    """Builds rules on a fresh database."""
    async with migrated_pool(url, ("rules", "services.rules")) as pool:
        store, ids, registry = RulesStore(), RandomIds(), CollectorRegistry()
        time = clock or ManualClock()
        notifier = FakeNotifier("1", "a", "b", "c")
        api = Rules(
            pool=pool,
            store=store,
            targets=TargetCheck(notifier, seconds=0.2),
            passwords=Passwords(BOX),
            engines=some_engines(pool, time, box=BOX, look=registry_look or FakeLook()),
            runs=a_runs(pool, time, ids),
            clock=time,
            ids=ids,
            max_rules_per_instance=max_rules,
            outbox=Outbox("rules"),
            sync=SyncSwitch(pool, SyncStore()),
        )
        consumer = ImageEventConsumer(
            pool=pool,
            store=store,
            outbox=Outbox("rules"),
            indexes=IndexCache(max_rules=100_000),
            clock=time,
            metrics=RulesMetrics(registry),
        )
        yield RulesBench(api=api, consumer=consumer, store=store, pool=pool, registry=registry, notifier=notifier)

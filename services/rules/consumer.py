"""Image events in, scan requests out: one transaction for a batch, each event once."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence

import structlog

from services.kernel.bus.interface import Record
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.outbox import Outbox
from services.rules import repositories
from services.rules.api import Edition, Repository, ScanRule
from services.rules.convert_events import from_image_event, to_message
from services.rules.events import ScanRequest, TagPushed
from services.rules.matching import IndexCache, RuleIndex
from services.rules.metrics import Fate, RulesMetrics
from services.rules.store import RulesStore, ScanSettings

log = structlog.get_logger()


class ImageEventConsumer:
    """Handles batches of `drydock.image.events.v1`."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: RulesStore,
        outbox: Outbox,
        indexes: IndexCache,
        clock: Clock,
        metrics: RulesMetrics,
    ) -> None:
        self._pool = pool
        self._store = store
        self._outbox = outbox
        self._indexes = indexes
        self._clock = clock
        self._metrics = metrics

    async def handle(self, records: Sequence[Record]) -> None:
        """Publishes one request for every pushed tag that a rule matches. Idempotent by event id.

        Pulls, deletions and lists ask for no scan.

        Raises:
            ServiceError: BAD_EVENT or INVALID_REFERENCE when a record cannot be read.
        """
        events = [from_image_event(record.message.value, record.traceparent) for record in records]
        pushes = [event for event in events if event]
        fates = Counter({Fate.NO_PUSH: len(events) - len(pushes)})
        if pushes:
            async with self._pool.acquire() as conn, conn.transaction():
                await self._take(conn, pushes, fates)
        # Only now: what is rolled back was not done.
        for fate, count in fates.items():
            self._metrics.event(fate, count)

    async def _take(self, conn: Connection, pushes: Sequence[TagPushed], fates: Counter[Fate]) -> None:
        now = self._clock.now()
        fresh = await self._store.take_events(conn, (event.event_id for event in pushes), now)
        once = {event.event_id: event for event in pushes if event.event_id in fresh}
        fates[Fate.REPEATED] += len(pushes) - len(once)
        settings = await self._store.scan_settings(conn, {event.instance_id for event in once.values()})
        wanted = [event for event in once.values() if self._is_wanted(event, settings, fates)]
        if not wanted:
            return
        keys = [(event.instance_id, event.repository) for event in wanted]
        known = await repositories.see(conn, self._store, keys, now)
        indexes = {
            instance_id: await self._index(conn, instance_id, settings[instance_id].rules_revision)
            for instance_id in sorted({event.instance_id for event in wanted})
        }
        requests = []
        for event in wanted:
            place = event.repository
            rules = indexes[event.instance_id].match(place.namespace, place.name, event.tag)
            fates[Fate.REQUESTED if rules else Fate.UNMATCHED] += 1
            if rules:
                repository = known[event.instance_id, place]
                requests.append(self._request(event, repository, settings[event.instance_id], rules))
        await self._outbox.add(conn, [to_message(request) for request in requests])

    def _is_wanted(self, event: TagPushed, settings: Mapping[str, ScanSettings], fates: Counter[Fate]) -> bool:
        instance = settings.get(event.instance_id)
        if instance is not None and instance.edition is Edition.ENTERPRISE:
            return True
        fate = Fate.UNKNOWN_INSTANCE if instance is None else Fate.PERSONAL_INSTANCE
        fates[fate] += 1
        log.warning(
            "event.ignored",
            event_id=event.event_id,
            instance_id=event.instance_id,
            repository=event.repository.path,
            why=fate.value,
        )
        return False

    async def _index(self, conn: Connection, instance_id: str, revision: int) -> RuleIndex:
        kept = self._indexes.get(instance_id, revision)
        if kept is not None:
            return kept
        # The rules may be newer than the revision, never older: then the next batch reads them again.
        rules = await self._store.automatic_rules(conn, instance_id)
        index = await asyncio.to_thread(RuleIndex, rules)
        self._indexes.put(instance_id, revision, index)
        log.info("rules.indexed", instance_id=instance_id, revision=revision, rules=index.size)
        return index

    def _request(
        self, event: TagPushed, repository: Repository, settings: ScanSettings, rules: Sequence[ScanRule]
    ) -> ScanRequest:
        return ScanRequest(
            task_id=task_id_of(event.event_id),
            instance_id=event.instance_id,
            repo_id=repository.repo_id,
            repository=event.repository,
            tag=event.tag,
            digest=event.digest,
            revision=event.revision,
            engine=settings.engine,
            rule_ids=tuple(sorted(rule.rule_id for rule in rules)),
            target_ids=tuple(sorted({target for rule in rules for target in rule.target_ids})),
            requested_at=self._clock.now(),
            traceparent=event.traceparent,
        )


def task_id_of(event_id: str) -> str:
    """Returns the id of the task that an image event starts: the same for every copy of the event."""
    return str(uuid.uuid5(uuid.UUID(event_id), "scan-task"))

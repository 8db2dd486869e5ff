"""Settling: where the order of pushes is in doubt, the registry says what a tag has."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from services.kernel.claims import work_claims
from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.errors import ServiceError
from services.kernel.model.digest import Digest
from services.kernel.model.reference import RepositoryName
from services.kernel.reasons import INSTANCE_REFUSALS, Reason
from services.kernel.wakeup import Wakeups
from services.registry.ask import OpenSource
from services.rules.api import RulesApi
from services.scanner.records import DoubtedTag
from services.scanner.settings import ScannerSettings
from services.scanner.store import ScannerStore

log = structlog.get_logger()

_CHANNEL = "drydock_scanner_doubts"
_NOTHING_TO_ASK = INSTANCE_REFUSALS | {Reason.IMAGE_NOT_FOUND.code}


class Settler:
    """Asks registries about tags in doubt. Any number of processes share the work; none of it is lost with one."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: ScannerStore,
        rules: RulesApi,
        open_source: OpenSource,
        wakeups: Wakeups,
        clock: Clock,
        settings: ScannerSettings,
    ) -> None:
        self._pool = pool
        self._store = store
        self._rules = rules
        self._open_source = open_source
        self._wakeups = wakeups
        self._clock = clock
        self._settings = settings

    async def run(self, stopping: asyncio.Event) -> None:
        """Asks until `stopping`; questions under way are finished first."""
        await work_claims(
            self.claim,
            self.settle,
            wakeups=self._wakeups,
            channel=_CHANNEL,
            most=self._settings.tag_questions,
            stopping=stopping,
        )

    async def claim(self, limit: int) -> tuple[DoubtedTag, ...]:
        """Takes at most so many tags that are due."""
        settings = self._settings
        async with self._pool.acquire() as db:
            doubts = await self._store.claim_doubts(
                db,
                limit,
                question_seconds=settings.tag_question_seconds,
                first_seconds=settings.retry_first_seconds,
                longest_seconds=settings.retry_longest_seconds,
            )
        return tuple(doubts)

    async def settle(self, tag: DoubtedTag) -> None:
        """Asks the registry and moves the tag to what it has; one that cannot be asked is asked again later.

        Where the registry has the tag no more, or may not be asked any more, the tag stays as it is.
        """
        asked_at = self._clock.now()
        try:
            async with asyncio.timeout(self._settings.tag_question_seconds):
                digest = await self._ask(tag)
        except (ServiceError, TimeoutError) as error:
            reason = error.reason if isinstance(error, ServiceError) else Reason.REGISTRY_TIMEOUT.code
            given_up = asked_at - tag.doubted_at > timedelta(days=self._settings.seen_event_days)
            if reason not in _NOTHING_TO_ASK and not given_up:
                log.info("tag.postponed", reason=reason, **_names(tag))
                return
            log.warning("tag.unsettled", reason=reason, **_names(tag))
            digest = tag.image.digest
        async with self._pool.acquire() as db, db.transaction():
            await self._store.lock_tags(db, [tag.image])
            settled = await self._store.settle_tag(db, tag, digest, asked_at)
            if not settled:  # a push came in since, which the answer may not know of
                await self._store.ask_again(db, tag.image)
                await self._store.announce_doubts(db)
        log.info("tag.settled", moved=settled and digest != tag.image.digest, settled=settled, **_names(tag))

    async def _ask(self, tag: DoubtedTag) -> Digest:
        image = tag.image
        access = await self._rules.registry_access(image.instance_id)
        name = RepositoryName(namespace=image.namespace, name=image.repository)
        async with self._open_source(access, name) as source:
            return (await source.head(image.tag)).digest


def _names(tag: DoubtedTag) -> dict[str, str]:
    return {"instance_id": tag.image.instance_id, "repo_id": tag.image.repo_id, "tag": tag.image.tag}

"""Looks at every instance's registry again and again: each by one copy of rules at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from services.kernel.clock import Clock
from services.kernel.db import Pool, is_outage
from services.kernel.errors import ServiceError
from services.kernel.wakeup import Wakeups, wait, wait_any
from services.rules.engines.metrics import EngineMetrics
from services.rules.engines.store import EngineStore
from services.rules.settings import RulesSettings

log = structlog.get_logger()

CHANNEL: Final = "drydock_rules_checks"
_LOOK_SECONDS: Final = 2.0
_COUNT_SECONDS: Final = 15.0
_GONE: Final = frozenset({"INSTANCE_NOT_EXIST", "EDITION_NOT_SUPPORTED"})

Check = Callable[[str], Awaitable[object]]
"""Checks the instance of that id."""


class Checker:
    """Takes what is due. Who takes an instance puts its next turn off: a copy that dies costs one look."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: EngineStore,
        check: Check,
        wakeups: Wakeups,
        clock: Clock,
        metrics: EngineMetrics,
        settings: RulesSettings,
    ) -> None:
        self._pool = pool
        self._store = store
        self._check = check
        self._wakeups = wakeups
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._count_at = float("-inf")
        self._busy: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Checks until `stopping`; what is under way then is given up, and is due again at its next turn."""
        async with self._wakeups.subscribe(CHANNEL) as news, asyncio.TaskGroup() as checks:
            while not stopping.is_set():
                news.clear()
                try:
                    due = await self.claim(self._settings.engine_checks - len(self._busy))
                    await self._count()
                except Exception as error:
                    if not is_outage(error):
                        raise
                    log.warning("engines.check_delayed", error=type(error).__name__)
                    await wait(stopping, _LOOK_SECONDS)
                    continue
                for instance_id in due:
                    task = checks.create_task(self._work(instance_id, news), name=f"check {instance_id}")
                    self._busy.add(task)
                    task.add_done_callback(self._busy.discard)
                if not due:
                    await wait_any((news, stopping), _LOOK_SECONDS)
            for task in self._busy:
                task.cancel()

    async def claim(self, limit: int) -> tuple[str, ...]:
        """Takes at most so many instances that are due, and returns their ids."""
        if limit <= 0:
            return ()
        every = self._settings.engine_check_seconds
        async with self._pool.acquire() as conn:
            return await self._store.claim_checks(conn, self._clock.now(), every, limit)

    async def _work(self, instance_id: str, news: asyncio.Event) -> None:
        try:
            await self._check(instance_id)
        except Exception as error:
            if isinstance(error, ServiceError) and error.reason in _GONE:
                log.info("engines.check_dropped", instance_id=instance_id, reason=error.reason)
            elif is_outage(error):
                log.warning("engines.check_unrecorded", instance_id=instance_id, error=type(error).__name__)
            else:  # one instance that cannot be checked stops no other
                log.error("engines.check_broke", instance_id=instance_id, exc_info=error)
        finally:
            self._count_at = float("-inf")
            news.set()

    async def _count(self) -> None:
        """Tells the metrics now and then, and after every check of ours, what all copies have found so far."""
        now = self._clock.monotonic()
        if now >= self._count_at:
            async with self._pool.acquire() as conn:
                self._metrics.stand(await self._store.count_conditions(conn))
            self._count_at = now + _COUNT_SECONDS

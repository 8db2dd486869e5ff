"""Delivering: lease what is due, send it outside of any transaction, write the receipt."""

from __future__ import annotations

import asyncio

import structlog

from services.kernel import trace
from services.kernel.clock import Clock
from services.kernel.db import Pool, is_outage
from services.kernel.wakeup import Wakeups, wait, wait_any
from services.notifier.backoff import Backoff, Next, exhausted
from services.notifier.channels.interface import Channel, Outcome
from services.notifier.ledger import LOST, Ledger, names
from services.notifier.metrics import NotifierMetrics
from services.notifier.records import Claim
from services.notifier.sealing import TargetSeal
from services.notifier.settings import NotifierSettings
from services.notifier.store import NotifierStore

log = structlog.get_logger()

CHANNEL = "drydock_deliveries"
"""Notified at the commit of new deliveries."""


class DeliveryWorker:
    """Delivers what is due. Any number of workers share the work; a dead one's leases run out."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: NotifierStore,
        seal: TargetSeal,
        channel: Channel,
        backoff: Backoff,
        wakeups: Wakeups,
        clock: Clock,
        name: str,
        settings: NotifierSettings,
        metrics: NotifierMetrics,
    ) -> None:
        """`name` is the owner in the leases: unique over all workers."""
        self._pool = pool
        self._store = store
        self._seal = seal
        self._channel = channel
        self._backoff = backoff
        self._wakeups = wakeups
        self._clock = clock
        self._name = name
        self._settings = settings
        self._metrics = metrics
        self._ledger = Ledger(store, clock, metrics)
        self._busy = 0
        self._busy_slow = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Delivers until `stopping`; attempts under way are finished first."""
        async with self._wakeups.subscribe(CHANNEL) as news, asyncio.TaskGroup() as sends:
            while not stopping.is_set():
                news.clear()
                try:
                    claims = await self.claim(self._settings.concurrent_deliveries - self._busy)
                except Exception as error:
                    if not is_outage(error):
                        raise
                    log.warning("deliveries.delayed", error=type(error).__name__)
                    await wait(stopping, self._settings.look_seconds)
                    continue
                for claim in claims:
                    self._busy += 1
                    self._busy_slow += claim.target.slow
                    sends.create_task(self._work(claim, news), name=f"delivery {claim.delivery_id}")
                if not claims:
                    await wait_any((news, stopping), self._settings.look_seconds)

    async def claim(self, limit: int) -> tuple[Claim, ...]:
        """Leases at most so many due deliveries; those whose last attempt was lost get its receipt."""
        if limit <= 0:
            return ()
        lease = self._settings.attempt_seconds + self._settings.lease_margin_seconds
        async with self._pool.acquire() as conn, conn.transaction():
            claims = await self._store.claim(
                conn,
                owner=self._name,
                lease_seconds=lease,
                per_target=self._settings.concurrent_per_target,
                limit=limit,
                slow_limit=max(0, self._settings.concurrent_deliveries // 2 - self._busy_slow),
            )
            for claim in claims:
                if claim.lost:
                    await self._ledger.lost(conn, claim)
        return claims

    async def deliver(self, claim: Claim) -> None:
        """Makes the attempt that the claim is for and writes down what became of it."""
        trace.bind(trace.follow(claim.traceparent))
        if self._backoff.is_exhausted(claim.attempt - 1):  # the last one was lost with its worker
            await self._record(claim, None, exhausted(claim.attempt - 1, LOST), 0.0)
            return
        began = self._clock.monotonic()
        outcome = await self._send(claim)
        seconds = self._clock.monotonic() - began
        self._metrics.attempted(outcome.verdict, seconds)
        following = self._backoff.after(
            outcome, attempt=claim.attempt, created_at=claim.created_at, now=self._clock.now()
        )
        await self._record(claim, outcome, following, seconds)
        if (slow := seconds > self._settings.slow_seconds) is not claim.target.slow:
            async with self._pool.acquire() as conn:
                await self._store.mark_slow(conn, claim.target_id, slow=slow)

    async def _send(self, claim: Claim) -> Outcome:
        parcel = self._seal.parcel(claim, self._clock.now(), claim.body)
        return parcel if isinstance(parcel, Outcome) else await self._channel.send(parcel)

    async def _work(self, claim: Claim, news: asyncio.Event) -> None:
        try:
            await self.deliver(claim)
        except Exception as error:
            if is_outage(error):
                log.warning("delivery.unrecorded", error=type(error).__name__, **names(claim))
            else:
                log.error("delivery.failed", exc_info=error, **names(claim))
        finally:
            self._busy -= 1
            self._busy_slow -= claim.target.slow
            news.set()  # there is room again, and the target may have more

    async def _record(self, claim: Claim, outcome: Outcome | None, following: Next, seconds: float) -> None:
        async with self._pool.acquire() as conn, conn.transaction():
            ours = await self._ledger.record(conn, claim, outcome, following, seconds)
        self._ledger.tell(claim, outcome, following, seconds, ours=ours)

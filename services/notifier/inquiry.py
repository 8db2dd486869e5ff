"""Asking the scanner what is new, before those are told who want new findings only.

The question is a row: it outlives this process, any worker takes it up, and whoever has the answer writes the
deliveries and the end of the question in one transaction. Where nobody can answer the targets are told without:
silence would say that nothing is new.
"""

from __future__ import annotations

import asyncio

import structlog

from services.kernel import trace
from services.kernel.clock import Clock
from services.kernel.db import Pool, is_outage
from services.kernel.errors import Kind, ServiceError
from services.kernel.wakeup import Wakeups, wait, wait_any
from services.notifier.convert_events import from_scan_event
from services.notifier.desk import INQUIRIES, Desk, Heard
from services.notifier.filters import Answer, Unanswered
from services.notifier.metrics import Answered, InquiryMetrics
from services.notifier.settings import NotifierSettings
from services.notifier.subscription_store import Inquiry, SubscriptionStore
from services.scanner.api import ScannerApi

log = structlog.get_logger()

_AT_ONCE = 8
_LEASE_MARGIN_SECONDS = 20.0
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_PASSING = (Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED, Kind.RESOURCE_EXHAUSTED)


class Inquirer:
    """Asks what is to be asked. Any number of them share the work; a dead one's leases run out."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: SubscriptionStore,
        desk: Desk,
        scanner: ScannerApi,
        wakeups: Wakeups,
        clock: Clock,
        settings: NotifierSettings,
        metrics: InquiryMetrics,
    ) -> None:
        self._pool = pool
        self._store = store
        self._desk = desk
        self._scanner = scanner
        self._wakeups = wakeups
        self._clock = clock
        self._settings = settings
        self._metrics = metrics

    async def run(self, stopping: asyncio.Event) -> None:
        """Asks until `stopping`; questions under way are finished first."""
        async with self._wakeups.subscribe(INQUIRIES) as news:
            while not stopping.is_set():
                news.clear()
                try:
                    done = await self.ask_due()
                except Exception as error:
                    if not is_outage(error):
                        raise
                    log.warning("inquiries.delayed", error=type(error).__name__)
                    await wait(stopping, self._settings.look_seconds)
                    continue
                if not done:
                    await wait_any((news, stopping), self._settings.look_seconds)

    async def ask_due(self) -> int:
        """Takes up some of the questions whose time has come; returns how many."""
        lease = self._settings.inquiry_seconds + _LEASE_MARGIN_SECONDS
        async with self._pool.acquire() as conn:
            due = await self._store.claim_inquiries(conn, lease_seconds=lease, limit=_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for inquiry in due:
                group.create_task(self._work(inquiry), name=f"inquiry {inquiry.event_id}")
        return len(due)

    async def _work(self, inquiry: Inquiry) -> None:
        """Settles a question; what the database did not take is taken up again when the lease is over."""
        try:
            await self._settle(inquiry)
        except Exception as error:
            if is_outage(error):
                log.warning("inquiry.unrecorded", event_id=inquiry.event_id, error=type(error).__name__)
            else:
                log.error("inquiry.failed", event_id=inquiry.event_id, exc_info=error)

    async def _settle(self, inquiry: Inquiry) -> None:
        trace.bind(trace.follow(inquiry.traceparent))
        heard = from_scan_event(inquiry.event)
        answer = await self._answer(inquiry, heard.task_id)
        if answer is None:
            pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(inquiry.attempts - 1, 30), _LONGEST_PAUSE_SECONDS)
            async with self._pool.acquire() as conn:
                await self._store.postpone_inquiry(conn, inquiry.event_id, pause)
            self._metrics.asked(Answered.POSTPONED, inquiry.age_seconds)
            return
        word = answer.reason if isinstance(answer, Unanswered) else "ANSWERED"
        async with self._pool.acquire() as conn, conn.transaction():
            if not await self._store.end_inquiry(conn, inquiry.event_id, self._clock.now(), word):
                return  # another one was faster
            await self._desk.take(
                conn,
                [
                    Heard(
                        event=heard,
                        value=inquiry.event,
                        traceparent=inquiry.traceparent,
                        target_ids=inquiry.target_ids,
                        answer=answer,
                    )
                ],
            )
        self._metrics.asked(_answered(answer), inquiry.age_seconds)
        log.info("inquiry.finished", event_id=inquiry.event_id, task_id=heard.task_id, answer=word)

    async def _answer(self, inquiry: Inquiry, task_id: str) -> Answer | None:
        """Returns the scanner's answer, or why there is none; None while one may still come."""
        try:
            async with asyncio.timeout(self._settings.inquiry_seconds):
                return await self._scanner.compare(task_id)
        except Exception as error:
            reason = error.reason if isinstance(error, ServiceError) else type(error).__name__
            passing = is_outage(error) or isinstance(error, TimeoutError)
            if isinstance(error, ServiceError):
                passing = error.kind in _PASSING
            elif not passing:
                log.error("inquiry.unanswered", event_id=inquiry.event_id, task_id=task_id, exc_info=error)
                reason = "INTERNAL"
            if passing and inquiry.age_seconds < self._settings.inquiry_patience_seconds:
                log.warning("inquiry.postponed", event_id=inquiry.event_id, task_id=task_id, reason=reason)
                return None
            return Unanswered(reason=reason)


def _answered(answer: Answer) -> Answered:
    if isinstance(answer, Unanswered):
        return Answered.UNANSWERED
    return Answered.DOUBTFUL if answer.doubt else Answered.COMPARED

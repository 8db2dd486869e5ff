"""What became of attempts, written down: the delivery's state and a receipt, unless the lease has passed on."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from services.kernel.clock import Clock
from services.kernel.db import Connection
from services.notifier.backoff import Again, Dead, Delivered, Next
from services.notifier.channels.interface import Outcome, Verdict
from services.notifier.metrics import NotifierMetrics
from services.notifier.records import Claim, Receipt
from services.notifier.store import NotifierStore

log = structlog.get_logger()

LOST = Outcome(
    verdict=Verdict.UNKNOWN,
    reason="WORKER_DIED",
    message="The worker died between sending and writing: the notification may have arrived.",
)


class Ledger:
    """Writes; transactions belong to the callers, who `tell` when theirs has held."""

    def __init__(self, store: NotifierStore, clock: Clock, metrics: NotifierMetrics) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics

    async def lost(self, conn: Connection, claim: Claim) -> None:
        """Adds the receipt of the attempt before this one, whose worker died."""
        await self._store.insert_receipt(conn, self._receipt(claim, claim.attempt - 1, LOST, 0.0))

    async def record(
        self, conn: Connection, claim: Claim, outcome: Outcome | None, following: Next, seconds: float
    ) -> bool:
        """Writes what follows and an attempt's receipt; False when the lease has passed to somebody else."""
        ours = await self._settle(conn, claim, outcome, following)
        if ours and outcome is not None:
            await self._store.insert_receipt(conn, self._receipt(claim, claim.attempt, outcome, seconds))
        return ours

    def tell(self, claim: Claim, outcome: Outcome | None, following: Next, seconds: float, *, ours: bool) -> None:
        """Logs and counts what was recorded."""
        if not ours:
            # Cancelled, or leased anew because we were too slow: then the other worker's word counts.
            log.warning("receipt.refused", attempt=claim.attempt, **names(claim))
        elif isinstance(following, Dead):
            self._metrics.died()
            log.warning("delivery.died", attempt=claim.attempt, reason=following.reason, **names(claim))
        elif isinstance(following, Again):
            log.info(
                "delivery.postponed",
                attempt=claim.attempt,
                reason=outcome.reason if outcome else "",
                pause_seconds=round(following.pause_seconds, 3),
                **names(claim),
            )
        else:
            self._metrics.arrived((self._clock.now() - claim.created_at).total_seconds())
            log.info("delivery.finished", attempt=claim.attempt, duration=round(seconds, 3), **names(claim))

    async def _settle(self, conn: Connection, claim: Claim, outcome: Outcome | None, following: Next) -> bool:
        now = self._clock.now()
        match following:
            case Delivered():
                return await self._store.finish(conn, claim, "DELIVERED", None, now)
            case Dead():
                return await self._store.finish(conn, claim, "DEAD", following, now)
            case Again(pause_seconds=pause):
                reason, message = (outcome.reason, outcome.message) if outcome else ("", "")
                return await self._store.postpone(conn, claim, pause, reason, message)

    def _receipt(self, claim: Claim, attempt: int, outcome: Outcome, seconds: float) -> Receipt:
        return Receipt(
            delivery_id=claim.delivery_id,
            target_id=claim.target_id,
            event_id=claim.event_id,
            attempt=attempt,
            outcome=outcome.verdict.value,
            reason=outcome.reason,
            message=outcome.message,
            http_status=outcome.http_status,
            milliseconds=round(seconds * 1000),
            excerpt=outcome.excerpt,
            created_at=self._clock.now(),
        )


def names(claim: Claim) -> Mapping[str, str]:
    """Returns what a log says of a claim."""
    return {
        "delivery_id": claim.delivery_id,
        "target_id": claim.target_id,
        "event_id": claim.event_id,
    }

"""Trying a target: one attempt by the way that deliveries take, and exactly what the other side said."""

from __future__ import annotations

from datetime import timedelta

import structlog

from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.errors import Kind, ServiceError
from services.kernel.ids import Ids
from services.notifier.api import TrialAnswer
from services.notifier.channels.interface import Outcome, Verdict
from services.notifier.channels.open import Channels
from services.notifier.events import News
from services.notifier.payload import encode, read, trial_notification
from services.notifier.records import Claim, SealedTarget
from services.notifier.robot_store import RobotStore
from services.notifier.sealing import TargetSeal
from services.notifier.settings import NotifierSettings

log = structlog.get_logger()


class Trial:
    """Makes attempts that nobody repeats. A chat robot's are among those that it takes in a minute."""

    def __init__(
        self,
        *,
        pool: Pool,
        robots: RobotStore,
        seal: TargetSeal,
        channels: Channels,
        clock: Clock,
        ids: Ids,
        settings: NotifierSettings,
    ) -> None:
        self._pool = pool
        self._robots = robots
        self._seal = seal
        self._channels = channels
        self._clock = clock
        self._ids = ids
        self._settings = settings

    async def run(self, target: SealedTarget) -> TrialAnswer:
        """Makes one attempt.

        Raises:
            ServiceError: ROBOT_RESTING when a chat robot may not be called just now.
        """
        claim = self._claim(target)
        call_id = await self._take_place(target)
        began = self._clock.monotonic()
        try:
            outcome = await self._send(claim)
        finally:
            duration = timedelta(seconds=self._clock.monotonic() - began)
            await self._end_call(target, call_id)
        log.info("target.tested", target_id=target.target_id, verdict=outcome.verdict.value, reason=outcome.reason)
        return TrialAnswer(
            delivered=outcome.verdict is Verdict.DELIVERED,
            reason=outcome.reason,
            message=outcome.message,
            status=outcome.http_status,
            answer=outcome.excerpt,
            duration=duration,
            delivery_id=claim.delivery_id,
        )

    def _claim(self, target: SealedTarget) -> Claim:
        delivery_id, now = self._ids.uuid(), self._clock.now()
        return Claim(
            target=target,
            event_id=delivery_id,
            delivery_id=delivery_id,
            attempt=1,
            fence=0,
            created_at=now,
            lost=False,
            traceparent="",
            event_type=News.TARGET_TEST.value,
            body=encode(trial_notification(delivery_id, now)),
        )

    async def _send(self, claim: Claim) -> Outcome:
        chat = self._channels.chats.get(claim.target.kind)
        body = chat.write([read(claim.body)]).body if chat else claim.body
        parcel = self._seal.parcel(claim, self._clock.now(), body)
        return parcel if isinstance(parcel, Outcome) else await self._channels.any.send(parcel)

    async def _take_place(self, target: SealedTarget) -> str:
        if target.robot is None:
            return ""
        call_id, pace = self._ids.uuid(), self._channels.chats[target.kind].pace
        lease = self._settings.attempt_seconds + self._settings.lease_margin_seconds
        async with self._pool.acquire() as conn, conn.transaction():
            resting = await self._robots.lock(conn, target.robot)
            places = await self._robots.places(conn, target.robot)
            pause = max(resting or 0.0, places.free_in if places.taken >= pace.places else 0.0)
            if pause > 0:
                raise _resting(target.name, pause)
            await self._robots.take_place(conn, target.robot, call_id, lease + pace.window_seconds)
        return call_id

    async def _end_call(self, target: SealedTarget, call_id: str) -> None:
        if not call_id:
            return
        async with self._pool.acquire() as conn:
            await self._robots.end_call(conn, call_id, self._channels.chats[target.kind].pace.window_seconds)


def _resting(name: str, seconds: float) -> ServiceError:
    return ServiceError(
        Kind.RESOURCE_EXHAUSTED,
        "ROBOT_RESTING",
        f"The chat robot of {name!r} may not be called for {seconds:.0f} s: it was called too often, or failed.",
        hint="Try again then.",
        retry_after=seconds,
    )

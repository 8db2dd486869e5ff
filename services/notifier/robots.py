"""Telling chat robots: never more calls than one takes, over all processes; what waits is merged, oldest first.

A place is taken from the beginning of a call until a window after its end. So when the other side counts by
arrival, which lies between the two, no window of its has more than the places there are: of more calls than that,
the one that began last would have found all the places taken.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence

from services.kernel.claims import work_claims
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.ids import Ids
from services.kernel.wakeup import Wakeups
from services.notifier.api import TargetKind
from services.notifier.backoff import Again, Backoff, Next, exhausted
from services.notifier.channels.chat import ChatChannel, Pace
from services.notifier.channels.interface import Outcome, Verdict
from services.notifier.delivery import CHANNEL
from services.notifier.ledger import LOST, Ledger
from services.notifier.metrics import NotifierMetrics
from services.notifier.payload import read
from services.notifier.records import Claim
from services.notifier.robot_store import Places, RobotStore
from services.notifier.sealing import TargetSeal
from services.notifier.settings import NotifierSettings

_Following = tuple[Claim, Outcome | None, Next]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A place, and what may be told with it."""

    call_id: str
    robot: bytes
    kind: TargetKind
    claims: tuple[Claim, ...]
    """All to one target, oldest first; at least one."""


class RobotWorker:
    """Calls robots. Any number of workers share them; a dead one's leases and places run out."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: RobotStore,
        ledger: Ledger,
        seal: TargetSeal,
        channels: Mapping[TargetKind, ChatChannel],
        backoff: Backoff,
        wakeups: Wakeups,
        clock: Clock,
        ids: Ids,
        name: str,
        settings: NotifierSettings,
        metrics: NotifierMetrics,
    ) -> None:
        """`name` is the owner in the leases: unique over all workers."""
        self._pool = pool
        self._store = store
        self._ledger = ledger
        self._seal = seal
        self._channels = channels
        self._backoff = backoff
        self._wakeups = wakeups
        self._clock = clock
        self._ids = ids
        self._name = name
        self._settings = settings
        self._metrics = metrics

    async def run(self, stopping: asyncio.Event) -> None:
        """Calls until `stopping`; calls under way are finished first."""
        await work_claims(
            self.claim,
            self.deliver,
            wakeups=self._wakeups,
            channel=CHANNEL,
            most=self._settings.concurrent_robots,
            stopping=stopping,
        )

    async def claim(self, limit: int) -> tuple[Call, ...]:
        """Takes places and leases for at most so many calls; a robot that has no place rests until it has one."""
        async with self._pool.acquire() as conn, conn.transaction():
            due = await self._store.lock_due(conn, limit)
            calls = [await self._claim(conn, robot, kind) for robot, kind in due]
        return tuple(call for call in calls if call is not None)

    async def deliver(self, call: Call) -> None:
        """Makes the call and writes down what became of it."""
        lost = [claim for claim in call.claims if self._backoff.is_exhausted(claim.attempt - 1)]
        living = [claim for claim in call.claims if claim not in lost]
        began = self._clock.monotonic()
        sent, outcome = await self._send(call, living) if living else ((), None)
        seconds = self._clock.monotonic() - began
        if outcome is not None:
            self._metrics.attempted(outcome.verdict, seconds)
        followings: list[_Following] = [(claim, None, exhausted(claim.attempt - 1, LOST)) for claim in lost]
        if outcome is not None:
            followings += self._followings(sent, outcome)
        await self._record(call, living[len(sent) :], followings, seconds)

    async def _claim(self, conn: Connection, robot: bytes, kind: TargetKind) -> Call | None:
        pace = self._channels[kind].pace
        if pause := _pause(pace, await self._store.places(conn, robot)):
            await self._store.rest(conn, robot, pause)
            return None
        lease = self._settings.attempt_seconds + self._settings.lease_margin_seconds
        claims = await self._store.lease(
            conn, robot, owner=self._name, lease_seconds=lease, most=self._settings.robot_batch
        )
        if not claims:
            return None
        call = Call(call_id=self._ids.uuid(), robot=robot, kind=kind, claims=claims)
        await self._store.take_place(conn, robot, call.call_id, lease + pace.window_seconds)
        for claim in claims:
            if claim.lost:
                await self._ledger.lost(conn, claim)
        return call

    async def _send(self, call: Call, claims: Sequence[Claim]) -> tuple[Sequence[Claim], Outcome]:
        """Sends as much as fits, and returns which claims that was."""
        channel = self._channels[call.kind]
        written = channel.write([read(claim.body) for claim in claims])
        sent = claims[: written.count]
        parcel = self._seal.parcel(claims[0], self._clock.now(), written.body)
        return sent, parcel if isinstance(parcel, Outcome) else await channel.send(parcel)

    def _followings(self, sent: Sequence[Claim], outcome: Outcome) -> list[_Following]:
        """Says what follows for each: what has to wait waits equally long, so that the order holds."""
        pause: float | None = None
        if outcome.verdict is Verdict.GIVE_UP and outcome.blames_content and len(sent) > 1:
            outcome = _apart(outcome, len(sent))
            pause = 0.0
        elif outcome.verdict is Verdict.TRY_AGAIN:
            pause = self._backoff.pause(max(claim.attempt for claim in sent), outcome.retry_after)
        now = self._clock.now()
        return [
            (
                claim,
                outcome,
                self._backoff.after(
                    outcome, attempt=claim.attempt, created_at=claim.created_at, now=now, pause=pause
                ),
            )
            for claim in sent
        ]

    async def _record(
        self,
        call: Call,
        unsent: Sequence[Claim],
        followings: Sequence[_Following],
        seconds: float,
    ) -> None:
        recorded = []
        async with self._pool.acquire() as conn, conn.transaction():
            await self._store.end_call(conn, call.call_id, self._channels[call.kind].pace.window_seconds)
            for claim in unsent:
                await self._store.release(conn, claim)
            for claim, outcome, following in followings:
                if outcome is not None and outcome.blames_content and isinstance(following, Again):
                    await self._store.part(conn, claim)
                recorded.append(await self._ledger.record(conn, claim, outcome, following, seconds))
            pauses = [next_.pause_seconds for _, _, next_ in followings if isinstance(next_, Again)]
            if pauses and (longest := max(pauses)):
                await self._store.rest(conn, call.robot, longest)
        for (claim, outcome, following), ours in zip(followings, recorded, strict=True):
            self._ledger.tell(claim, outcome, following, seconds, ours=ours)


def _pause(pace: Pace, places: Places) -> float:
    """Returns how long a robot must not be called yet."""
    if places.taken >= pace.places:
        return places.free_in
    if places.taken >= pace.at_once and places.since_last is not None:
        return max(0.0, pace.spacing_seconds - places.since_last)
    return 0.0


def _apart(outcome: Outcome, count: int) -> Outcome:
    return dataclasses.replace(
        outcome,
        verdict=Verdict.TRY_AGAIN,
        message=f"{outcome.message} It was told {count} notifications at once; now each goes by itself.",
    )

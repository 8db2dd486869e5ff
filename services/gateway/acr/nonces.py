"""Nonces: a signed call counts once, whichever gateway it comes to."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime, timedelta
from typing import Final

import structlog

from services.gateway.acr.failures import Code, refusal
from services.gateway.store import GatewayStore
from services.kernel.clock import Clock
from services.kernel.db import Pool

log = structlog.get_logger()

FRESH: Final = timedelta(minutes=15)
"""So far the time of a call may lie from ours, in either direction."""
_MARGIN: Final = timedelta(minutes=1)
"""Clocks of two gateways may differ a little: what one calls too old, another may not yet."""
_BATCH: Final = 5000


class Nonces:
    """The nonces of every signature that was accepted, for as long as its time is fresh."""

    def __init__(self, pool: Pool, store: GatewayStore, clock: Clock) -> None:
        self._pool = pool
        self._store = store
        self._clock = clock

    def check_time(self, signed_at: datetime) -> None:
        """Returns when a call is of now.

        Raises:
            ServiceError: InvalidTimeStamp.Expired.
        """
        now = self._clock.now()
        if abs(now - signed_at) > FRESH:
            raise refusal(
                Code.EXPIRED_TIMESTAMP,
                f"The call was signed at {signed_at:%Y-%m-%dT%H:%M:%SZ}; here it is {now:%Y-%m-%dT%H:%M:%SZ}.",
                hint="Set the clock: 15 minutes are tolerated.",
            )

    async def use(self, access_key_id: str, nonce: str, signed_at: datetime) -> None:
        """Notes a nonce as used; only after the signature was found to be right, so that nobody fills the table.

        Raises:
            ServiceError: SignatureNonceUsed.
        """
        digest = hashlib.sha256(f"{access_key_id}\n{nonce}".encode()).digest()
        async with self._pool.acquire() as conn:
            fresh = await self._store.use_nonce(conn, digest, signed_at + FRESH + _MARGIN)
        if not fresh:
            raise refusal(
                Code.NONCE_USED,
                "The nonce of this signature was used before.",
                hint="Sign every attempt anew, with a nonce of its own.",
            )

    async def forget(self, stopping: asyncio.Event) -> None:
        """Deletes what could not be used again anyway, a batch at a time; ends early when `stopping`."""
        total = 0
        while not stopping.is_set():
            async with self._pool.acquire() as conn:
                deleted = await self._store.forget_nonces(conn, self._clock.now(), _BATCH)
            total += deleted
            if deleted < _BATCH:
                break
        if total:
            log.debug("nonces.forgotten", count=total)

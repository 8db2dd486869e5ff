"""Notifications of the lab registry, in the envelope that the real one sends.

Format: distribution, "Work with notifications", sections "Events" and "Envelope".
"""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

import aiohttp
import msgspec
import structlog

from services.lab.content import Pointer

CONTENT_TYPE = "application/vnd.docker.distribution.events.v1+json"
_log = structlog.get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where notifications go."""

    url: str
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Sent with each, such as `Authorization: Bearer …`."""
    timeout_seconds: float = 5.0
    backoff_seconds: float = 0.5
    """Pause after a delivery that failed; it is then tried again, without end."""


class Target(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """What an event is about."""

    media_type: str = ""
    size: int | None = None
    digest: str = ""
    length: int | None = None
    repository: str
    from_repository: str = ""
    url: str = ""
    tag: str = ""
    references: list[Pointer] | None = None


class Request(msgspec.Struct, kw_only=True):
    """The request that caused an event."""

    id: str
    addr: str
    host: str
    method: str
    useragent: str


class Actor(msgspec.Struct, omit_defaults=True):
    """Who sent the request; without a name where access is anonymous."""

    name: str = ""


class _Source(msgspec.Struct, kw_only=True):
    addr: str
    instance_id: str = msgspec.field(name="instanceID")


class _Event(msgspec.Struct, kw_only=True):
    id: str
    timestamp: str
    action: str
    target: Target
    request: Request
    actor: Actor
    source: _Source


class _Envelope(msgspec.Struct):
    events: list[_Event]


class Notifications:
    """Queues events and delivers them in order, one in each envelope, at least once while it runs."""

    def __init__(self, endpoint: Endpoint, address: str) -> None:
        self._endpoint = endpoint
        self._source = _Source(addr=address, instance_id=str(uuid.uuid4()))
        self._queue: asyncio.Queue[_Event] = asyncio.Queue()

    def emit(self, action: str, target: Target, request: Request, actor: Actor) -> None:
        """Queues an event. The queue is in memory, as a real registry's is: it dies with the process."""
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        self._queue.put_nowait(
            _Event(
                id=str(uuid.uuid4()),
                timestamp=now,
                action=action,
                target=target,
                request=request,
                actor=actor,
                source=self._source,
            )
        )

    async def drained(self) -> None:
        """Waits until every event so far is delivered."""
        await self._queue.join()

    async def run(self) -> None:
        """Delivers until it is cancelled."""
        timeout = aiohttp.ClientTimeout(total=self._endpoint.timeout_seconds)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            while True:
                event = await self._queue.get()
                body = msgspec.json.encode(_Envelope([event]))
                await self._deliver(session, body)
                self._queue.task_done()

    async def _deliver(self, session: aiohttp.ClientSession, body: bytes) -> None:
        delivered = await self._try(session, body)
        while not delivered:
            await asyncio.sleep(self._endpoint.backoff_seconds)
            delivered = await self._try(session, body)

    async def _try(self, session: aiohttp.ClientSession, body: bytes) -> bool:
        headers = {**self._endpoint.headers, "Content-Type": CONTENT_TYPE}
        try:
            async with session.post(self._endpoint.url, data=body, headers=headers) as response:
                if response.ok:
                    return True
                _log.info("lab.notification_refused", status=response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            _log.info("lab.notification_failed", error=type(error).__name__)
        return False

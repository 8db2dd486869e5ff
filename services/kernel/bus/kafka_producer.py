"""The publishing half of the Kafka bus: confirmed by every replica in sync, or refused within a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerClosed

from services.kernel.bus.interface import (
    MAX_MESSAGE_BYTES,
    Message,
    bus_unavailable,
    check_size,
    partition_of,
)
from services.kernel.errors import invalid

log = structlog.get_logger()

_ROOM_BYTES = 64 * 1024  # for headers and the record's own frame
_BATCH_BYTES = 64 * 1024
_CLOSE_SECONDS = 5.0
_NUDGE_SECONDS = 0.2


class DurableProducer:
    """Publishes; opens the client when it is first needed, and again after one whose end is uncertain."""

    def __init__(self, arguments: Mapping[str, Any], *, publish_seconds: float) -> None:
        self._arguments = arguments
        self._publish_seconds = publish_seconds
        self._changing = asyncio.Lock()
        self._client: AIOKafkaProducer | None = None
        self._awaited: set[asyncio.Future[object]] = set()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns when all messages are durable; messages of one key stay in their order.

        A client that has not got its confirmation in time still holds messages that were refused to the caller.
        Sent later, they could come after newer ones of their key: so it is cut off, with all that it holds, and
        the next messages go through a new one.

        Raises:
            ServiceError: BUS_UNAVAILABLE; MESSAGE_TOO_LARGE before any is sent.
        """
        for message in messages:
            check_size(message)
        client: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(self._publish_seconds):
                client = await self._opened()
                await self._send(client, messages)
        except MessageSizeTooLargeError as error:
            raise invalid(
                "MESSAGE_TOO_LARGE",
                f"The brokers do not take a message for {messages[0].topic} that is so large.",
                hint="Raise max.message.bytes of the topic.",
            ) from error
        except (KafkaError, TimeoutError, OSError) as error:
            log.warning("bus.unavailable", error=type(error).__name__)
            if client is not None:
                await self._give_up(client)
            raise bus_unavailable() from error

    async def close(self) -> None:
        """Closes the client; what it has not sent was not confirmed to anybody either."""
        if self._client is not None:
            await self._give_up(self._client)

    async def _send(self, client: AIOKafkaProducer, messages: Sequence[Message]) -> None:
        confirmations: list[asyncio.Future[object]] = []
        for message in messages:
            confirmation = await client.send(
                message.topic,
                key=message.key,
                value=message.value or None,  # a tombstone has none
                headers=[(name, value.encode()) for name, value in message.headers.items()],
            )
            self._awaited.add(confirmation)
            confirmation.add_done_callback(self._look_at)
            confirmations.append(confirmation)
        await asyncio.gather(*confirmations)

    def _look_at(self, confirmation: asyncio.Future[object]) -> None:
        self._awaited.discard(confirmation)
        if not confirmation.cancelled():
            confirmation.exception()  # the first failure is raised: the others are no news

    async def _opened(self) -> AIOKafkaProducer:
        async with self._changing:
            if self._client is None:
                client = AIOKafkaProducer(
                    **self._arguments,
                    enable_idempotence=True,
                    acks="all",
                    partitioner=_partition,
                    max_batch_size=_BATCH_BYTES,
                    max_request_size=MAX_MESSAGE_BYTES + _ROOM_BYTES,
                    request_timeout_ms=int(self._publish_seconds * 1000),
                )
                try:
                    await client.start()
                except BaseException:
                    await _cut_off(client)
                    raise
                self._client = client
            return self._client

    async def _give_up(self, client: AIOKafkaProducer) -> None:
        async with self._changing:  # nobody opens the next one before this one is gone
            if self._client is client:
                self._client = None
                await _cut_off(client)
                for confirmation in tuple(self._awaited):  # of others, who need not wait for their own deadline
                    if not confirmation.done():
                        confirmation.set_exception(ProducerClosed())


async def _cut_off(client: AIOKafkaProducer) -> None:
    """Ends a client without sending what it holds.

    Its own `stop` sends that first, for as long as it takes. The private names are those of the version that
    requirements/runtime.txt pins; the tests with a broker that is away watch them.
    """
    sending = client._sender.sender_task
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            if sending is not None:
                sending.cancel()
            await client.client.close()
            while sending is not None and not sending.done():
                # It waits for its requests, and one of those perhaps for a connection: each time one of them ends.
                sending.cancel()
                await asyncio.wait([sending], timeout=_NUDGE_SECONDS)
            await client.client.close()  # what was being connected
    except (KafkaError, TimeoutError, OSError) as error:
        log.warning("bus.slow_close", error=type(error).__name__)
    finally:
        client._closed = True


def _partition(key: bytes, every: Sequence[int], available: Sequence[int]) -> int:
    # Of every partition, not of those that can be reached now: a key must not move because a broker is away.
    del available
    return sorted(every)[partition_of(key, len(every))]

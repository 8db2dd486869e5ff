"""One blob over the wire: a cut transfer goes on by Range, and the whole is verified.

Format: distribution-spec 1.1, "Pulling blobs"; RFC 9110, section 14.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

import aiohttp

from services.kernel.reasons import ScanFailure
from services.registry.answers import Asked, cut_off, registry_error
from services.registry.exchange import Exchange, Question
from services.registry.interface import Descriptor
from services.registry.limits import Timeouts
from services.registry.pace import Pace
from services.registry.retry import Retrier
from services.registry.verify import BlobCheck

_CHUNK_BYTES = 1 << 18
_RANGE_START = re.compile(r"bytes (\d{1,19})-")


class Download:
    """The transfer of one blob, as often interrupted as the retry policy allows."""

    def __init__(
        self,
        exchange: Exchange,
        retrier: Retrier,
        timeouts: Timeouts,
        repository: str,
        descriptor: Descriptor,
    ) -> None:
        self._exchange = exchange
        self._retrier = retrier
        self._timeouts = timeouts
        self._repository = repository
        self._descriptor = descriptor

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yields the bytes in order, each once, then checks size and digest.

        Raises:
            ScanFailure: DIGEST_MISMATCH, TRANSFER_CUT_OFF, or whatever the registry answered.
        """
        check = BlobCheck(self._descriptor)
        attempt = 0
        while True:
            attempt += 1
            try:
                # Closed by hand: an abandoned generator would hold its connection until it is collected.
                async with aclosing(self._transfer(check)) as part:
                    async for chunk in part:
                        yield chunk
                break
            except ScanFailure as failure:
                await self._retrier.pause(failure, attempt)
        check.finish()

    async def _transfer(self, check: BlobCheck) -> AsyncGenerator[bytes, None]:
        """Yields what is still missing; raises when the connection ends before all of it is there."""
        have, size = check.received, self._descriptor.size
        question = Question(
            method="GET",
            path=f"{self._repository}/blobs/{self._descriptor.digest}",
            asked=Asked.BLOB,
            what=self._descriptor.digest,
            headers={"Range": f"bytes={have}-"} if have else {},
            body_bytes=size,
        )
        async with self._exchange.ask(question) as response:
            skip = self._already_seen(response, have)
            if response.status == 200 and response.content_length is not None:
                check.expect_total(response.content_length)
            pace = Pace(self._retrier.clock, self._timeouts)
            while chunk := await pace.of(response.content.read(_CHUNK_BYTES)):
                fresh = chunk[skip:]
                skip = max(skip - len(chunk), 0)
                if fresh:
                    check.add(fresh)
                    yield fresh
        if check.received < size:
            raise cut_off(self._exchange.host, self._descriptor.digest)

    def _already_seen(self, response: aiohttp.ClientResponse, have: int) -> int:
        """Returns how many bytes of the body are old: all so far where the server ignores Range."""
        if response.status == 200:
            return have
        start = _RANGE_START.match(response.headers.get("Content-Range", ""))
        if start is None or int(start[1]) != have:
            raise registry_error(self._exchange.host, "answers a range request with another range")
        return 0

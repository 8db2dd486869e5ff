"""Room on disk, counted in bytes: taken before a download, given back afterwards, first come first served."""

from __future__ import annotations

import asyncio

from services.kernel.reasons import Reason, ScanFailure


class Room:
    """A budget of bytes. What is larger than all of it is let in when nothing else is there."""

    def __init__(self, max_bytes: int, timeout_seconds: float) -> None:
        self._max_bytes = max_bytes
        self._timeout_seconds = timeout_seconds
        self._used = 0
        self._freed = asyncio.Event()
        # The head of the queue waits for room, the others for it: a large layer is not overtaken for ever.
        self._queue = asyncio.Lock()

    @property
    def used(self) -> int:
        """Bytes taken at present."""
        return self._used

    async def take(self, size: int) -> None:
        """Waits until there is room for `size` bytes and takes it; cancelling takes nothing.

        Raises:
            ScanFailure: SPOOL_FULL, when no room came in time.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds), self._queue:
                while self._used and self._used + size > self._max_bytes:
                    self._freed.clear()
                    await self._freed.wait()
                self._used += size
        except TimeoutError as error:
            raise ScanFailure(
                Reason.SPOOL_FULL,
                f"No room for {size:,} bytes came free in the layer spool of {self._max_bytes:,} bytes "
                f"within {self._timeout_seconds:g} seconds.",
                hint="Give the spool more room, or run fewer scans at a time.",
            ) from error

    def give_back(self, size: int) -> None:
        """Gives back what was taken."""
        self._used -= size
        self._freed.set()

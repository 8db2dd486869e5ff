"""The disk of a scanner's spool is full."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
from contextlib import suppress
from pathlib import Path

from tests.chaos.crew import SPOOL_BYTES
from tests.chaos.stage import Stage

_STEP = b"\0" * 4096


@dataclasses.dataclass(frozen=True, slots=True)
class DiskFull:
    """Somebody else fills the file system up to its last byte, and tidies up later."""

    hand: str
    seconds: float

    async def strike(self, stage: Stage) -> None:
        """Fills what the scanner has for itself; where no file system can be mounted for it, nothing happens."""
        hand = stage.crew.named(self.hand)
        async with hand.busy:
            spool = hand.spool
            if spool is None or not _is_small(spool):
                return
            ballast = spool / "ballast"
            try:
                _fill(ballast)
                await asyncio.sleep(self.seconds)
            finally:
                with suppress(OSError):
                    ballast.unlink(missing_ok=True)


def _is_small(folder: Path) -> bool:
    """Whether it is the scanner's own file system: a process that just starts may still see the machine's disk."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_blocks * found.f_frsize <= SPOOL_BYTES


def _fill(ballast: Path) -> None:
    try:
        with ballast.open("wb", buffering=0) as file:
            for _ in range(SPOOL_BYTES // len(_STEP) + 1):
                file.write(_STEP)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise

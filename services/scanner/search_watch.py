"""Watching the search: clamd comes, goes and gets new signatures, and what is scanned then is scanned anew."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from services.kernel.wakeup import wait
from services.scanner.inspectors.clamd import Clamd
from services.scanner.search import Search, ask_clamd

log = structlog.get_logger()

_LOOK_SECONDS: Final = 15.0


class SearchWatch:
    """Knows what a scan that began now would look for."""

    def __init__(self, search: Search, clamd: Clamd | None) -> None:
        """Begins with a search that asks nobody."""
        self._search = search
        self._clamd = clamd
        self.now = search
        """What is looked for at this moment."""

    async def look(self) -> None:
        """Asks clamd which signatures it has; without one there is nothing to ask."""
        found = await asyncio.to_thread(ask_clamd, self._search, self._clamd)
        if found == self.now:
            return
        self.now = found
        asked = found.inspection.clamd if found.inspection is not None else None
        if asked is not None:
            log.info("clamd.found", release=asked.release)
        else:
            log.warning("clamd.away", message=found.complaints[-1].message)

    async def run(self, stopping: asyncio.Event) -> None:
        """Looks every quarter of a minute until `stopping`."""
        while self._clamd is not None and not await wait(stopping, _LOOK_SECONDS):
            await self.look()

"""Watching the advisory file: a process knows which one is current without asking at each scan."""

from __future__ import annotations

import asyncio

import structlog

from services.kernel.errors import ServiceError
from services.kernel.wakeup import wait
from services.scanner.advisories.database import Meta
from services.scanner.advisories.files import AdvisoryFiles

log = structlog.get_logger()

_LOOK_SECONDS = 2.0


class AdvisoryWatch:
    """Follows the swap of the current file."""

    def __init__(self, files: AdvisoryFiles) -> None:
        self._files = files
        self._meta: Meta | None = None

    @property
    def version(self) -> str:
        """Version of the current file.

        Raises:
            RuntimeError: `open` was not called.
        """
        if self._meta is None:
            raise RuntimeError("the advisories were not opened")
        return self._meta.version

    async def open(self) -> None:
        """Reads which file is current; makes the packaged sample when none was ever imported.

        Raises:
            ServiceError: ADVISORIES_UNREADABLE.
        """
        self._meta = await asyncio.to_thread(self._read)

    async def run(self, stopping: asyncio.Event) -> None:
        """Looks every two seconds until `stopping`; while the new file cannot be read the old one counts."""
        while not await wait(stopping, _LOOK_SECONDS):
            try:
                meta = await asyncio.to_thread(self._read)
            except (ServiceError, OSError) as error:
                log.warning("advisories.unreadable", error=str(error))
                continue
            if self._meta is None or meta.version != self._meta.version:
                log.info("advisories.swapped", version=meta.version, records=meta.records)
                self._meta = meta

    def _read(self) -> Meta:
        self._files.ensure()
        database = self._files.open()
        try:
            return database.meta
        finally:
            database.close()

"""Watching the advisories: a process knows which file is current without asking at each scan."""

from __future__ import annotations

import asyncio

import structlog

from services.kernel.db import is_outage
from services.kernel.errors import Kind, ServiceError
from services.kernel.wakeup import wait
from services.scanner.advisories.database import Meta
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.advisories.shared import SharedAdvisories

log = structlog.get_logger()

_LOOK_SECONDS = 2.0
_SHARE_AGAIN_SECONDS = 60.0
"""After a failure: a damaged file would else be fetched again and again."""


class AdvisoryWatch:
    """Follows the swap of the current file, and shares it with the other nodes."""

    def __init__(self, files: AdvisoryFiles, shared: SharedAdvisories) -> None:
        self._files = files
        self._shared = shared
        self._meta: Meta | None = None
        self._trouble: ServiceError | None = None
        self._share_at = float("-inf")

    @property
    def version(self) -> str:
        """Version of the current file.

        Raises:
            RuntimeError: `open` was not called.
        """
        return self.meta.version

    @property
    def meta(self) -> Meta:
        """What the file was when it could last be read; see `trouble`.

        Raises:
            RuntimeError: `open` was not called.
        """
        if self._meta is None:
            raise RuntimeError("the advisories were not opened")
        return self._meta

    @property
    def trouble(self) -> ServiceError | None:
        """Why the current file cannot be read at present; None when it can."""
        return self._trouble

    async def open(self) -> None:
        """Reads which file is current; makes the packaged sample when none was ever imported on any node.

        Raises:
            ServiceError: ADVISORIES_UNREADABLE.
        """
        await self._synchronise()
        self._meta = await asyncio.to_thread(self._read)

    async def run(self, stopping: asyncio.Event) -> None:
        """Looks every two seconds until `stopping`; while the new file cannot be read the old one counts."""
        while not await wait(stopping, _LOOK_SECONDS):
            await self._synchronise()
            try:
                meta = await asyncio.to_thread(self._read)
            except (ServiceError, OSError) as error:
                log.warning("advisories.unreadable", error=str(error))
                self._trouble = error if isinstance(error, ServiceError) else _unreadable(error)
                continue
            self._trouble = None
            if self._meta is None or meta.version != self._meta.version:
                log.info("advisories.swapped", version=meta.version, records=meta.records)
                self._meta = meta

    async def _synchronise(self) -> None:
        """What cannot be shared now is shared a minute later; what is here serves meanwhile."""
        now = asyncio.get_running_loop().time()
        if now < self._share_at:
            return
        self._share_at = now + _SHARE_AGAIN_SECONDS
        try:
            await self._shared.synchronise()
        except ServiceError as error:
            if error.kind is not Kind.ABORTED:  # an import is running, which brings something younger anyway
                log.warning("advisories.not_shared", reason=error.reason, message=error.message)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("advisories.not_shared", error=type(error).__name__)
        else:
            self._share_at = now

    def _read(self) -> Meta:
        self._files.ensure()
        database = self._files.open()
        try:
            return database.meta
        finally:
            database.close()


def _unreadable(error: OSError) -> ServiceError:
    return ServiceError(
        Kind.UNAVAILABLE, "ADVISORIES_UNREADABLE", f"The advisory file cannot be read ({type(error).__name__})."
    )

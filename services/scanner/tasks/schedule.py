"""Scheduling: a scan exists once, and is worked on when somebody wants it and nobody has done it."""

from __future__ import annotations

from typing import Protocol

from services.kernel.db import Connection
from services.kernel.model.engine import Engine
from services.kernel.reasons import Reason, Retry
from services.scanner.api import State
from services.scanner.inspectors.clamd import CLAMD_FAILED, CLAMD_UNAVAILABLE
from services.scanner.records import ImageAddress, ScanKey, ScanRecord
from services.scanner.store import ScannerStore

LANE_PUSH = 0
LANE_PERSON = 1


class EngineVersions(Protocol):
    """Says what a scan that began now would be made with."""

    def engine_version(self, engine: Engine) -> str:
        """Returns the version of the engine with all that changes its results."""
        ...

    def advisories_version(self) -> str:
        """Returns the version of the advisories that this process has open."""
        ...


class Scheduler:
    """Makes sure that a scan is done or will be."""

    def __init__(self, store: ScannerStore, versions: EngineVersions) -> None:
        self._store = store
        self._versions = versions

    def key(self, image: ImageAddress, engine: Engine) -> ScanKey:
        """Returns the key of a scan of the image with what this process has now."""
        return ScanKey(
            instance_id=image.instance_id,
            digest=image.digest,
            engine=engine,
            engine_version=self._versions.engine_version(engine),
            advisories_version=self._versions.advisories_version(),
        )

    async def ensure(
        self, db: Connection, key: ScanKey, image: ImageAddress, *, lane: int, platform: str = ""
    ) -> ScanRecord:
        """Returns the scan of that key, locked, as it stands.

        A new one, or one whose failure may have passed, is put to work; one under way moves to the better lane;
        one that ended well, or can never end well, stays as it is. One that ended without an answer of somebody
        who was asked stays, too, and readable: another one follows it.
        """
        scan = await self._saved(db, key, image, platform)
        while lacks_an_answer(scan):
            scan = await self._saved(db, key.following(scan.scan_id), image, platform)
        if scan.outcome.state is State.PENDING:
            await self._store.enqueue(db, scan.scan_id, lane)
            await self._store.announce_work(db)
        elif not scan.outcome.state.ended:
            await self._store.hasten(db, scan.scan_id, lane)
        return scan

    async def _saved(self, db: Connection, key: ScanKey, image: ImageAddress, platform: str) -> ScanRecord:
        """Returns the scan of that key, locked, begun anew if its failure may have passed."""
        await self._store.insert_scan(db, key, image, platform)
        scan = await self._store.lock_scan(db, key.scan_id)
        if scan.outcome.state is State.FAILED and may_have_passed(scan.outcome.reason):
            await self._store.restart_scan(db, key, image.namespace, image.repository)
            scan = await self._store.lock_scan(db, key.scan_id)
        return scan


def lacks_an_answer(scan: ScanRecord) -> bool:
    """Tells whether clamd, which the scan was to be made with, failed it: in its midst, or before it began."""
    if scan.outcome.state is not State.COMPLETE:
        return False
    return scan.outcome.reason == CLAMD_FAILED or (scan.outcome.reason == CLAMD_UNAVAILABLE and not scan.key.lacks)


def may_have_passed(reason: str) -> bool:
    """Tells whether a scan that failed for this reason may end otherwise when it is asked for again."""
    return reason not in Reason.__members__ or Reason[reason].retry is not Retry.NEVER

"""Scheduling: a scan exists once, and is worked on when somebody wants it and nobody has done it."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from services.kernel.db import Connection
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.reasons import Reason, Retry
from services.scanner.api import State
from services.scanner.inspectors.clamd import CLAMD_FAILED
from services.scanner.records import ImageAddress, ScanKey, ScanRecord
from services.scanner.store import ScannerStore
from services.scanner.tasks.verdict import ENGINE_FAILED

_UNANSWERED = frozenset({CLAMD_FAILED, ENGINE_FAILED})
"""Reasons of a scan that ended well without all that was asked of it."""
LANE_PUSH = 0
LANE_PERSON = 1


class EngineVersions(Protocol):
    """Says what a scan that began now would be made with."""

    def engine_version(self, engine: Engine) -> str:
        """Returns the version of the engine with all that changes its results."""
        ...

    def advisories_version(self, engine: Engine) -> str:
        """Returns the version of the advisories that this process has open for the engine."""
        ...


class Scheduler:
    """Makes sure that a scan is done or will be."""

    def __init__(self, store: ScannerStore, versions: EngineVersions) -> None:
        self._store = store
        self._versions = versions

    def key(self, instance_id: str, digest: Digest, engine: Engine) -> ScanKey:
        """Returns the key of a scan of an instance's image with what this process has now."""
        return ScanKey(
            instance_id=instance_id,
            digest=digest,
            engine=engine,
            engine_version=self._versions.engine_version(engine),
            advisories_version=self._versions.advisories_version(engine),
        )

    def part_keys(self, whole: ScanKey, digest: Digest) -> tuple[ScanKey, ...]:
        """Returns the keys of a platform's scans, of which a scan consists: one for each engine that was asked."""
        if whole.engine is not Engine.ALL:
            return (dataclasses.replace(whole, digest=digest),)
        return tuple(self.key(whole.instance_id, digest, member) for member in whole.engine.members)

    async def ensure(
        self, db: Connection, key: ScanKey, image: ImageAddress, *, lane: int, platform: str = ""
    ) -> ScanRecord:
        """Returns the scan of that key, locked, as it stands.

        A new one, or one whose failure may have passed, is put to work; one under way moves to the better lane;
        one that ended well, or can never end well, stays as it is. One that ended without an answer of somebody
        who was asked, or without one of its engines, stays, too, and readable: another one follows it.
        """
        scan = await self._locked(db, key, image, platform)
        if scan.outcome.state is State.FAILED and may_have_passed(scan.outcome.reason):
            await self._store.restart_scan(db, key, image.namespace, image.repository)
            scan = await self._store.lock_scan(db, key.scan_id)
        if scan.outcome.state is State.COMPLETE and scan.outcome.reason in _UNANSWERED:
            return await self.ensure(db, key.following(scan.scan_id), image, lane=lane, platform=platform)
        if scan.outcome.state is State.PENDING:
            await self._store.enqueue(db, key.scan_id, lane)
            await self._store.announce_work(db)
        elif not scan.outcome.state.ended:
            await self._store.hasten(db, key.scan_id, lane)
        return scan

    async def _locked(self, db: Connection, key: ScanKey, image: ImageAddress, platform: str) -> ScanRecord:
        while True:
            await self._store.insert_scan(db, key, image, platform)
            try:
                return await self._store.lock_scan(db, key.scan_id)
            except LookupError:  # it was there, and went with the image that it was of while we waited: a new one
                continue


def may_have_passed(reason: str) -> bool:
    """Tells whether a scan that failed for this reason may end otherwise when it is asked for again."""
    return reason not in Reason.__members__ or Reason[reason].retry is not Retry.NEVER

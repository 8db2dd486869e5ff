"""Scheduling: a scan exists once, and is worked on when somebody wants it and nobody has done it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

from services.kernel.db import Connection
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.reasons import Reason, Retry
from services.scanner.api import State
from services.scanner.inspectors.clamd import CLAMD_FAILED, CLAMD_UNAVAILABLE
from services.scanner.records import ImageAddress, ScanKey, ScanRecord
from services.scanner.store import ScannerStore
from services.scanner.tasks.verdict import ENGINE_FAILED


class EngineVersions(Protocol):
    """Says what a scan that began now would be made with."""

    def engine_version(self, engine: Engine) -> str:
        """Returns the version of the engine with all that changes its results."""
        ...

    def advisories_version(self, engine: Engine) -> str:
        """Returns the version of the advisories that this process has open for the engine."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A scan that somebody waits for."""

    key: ScanKey
    image: ImageAddress
    """Where its content can be read."""
    lane: int
    platform: str = ""
    """Where it is known."""


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

    async def ensure(self, db: Connection, wanted: Sequence[Wanted]) -> Mapping[str, ScanRecord]:
        """Returns the scans that are wanted by their ids, locked, as they stand.

        A new one, or one whose failure may have passed, is put to work; one under way moves to the better lane;
        one that ended well, or can never end well, stays as it is. One that ended without an answer of somebody
        who was asked, or without one of its engines, stays, too, and readable: another one follows it, and is
        returned in its place. Locks are taken in the order of ids; those of followers, after all others.
        """
        by_id = {each.key.scan_id: each for each in sorted(wanted, key=lambda each: -each.lane)}
        await self._store.hold_scans(
            db, [(each.key, each.image, each.platform) for _, each in sorted(by_id.items())]
        )
        scans = dict(await self._store.scans(db, list(by_id)))
        for scan_id, scan in scans.items():
            if scan.outcome.state is State.FAILED and may_have_passed(scan.outcome.reason):
                image = by_id[scan_id].image
                await self._store.restart_scan(db, by_id[scan_id].key, image.namespace, image.repository)
                scans[scan_id] = await self._store.lock_scan(db, scan_id)
        waiting = [each for each in wanted if scans[each.key.scan_id].outcome.state is State.PENDING]
        if waiting:
            shares = [(each, f"{each.image.instance_id}/{each.image.namespace}") for each in waiting]
            await self._store.enqueue(db, [(each.key.scan_id, each.lane, share) for each, share in shares])
            await self._store.announce_work(db)
        for scan_id, each in by_id.items():
            state = scans[scan_id].outcome.state
            if state is not State.PENDING and not state.ended:
                await self._store.hasten(db, scan_id, each.lane)
        lacking = [each for each in wanted if lacks_an_answer(scans[each.key.scan_id])]
        return {**scans, **await self._follow(db, lacking)}

    async def _follow(self, db: Connection, wanted: Sequence[Wanted]) -> Mapping[str, ScanRecord]:
        """Returns the scans that make up for what those that were wanted lack, by the ids of the latter."""
        if not wanted:
            return {}
        keys = {each.key.scan_id: each.key.following(each.key.scan_id) for each in wanted}
        scans = await self.ensure(db, [dataclasses.replace(each, key=keys[each.key.scan_id]) for each in wanted])
        return {scan_id: scans[key.scan_id] for scan_id, key in keys.items()}


def lacks_an_answer(scan: ScanRecord) -> bool:
    """Tells whether a scan that ended well lacks one of its engines, or clamd, which it was to be made with.

    It does not matter whether clamd failed in its midst or before it began.
    """
    if scan.outcome.state is not State.COMPLETE:
        return False
    reason = scan.outcome.reason
    return reason in (CLAMD_FAILED, ENGINE_FAILED) or (reason == CLAMD_UNAVAILABLE and not scan.key.lacks)


def may_have_passed(reason: str) -> bool:
    """Tells whether a scan that failed for this reason may end otherwise when it is asked for again."""
    return reason not in Reason.__members__ or Reason[reason].retry is not Retry.NEVER

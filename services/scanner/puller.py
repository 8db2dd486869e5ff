"""Pulling: which repository a scan's content is read from, and with which credentials."""

from __future__ import annotations

from services.kernel.db import Pool
from services.kernel.model.access import RegistryAccess
from services.kernel.model.reference import RepositoryName
from services.rules.api import RulesApi
from services.scanner.application import OpenSource
from services.scanner.images.interface import ImageIndex
from services.scanner.pipeline.scan import ScanPipeline
from services.scanner.reasons import Reason, ScanFailure
from services.scanner.records import ScannedImage, ScanRecord
from services.scanner.store import ScannerStore

_MISSING = frozenset({Reason.IMAGE_NOT_FOUND, Reason.BLOB_NOT_FOUND})


class Puller:
    """Runs the pipeline on a scan's content, wherever the instance still has it."""

    def __init__(
        self, *, pool: Pool, store: ScannerStore, rules: RulesApi, open_source: OpenSource, pipeline: ScanPipeline
    ) -> None:
        self._pool = pool
        self._store = store
        self._rules = rules
        self._open_source = open_source
        self._pipeline = pipeline

    async def scan(self, scan: ScanRecord) -> ScannedImage | ImageIndex:
        """Scans, from the repository that asked first or, where that has lost it, from the others that wait.

        Credentials are asked for now, not when the scan was queued: they may have changed since.

        Raises:
            ScanFailure: the scan cannot be done.
            ServiceError: the instance cannot be asked for, or may not be scanned.
        """
        access = await self._rules.registry_access(scan.key.instance_id)
        first = RepositoryName(namespace=scan.namespace, name=scan.repository)
        try:
            return await self._scan_from(access, first, scan)
        except ScanFailure as failure:
            if failure.why not in _MISSING:
                raise
            missing = failure
        async with self._pool.acquire() as db:
            waiting = await self._store.repositories_of(db, scan.scan_id)
        for other in waiting:
            if other == first:
                continue
            try:
                return await self._scan_from(access, other, scan)
            except ScanFailure as failure:
                if failure.why not in _MISSING:
                    raise
        raise missing

    async def _scan_from(
        self, access: RegistryAccess, name: RepositoryName, scan: ScanRecord
    ) -> ScannedImage | ImageIndex:
        digest = scan.key.digest
        async with self._open_source(access, name) as source:
            return await self._pipeline.scan(source, name=digest, reference=digest)

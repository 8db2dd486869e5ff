"""Pulling: where a scan's content is read from, and with which credentials."""

from __future__ import annotations

from services.kernel.model.reference import RepositoryName
from services.registry.ask import OpenSource
from services.registry.interface import ImageIndex
from services.rules.api import RulesApi
from services.scanner.pipeline.scan import ScanPipeline
from services.scanner.records import Lease, ScannedImage, ScanRecord


class Puller:
    """Runs the pipeline on a scan's content, in the repository that the scan names."""

    def __init__(self, *, rules: RulesApi, open_source: OpenSource, pipeline: ScanPipeline) -> None:
        self._rules = rules
        self._open_source = open_source
        self._pipeline = pipeline

    async def scan(self, lease: Lease, scan: ScanRecord) -> ScannedImage | ImageIndex:
        """Scans under a lease. Whether another repository is asked after a failure is decided where it is noted.

        Credentials are asked for now, not when the scan was queued: they may have changed since.

        Raises:
            ScanFailure: the scan cannot be done.
            ServiceError: the instance cannot be asked for, or may not be scanned.
        """
        access = await self._rules.registry_access(scan.key.instance_id)
        digest, name = scan.key.digest, RepositoryName(namespace=scan.namespace, name=scan.repository)
        async with self._open_source(access, name) as source:
            return await self._pipeline.scan(source, name=digest, reference=digest, lease=lease)

"""Pulling: where a scan's content is read from, with which credentials, and which engine looks at it."""

from __future__ import annotations

from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.reference import RepositoryName
from services.kernel.reasons import ScanFailure
from services.registry.ask import OpenSource
from services.registry.interface import Descriptor, ImageIndex, ImageSource, IndexChild
from services.registry.limits import ImageLimits
from services.registry.resolve import resolve
from services.rules.api import RulesApi
from services.scanner.pipeline.scan import ScanPipeline
from services.scanner.records import Lease, ScannedImage, ScanRecord
from services.scanner.tasks.loans import Loans, refused
from services.scanner.trivy.scan import TrivyScan


class Puller:
    """Has a scan's engine look at its content, in the repository that the scan names."""

    def __init__(
        self,
        *,
        rules: RulesApi,
        loans: Loans,
        open_source: OpenSource,
        pipeline: ScanPipeline,
        trivy: TrivyScan,
        limits: ImageLimits,
    ) -> None:
        self._rules = rules
        self._loans = loans
        self._open_source = open_source
        self._pipeline = pipeline
        self._trivy = trivy
        self._limits = limits

    async def scan(self, lease: Lease, scan: ScanRecord) -> ScannedImage | ImageIndex:
        """Scans under a lease. Whether another repository is asked after a failure is decided where it is noted.

        Credentials are asked for now, not when the scan was queued: they may have changed since. Where a loan is
        used in their place, rules still says whether the instance may be scanned at all.

        Raises:
            ScanFailure: the scan cannot be done.
            ServiceError: the instance cannot be asked for, or may not be scanned.
        """
        access = await self._rules.registry_access(scan.key.instance_id)
        if not scan.lender:
            return await self._pull(lease, scan, access)
        access = self._loans.open(scan.lender, scan.loan)
        try:
            return await self._pull(lease, scan, access)
        except ScanFailure as failure:
            raise refused(failure) from failure

    async def _pull(self, lease: Lease, scan: ScanRecord, access: RegistryAccess) -> ScannedImage | ImageIndex:
        digest, name = scan.key.digest, RepositoryName(namespace=scan.namespace, name=scan.repository)
        async with self._open_source(access, name) as source:
            match scan.key.engine:
                case Engine.SECURITY_CENTER:
                    return await self._pipeline.scan(source, name=digest, reference=digest, lease=lease)
                case Engine.TRIVY:
                    return await self._trivy.scan(source, name=digest, reference=digest)
                case Engine.ALL:
                    return await self._platforms(source, digest)

    async def _platforms(self, source: ImageSource, digest: Digest) -> ImageIndex:
        """Returns the platforms that several engines will scan: of an index its own, of one image itself."""
        resolved = await resolve(source, digest, None, self._limits)
        if isinstance(resolved, ImageIndex):
            return resolved
        itself = Descriptor(media_type="", digest=digest, size=0)
        return ImageIndex(
            digest=digest, children=(IndexChild(descriptor=itself, platform=resolved.config.platform),)
        )

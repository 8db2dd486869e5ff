"""Proving a fix: the fixed image is scanned like any other, and what the scan says is attached to it."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from services.fixer.order import FixOrder, PlatformPlan
from services.fixer.proof.verdicts import judge
from services.fixer.proof.vex import MEDIA_TYPE as VEX
from services.fixer.proof.vex import to_openvex
from services.fixer.reports import Reports, ScannedImage, unproven
from services.formats.in_toto import MEDIA_TYPE as IN_TOTO
from services.formats.in_toto import to_vulns_attestation
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.report import Report
from services.registry.interface import Descriptor
from services.registry.push import RegistryPush
from services.registry.referrers import EMPTY, EMPTY_TYPE, artifact, attach

_SCANS: Final = uuid.UUID("3f0a8d7e-52c4-5a2b-9d0e-70726f766564")
"""Namespace of the requests for scans: the same fix asks for the same scan, also after a crash."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the scan says."""

    scan_task_id: str
    platforms: tuple[PlatformPlan, ...]
    """With verdicts."""
    new: int
    attached: Mapping[str, str]
    """Digests of what is attached, by kind and platform, as in `vex linux/amd64`."""


class Prover:
    """Has fixed images scanned, judges what came of them, and attaches it."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    async def prove(
        self,
        order: FixOrder,
        plans: Sequence[PlatformPlan],
        before: ScannedImage,
        push: RegistryPush,
        *,
        repository: str,
        tag: str,
        digest: Digest,
        subjects: Mapping[str, Descriptor],
    ) -> Proof:
        """Proves one fix. Doing it twice is doing it once.

        Args:
            order: what was asked for.
            plans: what was done, with the digests of the fixed images.
            before: the reports that the fix rested on.
            push: the repository.
            repository: `HOST/PATH` of it, for documents.
            tag: that was written.
            digest: what it holds.
            subjects: the manifests of fixed platforms, by platform.

        Raises:
            FixFailure: RESCAN_FAILED.
            PushRefused, ScanFailure: nothing can be attached.
        """
        request_id = str(uuid.uuid5(_SCANS, f"{order.task_id} {digest}"))
        after = await self._reports.after(order, tag=tag, digest=digest, request_id=request_id)
        platforms: list[PlatformPlan] = []
        attached: dict[str, str] = {}
        new = 0
        for plan in plans:
            name = str(plan.platform)
            if not plan.fixed_digest:
                platforms.append(plan)
                continue
            report = after.reports.get(name)
            if report is None or report.image.digest != plan.fixed_digest:
                raise unproven(f"its scan has no report on {plan.fixed_digest} for {name}.")
            judged = judge(plan.outcomes, before.reports[name], report)
            new += judged.new
            platforms.append(dataclasses.replace(plan, outcomes=judged.outcomes))
            documents = self._documents(platforms[-1], report, repository, tag)
            for kind, (media_type, content) in documents.items():
                subject = subjects[name]
                attached[f"{kind} {name}"] = await _attach(push, subject, media_type, content)
        return Proof(scan_task_id=after.task_id, platforms=tuple(platforms), new=new, attached=attached)

    def _documents(
        self, platform: PlatformPlan, report: Report, repository: str, tag: str
    ) -> Mapping[str, tuple[str, bytes]]:
        moment = datetime.fromisoformat(report.scanned_at or report.advisories.built_at)
        vex = to_openvex(platform, report, repository=repository, tag=tag, moment=moment)
        statement = to_vulns_attestation(report, name=f"{repository}:{tag}")
        return {"vex": (VEX, vex), "attestation": (IN_TOTO, msgspec.json.encode(statement))}


async def _attach(push: RegistryPush, subject: Descriptor, media_type: str, content: bytes) -> Digest:
    """Attaches one document; its manifest and its one blob have its media type."""
    empty = Descriptor(media_type=EMPTY_TYPE, digest=digest_of(EMPTY), size=len(EMPTY))
    blob = Descriptor(media_type=media_type, digest=digest_of(content), size=len(content))
    await push.upload(empty, EMPTY)
    await push.upload(blob, content)
    raw = artifact(subject, media_type, [blob])
    await attach(push, subject.digest, raw)
    return raw.digest

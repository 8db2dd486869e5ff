"""The lists of what is in files: baseline risks and malicious samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.requests import from_page
from services.gateway.acr.scans import BusinessFailure, Scans
from services.gateway.acr.translate import in_order, to_milliseconds
from services.gateway.acr.words import from_level, to_level, to_threat
from services.kernel.model.engine import Engine
from services.kernel.model.finding import Finding, FindingKind
from services.kernel.model.severity import Severity
from services.scanner.api import FindingFilter, State, Task

_SEARCHERS = (Engine.SECURITY_CENTER, Engine.ALL)
"""Engines that look into files, or are a pair of which one does."""
_NOT_SEARCHED = "NOT_SCANNED_BY_SAS"
_NUMBERS = {"IMAGE_NOT_SCANNED": 404, _NOT_SEARCHED: 404, "SCAN_NOT_COMPLETE": 409}
_OTHER_NUMBER = 500


class Contents:
    """Asks the scanner in the reference's words; an image that nobody searched is never said to be clean."""

    def __init__(self, scans: Scans) -> None:
        self._scans = scans

    async def baselines(
        self, request: pb.ListScanBaselineByTaskRequest, request_id: str
    ) -> pb.ListScanBaselineByTaskResponse:
        """Lists a page of the baseline risks."""
        window = from_page(request.page_no, request.page_size)
        severities = from_level(request.level, threats=False)
        task, found = await self._found(request, FindingKind.BASELINE_RISK, severities)
        return pb.ListScanBaselineByTaskResponse(
            code=0,
            is_success=True,
            request_id=request_id,
            page_no=window.number,
            page_size=window.size,
            total_count=len(found),
            scan_baselines=[_to_baseline(each, task) for each in found[window.begin : window.begin + window.size]],
        )

    async def malicious(
        self, request: pb.ListScanMaliciousFileByTaskRequest, request_id: str
    ) -> pb.ListScanMaliciousFileByTaskResponse:
        """Lists a page of the malicious files."""
        window = from_page(request.page_no, request.page_size)
        severities = from_level(request.level, threats=True)
        task, found = await self._found(request, FindingKind.MALICIOUS_SAMPLE, severities)
        page = found[window.begin : window.begin + window.size]
        return pb.ListScanMaliciousFileByTaskResponse(
            code=0,
            is_success=True,
            request_id=request_id,
            page_no=window.number,
            page_size=window.size,
            total_count=len(found),
            scan_malicious_files=[_to_malicious(each, task) for each in page],
        )

    async def _found(
        self,
        request: pb.ListScanBaselineByTaskRequest | pb.ListScanMaliciousFileByTaskRequest,
        kind: FindingKind,
        severities: frozenset[Severity],
    ) -> tuple[Task, Sequence[Finding]]:
        wanted = FindingFilter(kinds=frozenset({kind}), severities=severities)
        image = await self._scans.image(request)
        newest = await self._scans.findings(image, wanted)
        if await self._searched(newest.task):
            return newest.task, in_order(placed.finding for placed in newest.findings)
        if image.task_id:
            raise BusinessFailure(_NOT_SEARCHED)
        # The newest scan looked at packages only: what an older one found in the same digest still stands.
        same = dataclasses.replace(image, digest=newest.task.digest)
        reason = _NOT_SEARCHED
        for engine in _SEARCHERS:
            try:
                found = await self._scans.findings(dataclasses.replace(same, engine=engine), wanted)
            except BusinessFailure as failure:
                if failure.code != "IMAGE_NOT_SCANNED":
                    reason = failure.code
            else:
                if not await self._searched(found.task):
                    continue
                return found.task, in_order(placed.finding for placed in found.findings)
        raise BusinessFailure(reason)

    async def _searched(self, task: Task) -> bool:
        """Tells whether files were looked into: of two engines, the one that does may have failed."""
        if task.engine is not Engine.ALL:
            return task.engine in _SEARCHERS
        ends = [part.state for part in await self._scans.parts(task) if part.engine is Engine.SECURITY_CENTER]
        return bool(ends) and all(end is State.COMPLETE for end in ends)


def to_number(failure: BusinessFailure) -> int:
    """Returns the number of a business failure, where the reference has an integer for its code."""
    return _NUMBERS.get(failure.code, _OTHER_NUMBER)


def _to_baseline(finding: Finding, task: Task) -> pb.ScanBaseline:
    level = to_level(finding.severity)
    return pb.ScanBaseline(
        scan_task_id=task.task_id,
        baseline_class_alias=finding.id.partition("-")[0],
        baseline_name_alias=finding.title,
        baseline_name_key=finding.id,
        baseline_name_level=level,
        baseline_detail_advice=finding.advice,
        baseline_detail_description=" ".join(part for part in (finding.title, finding.link) if part),
        baseline_detail_prompt=_prompt(finding),
        baseline_item_count=1,
        high_risk_item_count=int(level == "high"),
        middle_risk_item_count=int(level == "medium"),
        low_risk_item_count=int(level == "low"),
        create_time=to_milliseconds(task.created_at),
        update_time=to_milliseconds(task.ended_at or task.created_at),
        first_scan_time=to_milliseconds(task.created_at),
    )


def _prompt(finding: Finding) -> str:
    place = f"{finding.path}:{finding.line}" if finding.line else finding.path
    gone = " (deleted by a later layer, and still in the image)" if finding.deleted else ""
    return f"{place}{gone}: {finding.match}" if finding.match else f"{place}{gone}"


def _to_malicious(finding: Finding, task: Task) -> pb.ScanMaliciousFile:
    return pb.ScanMaliciousFile(
        scan_task_id=task.task_id,
        file_path=finding.path,
        malicious_name=finding.title or finding.id,
        malicious_md5=finding.md5,
        level=to_threat(finding.severity),
        create_time=to_milliseconds(task.created_at),
        update_time=to_milliseconds(task.ended_at or task.created_at),
        first_scan_time=to_milliseconds(task.created_at),
    )

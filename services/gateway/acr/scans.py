"""The scan actions: create, status, summary, result."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.requests import NamesImage, from_image, from_page, required
from services.gateway.acr.translate import in_order, to_fix_command, to_summary, to_vulnerability
from services.gateway.acr.words import (
    from_class,
    from_scan_service,
    from_scan_type,
    from_severity,
    to_scan_service,
    to_status,
)
from services.gateway.editions import Editions
from services.kernel.errors import ServiceError, invalid
from services.kernel.model.digest import parse_digest
from services.kernel.model.finding import VULNERABILITIES, Finding
from services.kernel.model.reference import parse_tag
from services.kernel.model.report import Coverage
from services.scanner.api import FindingFilter, Findings, ImageQuery, PlatformScan, ScannerApi, State, Task

T = TypeVar("T")
_BUSINESS_FAILURES = frozenset({"IMAGE_NOT_SCANNED", "SCAN_NOT_COMPLETE"})
"""Answers, not errors, in the reference: the call was right, there is only nothing to tell yet."""


class BusinessFailure(Exception):
    """The call was right, and its answer has `is_success` false with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Scans:
    """Asks the scanner in the reference's words."""

    def __init__(self, scanner: ScannerApi, editions: Editions) -> None:
        self._scanner = scanner
        self._editions = editions

    async def create(self, request: pb.CreateRepoTagScanTaskRequest) -> Task:
        """Starts a task."""
        required("instance_id", request.instance_id)
        image = ImageQuery(
            instance=request.instance_id,
            repo_id=required("repo_id", request.repo_id),
            tag=parse_tag(required("tag", request.tag)),
            digest=parse_digest(request.digest) if request.digest else None,
        )
        engine = from_scan_service(request.scan_service)
        from_scan_type(request.scan_type)  # checked only: one scan serves both types
        instance = await self._editions.enterprise(request.instance_id)
        return await self._scanner.create_task(
            dataclasses.replace(image, instance=instance.instance_id), engine=engine
        )

    async def parts(self, task: Task) -> Sequence[PlatformScan]:
        """Returns the scans that a task consists of, by platform and engine."""
        whole = await self._scanner.get_task(task.task_id)
        return whole.platforms if isinstance(whole, Task) else ()

    async def status(self, request: pb.GetRepoTagScanStatusRequest) -> tuple[str, str, str]:
        """Returns status, scan service, and the reason where the status has one."""
        scan_type = from_scan_type(request.scan_type)
        image = await self.image(request)
        task = await _answered(self._scanner.image_status(image))
        return to_status(task, scan_type), to_scan_service(task.engine), task.reason

    async def summary(
        self, request: pb.GetRepoTagScanSummaryRequest, request_id: str
    ) -> pb.GetRepoTagScanSummaryResponse:
        """Counts the vulnerabilities."""
        found = await self._findings(request, FindingFilter(kinds=VULNERABILITIES))
        return to_summary((placed.finding.severity for placed in found.findings), request_id)

    async def result(
        self, request: pb.ListRepoTagScanResultRequest, request_id: str
    ) -> pb.ListRepoTagScanResultResponse:
        """Lists a page of the vulnerabilities."""
        window = from_page(request.page_no, request.page_size)
        write = _projection(request.filter_value)
        wanted = FindingFilter(
            kinds=from_class(request.scan_type),
            severities=from_severity(request.severity),
            id_contains=request.vul_query_key,
        )
        found = await self._findings(request, wanted)
        ordered = in_order(placed.finding for placed in found.findings)
        return pb.ListRepoTagScanResultResponse(
            code="success",
            is_success=True,
            request_id=request_id,
            page_no=window.number,
            page_size=window.size,
            total_count=len(ordered),
            vulnerabilities=[write(finding) for finding in ordered[window.begin : window.begin + window.size]],
        )

    async def findings(self, image: ImageQuery, wanted: FindingFilter) -> Findings:
        """Returns what the last complete scan found.

        Raises:
            BusinessFailure: there is none yet.
        """
        return await _answered(self._scanner.findings(image, wanted))

    async def image(self, request: NamesImage) -> ImageQuery:
        """Reads which image is meant, of an instance that may be asked about.

        Raises:
            ServiceError: INSTANCE_NOT_EXIST, EDITION_NOT_SUPPORTED, and what is wrong with the request.
        """
        image = from_image(request)
        instance = await self._editions.enterprise(image.instance)
        return dataclasses.replace(image, instance=instance.instance_id)

    async def _findings(self, request: NamesImage, wanted: FindingFilter) -> Findings:
        found = await self.findings(await self.image(request), wanted)
        if found.task.coverage is Coverage.NONE:
            # The status says FAILED; zero vulnerabilities here would say "clean".
            raise BusinessFailure(found.task.reason or "NOTHING_JUDGED")
        return found


def _projection(filter_value: str) -> Callable[[Finding], pb.Vulnerability]:
    if not filter_value:
        return to_vulnerability
    if filter_value == "FixCmd":
        return to_fix_command
    raise invalid(
        "INVALID_FILTER_VALUE",
        f"{filter_value[:40]!r} is no filter_value.",
        field="filter_value",
        hint="Leave it empty, or send FixCmd.",
    )


async def _answered(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except ServiceError as error:
        if error.reason in _BUSINESS_FAILURES:
            # Of a scan that failed nobody is to wait for results: its reason stands in their place.
            failed = error.metadata.get("state") == State.FAILED.value
            raise BusinessFailure((failed and error.metadata.get("reason")) or error.reason) from error
        raise

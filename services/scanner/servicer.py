"""The gRPC face of the scanner."""

from __future__ import annotations

from collections.abc import Sequence

from drydock.scanner.v1 import scanner_service_pb2 as pb
from drydock.scanner.v1 import scanner_service_pb2_grpc as rpc
from services.kernel.errors import Kind, ServiceError, invalid
from services.kernel.model.engine import parse_engine
from services.kernel.model.page import bad_token, decode_token, encode_token, page_size
from services.scanner.api import Findings, ImageQuery, PlacedFinding, ScannerApi
from services.scanner.convert import from_filter, from_image, from_state, to_finding, to_task

_MAX_DIGITS = 9


class ScannerServicer(rpc.ScannerServiceServicer):
    """ScannerService over ScannerApi."""

    def __init__(self, api: ScannerApi) -> None:
        self._api = api

    async def CreateScanTask(
        self, request: pb.CreateScanTaskRequest, context: object
    ) -> pb.CreateScanTaskResponse:
        """Starts a task."""
        task = await self._api.create_task(
            _named(from_image(request.image)),
            engine=parse_engine(request.engine) if request.engine else None,
            target_ids=tuple(request.target_ids),
            request_id=request.request_id,
        )
        return pb.CreateScanTaskResponse(task=to_task(task))

    async def GetScanTask(self, request: pb.GetScanTaskRequest, context: object) -> pb.GetScanTaskResponse:
        """Returns one task."""
        if not request.task_id:
            raise invalid("INVALID_TASK_ID", "The id of the task is missing.", field="task_id")
        return pb.GetScanTaskResponse(task=to_task(await self._api.get_task(request.task_id)))

    async def ListScanTasks(self, request: pb.ListScanTasksRequest, context: object) -> pb.ListScanTasksResponse:
        """Lists tasks."""
        page = await self._api.list_tasks(
            instance=request.instance,
            state=from_state(request.state),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListScanTasksResponse(
            tasks=[to_task(task) for task in page.items], next_page_token=page.next_token
        )

    async def GetImageStatus(
        self, request: pb.GetImageStatusRequest, context: object
    ) -> pb.GetImageStatusResponse:
        """Returns the newest task of an image."""
        task = await self._api.image_status(_named(from_image(request.image)))
        return pb.GetImageStatusResponse(task=to_task(task))

    async def ListFindings(self, request: pb.ListFindingsRequest, context: object) -> pb.ListFindingsResponse:
        """Lists a page of findings, all pages of one list from one result."""
        size = page_size(request.page_size)
        image, wanted = _named(from_image(request.image)), from_filter(request)
        question = (image, *sorted(wanted.kinds, key=str), *sorted(wanted.severities, key=str))
        question += (wanted.id_contains, wanted.platform, wanted.descending)
        position = decode_token(request.page_token, *question, length=2)
        found = await self._api.findings(image, wanted)
        begin = _begin(found, position)
        items: Sequence[PlacedFinding] = found.findings[begin : begin + size]
        end = begin + len(items)
        more = end < len(found.findings)
        return pb.ListFindingsResponse(
            findings=[to_finding(placed) for placed in items],
            next_page_token=encode_token((found.task.task_id, str(end)), *question) if more else "",
            total_size=len(found.findings),
            digest=found.task.digest,
            task_id=found.task.task_id,
        )

    async def GetReport(self, request: pb.GetReportRequest, context: object) -> pb.GetReportResponse:
        """Returns one platform's report."""
        report = await self._api.report(_named(from_image(request.image)), request.platform)
        return pb.GetReportResponse(report=report)


def _begin(found: Findings, position: tuple[str, ...] | None) -> int:
    if position is None:
        return 0
    task_id, begin = position
    if task_id != found.task.task_id:
        raise ServiceError(
            Kind.ABORTED,
            "RESULT_CHANGED",
            "A newer scan of the image finished while its findings were being listed.",
            hint="List again from the first page.",
        )
    if not (begin.isascii() and begin.isdecimal() and len(begin) <= _MAX_DIGITS):
        raise bad_token()
    return int(begin)


def _named(image: ImageQuery) -> ImageQuery:
    if not image.instance:
        raise invalid("INVALID_INSTANCE", "The instance is missing.", field="image.instance")
    if not image.repo_id and not image.repository:
        raise invalid(
            "INVALID_IMAGE",
            "The repository is missing.",
            field="image.repo_id",
            hint="Send repo_id, or namespace and repository.",
        )
    if not image.tag and image.digest is None:
        raise invalid("INVALID_IMAGE", "The image needs a tag or a digest.", field="image.tag")
    return image

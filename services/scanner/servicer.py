"""The gRPC face of the scanner."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence

from drydock.scanner.v1 import scanner_inner_service_pb2 as inner_pb
from drydock.scanner.v1 import scanner_inner_service_pb2_grpc as inner_rpc
from drydock.scanner.v1 import scanner_service_pb2 as pb
from drydock.scanner.v1 import scanner_service_pb2_grpc as rpc
from services.kernel.errors import Kind, ServiceError, invalid
from services.kernel.model.engine import parse_engines
from services.kernel.model.page import bad_token, decode_token, encode_token, page_size
from services.kernel.rpc import call_context
from services.kernel.rpc.server import Service
from services.scanner.api import Findings, ImageQuery, PlacedFinding, Run, ScannerApi
from services.scanner.convert import (
    from_filter,
    from_image,
    from_lent,
    from_query,
    from_wanted,
    to_finding,
    to_task,
)
from services.scanner.convert_comparison import to_comparison
from services.scanner.convert_gate import from_policy, to_standing, to_verdict
from services.scanner.convert_runs import from_task_filter, to_run
from services.scanner.convert_stream import from_since
from services.scanner.convert_sync import to_removal, to_seen_tag

_MAX_DIGITS = 9
_LONGEST_WAIT_SECONDS = 3600.0
_PART = 500
"""Findings in one message of a stream."""


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
            engine=parse_engines(request.engine) if request.engine else None,
            target_ids=tuple(request.target_ids),
            request_id=request.request_id,
        )
        return pb.CreateScanTaskResponse(task=to_task(task))

    async def GetScanTask(self, request: pb.GetScanTaskRequest, context: object) -> pb.GetScanTaskResponse:
        """Returns one task or one run."""
        found = await self._api.get_task(_task_id(request.task_id))
        if isinstance(found, Run):
            return pb.GetScanTaskResponse(run=to_run(found))
        return pb.GetScanTaskResponse(task=to_task(found))

    async def ListScanTasks(self, request: pb.ListScanTasksRequest, context: object) -> pb.ListScanTasksResponse:
        """Lists tasks."""
        wanted = from_task_filter(request)
        page = await self._api.list_tasks(wanted, page_size=request.page_size, page_token=request.page_token)
        return pb.ListScanTasksResponse(
            tasks=[to_task(task) for task in page.items], next_page_token=page.next_token
        )

    async def CancelScanTask(
        self, request: pb.CancelScanTaskRequest, context: object
    ) -> pb.CancelScanTaskResponse:
        """Calls off a task or a run."""
        found = await self._api.cancel_task(_task_id(request.task_id))
        if isinstance(found, Run):
            return pb.CancelScanTaskResponse(run=to_run(found))
        return pb.CancelScanTaskResponse(task=to_task(found))

    async def RerunScanTask(self, request: pb.RerunScanTaskRequest, context: object) -> pb.RerunScanTaskResponse:
        """Tries a task again, or what failed in a run."""
        found = await self._api.rerun_task(_task_id(request.task_id))
        if isinstance(found, Run):
            return pb.RerunScanTaskResponse(run=to_run(found))
        return pb.RerunScanTaskResponse(task=to_task(found))

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

    async def ListTags(self, request: pb.ListTagsRequest, context: object) -> pb.ListTagsResponse:
        """Lists the tags of a repository."""
        page = await self._api.list_tags(
            instance=request.instance,
            namespace=request.namespace,
            repository=request.repository,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListTagsResponse(tags=map(to_seen_tag, page.items), next_page_token=page.next_token)

    async def ListRemovals(self, request: pb.ListRemovalsRequest, context: object) -> pb.ListRemovalsResponse:
        """Lists what went of an instance."""
        page = await self._api.list_removals(
            instance=request.instance, page_size=request.page_size, page_token=request.page_token
        )
        return pb.ListRemovalsResponse(removals=map(to_removal, page.items), next_page_token=page.next_token)

    async def WaitScanVerdict(
        self, request: pb.WaitScanVerdictRequest, context: object
    ) -> pb.WaitScanVerdictResponse:
        """Waits for the end of a task, until shortly before the call's own end."""
        seconds = call_context.patience(_LONGEST_WAIT_SECONDS)
        return pb.WaitScanVerdictResponse(task=to_task(await self._api.wait_for_end(_waited(request), seconds)))

    async def WatchScan(
        self, request: pb.WatchScanRequest, context: object
    ) -> AsyncIterator[pb.WatchScanResponse]:
        """Streams how an image stands."""
        async for standing in self._api.watch(_waited(request)):
            yield to_standing(standing)

    async def EvaluateGate(self, request: pb.EvaluateGateRequest, context: object) -> pb.EvaluateGateResponse:
        """Gives a verdict."""
        image, policy = _named(from_image(request.image)), from_policy(request.policy)
        answer = await self._api.evaluate_gate(image, policy, request.platform)
        return pb.EvaluateGateResponse(verdict=to_verdict(answer))

    async def ReadFindingEvents(
        self, request: pb.ReadFindingEventsRequest, context: object
    ) -> pb.ReadFindingEventsResponse:
        """Reads on in the stream of findings."""
        events, cursor = await self._api.finding_events(
            since=from_since(request), cursor=request.cursor, limit=request.limit
        )
        return pb.ReadFindingEventsResponse(events=events, cursor=cursor)

    async def ListOpenFindings(
        self, request: pb.ListOpenFindingsRequest, context: object
    ) -> pb.ListOpenFindingsResponse:
        """Lists what is open in the stream of findings."""
        page = await self._api.open_findings(
            instance=request.instance, page_size=request.page_size, page_token=request.page_token
        )
        return pb.ListOpenFindingsResponse(events=page.items, next_page_token=page.next_token)


class ScannerInnerServicer(inner_rpc.ScannerInnerServiceServicer):
    """ScannerInnerService over ScannerApi: for peers, never behind the gateway's door."""

    def __init__(self, api: ScannerApi) -> None:
        self._api = api

    async def CreateTask(
        self, request: inner_pb.CreateTaskRequest, context: object
    ) -> inner_pb.CreateTaskResponse:
        """Starts a task."""
        task = await self._api.create_task(
            from_query(request.image),
            engine=parse_engines(request.engine) if request.engine else None,
            target_ids=tuple(request.target_ids),
            request_id=request.request_id,
            access=from_lent(request.access) if request.HasField("access") else None,
        )
        return inner_pb.CreateTaskResponse(task=to_task(task))

    async def GetStatus(self, request: inner_pb.GetStatusRequest, context: object) -> inner_pb.GetStatusResponse:
        """Returns the newest task of an image."""
        return inner_pb.GetStatusResponse(task=to_task(await self._api.image_status(from_query(request.image))))

    async def ReadFindings(
        self, request: inner_pb.ReadFindingsRequest, context: object
    ) -> AsyncIterator[inner_pb.ReadFindingsResponse]:
        """Streams findings: the task first, then part after part."""
        found = await self._api.findings(from_query(request.image), from_wanted(request))
        yield inner_pb.ReadFindingsResponse(task=to_task(found.task))
        for begin in range(0, len(found.findings), _PART):
            part = found.findings[begin : begin + _PART]
            yield inner_pb.ReadFindingsResponse(findings=[to_finding(placed) for placed in part])

    async def ReadReport(
        self, request: inner_pb.ReadReportRequest, context: object
    ) -> inner_pb.ReadReportResponse:
        """Returns one platform's report."""
        report = await self._api.report(from_query(request.image), request.platform)
        return inner_pb.ReadReportResponse(report=report)

    async def CompareTask(
        self, request: inner_pb.CompareTaskRequest, context: object
    ) -> inner_pb.CompareTaskResponse:
        """Says what is new."""
        return to_comparison(await self._api.compare(_task_id(request.task_id)))


def inner_services(api: ScannerApi) -> tuple[Service, ...]:
    """Returns what the inner door of the scanner serves."""
    public, inner = ScannerServicer(api), ScannerInnerServicer(api)
    return (
        Service(
            name="drydock.scanner.v1.ScannerService",
            add=lambda server: rpc.add_ScannerServiceServicer_to_server(public, server),
        ),
        Service(
            name="drydock.scanner.v1.ScannerInnerService",
            add=lambda server: inner_rpc.add_ScannerInnerServiceServicer_to_server(inner, server),
        ),
    )


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


def _task_id(task_id: str) -> str:
    if not task_id:
        raise invalid("INVALID_TASK_ID", "The id of the task is missing.", field="task_id")
    return task_id


def _waited(request: pb.WaitScanVerdictRequest | pb.WatchScanRequest) -> ImageQuery:
    if request.task_id:
        return dataclasses.replace(from_image(request.image), task_id=request.task_id)
    return _named(from_image(request.image))


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

"""ScannerApi across the network: what the application offers, met over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING

from drydock.scanner.v1 import scanner_inner_service_pb2 as inner_pb
from drydock.scanner.v1 import scanner_service_pb2 as pb
from drydock.scanner.v1.scanner_inner_service_pb2_grpc import ScannerInnerServiceStub
from drydock.scanner.v1.scanner_service_pb2_grpc import ScannerServiceStub
from services.kernel.model.access import RegistryAccess
from services.kernel.model.engine import Engine
from services.kernel.model.page import Page
from services.kernel.rpc.peer import Peer
from services.scanner.api import (
    Comparison,
    FindingFilter,
    Findings,
    ImageQuery,
    ImageStanding,
    Removal,
    Run,
    SeenTag,
    Task,
    TaskFilter,
)
from services.scanner.convert import from_finding, from_task, to_lent, to_query, to_wanted
from services.scanner.convert_comparison import from_comparison
from services.scanner.convert_gate import from_standing, from_verdict, to_policy
from services.scanner.convert_runs import from_run, to_list_tasks
from services.scanner.convert_stream import to_events_request
from services.scanner.convert_sync import from_removal, from_seen_tag
from services.scanner.gate.api import GateAnswer, GatePolicy

if TYPE_CHECKING:  # the asynchronous stubs are types only
    from drydock.scanner.v1.scanner_inner_service_pb2_grpc import ScannerInnerServiceAsyncStub
    from drydock.scanner.v1.scanner_service_pb2_grpc import ScannerServiceAsyncStub

SERVICE = "drydock.scanner.v1.ScannerInnerService"
"""What a peer must serve to be the scanner."""
_WATCH_SECONDS = 3600.0
_ANSWER_SECONDS = 0.5


class ScannerClient:
    """ScannerApi over a peer. Errors are those of the application, and what `Peer` adds."""

    def __init__(self, peer: Peer) -> None:
        scanner: ScannerServiceAsyncStub = ScannerServiceStub(peer.channel)
        inner: ScannerInnerServiceAsyncStub = ScannerInnerServiceStub(peer.channel)
        self._create_task_once = peer.once(inner.CreateTask)
        # With an id of the caller's choice the same request again returns the same task.
        self._create_task = peer.repeatable(inner.CreateTask)
        self._get_task = peer.repeatable(scanner.GetScanTask)
        self._list_tasks = peer.repeatable(scanner.ListScanTasks)
        self._cancel_task = peer.repeatable(scanner.CancelScanTask)
        self._rerun_task = peer.repeatable(scanner.RerunScanTask)
        self._wait = peer.lasting(scanner.WaitScanVerdict)
        self._finding_events = peer.repeatable(scanner.ReadFindingEvents)
        self._open_findings = peer.repeatable(scanner.ListOpenFindings)
        self._peer, self._watch = peer, scanner.WatchScan
        self._evaluate_gate = peer.repeatable(scanner.EvaluateGate)
        self._get_status = peer.repeatable(inner.GetStatus)
        self._read_findings = peer.repeatable_stream(inner.ReadFindings)
        self._read_report = peer.repeatable(inner.ReadReport)
        self._compare = peer.repeatable(inner.CompareTask)
        self._list_tags = peer.repeatable(scanner.ListTags)
        self._list_removals = peer.repeatable(scanner.ListRemovals)

    async def create_task(
        self,
        image: ImageQuery,
        *,
        engine: Engine | None = None,
        target_ids: tuple[str, ...] = (),
        request_id: str = "",
        access: RegistryAccess | None = None,
    ) -> Task:
        """Saves a task on what the registry has now; see ScannerApi."""
        send = self._create_task if request_id else self._create_task_once
        answer = await send(
            inner_pb.CreateTaskRequest(
                image=to_query(image),
                engine=engine.value if engine is not None else "",
                target_ids=target_ids,
                request_id=request_id,
                access=to_lent(access) if access is not None else None,
            )
        )
        return from_task(answer.task)

    async def get_task(self, task_id: str) -> Task | Run:
        """Returns one task with its platforms, or one run with its progress."""
        return _task_or_run(await self._get_task(pb.GetScanTaskRequest(task_id=task_id)))

    async def list_tasks(
        self, wanted: TaskFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[Task]:
        """Lists tasks, newest first."""
        answer = await self._list_tasks(
            to_list_tasks(wanted or TaskFilter(), page_size=page_size, page_token=page_token)
        )
        return Page(items=tuple(map(from_task, answer.tasks)), next_token=answer.next_page_token)

    async def cancel_task(self, task_id: str) -> Task | Run:
        """Calls off a task or a run; see ScannerApi."""
        return _task_or_run(await self._cancel_task(pb.CancelScanTaskRequest(task_id=task_id)))

    async def rerun_task(self, task_id: str) -> Task | Run:
        """Tries a failed task again, or what failed in a run; see ScannerApi."""
        return _task_or_run(await self._rerun_task(pb.RerunScanTaskRequest(task_id=task_id)))

    async def wait_for_end(self, image: ImageQuery, seconds: float) -> Task:
        """Waits for the newest task on an image; scanners that go meanwhile are no harm."""
        query = to_query(image)
        request = pb.WaitScanVerdictRequest(image=query.image, task_id=query.task_id)
        return from_task((await self._wait(request, seconds + _ANSWER_SECONDS)).task)

    async def watch(self, image: ImageQuery) -> AsyncIterator[ImageStanding]:
        """Yields how an image stands; see ScannerApi. After a scanner that went another one goes on."""
        query, told = to_query(image), None
        request = pb.WatchScanRequest(image=query.image, task_id=query.task_id)
        async for answer in self._peer.follow(self._watch, request, _WATCH_SECONDS):
            standing = from_standing(answer)
            if standing != told:
                told = standing
                yield standing

    async def evaluate_gate(self, image: ImageQuery, policy: GatePolicy, platform: str = "") -> GateAnswer:
        """Gives the verdict on what the tag is now."""
        request = pb.EvaluateGateRequest(image=to_query(image).image, policy=to_policy(policy), platform=platform)
        return from_verdict((await self._evaluate_gate(request)).verdict)

    async def image_status(self, image: ImageQuery) -> Task:
        """Returns the newest task of a tag or digest."""
        return from_task((await self._get_status(inner_pb.GetStatusRequest(image=to_query(image)))).task)

    async def findings(self, image: ImageQuery, wanted: FindingFilter) -> Findings:
        """Returns the findings of the last complete task on the image's digest, all of them or an error."""
        parts = await self._read_findings(to_wanted(image, wanted))
        placed = (from_finding(finding) for part in parts for finding in part.findings)
        return Findings(task=from_task(parts[0].task), findings=tuple(placed))

    async def report(self, image: ImageQuery, platform: str = "") -> bytes:
        """Returns one platform's report as JSON."""
        request = inner_pb.ReadReportRequest(image=to_query(image), platform=platform)
        return (await self._read_report(request)).report

    async def list_tags(
        self, *, instance: str, namespace: str, repository: str, page_size: int = 0, page_token: str = ""
    ) -> Page[SeenTag]:
        """Lists the tags of a repository by name."""
        request = pb.ListTagsRequest(
            instance=instance,
            namespace=namespace,
            repository=repository,
            page_size=page_size,
            page_token=page_token,
        )
        answer = await self._list_tags(request)
        return Page(items=tuple(map(from_seen_tag, answer.tags)), next_token=answer.next_page_token)

    async def list_removals(self, *, instance: str, page_size: int = 0, page_token: str = "") -> Page[Removal]:
        """Lists what went of an instance, newest first."""
        answer = await self._list_removals(
            pb.ListRemovalsRequest(instance=instance, page_size=page_size, page_token=page_token)
        )
        return Page(items=tuple(map(from_removal, answer.removals)), next_token=answer.next_page_token)

    async def compare(self, task_id: str) -> Comparison:
        """Holds what a complete task found against the scan before it; see ScannerApi."""
        return from_comparison(await self._compare(inner_pb.CompareTaskRequest(task_id=task_id)))

    async def finding_events(
        self, *, since: datetime | None = None, cursor: str = "", limit: int = 0
    ) -> tuple[tuple[bytes, ...], str]:
        """Returns events of findings behind a cursor, and the cursor behind them."""
        answer = await self._finding_events(to_events_request(since, cursor, limit))
        return tuple(answer.events), answer.cursor

    async def open_findings(self, *, instance: str = "", page_size: int = 0, page_token: str = "") -> Page[bytes]:
        """Lists findings that are open in the stream."""
        answer = await self._open_findings(
            pb.ListOpenFindingsRequest(instance=instance, page_size=page_size, page_token=page_token)
        )
        return Page(items=tuple(answer.events), next_token=answer.next_page_token)


def _task_or_run(
    answer: pb.GetScanTaskResponse | pb.CancelScanTaskResponse | pb.RerunScanTaskResponse,
) -> Task | Run:
    return from_run(answer.run) if answer.HasField("run") else from_task(answer.task)

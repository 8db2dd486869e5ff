"""The gRPC face of the scanner: names of images, pages of findings, total conversions."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest

from drydock.scanner.v1 import scan_pb2
from drydock.scanner.v1 import scanner_service_pb2 as pb
from drydock.scanner.v1 import scanner_service_pb2_grpc as rpc
from services.kernel.errors import Kind, ServiceError
from services.kernel.model.engine import Engine
from services.kernel.model.page import encode_token
from services.kernel.model.report import Coverage
from services.kernel.model.severity import Severity
from services.kernel.rpc.client import translated_errors
from services.scanner.api import PlatformScan, State
from services.scanner.convert import from_state, to_task
from services.scanner.servicer import ScannerServicer
from tests.builders.edge import serving
from tests.fakes.scanner import DIGEST, FakeScanner, a_finding, a_task

IMAGE = scan_pb2.ImageRef(instance="lab", namespace="team", repository="app", tag="1.0")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    stub: rpc.ScannerServiceAsyncStub
    scanner: FakeScanner


@pytest.fixture
async def face() -> AsyncIterator[Face]:
    scanner = FakeScanner()
    servicer = ScannerServicer(scanner)
    async with serving(
        "drydock.scanner.v1.ScannerService",
        lambda server: rpc.add_ScannerServiceServicer_to_server(servicer, server),
    ) as channel:
        yield Face(stub=rpc.ScannerServiceStub(channel), scanner=scanner)


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_number_of_its_own(state: State) -> None:
    assert from_state(to_task(a_task(state=state)).state) is state


def test_a_task_keeps_all_that_it_says() -> None:
    platform = PlatformScan(
        scan_id="s", platform="linux/amd64", digest="d", state=State.COMPLETE, reason="r", message="m"
    )
    task = a_task(
        findings={Severity.HIGH: 2}, coverage=Coverage.PARTIAL, rule_ids=("crscnr-1",), platforms=(platform,)
    )

    message = to_task(task)

    assert dict(message.findings) == {"HIGH": 2}
    assert (message.coverage, list(message.rule_ids)) == ("PARTIAL", ["crscnr-1"])
    assert message.platforms[0].platform == "linux/amd64"
    assert message.end_time.ToDatetime(tzinfo=task.created_at.tzinfo) == task.ended_at


def test_a_task_under_way_has_neither_end_nor_coverage() -> None:
    message = to_task(a_task(state=State.RUNNING, ended_at=None, coverage=None))

    assert not message.HasField("end_time")
    assert message.coverage == ""


async def test_a_task_is_created_for_the_named_image(face: Face) -> None:
    answer = await face.stub.CreateScanTask(pb.CreateScanTaskRequest(image=IMAGE, engine="trivy"))

    [(image, engine)] = face.scanner.created
    assert (image.instance, image.namespace, image.repository, image.tag) == ("lab", "team", "app", "1.0")
    assert engine is Engine.TRIVY
    assert answer.task.state == scan_pb2.STATE_PENDING


@pytest.mark.parametrize(
    ("image", "field"),
    [
        (scan_pb2.ImageRef(), "image.instance"),
        (scan_pb2.ImageRef(instance="lab", tag="1"), "image.repo_id"),
        (scan_pb2.ImageRef(instance="lab", namespace="team", tag="1"), "image.repo_id"),
        (scan_pb2.ImageRef(instance="lab", repo_id="crr-x"), "image.tag"),
        (scan_pb2.ImageRef(instance="lab", repo_id="crr-x", digest="x"), "image.digest"),
    ],
)
async def test_an_image_that_is_none_is_refused_by_field(face: Face, image: scan_pb2.ImageRef, field: str) -> None:
    with pytest.raises(ServiceError) as caught, translated_errors():
        await face.stub.GetImageStatus(pb.GetImageStatusRequest(image=image))

    assert (caught.value.kind, caught.value.field) == (Kind.INVALID_ARGUMENT, field)


async def test_an_image_that_was_never_scanned_is_not_found(face: Face) -> None:
    with pytest.raises(ServiceError) as caught, translated_errors():
        await face.stub.GetImageStatus(pb.GetImageStatusRequest(image=IMAGE))

    assert (caught.value.kind, caught.value.reason) == (Kind.NOT_FOUND, "IMAGE_NOT_SCANNED")


async def test_pages_of_findings_have_each_finding_once(face: Face) -> None:
    face.scanner.task = a_task()
    face.scanner.result = tuple(a_finding(f"CVE-2024-{number:04}") for number in range(7))
    names, token = [], ""
    while True:
        page = await face.stub.ListFindings(pb.ListFindingsRequest(image=IMAGE, page_size=3, page_token=token))
        names += [finding.id for finding in page.findings]
        token = page.next_page_token
        if not token:
            break

    assert names == [f"CVE-2024-{number:04}" for number in range(7)]
    assert (page.total_size, page.digest, page.task_id) == (7, DIGEST, face.scanner.task.task_id)


async def test_a_list_whose_result_changed_is_begun_again(face: Face) -> None:
    face.scanner.task, face.scanner.result = a_task(), (a_finding("a"), a_finding("b"))
    first = await face.stub.ListFindings(pb.ListFindingsRequest(image=IMAGE, page_size=1))
    face.scanner.task = a_task(task_id="another")

    with pytest.raises(ServiceError) as caught, translated_errors():
        await face.stub.ListFindings(
            pb.ListFindingsRequest(image=IMAGE, page_size=1, page_token=first.next_page_token)
        )

    assert (caught.value.kind, caught.value.reason) == (Kind.ABORTED, "RESULT_CHANGED")


async def test_a_token_of_another_question_is_refused(face: Face) -> None:
    face.scanner.task, face.scanner.result = a_task(), (a_finding("a"), a_finding("b"))
    first = await face.stub.ListFindings(pb.ListFindingsRequest(image=IMAGE, page_size=1))

    for token in (first.next_page_token, "x", encode_token(("a", "b"))):
        with pytest.raises(ServiceError) as caught, translated_errors():
            await face.stub.ListFindings(
                pb.ListFindingsRequest(image=IMAGE, page_size=1, page_token=token, descending=True)
            )
        assert caught.value.reason == "INVALID_PAGE_TOKEN"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.ListFindingsRequest(image=IMAGE, kind="cve"), "INVALID_KIND"),
        (pb.ListFindingsRequest(image=IMAGE, severity="High"), "INVALID_SEVERITY"),
        (pb.ListFindingsRequest(image=IMAGE, page_size=-1), "INVALID_PAGE_SIZE"),
    ],
)
async def test_a_wrong_filter_is_refused(face: Face, request_: pb.ListFindingsRequest, reason: str) -> None:
    with pytest.raises(ServiceError) as caught, translated_errors():
        await face.stub.ListFindings(request_)

    assert caught.value.reason == reason


async def test_tasks_are_listed_by_state_and_shown_by_id(face: Face) -> None:
    face.scanner.task = a_task()

    listed = await face.stub.ListScanTasks(pb.ListScanTasksRequest(state=scan_pb2.STATE_COMPLETE))
    none = await face.stub.ListScanTasks(pb.ListScanTasksRequest(state=scan_pb2.STATE_FAILED))
    shown = await face.stub.GetScanTask(pb.GetScanTaskRequest(task_id=face.scanner.task.task_id))

    assert [task.task_id for task in listed.tasks] == [shown.task.task_id]
    assert not none.tasks


async def test_the_report_comes_as_it_is(face: Face) -> None:
    face.scanner.task = a_task()

    assert (await face.stub.GetReport(pb.GetReportRequest(image=IMAGE))).report == b"{}"

"""The scan actions of the ACR door, over real gRPC."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.translate import in_order
from services.gateway.acr.words import to_severity
from services.kernel.errors import Kind, ServiceError
from services.kernel.model.engine import Engine
from services.kernel.model.finding import FindingKind
from services.kernel.model.report import Coverage
from services.kernel.model.severity import Severity
from services.kernel.rpc.client import translated_errors
from services.rules.api import Edition, InstanceChange, NewInstance
from services.scanner.api import State
from tests.builders.edge import Edge, acr_edge
from tests.fakes.scanner import DIGEST, a_finding, a_task


@pytest.fixture
async def edge(database: str) -> AsyncIterator[Edge]:
    async with acr_edge(database) as edge:
        yield edge


def image(edge: Edge, **more: Any) -> dict[str, Any]:
    return {
        "instance_id": edge.instance.instance_id,
        "repo_id": edge.repository.repo_id,
        "tag": "1.0",
        **more,
    }


async def failure_of(call: Awaitable[object]) -> ServiceError:
    with pytest.raises(ServiceError) as caught, translated_errors():
        await call
    return caught.value


async def test_creating_a_task_answers_like_the_reference(edge: Edge) -> None:
    answer = await edge.acr.CreateRepoTagScanTask(
        pb.CreateRepoTagScanTaskRequest(
            **image(edge, digest="d" * 64, scan_service="SAS_SCAN_SERVICE", scan_type="VUL")
        )
    )

    assert (answer.code, answer.is_success) == ("success", True)
    assert answer.request_id == str(uuid.UUID(answer.request_id)).upper()
    [(query, engine)] = edge.scanner.created
    assert engine is Engine.SECURITY_CENTER
    assert (query.repo_id, query.tag, query.digest) == (edge.repository.repo_id, "1.0", DIGEST)


async def test_without_a_scan_service_the_instance_chooses(edge: Edge) -> None:
    await edge.acr.CreateRepoTagScanTask(pb.CreateRepoTagScanTaskRequest(**image(edge)))

    assert edge.scanner.created[0][1] is None


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"instance_id": ""}, "MISSING_PARAMETER", "instance_id"),
        ({"repo_id": ""}, "MISSING_PARAMETER", "repo_id"),
        ({"tag": ""}, "MISSING_PARAMETER", "tag"),
        ({"tag": "a b"}, "INVALID_REFERENCE", "tag"),
        ({"digest": "xyz"}, "INVALID_DIGEST", "digest"),
        ({"scan_service": "OTHER"}, "INVALID_SCAN_SERVICE", "scan_service"),
        ({"scan_type": "cve"}, "INVALID_SCAN_TYPE", "scan_type"),
    ],
)
async def test_a_wrong_task_is_refused_by_field(
    edge: Edge, changes: dict[str, str], reason: str, field: str
) -> None:
    request = pb.CreateRepoTagScanTaskRequest(**image(edge, **changes))

    error = await failure_of(edge.acr.CreateRepoTagScanTask(request))

    assert (error.kind, error.reason, error.field) == (Kind.INVALID_ARGUMENT, reason, field)


async def test_an_unknown_tag_is_an_error(edge: Edge) -> None:
    error = await failure_of(
        edge.acr.CreateRepoTagScanTask(pb.CreateRepoTagScanTaskRequest(**image(edge, tag="none")))
    )

    assert (error.kind, error.reason) == (Kind.NOT_FOUND, "TAG_NOT_EXIST")


@pytest.mark.parametrize(
    ("state", "coverage", "word"),
    [
        (State.PENDING, None, "SCANNING"),
        (State.RUNNING, None, "SCANNING"),
        (State.RETRYING, None, "RETRYING"),
        (State.COMPLETE, Coverage.FULL, "COMPLETE"),
        (State.COMPLETE, Coverage.PARTIAL, "COMPLETE"),
        (State.COMPLETE, Coverage.NONE, "FAILED"),
        (State.FAILED, None, "FAILED"),
    ],
)
async def test_every_state_has_its_word(edge: Edge, state: State, coverage: Coverage | None, word: str) -> None:
    edge.scanner.task = a_task(state=state, coverage=coverage)

    answer = await edge.acr.GetRepoTagScanStatus(pb.GetRepoTagScanStatusRequest(**image(edge)))

    assert (answer.code, answer.is_success, answer.status) == ("success", True, word)


@pytest.mark.parametrize(
    ("task", "word"),
    [
        ({"state": State.RUNNING, "coverage": None}, "SCANNING"),
        ({"coverage": Coverage.FULL}, "COMPLETE"),
        ({"coverage": Coverage.PARTIAL, "reason": "STALE_ADVISORIES"}, "COMPLETE"),
        ({"coverage": Coverage.NONE, "reason": "NO_ADVISORIES"}, "COMPLETE"),
        ({"coverage": Coverage.NONE, "reason": "NO_PACKAGES"}, "FAILED"),
        ({"state": State.FAILED, "coverage": None, "reason": "LAYER_TOO_LARGE"}, "FAILED"),
    ],
)
async def test_an_inventory_is_there_though_nothing_could_be_judged(
    edge: Edge, task: dict[str, Any], word: str
) -> None:
    edge.scanner.task = a_task(**task)

    call = edge.acr.GetRepoTagScanStatus(pb.GetRepoTagScanStatusRequest(**image(edge, scan_type="SBOM")))
    answer = await call

    assert (answer.is_success, answer.status) == (True, word)
    assert dict(await call.trailing_metadata()).get("x-drydock-reason", "") == task.get("reason", "")


async def test_a_task_of_either_type_is_the_same_task(edge: Edge) -> None:
    for scan_type in ("VUL", "SBOM", ""):
        await edge.acr.CreateRepoTagScanTask(pb.CreateRepoTagScanTaskRequest(**image(edge, scan_type=scan_type)))

    assert len(set(edge.scanner.created)) == 1


@pytest.mark.parametrize(
    ("engine", "word"), [(Engine.TRIVY, "ACR_SCAN_SERVICE"), (Engine.SECURITY_CENTER, "SAS_SCAN_SERVICE")]
)
async def test_every_engine_has_its_word(edge: Edge, engine: Engine, word: str) -> None:
    edge.scanner.task = a_task(engine=engine)

    answer = await edge.acr.GetRepoTagScanStatus(pb.GetRepoTagScanStatusRequest(**image(edge)))

    assert answer.scan_service == word


async def test_a_failure_says_why_in_a_trailer(edge: Edge) -> None:
    edge.scanner.task = a_task(state=State.FAILED, reason="LAYER_TOO_LARGE")

    call = edge.acr.GetRepoTagScanStatus(pb.GetRepoTagScanStatusRequest(**image(edge)))
    answer = await call
    trailers = dict(await call.trailing_metadata())

    assert trailers["x-drydock-reason"] == "LAYER_TOO_LARGE"
    assert trailers["x-request-id"].upper() == answer.request_id


async def test_an_image_that_was_never_scanned_is_an_answer(edge: Edge) -> None:
    status = await edge.acr.GetRepoTagScanStatus(pb.GetRepoTagScanStatusRequest(**image(edge)))
    summary = await edge.acr.GetRepoTagScanSummary(pb.GetRepoTagScanSummaryRequest(**image(edge)))
    result = await edge.acr.ListRepoTagScanResult(pb.ListRepoTagScanResultRequest(**image(edge)))

    for answer in (status, summary, result):
        assert answer.HasField("is_success")
        assert (answer.code, answer.is_success) == ("IMAGE_NOT_SCANNED", False)
        assert answer.request_id
    assert status.status == ""


async def test_results_of_a_running_first_scan_are_not_there_yet(edge: Edge) -> None:
    edge.scanner.task = a_task(state=State.RUNNING, coverage=None)

    summary = await edge.acr.GetRepoTagScanSummary(pb.GetRepoTagScanSummaryRequest(**image(edge)))

    assert (summary.code, summary.is_success) == ("SCAN_NOT_COMPLETE", False)


async def test_results_of_a_scan_that_failed_are_not_to_be_waited_for(edge: Edge) -> None:
    edge.scanner.task = a_task(state=State.FAILED, coverage=None, reason="IMAGE_NOT_FOUND")

    summary = await edge.acr.GetRepoTagScanSummary(pb.GetRepoTagScanSummaryRequest(**image(edge)))
    result = await edge.acr.ListRepoTagScanResult(pb.ListRepoTagScanResultRequest(**image(edge)))

    for answer in (summary, result):
        assert (answer.code, answer.is_success) == ("IMAGE_NOT_FOUND", False)


async def test_what_nobody_could_judge_is_not_called_clean(edge: Edge) -> None:
    edge.scanner.task, edge.scanner.result = a_task(coverage=Coverage.NONE, reason="SYSTEM_UNKNOWN"), ()

    summary = await edge.acr.GetRepoTagScanSummary(pb.GetRepoTagScanSummaryRequest(**image(edge)))
    result = await edge.acr.ListRepoTagScanResult(pb.ListRepoTagScanResultRequest(**image(edge)))

    for answer in (summary, result):
        assert (answer.code, answer.is_success) == ("SYSTEM_UNKNOWN", False)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"instance_id": ""}, "instance_id"),
        ({"repo_id": ""}, "repo_id"),
        ({"tag": ""}, "tag"),
    ],
)
async def test_a_question_about_no_image_is_refused_by_field(
    edge: Edge, changes: dict[str, str], field: str
) -> None:
    error = await failure_of(
        edge.acr.GetRepoTagScanStatus(pb.GetRepoTagScanStatusRequest(**image(edge, **changes)))
    )

    assert (error.kind, error.field) == (Kind.INVALID_ARGUMENT, field)


async def test_a_task_id_alone_will_do(edge: Edge) -> None:
    edge.scanner.task = a_task()
    instance_id = edge.instance.instance_id

    found = await edge.acr.GetRepoTagScanStatus(
        pb.GetRepoTagScanStatusRequest(instance_id=instance_id, scan_task_id=edge.scanner.task.task_id)
    )
    error = await failure_of(
        edge.acr.GetRepoTagScanStatus(
            pb.GetRepoTagScanStatusRequest(instance_id=instance_id, scan_task_id=str(uuid.uuid4()))
        )
    )

    assert found.status == "COMPLETE"
    assert error.reason == "SCAN_TASK_NOT_EXIST"


@pytest.mark.parametrize("digest", ["d" * 64, "sha256:" + "d" * 64])
async def test_a_digest_is_read_with_and_without_its_algorithm(edge: Edge, digest: str) -> None:
    edge.scanner.task = a_task()

    await edge.acr.GetRepoTagScanStatus(pb.GetRepoTagScanStatusRequest(**image(edge, tag="", digest=digest)))

    assert edge.scanner.asked[0].digest == DIGEST


async def test_an_unknown_instance_is_an_error(edge: Edge) -> None:
    error = await failure_of(
        edge.acr.GetRepoTagScanStatus(pb.GetRepoTagScanStatusRequest(**image(edge, instance_id="cri-none")))
    )

    assert (error.kind, error.reason) == (Kind.NOT_FOUND, "INSTANCE_NOT_EXIST")


async def test_personal_instances_are_refused_every_scan_action(edge: Edge) -> None:
    personal = await edge.rules.create_instance(
        NewInstance(name="mine", address="127.0.0.1:5001", edition=Edition.PERSONAL)
    )
    names = image(edge, instance_id=personal.instance_id)
    calls: list[Awaitable[object]] = [
        edge.acr.CreateRepoTagScanTask(pb.CreateRepoTagScanTaskRequest(**names)),
        edge.acr.GetRepoTagScanStatus(pb.GetRepoTagScanStatusRequest(**names)),
        edge.acr.GetRepoTagScanSummary(pb.GetRepoTagScanSummaryRequest(**names)),
        edge.acr.ListRepoTagScanResult(pb.ListRepoTagScanResultRequest(**names)),
    ]

    for call in calls:
        error = await failure_of(call)
        assert (error.kind, error.reason) == (Kind.FAILED_PRECONDITION, "EDITION_NOT_SUPPORTED")
        assert error.hint


async def test_a_change_of_edition_counts_after_a_moment(edge: Edge) -> None:
    edge.scanner.task = a_task()
    request = pb.GetRepoTagScanStatusRequest(**image(edge))
    await edge.acr.GetRepoTagScanStatus(request)
    await edge.rules.update_instance(edge.instance.instance_id, InstanceChange(edition=Edition.PERSONAL))

    edge.clock.advance(6)

    assert (await failure_of(edge.acr.GetRepoTagScanStatus(request))).reason == "EDITION_NOT_SUPPORTED"


SAMPLE = (
    a_finding("CVE-2024-0009", Severity.CRITICAL),
    a_finding("CVE-2024-0001", Severity.HIGH),
    a_finding("CVE-2024-0010", Severity.HIGH),
    a_finding("CVE-2024-0003", Severity.UNKNOWN),
    a_finding("CVE-2023-0004", Severity.MEDIUM, purl_type="pypi", kind=FindingKind.APPLICATION_VULNERABILITY),
    a_finding("CVE-2024-0005", Severity.LOW),
    a_finding("leak", Severity.HIGH, kind=FindingKind.BASELINE_RISK),
)


async def listed(edge: Edge, **more: Any) -> pb.ListRepoTagScanResultResponse:
    edge.scanner.task, edge.scanner.result = a_task(), SAMPLE
    return await edge.acr.ListRepoTagScanResult(pb.ListRepoTagScanResultRequest(**image(edge, **more)))


async def test_results_come_from_unknown_to_high_with_critical_folded_in(edge: Edge) -> None:
    answer = await listed(edge)

    assert [(item.severity, item.cve_name) for item in answer.vulnerabilities] == [
        ("Unknown", "CVE-2024-0003"),
        ("Low", "CVE-2024-0005"),
        ("Medium", "CVE-2023-0004"),
        ("High", "CVE-2024-0001"),
        ("High", "CVE-2024-0009"),
        ("High", "CVE-2024-0010"),
    ]
    assert (answer.page_no, answer.page_size, answer.total_count) == (1, 30, 6)


async def test_an_item_has_the_references_fields(edge: Edge) -> None:
    answer = await listed(edge, vul_query_key="2024-0005")

    [item] = answer.vulnerabilities
    assert item == pb.Vulnerability(
        cve_name="CVE-2024-0005",
        alias_name="Flaw CVE-2024-0005",
        cve_link="https://example.org/CVE-2024-0005",
        cve_location="/var/lib/dpkg/status",
        severity="Low",
        scan_type="cve",
        feature="openssl",
        version="1.0",
        version_fixed="1.1",
        version_format="dpkg",
        added_by="sha256:" + "1" * 64,
        fix_cmd="apt-get install --only-upgrade openssl=1.1",
        description="Flaw CVE-2024-0005",
    )


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"severity": "High"}, ["CVE-2024-0001", "CVE-2024-0009", "CVE-2024-0010"]),
        ({"severity": "Unknown"}, ["CVE-2024-0003"]),
        ({"scan_type": "sca"}, ["CVE-2023-0004"]),
        ({"scan_type": "cve", "severity": "Low"}, ["CVE-2024-0005"]),
        ({"vul_query_key": "cve-2023"}, ["CVE-2023-0004"]),
        ({"vul_query_key": "none"}, []),
    ],
)
async def test_filters_leave_what_they_name(edge: Edge, wanted: dict[str, str], names: list[str]) -> None:
    answer = await listed(edge, **wanted)

    assert [item.cve_name for item in answer.vulnerabilities] == names
    assert answer.total_count == len(names)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"severity": "HIGH"}, "severity"),
        ({"severity": "Critical"}, "severity"),
        ({"scan_type": "VUL"}, "scan_type"),
        ({"filter_value": "CveName"}, "filter_value"),
        ({"page_no": -1}, "page_no"),
        ({"page_size": -1}, "page_size"),
    ],
)
async def test_a_wrong_filter_is_refused_by_field(edge: Edge, wanted: dict[str, Any], field: str) -> None:
    with pytest.raises(ServiceError) as caught, translated_errors():
        await listed(edge, **wanted)

    assert (caught.value.kind, caught.value.field) == (Kind.INVALID_ARGUMENT, field)


async def test_fix_cmd_alone_when_asked_for(edge: Edge) -> None:
    answer = await listed(edge, filter_value="FixCmd", scan_type="sca")

    assert list(answer.vulnerabilities) == [pb.Vulnerability(fix_cmd="pip install openssl==1.1")]


@pytest.mark.parametrize(
    ("page_no", "page_size", "count", "size"),
    [(1, 4, 4, 4), (2, 4, 2, 4), (3, 4, 0, 4), (1, 500, 6, 100), (9, 0, 0, 30), (2**31 - 1, 100, 0, 100)],
)
async def test_pages_end_where_the_list_ends(
    edge: Edge, page_no: int, page_size: int, count: int, size: int
) -> None:
    answer = await listed(edge, page_no=page_no, page_size=page_size)

    assert (len(answer.vulnerabilities), answer.page_size, answer.total_count) == (count, size, 6)
    assert (answer.page_no, answer.is_success) == (page_no, True)


async def test_the_summary_counts_what_the_list_lists(edge: Edge) -> None:
    edge.scanner.task, edge.scanner.result = a_task(), SAMPLE

    answer = await edge.acr.GetRepoTagScanSummary(pb.GetRepoTagScanSummaryRequest(**image(edge)))

    counts = (answer.unknown_severity, answer.low_severity, answer.medium_severity, answer.high_severity)
    assert counts == (1, 1, 1, 3)
    assert (answer.total_severity, answer.code, answer.is_success) == (6, "success", True)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(Severity), st.sampled_from("xy"), st.sampled_from("12")),
        max_size=12,
    )
)
def test_the_order_is_total_and_independent_of_how_findings_arrive(
    rows: list[tuple[str, Severity, str, str]],
) -> None:
    findings = [
        a_finding(name, severity, name=package, version=version) for name, severity, package, version in rows
    ]
    words = ["Unknown", "Low", "Medium", "High"]

    keys = [(words.index(to_severity(finding.severity)), *finding.key) for finding in in_order(findings)]

    assert keys == sorted(keys)
    assert keys == [
        (words.index(to_severity(finding.severity)), *finding.key) for finding in in_order(reversed(findings))
    ]

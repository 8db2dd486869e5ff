"""Baseline risks and malicious files in the reference's words, and whose result answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.kernel.errors import ServiceError
from services.kernel.model.engine import Engine
from services.kernel.model.finding import FindingKind
from services.kernel.model.report import Coverage
from services.kernel.model.severity import Severity
from services.kernel.rpc.client import translated_errors
from services.scanner.api import PlatformScan, State
from tests.builders.edge import Edge, acr_edge
from tests.fakes.scanner import a_finding, a_task

LEAK = msgspec.structs.replace(
    a_finding("aws-access-key-id", Severity.HIGH, kind=FindingKind.BASELINE_RISK, path="/root/.aws/config"),
    package=None,
    advice="Revoke it.",
    match="AKIA****",
    line=3,
    deleted=True,
)
MODE = a_finding("mode-world-writable", Severity.LOW, kind=FindingKind.BASELINE_RISK, path="/etc")
VIRUS = msgspec.structs.replace(
    a_finding("eicar-test-file", Severity.MEDIUM, kind=FindingKind.MALICIOUS_SAMPLE, path="/a.zip!/b"), md5="44d8"
)
FOUND = (LEAK, MODE, VIRUS, a_finding("CVE-1", Severity.HIGH))


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


async def test_a_baseline_risk_says_what_where_and_how_bad(edge: Edge) -> None:
    edge.scanner.task, edge.scanner.result = a_task(), FOUND

    answer = await edge.acr.ListScanBaselineByTask(pb.ListScanBaselineByTaskRequest(**image(edge)))

    assert (answer.code, answer.is_success, answer.total_count, answer.page_no, answer.page_size) == (
        0,
        True,
        2,
        1,
        30,
    )
    mode, leak = answer.scan_baselines
    assert (mode.baseline_name_key, mode.baseline_name_level, mode.low_risk_item_count) == (
        "mode-world-writable",
        "low",
        1,
    )
    assert (leak.baseline_class_alias, leak.baseline_name_level, leak.high_risk_item_count) == ("aws", "high", 1)
    assert leak.baseline_detail_prompt.startswith("/root/.aws/config:3 (deleted by a later layer")
    assert leak.baseline_detail_prompt.endswith("AKIA****")
    assert leak.create_time == 1_763_942_400_000 + 365 * 86_400_000


async def test_a_malicious_file_has_its_hash_and_level(edge: Edge) -> None:
    edge.scanner.task, edge.scanner.result = a_task(), FOUND

    answer = await edge.acr.ListScanMaliciousFileByTask(pb.ListScanMaliciousFileByTaskRequest(**image(edge)))

    [virus] = answer.scan_malicious_files
    assert (virus.file_path, virus.malicious_md5, virus.level) == ("/a.zip!/b", "44d8", "suspicious")


@pytest.mark.parametrize(("level", "count"), [("High", 1), ("low", 1), ("MEDIUM", 0)])
async def test_baselines_are_chosen_by_level(edge: Edge, level: str, count: int) -> None:
    edge.scanner.task, edge.scanner.result = a_task(), FOUND

    answer = await edge.acr.ListScanBaselineByTask(pb.ListScanBaselineByTaskRequest(**image(edge, level=level)))

    assert answer.total_count == count


@pytest.mark.parametrize(("level", "count"), [("suspicious", 1), ("Medium", 1), ("serious", 0), ("remind", 0)])
async def test_malicious_files_are_chosen_by_either_word(edge: Edge, level: str, count: int) -> None:
    edge.scanner.task, edge.scanner.result = a_task(), FOUND

    answer = await edge.acr.ListScanMaliciousFileByTask(
        pb.ListScanMaliciousFileByTaskRequest(**image(edge, level=level))
    )

    assert answer.total_count == count


async def test_a_level_that_is_none_is_refused(edge: Edge) -> None:
    with pytest.raises(ServiceError) as caught, translated_errors():
        await edge.acr.ListScanBaselineByTask(pb.ListScanBaselineByTaskRequest(**image(edge, level="serious")))

    assert caught.value.reason == "INVALID_LEVEL"


async def test_who_looked_only_at_packages_says_nothing_of_files(edge: Edge) -> None:
    edge.scanner.task, edge.scanner.result = a_task(engine=Engine.TRIVY), ()

    call = edge.acr.ListScanMaliciousFileByTask(pb.ListScanMaliciousFileByTaskRequest(**image(edge)))
    answer = await call

    assert (answer.is_success, answer.code, answer.total_count) == (False, 404, 0)
    assert dict(await call.trailing_metadata())["x-drydock-reason"] == "NOT_SCANNED_BY_SAS"


@pytest.mark.parametrize("engine", [Engine.SECURITY_CENTER, Engine.ALL])
async def test_of_files_the_newest_scan_that_looked_at_them_speaks(edge: Edge, engine: Engine) -> None:
    edge.scanner.task, edge.scanner.result = a_task(engine=Engine.TRIVY), ()
    whole = by_both(State.COMPLETE)
    older = a_task(engine=engine, task_id="0f7b6ee6-5d39-4a0b-8d4b-c0d7d5f4a1aa", platforms=whole)
    edge.scanner.older = (older, FOUND)

    status = await edge.acr.GetRepoTagScanStatus(pb.GetRepoTagScanStatusRequest(**image(edge)))
    answer = await edge.acr.ListScanBaselineByTask(pb.ListScanBaselineByTaskRequest(**image(edge)))

    assert status.scan_service == "ACR_SCAN_SERVICE"  # the newest scan answers for vulnerabilities
    assert (answer.total_count, answer.scan_baselines[0].scan_task_id) == (2, older.task_id)
    assert edge.scanner.asked[-1].digest == edge.scanner.task.digest


async def test_a_scan_of_files_under_way_is_told_as_such(edge: Edge) -> None:
    edge.scanner.task, edge.scanner.result = a_task(engine=Engine.TRIVY), ()
    edge.scanner.older = (a_task(engine=Engine.SECURITY_CENTER, state=State.RUNNING, coverage=None), None)

    answer = await edge.acr.ListScanBaselineByTask(pb.ListScanBaselineByTaskRequest(**image(edge)))

    assert (answer.is_success, answer.code) == (False, 409)


async def test_an_image_without_packages_has_its_risks_all_the_same(edge: Edge) -> None:
    edge.scanner.task, edge.scanner.result = a_task(coverage=Coverage.NONE, reason="NO_PACKAGES"), FOUND

    answer = await edge.acr.ListScanBaselineByTask(pb.ListScanBaselineByTaskRequest(**image(edge)))

    assert (answer.is_success, answer.total_count) == (True, 2)


async def test_a_named_task_that_did_not_look_at_files_is_not_answered_from_another(edge: Edge) -> None:
    edge.scanner.task, edge.scanner.result = a_task(engine=Engine.TRIVY), ()
    edge.scanner.older = (a_task(engine=Engine.SECURITY_CENTER), FOUND)

    answer = await edge.acr.ListScanBaselineByTask(
        pb.ListScanBaselineByTaskRequest(
            instance_id=edge.instance.instance_id, scan_task_id=edge.scanner.task.task_id
        )
    )

    assert (answer.is_success, answer.code) == (False, 404)


@pytest.mark.parametrize("older", [True, False])
async def test_of_two_engines_the_one_that_looks_into_files_must_have_ended_well(edge: Edge, older: bool) -> None:
    edge.scanner.task = a_task(engine=Engine.ALL, coverage=Coverage.PARTIAL, platforms=by_both(State.FAILED))
    edge.scanner.result = ()
    if older:
        edge.scanner.older = (a_task(task_id="0f7b6ee6-5d39-4a0b-8d4b-c0d7d5f4a1aa"), FOUND)

    answer = await edge.acr.ListScanMaliciousFileByTask(pb.ListScanMaliciousFileByTaskRequest(**image(edge)))

    assert (answer.is_success, answer.total_count) == ((True, 1) if older else (False, 0))


def by_both(files: State) -> tuple[PlatformScan, ...]:
    """Both engines on one platform: the one that looks into files, which ended so, and the other one."""
    return tuple(
        PlatformScan(
            scan_id=engine.value,
            platform="linux/amd64",
            digest="",
            state=state,
            reason="",
            message="",
            engine=engine,
        )
        for engine, state in ((Engine.SECURITY_CENTER, files), (Engine.TRIVY, State.COMPLETE))
    )

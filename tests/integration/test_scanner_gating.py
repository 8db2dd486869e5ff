"""Gates over real rows: about the digest that the tag has now, and never PASS where nobody can tell."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest

from services.kernel.errors import ServiceError
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.finding import Finding
from services.kernel.model.report import Coverage, EngineInfo
from services.kernel.model.severity import Severity
from services.lab.push import push_image
from services.scanner.api import ImageQuery, State
from services.scanner.gate.api import Decision, GateAnswer, GatePolicy
from services.scanner.records import Outcome, ScannedImage, ScanRecord
from services.scanner.reports import pack_report
from tests.builders.application import Stage, scanner_stage
from tests.builders.images import an_image
from tests.builders.reports import OPENSSL, PARTIAL, a_report, malware, vulnerability
from tests.registries import RunningRegistry, lab_registry

LONG = timedelta(days=36500)
"""Reports of the tests have advisories of a day long past."""


@pytest.fixture
async def registry() -> AsyncIterator[RunningRegistry]:
    async with lab_registry() as running:
        yield running


@pytest.fixture
async def stage(database: str, registry: RunningRegistry) -> AsyncIterator[Stage]:
    async with scanner_stage(database, registry.access.address, age_limit=LONG) as opened:
        yield opened


QUERY = ImageQuery(instance="lab", namespace="team", repository="app", tag="1.0")


async def a_push(registry: RunningRegistry, *texts: str) -> Digest:
    return Digest(await push_image(registry.access, "team/app", "1.0", an_image(*texts)))


async def a_scan(
    stage: Stage, *findings: Finding, whole: bool = True, engine: Engine = Engine.SECURITY_CENTER
) -> str:
    """Scans what the tag is now, with these findings, and returns the task."""

    async def work(scan: ScanRecord) -> ScannedImage:
        report = a_report(
            findings,
            coverage=Coverage.FULL if whole else Coverage.PARTIAL,
            warnings=() if whole else (PARTIAL,),
        )
        report = msgspec.structs.replace(
            report,
            image=msgspec.structs.replace(report.image, digest=scan.key.digest),
            engine=EngineInfo(name=engine.value, version="1"),
        )
        outcome = Outcome(state=State.COMPLETE, coverage=report.summary.coverage, findings={})
        return ScannedImage(platform="linux/amd64", report=pack_report(report), outcome=outcome)

    task = await stage.application.create_task(QUERY)
    if engine is not task.engine:  # that has no such engine installed
        await stage.application.cancel_task(task.task_id)
        of = await stage.bench.task(task.task_id)
        asked = await stage.bench.ask(of.image, engine=engine)
        await stage.bench.work_until(work, asked.task_id)
        return asked.task_id
    await stage.bench.work_until(work, task.task_id)
    return task.task_id


async def the_gate(stage: Stage, policy: GatePolicy | None = None, **image: object) -> GateAnswer:
    asked = dataclasses.replace(QUERY, **image)  # type: ignore[arg-type]  # fields of it
    return await stage.application.evaluate_gate(asked, policy or GatePolicy())


def said(answer: GateAnswer) -> tuple[Decision, list[str]]:
    return answer.verdict.decision, [reason.code for reason in answer.verdict.reasons]


async def test_the_verdict_follows_what_the_tag_is_now(stage: Stage, registry: RunningRegistry) -> None:
    first = await a_push(registry)
    assert said(await the_gate(stage)) == (Decision.UNDECIDED, ["IMAGE_NOT_SCANNED"])

    task_id = await a_scan(stage)
    passed = await the_gate(stage)
    assert said(passed) == (Decision.PASS, ["WITHIN_LIMITS"])
    assert (passed.digest, passed.task_id) == (first, task_id)

    # The tag moves: what was said of the old digest counts for nothing.
    second = await a_push(registry, "another")
    moved = await the_gate(stage)
    assert said(moved) == (Decision.UNDECIDED, ["IMAGE_NOT_SCANNED"])
    assert (moved.digest, moved.task_id) == (second, "")
    assert said(await the_gate(stage, digest=first))[0] is Decision.PASS

    await a_scan(stage, vulnerability(OPENSSL, severity=Severity.CRITICAL))
    failed = await the_gate(stage)
    assert said(failed) == (Decision.FAIL, ["TOO_MANY_FINDINGS"])
    assert [placed.finding.id for placed in failed.verdict.failing] == ["CVE-2024-1"]


async def test_a_scan_under_way_is_undecided_though_an_older_one_passed(
    stage: Stage, registry: RunningRegistry
) -> None:
    await a_push(registry)
    await a_scan(stage)
    stage.bench.versions.advisories = "a2"
    await stage.application.create_task(QUERY)
    answer = await the_gate(stage)
    assert said(answer) == (Decision.UNDECIDED, ["SCAN_UNDER_WAY"])


async def test_what_another_engine_found_before_is_not_hidden(stage: Stage, registry: RunningRegistry) -> None:
    await a_push(registry)
    await a_scan(stage, malware(), vulnerability(OPENSSL))
    later = await a_scan(stage, vulnerability(OPENSSL), engine=Engine.TRIVY)
    answer = await the_gate(stage)
    assert (said(answer)[0], answer.task_id) == (Decision.FAIL, later)
    assert [placed.finding.id for placed in answer.verdict.failing] == ["EICAR", "CVE-2024-1"]
    # Who names an engine asks for its word alone.
    trivy = await the_gate(stage, engine=Engine.TRIVY)
    assert [placed.finding.id for placed in trivy.verdict.failing] == ["CVE-2024-1"]

    # It looks again, and it is over: what counts is the newest word of each.
    stage.bench.versions.advisories = "a2"
    await a_scan(stage)
    assert [placed.finding.id for placed in (await the_gate(stage)).verdict.failing] == ["CVE-2024-1"]


async def test_an_older_scan_lets_nothing_pass_that_the_newest_leaves_open(
    stage: Stage, registry: RunningRegistry
) -> None:
    await a_push(registry)
    await a_scan(stage)
    await a_scan(stage, whole=False, engine=Engine.TRIVY)
    assert said(await the_gate(stage)) == (Decision.UNDECIDED, ["FILE_NOT_READ"])


async def test_a_failed_scan_is_undecided_with_its_reason(stage: Stage, registry: RunningRegistry) -> None:
    await a_push(registry)
    task = await stage.application.create_task(QUERY)
    await stage.application.cancel_task(task.task_id)
    answer = await the_gate(stage)
    assert said(answer) == (Decision.UNDECIDED, ["SCAN_FAILED"])
    assert answer.verdict.reasons[0].detail == "CANCELLED"


async def test_an_image_that_was_judged_in_part_is_undecided(stage: Stage, registry: RunningRegistry) -> None:
    await a_push(registry)
    await a_scan(stage, whole=False)
    assert said(await the_gate(stage)) == (Decision.UNDECIDED, ["FILE_NOT_READ"])


async def test_old_advisories_are_undecided_unless_the_policy_says_otherwise(
    database: str, registry: RunningRegistry
) -> None:
    async with scanner_stage(database, registry.access.address) as stage:
        await a_push(registry)
        await a_scan(stage)
        assert said(await the_gate(stage)) == (Decision.UNDECIDED, ["ADVISORIES_TOO_OLD"])
        assert said(await the_gate(stage, GatePolicy(max_advisory_age=LONG)))[0] is Decision.PASS


async def test_a_report_that_is_gone_is_undecided(stage: Stage, registry: RunningRegistry) -> None:
    await a_push(registry)
    await a_scan(stage)
    await stage.ground.pool.execute("DELETE FROM scanner.report")
    assert said(await the_gate(stage)) == (Decision.UNDECIDED, ["REPORT_GONE"])


async def test_a_silent_registry_leaves_it_undecided(stage: Stage, registry: RunningRegistry) -> None:
    digest = await a_push(registry)
    await a_scan(stage)
    await stage.ground.pool.execute("UPDATE rules.instance SET address = '127.0.0.1:1'")
    answer = await the_gate(stage)
    assert said(answer) == (Decision.UNDECIDED, ["REGISTRY_SILENT"])
    assert answer.verdict.reasons[0].detail == "REGISTRY_UNREACHABLE"
    assert answer.digest is None
    # Whoever names the digest needs no registry.
    assert said(await the_gate(stage, digest=digest))[0] is Decision.PASS


async def test_what_the_registry_has_not_and_what_cannot_be_are_errors(
    stage: Stage, registry: RunningRegistry
) -> None:
    await a_push(registry)
    for policy, image, reason in (
        (GatePolicy(), {"tag": "none"}, "TAG_NOT_EXIST"),
        (GatePolicy(), {"instance": "none"}, "INSTANCE_NOT_EXIST"),
        (GatePolicy(vex=(b"{}",)), {}, "INVALID_VEX"),
    ):
        with pytest.raises(ServiceError) as caught:
            await the_gate(stage, policy, **image)
        assert caught.value.reason == reason


async def test_a_platform_that_the_image_has_not_is_called_so(stage: Stage, registry: RunningRegistry) -> None:
    await a_push(registry)
    await a_scan(stage)
    assert (await stage.application.evaluate_gate(QUERY, GatePolicy(), "linux/amd64")).verdict.reasons
    with pytest.raises(ServiceError) as caught:
        await stage.application.evaluate_gate(QUERY, GatePolicy(), "linux/s390x")
    assert caught.value.reason == "PLATFORM_NOT_EXIST"

"""What newer advisories do to images that were scanned: each difference is told once, and nothing looks clean."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.kernel.db import Connection
from services.kernel.model.digest import digest_of
from services.kernel.model.engine import Engine
from services.kernel.model.finding import FindingKind, Package
from services.kernel.model.platform import Platform
from services.kernel.model.report import AdvisoriesInfo, Coverage
from services.kernel.model.severity import Severity
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import Descriptor, ImageIndex, IndexChild
from services.scanner import matcher
from services.scanner.catalogers.interface import Distribution
from services.scanner.lanes import LANE_BULK
from services.scanner.pipeline.match import Matched, match
from services.scanner.records import Difference, ScannedImage, ScanRecord, TaskRecord
from services.scanner.reevaluate import rematch, write
from services.scanner.reevaluate.store import ReevaluationStore
from services.scanner.reports import NOT_REEVALUATED, outcome_of, pack_report
from services.scanner.tasks.tell import TaskTeller
from services.scanner.work.lanes import Slots
from tests.builders.advisories import NOW, Json, affected, before, record
from tests.builders.reevaluation import MAX_AGE, ReevaluationStage, reevaluation_stage
from tests.builders.scanner import image
from tests.builders.scanner import report as a_report

PACKAGES = {"openssl": "3.0.1", "curl": "7.88"}
OLD = record("CVE-2026-1", affected("Debian:12", "openssl", *before("3.0.2")))
NEW = record("CVE-2026-2", affected("Debian:12", "curl", *before("8")))
ELSEWHERE = record("CVE-2026-3", affected("Debian:12", "perl", *before("8")))


@pytest.fixture
async def stage(database: str, tmp_path: Path) -> AsyncIterator[ReevaluationStage]:
    async with reevaluation_stage(database, tmp_path) as built:
        yield built


def ids(report_findings: Sequence[object]) -> list[str]:
    return sorted(str(getattr(finding, "id", "")) for finding in report_findings)


async def test_what_is_new_is_found_told_and_read_without_the_registry(stage: ReevaluationStage) -> None:
    first = await stage.advise(OLD)
    task = await stage.scan(PACKAGES)
    second = await stage.advise(OLD, NEW)
    [event] = await stage.catch_up()
    assert dict(event.reevaluation.new_findings) == {"UNKNOWN": 1}
    assert (event.task_id, event.reevaluation.previous_version) == (task.task_id, first)
    assert not event.reevaluation.first
    assert not event.reevaluation.superseded
    now = await stage.bench.task(task.task_id)
    assert now.outcome.advisories_version == event.advisories_version == second
    assert sum(now.outcome.findings.values()) == sum(task.outcome.findings.values()) + 1
    report = await stage.report(task)
    assert {"CVE-2026-1", "CVE-2026-2"} <= {finding.id for finding in report.findings}
    assert any(finding.kind is FindingKind.BASELINE_RISK for finding in report.findings)
    assert report.advisories.version == second
    assert report.summary.by_severity == {each.value: count for each, count in now.outcome.findings.items()}
    assert dict(event.findings) == report.summary.by_severity


async def test_a_package_that_became_known_as_malware_is_told_as_a_malicious_sample(
    stage: ReevaluationStage,
) -> None:
    await stage.advise(OLD)
    await stage.scan(PACKAGES)
    await stage.advise(OLD, NEW, record("MAL-2026-1", affected("Debian:12", "curl", *before("8"))))
    [event] = await stage.catch_up()
    assert sum(event.reevaluation.new_findings.values()) == 2
    assert event.reevaluation.new_malicious_samples == 1


async def test_a_later_verdict_is_what_a_new_scan_would_have_said(stage: ReevaluationStage) -> None:
    await stage.advise(OLD)
    task = await stage.scan(PACKAGES)
    await stage.advise(NEW)
    await stage.catch_up()
    again = await stage.scan(PACKAGES)
    assert again.scan_id != task.scan_id
    moved, scanned = await stage.report(task), await stage.report(again)
    assert (moved.findings, moved.summary, moved.warnings) == (scanned.findings, scanned.summary, scanned.warnings)
    assert (await stage.bench.task(task.task_id)).outcome == again.outcome


async def test_what_nothing_changed_about_is_not_told_and_says_by_what_it_is_judged(
    stage: ReevaluationStage,
) -> None:
    await stage.advise(OLD)
    task = await stage.scan(PACKAGES)
    second = await stage.advise(OLD, ELSEWHERE)
    assert await stage.catch_up() == []
    report = await stage.report(task)
    assert report.advisories.version == second
    assert (await stage.bench.task(task.task_id)).outcome.advisories_version == second
    assert await stage.pool.fetchval("SELECT count(*) FROM scanner.verdict WHERE content IS NOT NULL") == 0


async def test_what_is_withdrawn_is_gone_and_may_come_back(stage: ReevaluationStage) -> None:
    await stage.advise(OLD, NEW)
    task = await stage.scan(PACKAGES)
    await stage.advise(OLD)
    [gone] = await stage.catch_up()
    await stage.advise(OLD, NEW)
    [back] = await stage.catch_up()
    assert dict(gone.reevaluation.gone_findings) == {"UNKNOWN": 1}
    assert dict(back.reevaluation.new_findings) == {"UNKNOWN": 1}
    assert (await stage.bench.task(task.task_id)).outcome.findings == task.outcome.findings
    assert await stage.pool.fetchval("SELECT count(*) FROM scanner.verdict") == 1


async def test_a_fix_that_became_known_is_told_as_a_change(stage: ReevaluationStage) -> None:
    await stage.advise(record("CVE-2026-1", affected("Debian:12", "openssl", {"introduced": "0"})))
    await stage.scan(PACKAGES)
    await stage.advise(OLD)
    [event] = await stage.catch_up()
    told = event.reevaluation
    assert (dict(told.new_findings), dict(told.gone_findings), told.changed_findings) == ({}, {}, 1)


async def test_the_first_advisories_of_all_are_no_news(stage: ReevaluationStage) -> None:
    await stage.scan(PACKAGES)  # with the sample
    await stage.advise(OLD)
    [event] = await stage.catch_up()
    assert event.reevaluation.first
    await stage.advise(OLD, NEW)
    [event] = await stage.catch_up()
    assert not event.reevaluation.first


async def test_images_that_have_the_same_are_matched_once_and_each_is_told(stage: ReevaluationStage) -> None:
    await stage.advise(OLD)
    tasks = [await stage.scan(PACKAGES, image(f"{number}".encode(), tag=f"t{number}")) for number in range(3)]
    assert await stage.pool.fetchval("SELECT count(*) FROM scanner.inventory") == 1
    await stage.advise(OLD, NEW)
    events = await stage.catch_up()
    assert sorted(event.task_id for event in events) == sorted(task.task_id for task in tasks)
    assert await stage.pool.fetchval("SELECT inventories FROM scanner.generation ORDER BY generation DESC") == 1


class _Died(Exception):
    """As if the process had been killed."""


class DyingTeller(TaskTeller):
    """Breaks off in the midst of a transaction, once."""

    def __init__(self, stage: ReevaluationStage, after: int) -> None:
        self._stage = stage
        self._left = after

    async def tell_differences(self, db: Connection, tasks: Sequence[tuple[TaskRecord, Difference]]) -> None:
        if not self._left:
            raise _Died
        self._left -= 1
        await self._stage.bench.teller.tell_differences(db, tasks)


async def test_who_dies_midway_leaves_the_rest_to_others_and_nothing_is_told_twice(
    stage: ReevaluationStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "_AT_ONCE", 1)
    await stage.advise(OLD)
    tasks = [await stage.scan(PACKAGES, image(f"{number}".encode(), tag=f"t{number}")) for number in range(4)]
    await stage.advise(OLD, NEW)
    before_it = len(await stage.bench.told())
    dying = stage.reevaluator(DyingTeller(stage, after=2))
    with pytest.raises(_Died):
        await dying.catch_up(asyncio.Event())
    assert len(await stage.bench.told()) == before_it + 2
    await stage.catch_up()
    told = (await stage.bench.told())[before_it:]
    assert sorted(event.task_id for event in told) == sorted(task.task_id for task in tasks)


async def test_two_that_work_at_once_tell_each_difference_once(stage: ReevaluationStage) -> None:
    await stage.advise(OLD)
    tasks = [
        await stage.scan(PACKAGES | {f"p{number}": "1"}, image(f"{number}".encode(), tag=f"t{number}"))
        for number in range(12)
    ]
    await stage.advise(OLD, NEW)
    before_it = len(await stage.bench.told())
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(stage.reevaluator().catch_up(asyncio.Event()))
    told = (await stage.bench.told())[before_it:]
    assert sorted(event.task_id for event in told) == sorted(task.task_id for task in tasks)


async def test_an_inventory_that_cannot_be_read_leaves_the_report_standing_and_says_so(
    stage: ReevaluationStage,
) -> None:
    await stage.advise(OLD)
    damaged = await stage.scan(PACKAGES, image(b"damaged"))
    whole = await stage.scan({"curl": "7.88"}, image(b"whole", tag="2"))
    packed = await stage.pool.fetchrow(
        "UPDATE scanner.inventory AS i SET content = 'x' FROM scanner.report AS r "
        "WHERE i.digest = r.inventory AND r.scan_id = $1 RETURNING i.digest",
        damaged.scan_id,
    )
    assert packed is not None
    second = await stage.advise(OLD, NEW)
    [event] = await stage.catch_up()
    assert event.task_id == whole.task_id
    report, now = await stage.report(damaged), await stage.bench.task(damaged.task_id)
    assert report.advisories.version == damaged.outcome.advisories_version != second
    assert (report.summary.coverage, report.summary.coverage_reason) == (Coverage.PARTIAL, NOT_REEVALUATED)
    assert "INVENTORY_UNREADABLE" in report.warnings[-1].message
    assert (now.outcome.coverage, now.outcome.reason) == (Coverage.PARTIAL, NOT_REEVALUATED)
    assert now.outcome.findings == damaged.outcome.findings
    assert await stage.pool.fetchval("SELECT failed FROM scanner.generation ORDER BY generation DESC") == 1


async def test_a_mark_goes_when_the_inventory_can_be_matched_again(stage: ReevaluationStage) -> None:
    await stage.advise(OLD)
    task = await stage.scan(PACKAGES)
    content = await stage.pool.fetchval("SELECT content FROM scanner.inventory")
    await stage.pool.execute("UPDATE scanner.inventory SET content = 'x'")
    await stage.advise(OLD, ELSEWHERE)
    await stage.catch_up()
    await stage.pool.execute("UPDATE scanner.inventory SET content = $1", content)
    await stage.advise(OLD)
    [event] = await stage.catch_up()
    assert (event.coverage, event.reason) == ("FULL", "")
    assert (await stage.report(task)).summary.coverage is Coverage.FULL


async def test_a_report_whose_inventory_nobody_kept_is_marked(stage: ReevaluationStage) -> None:
    await stage.advise(OLD)
    task = await stage.scan(PACKAGES, inventory=False)
    await stage.advise(OLD, NEW)
    assert await stage.catch_up() == []
    assert (await stage.report(task)).summary.coverage_reason == NOT_REEVALUATED
    assert (await stage.bench.task(task.task_id)).outcome.reason == NOT_REEVALUATED


def _index(*architectures: str) -> ImageIndex:
    return ImageIndex(
        digest=digest_of(b"index"),
        children=tuple(
            IndexChild(
                descriptor=Descriptor(
                    digest=digest_of(each.encode()),
                    size=1,
                    media_type="application/vnd.oci.image.manifest.v1+json",
                ),
                platform=Platform(os="linux", architecture=each),
            )
            for each in architectures
        ),
    )


async def test_an_index_counts_what_is_new_once_for_all_platforms(stage: ReevaluationStage) -> None:
    await stage.advise(OLD)
    await stage.reevaluator().enter()
    task = await stage.bench.ask(image(b"index"))

    async def script(scan: ScanRecord) -> ScannedImage | ImageIndex:
        if scan.key.digest == digest_of(b"index"):
            return _index("amd64", "arm64")
        extra = {"tar": "1"} if scan.platform.endswith("arm64") else {}
        return stage.judged(scan.key.digest, PACKAGES | extra, platform=scan.platform)

    await stage.bench.work_until(script, task.task_id)
    second = await stage.advise(OLD, NEW)
    events = await stage.catch_up()
    assert [dict(event.reevaluation.new_findings) for event in events] == [{"UNKNOWN": 1}]
    now = await stage.bench.task(task.task_id)
    assert now.outcome.findings[Severity.UNKNOWN] == 2
    assert now.outcome.advisories_version == second


async def test_what_an_image_has_shown_earlier_is_history_and_stays(stage: ReevaluationStage) -> None:
    first = await stage.advise(OLD)
    old = await stage.scan(PACKAGES)
    await stage.advise(OLD, ELSEWHERE)
    new = await stage.scan(PACKAGES)
    await stage.advise(OLD, NEW)
    events = await stage.catch_up()
    assert [event.task_id for event in events] == [new.task_id]
    assert (await stage.bench.task(old.task_id)).outcome.advisories_version == first
    assert len((await stage.report(old)).findings) == len((await stage.report(new)).findings) - 1


async def test_an_image_whose_tag_moved_is_told_as_one_that_a_tag_has_no_more(stage: ReevaluationStage) -> None:
    await stage.advise(OLD)
    moved = await stage.scan(PACKAGES, image(b"one", tag="latest"))
    await stage.bench.take(stage.bench.request(image(b"two", tag="latest"), revision=2))
    async with stage.pool.acquire() as db, db.transaction():
        await db.execute("UPDATE scanner.tag SET digest = $1", digest_of(b"two"))
    await stage.advise(OLD, NEW)
    [event] = await stage.catch_up()
    assert (event.task_id, event.reevaluation.superseded) == (moved.task_id, True)


async def test_a_scan_that_was_judged_by_older_advisories_is_matched_when_it_comes_in(
    stage: ReevaluationStage,
) -> None:
    await stage.advise(OLD)
    await stage.scan(PACKAGES)
    task = await stage.bench.ask(image(b"late", tag="late"))
    late = stage.judged(digest_of(b"late"), PACKAGES)
    await stage.advise(OLD, NEW)
    await stage.catch_up()

    async def script(scan: ScanRecord) -> ScannedImage:
        return late

    await stage.bench.work_until(script, task.task_id)
    [event] = await stage.catch_up()
    assert (event.task_id, dict(event.reevaluation.new_findings)) == (task.task_id, {"UNKNOWN": 1})


async def test_a_report_that_comes_in_while_its_inventory_is_matched_is_not_forgotten(
    stage: ReevaluationStage,
) -> None:
    await stage.advise(OLD)
    first = await stage.scan(PACKAGES)
    late, task = stage.judged(digest_of(b"late"), PACKAGES), await stage.bench.ask(image(b"late", tag="late"))
    await stage.advise(OLD, NEW)
    await stage.reevaluator().enter()
    store = ReevaluationStore()
    async with stage.pool.acquire() as db:
        generation = await store.newest(db)
        assert generation is not None
        claimed = await store.claim(db, generation.number, limit=10, lease_seconds=0)

    async def script(scan: ScanRecord) -> ScannedImage:
        return late

    await stage.bench.work_until(script, task.task_id)
    async with stage.pool.acquire() as db, db.transaction():
        await store.finish(db, claimed, generation.number)
        assert await store.lagging(db, generation.number) == 1
    told = {event.task_id for event in await stage.catch_up()}
    assert told == {first.task_id, task.task_id}


async def test_inventories_that_no_report_rests_on_go(stage: ReevaluationStage) -> None:
    await stage.advise(OLD)
    await stage.scan(PACKAGES)
    await stage.pool.execute("DELETE FROM scanner.report")
    await stage.advise(OLD, NEW)
    assert await stage.catch_up() == []
    assert await stage.pool.fetchval("SELECT count(*) FROM scanner.inventory") == 0


async def test_who_is_told_to_stop_does_not_wait_for_a_place(stage: ReevaluationStage) -> None:
    await stage.advise(OLD)
    await stage.scan(PACKAGES)
    await stage.advise(OLD, NEW)
    slots, stopping = Slots(1, 1), asyncio.Event()
    slots.take(LANE_BULK, 0.0)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        working = group.create_task(stage.reevaluator(slots=slots).catch_up(stopping))
        while await stage.pool.fetchval("SELECT count(*) FROM scanner.generation") < 2:
            await asyncio.sleep(0.01)
        assert not working.done()
        stopping.set()
    assert len(await stage.catch_up()) == 1


async def test_a_node_with_older_advisories_matches_nothing(stage: ReevaluationStage) -> None:
    old: list[Json] = [OLD]
    await stage.advise(*old)
    task = await stage.scan(PACKAGES)
    behind = stage.meta
    await stage.advise(OLD, NEW)
    await stage.reevaluator().enter()
    stage.meta = behind
    assert await stage.catch_up() == []
    assert (await stage.bench.task(task.task_id)).outcome == task.outcome


async def test_a_release_that_matches_otherwise_matches_everything_again(
    stage: ReevaluationStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = await stage.advise(OLD)
    task = await stage.scan(PACKAGES)
    monkeypatch.setattr(matcher, "MATCHER", matcher.MATCHER + 1)
    monkeypatch.setattr(rematch, "match", _blind)
    [event] = await stage.catch_up()
    assert (event.task_id, dict(event.reevaluation.gone_findings)) == (task.task_id, {"UNKNOWN": 1})
    report = await stage.report(task)
    assert (report.advisories.version, report.advisories.newer) == (version, "")
    assert await stage.catch_up() == []


async def test_a_release_whose_matcher_is_older_matches_nothing(
    stage: ReevaluationStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.advise(OLD)
    task = await stage.scan(PACKAGES)
    with monkeypatch.context() as later:
        later.setattr(matcher, "MATCHER", matcher.MATCHER + 1)
        await stage.reevaluator().enter()
    monkeypatch.setattr(rematch, "match", _blind)
    assert await stage.catch_up() == []
    assert (await stage.bench.task(task.task_id)).outcome == task.outcome
    assert await stage.pool.fetchval("SELECT count(*) FROM scanner.generation") == 2


def _blind(distribution: Distribution | None, packages: Sequence[Package], *more: Any, **named: Any) -> Matched:
    return dataclasses.replace(match(distribution, packages, *more, **named), findings=())


async def test_a_report_that_waits_for_its_turn_says_that_younger_advisories_are_there(
    stage: ReevaluationStage,
) -> None:
    await stage.advise(OLD)
    task = await stage.scan(PACKAGES)
    assert not (await stage.report(task)).advisories.newer
    second = await stage.advise(OLD, NEW)
    await stage.reevaluator().enter()
    assert (await stage.report(task)).advisories.newer == second
    await stage.catch_up()
    assert not (await stage.report(task)).advisories.newer


def _of_trivy(scan: ScanRecord, version: str) -> ScannedImage:
    whole = a_report(scan.key.digest, "linux/amd64")
    info = AdvisoriesInfo(version=version, built_at=NOW.isoformat(), sample=False)
    return ScannedImage(
        platform="linux/amd64",
        report=pack_report(msgspec.structs.replace(whole, advisories=info)),
        outcome=dataclasses.replace(outcome_of(whole), advisories_version=version),
    )


async def _scanned_by_trivy(stage: ReevaluationStage) -> TaskRecord:
    stage.trivy.advisories_version, stage.trivy.advisories_at = "t1", NOW
    stage.bench.versions.advisories = "t1"
    await stage.reevaluator().enter()
    task = await stage.bench.ask(image(b"trivy"), engine=Engine.TRIVY)

    async def script(scan: ScanRecord) -> ScannedImage:
        return _of_trivy(scan, "t1")

    [ended] = await stage.bench.work_until(script, task.task_id)
    await stage.catch_up()
    return ended


async def test_an_image_that_trivy_scanned_says_when_trivy_has_a_younger_database(
    stage: ReevaluationStage,
) -> None:
    task = await _scanned_by_trivy(stage)
    assert not (await stage.report(task)).advisories.newer
    stage.trivy.advisories_version, stage.trivy.advisories_at = "t2", NOW + timedelta(hours=6)
    assert await stage.catch_up() == []
    assert (await stage.report(task)).advisories.newer == "t2"
    now = await stage.bench.task(task.task_id)
    assert (now.outcome.coverage, now.outcome.advisories_version) == (Coverage.FULL, "t1")


async def test_what_trivy_judged_by_a_database_that_is_too_old_beside_its_youngest_is_not_vouched_for(
    stage: ReevaluationStage,
) -> None:
    task = await _scanned_by_trivy(stage)
    stage.trivy.advisories_version, stage.trivy.advisories_at = "t2", NOW + MAX_AGE
    await stage.catch_up()
    assert (await stage.report(task)).summary.coverage is Coverage.FULL
    stage.trivy.advisories_version, stage.trivy.advisories_at = "t3", NOW + MAX_AGE + timedelta(seconds=1)
    assert await stage.catch_up() == []
    report, now = await stage.report(task), await stage.bench.task(task.task_id)
    assert (report.summary.coverage, report.summary.coverage_reason) == (Coverage.PARTIAL, NOT_REEVALUATED)
    assert (now.outcome.coverage, now.outcome.reason) == (Coverage.PARTIAL, NOT_REEVALUATED)
    assert "t3" in now.outcome.message
    assert report.warnings[-1].message == now.outcome.message


async def test_an_image_that_trivy_scans_anew_is_vouched_for_again(stage: ReevaluationStage) -> None:
    await _scanned_by_trivy(stage)
    stage.trivy.advisories_version, stage.trivy.advisories_at = "t2", NOW + 2 * MAX_AGE
    await stage.catch_up()
    stage.bench.versions.advisories = "t2"
    task = await stage.bench.ask(image(b"trivy"), engine=Engine.TRIVY)

    async def script(scan: ScanRecord) -> ScannedImage:
        return _of_trivy(scan, "t2")

    [again] = await stage.bench.work_until(script, task.task_id)
    await stage.catch_up()
    assert (await stage.bench.task(again.task_id)).outcome.coverage is Coverage.FULL


@pytest.mark.parametrize("trivy_failed", [False, True])
async def test_a_task_by_both_engines_that_nothing_changed_about_says_by_what_each_judged(
    stage: ReevaluationStage, trivy_failed: bool
) -> None:
    await stage.advise(OLD)
    await stage.reevaluator().enter()
    task = await stage.bench.ask(image(b"both"), engine=Engine.ALL)

    async def script(scan: ScanRecord) -> ScannedImage | ImageIndex:
        if scan.key.engine is Engine.ALL:
            return _index("amd64")
        if scan.key.engine is Engine.SECURITY_CENTER:
            return stage.judged(scan.key.digest, PACKAGES)
        if trivy_failed:
            raise ScanFailure(Reason.LAYER_CORRUPT, "It cannot.")
        return _of_trivy(scan, "t1")

    await stage.bench.work_until(script, task.task_id)
    second = await stage.advise(OLD, ELSEWHERE)
    assert await stage.catch_up() == []
    now = await stage.bench.task(task.task_id)
    assert now.outcome.advisories_version == (second if trivy_failed else f"{second}; t1")

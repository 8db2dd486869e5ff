"""What the stream of findings tells when newer advisories are held against images that nobody scanned again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from services.scanner.reevaluate.store import ReevaluationStore
from tests.builders.advisories import affected, before, record
from tests.builders.reevaluation import ReevaluationStage, reevaluation_stage
from tests.builders.scanner import image
from tests.builders.stream import Said, StreamBench, Told, a_risk

PACKAGES = {"openssl": "3.0.1", "curl": "7.88"}
OLD = record("CVE-2026-1", affected("Debian:12", "openssl", *before("3.0.2")))
NEW = record("CVE-2026-2", affected("Debian:12", "curl", *before("8")))
MENDED = record("CVE-2026-2", affected("Debian:12", "curl", *before("7")))
FIXED_LATER = record("CVE-2026-1", affected("Debian:12", "openssl", *before("3.0.3")))


@pytest.fixture
async def stage(database: str, tmp_path: Path) -> AsyncIterator[ReevaluationStage]:
    async with reevaluation_stage(database, tmp_path) as built:
        yield built


def activities(told: Sequence[Told]) -> list[tuple[str, str]]:
    return sorted((one.activity, one.id) for one in told if one.id.startswith("CVE-"))


async def test_the_stream_tells_what_newer_advisories_change_each_once(stage: ReevaluationStage) -> None:
    stream = StreamBench(stage.bench, stage.data)
    await stage.advise(OLD)
    await stage.scan(PACKAGES)
    first = await stream.tell()
    assert activities(first) == [("Create", "CVE-2026-1")]
    await stage.advise(OLD, NEW)
    await stage.catch_up()
    [new] = await stream.tell()
    assert (new.activity, new.id) == ("Create", "CVE-2026-2")
    assert await stream.tell() == []
    await stage.advise(FIXED_LATER, NEW)
    await stage.catch_up()
    assert activities(await stream.tell()) == [("Update", "CVE-2026-1")]
    await stage.advise(FIXED_LATER, MENDED)
    await stage.catch_up()
    assert activities(await stream.tell()) == [("Close", "CVE-2026-2")]
    assert len(await stream.open_uids()) == len(first)


async def test_the_first_advisories_of_all_open_what_they_find(stage: ReevaluationStage) -> None:
    stream = StreamBench(stage.bench, stage.data)
    await stage.scan(PACKAGES)  # with the sample
    await stream.tell()
    await stage.advise(OLD)
    await stage.catch_up()
    assert ("Create", "CVE-2026-1") in activities(await stream.tell())


async def test_advisories_that_lost_a_record_close_nothing(stage: ReevaluationStage) -> None:
    stream = StreamBench(stage.bench, stage.data)
    await stage.advise(OLD, NEW)
    await stage.scan(PACKAGES)
    was_open = len(await stream.tell())
    await stage.advise(OLD)
    await stage.catch_up()
    assert await stream.tell() == []
    assert len(await stream.open_uids()) == was_open


async def test_a_verdict_by_a_node_whose_clock_is_late_is_told_all_the_same(stage: ReevaluationStage) -> None:
    stream = StreamBench(stage.bench, stage.data)
    await stage.advise(OLD)
    task = await stage.scan(PACKAGES)
    await stream.tell()
    await stage.advise(OLD, NEW)
    await stage.catch_up()
    assert task.ended_at is not None
    await stage.pool.execute("UPDATE scanner.verdict SET judged_at = $1", task.ended_at - timedelta(hours=1))
    [told] = await stream.tell()
    assert (told.activity, told.id) == ("Create", "CVE-2026-2")


async def test_an_older_scan_that_is_shown_again_speaks_by_newer_advisories_and_of_nothing_else(
    stage: ReevaluationStage,
) -> None:
    stream = StreamBench(stage.bench, stage.data)
    await stage.advise(OLD)
    await stage.scan(PACKAGES, image(tag="1.0"))
    await stream.tell()
    last = await stream.scan(image(tag="2.0"), Said(findings=[a_risk()]))
    assert ("Create", a_risk().id) in [(one.activity, one.id) for one in await stream.tell()]
    await stage.pool.execute("DELETE FROM scanner.task WHERE task_id = $1", last.task_id)
    await stage.advise(OLD, NEW)
    await stage.catch_up()
    await stage.pool.execute("UPDATE scanner.verdict SET judged_at = now()")  # the stage's clock stands
    told = await stream.tell()
    assert ("Create", "CVE-2026-2") in activities(told)
    assert "Close" not in {one.activity for one in told}


async def test_an_inventory_that_could_not_be_matched_closes_nothing(stage: ReevaluationStage) -> None:
    stream = StreamBench(stage.bench, stage.data)
    await stage.advise(OLD, NEW)
    task = await stage.scan(PACKAGES)
    was_open = len(await stream.tell())
    async with stage.pool.acquire() as db:
        await ReevaluationStore().mark(db, [task.scan_id], "NOT_REEVALUATED", "Nobody knows.")
    await stage.advise(OLD, MENDED)
    again = await stage.scan(PACKAGES, image(tag="2.0"))
    async with stage.pool.acquire() as db:
        await ReevaluationStore().mark(db, [again.scan_id], "NOT_REEVALUATED", "Nobody knows.")
    assert await stream.tell() == []
    assert len(await stream.open_uids()) == was_open

"""What the scanner promises about leases, failures and indexes, on a real database with scripted scans."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest

from services.kernel.errors import Kind, ServiceError
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.platform import Platform
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import Descriptor, ImageIndex, IndexChild
from services.scanner.api import State
from services.scanner.lanes import LANES
from services.scanner.pipeline.record import LeaseLost
from services.scanner.records import ScannedImage, ScanRecord
from tests.builders.scanner import ScannerBench, good, image, lacking, scanned, scanner_bench


@pytest.fixture
async def scanner(database: str) -> AsyncIterator[ScannerBench]:
    async with scanner_bench(database) as bench:
        yield bench


async def test_a_passing_failure_is_tried_again_and_told(scanner: ScannerBench) -> None:
    tries = 0

    async def third_time(scan: ScanRecord) -> ScannedImage:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ScanFailure(Reason.REGISTRY_ERROR, "The registry answered 502.")
        return scanned(scan)

    task = await scanner.ask(image())
    [ended] = await scanner.work_until(third_time, task.task_id)
    assert ended.outcome.state is State.COMPLETE
    assert await scanner.events() == ["SCANNING", "RETRYING", "RETRYING", "COMPLETE"]


@pytest.mark.parametrize("kind", [Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED])
async def test_a_service_that_is_away_costs_a_scan_no_attempt(scanner: ScannerBench, kind: Kind) -> None:
    tries = 0

    async def long_after(scan: ScanRecord) -> ScannedImage:
        nonlocal tries
        tries += 1
        if tries <= 3 * scanner.settings.attempts:
            raise ServiceError(kind, "PEER_UNAVAILABLE", "The rules service cannot be reached.", retry_after=0.01)
        return scanned(scan)

    task = await scanner.ask(image())
    [ended] = await scanner.work_until(long_after, task.task_id)
    assert ended.outcome.state is State.COMPLETE
    assert set(await scanner.events()) == {"SCANNING", "RETRYING", "COMPLETE"}


async def test_a_failure_that_does_not_pass_ends_the_scan_after_the_last_attempt(scanner: ScannerBench) -> None:
    async def never(scan: ScanRecord) -> ScannedImage:
        raise ScanFailure(Reason.REGISTRY_ERROR, "The registry answered 502.")

    task = await scanner.ask(image())
    [ended] = await scanner.work_until(never, task.task_id)
    assert (ended.outcome.state, ended.outcome.reason) == (State.FAILED, "REGISTRY_ERROR")
    assert await scanner.events() == ["SCANNING", "RETRYING", "RETRYING", "FAILED"]


async def test_a_failure_of_the_content_is_remembered_and_not_tried_again(scanner: ScannerBench) -> None:
    runs = 0

    async def bomb(scan: ScanRecord) -> ScannedImage:
        nonlocal runs
        runs += 1
        raise ScanFailure(Reason.LAYER_EXPANDS_TOO_FAR, "The layer grows without end.")

    first = await scanner.ask(image())
    await scanner.work_until(bomb, first.task_id)
    second = await scanner.ask(image(tag="again"))
    assert (second.outcome.state, second.outcome.reason) == (State.FAILED, "LAYER_EXPANDS_TOO_FAR")
    assert runs == 1


async def test_a_failure_that_somebody_can_mend_is_tried_again_on_request(scanner: ScannerBench) -> None:
    async def locked(scan: ScanRecord) -> ScannedImage:
        raise ScanFailure(Reason.REGISTRY_UNAUTHORIZED, "The registry wants other credentials.")

    first = await scanner.ask(image())
    await scanner.work_until(locked, first.task_id)
    second = await scanner.ask(image())
    [ended] = await scanner.work_until(good, second.task_id)
    assert ended.outcome.state is State.COMPLETE
    assert (await scanner.task(first.task_id)).outcome.state is State.FAILED


async def test_a_scan_that_is_tried_again_is_the_same_scan(scanner: ScannerBench) -> None:
    seen: list[ScanRecord] = []

    async def second_time(scan: ScanRecord) -> ScannedImage:
        seen.append(scan)
        if len(seen) == 1:
            raise ScanFailure(Reason.REGISTRY_UNAUTHORIZED, "The registry wants other credentials.")
        return scanned(scan)

    first = await scanner.ask(image())
    await scanner.work_until(second_time, first.task_id)
    second = await scanner.ask(image())
    await scanner.work_until(second_time, second.task_id)
    assert [scan.key.scan_id for scan in seen] == [first.scan_id, first.scan_id]


async def test_a_bug_in_the_pipeline_is_a_failed_scan_and_not_a_dead_worker(scanner: ScannerBench) -> None:
    async def broken(scan: ScanRecord) -> ScannedImage:
        raise KeyError("secret-text")

    task = await scanner.ask(image())
    [ended] = await scanner.work_until(broken, task.task_id)
    assert (ended.outcome.state, ended.outcome.reason) == (State.FAILED, "INTERNAL")
    assert "secret-text" not in ended.outcome.message


async def test_an_index_that_lacks_an_answer_has_its_platforms_scanned_again(scanner: ScannerBench) -> None:
    children = tuple(
        IndexChild(descriptor=_descriptor(each), platform=Platform(os="linux", architecture=each.decode()))
        for each in (b"amd64", b"arm64")
    )
    read: list[str] = []

    async def index(scan: ScanRecord) -> ScannedImage | ImageIndex:
        if scan.key.digest == digest_of(b"index"):
            return ImageIndex(digest=digest_of(b"index"), children=children)
        read.append(scan.platform)
        return lacking(scan) if len(read) <= len(children) else scanned(scan, scan.platform)

    reasons = []
    for _ in range(2):
        task = await scanner.ask(image(b"index"))
        [ended] = await scanner.work_until(index, task.task_id)
        reasons.append(ended.outcome.reason)
    assert reasons == ["CLAMD_FAILED", ""]
    assert sorted(read) == sorted(2 * [str(each.platform) for each in children])


async def test_an_index_is_complete_when_all_its_platforms_are(scanner: ScannerBench) -> None:
    children = (
        IndexChild(descriptor=_descriptor(b"amd64"), platform=Platform(os="linux", architecture="amd64")),
        IndexChild(descriptor=_descriptor(b"arm64"), platform=Platform(os="linux", architecture="arm64")),
    )

    async def index(scan: ScanRecord) -> ScannedImage | ImageIndex:
        if scan.key.digest == digest_of(b"index"):
            return ImageIndex(digest=digest_of(b"index"), children=children)
        return scanned(scan, scan.platform)

    task = await scanner.ask(image(b"index"))
    [ended] = await scanner.work_until(index, task.task_id)
    assert ended.outcome.state is State.COMPLETE
    assert await scanner.events() == ["SCANNING", "COMPLETE"]
    async with scanner.pool.acquire() as db:
        parts = await scanner.store.parts_of(db, task.scan_id)
    assert [part.platform for part in parts] == ["linux/amd64", "linux/arm64"]


async def test_an_index_fails_when_one_platform_does_and_says_which(scanner: ScannerBench) -> None:
    children = (
        IndexChild(descriptor=_descriptor(b"amd64"), platform=Platform(os="linux", architecture="amd64")),
        IndexChild(descriptor=_descriptor(b"arm64"), platform=Platform(os="linux", architecture="arm64")),
    )

    async def index(scan: ScanRecord) -> ScannedImage | ImageIndex:
        if scan.key.digest == digest_of(b"index"):
            return ImageIndex(digest=digest_of(b"index"), children=children)
        if scan.key.digest == digest_of(b"arm64"):
            raise ScanFailure(Reason.LAYER_CORRUPT, "The layer is cut off.")
        return scanned(scan, scan.platform)

    task = await scanner.ask(image(b"index"))
    [ended] = await scanner.work_until(index, task.task_id)
    assert (ended.outcome.state, ended.outcome.reason) == (State.FAILED, "LAYER_CORRUPT")
    assert ended.outcome.message.startswith("linux/arm64: ")


async def test_an_index_whose_platforms_are_known_ends_at_once(scanner: ScannerBench) -> None:
    child = IndexChild(descriptor=_descriptor(b"amd64"), platform=Platform(os="linux", architecture="amd64"))
    single = await scanner.ask(image(b"amd64"))
    await scanner.work_until(good, single.task_id)
    runs: list[Digest] = []

    async def index(scan: ScanRecord) -> ScannedImage | ImageIndex:
        runs.append(scan.key.digest)
        return ImageIndex(digest=digest_of(b"index"), children=(child,))

    task = await scanner.ask(image(b"index"))
    [ended] = await scanner.work_until(index, task.task_id)
    assert ended.outcome.state is State.COMPLETE
    assert runs == [digest_of(b"index")]


async def test_a_writer_that_lost_its_lease_changes_nothing(scanner: ScannerBench) -> None:
    task = await scanner.ask(image())
    async with scanner.pool.acquire() as db:
        late = await scanner.store.claim(db, "late", 0.0, LANES)
        ours = await scanner.store.claim(db, "ours", 30.0, LANES)
    assert late is not None
    assert ours is not None
    scan = (await scanner.recorder.begin([ours]))[ours.scan_id]
    result = scanned(scan)
    with pytest.raises(LeaseLost):
        await scanner.recorder.complete(late, result)
    with pytest.raises(LeaseLost):
        await scanner.recorder.retry(late, ScanFailure(Reason.INTERNAL, "late"), 1)
    assert (await scanner.task(task.task_id)).outcome.state is State.RUNNING
    await scanner.recorder.complete(ours, result)
    assert (await scanner.task(task.task_id)).outcome.state is State.COMPLETE


async def test_a_scan_whose_worker_always_dies_fails_in_the_end(scanner: ScannerBench) -> None:
    task = await scanner.ask(image())
    for _ in range(scanner.settings.attempts):
        async with scanner.pool.acquire() as db:
            assert await scanner.store.claim(db, "dying", 0.0, LANES)
    [ended] = await scanner.work_until(good, task.task_id)
    assert (ended.outcome.state, ended.outcome.reason) == (State.FAILED, "WORKER_DIED")
    assert f"begun {scanner.settings.attempts} times" in ended.outcome.message


async def test_a_result_that_cannot_be_stored_fails_its_scan_and_no_other(scanner: ScannerBench) -> None:
    async def unstorable(scan: ScanRecord) -> ScannedImage:
        result = scanned(scan)
        return dataclasses.replace(result, platform="li\0nux") if scan.key.digest == digest_of(b"bad") else result

    bad, fine = await scanner.ask(image(b"bad")), await scanner.ask(image(b"fine", tag="2"))
    ended = await scanner.work_until(unstorable, bad.task_id, fine.task_id)
    assert [task.outcome.state for task in ended] == [State.FAILED, State.COMPLETE]
    assert ended[0].outcome.reason == "INTERNAL"


async def test_a_reason_with_odd_characters_of_the_image_is_stored(scanner: ScannerBench) -> None:
    async def odd(scan: ScanRecord) -> ScannedImage:
        raise ScanFailure(Reason.MANIFEST_INVALID, "The media type 'a\0b' is unknown.")

    task = await scanner.ask(image())
    [ended] = await scanner.work_until(odd, task.task_id)
    assert (ended.outcome.state, ended.outcome.reason) == (State.FAILED, "MANIFEST_INVALID")


async def test_a_heartbeat_does_not_take_back_what_was_given_back(scanner: ScannerBench) -> None:
    await scanner.ask(image())
    async with scanner.pool.acquire() as db:
        lease = await scanner.store.claim(db, "ours", 30.0, LANES)
        assert lease is not None
        await scanner.store.release(db, lease)
        assert not await scanner.store.heartbeat(db, lease, 30.0)
        assert await scanner.store.claim(db, "next", 30.0, LANES)


async def test_an_index_runs_again_when_its_platform_does(scanner: ScannerBench) -> None:
    child = IndexChild(descriptor=_descriptor(b"amd64"), platform=Platform(os="linux", architecture="amd64"))
    states: list[State] = []
    task = await scanner.ask(image(b"index"))

    async def second_time(scan: ScanRecord) -> ScannedImage | ImageIndex:
        if scan.key.digest == digest_of(b"index"):
            return ImageIndex(digest=digest_of(b"index"), children=(child,))
        states.append((await scanner.task(task.task_id)).outcome.state)
        if len(states) == 1:
            raise ScanFailure(Reason.REGISTRY_ERROR, "The registry answered 502.")
        return scanned(scan, scan.platform)

    await scanner.work_until(second_time, task.task_id)
    assert states == [State.RUNNING, State.RUNNING]
    assert await scanner.events() == ["SCANNING", "RETRYING", "COMPLETE"]


def _descriptor(content: bytes) -> Descriptor:
    return Descriptor(media_type="m", digest=digest_of(content), size=1)

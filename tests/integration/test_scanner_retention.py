"""What is old goes, what is needed stays; nothing is half gone, whatever happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from services.kernel.clock import SystemClock
from services.kernel.db import is_outage, open_pool
from services.kernel.disk_use import DiskUse
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.platform import Platform
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import Descriptor, ImageIndex, IndexChild
from services.scanner.api import State
from services.scanner.layers.store import AnalysisStore
from services.scanner.layers.stored import StoredAnalyses
from services.scanner.records import ScannedImage, ScanRecord, TaskRecord
from services.scanner.retention import agings
from services.scanner.settings import ScannerSettings
from tests.builders.retention import retention_of
from tests.builders.scanner import ScannerBench, good, image, scanned, scanner_bench

SETTINGS = ScannerSettings(report_days=90, analysis_days=30)
TABLES = ("task", "scan", "report", "scan_part")


@pytest.fixture
async def scanner(database: str) -> AsyncIterator[ScannerBench]:
    async with scanner_bench(database) as bench:
        yield bench


async def clean(scanner: ScannerBench, *, batch: int = 3) -> int:
    """Deletes what is old, once."""
    retention = retention_of("scanner", agings(SETTINGS), scanner.pool, SystemClock(), batch=batch)
    return await retention.clean(asyncio.Event())


async def ended_long_ago(scanner: ScannerBench, *tasks: TaskRecord, days: int = 91) -> None:
    """Turns the end of tasks, their scans and these scans' parts back."""
    ended = datetime.now(UTC) - timedelta(days=days)
    for task in tasks:
        await scanner.pool.execute("UPDATE scanner.task SET ended_at = $2 WHERE task_id = $1", task.task_id, ended)
        await scanner.pool.execute(
            "UPDATE scanner.scan SET ended_at = $2 WHERE scan_id = $1 "
            "OR scan_id IN (SELECT scan_id FROM scanner.scan_part WHERE index_id = $1)",
            task.scan_id,
            ended,
        )


async def count(scanner: ScannerBench, table: str) -> int:
    return int(await scanner.pool.fetchval(f"SELECT count(*) FROM scanner.{table}"))  # noqa: S608 - one of ours


async def there(scanner: ScannerBench, *tasks: TaskRecord) -> list[bool]:
    """Tells of each task whether it is there; with its scan and report, or none of them."""
    found = []
    for task in tasks:
        async with scanner.pool.acquire() as db:
            record = await scanner.store.task(db, task.task_id)
            parts = await scanner.store.parts_of(db, task.scan_id)
            reports = await scanner.store.reports(db, [part.scan_id for part in parts])
        if record is not None and record.outcome.state is State.COMPLETE:
            assert parts
            assert reports.keys() == {part.scan_id for part in parts}
        found.append(record is not None)
    return found


async def failing(scan: ScanRecord) -> ScannedImage:
    raise ScanFailure(Reason.LAYER_EXPANDS_TOO_FAR, "The layer grows without end.")


async def forget_tag(scanner: ScannerBench, tag: str) -> None:
    """What a deletion in the registry leads to."""
    await scanner.pool.execute("DELETE FROM scanner.tag WHERE tag = $1", tag)


async def test_reports_of_tags_that_are_gone_go_after_their_days(scanner: ScannerBench) -> None:
    old, young = await scanner.ask(image(b"old", "old")), await scanner.ask(image(b"young", "young"))
    await scanner.work_until(good, old.task_id, young.task_id)
    await ended_long_ago(scanner, old)
    await ended_long_ago(scanner, young, days=89)
    for tag in ("old", "young"):
        await forget_tag(scanner, tag)
    assert await clean(scanner) == 2  # the task and its scan
    assert await there(scanner, old, young) == [False, True]
    assert [await count(scanner, table) for table in ("task", "scan", "report")] == [1, 1, 1]


async def test_the_last_good_report_of_a_tag_stays_as_long_as_the_tag(scanner: ScannerBench) -> None:
    first = await scanner.ask(image())
    await scanner.work_until(good, first.task_id)
    scanner.versions.advisories = "a2"
    second = await scanner.ask(image())
    await scanner.work_until(good, second.task_id)
    await ended_long_ago(scanner, first, days=2000)
    await ended_long_ago(scanner, second, days=1000)
    await clean(scanner)
    assert await there(scanner, first, second) == [False, True]
    await forget_tag(scanner, "1.0")
    await clean(scanner)
    assert await there(scanner, first, second) == [False, False]
    assert [await count(scanner, table) for table in TABLES] == [0, 0, 0, 0]


async def test_a_good_report_stays_while_rescans_of_its_digest_fail(scanner: ScannerBench) -> None:
    good_one = await scanner.ask(image())
    await scanner.work_until(good, good_one.task_id)
    failed = []
    for version in ("a2", "a3"):
        scanner.versions.advisories = version
        failed.append(await scanner.ask(image()))
        await scanner.work_until(failing, failed[-1].task_id)
    await ended_long_ago(scanner, good_one, days=300)
    await ended_long_ago(scanner, failed[0], days=200)
    await ended_long_ago(scanner, failed[1], days=100)
    await clean(scanner)
    assert await there(scanner, good_one, *failed) == [True, False, True]  # the last one is what the tag shows


async def test_the_good_report_of_what_a_tag_had_stays_until_there_is_one_of_what_it_has(
    scanner: ScannerBench,
) -> None:
    before = await scanner.ask(image(b"before"), revision=1)
    await scanner.work_until(good, before.task_id)
    after = await scanner.ask(image(b"after"), revision=2)
    await scanner.pool.execute(
        "UPDATE scanner.tag SET digest = $1, task_id = $2", digest_of(b"after"), after.task_id
    )
    await scanner.work_until(failing, after.task_id)
    await ended_long_ago(scanner, before, after)
    await clean(scanner)
    assert await there(scanner, before, after) == [True, True]
    scanner.versions.advisories = "a2"
    again = await scanner.ask(image(b"after"), revision=2)
    await scanner.pool.execute("UPDATE scanner.tag SET task_id = $1", again.task_id)
    await scanner.work_until(good, again.task_id)
    await clean(scanner)
    assert await there(scanner, before, after, again) == [False, False, True]


async def test_a_scan_that_another_task_needs_stays(scanner: ScannerBench) -> None:
    old = await scanner.ask(image(tag="old"))
    await scanner.work_until(good, old.task_id)
    await ended_long_ago(scanner, old)
    await forget_tag(scanner, "old")
    young = await scanner.ask(image(tag="young"))
    assert young.scan_id == old.scan_id
    await clean(scanner)
    assert await there(scanner, old, young) == [False, True]


async def test_what_has_not_ended_never_goes(scanner: ScannerBench) -> None:
    task = await scanner.ask(image())
    await scanner.pool.execute("UPDATE scanner.task SET created_at = '2000-01-01'")
    await forget_tag(scanner, "1.0")
    assert await clean(scanner) == 0
    [ended] = await scanner.work_until(good, task.task_id)
    assert ended.outcome.state is State.COMPLETE


async def test_an_index_goes_with_its_platforms(scanner: ScannerBench) -> None:
    parts = [digest_of(name) for name in (b"amd64", b"arm64")]

    async def work(scan: ScanRecord) -> ScannedImage | ImageIndex:
        if scan.key.digest in parts:
            return scanned(scan)
        return index_of(scan.key.digest, parts)

    task = await scanner.ask(image())
    await scanner.work_until(work, task.task_id)
    assert [await count(scanner, table) for table in TABLES] == [1, 3, 2, 2]
    await ended_long_ago(scanner, task)
    await clean(scanner)
    assert [await count(scanner, table) for table in TABLES] == [1, 3, 2, 2]
    await forget_tag(scanner, "1.0")
    await clean(scanner)
    await clean(scanner)  # platforms that were looked at before their index had gone
    assert [await count(scanner, table) for table in TABLES] == [0, 0, 0, 0]


def index_of(digest: Digest, children: list[Digest]) -> ImageIndex:
    return ImageIndex(
        digest=digest,
        children=tuple(
            IndexChild(
                descriptor=Descriptor(
                    media_type="application/vnd.oci.image.manifest.v1+json", digest=child, size=1
                ),
                platform=Platform(os="linux", architecture=architecture),
            )
            for child, architecture in zip(children, ("amd64", "arm64"), strict=True)
        ),
    )


async def test_an_analysis_stays_as_long_as_scans_need_it(scanner: ScannerBench) -> None:
    used, unused = digest_of(b"used layer"), digest_of(b"unused layer")
    library = StoredAnalyses(scanner.pool, AnalysisStore(), lambda inspection: "analysers;1")
    for layer in (used, unused):
        await library.keep(layer, None, b"analysis")
    await scanner.pool.execute("UPDATE scanner.layer_analysis SET used_at = now() - interval '31 days'")
    assert set(await library.known([used], None)) == {used}
    assert await clean(scanner) == 1
    assert set(await library.known([used, unused], None)) == {used}


async def test_one_round_looks_at_everything_in_batches(scanner: ScannerBench) -> None:
    kept = [await scanner.ask(image(b"kept%d" % number, f"kept{number}")) for number in range(7)]
    gone = [await scanner.ask(image(b"gone%d" % number, f"gone{number}")) for number in range(8)]
    await scanner.work_until(good, *(task.task_id for task in [*kept, *gone]))
    for number, task in enumerate([*kept, *gone]):
        await ended_long_ago(scanner, task, days=100 + number % 5)
    for number in range(8):
        await forget_tag(scanner, f"gone{number}")
    assert await clean(scanner, batch=2) == 16
    assert await there(scanner, *kept) == [True] * 7
    assert await there(scanner, *gone) == [False] * 8


async def test_killed_in_the_middle_nothing_is_half_gone_and_the_next_round_ends_it(scanner: ScannerBench) -> None:
    tasks = [await scanner.ask(image(b"image%d" % number, f"t{number}")) for number in range(9)]
    await scanner.work_until(good, *(task.task_id for task in tasks))
    for number, task in enumerate(tasks):
        await ended_long_ago(scanner, task, days=100 + number)
        await forget_tag(scanner, f"t{number}")
    await scanner.pool.execute(
        """
        CREATE SEQUENCE deaths;
        CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('deaths') = 5 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
            RETURN OLD;
        END
        $$;
        CREATE TRIGGER die BEFORE DELETE ON scanner.report FOR EACH ROW EXECUTE FUNCTION die();
        """
    )
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)) as killed:
        await clean(scanner)
    assert is_outage(killed.value)  # so that the loop tries again soon
    assert await count(scanner, "scan") == await count(scanner, "report") == 6
    await clean(scanner)
    assert [await count(scanner, table) for table in TABLES] == [0, 0, 0, 0]


async def test_of_two_copies_one_deletes(scanner: ScannerBench, database: str) -> None:
    task = await scanner.ask(image())
    await scanner.work_until(good, task.task_id)
    await ended_long_ago(scanner, task)
    await forget_tag(scanner, "1.0")
    async with open_pool(database, application_name="other") as other, other.acquire() as db, db.transaction():
        assert await db.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('retention:scanner'))")
        assert await clean(scanner) == 0
    assert await clean(scanner) == 2


async def test_a_scan_that_is_asked_for_while_it_goes_is_scanned_again(
    scanner: ScannerBench, database: str
) -> None:
    old = await scanner.ask(image(tag="old"))
    await scanner.work_until(good, old.task_id)
    await ended_long_ago(scanner, old)
    await forget_tag(scanner, "old")
    forget = [aging for aging in agings(SETTINGS) if aging.table in ("task", "scan")]
    span = (datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC) - timedelta(days=90))
    async with open_pool(database, application_name="other") as other, other.acquire() as db:
        async with db.transaction():
            for aging in forget:
                for statement in aging.forget:
                    await db.execute(statement, *span)
            asking = asyncio.create_task(scanner.ask(image(tag="new")))
            await until_somebody_waits(scanner)
        new = await asking
    assert new.outcome.state is State.PENDING
    [ended] = await scanner.work_until(good, new.task_id)
    assert ended.outcome.state is State.COMPLETE


async def test_a_scan_that_is_asked_for_before_it_goes_stays(scanner: ScannerBench) -> None:
    old = await scanner.ask(image(tag="old"))
    await scanner.work_until(good, old.task_id)
    await ended_long_ago(scanner, old)
    await forget_tag(scanner, "old")
    async with scanner.pool.acquire() as db:
        async with db.transaction():
            [new] = await scanner.intake.accept(db, [scanner.request(image(tag="new"))])
            cleaning = asyncio.create_task(clean(scanner))
            await until_somebody_waits(scanner)
        await cleaning
    assert new.outcome.state is State.COMPLETE
    assert await there(scanner, old, new) == [False, True]


async def until_somebody_waits(scanner: ScannerBench) -> None:
    async with asyncio.timeout(10):
        while not await scanner.pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            await asyncio.sleep(0.01)


async def test_disk_use_of_tables_and_folders_is_a_metric(scanner: ScannerBench, tmp_path: Path) -> None:
    registry = CollectorRegistry()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "layer").write_bytes(b"x" * 100_000)
    task = await scanner.ask(image())
    await scanner.work_until(good, task.task_id)
    await DiskUse("scanner", scanner.pool, registry, {"spool": tmp_path}).measure(asyncio.Event())
    reports = registry.get_sample_value("drydock_scanner_table_bytes", {"table": "report"})
    whole = await scanner.pool.fetchval(
        "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits "
        "WHERE inhparent = 'scanner.report'::regclass"
    )
    assert reports == whole > 0
    assert registry.get_sample_value("drydock_scanner_table_bytes", {"table": "report_0"}) is None
    spool = registry.get_sample_value("drydock_scanner_folder_bytes", {"folder": "spool"})
    assert spool is not None
    assert 100_000 <= spool < 200_000

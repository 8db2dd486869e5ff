"""What the stream of findings tells of scans: differences, each once, and nothing over that may still be there."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import tracemalloc
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from services.kernel.bus.interface import FINDINGS, FINDINGS_STATE, Message
from services.kernel.db import Connection
from services.kernel.errors import invalid
from services.kernel.migrate import load_migrations
from services.kernel.model.engine import Engine
from services.kernel.model.finding import Finding, FindingKind
from services.kernel.model.report import Coverage, ReportWarning
from services.kernel.model.severity import Severity
from services.kernel.outbox import Outbox
from services.kernel.reasons import Reason, ScanFailure
from services.scanner.api import State
from services.scanner.marks import mark_gone_images, mark_rejudged
from services.scanner.records import ImageAddress, ScannedImage, ScanRecord
from tests.builders.advisories import affected, before, record
from tests.builders.reports import LODASH, OPENSSL, vulnerability
from tests.builders.scanner import image
from tests.builders.stream import Said, StreamBench, Told, a_risk, a_sample, rebuilt, stream_bench

SYSTEM = vulnerability(OPENSSL, "CVE-2024-1", kind=FindingKind.SYSTEM_VULNERABILITY)
NPM = vulnerability(LODASH, "GHSA-xxxx-yyyy-zzzz", aliases=())
RISK, SAMPLE = a_risk(), a_sample()
EVERY = (SYSTEM, NPM, RISK, SAMPLE)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
OPENSSL_1 = record("DEBIAN-CVE-2024-1", affected("Debian:12", "openssl", *before("9")), aliases=["CVE-2024-1"])
LODASH_1 = record("GHSA-xxxx-yyyy-zzzz", affected("npm", "@acme/lodash", *before("9")))


@pytest.fixture
async def bench(database: str, tmp_path: Path) -> AsyncIterator[StreamBench]:
    async with stream_bench(database, tmp_path) as bench:
        yield bench


def activities(told: Sequence[Told]) -> list[tuple[str, str]]:
    return sorted((one.activity, one.id) for one in told)


def as_said(findings: Sequence[Finding], **more: object) -> Said:
    return Said(findings=findings, **more)  # type: ignore[arg-type]  # fields of it


async def opened(bench: StreamBench, *findings: Finding, **more: object) -> None:
    """Findings are open, by one scan."""
    await bench.scan(image(), as_said(findings, **more))
    assert len(await bench.tell()) == len(findings)


async def test_a_scan_opens_what_it_finds_and_a_repetition_tells_nothing(bench: StreamBench) -> None:
    await bench.scan(image(), as_said(EVERY))
    told = await bench.tell()
    assert activities(told) == sorted(("Create", finding.id) for finding in EVERY)
    assert {one.key for one in told} == {image().digest}
    assert {one.topic for one in told} == {FINDINGS}
    assert await bench.tell() == []
    await bench.scan(image(), as_said(EVERY))
    assert await bench.tell() == []
    assert {uuid.UUID(uid) for uid in rebuilt(told)} == await bench.open_uids()


async def test_what_changes_is_told_as_an_update_of_the_same_finding(bench: StreamBench) -> None:
    await bench.scan(image(), as_said([SYSTEM, NPM]))
    [first] = [one for one in await bench.tell() if one.id == SYSTEM.id]
    worse = msgspec.structs.replace(SYSTEM, severity=Severity.CRITICAL, fixed_version="10")
    await bench.scan(image(), as_said([worse, NPM]))
    [update] = await bench.tell()
    assert (update.activity, update.event["severity"]) == ("Update", "Critical")
    info, was = update.event["finding_info"], first.event["finding_info"]
    assert (info["uid"], info["first_seen_time"]) == (was["uid"], was["first_seen_time"])
    assert info["last_seen_time"] > was["last_seen_time"]
    assert update.headers["ce_id"] != first.headers["ce_id"]


async def test_each_repository_has_findings_of_its_own(bench: StreamBench) -> None:
    await bench.scan(image(), as_said([SYSTEM]))
    await bench.scan(image(repo_id="crr-2", repository="other"), as_said([SYSTEM]))
    told = await bench.tell()
    assert len({one.event["finding_info"]["uid"] for one in told}) == 2
    assert {one.event["unmapped"]["repository"] for one in told} == {"team/app", "team/other"}


async def test_what_rules_saw_several_times_in_one_file_is_one_finding(bench: StreamBench) -> None:
    seen = [a_risk(match=f"user{number}::0") for number in range(30)]
    await bench.scan(image(), as_said(seen))
    [told] = await bench.tell()
    assert len(told.event["evidences"]) == 20
    await bench.scan(image(), as_said(seen[::-1]))
    assert await bench.tell() == []


@pytest.mark.parametrize("finding", [RISK, SAMPLE], ids=lambda finding: finding.kind.value)
async def test_what_rules_do_not_see_any_more_is_over(bench: StreamBench, finding: Finding) -> None:
    await opened(bench, finding)
    await bench.scan(image(), as_said([]))
    [told] = await bench.tell()
    assert (told.activity, told.event["status"], told.event["status_code"]) == ("Close", "Resolved", "NOT_FOUND")
    assert await bench.open_uids() == set()


async def test_a_vulnerability_is_over_when_its_advisory_is_there_and_judges_otherwise(bench: StreamBench) -> None:
    first = bench.advised(OPENSSL_1, at=MARCH)
    await opened(bench, SYSTEM, advisories=first.version)
    mended = record("DEBIAN-CVE-2024-1", affected("Debian:12", "openssl", *before("1")), aliases=["CVE-2024-1"])
    second = bench.advised(mended, at=MARCH + timedelta(days=1))
    await bench.scan(image(), as_said([], advisories=second.version))
    assert activities(await bench.tell()) == [("Close", SYSTEM.id)]


async def test_a_vulnerability_is_over_when_its_advisory_says_that_it_was_withdrawn(bench: StreamBench) -> None:
    first = bench.advised(LODASH_1, OPENSSL_1, at=MARCH)
    await opened(bench, NPM, advisories=first.version)
    withdrawn = {**LODASH_1, "withdrawn": "2026-03-01T00:00:00Z"}
    second = bench.advised(withdrawn, OPENSSL_1, at=MARCH + timedelta(days=1))
    await bench.scan(image(), as_said([], advisories=second.version))
    assert activities(await bench.tell()) == [("Close", NPM.id)]


async def test_a_vulnerability_stays_open_when_its_advisory_vanished(bench: StreamBench) -> None:
    first = bench.advised(OPENSSL_1, LODASH_1, at=MARCH)
    await opened(bench, SYSTEM, NPM, advisories=first.version)
    other = record("GHSA-other", affected("npm", "@acme/lodash", *before("1")))
    shrunk = bench.advised(OPENSSL_1, other, at=MARCH + timedelta(days=1))
    await bench.scan(image(), as_said([SYSTEM], advisories=shrunk.version))
    assert await bench.tell() == []
    assert len(await bench.open_uids()) == 2
    # It is there again, and the finding with it: that is no news.
    whole = bench.advised(OPENSSL_1, LODASH_1, other, at=MARCH + timedelta(days=2))
    await bench.scan(image(), as_said([SYSTEM, NPM], advisories=whole.version))
    assert await bench.tell() == []


async def test_advisories_that_were_replaced_meanwhile_close_nothing(bench: StreamBench) -> None:
    first = bench.advised(OPENSSL_1, at=MARCH)
    await opened(bench, SYSTEM, advisories=first.version)
    await bench.scan(image(), as_said([], advisories="a-version-that-is-not-here"))
    assert await bench.tell() == []


async def test_older_advisories_close_nothing_that_younger_ones_found(bench: StreamBench) -> None:
    meta = bench.advised(OPENSSL_1, at=MARCH)
    await opened(bench, SYSTEM, advisories=meta.version, built_at="2026-03-03T00:00:00Z")
    older = as_said([], advisories=meta.version, built_at="2026-03-01T00:00:00Z")
    await bench.scan(image(), older)
    assert await bench.tell() == []
    # Those in between neither: the youngest count.
    await bench.scan(image(), dataclasses.replace(older, built_at="2026-03-02T00:00:00Z"))
    assert await bench.tell() == []
    await bench.scan(image(), dataclasses.replace(older, built_at="2026-03-04T00:00:00Z"))
    assert activities(await bench.tell()) == [("Close", SYSTEM.id)]


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (Said(kinds=frozenset({FindingKind.BASELINE_RISK})), {NPM.id, SYSTEM.id, SAMPLE.id}),
        (Said(sample=True), {NPM.id, SYSTEM.id}),
        (Said(coverage=Coverage.NONE), {NPM.id, SYSTEM.id}),
        (Said(warnings=[ReportWarning(code="STALE_ADVISORIES", message="Old.")]), {NPM.id, SYSTEM.id}),
        (Said(warnings=[ReportWarning(code="NO_ADVISORIES", message="None.", ecosystem="npm")]), {NPM.id}),
        (Said(warnings=[ReportWarning(code="NO_ADVISORIES", message="None.")]), {NPM.id, SYSTEM.id}),
        (Said(warnings=[ReportWarning(code="END_OF_LIFE", message="Over.")]), {SYSTEM.id}),
        (Said(warnings=[ReportWarning(code="CLAMD_UNAVAILABLE", message="Away.")]), {RISK.id, SAMPLE.id}),
        (
            Said(warnings=[ReportWarning(code="CONTENT_NOT_READ", message="Large.", path="/etc/passwd")]),
            {RISK.id},
        ),
        (Said(warnings=[ReportWarning(code="FILE_NOT_READ", message="B.", path=LODASH.path)]), {NPM.id}),
        (Said(warnings=[ReportWarning(code="FILE_NOT_READ", message="Broken.", path="/elsewhere")]), set()),
        (Said(warnings=[ReportWarning(code="OF_A_LATER_RELEASE", message="?")]), {each.id for each in EVERY}),
        (Said(warnings=[ReportWarning(code="FOREIGN_PACKAGES", message="Others'.")]), set()),
    ],
    ids=lambda said: said.warnings[0].code if isinstance(said, Said) and said.warnings else "",
)
async def test_a_partial_scan_closes_only_what_it_vouches_for(
    bench: StreamBench, said: Said, left: set[str]
) -> None:
    meta = bench.advised(OPENSSL_1, LODASH_1, at=MARCH)
    await opened(bench, *EVERY, advisories=meta.version)
    await bench.scan(image(), dataclasses.replace(said, advisories=meta.version))
    assert {one.id for one in await bench.tell()} == {each.id for each in EVERY} - left
    assert len(await bench.open_uids()) == len(left)


async def test_a_switch_of_engine_closes_nothing(bench: StreamBench) -> None:
    await opened(bench, *EVERY)
    by_trivy = dataclasses.replace(as_said([SYSTEM]), kinds=frozenset({SYSTEM.kind, NPM.kind}))
    await bench.scan(image(), by_trivy, engine=Engine.TRIVY)
    [told] = await bench.tell()
    assert (told.activity, told.event["unmapped"]["engine"]) == ("Create", "TRIVY")
    assert len(await bench.open_uids()) == len(EVERY) + 1
    # Its own it closes, by a database that is no older.
    await bench.scan(image(), dataclasses.replace(by_trivy, findings=()), engine=Engine.TRIVY)
    assert activities(await bench.tell()) == [("Close", SYSTEM.id)]


async def test_a_scan_that_fails_closes_nothing(bench: StreamBench) -> None:
    await opened(bench, *EVERY)

    async def fail(scan: ScanRecord) -> ScannedImage:
        raise ScanFailure(Reason.LAYER_CORRUPT, "It is broken.")

    task = await bench.scan_by(image(), fail)
    assert task.outcome.state is State.FAILED
    assert await bench.tell() == []
    assert len(await bench.open_uids()) == len(EVERY)


async def test_an_image_that_went_takes_its_findings_with_it(bench: StreamBench) -> None:
    await opened(bench, *EVERY)
    await bench.scan(image(repo_id="crr-2", repository="other"), as_said([SYSTEM]))
    await bench.tell()
    await went(bench, image())
    told = await bench.tell()
    assert activities(told) == sorted(("Close", finding.id) for finding in EVERY)
    assert {one.event["status_code"] for one in told} == {"IMAGE_DELETED"}
    assert len(await bench.open_uids()) == 1
    # Pushed again, it has them again, with other events.
    await bench.scan(image(), as_said([SYSTEM]))
    [again] = await bench.tell()
    assert (again.activity, again.id) == ("Create", SYSTEM.id)


async def test_an_image_that_was_pushed_again_before_it_was_told_to_have_gone_stays(bench: StreamBench) -> None:
    await opened(bench, *EVERY)
    await went(bench, image())
    await bench.scan(image(), as_said(EVERY))
    assert await bench.tell() == []
    assert len(await bench.open_uids()) == len(EVERY)
    await went(bench, image())
    assert len(await bench.tell()) == len(EVERY)


async def test_a_stream_that_is_switched_off_keeps_a_line_for_each_image_and_tells_all_later(
    bench: StreamBench,
) -> None:
    for _ in range(3):
        await bench.scan(image(), as_said(EVERY))
        await bench.teller.keep_short(asyncio.Event())
    assert await bench.scanner.pool.fetchval("SELECT count(*) FROM scanner.stream_mark") == 0
    assert await bench.scanner.pool.fetchval("SELECT count(*) FROM scanner.stream_image") == 1
    assert await bench.taken() == []
    assert len(await bench.tell()) == len(EVERY)


async def test_the_last_word_stands_when_its_task_went_and_an_older_one_is_left(bench: StreamBench) -> None:
    await bench.scan(image(tag="1.0"), as_said([RISK, SAMPLE]))
    await bench.tell()
    last = await bench.scan(image(tag="2.0"), as_said([SAMPLE]))
    assert activities(await bench.tell()) == [("Close", RISK.id)]
    await bench.scanner.pool.execute("DELETE FROM scanner.task WHERE task_id = $1", last.task_id)
    async with bench.scanner.pool.acquire() as db:
        await mark_rejudged(db, [image()])
    assert await bench.tell() == []


async def test_images_that_were_scanned_by_a_release_without_a_stream_are_told(bench: StreamBench) -> None:
    await bench.scan(image(), as_said(EVERY))
    pool = bench.scanner.pool
    await pool.execute("DELETE FROM scanner.stream_mark")
    [told] = [each for each in load_migrations("services.scanner") if each.name == "stream"]
    [_, marking] = told.statements.split("-- What was found before there was a stream is told by it, too.")
    await pool.execute(marking)
    assert len(await bench.tell()) == len(EVERY)


async def test_who_lost_a_claim_writes_nothing(bench: StreamBench) -> None:
    await bench.scan(image(), as_said(EVERY))
    [late] = await bench.claims()
    await bench.scanner.pool.execute("UPDATE scanner.stream_image SET due_at = now()")
    [claim] = await bench.claims()
    await bench.teller.tell([late])
    assert await bench.taken() == []
    await bench.teller.tell([claim])
    assert len(await bench.taken()) == len(EVERY)


async def test_news_during_the_telling_is_told_next(bench: StreamBench) -> None:
    await bench.scan(image(), as_said([SYSTEM]))
    [claim] = await bench.claims()
    await bench.scan(image(), as_said([SYSTEM, NPM]))
    await bench.teller.tell([claim])
    await bench.tell()
    assert len(await bench.open_uids()) == 2


async def test_a_teller_that_dies_in_the_middle_loses_nothing_and_repeats_nothing(
    bench: StreamBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [vulnerability(LODASH, f"CVE-2024-{number}") for number in range(1000)]
    await bench.scan(image(), as_said(many))
    [claim] = await bench.claims()
    add, calls = Outbox.add, 0

    async def dying(self: Outbox, *arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise ConnectionError("killed")
        await add(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "add", dying)
        with contextlib.suppress(ConnectionError):
            await bench.teller.tell([claim])
    early = await bench.taken()
    assert 0 < len(early) < len(many)
    await bench.scanner.pool.execute("UPDATE scanner.stream_image SET due_at = now()")
    rest = await bench.tell()
    ids = [one.id for one in (*early, *rest)]
    assert sorted(ids) == sorted(each.id for each in many)
    assert len({one.headers["ce_id"] for one in (*early, *rest)}) == len(many)


async def scanned(bench: StreamBench, count: int, *findings: Finding) -> Sequence[ImageAddress]:
    """So many images that were scanned and not told of."""
    images = [image(str(number).encode(), tag=str(number)) for number in range(count)]
    for each in images:
        await bench.scan(each, as_said(findings))
    return images


async def test_a_batch_is_one_transaction_and_settles_all_of_it(
    bench: StreamBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = await scanned(bench, 5, *EVERY)
    add, sizes = Outbox.add, []

    async def noted(self: Outbox, db: Connection, messages: Sequence[Message]) -> None:
        assert await db.fetchval("SELECT count(*) FROM scanner.stream_image WHERE heard > told") == 5
        sizes.append(len(messages))
        await add(self, db, messages)

    monkeypatch.setattr(Outbox, "add", noted)
    await bench.teller.tell(await bench.claims())
    assert sizes == [5 * len(EVERY)]
    told = await bench.taken()
    assert sorted(key for key, _ in itertools.groupby(told, lambda one: one.key)) == sorted(
        each.digest for each in images
    )
    assert await bench.claims() == []


async def test_an_image_whose_report_is_broken_holds_up_no_other_of_its_batch(bench: StreamBench) -> None:
    images = await scanned(bench, 5, *EVERY)
    await bench.scanner.pool.execute(
        "UPDATE scanner.report AS r SET content = $2 FROM scanner.task AS k "
        "WHERE k.scan_id = r.scan_id AND k.digest = $1",
        images[2].digest,
        b"rubbish",
    )
    claims = await bench.claims()
    await bench.teller.tell(claims)
    told = await bench.taken()
    assert {one.key for one in told} == {each.digest for each in images} - {images[2].digest}
    assert len(told) == len({one.headers["ce_id"] for one in told}) == 4 * len(EVERY)
    # It is due again, after its pause, and told once it can be read.
    assert await bench.claims() == []
    await bench.scan(images[2], as_said(EVERY))
    await bench.scanner.pool.execute("UPDATE scanner.stream_image SET due_at = now() WHERE heard > told")
    assert {one.key for one in await bench.tell()} == {images[2].digest}


async def test_an_image_that_killed_whoever_read_it_takes_no_other_along_twice(bench: StreamBench) -> None:
    images = await scanned(bench, 3, *EVERY)
    assert len(await bench.teller.claim_batch()) == 3
    again = "UPDATE scanner.stream_image SET due_at = now() WHERE heard > told"
    await bench.scanner.pool.execute(again)  # the process is dead, and its time is over
    fresh = image(b"fresh", tag="fresh")
    await bench.scan(fresh, as_said(EVERY))
    assert [claim.image.digest for claim in await bench.teller.claim_batch()] == [fresh.digest]
    came = []
    while claims := await bench.teller.claim_batch():
        assert len(claims) == 1
        came.append(claims[0].image.digest)
        await bench.teller.tell(claims)
    assert sorted(came) == sorted(each.digest for each in images)


async def test_an_event_that_no_bus_takes_holds_up_no_other_image(
    bench: StreamBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = await scanned(bench, 3, *EVERY)
    add = Outbox.add

    async def refusing(self: Outbox, db: Connection, messages: Sequence[Message]) -> None:
        await add(self, db, messages)  # what it wrote goes with the transaction
        if any(message.key == images[1].digest.encode() for message in messages):
            raise invalid("MESSAGE_TOO_LARGE", "It is.")

    monkeypatch.setattr(Outbox, "add", refusing)
    await bench.teller.tell(await bench.claims())
    told = await bench.taken()
    assert {one.key for one in told} == {images[0].digest, images[2].digest}
    assert {uuid.UUID(uid) for uid in rebuilt(told)} == await bench.open_uids()


async def test_an_image_of_a_batch_that_somebody_else_claimed_is_left_to_them(bench: StreamBench) -> None:
    images = await scanned(bench, 4, *EVERY)
    late = await bench.claims()
    await bench.scanner.pool.execute(
        "UPDATE scanner.stream_image SET due_at = now() WHERE digest = $1", images[1].digest
    )
    [claim] = await bench.claims()
    await bench.teller.tell(late)
    others = await bench.taken()
    assert {one.key for one in others} == {each.digest for each in images} - {images[1].digest}
    await bench.teller.tell([claim])
    assert {one.key for one in await bench.taken()} == {images[1].digest}


async def test_images_of_a_batch_that_changed_or_went_since_they_were_claimed_end_as_they_are(
    bench: StreamBench,
) -> None:
    images = await scanned(bench, 3, SYSTEM)
    await bench.tell()
    for each in images:
        await bench.scan(each, as_said([SYSTEM, RISK]))
    claims = await bench.claims()
    await bench.scan(images[0], as_said([SYSTEM, RISK, NPM]))
    await went(bench, images[1])
    await bench.teller.tell(claims)
    told = [*await bench.taken(), *await bench.tell()]
    of = [[(one.activity, one.id) for one in told if one.key == each.digest] for each in images]
    assert sorted(of[0]) == [("Create", NPM.id), ("Create", RISK.id)]
    assert of[1] == [("Close", SYSTEM.id)]
    assert of[2] == [("Create", RISK.id)]


async def test_what_somebody_pushed_is_told_before_what_can_wait(bench: StreamBench) -> None:
    images = await scanned(bench, 6, SYSTEM)
    await bench.tell()
    async with bench.scanner.pool.acquire() as db:
        await mark_rejudged(db, images)
    await bench.teller.keep_short(asyncio.Event())
    pushed = image(b"pushed", tag="pushed")
    await bench.scan(pushed, as_said([SYSTEM]))
    async with bench.scanner.pool.acquire() as db:
        await mark_rejudged(db, [pushed])  # one mark that can wait takes nothing from one that cannot
    await bench.scan(images[5], as_said([SYSTEM]))
    first = await bench.teller.claim(2)
    assert {claim.image.digest for claim in first} == {pushed.digest, images[5].digest}
    rest = await bench.claims()
    assert {claim.image.digest for claim in rest} == {each.digest for each in images[:5]}


async def test_a_batch_that_takes_long_gives_back_what_it_has_not_looked_at(
    bench: StreamBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.scanner.stream.teller._READ_BYTES", 1)  # each report is read by itself
    monkeypatch.setattr("services.scanner.stream.teller._BATCH_SECONDS", 0.0)
    await scanned(bench, 3, *EVERY)
    claims = await bench.claims()
    await bench.teller.tell(claims)
    assert {one.key for one in await bench.taken()} == {claims[0].image.digest}
    again = await bench.claims()
    assert {claim.image.digest for claim in again} == {claim.image.digest for claim in claims[1:]}
    assert await bench.scanner.pool.fetchval("SELECT max(attempts) FROM scanner.stream_image") == 1


async def test_several_tellers_share_images_and_repeat_nothing(bench: StreamBench) -> None:
    for number in range(30):
        await bench.scan(image(str(number).encode(), tag=f"{number}"), as_said(EVERY))
    tellers = [bench.teller, *(bench.another_teller() for _ in range(3))]

    async def work(teller: object) -> None:
        while claims := await teller.claim(3):  # type: ignore[attr-defined]
            await teller.tell(claims)  # type: ignore[attr-defined]

    await asyncio.gather(*map(work, tellers))
    told = await bench.taken()
    assert len(told) == 30 * len(EVERY)
    assert {uuid.UUID(uid) for uid in rebuilt(told)} == await bench.open_uids()


async def test_the_compacted_topic_holds_what_is_open_and_tombstones(database: str, tmp_path: Path) -> None:
    async with stream_bench(database, tmp_path, state=True) as bench:
        await bench.scan(image(), as_said([RISK, SAMPLE]))
        first = await bench.tell()
        events = {one.event["finding_info"]["uid"]: one.value for one in first if one.topic == FINDINGS}
        assert {one.key: one.value for one in first if one.topic == FINDINGS_STATE} == events
        await bench.scan(image(), as_said([RISK]))
        [close, tombstone] = await bench.tell()
        assert (close.topic, close.activity) == (FINDINGS, "Close")
        assert (tombstone.topic, tombstone.value) == (FINDINGS_STATE, b"")
        assert tombstone.key == close.event["finding_info"]["uid"]


async def went(bench: StreamBench, address: ImageAddress) -> None:
    """As `tags/purge.py` does it: the last tasks on an image are deleted."""
    async with bench.scanner.pool.acquire() as db, db.transaction():
        await db.execute(
            "DELETE FROM scanner.task WHERE repo_id = $1 AND digest = $2", address.repo_id, address.digest
        )
        await mark_gone_images(
            db,
            instance_id=address.instance_id,
            repo_id=address.repo_id,
            namespace=address.namespace,
            repository=address.repository,
            digests=[address.digest],
        )


async def test_a_very_large_report_is_told_in_small_pieces_and_in_bounded_memory(
    bench: StreamBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 20_000
    await bench.scan(
        image(), Said(findings=[vulnerability(OPENSSL, f"CVE-2024-{number}") for number in range(count)])
    )
    add, sizes = Outbox.add, []

    async def noted(self: Outbox, db: Connection, messages: Sequence[Message]) -> None:
        sizes.append(len(messages))
        await add(self, db, messages)

    monkeypatch.setattr(Outbox, "add", noted)
    [claim] = await bench.claims()
    tracemalloc.start()
    try:
        await bench.teller.tell([claim])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The findings once, decoded, and little else: neither the inventory nor the events are ever held whole.
    assert peak < 120 << 20
    assert max(sizes) <= 200
    assert sum(sizes) == count
    largest = await bench.scanner.pool.fetchval("SELECT max(octet_length(value)) FROM scanner.finding_outbox")
    assert largest < 8192
    await went(bench, image())
    assert len(await bench.tell()) == 2 * count
    assert await bench.open_uids() == set()

"""The SQL of the stream: one method for each query; transactions belong to the callers."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import asyncpg

from services.kernel.db import Connection
from services.kernel.sql import load_queries
from services.scanner.records import StoredReport
from services.scanner.rows import to_report
from services.scanner.stream.grouping import unpack_content
from services.scanner.stream.happenings import FindingRow
from services.scanner.stream.records import Listed, Look, OpenFinding, Result, StreamClaim, StreamedImage

_Q = load_queries("services.scanner")
_NO_UID = uuid.UUID(int=0)
FIRST = ("", "", _NO_UID)
"""The place before all open findings."""


class StreamStore:
    """Reads and writes what was told of images."""

    # images

    async def gather(self, db: Connection, limit: int) -> bool:
        """Makes at most so many marks into images that are due; tells whether there were any."""
        return not (await db.execute(_Q["gather_marks"], limit)).endswith(" 0")

    async def claim(self, db: Connection, limit: int, lease_seconds: float) -> Sequence[StreamClaim]:
        """Takes at most so many images that are due, in the order in which they are; due again after a pause."""
        rows = await db.fetch(_Q["claim_images"], limit, lease_seconds)
        return [
            StreamClaim(
                image=_to_image(row),
                gone=row["gone"],
                heard=row["heard"],
                fence=row["fence"],
                due_at=row["due_at"],
                again=row["again"],
            )
            for row in sorted(rows, key=lambda row: (row["patient"], row["due_at"]))
        ]

    async def give_back(self, db: Connection, claims: Sequence[StreamClaim]) -> None:
        """Puts images back to where they were in the queue."""
        due_at = [claim.due_at for claim in claims]
        await db.execute(_Q["give_back_images"], *_claimed(claims), due_at)

    async def hold(self, db: Connection, claims: Iterable[StreamClaim], lease_seconds: float) -> set[StreamClaim]:
        """Keeps images, whose rows stay locked to the transaction's end; returns those that nobody else has."""
        of = {(claim.image.repo_id, claim.image.digest): claim for claim in claims}
        rows = await db.fetch(_Q["hold_images"], *_claimed(of.values()), lease_seconds)
        return {of[row["repo_id"], row["digest"]] for row in rows}

    async def settle(self, db: Connection, claims: Iterable[StreamClaim]) -> None:
        """Says that all that was heard of images up to the claims is told."""
        settled = tuple(claims)
        if settled:
            await db.execute(_Q["settle_images"], *_claimed(settled), [claim.heard for claim in settled])

    async def drop_image(self, db: Connection, claim: StreamClaim) -> None:
        """Forgets an image that went, unless something was heard of it since the claim."""
        image = claim.image
        await db.execute(_Q["drop_image"], image.repo_id, image.digest, claim.fence, claim.heard)

    # scans

    async def looks(self, db: Connection, claims: Sequence[StreamClaim]) -> Sequence[Look]:
        """Returns the last results of images, and what was last told of each, in the order of the claims."""
        images = [claim.image.repo_id for claim in claims], [claim.image.digest for claim in claims]
        results: dict[int, list[Result]] = defaultdict(list)
        for row in await db.fetch(_Q["latest_results"], *images):
            results[row["image"]].append(_to_result(row, size=row["bytes"]))
        told: dict[int, dict[tuple[str, str], Result]] = defaultdict(dict)
        for row in await db.fetch(_Q["streamed_scans"], *images):
            told[row["image"]][row["platform"], row["engine"]] = _to_result(
                row, advisories_at=row["advisories_at"]
            )
        return [
            Look(claim=claim, results=results[number], told=told[number]) for number, claim in enumerate(claims, 1)
        ]

    async def reports(self, db: Connection, scan_ids: Iterable[str]) -> Mapping[str, StoredReport]:
        """Returns the reports of scans as they stand; without those that have gone."""
        rows = await db.fetch(_Q["reports"], sorted(scan_ids))
        return {str(row["scan_id"]): to_report(row) for row in rows}

    async def put_told(self, db: Connection, told: Sequence[tuple[StreamedImage, Result]]) -> None:
        """Says that results are told to their end."""
        if told:
            results = [result for _, result in told]
            await db.execute(
                _Q["put_streamed_scans"],
                [image.repo_id for image, _ in told],
                [image.digest for image, _ in told],
                [result.platform for result in results],
                [result.engine for result in results],
                [result.scan_id for result in results],
                [result.ended_at for result in results],
                [result.judged_at for result in results],
                [result.verdict for result in results],
                [result.advisories_at for result in results],
            )

    # findings

    async def known(self, db: Connection, results: Sequence[tuple[StreamedImage, Result]]) -> Sequence[bytes]:
        """Returns what is open of each platform of an image by an engine, as `KnownFindings` reads it."""
        rows = await db.fetch(
            _Q["known_findings"],
            [image.repo_id for image, _ in results],
            [image.digest for image, _ in results],
            [result.platform for _, result in results],
            [result.engine for _, result in results],
        )
        known = {row["place"]: row["known"] for row in rows}
        return [known.get(place, b"") for place in range(1, len(results) + 1)]

    async def some_open(
        self,
        db: Connection,
        image: StreamedImage,
        *,
        after: uuid.UUID = _NO_UID,
        uids: Sequence[uuid.UUID] | None = None,
        limit: int,
    ) -> Sequence[OpenFinding]:
        """Returns open findings of an image in the order of their uids: behind one, of those named, so many."""
        rows = await db.fetch(_Q["some_open_findings"], image.repo_id, image.digest, after, uids, limit)
        return [_to_finding(row) for row in rows]

    async def put_open(self, db: Connection, rows: Sequence[FindingRow]) -> None:
        """Writes findings down as open."""
        if rows:
            happenings = [row.happening for row in rows]
            await db.execute(
                _Q["put_open_findings"],
                [row.image.repo_id for row in rows],
                [row.image.digest for row in rows],
                [each.uid for each in happenings],
                [each.platform for each in happenings],
                [each.engine for each in happenings],
                [row.fingerprint for row in rows],
                [row.content for row in rows],
                [each.seen_at for each in happenings],
            )

    async def close(self, db: Connection, rows: Sequence[FindingRow]) -> None:
        """Forgets findings that are over."""
        if rows:
            await db.execute(
                _Q["close_findings"],
                [row.image.repo_id for row in rows],
                [row.image.digest for row in rows],
                [row.happening.uid for row in rows],
            )

    async def open_findings(
        self, db: Connection, instance_id: str, *, after: tuple[str, str, uuid.UUID], limit: int
    ) -> Sequence[Listed]:
        """Returns open findings behind a place, in one order for ever; of every instance where none is named."""
        rows = await db.fetch(_Q["open_findings"], instance_id, *after, limit)
        return [Listed(image=_to_image(row), finding=_to_finding(row)) for row in rows]


def _claimed(claims: Iterable[StreamClaim]) -> tuple[list[str], list[str], list[int]]:
    claimed = list(claims)
    return (
        [claim.image.repo_id for claim in claimed],
        [claim.image.digest for claim in claimed],
        [claim.fence for claim in claimed],
    )


def _to_result(row: asyncpg.Record, *, size: int = 0, advisories_at: str = "") -> Result:
    return Result(
        scan_id=str(row["scan_id"]),
        platform=row["platform"],
        engine=row["engine"],
        ended_at=row["ended_at"],
        judged_at=row["judged_at"],
        bytes=size,
        verdict=row["verdict"],
        advisories_at=advisories_at,
    )


def _to_image(row: asyncpg.Record) -> StreamedImage:
    return StreamedImage(
        instance_id=row["instance_id"],
        repo_id=row["repo_id"],
        namespace=row["namespace"],
        repository=row["repository"],
        digest=row["digest"],
    )


def _to_finding(row: asyncpg.Record) -> OpenFinding:
    return OpenFinding(
        uid=row["uid"],
        platform=row["platform"],
        engine=row["engine"],
        findings=unpack_content(row["content"]),
        first_seen_at=row["first_seen_at"],
        seen_at=row["seen_at"],
    )

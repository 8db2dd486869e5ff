"""The SQL of the stream: one method for each query; transactions belong to the callers."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg

from services.kernel.db import Connection
from services.kernel.sql import load_queries
from services.scanner.records import StoredReport
from services.scanner.rows import to_report
from services.scanner.stream.grouping import pack_content, unpack_content
from services.scanner.stream.records import Group, Listed, OpenFinding, Result, StreamClaim, StreamedImage

_Q = load_queries("services.scanner")
FIRST = ("", "", uuid.UUID(int=0))
"""The place before all open findings."""


class StreamStore:
    """Reads and writes what was told of images."""

    # images

    async def gather(self, db: Connection, limit: int) -> bool:
        """Makes at most so many marks into images that are due; tells whether there were any."""
        return not (await db.execute(_Q["gather_marks"], limit)).endswith(" 0")

    async def claim(self, db: Connection, limit: int, lease_seconds: float) -> Sequence[StreamClaim]:
        """Takes at most so many images that are due; each is due again after a pause that grows."""
        rows = await db.fetch(_Q["claim_images"], limit, lease_seconds)
        return [
            StreamClaim(image=_to_image(row), gone=row["gone"], heard=row["heard"], fence=row["fence"])
            for row in rows
        ]

    async def hold(self, db: Connection, claim: StreamClaim, lease_seconds: float) -> bool:
        """Keeps an image, whose row stays locked to the transaction's end; False when somebody else has it."""
        image = claim.image
        held = await db.fetchval(_Q["hold_image"], image.repo_id, image.digest, claim.fence, lease_seconds)
        return held is not None

    async def settle(self, db: Connection, claim: StreamClaim) -> None:
        """Says that all that was heard up to the claim is told."""
        image = claim.image
        await db.execute(_Q["settle_image"], image.repo_id, image.digest, claim.fence, claim.heard)

    async def drop_image(self, db: Connection, claim: StreamClaim) -> None:
        """Forgets an image that went, unless something was heard of it since the claim."""
        image = claim.image
        await db.execute(_Q["drop_image"], image.repo_id, image.digest, claim.fence, claim.heard)

    # scans

    async def latest(self, db: Connection, image: StreamedImage) -> Sequence[Result]:
        """Returns the last results of an image: one of each platform by each engine."""
        rows = await db.fetch(_Q["latest_results"], image.repo_id, image.digest)
        return [
            Result(
                scan_id=str(row["scan_id"]),
                platform=row["platform"],
                engine=row["engine"],
                ended_at=row["ended_at"],
                judged_at=row["judged_at"],
                verdict=row["verdict"],
            )
            for row in rows
        ]

    async def report(self, db: Connection, scan_id: str) -> StoredReport | None:
        """Returns the report of a scan as it stands; None when it has gone."""
        row = await db.fetchrow(_Q["reports"], [scan_id])
        return to_report(row) if row is not None else None

    async def told(self, db: Connection, image: StreamedImage) -> Mapping[tuple[str, str], Result]:
        """Returns what was last told of an image, by platform and engine."""
        rows = await db.fetch(_Q["streamed_scans"], image.repo_id, image.digest)
        return {
            (row["platform"], row["engine"]): Result(
                scan_id=str(row["scan_id"]),
                platform=row["platform"],
                engine=row["engine"],
                ended_at=row["ended_at"],
                judged_at=row["judged_at"],
                verdict=row["verdict"],
                advisories_at=row["advisories_at"],
            )
            for row in rows
        }

    async def put_told(self, db: Connection, image: StreamedImage, result: Result) -> None:
        """Says that a scan is told to its end."""
        await db.execute(
            _Q["put_streamed_scan"],
            image.repo_id,
            image.digest,
            result.platform,
            result.engine,
            result.scan_id,
            result.ended_at,
            result.judged_at,
            result.verdict,
            result.advisories_at,
        )

    # findings

    async def fingerprints(
        self, db: Connection, image: StreamedImage, result: Result
    ) -> Mapping[uuid.UUID, tuple[bytes, datetime]]:
        """Returns what is open of a platform by an engine: fingerprint, and when it was first seen, by uid."""
        rows = await db.fetch(_Q["open_fingerprints"], image.repo_id, image.digest, result.platform, result.engine)
        return {row["uid"]: (row["fingerprint"], row["first_seen_at"]) for row in rows}

    async def some_open(
        self, db: Connection, image: StreamedImage, uids: Sequence[uuid.UUID] | None, limit: int
    ) -> Sequence[OpenFinding]:
        """Returns open findings of an image, those of the uids where some are named, at most so many."""
        rows = await db.fetch(_Q["some_open_findings"], image.repo_id, image.digest, uids, limit)
        return [_to_finding(row) for row in rows]

    async def put_open(
        self, db: Connection, image: StreamedImage, result: Result, groups: Sequence[Group]
    ) -> None:
        """Writes findings down as open."""
        await db.execute(
            _Q["put_open_findings"],
            image.repo_id,
            image.digest,
            result.platform,
            result.engine,
            [group.uid for group in groups],
            [group.fingerprint for group in groups],
            [pack_content(group.findings) for group in groups],
            result.judged_at,
        )

    async def close(self, db: Connection, image: StreamedImage, uids: Sequence[uuid.UUID]) -> None:
        """Forgets findings that are over."""
        await db.execute(_Q["close_findings"], image.repo_id, image.digest, uids)

    async def open_findings(
        self, db: Connection, instance_id: str, *, after: tuple[str, str, uuid.UUID], limit: int
    ) -> Sequence[Listed]:
        """Returns open findings behind a place, in one order for ever; of every instance where none is named."""
        rows = await db.fetch(_Q["open_findings"], instance_id, *after, limit)
        return [Listed(image=_to_image(row), finding=_to_finding(row)) for row in rows]


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

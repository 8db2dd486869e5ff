"""Marks: that there is something to tell of an image, written down with what is to be told (`stream/`)."""

from __future__ import annotations

from collections.abc import Sequence

from services.kernel.db import Connection
from services.kernel.sql import load_queries
from services.scanner.records import ImageAddress, TaskRecord

_Q = load_queries("services.scanner")


async def mark_scanned(db: Connection, tasks: Sequence[TaskRecord]) -> None:
    """Says that scans of these tasks are complete, inside the caller's transaction; those of runs can wait."""
    await _mark(db, [(task.image, task.run_id != "") for task in tasks])


async def mark_rejudged(db: Connection, images: Sequence[ImageAddress]) -> None:
    """Says that newer advisories say something else of these images: what somebody pushed is told before."""
    await _mark(db, [(image, True) for image in images])


async def _mark(db: Connection, images: Sequence[tuple[ImageAddress, bool]]) -> None:
    if images:
        await db.execute(
            _Q["mark_images"],
            [image.instance_id for image, _ in images],
            [image.repo_id for image, _ in images],
            [image.namespace for image, _ in images],
            [image.repository for image, _ in images],
            [image.digest for image, _ in images],
            [patient for _, patient in images],
        )


async def mark_gone_images(
    db: Connection, *, instance_id: str, repo_id: str, namespace: str, repository: str, digests: Sequence[str]
) -> None:
    """Says that tasks on these digests went; those without any left are gone, as far as the stream goes."""
    if digests:
        await db.execute(_Q["mark_gone_images"], instance_id, repo_id, namespace, repository, sorted(set(digests)))

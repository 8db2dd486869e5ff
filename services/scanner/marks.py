"""Marks: that there is something to tell of an image, written down with what is to be told (`stream/`)."""

from __future__ import annotations

from collections.abc import Sequence

from services.kernel.db import Connection
from services.kernel.sql import load_queries
from services.scanner.records import ImageAddress

_Q = load_queries("services.scanner")


async def mark_images(db: Connection, images: Sequence[ImageAddress]) -> None:
    """Says that scans of these images are complete, inside the caller's transaction."""
    if images:
        await db.execute(
            _Q["mark_images"],
            [image.instance_id for image in images],
            [image.repo_id for image in images],
            [image.namespace for image in images],
            [image.repository for image in images],
            [image.digest for image in images],
        )


async def mark_gone_images(
    db: Connection, *, instance_id: str, repo_id: str, namespace: str, repository: str, digests: Sequence[str]
) -> None:
    """Says that tasks on these digests went; those without any left are gone, as far as the stream goes."""
    if digests:
        await db.execute(_Q["mark_gone_images"], instance_id, repo_id, namespace, repository, sorted(set(digests)))

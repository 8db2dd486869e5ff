"""What is found of fixes once all is quiet: rows, events, what receivers took, what registries and disks hold."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from drydock.events.v1 import fix_event_pb2
from services.fixer.api import FIXED_SUFFIX
from services.fixer.image.mark import fix_of
from services.kernel.db import Pool
from services.kernel.model.digest import digest_of
from services.kernel.model.media import OCI_MANIFEST
from services.lab.push import open_push
from services.notifier.channels.http import DELIVERY_HEADER
from tests.chaos.fixes.asking import Ask
from tests.chaos.stage import Place, Stage

Row = Mapping[str, Any]
_KEPT = frozenset({".lock"})
"""What lies in a working folder of a process that has nothing to do."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixedTag:
    """A tag of a fix, as its registry gives it."""

    instance_id: str
    repository: str
    tag: str
    digest: str
    source: str
    """Digest of what it says that it was made from."""
    stacked: bool
    """Whether that is a fix itself."""
    layers: Sequence[str]
    source_layers: Sequence[str]
    lost: Sequence[str]
    """Digests of blobs, of those that it points to, that are missing or something else."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A notification of the end of a fix, as a receiver took it."""

    target_id: str
    delivery_id: str
    event: str
    task_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fixes:
    """All of it, as plain values."""

    asked: Sequence[Ask]
    tasks: Sequence[Row]
    ends: Sequence[tuple[str, str, str]]
    """Task, state and event id of each message on the bus."""
    tags: Sequence[FixedTag]
    news: Sequence[News]
    target_ids: Sequence[str]
    """Who must be told of each end that is news."""
    scans: Sequence[Row]
    """Scan tasks of tags of fixes."""
    left: Sequence[str]
    """Files and folders of work that is over."""


async def gather_fixes(stage: Stage, pool: Pool, asked: Sequence[Ask], events: Sequence[bytes]) -> Fixes:
    """Reads everything; `events` are the messages on the bus."""
    ends = [fix_event_pb2.FixEvent.FromString(value) for value in events]
    return Fixes(
        asked=asked,
        tasks=[dict(row) for row in await pool.fetch(_TASKS)],
        ends=[
            (each.task_id, fix_event_pb2.FixEvent.State.Name(each.state).removeprefix("STATE_"), each.event_id)
            for each in ends
        ],
        tags=[tag for place in stage.places for tag in await _fixed_tags(place)],
        news=_news(stage),
        target_ids=stage.target_ids,
        scans=[dict(row) for row in await pool.fetch(_SCANS, f"%\\{FIXED_SUFFIX}")],
        left=await asyncio.to_thread(_left, stage),
    )


_TASKS = (
    "SELECT task_id::text, instance_id, namespace, repository, tag, digest, state, reason, message, owner, "
    "pushed_digest, fixed, still_present, scan_task_id FROM fixer.task"
)
_SCANS = "SELECT task_id::text, instance_id, tag, digest, state FROM scanner.task WHERE tag LIKE $1"


async def _fixed_tags(place: Place) -> list[FixedTag]:
    async with open_push(place.registry.access) as session:
        names = (await _json(session, "/v2/_catalog"))["repositories"]
        return [
            await _fixed_tag(session, place, name, tag)
            for name in names
            for tag in (await _json(session, f"/v2/{name}/tags/list"))["tags"]
            if tag.endswith(FIXED_SUFFIX)
        ]


async def _fixed_tag(session: aiohttp.ClientSession, place: Place, name: str, tag: str) -> FixedTag:
    content = await _bytes(session, f"/v2/{name}/manifests/{tag}")
    manifest = json.loads(content)
    source = fix_of(content) or ""
    origin = await _bytes(session, f"/v2/{name}/manifests/{source}") if source else b"{}"
    blobs = [manifest["config"]["digest"], *_layers(manifest)]
    return FixedTag(
        instance_id=place.instance_id,
        repository=name,
        tag=tag,
        digest=digest_of(content),
        source=source,
        stacked=fix_of(origin) is not None,
        layers=_layers(manifest),
        source_layers=_layers(json.loads(origin)),
        lost=[each for each in blobs if digest_of(await _bytes(session, f"/v2/{name}/blobs/{each}")) != each],
    )


def _layers(manifest: Mapping[str, Any]) -> list[str]:
    return [layer["digest"] for layer in manifest.get("layers", ())]


async def _bytes(session: aiohttp.ClientSession, path: str) -> bytes:
    async with session.get(path, headers={"Accept": OCI_MANIFEST}) as response:
        return await response.read()


async def _json(session: aiohttp.ClientSession, path: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(await _bytes(session, path))
    return found


def _news(stage: Stage) -> list[News]:
    found = []
    for target_id, receiver in zip(stage.target_ids, stage.receivers, strict=True):
        for got in receiver.received:
            body = json.loads(got.body)
            if body["event"].startswith("fix."):
                delivery_id = got.headers[DELIVERY_HEADER.lower()]
                found.append(
                    News(
                        target_id=target_id,
                        delivery_id=delivery_id,
                        event=body["event"],
                        task_id=body["task_id"],
                    )
                )
    return found


def _left(stage: Stage) -> list[str]:
    """What lies below the fixers' data besides packages that are kept and the empty folders of those that live."""
    hands = [hand for hand in stage.crew.hands if hand.served.role == "fixer"]
    if not hands:
        return []
    packages = hands[0].served.data / "packages"
    folders = list((packages / "work").glob("process-*"))
    left = [str(path) for path in packages.glob("*") if not path.name.startswith(("sha256-", "work"))]
    left += [str(path) for folder in folders for path in folder.iterdir() if path.name not in _KEPT]
    if len(folders) > len(hands):
        left.append(f"{len(folders)} working folders of {len(hands)} processes")
    return left

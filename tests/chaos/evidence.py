"""What is found once all is quiet again: in the database, on the bus, at the receivers, in the logs."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from drydock.events.v1 import scan_event_pb2
from services.kernel.bus.interface import (
    BULK_REQUESTS,
    DEAD_SUFFIX,
    FINDINGS,
    FINDINGS_STATE,
    IMAGE_EVENTS,
    SCAN_EVENTS,
    SCAN_REQUESTS,
    TOPICS,
    Bus,
    Place,
)
from services.kernel.db import Pool
from services.notifier.channels.http import DELIVERY_HEADER
from services.scanner.reports import unpack_report
from tests.chaos.pushes import Push
from tests.chaos.stage import Stage
from tests.plain_consumer import Got, read_topic

GROUPS = (
    ("rules", IMAGE_EVENTS),
    ("scanner.tags", IMAGE_EVENTS),
    ("scanner", SCAN_REQUESTS),
    ("scanner.bulk", BULK_REQUESTS),
    ("notifier", SCAN_EVENTS),
)
"""Every consumer group and what it reads."""
Row = Mapping[str, Any]
Words = tuple[str, ...]
"""What the uid of a finding follows from."""
_LOOK_SECONDS = 0.5
_UNSETTLED = {
    "tasks that have not ended": "SELECT count(*) FROM scanner.task WHERE ended_at IS NULL",
    "scans to be done": "SELECT count(*) FROM scanner.work",
    "tags in doubt": "SELECT count(*) FROM scanner.tag WHERE doubted_at IS NOT NULL",
    "events in the rules' outbox": "SELECT count(*) FROM rules.outbox",
    "events in the scanner's outbox": "SELECT count(*) FROM scanner.outbox",
    "marks of the stream": "SELECT count(*) FROM scanner.stream_mark",
    "images to be told of": "SELECT count(*) FROM scanner.stream_image WHERE heard > told",
    "events in the stream's outbox": "SELECT count(*) FROM scanner.finding_outbox",
    "deliveries that have not ended": "SELECT count(*) FROM notifier.delivery WHERE finished_at IS NULL",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All of it, as plain values."""

    pushes: Sequence[Push]
    unsettled: Mapping[str, int]
    """What had not come to rest in time, and how much of it."""
    tasks: Sequence[Row]
    """`scanner.task` with `reports`, how many of its `parts` platforms have a report that can be read."""
    tags: Sequence[Row]
    ends: Sequence[tuple[str, str, str]]
    """Task, state and event id of every COMPLETE and FAILED on the bus."""
    told: Sequence[tuple[str, str]]
    """Task and target of what must have been told, by the events."""
    deliveries: Sequence[Row]
    receipts: Sequence[Row]
    received: Sequence[tuple[str, str]]
    """Target and delivery id of every notification that a receiver took."""
    completions: Sequence[str]
    """Scan ids of every scan that a worker says it ended well."""
    dead_letters: Mapping[str, int]
    deaths: Mapping[str, Sequence[str]]
    """Processes that ended by themselves."""
    finding_events: Sequence[Got]
    """The stream of findings from its beginning."""
    finding_states: Sequence[Got] | None
    """The compacted topic; None where the bus has none."""
    open_uids: frozenset[str]
    """Findings that the database has as open."""
    reported: frozenset[Words]
    """What findings of the last reports of every image are named by."""


async def settle(stage: Stage, pushes: int, deadline_seconds: float) -> Mapping[str, int]:
    """Waits until nothing is under way; returns what still is at the deadline, nothing when all went well."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + deadline_seconds
    async with stage.pool() as pool, stage.bus(pool) as bus:
        calm = 0
        while True:
            left = await _unsettled(pool, bus, pushes) or await _not_ready(stage)
            calm = 0 if left else calm + 1
            if (
                calm == 2 or loop.time() > give_up
            ):  # twice: between two looks something may pass from one to the other
                return left
            await asyncio.sleep(_LOOK_SECONDS)


async def _unsettled(pool: Pool, bus: Bus, pushes: int) -> dict[str, int]:
    found = {name: await pool.fetchval(query) for name, query in _UNSETTLED.items()}
    found["pushes without a task"] = max(pushes - await pool.fetchval("SELECT count(*) FROM scanner.task"), 0)
    for group, topic in GROUPS:
        found[f"messages that {group} has not read"] = await bus.lag(group, topic)
    return {name: count for name, count in found.items() if count}


async def _not_ready(stage: Stage) -> dict[str, int]:
    found = {hand.name: await hand.served.obstacles() for hand in stage.crew.hands}
    return {f"obstacles of {name}: {why}": 1 for name, why in found.items() if why != {}}


async def gather(stage: Stage, pushes: Sequence[Push], unsettled: Mapping[str, int]) -> Evidence:
    """Reads everything."""
    async with stage.pool() as pool, stage.bus(pool) as bus:
        events = [scan_event_pb2.ScanEvent.FromString(value) for value in await _all(bus, SCAN_EVENTS)]
        return Evidence(
            pushes=pushes,
            unsettled=unsettled,
            tasks=await _rows(pool, _TASKS),
            tags=await _rows(pool, "SELECT instance_id, namespace, repository, tag, digest FROM scanner.tag"),
            ends=_ends(events),
            told=sorted(
                {(event.task_id, target) for event in events if _is_news(event) for target in event.target_ids}
            ),
            deliveries=await _rows(
                pool,
                "SELECT target_id, event_id::text, delivery_id::text, state, lease_owner FROM notifier.delivery",
            ),
            receipts=await _rows(pool, "SELECT delivery_id::text, outcome, reason, attempt FROM notifier.receipt"),
            received=[
                (target, got.headers[DELIVERY_HEADER.lower()])
                for target, receiver in zip(stage.target_ids, stage.receivers, strict=True)
                for got in receiver.received
            ],
            completions=_completions(stage),
            dead_letters={topic: len(await _all(bus, topic + DEAD_SUFFIX)) for topic in TOPICS},
            deaths={hand.name: hand.deaths for hand in stage.crew.hands if hand.deaths},
            finding_events=await _stream(stage, bus, FINDINGS),
            finding_states=await _stream(stage, bus, FINDINGS_STATE) if bus.compacts else None,
            open_uids=frozenset(
                row["uid"] for row in await _rows(pool, "SELECT uid::text FROM scanner.stream_finding")
            ),
            reported=await reported(pool),
        )


async def _stream(stage: Stage, bus: Bus, topic: str) -> list[Got]:
    """Reads a topic as a stranger does; on PostgreSQL there is but our own way."""
    if stage.broker is not None:
        return await asyncio.to_thread(read_topic, stage.broker.servers, stage.broker.settings, topic)
    got: list[Got] = []
    after: dict[int, str] = {}
    while kept := await bus.tail(topic, after=after, limit=1000):
        for one in kept:
            after[one.record.partition] = one.record.position
            message = one.record.message
            got.append(
                Got(
                    partition=one.record.partition,
                    offset=len(got),
                    key=message.key.decode(),
                    headers=message.headers,
                    value=message.value or None,
                )
            )
    return got


async def reported(pool: Pool) -> frozenset[Words]:
    """Reads from the reports, past all that makes the stream, what it must have open."""
    rows = await pool.fetch(
        "SELECT DISTINCT k.instance_id, k.namespace, k.repository, k.digest, s.platform, s.engine, r.content "
        "FROM scanner.task AS k LEFT JOIN scanner.scan_part AS p ON p.index_id = k.scan_id "
        "JOIN scanner.scan AS s ON s.scan_id = coalesce(p.scan_id, k.scan_id) "
        "JOIN scanner.report AS r ON r.scan_id = s.scan_id WHERE k.state = 'COMPLETE' AND s.state = 'COMPLETE'"
    )
    return frozenset(
        (
            row["instance_id"],
            f"{row['namespace']}/{row['repository']}",
            row["digest"],
            row["platform"],
            row["engine"],
            finding.kind.value,
            finding.id,
            finding.package.purl if finding.package else "",
            finding.path,
        )
        for row in rows
        for finding in unpack_report(row["content"]).findings
    )


_TASKS = """
SELECT t.task_id::text, t.instance_id, t.namespace, t.repository, t.tag, t.digest, t.state, t.reason, t.message,
    greatest(count(p.scan_id), 1) AS parts, count(r.scan_id) AS reports
FROM scanner.task AS t
LEFT JOIN scanner.scan_part AS p ON p.index_id = t.scan_id
LEFT JOIN scanner.report AS r ON r.scan_id = coalesce(p.scan_id, t.scan_id)
GROUP BY t.task_id
"""


async def _rows(pool: Pool, query: str) -> list[Row]:
    return [dict(row) for row in await pool.fetch(query)]


async def _all(bus: Bus, topic: str) -> list[bytes]:
    values: list[bytes] = []
    start: Place | None = None
    while True:
        excerpt = await bus.browse(topic, start=start, limit=1000)
        values += [kept.record.message.value for kept in excerpt.kept]
        if excerpt.next is None:
            return values
        start = excerpt.next


def _ends(events: Sequence[scan_event_pb2.ScanEvent]) -> list[tuple[str, str, str]]:
    names = {scan_event_pb2.ScanEvent.STATE_COMPLETE: "COMPLETE", scan_event_pb2.ScanEvent.STATE_FAILED: "FAILED"}
    return [(event.task_id, names[event.state], event.event_id) for event in events if event.state in names]


def _is_news(event: scan_event_pb2.ScanEvent) -> bool:
    if event.state == scan_event_pb2.ScanEvent.STATE_FAILED:
        return True
    complete = event.state == scan_event_pb2.ScanEvent.STATE_COMPLETE
    return complete and (sum(event.findings.values()) > 0 or event.coverage == "NONE")


def _completions(stage: Stage) -> list[str]:
    found = []
    for hand in stage.crew.hands:
        if hand.served.role != "scanner":
            continue
        for line in hand.served.log.read_text(errors="replace").splitlines():
            if '"scan.finished"' in line and '"complete"' in line:
                try:
                    entry = json.loads(line)
                except ValueError:  # cut off by a kill
                    continue
                if entry.get("event") == "scan.finished" and entry.get("end") == "complete":
                    found.append(str(entry["scan_id"]))
    return found

"""What is found once all is quiet again: in the database, on the bus, at the receivers, in the logs."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from drydock.events.v1 import scan_event_pb2
from services.kernel.bus.interface import (
    DEAD_SUFFIX,
    FINDINGS,
    FINDINGS_STATE,
    FIX_EVENTS,
    SCAN_EVENTS,
    TOPICS,
    Bus,
    Place,
)
from services.kernel.db import Pool
from services.notifier.channels.http import DELIVERY_HEADER
from services.scanner.reports import read_report
from services.scanner.store import ScannerStore
from tests.chaos.fixes.asking import Ask
from tests.chaos.fixes.evidence import Fixes, gather_fixes
from tests.chaos.pushes import Push
from tests.chaos.stage import Stage
from tests.plain_consumer import Got, read_topic

Row = Mapping[str, Any]
Words = tuple[str, ...]
"""What the uid of a finding follows from."""


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
    fixes: Fixes


async def gather(
    stage: Stage, pushes: Sequence[Push], asked: Sequence[Ask], unsettled: Mapping[str, int]
) -> Evidence:
    """Reads everything."""
    async with stage.pool() as pool, stage.bus(pool) as bus:
        events = [scan_event_pb2.ScanEvent.FromString(value) for value in await _all(bus, SCAN_EVENTS)]
        return Evidence(
            pushes=[*pushes, *(ask.push for ask in asked)],
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
            fixes=await gather_fixes(stage, pool, asked, await _all(bus, FIX_EVENTS)),
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
    """Reads from the reports as they stand, past all that makes the stream, what it must have open."""
    rows = await pool.fetch(
        "SELECT DISTINCT k.instance_id, k.namespace, k.repository, k.digest, s.platform, s.engine, "
        "s.scan_id::text AS scan_id "
        "FROM scanner.task AS k LEFT JOIN scanner.scan_part AS p ON p.index_id = k.scan_id "
        "JOIN scanner.scan AS s ON s.scan_id = coalesce(p.scan_id, k.scan_id) "
        "JOIN scanner.report AS r ON r.scan_id = s.scan_id WHERE k.state = 'COMPLETE' AND s.state = 'COMPLETE'"
    )
    async with pool.acquire() as db:
        reports = await ScannerStore().reports(db, [row["scan_id"] for row in rows])
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
        for finding in read_report(reports[row["scan_id"]]).findings
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

"""Scan requests as rules wrote them, read back."""

from __future__ import annotations

from datetime import UTC

from drydock.events.v1 import scan_request_pb2
from services.kernel.bus.interface import Message
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.reference import RepositoryName
from services.rules.events import ScanRequest


def from_message(message: Message) -> ScanRequest:
    """Reads back what `to_message` wrote."""
    body = scan_request_pb2.ScanRequest.FromString(message.value)
    return ScanRequest(
        task_id=body.task_id,
        instance_id=body.instance_id,
        repo_id=body.repo_id,
        repository=RepositoryName(namespace=body.namespace, name=body.repository),
        tag=body.tag,
        digest=Digest(body.digest),
        revision=body.revision,
        engine=Engine(body.engine),
        rule_ids=tuple(body.rule_ids),
        target_ids=tuple(body.target_ids),
        requested_at=body.requested_at.ToDatetime(UTC),
        bulk=body.lane == scan_request_pb2.ScanRequest.LANE_BULK,
        run_id=body.run_id,
        asked_at=body.asked_at.ToDatetime(UTC) if body.HasField("asked_at") else None,
    )

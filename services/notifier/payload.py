"""The body of a notification; its JSON Schema is `docs/notification.schema.json`."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import msgspec

from services.kernel.model.severity import Severity
from services.notifier.events import News, ScanEvent

SCHEMA = "drydock.notification/v1"


class NotifiedRepository(msgspec.Struct, frozen=True, kw_only=True):
    """Where the image lies."""

    repo_id: str
    namespace: str
    name: str


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one notification says."""

    schema: str
    delivery_id: str
    event_id: str
    event: str
    time: str
    """RFC 3339, UTC: when the task ended."""
    instance_id: str
    repository: NotifiedRepository
    tag: str
    digest: str
    task_id: str
    engine: str
    status: str
    reason: str
    message: str
    coverage: str
    findings: dict[str, int]
    """Every severity has its key, and `total`."""
    advisories_version: str
    rule_ids: tuple[str, ...]


def delivery_id_of(event_id: str, target_id: str) -> str:
    """Returns the id of the one delivery of an event to a target: the same however often it is made."""
    return str(uuid.uuid5(uuid.UUID(event_id), target_id))


def notification_of(event: ScanEvent, news: News, target_id: str) -> Notification:
    """Says to one target what happened."""
    counts = {severity.value: event.findings.get(severity.value, 0) for severity in Severity}
    return Notification(
        schema=SCHEMA,
        delivery_id=delivery_id_of(event.event_id, target_id),
        event_id=event.event_id,
        event=news.value,
        time=_moment(event.occurred_at),
        instance_id=event.instance_id,
        repository=NotifiedRepository(repo_id=event.repo_id, namespace=event.namespace, name=event.repository),
        tag=event.tag,
        digest=event.digest,
        task_id=event.task_id,
        engine=event.engine,
        status=event.state.value,
        reason=event.reason,
        message=event.message,
        coverage=event.coverage,
        findings={**counts, "total": sum(event.findings.values())},
        advisories_version=event.advisories_version,
        rule_ids=event.rule_ids,
    )


def trial_notification(delivery_id: str, now: datetime) -> Notification:
    """Says that nothing happened, in the form of what may: its receiver can parse it as it will parse the rest."""
    return Notification(
        schema=SCHEMA,
        delivery_id=delivery_id,
        event_id=delivery_id,
        event=News.TARGET_TEST.value,
        time=_moment(now),
        instance_id="",
        repository=NotifiedRepository(repo_id="", namespace="drydock", name="test"),
        tag="test",
        digest="",
        task_id="",
        engine="",
        status="COMPLETE",
        reason="",
        message="This is a test: no image was scanned.",
        coverage="",
        findings={**{severity.value: 0 for severity in Severity}, "total": 0},
        advisories_version="",
        rule_ids=(),
    )


def read(body: bytes) -> Notification:
    """Reads what `encode` wrote, also in a newer release: fields that are new here are passed over."""
    return msgspec.json.decode(body, type=Notification)


def encode(notification: Notification) -> bytes:
    """Writes the JSON that is sent: one line, UTF-8."""
    return msgspec.json.encode(notification)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

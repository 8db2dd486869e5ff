"""The body of a notification; its JSON Schema is `docs/notification.schema.json`."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from services.kernel.model.engine import Engine
from services.kernel.model.finding import Finding
from services.kernel.model.severity import Severity
from services.notifier.api import Occasion
from services.notifier.events import News, Reevaluated, ScanEvent
from services.notifier.filters import Answer, Unanswered
from services.notifier.fixes import FixEvent

SCHEMA = "drydock.notification/v1"
_LONGEST_WORD = 512
"""Of what an image can make as long as it likes."""


class NotifiedRepository(msgspec.Struct, frozen=True, kw_only=True):
    """Where the image lies."""

    repo_id: str
    namespace: str
    name: str


class NewFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that the scan before did not have."""

    kind: str
    id: str
    severity: str
    package: str
    """Empty for what was found in content."""
    version: str
    fixed_version: str
    """Empty where there is none."""
    path: str


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """How a scan differs from the one before it."""

    earlier_task_id: str
    """Empty where there was none: then all is new."""
    doubt: str
    """Why "nothing new" cannot be said, as a reason code; else empty."""
    new: dict[str, int]
    """New findings: every severity has its key, and `total`."""
    new_by_kind: dict[str, int]
    """Every kind of which there are new ones has its key."""
    examples: tuple[NewFinding, ...]
    """The worst of them; all, unless `new.total` is more."""


class Reevaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What newer advisories changed about an image that nobody scanned again."""

    previous_version: str
    """Of the advisories that it was judged by before."""
    new: dict[str, int]
    """Findings that were not there before: every severity has its key, and `total`."""
    new_malicious_samples: int
    """Of these."""


class Fixed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a fix."""

    tag: str
    """The tag that was written, or was about to be; may be empty when it failed."""
    digest: str
    """What that tag was to hold."""
    backup_tag: str
    """Still holds what the written tag held before; empty where it held nothing."""
    fixed: int
    """Findings; so are the next three."""
    still_present: int
    """They were to be fixed, and are there."""
    not_fixable: int
    new: int
    """The fixed image has them, and the original has not."""
    scan_task_id: str
    """Scan of the fixed image."""
    created_by: str
    """Name of the key that asked for it."""


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
    occasions: tuple[str, ...] = ()
    """Why this target is told; empty in what an older release has written."""
    comparison: Compared | msgspec.UnsetType = msgspec.UNSET
    """What is new; only where the target wants to know, or it had to be asked."""
    reevaluation: Reevaluation | msgspec.UnsetType = msgspec.UNSET
    """Only where nobody scanned: all else says how the image stands since."""
    fix: Fixed | msgspec.UnsetType = msgspec.UNSET
    """Only of fixes: then nothing is said of findings by severity."""


def delivery_id_of(event_id: str, target_id: str) -> str:
    """Returns the id of the one delivery of an event to a target: the same however often it is made."""
    return str(uuid.uuid5(uuid.UUID(event_id), target_id))


def notification_of(
    event: ScanEvent,
    news: News,
    target_id: str,
    *,
    occasions: Collection[Occasion],
    answer: Answer | None = None,
) -> Notification:
    """Says to one target what happened."""
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
        findings=_totalled(event.findings),
        advisories_version=event.advisories_version,
        rule_ids=event.rule_ids,
        occasions=tuple(sorted(each.value for each in occasions)),
        comparison=_compared(answer) if answer is not None else msgspec.UNSET,
        reevaluation=_reevaluation(event.reevaluated) if event.reevaluated is not None else msgspec.UNSET,
    )


def fix_notification_of(
    event: FixEvent, news: News, target_id: str, *, occasions: Collection[Occasion]
) -> Notification:
    """Says to one target how a fix ended."""
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
        engine=Engine.SECURITY_CENTER.value,
        status=event.state.value,
        reason=event.reason,
        message=event.message,
        coverage="",
        findings=_totalled({}),
        advisories_version="",
        rule_ids=event.rule_ids,
        occasions=tuple(sorted(each.value for each in occasions)),
        fix=Fixed(
            tag=event.fixed_tag,
            digest=event.fixed_digest,
            backup_tag=event.backup_tag,
            fixed=event.fixed,
            still_present=event.still_present,
            not_fixable=event.not_fixable,
            new=event.new_findings,
            scan_task_id=event.scan_task_id,
            created_by=event.created_by,
        ),
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


def _reevaluation(said: Reevaluated) -> Reevaluation:
    return Reevaluation(
        previous_version=said.previous_version, new=_totalled(said.new), new_malicious_samples=said.malicious
    )


def _totalled(counts: Mapping[str, int]) -> dict[str, int]:
    return {**{each.value: counts.get(each.value, 0) for each in Severity}, "total": sum(counts.values())}


def _compared(answer: Answer) -> Compared:
    if isinstance(answer, Unanswered):
        return Compared(earlier_task_id="", doubt=answer.reason, new=_counts(()), new_by_kind={}, examples=())
    return Compared(
        earlier_task_id=answer.earlier_task_id,
        doubt=answer.doubt,
        new=_counts(answer.new.values()),
        new_by_kind={kind.value: sum(of_kind.values()) for kind, of_kind in answer.new.items()},
        examples=tuple(map(_example, answer.examples)),
    )


def _counts(kinds: Iterable[Mapping[Severity, int]]) -> dict[str, int]:
    total: Counter[Severity] = Counter()
    for of_kind in kinds:
        total.update(of_kind)
    return {**{severity.value: total[severity] for severity in Severity}, "total": total.total()}


def _example(finding: Finding) -> NewFinding:
    package = finding.package
    return NewFinding(
        kind=finding.kind.value,
        id=finding.id[:_LONGEST_WORD],
        severity=finding.severity.value,
        package=(package.name if package else "")[:_LONGEST_WORD],
        version=(package.version if package else "")[:_LONGEST_WORD],
        fixed_version=finding.fixed_version[:_LONGEST_WORD],
        path=finding.path[:_LONGEST_WORD],
    )


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

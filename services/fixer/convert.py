"""Orders, tasks and previews between dataclass and protobuf."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from drydock.fixer.v1 import fix_pb2 as pb
from drydock.fixer.v1 import fixer_service_pb2 as service_pb
from services.fixer.api import (
    FindingFate,
    FixedPackage,
    FixFilter,
    FixPreview,
    FixRequest,
    FixState,
    FixTask,
    PlatformFix,
    Stage,
    Verdict,
)
from services.kernel.errors import invalid
from services.kernel.model.digest import parse_digest
from services.kernel.rpc.answers import answer_of

_STATES: dict[int, FixState] = {pb.FixState.Value(f"FIX_STATE_{state.value}"): state for state in FixState}
_STAGES: dict[int, Stage] = {pb.FixStage.Value(f"FIX_STAGE_{stage.value}"): stage for stage in Stage}
_VERDICTS: dict[int, Verdict] = {pb.FixVerdict.Value(f"FIX_VERDICT_{each.value}"): each for each in Verdict}


def from_order(order: pb.FixOrder) -> FixRequest:
    """Reads what a caller wants fixed. Raises INVALID_DIGEST."""
    return FixRequest(
        instance=order.instance,
        repo_id=order.repo_id,
        namespace=order.namespace,
        repository=order.repository,
        tag=order.tag,
        digest=parse_digest(order.digest, field="order.digest") if order.digest else None,
        findings=tuple(order.finding_ids),
        overwrite=order.overwrite,
    )


def to_order(wanted: FixRequest) -> pb.FixOrder:
    """Writes what is to be fixed."""
    return pb.FixOrder(
        instance=wanted.instance,
        repo_id=wanted.repo_id,
        namespace=wanted.namespace,
        repository=wanted.repository,
        tag=wanted.tag,
        digest=wanted.digest or "",
        finding_ids=wanted.findings,
        overwrite=wanted.overwrite,
    )


def from_filter(request: service_pb.ListFixTasksRequest) -> FixFilter:
    """Reads which tasks are wanted. Raises INVALID_STATE."""
    if request.state and request.state not in _STATES:
        raise invalid("INVALID_STATE", "That is no state of a fix.", field="state")
    return FixFilter(
        instance=request.instance,
        repository=request.repository,
        namespaces=tuple(request.namespaces),
        tag=request.tag,
        state=_STATES[request.state] if request.state else None,
    )


def to_filter(wanted: FixFilter, *, page_size: int, page_token: str) -> service_pb.ListFixTasksRequest:
    """Writes which tasks are wanted."""
    return service_pb.ListFixTasksRequest(
        instance=wanted.instance,
        repository=wanted.repository,
        namespaces=wanted.namespaces,
        tag=wanted.tag,
        state=_to_state(wanted.state) if wanted.state else pb.FIX_STATE_UNSPECIFIED,
        page_size=page_size,
        page_token=page_token,
    )


def to_task(task: FixTask) -> pb.FixTask:
    """Writes a task."""
    return pb.FixTask(
        task_id=task.task_id,
        instance_id=task.instance_id,
        repo_id=task.repo_id,
        namespace=task.namespace,
        repository=task.repository,
        tag=task.tag,
        digest=task.digest,
        finding_ids=task.findings,
        overwrite=task.overwrite,
        target_ids=task.target_ids,
        created_by=task.created_by,
        state=_to_state(task.state),
        stage=pb.FixStage.Value(f"FIX_STAGE_{task.stage.value}") if task.stage else pb.FIX_STAGE_UNSPECIFIED,
        progress_message=task.progress_message,
        progress_done=task.progress_done,
        progress_total=task.progress_total,
        reason=task.reason,
        message=task.message,
        hint=task.hint,
        fixed_tag=task.fixed_tag,
        fixed_digest=task.fixed_digest,
        backup_tag=task.backup_tag,
        previous_digest=task.previous_digest,
        scan_task_id=task.scan_task_id,
        attached=task.attached,
        fixed=task.fixed,
        still_present=task.still_present,
        not_fixable=task.not_fixable,
        new_findings=task.new_findings,
        platforms=map(_to_platform, task.platforms),
        revert_reason=task.revert_reason,
        revert_message=task.revert_message,
        attempts=task.attempts,
        cancelling=task.cancelling,
        create_time=_to_time(task.created_at),
        start_time=_to_time(task.started_at),
        end_time=_to_time(task.ended_at),
        revert_time=_to_time(task.reverted_at),
    )


@answer_of("fixer")
def from_task(said: pb.FixTask) -> FixTask:
    """Reads a task. Raises NEWER_RELEASE for a word that this release does not know."""
    return FixTask(
        task_id=said.task_id,
        instance_id=said.instance_id,
        repo_id=said.repo_id,
        namespace=said.namespace,
        repository=said.repository,
        tag=said.tag,
        digest=parse_digest(said.digest),
        findings=tuple(said.finding_ids),
        overwrite=said.overwrite,
        target_ids=tuple(said.target_ids),
        created_by=said.created_by,
        state=_STATES[said.state],
        stage=_STAGES[said.stage] if said.stage else None,
        progress_message=said.progress_message,
        progress_done=said.progress_done,
        progress_total=said.progress_total,
        reason=said.reason,
        message=said.message,
        hint=said.hint,
        fixed_tag=said.fixed_tag,
        fixed_digest=said.fixed_digest,
        backup_tag=said.backup_tag,
        previous_digest=said.previous_digest,
        scan_task_id=said.scan_task_id,
        attached=dict(said.attached),
        fixed=said.fixed,
        still_present=said.still_present,
        not_fixable=said.not_fixable,
        new_findings=said.new_findings,
        platforms=tuple(map(_from_platform, said.platforms)),
        revert_reason=said.revert_reason,
        revert_message=said.revert_message,
        attempts=said.attempts,
        cancelling=said.cancelling,
        created_at=said.create_time.ToDatetime(UTC),
        started_at=said.start_time.ToDatetime(UTC) if said.HasField("start_time") else None,
        ended_at=said.end_time.ToDatetime(UTC) if said.HasField("end_time") else None,
        reverted_at=said.revert_time.ToDatetime(UTC) if said.HasField("revert_time") else None,
    )


def to_preview(preview: FixPreview) -> pb.FixPreview:
    """Writes a preview."""
    return pb.FixPreview(
        instance_id=preview.instance_id,
        repo_id=preview.repo_id,
        namespace=preview.namespace,
        repository=preview.repository,
        tag=preview.tag,
        digest=preview.digest,
        fixed_tag=preview.fixed_tag,
        platforms=map(_to_platform, preview.platforms),
    )


@answer_of("fixer")
def from_preview(said: pb.FixPreview) -> FixPreview:
    """Reads a preview. Raises NEWER_RELEASE for a word that this release does not know."""
    return FixPreview(
        instance_id=said.instance_id,
        repo_id=said.repo_id,
        namespace=said.namespace,
        repository=said.repository,
        tag=said.tag,
        digest=parse_digest(said.digest),
        fixed_tag=said.fixed_tag,
        platforms=tuple(map(_from_platform, said.platforms)),
    )


def _to_platform(platform: PlatformFix) -> pb.PlatformFix:
    return pb.PlatformFix(
        platform=platform.platform,
        digest=platform.digest,
        system=platform.system,
        packages=map(_to_package, platform.packages),
        findings=map(_to_fate, platform.findings),
        left_reason=platform.left_reason,
        message=platform.message,
        fixed_digest=platform.fixed_digest,
        layer_bytes=platform.layer_bytes,
        notes=platform.notes,
    )


def _from_platform(said: pb.PlatformFix) -> PlatformFix:
    return PlatformFix(
        platform=said.platform,
        digest=said.digest,
        system=said.system,
        packages=tuple(map(_from_package, said.packages)),
        findings=tuple(map(_from_fate, said.findings)),
        left_reason=said.left_reason,
        message=said.message,
        fixed_digest=said.fixed_digest,
        layer_bytes=said.layer_bytes,
        notes=tuple(said.notes),
    )


def _to_package(package: FixedPackage) -> pb.FixedPackage:
    return pb.FixedPackage(
        name=package.name,
        architecture=package.architecture,
        source=package.source,
        from_version=package.from_version,
        to_version=package.to_version,
        finding_ids=package.findings,
    )


def _from_package(said: pb.FixedPackage) -> FixedPackage:
    return FixedPackage(
        name=said.name,
        architecture=said.architecture,
        source=said.source,
        from_version=said.from_version,
        to_version=said.to_version,
        findings=tuple(said.finding_ids),
    )


def _to_fate(fate: FindingFate) -> pb.FindingFate:
    return pb.FindingFate(
        id=fate.id,
        package=fate.package,
        version=fate.version,
        fixed_version=fate.fixed_version,
        path=fate.path,
        severity=fate.severity,
        verdict=pb.FixVerdict.Value(f"FIX_VERDICT_{fate.verdict.value}"),
        reason=fate.reason,
        message=fate.message,
    )


def _from_fate(said: pb.FindingFate) -> FindingFate:
    return FindingFate(
        id=said.id,
        package=said.package,
        version=said.version,
        fixed_version=said.fixed_version,
        path=said.path,
        severity=said.severity,
        verdict=_VERDICTS[said.verdict],
        reason=said.reason,
        message=said.message,
    )


def _to_state(state: FixState) -> pb.FixState.ValueType:
    return pb.FixState.Value(f"FIX_STATE_{state.value}")


def _to_time(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    time = Timestamp()
    time.FromDatetime(moment)
    return time

"""Tasks, findings and image names between dataclass and protobuf."""

from __future__ import annotations

from drydock.scanner.v1 import scan_pb2 as pb
from drydock.scanner.v1 import scanner_service_pb2 as service_pb
from services.kernel.errors import invalid
from services.kernel.model.digest import parse_digest
from services.kernel.model.finding import FindingKind, Package
from services.kernel.model.severity import Severity
from services.scanner.api import FindingFilter, ImageQuery, PlacedFinding, PlatformScan, State, Task

_STATES = {
    State.PENDING: pb.STATE_PENDING,
    State.RUNNING: pb.STATE_RUNNING,
    State.RETRYING: pb.STATE_RETRYING,
    State.COMPLETE: pb.STATE_COMPLETE,
    State.FAILED: pb.STATE_FAILED,
}
_NUMBERS = {number: state for state, number in _STATES.items()}


def from_image(image: pb.ImageRef) -> ImageQuery:
    """Reads the name of an image.

    Raises:
        ServiceError: INVALID_DIGEST.
    """
    return ImageQuery(
        instance=image.instance,
        repo_id=image.repo_id,
        namespace=image.namespace,
        repository=image.repository,
        tag=image.tag,
        digest=parse_digest(image.digest, field="image.digest") if image.digest else None,
    )


def from_state(number: pb.State.ValueType) -> State | None:
    """Reads a state; None where it is not set.

    Raises:
        ServiceError: INVALID_STATE when it is newer than this server.
    """
    if number == pb.STATE_UNSPECIFIED:
        return None
    state = _NUMBERS.get(number)
    if state is None:
        raise invalid("INVALID_STATE", f"There is no state {int(number)}.", field="state")
    return state


def from_filter(request: service_pb.ListFindingsRequest) -> FindingFilter:
    """Reads which findings are wanted.

    Raises:
        ServiceError: INVALID_KIND, INVALID_SEVERITY.
    """
    return FindingFilter(
        kinds=frozenset({_kind(request.kind)}) if request.kind else frozenset(),
        severities=frozenset({_severity(request.severity)}) if request.severity else frozenset(),
        id_contains=request.id_contains,
        platform=request.platform,
        descending=request.descending,
    )


def to_task(task: Task) -> pb.Task:
    """Writes a task."""
    message = pb.Task(
        task_id=task.task_id,
        instance_id=task.instance_id,
        repo_id=task.repo_id,
        namespace=task.namespace,
        repository=task.repository,
        tag=task.tag,
        digest=task.digest,
        engine=task.engine.value,
        state=_STATES[task.state],
        reason=task.reason,
        message=task.message,
        coverage=task.coverage.value if task.coverage is not None else "",
        findings={severity.value: count for severity, count in task.findings.items()},
        advisories_version=task.advisories_version,
        rule_ids=task.rule_ids,
        platforms=[to_platform_scan(scan) for scan in task.platforms],
    )
    message.create_time.FromDatetime(task.created_at)
    if task.ended_at is not None:
        message.end_time.FromDatetime(task.ended_at)
    return message


def to_platform_scan(scan: PlatformScan) -> pb.PlatformScan:
    """Writes one platform of a task."""
    return pb.PlatformScan(
        scan_id=scan.scan_id,
        platform=scan.platform,
        digest=scan.digest,
        state=_STATES[scan.state],
        reason=scan.reason,
        message=scan.message,
    )


def to_finding(placed: PlacedFinding) -> pb.Finding:
    """Writes a finding."""
    finding = placed.finding
    return pb.Finding(
        kind=finding.kind.value,
        id=finding.id,
        aliases=finding.aliases,
        severity=finding.severity.value,
        score=finding.score,
        title=finding.title,
        link=finding.link,
        package=to_package(finding.package),
        fixed_version=finding.fixed_version,
        path=finding.path,
        layer=finding.layer,
        fix_state=finding.fix_state.value,
        platforms=placed.platforms,
    )


def to_package(package: Package) -> pb.Package:
    """Writes a package."""
    return pb.Package(
        purl=package.purl,
        name=package.name,
        version=package.version,
        ecosystem=package.ecosystem,
        path=package.path,
        layer=package.layer,
    )


def _kind(text: str) -> FindingKind:
    try:
        return FindingKind(text)
    except ValueError:
        raise invalid(
            "INVALID_KIND",
            f"{text[:40]!r} is no kind of finding.",
            field="kind",
            hint="One of " + ", ".join(kind.value for kind in FindingKind) + ".",
        ) from None


def _severity(text: str) -> Severity:
    try:
        return Severity(text)
    except ValueError:
        raise invalid(
            "INVALID_SEVERITY",
            f"{text[:40]!r} is no severity.",
            field="severity",
            hint="One of " + ", ".join(severity.value for severity in Severity) + ".",
        ) from None

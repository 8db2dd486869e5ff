"""Tasks, findings and image names between dataclass and protobuf."""

from __future__ import annotations

import dataclasses
from datetime import UTC

from pydantic import SecretStr

from drydock.scanner.v1 import scan_pb2 as pb
from drydock.scanner.v1 import scanner_inner_service_pb2 as inner_pb
from drydock.scanner.v1 import scanner_service_pb2 as service_pb
from services.kernel.errors import invalid
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import parse_digest
from services.kernel.model.engine import parse_engines
from services.kernel.model.finding import Disagreement, Finding, FindingKind, FixState, Package, SourcePackage
from services.kernel.model.reference import parse_host
from services.kernel.model.report import Coverage
from services.kernel.model.severity import Severity
from services.kernel.rpc.answers import answer_of
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
        ServiceError: INVALID_DIGEST, INVALID_ENGINE.
    """
    return ImageQuery(
        instance=image.instance,
        repo_id=image.repo_id,
        namespace=image.namespace,
        repository=image.repository,
        tag=image.tag,
        digest=parse_digest(image.digest, field="image.digest") if image.digest else None,
        engine=parse_engines(image.engine) if image.engine else None,
    )


def from_query(said: inner_pb.ImageQuery) -> ImageQuery:
    """Reads the name of an image as a peer gives it.

    Raises:
        ServiceError: INVALID_DIGEST, INVALID_ENGINE.
    """
    return dataclasses.replace(from_image(said.image), task_id=said.task_id)


def to_query(image: ImageQuery) -> inner_pb.ImageQuery:
    """Writes the name of an image for a peer."""
    return inner_pb.ImageQuery(
        image=pb.ImageRef(
            instance=image.instance,
            repo_id=image.repo_id,
            namespace=image.namespace,
            repository=image.repository,
            tag=image.tag,
            digest=image.digest or "",
            engine=image.engine.value if image.engine is not None else "",
        ),
        task_id=image.task_id,
    )


def to_lent(access: RegistryAccess) -> inner_pb.LentAccess:
    """Writes an access, its secrets in clear."""
    return inner_pb.LentAccess(
        address=access.address,
        plain_http=access.plain_http,
        username=access.username,
        password=access.password.get_secret_value(),
        token=access.token.get_secret_value(),
    )


def from_lent(said: inner_pb.LentAccess) -> RegistryAccess:
    """Reads an access that a caller lends. Raises INVALID_ADDRESS."""
    return RegistryAccess(
        address=parse_host(said.address, field="access.address"),
        plain_http=said.plain_http,
        username=said.username,
        password=SecretStr(said.password),
        token=SecretStr(said.token),
    )


def to_state(state: State | None) -> pb.State.ValueType:
    """Writes a state; None asks for every one."""
    return _STATES[state] if state is not None else pb.STATE_UNSPECIFIED


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
        kinds=frozenset({from_kind(request.kind)}) if request.kind else frozenset(),
        severities=frozenset({from_severity(request.severity)}) if request.severity else frozenset(),
        id_contains=request.id_contains,
        platform=request.platform,
        descending=request.descending,
    )


def from_wanted(said: inner_pb.ReadFindingsRequest) -> FindingFilter:
    """Reads which findings a peer wants.

    Raises:
        ServiceError: INVALID_KIND, INVALID_SEVERITY.
    """
    return FindingFilter(
        kinds=frozenset(map(from_kind, said.kinds)),
        severities=frozenset(map(from_severity, said.severities)),
        id_contains=said.id_contains,
        platform=said.platform,
        descending=said.descending,
    )


def to_wanted(image: ImageQuery, wanted: FindingFilter) -> inner_pb.ReadFindingsRequest:
    """Writes which findings are wanted."""
    return inner_pb.ReadFindingsRequest(
        image=to_query(image),
        kinds=sorted(kind.value for kind in wanted.kinds),
        severities=sorted(severity.value for severity in wanted.severities),
        id_contains=wanted.id_contains,
        platform=wanted.platform,
        descending=wanted.descending,
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
        run_id=task.run_id,
        platforms=[to_platform_scan(scan) for scan in task.platforms],
    )
    message.create_time.FromDatetime(task.created_at)
    if task.ended_at is not None:
        message.end_time.FromDatetime(task.ended_at)
    return message


@answer_of("scanner")
def from_task(said: pb.Task) -> Task:
    """Reads a task as the scanner has it.

    Raises:
        ServiceError: NEWER_RELEASE for a digest, state, engine, coverage or severity that is unknown here.
    """
    return Task(
        task_id=said.task_id,
        instance_id=said.instance_id,
        repo_id=said.repo_id,
        namespace=said.namespace,
        repository=said.repository,
        tag=said.tag,
        digest=parse_digest(said.digest),
        engine=parse_engines(said.engine),
        state=_NUMBERS[said.state],
        reason=said.reason,
        message=said.message,
        coverage=Coverage(said.coverage) if said.coverage else None,
        findings={Severity(severity): count for severity, count in said.findings.items()},
        advisories_version=said.advisories_version,
        rule_ids=tuple(said.rule_ids),
        created_at=said.create_time.ToDatetime(tzinfo=UTC),
        ended_at=said.end_time.ToDatetime(tzinfo=UTC) if said.HasField("end_time") else None,
        platforms=tuple(map(from_platform_scan, said.platforms)),
        run_id=said.run_id,
    )


def to_platform_scan(scan: PlatformScan) -> pb.PlatformScan:
    """Writes one platform of a task."""
    return pb.PlatformScan(
        scan_id=scan.scan_id,
        platform=scan.platform,
        digest=scan.digest,
        state=_STATES[scan.state],
        reason=scan.reason,
        message=scan.message,
        engine=scan.engine.value if scan.engine is not None else "",
    )


def from_platform_scan(said: pb.PlatformScan) -> PlatformScan:
    """Reads one platform of a task. Raises KeyError for a state that this release does not know."""
    return PlatformScan(
        scan_id=said.scan_id,
        platform=said.platform,
        digest=said.digest,
        state=_NUMBERS[said.state],
        reason=said.reason,
        message=said.message,
        engine=parse_engines(said.engine) if said.engine else None,
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
        package=to_package(finding.package) if finding.package is not None else None,
        fixed_version=finding.fixed_version,
        path=finding.path,
        layer=finding.layer,
        fix_state=finding.fix_state.value,
        platforms=placed.platforms,
        advice=finding.advice,
        match=finding.match,
        line=finding.line,
        sha256=finding.sha256,
        md5=finding.md5,
        deleted=finding.deleted,
        engines=finding.engines,
        disagreements=[pb.Disagreement(about=each.about, said=each.said) for each in finding.disagreements],
    )


@answer_of("scanner")
def from_finding(said: pb.Finding) -> PlacedFinding:
    """Reads a finding.

    Raises:
        ServiceError: NEWER_RELEASE for a kind, severity or state that this release does not know.
    """
    finding = Finding(
        kind=FindingKind(said.kind),
        id=said.id,
        aliases=tuple(said.aliases),
        severity=Severity(said.severity),
        score=said.score if said.HasField("score") else None,
        title=said.title,
        link=said.link,
        package=from_package(said.package) if said.HasField("package") else None,
        fixed_version=said.fixed_version,
        path=said.path,
        layer=said.layer,
        fix_state=FixState(said.fix_state),
        advice=said.advice,
        match=said.match,
        line=said.line,
        sha256=said.sha256,
        md5=said.md5,
        deleted=said.deleted,
        engines=tuple(said.engines),
        disagreements=tuple(Disagreement(about=each.about, said=dict(each.said)) for each in said.disagreements),
    )
    return PlacedFinding(finding=finding, platforms=tuple(said.platforms))


def to_package(package: Package) -> pb.Package:
    """Writes a package."""
    source = package.source
    return pb.Package(
        purl=package.purl,
        name=package.name,
        version=package.version,
        ecosystem=package.ecosystem,
        path=package.path,
        layer=package.layer,
        source=pb.SourcePackage(name=source.name, version=source.version) if source is not None else None,
        arch=package.arch,
        module=package.module,
        owner=package.owner,
    )


def from_package(said: pb.Package) -> Package:
    """Reads a package."""
    return Package(
        purl=said.purl,
        name=said.name,
        version=said.version,
        ecosystem=said.ecosystem,
        path=said.path,
        layer=said.layer,
        source=SourcePackage(name=said.source.name, version=said.source.version)
        if said.HasField("source")
        else None,
        arch=said.arch,
        module=said.module,
        owner=said.owner,
    )


def from_kind(text: str) -> FindingKind:
    """Reads a kind of finding. Raises INVALID_KIND."""
    try:
        return FindingKind(text)
    except ValueError:
        raise invalid(
            "INVALID_KIND",
            f"{text[:40]!r} is no kind of finding.",
            field="kind",
            hint="One of " + ", ".join(kind.value for kind in FindingKind) + ".",
        ) from None


def from_severity(text: str) -> Severity:
    """Reads a severity. Raises INVALID_SEVERITY."""
    try:
        return Severity(text)
    except ValueError:
        raise invalid(
            "INVALID_SEVERITY",
            f"{text[:40]!r} is no severity.",
            field="severity",
            hint="One of " + ", ".join(severity.value for severity in Severity) + ".",
        ) from None

"""Gates, and how images stand, between dataclass and protobuf."""

from __future__ import annotations

from datetime import UTC
from typing import Final

from drydock.scanner.v1 import gate_pb2 as pb
from drydock.scanner.v1 import scanner_service_pb2 as service_pb
from services.kernel.errors import invalid
from services.kernel.model.digest import parse_digest
from services.kernel.model.engine import parse_engines
from services.kernel.model.severity import Severity
from services.kernel.rpc.answers import answer_of
from services.scanner.api import ImageStanding
from services.scanner.convert import from_finding, from_kind, from_severity, from_task, to_finding, to_task
from services.scanner.gate.api import (
    Decision,
    Excused,
    Exemption,
    GateAnswer,
    GatePolicy,
    GateReason,
    GateVerdict,
    checked_age,
)

MOST_EXEMPTIONS: Final = 5_000
_MOST_LISTED: Final = 1_000
_DECISIONS = {
    Decision.PASS: pb.DECISION_PASS,
    Decision.FAIL: pb.DECISION_FAIL,
    Decision.UNDECIDED: pb.DECISION_UNDECIDED,
}
_NUMBERS = {number: decision for decision, number in _DECISIONS.items()}


def from_policy(said: pb.GatePolicy) -> GatePolicy:
    """Reads a policy.

    Raises:
        ServiceError: INVALID_SEVERITY, INVALID_KIND, INVALID_LIMIT, INVALID_EXEMPTION, INVALID_AGE.
    """
    if len(said.exemptions) > MOST_EXEMPTIONS:
        raise _no_exemption(f"There are {len(said.exemptions)} of them, and at most {MOST_EXEMPTIONS} are taken.")
    for severity, count in said.allowed.items():
        if count < 0:
            raise invalid(
                "INVALID_LIMIT", f"No {severity[:40]!r} below zero can be found.", field="policy.allowed"
            )
    return GatePolicy(
        fail_on=from_severity(said.fail_on) if said.fail_on else Severity.HIGH,
        allowed={from_severity(severity): count for severity, count in said.allowed.items()},
        ignore_unknown=said.ignore_unknown,
        fixable_only=said.fixable_only,
        kinds=frozenset(map(from_kind, said.kinds)),
        exemptions=tuple(map(_from_exemption, said.exemptions)),
        vex=tuple(said.vex),
        max_advisory_age=checked_age(said.max_advisory_age.seconds) if said.HasField("max_advisory_age") else None,
    )


def to_policy(policy: GatePolicy) -> pb.GatePolicy:
    """Writes a policy."""
    message = pb.GatePolicy(
        fail_on=policy.fail_on.value,
        allowed={severity.value: count for severity, count in policy.allowed.items()},
        ignore_unknown=policy.ignore_unknown,
        fixable_only=policy.fixable_only,
        kinds=sorted(kind.value for kind in policy.kinds),
        exemptions=map(_to_exemption, policy.exemptions),
        vex=policy.vex,
    )
    if policy.max_advisory_age is not None:
        message.max_advisory_age.FromTimedelta(policy.max_advisory_age)
    return message


def to_verdict(answer: GateAnswer) -> pb.GateVerdict:
    """Writes a verdict; of long lists, the first thousand."""
    verdict = answer.verdict
    return pb.GateVerdict(
        decision=_DECISIONS[verdict.decision],
        reasons=map(_to_reason, verdict.reasons),
        notes=map(_to_reason, verdict.notes),
        counts={severity.value: count for severity, count in verdict.counts.items()},
        failing=map(to_finding, verdict.failing[:_MOST_LISTED]),
        excused=map(_to_excused, verdict.excused[:_MOST_LISTED]),
        digest=answer.digest or "",
        task_id=answer.task_id,
        engine=answer.engine.value if answer.engine is not None else "",
    )


@answer_of("scanner")
def from_verdict(said: pb.GateVerdict) -> GateAnswer:
    """Reads a verdict.

    Raises:
        ServiceError: NEWER_RELEASE for a decision, severity or kind that is unknown here.
    """
    verdict = GateVerdict(
        decision=_NUMBERS[said.decision],
        reasons=tuple(map(_from_reason, said.reasons)),
        notes=tuple(map(_from_reason, said.notes)),
        counts={Severity(severity): count for severity, count in said.counts.items()},
        failing=tuple(map(from_finding, said.failing)),
        excused=tuple(map(_from_excused, said.excused)),
    )
    return GateAnswer(
        verdict=verdict,
        digest=parse_digest(said.digest) if said.digest else None,
        task_id=said.task_id,
        engine=parse_engines(said.engine) if said.engine else None,
    )


def to_standing(standing: ImageStanding) -> service_pb.WatchScanResponse:
    """Writes how an image stands."""
    platforms = standing.task.platforms if standing.task is not None else ()
    return service_pb.WatchScanResponse(
        digest=standing.digest,
        task=to_task(standing.task) if standing.task is not None else None,
        scans=len(platforms),
        ended_scans=sum(1 for scan in platforms if scan.state.ended),
    )


@answer_of("scanner")
def from_standing(said: service_pb.WatchScanResponse) -> ImageStanding:
    """Reads how an image stands.

    Raises:
        ServiceError: NEWER_RELEASE for a state that is unknown here.
    """
    task = from_task(said.task) if said.HasField("task") else None
    return ImageStanding(digest=parse_digest(said.digest), task=task)


def _from_exemption(said: pb.Exemption) -> Exemption:
    if not said.finding_id:
        raise _no_exemption("One of them has no finding_id.")
    if not said.reason.strip():
        raise _no_exemption(f"That of {said.finding_id[:80]!r} has no reason.")
    ends = said.HasField("expire_time")
    return Exemption(
        finding_id=said.finding_id,
        reason=said.reason,
        package=said.package,
        expires_at=said.expire_time.ToDatetime(tzinfo=UTC) if ends else None,
    )


def _to_exemption(exemption: Exemption) -> pb.Exemption:
    message = pb.Exemption(finding_id=exemption.finding_id, reason=exemption.reason, package=exemption.package)
    if exemption.expires_at is not None:
        message.expire_time.FromDatetime(exemption.expires_at)
    return message


def _no_exemption(why: str) -> Exception:
    return invalid(
        "INVALID_EXEMPTION",
        f"These exemptions cannot be taken. {why}",
        field="policy.exemptions",
        hint="Each names a finding and why it may pass.",
    )


def _to_reason(reason: GateReason) -> pb.GateReason:
    return pb.GateReason(code=reason.code, message=reason.message, detail=reason.detail, count=reason.count)


def _from_reason(said: pb.GateReason) -> GateReason:
    return GateReason(code=said.code, message=said.message, detail=said.detail, count=said.count)


def _to_excused(excused: Excused) -> pb.ExcusedFinding:
    return pb.ExcusedFinding(finding=to_finding(excused.placed), source=excused.source, reason=excused.reason)


def _from_excused(said: pb.ExcusedFinding) -> Excused:
    return Excused(placed=from_finding(said.finding), source=said.source, reason=said.reason)

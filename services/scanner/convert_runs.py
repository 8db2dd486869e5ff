"""Runs of rules, and which tasks are wanted, between dataclass and protobuf."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from drydock.scanner.v1 import scan_pb2 as pb
from drydock.scanner.v1 import scanner_service_pb2 as service_pb
from services.kernel.errors import invalid
from services.kernel.model.engine import parse_engines
from services.kernel.model.severity import Severity
from services.kernel.rpc.answers import answer_of
from services.scanner.api import ReasonCount, Run, RunState, TaskFilter
from services.scanner.convert import from_state, to_state


def from_task_filter(request: service_pb.ListScanTasksRequest) -> TaskFilter:
    """Reads which tasks are wanted.

    Raises:
        ServiceError: INVALID_STATE, INVALID_ENGINE or INVALID_TIME.
    """
    return TaskFilter(
        instance=request.instance,
        state=from_state(request.state),
        run_id=request.run_id,
        rule_id=request.rule_id,
        engine=parse_engines(request.engine) if request.engine else None,
        repository=request.repository,
        namespaces=tuple(request.namespaces),
        tag=request.tag,
        since=_moment(request.since, "since") if request.HasField("since") else None,
        until=_moment(request.until, "until") if request.HasField("until") else None,
    )


def to_list_tasks(wanted: TaskFilter, *, page_size: int, page_token: str) -> service_pb.ListScanTasksRequest:
    """Writes which tasks are wanted."""
    request = service_pb.ListScanTasksRequest(
        instance=wanted.instance,
        state=to_state(wanted.state),
        run_id=wanted.run_id,
        rule_id=wanted.rule_id,
        engine=wanted.engine.value if wanted.engine is not None else "",
        repository=wanted.repository,
        namespaces=wanted.namespaces,
        tag=wanted.tag,
        page_size=page_size,
        page_token=page_token,
    )
    if wanted.since is not None:
        request.since.FromDatetime(wanted.since)
    if wanted.until is not None:
        request.until.FromDatetime(wanted.until)
    return request


def to_run(run: Run) -> pb.Run:
    """Writes a run."""
    message = pb.Run(
        run_id=run.run_id,
        rule_id=run.rule_id,
        instance_id=run.instance_id,
        state=pb.RunState.Value(f"RUN_STATE_{run.state.value}"),
        reason=run.reason,
        message=run.message,
        enumerated=run.enumerated,
        repositories=run.repositories,
        tags=run.tags,
        images=run.images,
        pending=run.pending,
        running=run.running,
        retrying=run.retrying,
        complete=run.complete,
        undecided=run.undecided,
        failed=run.failed,
        unresolved=run.unresolved,
        vanished=run.vanished,
        failures=[pb.ReasonCount(reason=one.reason, count=one.count, message=one.message) for one in run.failures],
        findings={severity.value: count for severity, count in run.findings.items()},
    )
    message.create_time.FromDatetime(run.created_at)
    if run.ended_at is not None:
        message.end_time.FromDatetime(run.ended_at)
    return message


@answer_of("scanner")
def from_run(said: pb.Run) -> Run:
    """Reads a run as the scanner has it.

    Raises:
        ServiceError: NEWER_RELEASE for a state or severity that is unknown here.
    """
    return Run(
        run_id=said.run_id,
        rule_id=said.rule_id,
        instance_id=said.instance_id,
        state=RunState(pb.RunState.Name(said.state).removeprefix("RUN_STATE_")),
        reason=said.reason,
        message=said.message,
        enumerated=said.enumerated,
        repositories=said.repositories,
        tags=said.tags,
        images=said.images,
        pending=said.pending,
        running=said.running,
        retrying=said.retrying,
        complete=said.complete,
        undecided=said.undecided,
        failed=said.failed,
        unresolved=said.unresolved,
        vanished=said.vanished,
        failures=tuple(
            ReasonCount(reason=one.reason, count=one.count, message=one.message) for one in said.failures
        ),
        findings={Severity(severity): count for severity, count in said.findings.items()},
        created_at=said.create_time.ToDatetime(tzinfo=UTC),
        ended_at=said.end_time.ToDatetime(tzinfo=UTC) if said.HasField("end_time") else None,
    )


def _moment(said: Timestamp, field: str) -> datetime:
    try:
        return said.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid("INVALID_TIME", f"The time of {field} is none.", field=field) from None

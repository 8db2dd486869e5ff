"""Runs of rules between dataclass and protobuf."""

from __future__ import annotations

from datetime import UTC

from drydock.rules.v1 import run_pb2 as pb
from services.kernel.rpc.answers import answer_of
from services.rules.runs.api import RulePreview, RuleRun, RunNote, RunState


def to_run(run: RuleRun) -> pb.RuleRun:
    """Writes a run."""
    written = pb.RuleRun(
        run_id=run.run_id,
        rule_id=run.rule_id,
        instance_id=run.instance_id,
        state=pb.RunState.Value(f"RUN_STATE_{run.state.value}"),
        reason=run.reason,
        message=run.message,
        repositories=run.repositories,
        tags=run.tags,
        waiting=run.waiting,
        requested=run.requested,
        unresolved=run.unresolved,
        vanished=run.vanished,
        notes=[_to_note(note) for note in run.notes],
        scheduled=run.scheduled,
    )
    written.create_time.FromDatetime(run.created_at)
    if run.ended_at is not None:
        written.end_time.FromDatetime(run.ended_at)
    return written


@answer_of("rules")
def from_run(said: pb.RuleRun) -> RuleRun:
    """Reads a run.

    Raises:
        ServiceError: NEWER_RELEASE for a state that this release does not know.
    """
    return RuleRun(
        run_id=said.run_id,
        rule_id=said.rule_id,
        instance_id=said.instance_id,
        state=RunState(pb.RunState.Name(said.state).removeprefix("RUN_STATE_")),
        reason=said.reason,
        message=said.message,
        scheduled=said.scheduled,
        repositories=said.repositories,
        tags=said.tags,
        waiting=said.waiting,
        requested=said.requested,
        unresolved=said.unresolved,
        vanished=said.vanished,
        notes=tuple(map(_from_note, said.notes)),
        created_at=said.create_time.ToDatetime(tzinfo=UTC),
        ended_at=said.end_time.ToDatetime(tzinfo=UTC) if said.HasField("end_time") else None,
    )


def to_preview(preview: RulePreview) -> pb.RulePreview:
    """Writes a preview."""
    return pb.RulePreview(
        repositories=preview.repositories,
        tags=preview.tags,
        matching=preview.matching,
        sample=preview.sample,
        complete=preview.complete,
        notes=[_to_note(note) for note in preview.notes],
    )


def from_preview(said: pb.RulePreview) -> RulePreview:
    """Reads a preview."""
    return RulePreview(
        repositories=said.repositories,
        tags=said.tags,
        matching=said.matching,
        sample=tuple(said.sample),
        complete=said.complete,
        notes=tuple(map(_from_note, said.notes)),
    )


def _to_note(note: RunNote) -> pb.RunNote:
    return pb.RunNote(repository=note.repository, tag=note.tag, reason=note.reason, message=note.message)


def _from_note(said: pb.RunNote) -> RunNote:
    return RunNote(repository=said.repository, tag=said.tag, reason=said.reason, message=said.message)
